"""Volumes as plain numbers: NAME.raw, and NAME.yaml that says what they are.

NAME.raw holds the voxels and nothing else, little-endian, x fastest, then y, then z. NAME.yaml has

    shape         z, y, x (of an image y, x)
    spacing_mm    voxel size along each of these axes
    center_mm     place of the volume's middle
    dtype         float32; or uint16, uint8 with scale: [slope, intercept] of value = slope * stored + intercept
    byte_order    little; may be left out
    order         C, the last axis runs fastest; may be left out
    unit, provenance, digests
                  as beside .npy files; may be left out

A raw file has nothing to be recognised by: its name must end in .raw.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.config.near_keys import did_you_mean
from sinograd.config.shown import shown
from sinograd.config.yaml import dump_yaml, load_yaml
from sinograd.data.memory import check_memory
from sinograd.data.provenance import to_json
from sinograd.data.volume import Volume
from sinograd.errors import FormatError, MissingFileError
from sinograd.files.commit import settle
from sinograd.io.storage.atomic import replacing_files
from sinograd.io.storage.digests import DIGESTS, check_described, check_digests, digests_of, read_together
from sinograd.io.storage.raw_images import RawImages
from sinograd.io.storage.voxels import Voxels
from sinograd.io.volumes.format import RECORD_KEYS, StoredArray, VolumeFormat, record_of, volume_of
from sinograd.io.volumes.npy import write_sidecar
from sinograd.io.volumes.sink import FlatSink, VolumeSink, stored_type, unit_of

_STORED = np.dtype("<f4")
_LAYOUT = {"dtype": "float32", "byte_order": "little", "order": "C"}
_TYPES = ("float32", "uint16", "uint8")
_NEEDED = ("shape", "spacing_mm", "center_mm", "dtype")
_KEYS = "shape (z, y, x), spacing_mm, center_mm and dtype: float32 (little-endian, x fastest)"


class Raw(VolumeFormat):
    """A .raw file with a YAML file beside it."""

    keeps = frozenset({"unit", "provenance"})
    unit_place = "`unit` in the YAML file"
    streams = True

    def sink(self, header: Volume, path: Path) -> VolumeSink:
        """The voxels lie one after another."""
        return FlatSink(path, header, stored_type(header), _lay_out, _complete, unit_of(header.grid))

    def matches(self, path: Path, head: bytes) -> bool:
        """A name that ends in .raw; the YAML file is looked at on reading, which says what it lacks."""
        return path.suffix.lower() == ".raw"

    def read(self, path: Path) -> Volume:
        """The volume; FormatError for damaged files or keys, MissingFileError without the YAML file."""

        def whole() -> Volume:
            check_memory(path.stat().st_size, str(path))
            return _opened(path, whole=True).load()

        return read_together(path, path.with_suffix(".yaml"), whole)

    def open(self, path: Path) -> Volume:
        """As `read`, slices are read when they are needed."""
        return read_together(path, path.with_suffix(".yaml"), lambda: _opened(path, whole=False))

    def written_paths(self, path: Path) -> list[Path]:
        """The voxels and the YAML file."""
        return [path, path.with_suffix(".yaml")]

    def save(self, volume: Volume, path: Path, *, force: bool = False) -> None:
        """Write both files, whole or not at all, block by block."""
        record = json.loads(to_json({**record_of(volume), **_LAYOUT}))
        names = [path.name, path.with_suffix(".yaml").name]
        needed = _STORED.itemsize * math.prod(volume.shape)
        with replacing_files(path.parent, names, force=force, needed=needed) as folder:
            with open(folder / path.name, "wb") as file:
                for first, end in volume.blocks():
                    values = volume.read(first, end).detach().cpu().numpy()
                    file.write(np.ascontiguousarray(values, dtype=_STORED).data)
            digests = {DIGESTS: digests_of([folder / path.name])}
            (folder / names[1]).write_text(dump_yaml(record) + dump_yaml(digests), encoding="utf-8")


def _lay_out(path: Path, header: Volume) -> int:
    path.touch()
    return 0


def _complete(path: Path, header: Volume) -> None:
    write_sidecar(path, header, {**_LAYOUT, "dtype": stored_type(header).name})


def _opened(path: Path, *, whole: bool) -> Volume:
    """The volume, whose values stay in the file; with `whole` all of it is held against its digest."""
    sidecar = path.with_suffix(".yaml")
    if not sidecar.exists():
        settle(path.parent)
    if not sidecar.exists():
        raise MissingFileError(f"{path} has no {sidecar.name} beside it: raw voxels need one with the keys {_KEYS}")
    record = load_yaml(sidecar)
    if isinstance(record, Mapping):
        check_described(record.get(DIGESTS), sidecar, path)
    shape = _shape(sidecar, record)
    stored = np.dtype(record["dtype"]).newbyteorder("<")
    length, needed = path.stat().st_size, stored.itemsize * math.prod(shape)
    if length != needed:
        raise FormatError(
            f"{path} is truncated, or {sidecar.name} does not describe it: {list(shape)} {stored.name} voxels have "
            f"{needed:,} bytes, the file has {length:,}"
        )
    check_digests(record.get(DIGESTS), sidecar, [path], whole=whole)
    images = RawImages(path, Voxels(path, 0, shape, stored).extents, (shape[-2], shape[-1]), stored)
    return volume_of(StoredArray(images, shape), record, path)


def _shape(sidecar: Path, record: Any) -> tuple[int, ...]:
    """The shape that a YAML file states; FormatError where keys are missing, or say what is not read."""
    if not isinstance(record, Mapping):
        raise FormatError(f"{sidecar} must be a mapping with the keys {_KEYS}, got {shown(record)}")
    missing = [key for key in _NEEDED if key not in record]
    if missing:
        others = [str(key) for key in record if key not in (*RECORD_KEYS, *_LAYOUT, DIGESTS)]
        raise FormatError(
            f"{sidecar} lacks {', '.join(missing)}: raw voxels need the keys {_KEYS}{did_you_mean(others, _NEEDED)}"
        )
    for key, expected in _LAYOUT.items():
        allowed = _TYPES if key == "dtype" else (expected,)
        if record.get(key, expected) not in allowed:
            raise FormatError(f"{sidecar}: {key} must be {' or '.join(allowed)}, got {shown(record[key])}")
    shape = record["shape"]
    whole = isinstance(shape, list) and all(type(n) is int and n > 0 for n in shape)
    if not whole or len(shape) not in (2, 3):
        raise FormatError(f"{sidecar}: shape must be the numbers of voxels along z, y, x or y, x, got {shown(shape)}")
    return tuple(shape)
