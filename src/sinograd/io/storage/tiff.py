"""Grey images in TIFF files: many files or many pages, read lazily."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.config.regular_files import check_regular
from sinograd.data.projections import view_order
from sinograd.errors import InputError, MissingPackageError
from sinograd.io.storage.tiff_directories import MOST_PAGES, check_directories
from sinograd.io.storage.tiff_pixels import (
    ORIENTATIONS,
    check_codec,
    check_fits,
    check_segments,
    orientation_of,
    upright,
    upright_shape,
    white_of,
)

if TYPE_CHECKING:
    import tifffile

SUFFIXES = (".tif", ".tiff")
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class _Image:
    """Where one image is: its page, and the offset of its bytes where they lie there as they are (else -1).

    stored: its shape in the file. orientation, white: as `tiff_pixels` has them.
    """

    path: Path
    page: int
    stored: tuple[int, int]
    dtype: np.dtype[Any]
    offset: int
    orientation: int
    white: int | None

    @property
    def shape(self) -> tuple[int, int]:
        return upright_shape(self.stored, self.orientation)


class TiffImages:
    """The images of TIFF files, [images, rows, columns]; every access reads the requested images.

    files: in order; all their pages count. Sizes and types are read at once and must all be the same: else
    ValueError naming the file. MissingPackageError for codecs that need imagecodecs (extra io) where that is missing.
    Images are read as they are looked at: row 0 at the top, column 0 at the left (tag Orientation), 0 is black: where
    it is white (tag MinIsWhite), the largest number of as many bits minus each number is read.
    flip_rows, flip_columns: reverse the images then.
    It holds no open file, so it can be pickled and used in DataLoader workers.
    """

    def __init__(self, files: Sequence[Path], *, flip_rows: bool = False, flip_columns: bool = False) -> None:
        self._images = [image for path in files for image in _images(path)]
        if not self._images:
            raise InputError("no TIFF files were given")
        first = self._images[0]
        for image in self._images:
            if image.shape != first.shape or image.dtype.newbyteorder("=") != first.dtype.newbyteorder("="):
                raise InputError(
                    f"{image.path} holds {_words(image)} but {first.path.name} {_words(first)}: "
                    "all images of a stack must have one size and type"
                )
        self.shape = (len(self._images), *first.shape)
        self.dtype = first.dtype.newbyteorder("=")
        self._rows = slice(None, None, -1 if flip_rows else 1)
        self._columns = slice(None, None, -1 if flip_columns else 1)

    @property
    def files(self) -> list[Path]:
        """The files, in order, each once."""
        return list(dict.fromkeys(image.path for image in self._images))

    @property
    def tags(self) -> dict[str, str]:
        """What was applied of the tags Orientation and Photometric, in words, for the metadata of a scan."""
        turned = sorted({image.orientation for image in self._images} - {1})
        found = {}
        if turned:
            words = " and ".join(f"{number} ({ORIENTATIONS[number]})" for number in turned)
            found["tiff_orientation"] = f"{words}, turned upright"
        if any(image.white is not None for image in self._images):
            found["tiff_photometric"] = "MinIsWhite, inverted"
        return found

    @property
    def flips(self) -> tuple[bool, bool]:
        """Whether rows and columns are reversed as they are read."""
        return self._rows.step < 0, self._columns.step < 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, views: Any) -> np.ndarray:
        order = view_order(views, self.shape, self.dtype, str(self._images[0].path))
        block = np.empty((*order.shape, *self.shape[1:]), self.dtype)
        packed: dict[Path, list[tuple[int, ...]]] = {}
        for place in np.ndindex(order.shape):
            image = self._images[int(order[place])]
            if image.offset < 0:
                packed.setdefault(image.path, []).append(place)
            elif image.orientation == 1:
                _read_raw(block[place], image)
            else:
                stored = np.empty(image.stored, self.dtype)
                _read_raw(stored, image)
                block[place] = upright(stored, image.orientation)
        for path, places in packed.items():
            with opened_tiff(path) as file:
                for place in places:
                    image = self._images[int(order[place])]
                    block[place] = upright(_unpacked(image, file), image.orientation)
        for place in np.ndindex(order.shape):
            white = self._images[int(order[place])].white
            if white is not None:
                np.subtract(self.dtype.type(white), block[place], out=block[place])
        return block[..., self._rows, self._columns]

    def __repr__(self) -> str:
        return f"TiffImages({len(self.files)} files, shape={self.shape}, dtype={self.dtype})"


def is_tiff(head: bytes) -> bool:
    """Whether a file that starts with `head` is TIFF."""
    return head.startswith(MAGIC)


def natural_order(paths: Sequence[Path]) -> list[Path]:
    """Sorted by name, numbers in it by value: image_2 before image_10."""

    def key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
        parts = re.split(r"(\d+)", path.name.casefold())
        return [(1, int(part), "") if i % 2 else (0, 0, part) for i, part in enumerate(parts)], path.name

    return sorted(paths, key=key)


@contextmanager
def opened_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """A TIFF file for reading; ValueError when it is truncated or damaged.

    tifffile meets damaged bytes with whatever they lead to: TiffFileError, struct.error, IndexError, log lines.
    """
    import tifffile

    check_regular(path)
    log = logging.getLogger("tifffile")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        check_directories(path)
        with tifffile.TiffFile(path, _multifile=False) as file:
            yield file
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:
        if isinstance(error, ValueError | MissingPackageError) and str(error).startswith(str(path)):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(f"{path} is a truncated or damaged TIFF file: {reason}") from error
    finally:
        log.setLevel(level)


def constant_image(value: float, shape: Sequence[int]) -> np.ndarray:
    """One image [1, *shape] that has `value` everywhere, float32; it takes no memory."""
    return np.broadcast_to(np.float32(value), (1, *shape))


def _images(path: Path) -> list[_Image]:
    size = path.stat().st_size
    with opened_tiff(path) as file:
        pages = list(file.pages)
        first: Any = pages[0]
        count = _imagej_images(file)
        if count > MOST_PAGES:
            raise InputError(f"{path} declares {count:,} images, at most {MOST_PAGES:,} of a file are read")
        if count > len(pages):  # ImageJ writes one page and the pixels of all images behind each other
            image = _image(path, 0, first, size)
            step = math.prod(image.stored) * image.dtype.itemsize
            if image.offset < 0 or image.offset + count * step > size:
                raise InputError(f"{path} is truncated: its {count} images do not fit into {size:,} bytes")
            return [replace(image, offset=image.offset + i * step) for i in range(count)]
        return [_image(path, index, page, size) for index, page in enumerate(pages)]


def _imagej_images(file: tifffile.TiffFile) -> int:
    found = (file.imagej_metadata or {}).get("images", 0) if file.is_imagej else 0
    return int(found) if isinstance(found, int) and not isinstance(found, bool) else 0


def _image(path: Path, index: int, page: Any, size: int) -> _Image:
    where = f"{path}: " if index == 0 else f"{path}, page {index}: "
    dtype = page.dtype
    if dtype is None or dtype.kind not in "fiu" or len(page.shape) != 2:
        raise InputError(
            f"{where}expected a grey image of numbers, got {list(page.shape)} of "
            f"{page.samplesperpixel} x {page.bitspersample} bits"
        )
    check_fits(page, size, where)
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if not ends or max(ends) > size:
        raise InputError(f"{where}truncated: it has {size:,} bytes, expected {max(ends, default=0):,}")
    check_codec(page, where)
    plain = page.is_final and page.is_contiguous
    offset = page.dataoffsets[0] if plain else -1
    order = dtype.newbyteorder(page.parent.byteorder)
    shape = (int(page.shape[0]), int(page.shape[1]))
    orientation, white = orientation_of(page, where), white_of(page, where)
    return _Image(path, index, shape, order if plain else dtype, offset, orientation, white)


def _read_raw(pixels: np.ndarray, image: _Image) -> None:
    """Fill `pixels` [rows, columns], which is contiguous and of the machine's byte order."""
    with open(image.path, "rb", buffering=0) as raw:
        raw.seek(image.offset)
        read = raw.readinto(pixels.reshape(-1).view(np.uint8).data)
    if read != pixels.nbytes:
        raise InputError(f"{image.path} was cut since it was opened: {read:,} bytes of {pixels.nbytes:,}")
    if not image.dtype.isnative:
        pixels.byteswap(inplace=True)


def _unpacked(image: _Image, file: tifffile.TiffFile) -> np.ndarray:
    """The pixels of a page that is packed or in tiles, as they are stored."""
    page: Any = file.pages[image.page]
    check_segments(page, image.path)
    pixels = np.asarray(page.asarray())
    if pixels.shape != image.stored:
        raise InputError(f"{image.path} changed since it was opened: {list(pixels.shape)} != {list(image.stored)}")
    return pixels


def _words(image: _Image) -> str:
    return f"{image.shape[0]} x {image.shape[1]} {image.dtype.name}"
