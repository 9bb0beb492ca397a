"""sinograd's own scan file: HDF5, projections chunked by view. This page is its specification.

    /             attributes: format = "sinograd-scan", version = 1 or 2, kind = "line integrals",
                  "transmission" or "counts"; length_unit = "pixel" where the pixel size is not known: lengths of
                  /geometry and /grid are then in pixels
    /projections  float32, or for counts the integers of the detector, [views, rows, columns] or, for a 2-D
                  geometry, [views, columns]; one view is one chunk, not compressed; attribute axes = "views
                  rows columns" or "views columns"
    /geometry     text: YAML of `geometry.to_dict()` (mm; angles in degrees), as `geometry.save` writes it
    /grid         text, may be missing: YAML of the suggested grid's `to_dict()`
    /metadata     text: JSON object of what is known about the scan (vendor, sample, voltage ...)
    /provenance   text: JSON object of how the file was made (software, command, options, time)
    /calibration  group, may be missing, and each of these too; `help(sinograd.data.Calibration)` defines them:
        reference        as projections, [n, rows, columns] or [n, columns]
        reference_views  float64 [n], numbers of views
        dark             as reference
        shifts           float64 [views, 2], (row, column) in pixels
        exposure         float64 [views]
        photons          float32 [views, rows, columns], [views, 1, columns] or [views, columns]

Version 2 has a kind other than "line integrals" or a calibration; version 1 has neither. Line integrals are
attenuation x length and have no unit. Texts are UTF-8 scalar datasets. Index increases with +u (columns) and +v
(rows); the README has the conventions. Readers ignore what they do not know, and refuse a version greater than
theirs.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.config.shown import shown
from sinograd.config.yaml import dump_yaml
from sinograd.data.calibration import Calibration
from sinograd.data.projections import Projections, shape_of
from sinograd.data.provenance import make_provenance, to_json
from sinograd.data.scan import Scan
from sinograd.errors import InputError
from sinograd.geometry import Geometry, Grid
from sinograd.io.scans.format import Progress, ScanFormat, stored_block, stored_dtype, with_progress
from sinograd.io.storage.atomic import replacing
from sinograd.io.storage.hdf5.chunks import check_chunks, whole_array
from sinograd.io.storage.hdf5.layout import (
    ArrayLayout,
    attribute,
    check_version,
    is_hdf5,
    mapping,
    numbers,
    opened,
    write_hdf5,
)
from sinograd.io.storage.hdf5.lazy import Hdf5Projections
from sinograd.io.storage.hdf5.links import find
from sinograd.io.storage.hdf5.values import LONGEST, Values, attribute_text

FORMAT = "sinograd-scan"
VERSION = 2
_IMAGES = ("reference", "dark")
_ENTRIES = ("reference_views", "shifts", "exposure")
_RECORDS = ("geometry", "grid", "metadata", "provenance")


class SinogradHdf5(ScanFormat):
    """sinograd's own HDF5, described on the page of this module."""

    def matches(self, path: Path, head: bytes) -> bool:
        """Whether a file is a scan of sinograd's own, or HDF5 too damaged to tell."""
        if not is_hdf5(head):
            return False
        try:
            with opened(path) as file:
                return attribute_text(attribute(file, "format")) == FORMAT
        except ValueError:
            return True

    def read(self, path: Path, *, geometry: Geometry | None = None) -> Scan:
        """Read a sinograd scan file, in `geometry` where one is given; the projections stay in it.

        Errors: ValueError naming the file.
        """
        with opened(path) as file:
            format = attribute_text(attribute(file, "format"))
            if format != FORMAT:
                raise InputError(f"{path} is not a scan: its format is {shown(format)}, expected {FORMAT!r}")
            check_version(file, VERSION, path)
            projections = _lazy(file, "projections", path)
            kind = str(attribute(file, "kind", "line integrals"))
            length_unit = str(attribute(file, "length_unit", "mm")) if geometry is None else "mm"
            names = [name for name in _RECORDS if find(file, name, path) is not None]
            records = {name: mapping(file, name, path) for name in names}
            calibration = _read_calibration(file, path)
        if "geometry" not in records and geometry is None:
            raise InputError(f"{path} has no dataset /geometry")
        try:
            grid = Grid.from_dict(records["grid"]) if "grid" in records and geometry is None else None
            geometry = geometry if geometry is not None else Geometry.from_dict(records["geometry"])
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: {error}") from error
        metadata, provenance = records.get("metadata", {}), records.get("provenance", {})
        return Scan(projections, geometry, metadata, grid, kind, path, provenance, calibration, length_unit)

    def write(self, scan: Scan, path: Path, *, force: bool = False, progress: Progress | None = None) -> None:
        """Write a new file view by view; see the module for the layout."""
        self.check(scan)
        watched = with_progress(scan, progress)
        arrays = {"projections": _layout(watched.projections, " ".join(scan.axes), scan.kind)}
        if scan.calibration is not None:
            arrays |= _calibration_layout(scan.calibration, scan)
        provenance = dict(scan.provenance) or make_provenance("write_scan")
        texts = {
            "geometry": dump_yaml(scan.geometry.to_dict()),
            "metadata": to_json(scan.metadata),
            "provenance": to_json(provenance),
        }
        if scan.grid is not None:
            texts["grid"] = dump_yaml(scan.grid.to_dict())
        version = 1 if scan.kind == "line integrals" and scan.calibration is None else 2
        attributes = {"format": FORMAT, "version": version, "kind": scan.kind}
        if scan.length_unit != "mm":
            attributes["length_unit"] = scan.length_unit
        with replacing(path, force=force, needed=sum(array.nbytes for array in arrays.values())) as temporary:
            write_hdf5(temporary, attributes, arrays, texts)


