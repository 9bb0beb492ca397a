"""sinograd's own volume file: HDF5. This page is its specification.

    /            attributes: format = "sinograd-volume", version = 2
    /volume      [z, y, x] or [y, x], of any real type; attributes: axes = "z y x" or "y x", spacing_mm (array
                 order), center_mm (x, y, z), unit = "1/mm", "HU", "mg/cm3" or "1" (missing: not known), dtype = "bool"
                 where uint8 stands for booleans, scale = [slope, intercept] where value = slope * stored + intercept
    /provenance  text: JSON object of how the volume was made

Version 1, of sinograd 0.1.0, has unit = "1/mm" whatever the values are (`sinograd.io.volumes.old_units`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.config.shown import shown
from sinograd.data.provenance import to_json
from sinograd.data.volume import Volume
from sinograd.errors import FormatError
from sinograd.io.storage.hdf5.chunks import check_chunks
from sinograd.io.storage.hdf5.layout import (
    ArrayLayout,
    attribute,
    check_version,
    is_hdf5,
    lay_out,
    mapping,
    numbers,
    opened,
    replace_text,
    write_hdf5,
)
from sinograd.io.storage.hdf5.lazy import Hdf5Projections
from sinograd.io.storage.hdf5.values import attribute_text
from sinograd.io.volumes.format import StoredArray, VolumeFormat, record_of, volume_of
from sinograd.io.volumes.old_units import trusted_record
from sinograd.io.volumes.sink import FlatSink, VolumeSink, stored_type, unit_of

if TYPE_CHECKING:
    import h5py

FORMAT = "sinograd-volume"
VERSION = 2


class SinogradHdf5(VolumeFormat):
    """sinograd's own volume file."""

    unit_place = "attribute `unit` of /volume"
    streams = True

    def matches(self, path: Path, head: bytes) -> bool:
        """HDF5 whose format is "sinograd-volume"."""
        if not is_hdf5(head):
            return False
        with opened(path) as file:
            return attribute_text(attribute(file, "format")) == FORMAT

    def open(self, path: Path) -> Volume:
        """The volume; FormatError for a file that is none or is damaged."""
        with open(path, "rb") as raw:
            if not is_hdf5(raw.read(8)):
                raise FormatError(f"{path} is not an HDF5 file")
        with opened(path) as file:
            record = _record(file, path)
            dataset = numbers(file, "volume", path)
            check_chunks(dataset, "volume", path)
            shape = tuple(int(n) for n in dataset.shape)
            block = int(dataset.chunks[0]) if dataset.chunks and len(shape) == 3 else 1
            stored = Hdf5Projections(path.resolve(), "volume", shape, dataset.dtype)
        return volume_of(StoredArray(stored, shape, block, record.get("dtype") == "bool"), record, path)

    def write(self, volume: Volume, path: Path) -> None:
        """The volume, block by block, and its record."""
        dtype = np.dtype(str(volume.dtype).removeprefix("torch.").replace("bool", "uint8")).newbyteorder("<")

        def block(start: int, stop: int) -> np.ndarray:
            # an image is one slice, whose first axis is y
            first, last = (start, stop) if volume.ndim == 3 else (0, 1)
            values = volume.read(first, last, None).detach().cpu().numpy()
            return values if volume.ndim == 3 else values[0, start:stop]

        write_hdf5(path, *_contents(volume, dtype, block))

    def sink(self, header: Volume, path: Path) -> VolumeSink:
        """The voxels lie one after another."""
        return FlatSink(path, header, stored_type(header), _lay_out, _complete, unit_of(header.grid))


def _contents(
    volume: Volume, dtype: np.dtype[Any], block: Callable[[int, int], np.ndarray]
) -> tuple[dict[str, Any], dict[str, ArrayLayout], dict[str, str]]:
    """Attributes, arrays and texts of a volume's file."""
    attributes = {"axes": "z y x" if volume.ndim == 3 else "y x", **record_of(volume)}
    texts = {"provenance": to_json(attributes.pop("provenance"))}
    del attributes["shape"]
    layout = ArrayLayout(volume.shape, dtype, block, attributes=attributes)
    return {"format": FORMAT, "version": VERSION}, {"volume": layout}, texts


def _lay_out(path: Path, header: Volume) -> int:
    dtype = stored_type(header)
    return lay_out(path, *_contents(header, dtype, lambda start, stop: np.empty(0, dtype)))["volume"][0]


def _complete(path: Path, header: Volume) -> None:
    replace_text(path, "provenance", to_json(header.provenance))


def _record(file: h5py.File, path: Path) -> dict[str, Any]:
    """Spacing, centre, unit and provenance of an open volume file; FormatError when it is none."""
    name = attribute_text(attribute(file, "format"))
    if name != FORMAT:
        more = " (read it with sinograd.read)" if name == "sinograd-scan" else ""
        raise FormatError(f"{path} is not a volume: its format is {shown(name)}, expected {FORMAT!r}{more}")
    check_version(file, VERSION, path)
    dataset = numbers(file, "volume", path)
    names = [name for name in ("spacing_mm", "center_mm", "unit", "dtype", "scale") if name in dataset.attrs]
    record: dict[str, Any] = {name: np.asarray(attribute(dataset, name)).tolist() for name in names}
    record["provenance"] = mapping(file, "provenance", path)
    return trusted_record(path, record) if int(attribute(file, "version", 0)) == 1 else record
