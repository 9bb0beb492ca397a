"""The tags of DICOM-CT-PD: names, types and how their values are read, typed or as raw bytes.

From the user manual of the Low Dose CT Image and Projection Data, version 3 (2020), and T. R. Moen et al., Low-dose CT
image and projection dataset, Med. Phys. 48, 902 (2021), table IV.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.config.shown import shown
from sinograd.errors import FormatError, InputError

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True)
class Tag:
    """A private tag: group and element, its type in the dictionary, and how many values it has (0: any number)."""

    number: int
    kind: str
    count: int = 1

    @property
    def text(self) -> str:
        """As people write it: (7031,1001)."""
        return f"({self.number >> 16:04X},{self.number & 0xFFFF:04X})"


TAGS: Mapping[str, Tag] = {
    "DetectorElementTransverseSpacing": Tag(0x70291002, "FL"),
    "DetectorElementAxialSpacing": Tag(0x70291006, "FL"),
    "DetectorShape": Tag(0x7029100B, "CS"),
    "NumberofDetectorRows": Tag(0x70291010, "US"),
    "NumberofDetectorColumns": Tag(0x70291011, "US"),
    "DetectorFocalCenterAngularPosition": Tag(0x70311001, "FL"),
    "DetectorFocalCenterAxialPosition": Tag(0x70311002, "FL"),
    "DetectorFocalCenterRadialDistance": Tag(0x70311003, "FL"),
    "ConstantRadialDistance": Tag(0x70311031, "FL"),
    "DetectorCentralElement": Tag(0x70311033, "FL", 2),
    "SourceAngularPositionShift": Tag(0x7033100B, "FL"),
    "SourceAxialPositionShift": Tag(0x7033100C, "FL"),
    "SourceRadialDistanceShift": Tag(0x7033100D, "FL"),
    "FlyingFocalSpotMode": Tag(0x7033100E, "CS"),
    "NumberofSourceAngularSteps": Tag(0x70331013, "US"),
    "SpectrumIndex": Tag(0x70331063, "US"),
    "PhotonStatistics": Tag(0x70331065, "FL", 0),
    "TypeofProjectionData": Tag(0x70371009, "CS"),
    "TypeofProjectionGeometry": Tag(0x7037100A, "CS"),
    "BeamHardeningCorrectionFlag": Tag(0x70391003, "CS"),
    "GainCorrectionFlag": Tag(0x70391004, "CS"),
    "DarkFieldCorrectionFlag": Tag(0x70391005, "CS"),
    "FlatFieldCorrectionFlag": Tag(0x70391006, "CS"),
    "BadPixelCorrectionFlag": Tag(0x70391007, "CS"),
    "ScatterCorrectionFlag": Tag(0x70391008, "CS"),
    "LogFlag": Tag(0x70391009, "CS"),
    "WaterAttenuationCoefficient": Tag(0x70411001, "DS"),
    "OldWaterAttenuationCoefficient": Tag(0x00180061, "DS"),
}
REQUIRED = (
    "DetectorElementTransverseSpacing",
    "DetectorElementAxialSpacing",
    "DetectorShape",
    "NumberofDetectorRows",
    "NumberofDetectorColumns",
    "DetectorFocalCenterAngularPosition",
    "DetectorFocalCenterAxialPosition",
    "DetectorFocalCenterRadialDistance",
    "ConstantRadialDistance",
    "DetectorCentralElement",
)
PUBLIC = (
    "TransferSyntaxUID",
    "SeriesInstanceUID",
    "SeriesDescription",
    "InstanceNumber",
    "Manufacturer",
    "ManufacturerModelName",
    "PatientPosition",
    "BodyPartExamined",
    "KVP",
    "XRayTubeCurrent",
    "ExposureTime",
    "CTDIvol",
    "SpiralPitchFactor",
    "DataCollectionDiameter",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "BitsAllocated",
    "PixelRepresentation",
    "RescaleIntercept",
    "RescaleSlope",
)
_UNTYPED = ("UN", "OB", "OW", "OF")
_NUMBERS = {"FL": "f4", "FD": "f8", "US": "u2", "SS": "i2", "UL": "u4", "SL": "i4"}
_DOUBLE = {"FL": "f8", "US": "u4"}
_MARKS = [TAGS[name].number for name in REQUIRED if name != "DetectorShape"]


def is_projection(path: Path) -> bool:
    """Whether a DICOM file has tags of DICOM-CT-PD; InputError for one that is damaged."""
    from sinograd.io.volumes.dicom.bounds import check_bounds
    from sinograd.io.volumes.dicom.file import decoding

    with decoding(path):
        try:
            check_bounds(path)
        except InputError:  # whoever reads its pixels says so
            return False
        return has_marks(read_tags(path, _MARKS))


def has_marks(header: Dataset) -> bool:
    """Whether a header has any of the tags that a projection needs."""
    return any(number in header for number in _MARKS)


def read_tags(path: Path, tags: list[Any]) -> Dataset:
    """Some tags of a file, without its pixels; InputError for one that holds too much."""
    import pydicom

    from sinograd.io.volumes.dicom.bounds import check_bounds

    check_bounds(path)
    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags, force=False)


def values_of(header: Dataset, name: str, path: Path) -> np.ndarray:
    """The numbers of a tag, none where it is missing; FormatError for other values, or another count than it has."""
    tag = TAGS[name]
    kind, content, order = _content(header, tag)
    if not content:
        return np.empty(0)
    numbers = _numbers(kind, content, tag, order)
    if numbers is None or not np.isfinite(numbers).all() or tag.count not in (0, len(numbers)):
        expected = "numbers" if tag.count == 0 else f"{tag.count} finite number{'s' * (tag.count > 1)}"
        raise FormatError(f"{path}: {name} {tag.text} must be {expected}, got {shown(content)} ({kind})")
    return numbers


def text_of(header: Dataset, name: str) -> str:
    """The text of a tag in capitals, "" where it is missing."""
    return _content(header, TAGS[name])[1].decode("latin-1").strip("\0 ").upper()[:64]


def has(header: Dataset, name: str) -> bool:
    """Whether a tag is there and not empty."""
    return bool(_content(header, TAGS[name])[1])


def _content(header: Dataset, tag: Tag) -> tuple[str, bytes, str]:
    """The type that a file states, or that the dictionary has where it states none, the bytes, and their order."""
    if tag.number not in header:
        return tag.kind, b"", "<"
    element = header.get_item(tag.number)
    kind = str(getattr(element, "VR", None) or "UN")
    content = element.value if element is not None and isinstance(element.value, bytes) else b""
    little = getattr(element, "is_little_endian", True)
    return tag.kind if kind in _UNTYPED else kind, content, "<" if little else ">"


def _numbers(kind: str, content: bytes, tag: Tag, order: str) -> np.ndarray | None:
    if kind not in _NUMBERS:
        try:
            return np.array([float(part) for part in content.decode("latin-1").strip("\0 ").split("\\")])
        except ValueError:
            return None
    form = np.dtype(order + _NUMBERS[kind])
    if tag.count and len(content) == 2 * form.itemsize * tag.count:  # raw bytes of twice the precision
        form = np.dtype(order + _DOUBLE.get(kind, _NUMBERS[kind]))
    return None if len(content) % form.itemsize else np.frombuffer(content, form).astype(np.float64)
