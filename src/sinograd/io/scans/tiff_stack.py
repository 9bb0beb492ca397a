"""TIFF stacks: a folder of images or one file of many pages, with a YAML file (`help(sinograd.io.scans.sidecar)`).

One image is one view, [rows, columns], in the order that `sinograd.io.scans.file_order` finds in the names: by their
index, else by the angle in them. An image named unlike the rest is left out (a ScanWarning names it) where the rest
are as many as the views.

Without entries for them in the YAML file, references and dark images are known by name: an image is a reference when
flat, white, gain, ... is one of the words of its name or the name of a folder inside, and dark with dark, df, ...
("flat_0001.tif", "darks/001.tif"; `file_groups` has the words; s at the end does not matter, numbers and other signs
separate words). Projections lie in the folder itself, or in the only other one inside. A 2-D scan is one image,
[views, columns], or images of one row.

Pixels are taken as they are: row 0 is the lowest (-v), unless the YAML file says flip_rows. Row 0 is the uppermost one
of what viewers show: images with the tag Orientation are turned so, those with MinIsWhite (0 is white) are inverted,
and the metadata say it. LZW, PackBits and other codecs but Deflate need imagecodecs (extra io).
"""

from __future__ import annotations

import math
import re
from itertools import groupby
from pathlib import Path

import numpy as np

from sinograd.data.projections import Projections, shape_of
from sinograd.data.scan import Scan
from sinograd.errors import InputError
from sinograd.geometry import Geometry
from sinograd.io.scans.file_groups import group_of, warn_of_several_names
from sinograd.io.scans.file_order import missing_numbers, ordered_files, without_strays
from sinograd.io.scans.format import Progress, ScanFormat, as_array, stored_dtype
from sinograd.io.scans.sidecar import Sidecar, find_sidecar, sidecar_of, sidecar_text
from sinograd.io.storage.atomic import replacing_folder
from sinograd.io.storage.tiff import SUFFIXES, TiffImages, is_tiff, natural_order, opened_tiff

_PREFIXES = {"projections": "projection", "reference": "flat", "dark": "dark"}


class TiffStack(ScanFormat):
    """A folder of TIFF images or one file of many pages, with a YAML file."""

    def matches(self, path: Path, head: bytes) -> bool:
        """Whether a file is TIFF; a folder, whether it holds TIFF files or says that it is a scan."""
        if path.is_dir():
            beside = len(_folders(path)) > 1 and _projection_folder(path) != path
            return bool(_tiffs(path)) or beside or find_sidecar(path) is not None
        return is_tiff(head)

    def read(self, path: Path, *, geometry: Geometry | None = None, kind: str | None = None) -> Scan:
        """Read a TIFF stack; the images stay in their files.

        kind: what the numbers are, instead of what the YAML file says.
        Raises ValueError naming the file: no geometry (it says how to write one), no images, images of different
        sizes or types, truncated or damaged ones, or a YAML file with unknown keys or wrong values.
        """
        sidecar = sidecar_of(path, geometry, lambda: _shape(path))
        groups = _groups(path, sidecar)
        if not groups["projections"]:
            raise InputError(
                f"{path} holds no projections, only {len(groups['reference'])} references and "
                f"{len(groups['dark'])} dark images by their names: name the projections in {sidecar.path}, as "
                "`projections: FOLDER/*.tif`"
            )
        stacks = {name: _stack(files, sidecar) for name, files in groups.items() if files}
        if path.is_dir() and sidecar.files("projections") is None:
            stacks["projections"] = _of_views(stacks["projections"], sidecar)
        arrays = {name: _arrays(stack, sidecar) for name, stack in stacks.items()}
        return sidecar.scan(
            **arrays,
            file=path,
            images=lambda files: _arrays(_stack(files, sidecar), sidecar),
            kind=kind,
            metadata=stacks["projections"].tags,
        )

    def write(self, scan: Scan, path: Path, *, force: bool = False, progress: Progress | None = None) -> None:
        """Write a new folder: projection_00000.tif ..., flat_00000.tif ..., dark_00000.tif ..., scan.yaml.

        Integers keep their type, the rest becomes float32. One image is in memory at a time. An existing folder is
        replaced only with `force`, and only when such a stack is all it holds.
        """
        self.check(scan)
        arrays: dict[str, Projections] = {"projections": scan.projections}
        for name in ("reference", "dark"):
            images = getattr(scan.calibration, name, None)
            if images is not None:
                arrays[name] = images
        needed = sum(4 * math.prod(shape_of(images)) for images in arrays.values())
        with replacing_folder(path, ours=_is_written_stack, force=force, needed=needed) as folder:
            files = {name: f"{_PREFIXES[name]}_*.tif" for name in arrays}
            (folder / "scan.yaml").write_text(sidecar_text(scan, files), encoding="utf-8")
            for name, images in arrays.items():
                _write_images(images, folder, _PREFIXES[name], progress if name == "projections" else None)


def _is_written_stack(folder: Path) -> bool:
    """Whether a folder holds what `TiffStack` writes and nothing else."""
    names = [found.name for found in folder.iterdir()]
    ours = re.compile(r"(projection|flat|dark)_\d+\.tif|scan\.yaml")
    return "scan.yaml" in names and all(ours.fullmatch(name) for name in names)


