"""HDF5 files of any layout, by a YAML file that names their data sets: scan.yaml, or NAME.yaml beside NAME.h5.

    hdf5                the HDF5 file, in the folder of the YAML file
    projections         data set of the images [frames, rows, columns]
    image_key           data set [frames]: 0 projection, 1 reference, 2 dark image; other frames are not used
    reference, dark     data sets of flat fields and of images without beam; one number; or frames of the projections'
                        own data set: {frames: "0:10"}
    angles              data set of the sample stage's angles, one for each frame or for each projection, with
                          unit      deg, rad ...; by default the attribute `units`, else degrees
                          scale     degrees (or what unit says) of one step, for the counts of an encoder
                          offset    is added then, in that unit
                          reverse   true: the stage turned clockwise seen from +z
    pixel_mm            pixel size in mm, or a pair (row, column), or a data set with its unit; without it lengths
                        are in pixels
    source_to_origin, source_to_detector    in mm, or data sets: a cone beam; without them the beam is parallel
    axis_offset         how far the rotation axis lies towards +u, mm
    geometry            in the place of angles, pixel size and distances: a geometry, its file, or a scanner
    kind, reference_views, shifts, exposure, flip_rows, flip_columns, grid, metadata, provenance
                        as in `sinograd.io.scans.sidecar`

A data set is its path, "/entry/data", of another file of the folder "FILE::/entry/data", or a mapping with `dataset`
and `frames`, those to take: "FIRST:END:STEP", or a list of such. Of a list of data sets the images are joined. Links to
other files are followed within the folder. Angles are those of the sample, so gantry angle = -angle. Frames that are
named as references or dark images are no projections.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sinograd.config.decimal_commas import load_numbers
from sinograd.config.near_keys import did_you_mean
from sinograd.config.shown import shown, some
from sinograd.config.yaml import load_yaml
from sinograd.data.lengths import PIXEL
from sinograd.data.scan import Scan
from sinograd.errors import FormatError, InputError
from sinograd.geometry import ConeBeam, FlatDetector, Geometry, ParallelBeam
from sinograd.io.scans.flipped_images import flipped
from sinograd.io.scans.format import ScanFormat
from sinograd.io.scans.layout_frames import Frames, sorted_frames
from sinograd.io.scans.layout_values import angles_of, length_of
from sinograd.io.scans.sidecar import KEYS as SIDECAR_KEYS
from sinograd.io.scans.sidecar import Sidecar, find_sidecar, geometry_of, grid_of
from sinograd.io.scans.view_counts import count_advice
from sinograd.io.storage.hdf5.layout import is_hdf5
from sinograd.io.storage.outside import check_inside

OWN_KEYS = ("hdf5", "image_key", "angles", "pixel_mm", "source_to_origin", "source_to_detector", "axis_offset")
KEYS = (*OWN_KEYS, *SIDECAR_KEYS)
_BEAM = ("angles", "pixel_mm", "source_to_origin", "source_to_detector", "axis_offset")
_SUFFIXES = (".yaml", ".yml")
_MARK = re.compile(rb"(?:^|[{,])[ \t]*hdf5[ \t]*:", re.MULTILINE)  # in lines or in braces
_HEAD = 1 << 16


class Hdf5Layout(ScanFormat):
    """HDF5 whose data sets a YAML file names; the path is that of either, or of their folder."""

    def matches(self, path: Path, head: bytes) -> bool:
        """Whether a YAML file, one beside an HDF5 file, or one in a folder, has the key hdf5, which names the file."""
        found = _description(path, head)
        return found is not None

    def read(self, path: Path, *, geometry: Geometry | None = None, kind: str | None = None) -> Scan:
        """Read a scan by its YAML file, in `geometry` where one is given; the images stay in their files.

        kind: what the numbers are, instead of what the YAML file says.
        Raises InputError naming the YAML file and the key, or the HDF5 file and the data set: keys that are unknown,
        data sets that are missing or of other sizes, numbers of angles and images that do not fit.
        """
        head = b""
        if path.is_file():
            with open(path, "rb") as file:
                head = file.read(_HEAD)
        source = _description(path, head)
        if source is None:
            raise FormatError(f"{path} is no HDF5 file with a YAML file that has the key hdf5")
        data = load_numbers(source)
        _check_keys(source, data, geometry)
        file = _file(source, data)
        frames = sorted_frames(source, file, data)
        described = {key: data[key] for key in SIDECAR_KEYS if key in data}
        if geometry is None:
            geometry = _geometry(source, file, data, frames)
            if "geometry" not in data and "pixel_mm" not in data:
                described["length_unit"] = PIXEL
        else:
            described.pop("length_unit", None)
        for key in ("projections", "geometry", "grid"):
            described.pop(key, None)
        for key in ("reference", "dark"):
            if not isinstance(described.get(key), int | float):
                described.pop(key, None)
        if "reference_views" not in described and frames.reference_views is not None:
            described["reference_views"] = frames.reference_views
        sidecar = Sidecar(source, geometry, described, grid_of(source, data.get("grid")))
        flips = sidecar.flag("flip_rows"), sidecar.flag("flip_columns")
        beam = {name: getattr(frames, name) for name in ("reference", "dark")}
        return sidecar.scan(
            flipped(frames.projections, flips),
            file=path,
            images=_no_files,
            **{name: None if images is None else flipped(images, flips) for name, images in beam.items()},
            kind=kind,
            metadata={"format": f"HDF5 by {source.name}"},
        )


def _no_files(files: list[Path]) -> Any:
    raise InputError(f"images of an HDF5 scan are data sets, got {len(files)} files")


def _description(path: Path, head: bytes) -> Path | None:
    """The YAML file with the key hdf5 that is a path, or lies in it or beside it and names it."""
    if path.suffix.lower() in _SUFFIXES and path.is_file():
        return path if _is_marked(path) else None
    if not path.is_dir() and not is_hdf5(head):
        return None
    found = find_sidecar(path)
    if found is None or not _is_marked(found):
        return None
    if path.is_dir():
        return found
    data = load_yaml(found)
    name = data.get("hdf5") if isinstance(data, dict) else None
    same = isinstance(name, str) and "\0" not in name and (found.parent / name).resolve() == path.resolve()
    return found if same else None


def _is_marked(path: Path) -> bool:
    with open(path, "rb") as file:
        return _MARK.search(file.read(_HEAD)) is not None


def _check_keys(source: Path, data: Any, geometry: Geometry | None) -> None:
    if not isinstance(data, dict):
        raise InputError(f"{source} must be a mapping of keys to values, got {shown(data)}")
    unknown = [str(key) for key in data if key not in KEYS]
    if unknown:
        raise InputError(
            f"{source}: unknown key {some(unknown)}; a scan in HDF5 has {', '.join(KEYS)}{did_you_mean(unknown, KEYS)}"
        )
    if "projections" not in data:
        raise InputError(f"{source} lacks projections, the path of the data set of images")
    both = [key for key in _BEAM if key in data]
    if "geometry" in data and both:
        raise InputError(f"{source}: geometry is in the place of {', '.join(both)}; give one of them")
    if geometry is None and "geometry" not in data:
        missing = [key for key in ("angles", "pixel_mm") if key not in data and (key == "angles" or _is_cone(data))]
        if missing:
            raise InputError(f"{source} lacks {' and '.join(missing)}, or a geometry")


def _is_cone(data: Mapping[str, Any]) -> bool:
    return "source_to_origin" in data or "source_to_detector" in data


def _file(source: Path, data: Mapping[str, Any]) -> Path:
    name = data["hdf5"]
    if not isinstance(name, str) or not name or "\0" in name:
        raise InputError(f"{source}: hdf5 must be the name of a file, got {shown(name)}")
    file = check_inside(source.parent / name, source, "hdf5")
    if not file.is_file():
        raise InputError(f"{source}: hdf5 is {name}, which does not exist in {source.parent}")
    return file


def _geometry(source: Path, file: Path, data: Mapping[str, Any], frames: Frames) -> Geometry:
    if "geometry" in data:
        geometry = geometry_of(source, data["geometry"])
        if len(geometry) != frames.views and geometry.angles is not None:
            degrees = np.degrees(geometry.angles.numpy())
            advice = count_advice(frames.views, degrees, frames.references, frames.darks)
            raise InputError(f"{source}: {len(geometry)} views of the geometry for {frames.views} projections{advice}")
        return geometry
    given = [key for key in ("source_to_origin", "source_to_detector") if key in data]
    if len(given) == 1:
        raise InputError(f"{source}: {given[0]} is given without the other distance")
    degrees = angles_of(source, file, data["angles"], frames)
    rows, columns = length_of(source, file, data.get("pixel_mm", 1.0), "pixel_mm", pair=True)
    detector = FlatDetector(frames.projections.shape[1:], rows if rows == columns else (rows, columns))
    angles = torch.deg2rad(torch.from_numpy(degrees))
    lengths = {key: length_of(source, file, data[key], key)[0] for key in given}
    more = {"axis_offset": data["axis_offset"]} if "axis_offset" in data else {}
    try:
        if not lengths:
            return ParallelBeam(angles, detector, **more)
        return ConeBeam.circular(angles=angles, detector=detector, **lengths, **more)
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: {error}") from error
