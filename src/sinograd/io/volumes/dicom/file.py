"""One DICOM file: whether it is one, its stored values, and what its header says of a CT slice."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.config.regular_files import check_regular
from sinograd.errors import InputError, OutOfMemory
from sinograd.io.volumes.dicom.bounds import MAGIC, MAGIC_START, check_bounds

if TYPE_CHECKING:
    from pydicom import Dataset

SUFFIXES = (".dcm", ".ima", ".dicom")
_MOST_PACKED = 1100  # bytes of pixels in a byte of a file
_PERPENDICULAR = 1e-3
_TAGS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "SeriesDescription",
    "SeriesNumber",
    "InstanceNumber",
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "PatientID",
    "BodyPartExamined",
    "ConvolutionKernel",
    "KVP",
    "SliceThickness",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
)
_METADATA = (
    "Manufacturer",
    "ManufacturerModelName",
    "PatientID",
    "SeriesDescription",
    "BodyPartExamined",
    "ConvolutionKernel",
    "KVP",
    "SliceThickness",
)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its beginning; or by its name, so that a damaged one is not passed over."""
    if path.name.startswith("."):
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    with open(path, "rb") as file:
        file.seek(MAGIC_START)
        return file.read(len(MAGIC)) == MAGIC


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Whatever a damaged file leads to becomes a ValueError that names it; odd values in unused tags do not warn."""
    # pydicom converts a tag when it is looked at, and meets damage with InvalidDicomError, NotImplementedError,
    # EOFError, struct.error, AttributeError ...
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (FileNotFoundError, PermissionError, OutOfMemory):
        raise
    except Exception as error:
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(f"{path} is no DICOM file, or is damaged: {reason}") from error


def read_file(path: Path, *, tags: list[str] | None = None) -> Dataset:
    """A DICOM file, or some of its tags; ValueError naming it when it is none or is damaged."""
    import pydicom

    check_regular(path)
    with decoding(path):
        check_bounds(path)
        return pydicom.dcmread(path, stop_before_pixels=tags is not None, specific_tags=tags)


def stored_values(header: Dataset, path: Path) -> np.ndarray:
    """The stored numbers [Y, X] of a file; ValueError where they are damaged or need a decoder that is missing."""
    with decoding(path):
        _check_pixels(header, path)
        try:
            values = np.asarray(header.pixel_array)
        except Exception as error:
            syntax = getattr(getattr(header.file_meta, "TransferSyntaxUID", None), "name", "of unknown transfer syntax")
            raise InputError(f"{path}: the pixels ({syntax}) cannot be read: {error}") from error
        if values.ndim != 2:
            raise InputError(f"{path}: expected one grey image, got {list(values.shape)}")
        return values


def _check_pixels(header: Dataset, path: Path) -> None:
    """InputError for pixels that are not one grey image of the size that a slice may have, before they are decoded."""
    frames, samples = int(header.get("NumberOfFrames") or 1), int(header.get("SamplesPerPixel") or 1)
    rows, columns, bits = (int(header.get(tag) or 0) for tag in ("Rows", "Columns", "BitsAllocated"))
    needed = rows * columns * bits // 8
    if frames != 1 or samples != 1 or bits not in (8, 16, 32, 64) or needed < 1:
        raise InputError(f"{path} holds {frames} frames of {rows} x {columns} pixels of {samples} x {bits} bits")
    if needed > _MOST_PACKED * len(header.PixelData):
        raise InputError(f"{path} is damaged: {needed:,} bytes of pixels in {len(header.PixelData):,}")


def rescale(header: Dataset, path: Path) -> tuple[float, float]:
    """Slope and intercept from stored values to those of `unit_of`; ValueError where there are none."""
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    if slope is None or intercept is None:
        raise InputError(f"{path} has no RescaleSlope and RescaleIntercept: its values are no Hounsfield units")
    if not math.isfinite(float(slope)) or float(slope) == 0 or not math.isfinite(float(intercept)):
        raise InputError(f"{path}: RescaleSlope {slope} and RescaleIntercept {intercept} give no values")
    return float(slope), float(intercept)


def rescale_type(header: Dataset) -> str:
    """What rescaled values are: HU, US (unspecified) ...; HU where nothing is said, as DICOM has it for CT images."""
    return str(header.get("RescaleType") or "HU").strip().upper()[:16]


def padded(header: Dataset, stored: np.ndarray) -> np.ndarray:
    """Where PixelPaddingValue (to PixelPaddingRangeLimit) says that nothing was measured."""
    value = header.get("PixelPaddingValue")
    if value is None or isinstance(value, bytes):
        return np.zeros(stored.shape, bool)
    limit = header.get("PixelPaddingRangeLimit")
    ends = sorted((int(value), int(value if limit is None or isinstance(limit, bytes) else limit)))
    return (stored >= ends[0]) & (stored <= ends[1])


@dataclass(frozen=True)
class Frame:
    """One of the frames of a file: its number from 0, and how its stored values become those that they stand for."""

    number: int
    slope: float
    intercept: float


@dataclass(frozen=True)
class Slice:
    """What the header of one file tells; lengths in mm. kind: its RescaleType."""

    path: Path
    series: str
    size: tuple[int, int]
    pixel: tuple[float, float]
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    metadata: dict[str, Any]
    kind: str = "HU"
    frame: Frame | None = None

    @staticmethod
    def of(path: Path) -> Slice:
        """Read and check the header of a file; raises as `read_series`."""
        with decoding(path):
            return Slice._of(read_file(path, tags=list(_TAGS)), path)

    @staticmethod
    def _of(header: Dataset, path: Path) -> Slice:
        frames = int(header.get("NumberOfFrames") or 1)
        if frames != 1:
            raise InputError(
                f"{path} holds {frames} frames, and nothing says where they are: expected one slice a file"
            )
        if int(header.get("SamplesPerPixel") or 1) != 1:
            raise InputError(f"{path} is a colour image, expected grey values")
        pixel, position, orientation = check_slice(header, path)
        rescale(header, path)
        size = (int(header.Rows), int(header.Columns))
        if min(size) < 1 or 2 * size[0] * size[1] > _MOST_PACKED * path.stat().st_size:
            raise InputError(f"{path} is damaged: {size[0]} x {size[1]} pixels in {path.stat().st_size:,} bytes")
        series = str(header.get("SeriesInstanceUID", ""))
        return Slice(path, series, size, pixel, position, orientation, metadata_of(header), rescale_type(header))

    @property
    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit vectors along rows (x), down columns (y) and along the normal (z)."""
        rows, columns = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        return rows, columns, np.cross(rows, columns)

    @property
    def height(self) -> float:
        """Position along the normal."""
        return float(np.asarray(self.position) @ self.axes[2])


