"""What the header of one file, a view, tells, and where its pixels are; headers of many files at a time."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.config.regular_files import check_regular
from sinograd.config.shown import some
from sinograd.errors import FormatError, OutOfMemory
from sinograd.io.scans.dicom_ct_pd.tags import PUBLIC, REQUIRED, TAGS, has, text_of, values_of
from sinograd.io.volumes.dicom.bounds import check_bounds

if TYPE_CHECKING:
    from pydicom import Dataset

_PIXELS = 0x7FE00010
_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")  # Implicit and Explicit VR Little Endian
_SHIFTS = ("SourceAngularPositionShift", "SourceAxialPositionShift", "SourceRadialDistanceShift")
_READERS = 8


@dataclass(frozen=True)
class ViewHeader:
    """One file. Angles in radians, lengths in mm, as the file has them.

    Attributes:
        number: InstanceNumber; None where it is missing.
        same: what all views of a scan must have in common, by name.
        focus: angle, z and radius of the detector's focal centre.
        shift: angle, z and radius by which the focal spot is off that.
        center: column and row of the detector's central element, counted from 1.
        photons: of each column, in the file's order; None where they are missing.
        transposed: whether the image holds [columns, rows].
        offset: of plain pixels in the file; None for those that pydicom must decode.
    """

    path: Path
    number: int | None
    same: dict[str, Any]
    focus: tuple[float, float, float]
    shift: tuple[float, float, float]
    center: tuple[float, float]
    photons: np.ndarray | None
    transposed: bool
    signed: bool
    slope: float
    intercept: float
    offset: int | None
    current: float | None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the detector."""
        return self.same["NumberofDetectorRows"], self.same["NumberofDetectorColumns"]


def read_headers(paths: Sequence[Path]) -> tuple[list[ViewHeader], Dataset]:
    """The headers of all files, and the tags of the first; FormatError naming the file that is damaged."""
    with warnings.catch_warnings(), ThreadPoolExecutor(min(_READERS, 2 * (os.cpu_count() or 1))) as pool:
        warnings.simplefilter("ignore")  # of odd values in unused tags; filters are those of all threads
        first, tags = _read(paths[0])
        return [first, *(header for header, _ in pool.map(_read, paths[1:], chunksize=1))], tags


def _read(path: Path) -> tuple[ViewHeader, Dataset]:
    check_regular(path)
    try:
        check_bounds(path)
        with open(path, "rb") as file:
            return _header(path, file)
    except (FormatError, FileNotFoundError, PermissionError, OutOfMemory):
        raise
    except Exception as error:  # what damaged files lead pydicom to
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise FormatError(f"{path} is no DICOM file, or is damaged: {reason}") from error


def _header(path: Path, file: Any) -> tuple[ViewHeader, Dataset]:
    import pydicom

    wanted = [*PUBLIC, *(tag.number for tag in TAGS.values())]
    tags = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=wanted)
    missing = [name for name in REQUIRED if not has(tags, name)]
    if missing:
        names = [f"{name} {TAGS[name].text}" for name in missing]
        raise FormatError(f"{path} lacks {some(names, 12)}, which DICOM-CT-PD files of projections have")
    numbers = {name: values_of(tags, name, path) for name in (*REQUIRED, *_SHIFTS) if name != "DetectorShape"}
    rows, columns = (
        _count(path, name, numbers[name][0]) for name in ("NumberofDetectorRows", "NumberofDetectorColumns")
    )
    transposed = _is_transposed(tags, (rows, columns), path)
    photons = values_of(tags, "PhotonStatistics", path)
    if len(photons) and (len(photons) != columns or photons.min() <= 0):
        raise FormatError(
            f"{path}: PhotonStatistics {TAGS['PhotonStatistics'].text} must be {columns} positive numbers, one for "
            f"each detector column, got {len(photons)}, the smallest {photons.min():g}"
        )
    slope, intercept = _rescale(tags, path)
    same = {
        "NumberofDetectorRows": rows,
        "NumberofDetectorColumns": columns,
        "DetectorShape": text_of(tags, "DetectorShape"),
        **{name: float(numbers[name][0]) for name in (*REQUIRED[:2], "ConstantRadialDistance")},
        **{name: text_of(tags, name) for name in ("TypeofProjectionData", "TypeofProjectionGeometry", "LogFlag")},
        "SeriesInstanceUID": str(tags.get("SeriesInstanceUID", "")),
        "SpectrumIndex": float(np.append(values_of(tags, "SpectrumIndex", path), 1.0)[0]),
    }
    header = ViewHeader(
        path=path,
        number=_whole(tags.get("InstanceNumber")),
        same=same,
        focus=tuple(float(numbers[name][0]) for name in REQUIRED[5:8]),  # pyright: ignore[reportArgumentType]
        shift=tuple(float(np.append(numbers[name], 0.0)[0]) for name in _SHIFTS),  # pyright: ignore[reportArgumentType]
        center=tuple(numbers["DetectorCentralElement"].tolist()),  # pyright: ignore[reportArgumentType]
        photons=photons.astype(np.float32) if len(photons) else None,
        transposed=transposed,
        signed=bool(tags.get("PixelRepresentation")),
        slope=slope,
        intercept=intercept,
        offset=_pixel_offset(tags, path, file),
        current=_number(tags.get("XRayTubeCurrent")),
    )
    return header, tags


