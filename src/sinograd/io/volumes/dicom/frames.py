"""Files of several frames (Enhanced CT Image Storage, DICOM PS3.3, A.38.1): each frame is a slice with its own place.

Position, orientation, pixel size and rescale of a frame are in its item of PerFrameFunctionalGroupsSequence, or where
all frames share them, in SharedFunctionalGroupsSequence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.errors import InputError
from sinograd.io.volumes.dicom.file import (
    Frame,
    Slice,
    check_slice,
    decoding,
    metadata_of,
    read_file,
    rescale,
    rescale_type,
)

if TYPE_CHECKING:
    from pydicom import Dataset

_SHARED, _EACH = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_TAGS = (
    "SeriesInstanceUID",
    "SeriesDescription",
    "Manufacturer",
    "ManufacturerModelName",
    "PatientID",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    _SHARED,
    _EACH,
)
_PADDING = ("PixelPaddingValue", "PixelPaddingRangeLimit", "PixelRepresentation")
_MOST_FRAMES = 100_000
_MOST_PACKED = 1100

# Tags of a frame and the sequence of the functional groups that holds them.
_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
}


def is_multi_frame(path: Path) -> bool:
    """Whether a DICOM file holds frames with functional groups, which say where each is."""
    with decoding(path):
        header = read_file(path, tags=["NumberOfFrames", _EACH])
        return bool(header.get(_EACH)) and int(header.get("NumberOfFrames") or 1) >= 1


def slices_in(path: Path) -> list[Slice]:
    """The slice that a file is, or those that its frames are; raises as `read_series`."""
    if not is_multi_frame(path):
        return [Slice.of(path)]
    with decoding(path):
        header = read_file(path, tags=list(_TAGS))
        return _frames(header, path)


def fill_frames(
    values: np.ndarray,
    files: Sequence[Path],
    frames: Sequence[Frame],
    finish: Callable[[np.ndarray, np.ndarray, Any], None],
) -> None:
    """Fill `values` [n, Y, X] with the frames; `finish` gets each, its stored numbers and tags of padding."""
    from pydicom.pixels.utils import iter_pixels

    place = 0
    for path, members in groupby(zip(files, frames, strict=True), key=lambda pair: pair[0]):
        chosen = [frame for _, frame in members]
        with decoding(path):
            header = read_file(path, tags=list(_PADDING))
            images = iter_pixels(path, indices=[frame.number for frame in chosen])
            for frame, stored in zip(chosen, images, strict=True):
                image = values[place]
                if stored.shape != image.shape:
                    raise InputError(f"{path} changed since it was opened: {stored.shape} != {image.shape}")
                np.multiply(stored, np.float32(frame.slope), out=image, casting="unsafe")
                image += np.float32(frame.intercept)
                finish(image, stored, header)
                place += 1


def _frames(header: Dataset, path: Path) -> list[Slice]:
    count, groups = int(header.get("NumberOfFrames") or 1), header.get(_EACH)
    if groups is None or len(groups) != count or count > _MOST_FRAMES:
        found = 0 if groups is None else len(groups)
        raise InputError(f"{path} is damaged: {count} frames, {found} items of {_EACH}")
    if int(header.get("SamplesPerPixel") or 1) != 1:
        raise InputError(f"{path} is a colour image, expected grey values")
    size = (int(header.get("Rows") or 0), int(header.get("Columns") or 0))
    if min(size) < 1 or 2 * math.prod(size) * count > _MOST_PACKED * path.stat().st_size:
        bytes_there = path.stat().st_size
        raise InputError(f"{path} is damaged: {count} frames of {size[0]} x {size[1]} pixels in {bytes_there:,} bytes")
    shared = header.get(_SHARED)
    metadata = metadata_of(header)
    return [
        _frame(header, _flat(group, shared[0] if shared else None), number, path, metadata)
        for number, group in enumerate(groups)
    ]


def _flat(own: Dataset, shared: Dataset | None) -> Dataset:
    """The tags of one frame beside each other, as a file of one slice has them."""
    from pydicom import Dataset

    flat = Dataset()
    for tag, sequence in _GROUPS.items():
        for group in (own, shared):
            items = None if group is None else group.get(sequence)
            value = items[0].get(tag) if items else None
            if value is not None:
                setattr(flat, tag, value)
                break
    return flat


def _frame(header: Dataset, flat: Dataset, number: int, path: Path, metadata: dict[str, Any]) -> Slice:
    flat.Rows, flat.Columns = header.Rows, header.Columns
    where = f"{path}, frame {number + 1}"
    pixel, position, orientation = check_slice(flat, where)
    slope, intercept = rescale(flat, Path(where))
    thickness = flat.get("SliceThickness")
    more = {} if thickness is None else {"SliceThickness": float(thickness)}
    return Slice(
        path,
        str(header.get("SeriesInstanceUID", "")),
        (int(header.Rows), int(header.Columns)),
        pixel,
        position,
        orientation,
        {**metadata, **more},
        rescale_type(flat),
        Frame(number, slope, intercept),
    )