_NEEDED = {"Rows": 1, "Columns": 1, "PixelSpacing": 2, "ImagePositionPatient": 3, "ImageOrientationPatient": 6}


def check_slice(header: Dataset, name: Path | str) -> tuple[tuple[float, float], tuple[float, ...], tuple[float, ...]]:
    """Pixel size, position and orientation of a slice; InputError where a tag is missing or cannot be."""
    missing = [tag for tag, count in _NEEDED.items() if len(_numbers(header, tag)) != count]
    if missing:
        raise InputError(f"{name} has no usable {', '.join(missing)}: it is no slice of a volume")
    pixel = _numbers(header, "PixelSpacing")
    if min(pixel) <= 0:
        raise InputError(f"{name}: PixelSpacing must be positive, got {pixel}")
    orientation = _numbers(header, "ImageOrientationPatient")
    _check_orientation(orientation, name)
    return (pixel[0], pixel[1]), _numbers(header, "ImagePositionPatient"), orientation


def metadata_of(header: Dataset) -> dict[str, Any]:
    """What a file tells of scanner, patient and kernel."""
    return {tag: _plain(header.get(tag)) for tag in _METADATA if header.get(tag) not in (None, "")}


def _check_orientation(orientation: tuple[float, ...], path: Path | str) -> None:
    rows, columns = np.array(orientation[:3]), np.array(orientation[3:])
    if max(abs(rows @ rows - 1), abs(columns @ columns - 1), abs(rows @ columns)) > _PERPENDICULAR:
        text = ", ".join(f"{value:g}" for value in orientation)
        raise InputError(f"{path}: ImageOrientationPatient must be two perpendicular unit vectors, got {text}")


def _numbers(header: Dataset, tag: str) -> tuple[float, ...]:
    value = header.get(tag)
    try:
        numbers = tuple(float(v) for v in (value if isinstance(value, Sequence | np.ndarray) else [value]))
    except (TypeError, ValueError):
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


def _plain(value: Any) -> Any:
    if isinstance(value, int | float):
        return float(value) if isinstance(value, float) else int(value)
    return str(value)