def _count(path: Path, name: str, value: float) -> int:
    if value != int(value) or not 0 < value < 1 << 16:
        raise FormatError(f"{path}: {name} {TAGS[name].text} must be a count of elements, got {value:g}")
    return int(value)


def _is_transposed(tags: Dataset, shape: tuple[int, int], path: Path) -> bool:
    """Whether Rows and Columns are the detector's columns and rows, as in the published scans (also if both agree)."""
    stored = int(tags.get("Rows") or 0), int(tags.get("Columns") or 0)
    if stored not in (shape, shape[::-1]):
        raise FormatError(
            f"{path}: the image has {stored[0]} x {stored[1]} pixels, the detector {shape[0]} rows and {shape[1]} "
            f"columns ({TAGS['NumberofDetectorRows'].text}, {TAGS['NumberofDetectorColumns'].text})"
        )
    frames, samples, bits = (int(tags.get(name) or usual) for name, usual in _IMAGE.items())
    if frames != 1 or samples != 1 or bits != 16:
        raise FormatError(f"{path} holds {frames} images of {samples} x {bits} bits, expected one view of 16 bits")
    return stored == shape[::-1]


_IMAGE = {"NumberOfFrames": 1, "SamplesPerPixel": 1, "BitsAllocated": 16}


def _rescale(tags: Dataset, path: Path) -> tuple[float, float]:
    slope, intercept = _number(tags.get("RescaleSlope")), _number(tags.get("RescaleIntercept"))
    if slope is None or intercept is None or slope == 0:
        raise FormatError(f"{path} has no usable RescaleSlope and RescaleIntercept: its values are no line integrals")
    return slope, intercept


def _pixel_offset(tags: Dataset, path: Path, file: Any) -> int | None:
    """Where plain pixels start; None for pixels that are packed. FormatError where they are missing or cut off."""
    syntax = str(getattr(getattr(tags, "file_meta", None), "TransferSyntaxUID", ""))
    if syntax not in _PLAIN:
        return None
    explicit, start = syntax == _PLAIN[1], file.tell()
    head = file.read(12 if explicit else 8)
    if len(head) < 8 or head[:4] != b"\xe0\x7f\x10\x00":
        raise FormatError(f"{path} has no pixels (7FE0,0010): it is truncated or damaged")
    length = int.from_bytes(head[-4:], "little") if len(head) in (8, 12) else 0
    needed = 2 * int(tags.Rows) * int(tags.Columns)
    start += len(head)
    there = os.fstat(file.fileno()).st_size - start
    if length < needed or there < needed:
        raise FormatError(f"{path} is truncated: its pixels take {needed} bytes, it holds {min(length, max(there, 0))}")
    return start


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number == int(number) else None
