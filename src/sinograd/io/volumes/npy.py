"""Volumes as NumPy arrays: NAME.npy, and NAME.yaml with shape, spacing_mm, center_mm, unit and provenance.

NAME.yaml also holds digests of NAME.npy, so that neither is read with the other half of another volume.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.config.yaml import dump_yaml, load_yaml
from sinograd.data.boxes import Box
from sinograd.data.memory import check_memory
from sinograd.data.provenance import to_json
from sinograd.data.volume import Volume
from sinograd.errors import FormatError, MissingFileError
from sinograd.files.commit import settle
from sinograd.files.inputs import noted
from sinograd.io.storage.atomic import replacing_files
from sinograd.io.storage.digests import (
    DIGESTS,
    check_described,
    check_digests,
    check_unchanged,
    digests_of,
    file_state,
    read_together,
)
from sinograd.io.storage.npy import MAGIC, check_npy
from sinograd.io.volumes.format import VolumeFormat, as_array, as_tensor, record_of, torch_dtype, volume_of
from sinograd.io.volumes.sink import FlatSink, VolumeSink, stored_type, unit_of


class Npy(VolumeFormat):
    """An .npy file with a YAML file beside it."""

    unit_place = "`unit` in the YAML file"
    streams = True

    def sink(self, header: Volume, path: Path) -> VolumeSink:
        """The voxels lie one after another."""
        return FlatSink(path, header, stored_type(header), _lay_out, write_sidecar, unit_of(header.grid))

    def matches(self, path: Path, head: bytes) -> bool:
        """A NumPy array whose YAML file tells the spacing of voxels."""
        sidecar = path.with_suffix(".yaml")
        if head.startswith(MAGIC) and not sidecar.is_file():
            settle(path.parent)
        return head.startswith(MAGIC) and sidecar.is_file() and _has_spacing(sidecar)

    def read(self, path: Path) -> Volume:
        """The volume; FormatError for damaged files, MissingFileError without the YAML file."""
        return volume_of(*read_together(path, path.with_suffix(".yaml"), lambda: _opened(path, mapped=False)), path)

    def open(self, path: Path) -> Volume:
        """As `read`, mapped from the disk."""

        def mapped() -> tuple[MappedArray, dict[str, Any]]:
            state = file_state(path)
            array, record = _opened(path, mapped=True)
            return MappedArray(path.resolve(), array.shape, array.dtype.str, state), record

        return volume_of(*read_together(path, path.with_suffix(".yaml"), mapped), path)

    def written_paths(self, path: Path) -> list[Path]:
        """The array and the YAML file."""
        return [path, path.with_suffix(".yaml")]

    def save(self, volume: Volume, path: Path, *, force: bool = False) -> None:
        """Write both files, whole or not at all."""
        sidecar = dump_yaml(json.loads(to_json(record_of(volume))))
        names = [path.name, path.with_suffix(".yaml").name]
        with replacing_files(path.parent, names, force=force, needed=volume.nbytes) as folder:
            with open(folder / path.name, "wb") as file:
                np.save(file, as_array(volume), allow_pickle=False)
            digests = dump_yaml({DIGESTS: digests_of([folder / path.name])})
            (folder / names[1]).write_text(sidecar + digests, encoding="utf-8")


@dataclass(frozen=True)
class MappedArray:
    """An .npy file, mapped anew for every block of slices."""

    path: Path
    shape: tuple[int, ...]
    stored: str
    state: tuple[int, ...]

    @property
    def dtype(self) -> torch.dtype:
        """Of what `read` gives."""
        return torch_dtype(np.dtype(self.stored))

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1, copied."""
        return self.read_box((slice(first, end), slice(None), slice(None)))

    def read_box(self, box: Box) -> Tensor:
        """Voxels of a box, copied."""
        check_npy(self.path)
        array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        check_unchanged(self.path, self.state)
        if array.shape != self.shape:
            raise FormatError(f"{self.path} changed since it was opened: {array.shape} != {self.shape}")
        slices = array if array.ndim == 3 else array[None]
        return as_tensor(np.array(slices[box]))


def write_sidecar(path: Path, header: Volume, more: Mapping[str, Any] | None = None) -> None:
    """The YAML file of a volume whose voxels are written, with their digests."""
    record = json.loads(to_json({**record_of(header), **(more or {})}))
    text = dump_yaml(record) + dump_yaml({DIGESTS: digests_of([path])})
    path.with_suffix(".yaml").write_text(text, encoding="utf-8")


def _lay_out(path: Path, header: Volume) -> int:
    described = {"descr": stored_type(header).str, "fortran_order": False, "shape": header.shape}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, described)
        return file.tell()


def _opened(path: Path, *, mapped: bool) -> tuple[np.ndarray, dict[str, Any]]:
    """The array, mapped from the disk or read, and what the YAML file beside it tells."""
    sidecar = path.with_suffix(".yaml")
    if not sidecar.exists():
        raise MissingFileError(f"{path} has no {sidecar.name} beside it, which holds spacing and centre")
    try:
        check_npy(noted(path))
        record = _load(sidecar)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not mapped:
            check_memory(array.nbytes, str(path))
            array = np.array(array)
    except (ValueError, EOFError) as error:
        raise FormatError(f"{path} or {sidecar.name} is truncated or damaged: {error}") from error
    if array.dtype.kind not in "fiub":
        raise FormatError(f"{path} must hold real numbers, got {array.dtype}")
    if record is None or record.get("shape") != list(array.shape):
        raise FormatError(f"{sidecar} does not describe {path.name}, whose shape is {list(array.shape)}")
    check_described(record.get(DIGESTS), sidecar, path)
    check_digests(record.get(DIGESTS), sidecar, [path], whole=not mapped)
    return array, record


def _has_spacing(sidecar: Path) -> bool:
    """Whether a YAML file has the key spacing_mm; where its lines say so, it is not parsed for that."""
    found = False
    with open(sidecar, "rb") as file:
        for line in file:
            if line.startswith(b"spacing_mm:"):
                return True
            found = found or b"spacing_mm" in line
    return found and "spacing_mm" in (_load(sidecar) or {})


def _load(path: Path) -> dict[str, Any] | None:
    """What a YAML file holds, None for no mapping; FormatError for no YAML."""
    record = load_yaml(path)
    return record if isinstance(record, dict) else None
