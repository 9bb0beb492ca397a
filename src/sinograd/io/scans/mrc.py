"""MRC tilt series (`.mrc`, `.st`, `.ali`), as electron and soft X-ray microscopes write them, with their angles beside.

The header (1024 bytes) is that of MRC2014 (Cheng et al., J. Struct. Biol. 192, 146, 2015), as mrcfile and IMOD's
description of the format have it:

    NX, NY, NZ      columns, rows and images, int32 at bytes 0, 4, 8
    MODE            type of the pixels, int32 at 12: 0 int8, 1 int16, 2 float32, 6 uint16, 12 float16. Mode 0 is
                    unsigned in files of IMOD (its stamp at 152) that do not say otherwise (bit 0 at 156)
    MX, CELLA       columns (int32 at 28) and width of the cell in Angstrom (float32 at 40): pixel = CELLA / MX; where
                    they are 0, lengths are in pixels, with a ScanWarning
    NSYMBT          bytes of an extended header, int32 at 92, before the images
    MAP, MACHST     "MAP " at 208; 0x44 first at 212 is little-endian, 0x11 big-endian

NAME.tlt (aligned) or NAME.rawtlt beside it holds the tilt of each image in degrees, one a line. Row 0 is the lowest
(IMOD), and the tilt axis is taken to run along the rows' direction v, as in aligned series. A tilt turns the sample
counter-clockwise seen from +v; so gantry angle = -tilt, and `reverse=True` for the other sense, which the format leaves
open. Integers are counts, other numbers line integrals, unless `kind` says otherwise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sinograd.config.regular_files import read_text
from sinograd.config.shown import shown
from sinograd.data.lengths import PIXEL
from sinograd.data.scan import Scan
from sinograd.errors import FormatError, InputError
from sinograd.geometry import FlatDetector, Geometry, ParallelBeam
from sinograd.io.scans.format import ScanFormat
from sinograd.io.storage.decimals import as_number
from sinograd.io.storage.mrc import MM, is_mrc, read_header
from sinograd.io.storage.raw_images import RawImages


class Mrc(ScanFormat):
    """MRC tilt series with a file of angles."""

    def matches(self, path: Path, head: bytes) -> bool:
        """Whether a file has the mark of MRC; whether it is whole shows when it is read."""
        return is_mrc(head)

    def read(
        self, path: Path, *, geometry: Geometry | None = None, kind: str | None = None, reverse: bool = False
    ) -> Scan:
        """Read a tilt series; the images stay in the file.

        kind: what the numbers are: "counts", "transmission" or "line integrals". reverse: positive tilts turn the
        sample clockwise seen from +v. Raises InputError naming the file for a truncated or damaged one, and where the
        angles are missing or not as many as the images.
        """
        header = read_header(path)
        length_unit = "mm"
        if geometry is None:
            length_unit = "mm" if header.pixel > 0 else PIXEL
            tilts = np.radians(_tilts(path, header.images))
            geometry = ParallelBeam(
                tilts if reverse else -tilts, FlatDetector((header.rows, header.columns), header.pixel * MM or 1.0)
            )
        projections = RawImages(path, header.extents, (header.rows, header.columns), header.dtype)
        usual = "counts" if header.dtype.kind in "iu" else "line integrals"
        metadata = {"format": "MRC", "pixel_size_nm": header.pixel / 10} if header.pixel > 0 else {"format": "MRC"}
        return Scan(projections, geometry, metadata, kind=kind or usual, file=path, length_unit=length_unit)


def _tilts(path: Path, images: int) -> np.ndarray:
    """Degrees of each image, from the file beside the series."""
    files = [path.with_suffix(".tlt"), path.with_suffix(".rawtlt")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise InputError(
            f"{path}: there are no angles, neither in {files[0].name} nor in {files[1].name} beside it: write one a "
            "line in degrees, or give geometry=..."
        )
    try:
        words = read_text(file).split()
    except UnicodeDecodeError as error:
        raise FormatError(f"{file} must hold one angle in degrees a line: {error}") from error
    tilts = np.array([number for word in words if (number := as_number(word)) is not None])
    if len(tilts) < len(words):
        bad = next(word for word in words if as_number(word) is None)
        raise FormatError(f"{file} must hold one angle in degrees a line, got {shown(bad)}")
    if len(tilts) != images or not np.isfinite(tilts).all():
        raise FormatError(
            f"{file} must hold {images} finite angles, one for each image of {path.name}, got {len(tilts)}"
        )
    return tilts
