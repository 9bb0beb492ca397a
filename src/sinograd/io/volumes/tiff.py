"""Volumes in one TIFF file: ImageJ's, or OME BigTIFF beyond 4 GB.

uint8 and uint16 stay, booleans are stored as uint8, everything else is float32. Spacing is in ImageJ's or OME's fields,
in mm; spacing, centre, unit and provenance are JSON in ImageJ's Info or OME's Description.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from sinograd.config.json import load_json
from sinograd.config.xml import load_xml
from sinograd.data.provenance import to_json
from sinograd.data.volume import Volume
from sinograd.errors import FormatError
from sinograd.io.storage.tiff import TiffImages, is_tiff, opened_tiff
from sinograd.io.volumes.format import StoredArray, VolumeFormat, as_array, record_of, volume_of
from sinograd.io.volumes.sink import FlatSink, VolumeSink, stored_type, unit_of

if TYPE_CHECKING:
    import tifffile

IMAGEJ_BYTES = (1 << 32) - (1 << 20)  # offsets in an ImageJ TIFF have 32 bits
_STORED = {"bool": "uint8", "uint8": "uint8", "uint16": "uint16"}  # what ImageJ knows beside float32


class Tiff(VolumeFormat):
    """One TIFF file."""

    keeps = frozenset({"unit", "provenance"})
    streams = True
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

        array = as_array(volume)
        array = array.astype(_STORED.get(array.dtype.name, "float32"), copy=False)
        tifffile.imwrite(path, array, **_options(volume, array.nbytes, to_json(record_of(volume))))

    def sink(self, header: Volume, path: Path) -> VolumeSink:
        """The voxels lie one after another, behind the first header."""
        return FlatSink(path, header, stored_type(header), _lay_out, _complete, unit_of(header.grid))


def _options(volume: Volume, nbytes: int, text: str) -> dict[str, Any]:
    """What tifffile writes beside the voxels; `text` is the record."""
    spacing = [float(s) for s in volume.spacing]
    axes = "ZYX" if volume.ndim == 3 else "YX"
    if nbytes <= IMAGEJ_BYTES:
        description: dict[str, Any] = {"axes": axes, "unit": "mm", "Info": text}
        if volume.ndim == 3:
            description["spacing"] = spacing[0]
        resolution = (1 / spacing[-1], 1 / spacing[-2])  # pixels a mm, x then y
        return {"photometric": "minisblack", "imagej": True, "resolution": resolution, "metadata": description}
    description = {"axes": axes, "Description": text}
    for axis, value in zip("XYZ", reversed(spacing), strict=False):
        description |= {f"PhysicalSize{axis}": value, f"PhysicalSize{axis}Unit": "mm"}
    return {"photometric": "minisblack", "ome": True, "bigtiff": True, "metadata": description}


def _lay_out(path: Path, header: Volume) -> int:
    """A file without voxels."""
    import tifffile

    dtype = stored_type(header)
    options = _options(header, math.prod(header.shape) * dtype.itemsize, to_json(record_of(header)))
    options |= {"returnoffset": True, "byteorder": "<"}
    found: Any = tifffile.imwrite(path, shape=header.shape, dtype=dtype, **options)
    return int(found[0])


def _complete(path: Path, header: Volume) -> None:
    """The last record in the place of the first; where it is longer, tifffile puts it at the end of the file."""
    import tifffile

    text = to_json(record_of(header))
    with tifffile.TiffFile(path, mode="r+") as file:
        tags: Any = file.pages.first.tags
        if file.imagej_metadata is not None:
            for code, dtype, _, value, _ in tifffile.tifffile.imagej_metadata_tag({"Info": text}, file.byteorder):
                tags[code].overwrite(value, dtype=dtype)
            return
        element = f"<Description>{escape(text)}</Description>"
        document = re.sub(r"<Description>.*?</Description>", lambda _: element, file.ome_metadata or "", flags=re.S)
        tags[270].overwrite(document.encode())


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
