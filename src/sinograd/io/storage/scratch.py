"""Prepared projections on the disk: a Zarr array (version 3) of one chunk, written and read where its numbers lie.

    NAME.zarr/zarr.json       float32 [views, rows, columns], codec bytes (little-endian), not packed
    NAME.zarr/c/0/0/0         the numbers, C order

Any Zarr reader opens it. It needs no package here: blocks of views are written, bands of rows are read.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.errors import InputError
from sinograd.files.bands import read_bands, reserve, write_at
from sinograd.io.storage.write_errors import writing

_FLOAT32 = np.dtype("<f4")


@dataclass(frozen=True)
class Scratch:
    """Projections [views, rows, columns] in a folder; it holds no open file.

    Attributes:
        folder: NAME.zarr.
        shape: of the array.
    """

    folder: Path
    shape: tuple[int, ...]

    @classmethod
    def new(cls, folder: Path, shape: tuple[int, ...]) -> Scratch:
        """An empty one, whose room on the disk is taken; an old one of this name is written over.

        Raises:
            WritingStopped: the disk has too little room.
        """
        made = cls(folder, tuple(shape))
        with writing(folder):
            made.chunk.parent.mkdir(parents=True, exist_ok=True)
            made.chunk.unlink(missing_ok=True)
            reserve(made.chunk, made.nbytes)
            (folder / "zarr.json").write_text(json.dumps(_metadata(made.shape), indent=1), encoding="utf-8")
        return made

    @property
    def chunk(self) -> Path:
        """The file of the numbers."""
        return self.folder.joinpath("c", *("0" for _ in self.shape))

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, little-endian."""
        return _FLOAT32

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return int(np.prod(self.shape, dtype=np.int64)) * _FLOAT32.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def write(self, first: int, views: np.ndarray) -> None:
        """Views `first` and following."""
        with writing(self.folder):
            descriptor = os.open(self.chunk, os.O_WRONLY)
            try:
                write_at(descriptor, first * (self.nbytes // self.shape[0]), views.astype(_FLOAT32, copy=False))
            finally:
                os.close(descriptor)

    def write_rows(self, rows: slice, band: np.ndarray) -> None:
        """These rows of all views, [views, rows, columns]."""
        image, row = self.nbytes // self.shape[0], _FLOAT32.itemsize * self.shape[-1]
        with writing(self.folder):
            descriptor = os.open(self.chunk, os.O_WRONLY)
            try:
                for view, part in enumerate(band):
                    write_at(descriptor, view * image + rows.start * row, part.astype(_FLOAT32, copy=False))
            finally:
                os.close(descriptor)

    def flush(self) -> None:
        """Have the disk keep what was written."""
        descriptor = os.open(self.chunk, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def is_whole(self) -> bool:
        """Whether the file of the numbers is there, with its length."""
        return self.chunk.is_file() and self.chunk.stat().st_size == self.nbytes

    def __getitem__(self, views: Any) -> np.ndarray:
        found = self.read_rows(views if isinstance(views, slice | list) else [int(views)], slice(None))
        found = found.reshape(len(found), *self.shape[1:])
        return found if isinstance(views, slice | list) else found[0]

    def read_rows(self, views: slice | list[int], rows: slice) -> np.ndarray:
        """Rows of some views, [views, rows, columns]; nothing else is read."""
        shape = self.shape if len(self.shape) == 3 else (self.shape[0], 1, self.shape[1])
        chosen = range(shape[0])[views] if isinstance(views, slice) else [range(shape[0])[view] for view in views]
        first, end, _ = rows.indices(shape[1])
        block = np.empty((len(chosen), max(0, end - first), shape[2]), _FLOAT32)
        if not self.is_whole():
            raise InputError(f"{self.folder}: prepared projections are missing; start without `resume`")
        read_bands(self.chunk, 0, shape, (chosen, first), block)
        return block


def _metadata(shape: tuple[int, ...]) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shape)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": {},
    }
