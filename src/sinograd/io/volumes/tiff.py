"""Volumes in one TIFF file: ImageJ's, or OME BigTIFF beyond 4 GB.

uint8 and uint16 stay, booleans are stored as uint8, everything else is float32. Spacing is in ImageJ's or OME's fields,
in mm; spacing, centre, unit and provenance are JSON in ImageJ's Info or OME's Description.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.config.json import load_json
from sinograd.config.xml import load_xml
from sinograd.data.provenance import to_json
from sinograd.data.volume import Volume
from sinograd.errors import FormatError
from sinograd.io.storage.tiff import TiffImages, is_tiff, opened_tiff
from sinograd.io.volumes.format import StoredArray, VolumeFormat, as_array, record_of, volume_of

if TYPE_CHECKING:
    import tifffile

IMAGEJ_BYTES = (1 << 32) - (1 << 20)  # offsets in an ImageJ TIFF have 32 bits
_STORED = {"bool": "uint8", "uint8": "uint8", "uint16": "uint16"}  # what ImageJ knows beside float32


class Tiff(VolumeFormat):
    """One TIFF file."""

    keeps = frozenset({"unit", "provenance"})
    unit_place = "`unit` of the JSON text in ImageJ's Info, or OME's Description"

    def matches(self, path: Path, head: bytes) -> bool:
        """TIFF that holds the record of a volume."""
        if not is_tiff(head):
            return False
        with opened_tiff(path) as file:
            content = (file.imagej_metadata or {}).get("Info") or _ome_description(file.ome_metadata)
        return isinstance(content, str) and '"spacing_mm"' in content

    def open(self, path: Path) -> Volume:
        """The volume; FormatError for a damaged file or one without spacing."""
        with opened_tiff(path) as file:
            record = _record(file)
        images = TiffImages([path])
        shape = record.get("shape", list(images.shape)) if isinstance(record, dict) else []
        if not isinstance(shape, list) or [1, *shape][-3:] != list(images.shape):
            raise FormatError(f"{path} is a truncated or damaged TIFF file: {list(images.shape)}, expected {shape}")
        return volume_of(StoredArray(images, tuple(shape), is_bool=record.get("dtype") == "bool"), record, path)

    def write(self, volume: Volume, path: Path) -> None:
        """The volume and its record."""
        import tifffile

        array, record = as_array(volume), record_of(volume)
        array = array.astype(_STORED.get(array.dtype.name, "float32"), copy=False)
        spacing = record["spacing_mm"]
        axes = "ZYX" if array.ndim == 3 else "YX"
        resolution = (1 / spacing[-1], 1 / spacing[-2])  # pixels a mm, x then y
        if array.nbytes <= IMAGEJ_BYTES:
            description = {"axes": axes, "unit": "mm", "Info": to_json(record)}
            if array.ndim == 3:
                description["spacing"] = spacing[0]
            options: dict[str, Any] = {"imagej": True, "resolution": resolution, "metadata": description}
        else:
            description = {"axes": axes, "Description": to_json(record)}
            for axis, value in zip("XYZ", reversed(spacing), strict=False):
                description |= {f"PhysicalSize{axis}": value, f"PhysicalSize{axis}Unit": "mm"}
            options = {"ome": True, "bigtiff": True, "metadata": description}
        tifffile.imwrite(path, array, photometric="minisblack", **options)


def _record(file: tifffile.TiffFile) -> Any:
    if file.imagej_metadata is not None:
        content = file.imagej_metadata.get("Info")
    else:
        content = _ome_description(file.ome_metadata)
    return load_json(content) if content else {}


def _ome_description(content: str | None) -> str | None:
    """The text of the first Description in an OME-XML document."""
    if content is None:
        return None
    root = load_xml(content.encode())
    return next((element.text for element in root.iter() if element.tag.endswith("}Description")), None)
