"""Where the images of an XRM file are, how many, and of which type."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from sinograd.io.scans.txrm.streams import Streams
from sinograd.io.storage.raw_images import RawImages

DATA_TYPES = {2: "<i1", 3: "<u1", 4: "<i2", 5: "<u2", 6: "<i4", 10: "<f4", 11: "<f8"}
_LARGEST = 1 << 20  # rows or columns


def image_shape(streams: Streams) -> tuple[int, int]:
    """(rows, columns); ValueError when the file holds no images or impossible numbers."""
    names = ("ImageInfo/ImageHeight", "ImageInfo/ImageWidth")
    rows, columns = (streams.integer(name) for name in names)
    if rows is None or columns is None:
        missing = [name for name in names if name not in streams.file]
        raise streams.error(f"it is no XRM file: it has no {' and no '.join(missing) or 'image size'}")
    if not (0 < rows <= _LARGEST and 0 < columns <= _LARGEST):
        raise streams.error(f"images of {rows} x {columns} pixels (rows x columns) cannot be")
    return rows, columns


def data_type(streams: Streams, name: str = "ImageInfo/DataType") -> np.dtype:
    """The type of the images; ValueError for an unknown code."""
    code = streams.integer(name)
    if code not in DATA_TYPES:
        known = ", ".join(f"{code} {np.dtype(kind).name}" for code, kind in DATA_TYPES.items())
        raise streams.error(f"{name} is {'missing' if code is None else f'{code}, unknown'}; known are {known}")
    return np.dtype(DATA_TYPES[code])


def read_images(streams: Streams) -> RawImages:
    """The images of a scan or volume that are whole, with a ScanWarning when they are fewer than planned."""
    shape, dtype = image_shape(streams), data_type(streams)
    planned, taken = streams.integer("ImageInfo/NoOfImages"), streams.integer("ImageInfo/ImagesTaken")
    found = numbered(streams, r"imagedata\d+/image(\d+)")
    if not found:
        raise streams.error("it holds no images (ImageData1/Image1 ...)")
    limits = [n for n in (planned, taken) if n is not None and n > 0]
    count = _whole(streams, found, shape, dtype, min([*limits, max(found)]))
    if planned is not None and count < planned:
        said = "" if taken is None else f" (ImagesTaken is {taken})"
        streams.warn(f"{count} of {planned} images are there{said}: the scan was aborted, those are taken")
    elif taken is not None and count < taken:
        streams.warn(f"{count} of {taken} images are there, those are taken")
    return located(streams, [found[i + 1] for i in range(count)], shape, dtype)


def numbered(streams: Streams, pattern: str) -> dict[int, str]:
    """The streams whose whole name matches, by the number in it."""
    matches = (re.fullmatch(pattern, name) for name in streams.file.names)
    return {int(match[1]): match[0] for match in matches if match and len(match[1]) < 10}


def located(streams: Streams, names: list[str], shape: tuple[int, int], dtype: np.dtype) -> RawImages:
    """The images in these streams, whose sizes were checked, in this order."""
    extents = [streams.file.extents(name) or () for name in names]
    total = sum(length for parts in extents for _, length in parts)
    if total > streams.file.length:
        raise streams.error(f"{len(names)} images have {total:,} bytes, the file {streams.file.length:,}")
    return RawImages(streams.path, extents, shape, dtype)


def _whole(streams: Streams, found: Mapping[int, str], shape: tuple[int, int], dtype: np.dtype, count: int) -> int:
    """How many of the first `count` images are whole; ValueError when the others are not the last ones."""
    expected = shape[0] * shape[1] * dtype.itemsize
    whole = {i for i, name in found.items() if i <= count and streams.file.size(name) == expected}
    good = 0
    while good + 1 in whole:
        good += 1
    if good == 0 or len(whole) > good:
        name = found.get(good + 1)
        bad = f"image {good + 1} of {count} is missing"
        if name is not None:
            bad = f"image {good + 1} of {count} has {streams.file.size(name):,} bytes"
        size = f"{shape[0]} x {shape[1]} {dtype.name} need {expected:,}"
        raise streams.error(f"{count - len(whole)} of {count} images are missing or of another size: {bad}, {size}")
    return good
