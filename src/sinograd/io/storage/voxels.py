"""The voxels of an image behind its header, as MetaImage and NRRD have them: plain numbers, or packed by deflate."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sinograd.data.memory import check_memory
from sinograd.errors import FormatError

_RATIO = 1100  # deflate packs no file more tightly
_BLOCK = 1 << 20
_MOST_TEXT = 64 << 20


@dataclass(frozen=True)
class Voxels:
    """Where voxels lie, and how.

    Attributes:
        path: the file that holds them.
        offset: their first byte.
        shape: z, y, x or y, x.
        dtype: with the byte order.
        packing: "raw", "deflate" (zlib or gzip) or "text".
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype
    packing: str = "raw"

    @property
    def nbytes(self) -> int:
        """Bytes of the voxels."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def extents(self) -> list[tuple[tuple[int, int], ...]]:
        """Where each slice lies, of raw ones."""
        size = math.prod(self.shape[-2:]) * self.dtype.itemsize
        slices = self.shape[0] if len(self.shape) == 3 else 1
        return [((self.offset + number * size, size),) for number in range(slices)]

    def check(self) -> None:
        """FormatError where the file cannot hold that many voxels."""
        length = self.path.stat().st_size
        ratio = {"raw": 1, "deflate": _RATIO, "text": self.dtype.itemsize}[self.packing]
        there = max(0, length - self.offset)
        if min(self.shape) < 1 or self.nbytes > ratio * there:
            raise FormatError(
                f"{self.path} is truncated: {list(self.shape)} {self.dtype.name} have {self.nbytes:,} bytes, "
                f"{there:,} are there"
            )

    def read(self) -> np.ndarray:
        """All voxels, of `dtype`. FormatError for fewer than there should be, OutOfMemory for too many."""
        self.check()
        if self.packing == "text":
            return self._from_text()
        check_memory(self.nbytes, str(self.path))
        values = np.empty(self.shape, self.dtype)
        target = values.reshape(-1).view(np.uint8).data
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            there = file.readinto(target) if self.packing == "raw" else self._inflate(file, target)
        if there != self.nbytes:
            raise FormatError(f"{self.path} is truncated: it holds {there:,} bytes of {self.nbytes:,}")
        return values

    def _inflate(self, file, target: memoryview) -> int:  # type: ignore[no-untyped-def]
        inflate, done = zlib.decompressobj(47), 0
        try:
            while done < len(target) and not inflate.eof and (block := file.read(_BLOCK)):
                while block and done < len(target):
                    part = inflate.decompress(block, len(target) - done)
                    target[done : done + len(part)] = part
                    done, block = done + len(part), inflate.unconsumed_tail
        except zlib.error as error:
            raise FormatError(f"{self.path} is a truncated or damaged image file: {error}") from error
        return done

    def _from_text(self) -> np.ndarray:
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            words = file.read(_MOST_TEXT).split()
        if len(words) != math.prod(self.shape):
            raise FormatError(f"{self.path} is truncated: it holds {len(words):,} of {math.prod(self.shape):,} numbers")
        try:
            return np.array(words).astype(np.float64).astype(self.dtype).reshape(self.shape)
        except ValueError as error:
            raise FormatError(f"{self.path} is a truncated or damaged image file: {error}") from error