def _lazy(file: Any, name: str, path: Path) -> Hdf5Projections:
    dataset = numbers(file, name, path)
    check_chunks(dataset, name, path)
    if dataset.shape and dataset.shape[0] > LONGEST:
        raise InputError(f"{path}: /{name} has {dataset.shape[0]:,} images, at most {LONGEST:,} are read")
    return Hdf5Projections(path.resolve(), name, tuple(dataset.shape), dataset.dtype)


def _read_calibration(file: Any, path: Path) -> Calibration | None:
    names = [name for name in (*_IMAGES, *_ENTRIES, "photons") if find(file, f"calibration/{name}", path) is not None]
    if not names:
        return None
    images = {name: _lazy(file, f"calibration/{name}", path) for name in names if name in _IMAGES}
    values = Values(file, path)
    entries = {name: values.table(f"calibration/{name}") for name in names if name in _ENTRIES}
    if "photons" in names:
        entries["photons"] = whole_array(numbers(file, "calibration/photons", path), "calibration/photons", path)
    try:
        return Calibration(**images, **entries)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: /calibration: {error}") from error


def _layout(projections: Projections, axes: str, kind: str) -> ArrayLayout:
    """Counts keep the detector's integers of up to 16 bits, which float32 also holds; the rest is float32."""
    dtype, read = stored_dtype(projections, largest=2 if kind == "counts" else 0), partial(stored_block, projections)
    return ArrayLayout(shape_of(projections), dtype, read, chunked=True, attributes={"axes": axes})


def _calibration_layout(calibration: Calibration, scan: Scan) -> dict[str, ArrayLayout]:
    layouts: dict[str, ArrayLayout] = {}
    for name in _IMAGES:
        images = getattr(calibration, name)
        if images is not None:
            layouts[f"calibration/{name}"] = _layout(images, " ".join(("images", *scan.axes[1:])), scan.kind)
    for name in _ENTRIES:
        entries = getattr(calibration, name)
        if entries is not None:
            layouts[f"calibration/{name}"] = ArrayLayout(entries.shape, np.dtype("<f8"), partial(stored_block, entries))
    photons = calibration.photons
    if photons is not None:
        layouts["calibration/photons"] = ArrayLayout(photons.shape, np.dtype("<f4"), partial(stored_block, photons))
    return layouts