def _write_images(images: Projections, folder: Path, prefix: str, progress: Progress | None) -> None:
    import tifffile

    shape, dtype = shape_of(images), stored_dtype(images).newbyteorder("=")
    count = 1 if len(shape) == 2 else shape[0]  # a 2-D scan is one image
    for index in range(count):
        image = as_array(images[index] if len(shape) == 3 else images[:]).astype(dtype, copy=False)
        name = folder / f"{prefix}_{index:05d}.tif"
        tifffile.imwrite(name, np.ascontiguousarray(image), photometric="minisblack", metadata=None)
        if progress is not None:
            progress(shape[0] if count == 1 else index + 1, shape[0])


def _groups(path: Path, sidecar: Sidecar) -> dict[str, list[Path]]:
    """The files of projections, references and dark images, by name or as the YAML file says."""
    if not path.is_dir():
        return {"projections": [path]}
    named = sidecar.files("projections")
    if isinstance(named, int | float):
        raise InputError(f"{sidecar.path}: projections must name files, got {named}")
    groups: dict[str, list[Path]] = {"projections": named or [], "reference": [], "dark": []}
    own = _projection_folder(path)
    inside = [found for folder in dict.fromkeys([*_folders(path), own]) for found in _tiffs(folder)]
    taken = {found for key in ("projections", "reference", "dark") for found in _list(sidecar.files(key))}
    for found in inside:
        group = group_of(found, path)
        if found in taken or (group == "projections" and (named or found.parent != own)):
            continue
        if group == "projections" or sidecar.files(group) is None:
            groups[group].append(found)
    if not named:
        files = groups["projections"]
        groups["projections"] = ordered_files(files, sidecar.degrees, warn=len(files) == len(sidecar.geometry))
        if len(files) == len(sidecar.geometry):
            warn_of_several_names(groups["projections"])
    for group in ("reference", "dark"):
        folders = groupby(groups[group], key=lambda file: file.parent)
        groups[group] = [file for _, files in folders for file in ordered_files(list(files), warn=False)]
    return groups


def _shape(path: Path) -> tuple[int, int, int] | None:
    """Views, rows and columns of a folder without a YAML file; None where the images do not show them."""
    folder = _projection_folder(path) if path.is_dir() else path
    files = [file for file in _tiffs(folder) if group_of(file, path) == "projections"] if path.is_dir() else [path]
    try:
        with opened_tiff(files[0]) as file:
            shape = file.pages[0].shape
            warn_of_several_names(files)
            views = len(files) if path.is_dir() else len(file.pages)
    except (IndexError, OSError, ValueError):
        return None
    return (views, shape[0], shape[1]) if len(shape) == 2 else None


def _of_views(images: TiffImages, sidecar: Sidecar) -> TiffImages:
    """The projections without stray images; InputError where files and views differ in number and it shows which."""
    views, files = len(sidecar.geometry), images.files
    if len(files) == views or len(images) != len(files) or len(files) == 1:  # one of many pages, or a sinogram
        return images
    advice = f"move it away, or name the projections in {sidecar.path}"
    rest = without_strays(files, views, advice)
    if len(rest) < len(files):
        return _stack(ordered_files(rest, sidecar.degrees), sidecar)
    missing = missing_numbers(files)
    if missing:
        some = ", ".join(str(number) for number in missing[:8]) + ", ..." * (len(missing) > 8)
        raise InputError(
            f"{files[0].parent}: {len(files)} projections, {files[0].name} ... {files[-1].name}, do not match the "
            f"geometry's {views} views: {len(missing)} numbers between them are missing: {some}"
        )
    return images


def _list(files: list[Path] | float | None) -> list[Path]:
    return files if isinstance(files, list) else []


def _folders(path: Path) -> list[Path]:
    """The folder itself, and those inside that are named after references or dark images."""
    inside = [found for found in path.iterdir() if found.is_dir() and group_of(found / "x", path) != "projections"]
    return [path, *natural_order(inside)]


def _projection_folder(path: Path) -> Path:
    """The folder itself where it holds projections; else the only one inside that does, if there is one."""
    if any(group_of(file, path) == "projections" for file in _tiffs(path)):
        return path
    others = [found for found in path.iterdir() if found.is_dir() and group_of(found / "x", path) == "projections"]
    holding = [found for found in others if not found.name.startswith(".") and _tiffs(found)]
    return holding[0] if len(holding) == 1 else path


def _tiffs(folder: Path) -> list[Path]:
    found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    return natural_order([path for path in found if not path.name.startswith(".")])


def _stack(files: list[Path], sidecar: Sidecar) -> TiffImages:
    return TiffImages(files, flip_rows=sidecar.flag("flip_rows"), flip_columns=sidecar.flag("flip_columns"))


def _arrays(images: TiffImages, sidecar: Sidecar) -> Projections:
    if sidecar.geometry.ndim == 3:
        return images
    if images.shape[1] == 1:  # a row for each view
        return images[:][:, 0]
    return images[0] if len(images) == 1 else images
