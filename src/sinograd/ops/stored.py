"""`StoredTensor`: a tensor whose numbers lie in a file, worked on block by block; for what is larger than memory.

Algorithms see a tensor: `x.addcmul_(c, y)`, `a - b`, `torch.lerp(..., out=z)`, `x.max()`. What is done element by
element, and sums, least and largest values, are done by blocks of whole planes (the last two dimensions), by the
functions in `stored_calls`. Results are stored tensors in the same folder, whose files go when
nobody holds them. Derivatives are not recorded.
"""

from __future__ import annotations

import itertools
import math
import os
import uuid
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import UnsupportedError
from sinograd.files.bands import read_bands, write_at

BLOCK_BYTES = 16 << 20

Block = tuple[Any, ...]
"""An index of planes that lie together: numbers of the outer dimensions, and a slice of the last before planes."""


@dataclass(frozen=True)
class Space:
    """Where stored tensors lie.

    Attributes:
        folder: of their files.
        block_bytes: of a tensor that are in memory at a time.
    """

    folder: Path
    block_bytes: int = BLOCK_BYTES

    def empty(self, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> StoredTensor:
        """A new tensor of zeros, which take no room yet; its file goes with the last tensor that looks into it."""
        path = self.folder / f"{uuid.uuid4().hex}.raw"
        with open(path, "xb") as file:
            os.truncate(file.fileno(), math.prod(shape) * dtype.itemsize)
        made = self.over(path, shape, dtype)
        weakref.finalize(made.file, _removed, path)
        return made

    def over(self, path: Path, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> StoredTensor:
        """The numbers of a file that stays: C order, little-endian, nothing else."""
        *leading, rows, columns = shape
        planes = np.arange(math.prod(leading)).reshape(leading)
        return StoredTensor(PlaneFile(path, (planes.size, rows, columns), dtype), self, planes, (0, rows))


@dataclass(frozen=True, eq=False)
class PlaneFile:
    """A file of planes [planes, rows, columns]."""

    path: Path
    shape: tuple[int, int, int]
    dtype: torch.dtype

    def read(self, planes: Sequence[int], rows: tuple[int, int]) -> Tensor:
        """Rows (first, end) of some planes, [planes, rows, columns]."""
        block = torch.empty((len(planes), rows[1] - rows[0], self.shape[2]), dtype=self.dtype)
        if block.numel():
            read_bands(self.path, 0, self.shape, (planes, rows[0]), block.numpy())
        return block

    def write(self, planes: Sequence[int], rows: tuple[int, int], block: Tensor) -> None:
        """The same, written."""
        row = self.shape[2] * self.dtype.itemsize
        values = block.numpy()
        descriptor = os.open(self.path, os.O_WRONLY)
        try:
            if rows == (0, self.shape[1]) and list(planes) == list(range(planes[0], planes[0] + len(planes))):
                write_at(descriptor, planes[0] * self.shape[1] * row, values)
                return
            for plane, band in zip(planes, values, strict=True):
                write_at(descriptor, (plane * self.shape[1] + rows[0]) * row, band)
        finally:
            os.close(descriptor)


class StoredTensor(Tensor):
    """See above; made by a `Space`.

    Attributes:
        file: of the numbers.
        space: where results go.
        planes: numbers of the planes in the file, of the shape of the leading dimensions.
        rows: (first, end) of the file's.
    """

    file: PlaneFile
    space: Space
    planes: np.ndarray
    rows: tuple[int, int]

    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore[reportAssignmentType]

    @staticmethod
    def __new__(  # noqa: D102
        cls: type[StoredTensor], file: PlaneFile, space: Space, planes: np.ndarray, rows: tuple[int, int]
    ) -> StoredTensor:
        shape = (*planes.shape, rows[1] - rows[0], file.shape[2])
        made = torch.Tensor._make_wrapper_subclass(cls, shape, dtype=file.dtype, device="cpu")  # type: ignore[attr-defined]
        made.file, made.space, made.planes, made.rows = file, space, planes, rows
        return made  # type: ignore[no-any-return]

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from sinograd.ops.stored_calls import called

        return called(function, args, kwargs or {})

    def view_of(self, planes: np.ndarray, rows: tuple[int, int] | None = None) -> StoredTensor:
        """Some of the planes, and of their rows (counted in the file), in the same file."""
        return StoredTensor(self.file, self.space, planes, self.rows if rows is None else rows)

    def read(self, block: Block = (...,)) -> Tensor:
        """Planes in memory; all of them by default."""
        planes = self.planes[block]
        found = self.file.read(planes.reshape(-1).tolist(), self.rows)
        return found.reshape(*planes.shape, *found.shape[1:])

    def write(self, block: Block, values: Tensor) -> None:
        """Planes, in the file from now on."""
        planes = self.planes[block].reshape(-1).tolist()
        if planes:
            self.file.write(planes, self.rows, values.reshape(len(planes), *values.shape[-2:]).contiguous())

    def __repr__(self, **_: Any) -> str:
        return f"StoredTensor({list(self.shape)}, {self.dtype}, {self.file.path})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return StoredTensor, (self.file, self.space, self.planes, self.rows)


def in_memory(tensor: Tensor) -> Tensor:
    """The numbers of a stored tensor; any other one as it is."""
    return tensor.read() if isinstance(tensor, StoredTensor) else tensor


def blocks_of(shape: Sequence[int], itemsize: int, block_bytes: int) -> Iterator[Block]:
    """All planes of a shape, so many at a time as `block_bytes` hold, and one at least."""
    *outer, last, rows, columns = shape
    count = max(1, block_bytes // max(1, rows * columns * itemsize))
    for place in itertools.product(*map(range, outer)):
        for first in range(0, last, count):
            yield (*place, slice(first, min(first + count, last)))


def in_blocks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Tensors of one shape in memory: blocks where one of them is stored, else the tensors themselves."""
    space = space_of(tensors)
    if space is None:
        yield tensors
        return
    for block in blocks_of(tensors[0].shape, max(tensor.dtype.itemsize for tensor in tensors), space.block_bytes):
        yield tuple(part_of(tensor, tensors[0].shape, block) for tensor in tensors)


def part_of(tensor: Tensor, shape: Sequence[int], block: Block) -> Tensor:
    """A block of a tensor that broadcasts to `shape`, in memory."""
    if not isinstance(tensor, StoredTensor):
        return tensor if tensor.ndim == 0 else tensor.expand(tuple(shape))[block]
    if tuple(tensor.shape) != tuple(shape):
        raise UnsupportedError(f"stored tensors are not broadcast: {list(tensor.shape)} to {list(shape)}")
    return tensor.read(block)


def space_of(tensors: Sequence[Any]) -> Space | None:
    """Of the first stored tensor."""
    return next((tensor.space for tensor in tensors if isinstance(tensor, StoredTensor)), None)


def drawn(shape: Sequence[int], like: Tensor, draw: Any) -> Tensor:
    """`draw(shape)` in the dtype, on the device and in the place of `like`; of a stored one drawn in blocks.

    draw: takes one number after another from its generator, so that blocks have the numbers of the whole.
    """
    if not isinstance(like, StoredTensor):
        return draw(tuple(shape)).to(like)  # type: ignore[no-any-return]
    made = like.space.empty(shape, like.dtype)
    for block in blocks_of(shape, 8, like.space.block_bytes):
        made.write(block, draw(tuple(made.planes[block].shape) + tuple(shape[-2:])).to(like.dtype))
    return made


def _removed(path: Path) -> None:
    path.unlink(missing_ok=True)
