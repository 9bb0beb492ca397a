"""What TIFF tags say about pixels: how they are packed, which way the image lies, whether 0 is white."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.config.shown import shown
from sinograd.errors import InputError, MissingPackageError
from sinograd.io.storage.inflation import check_inflation

# Bytes of pixels that a byte of a file can hold, by the number of the compression: none, LZW (codes of up to 12 bits
# in a table of 4096), PackBits (runs of 128 in two bytes), Deflate. Others have no bound near these.
_RATIOS = {1: 1, 5: 1500, 32773: 64, 8: 1100, 32946: 1100}
_OTHER_RATIO = 200_000
_UNBOUNDED = {8: "deflate", 32946: "deflate", 34925: "lzma"}  # unpacked to their end where imagecodecs is missing

# Where row 0 and column 0 of the stored image are, by the tag Orientation.
ORIENTATIONS = {
    1: "top, left",
    2: "top, right",
    3: "bottom, right",
    4: "bottom, left",
    5: "left, top",
    6: "right, top",
    7: "right, bottom",
    8: "left, bottom",
}
_MIN_IS_WHITE = 0


def largest_ratio(compression: int) -> int:
    """Bytes of pixels for a byte of the file that a codec reaches at most."""
    return _RATIOS.get(compression, _OTHER_RATIO)


def check_codec(page: Any, where: str) -> None:
    """Whether the pixels of a page can be unpacked.

    Raises MissingPackageError, which names the extra, where that needs imagecodecs and it is not installed; InputError
    for a codec that nothing here knows.
    """
    import tifffile

    needs = [(tifffile.TIFF.DECOMPRESSORS, page.compression, "compression")]
    if page.predictor != 1:
        needs.append((tifffile.TIFF.UNPREDICTORS, page.predictor, "predictor"))
    for codecs, number, kind in needs:
        try:
            codecs[number]
        except (KeyError, ImportError, AttributeError) as error:
            name = f"{kind} {getattr(number, 'name', number)}"
            if importlib.util.find_spec("imagecodecs") is None:
                raise MissingPackageError(
                    f"{where}{name} needs imagecodecs, which is not installed (pip install 'sinograd[io]')"
                ) from error
            raise InputError(f"{where}{name} is not known here: {error}") from error


def orientation_of(page: Any, where: str) -> int:
    """The tag Orientation, 1 where there is none; InputError for one that does not exist."""
    value = page.tags.valueof(274, default=1)
    if value not in ORIENTATIONS:
        raise InputError(f"{where}Orientation is {shown(value)}, expected a number from 1 to 8")
    return int(value)


def white_of(page: Any, where: str) -> int | None:
    """The number that stands for 0 in images in which 0 is white (MinIsWhite); None in others.

    InputError where there is none, as in real numbers.
    """
    if page.photometric != _MIN_IS_WHITE:
        return None
    if page.dtype.kind != "u":
        raise InputError(
            f"{where}Photometric is MinIsWhite (0 is white) in an image of {page.dtype.name}: which number stands for "
            "0 is not defined; write it as MinIsBlack"
        )
    return (1 << int(page.bitspersample)) - 1


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """An image [..., rows, columns] as it is looked at, row 0 at the top and column 0 at the left; a view of it.

    orientation: TIFF 6.0, section 8, "Orientation".
    """
    if orientation > 4:
        image = image.swapaxes(-1, -2)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return image[..., ::rows, ::columns]


def upright_shape(shape: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Rows and columns of an image as it is looked at."""
    return shape if orientation <= 4 else (shape[1], shape[0])


def check_fits(page: Any, size: int, where: str) -> None:
    """InputError unless the pixels of a page fit into a file of `size` bytes."""
    if page.nbytes > largest_ratio(int(page.compression)) * size:
        raise InputError(f"{where}truncated: an image of {page.nbytes:,} bytes does not fit into {size:,} bytes")


def check_segments(page: Any, path: Path) -> None:
    """FormatError for a strip or tile that inflates to more than the page; imagecodecs itself stops at its end."""
    method = _UNBOUNDED.get(int(page.compression))
    if method is None or importlib.util.find_spec("imagecodecs") is not None:
        return
    with open(path, "rb") as file:
        for place, length in zip(page.dataoffsets, page.databytecounts, strict=False):
            file.seek(place)
            check_inflation(file.read(length), method, page.nbytes, f"{path}, page {page.index}")
