"""A .txrm or .xrm file as a Scan."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

from sinograd.data.scan import Scan
from sinograd.errors import InputError
from sinograd.geometry import Geometry
from sinograd.io.scans.format import ScanFormat
from sinograd.io.scans.joined_images import JoinedImages
from sinograd.io.scans.txrm.calibration import read_calibration
from sinograd.io.scans.txrm.geometry import read_center_shift, read_geometry
from sinograd.io.scans.txrm.images import read_images
from sinograd.io.scans.txrm.metadata import read_metadata
from sinograd.io.scans.txrm.series import image_files, read_series
from sinograd.io.scans.txrm.streams import Streams
from sinograd.io.storage.ole import is_compound
from sinograd.io.storage.raw_images import RawImages


class Txrm(ScanFormat):
    """Zeiss / Xradia .txrm and .xrm."""

    def matches(self, path: Path, head: bytes) -> bool:
        """Whether a file is an OLE2 compound file; a folder, whether it holds .xrm images and no .txrm or TIFF."""
        if path.is_dir():
            names = [found.suffix.lower() for found in path.iterdir()]
            return ".xrm" in names and not any(name in (".txrm", ".tif", ".tiff") for name in names)
        return is_compound(head)

    def read(
        self,
        path: Path,
        *,
        geometry: Geometry | None = None,
        reference: str | os.PathLike[str] | None = None,
        dark: str | os.PathLike[str] | None = None,
        center_shift: float | None = None,
        reverse: bool = False,
    ) -> Scan:
        """Read a .txrm or .xrm scan, or a folder of single .xrm images as one scan; the images stay in their files.

        Images of a folder are projections in the order of their names, each at the angle in its file; those with flat,
        ref, white ... or dark in their names are the references and dark images (as in folders of TIFF).

        Args:
            geometry: taken as it is, instead of the file's; the file's centre shift is then not applied.
            reference, dark: .xrm files whose images are the references or dark images.
            center_shift: pixels, instead of the file's.
            reverse: the sample stage turned clockwise seen from +z.

        Raises ValueError naming the file when it is truncated or damaged, has images missing or of other sizes,
        an unknown DataType, angles that do not match the images, or placeholders where a geometry is needed.
        Warns (ScanWarning) of an aborted scan and of references and shifts that cannot be used.
        """
        if center_shift is not None and not math.isfinite(center_shift):
            raise InputError(f"center_shift must be a finite number of pixels, got {center_shift!r}")
        if path.suffix.lower() == ".txm":
            raise InputError(f"{path} is a reconstructed volume (.txm): read it with sinograd.read_volume")
        streams, images, beside = _opened(path)
        shape = (len(images), images.shape[1], images.shape[2])
        metadata = read_metadata(streams, shape[0])
        named = {"reference": _paths(reference) or beside["reference"], "dark": _paths(dark) or beside["dark"]}
        calibration = read_calibration(streams, shape, named["reference"], named["dark"])
        if geometry is None:
            if center_shift is None:
                center_shift = read_center_shift(streams, shape[2])
            geometry = read_geometry(streams, shape, reverse=reverse, center_shift=center_shift)
            if center_shift is not None:
                metadata["center_shift_pixels"] = center_shift
        kind = _kind(streams, images.dtype.kind)
        if kind == "transmission" and calibration is not None:
            calibration = replace(calibration, reference=None, dark=None, exposure=None)
        return Scan(images, geometry, metadata, kind=kind, file=path, calibration=calibration)


def _kind(streams: Streams, numbers: str) -> str:
    """Counts, unless the file says that its images were divided by the reference."""
    if not streams.integer("ImageInfo/OriginalDataRefCorrected"):
        return "counts"
    if numbers == "f":
        streams.warn("OriginalDataRefCorrected is set: the images are read as transmission, references are not applied")
        return "transmission"
    streams.warn("OriginalDataRefCorrected is set, but the images are integers of unknown scale: read as counts")
    return "counts"


def _opened(path: Path) -> tuple[Streams, RawImages | JoinedImages, dict[str, list[Path]]]:
    """The streams and images of a file or a folder, and the folder's references and dark images."""
    if not path.is_dir():
        streams = Streams(path)
        return streams, read_images(streams), {"reference": [], "dark": []}
    groups = image_files(path)
    if not groups["projections"]:
        raise InputError(
            f"{path} holds no projections, only {len(groups['reference'])} references and {len(groups['dark'])} dark "
            "images by their names"
        )
    return *read_series(groups["projections"]), groups


def _paths(value: str | os.PathLike[str] | None) -> list[Path]:
    return [] if value is None else [Path(value)]
