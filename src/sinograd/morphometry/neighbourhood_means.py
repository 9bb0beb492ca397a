"""Means over the neighbourhood of each voxel, by FFT in blocks of slices; differentiable to any order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import scipy.fft
import torch
from torch import Tensor

from sinograd.ops.derivatives import linear

_BLOCK_BYTES = 48 << 20  # of one transform
_FEW = 8  # means that are summed one after the other


def neighbourhood_means(values: Tensor, ball: Tensor, *, valid: bool = False) -> Tensor:
    """Means of values [..., Z, Y, X] over `ball` [z, y, x] about each voxel.

    Of the same shape, where at the border the voxels inside the volume count; or with `valid` only where all of them
    are inside, [..., Z - z + 1, Y - y + 1, X - x + 1]. ball: booleans, symmetric, sides odd and not above the volume's.
    """
    if valid and math.prod(n - m + 1 for n, m in zip(values.shape[-3:], ball.shape, strict=True)) <= _FEW:
        return _summed(values, ball)
    means = linear(values, partial(_means, ball=ball, adjoint=False), partial(_means, ball=ball, adjoint=True))
    return inner(means, ball) if valid else means


def neighbourhood_counts(shape: Sequence[int], ball: Tensor, device: Any = None) -> Tensor:
    """How many voxels of the ball about each voxel are inside a volume of that shape, [Z, Y, X] float64."""
    return _Counts.of(shape, ball).between(0, shape[-3], torch.float64, device)


def inner(values: Tensor, ball: Tensor) -> Tensor:
    """The part of [..., Z, Y, X] whose neighbourhoods are inside."""
    z, y, x = ((n - 1) // 2 for n in ball.shape)
    depth, rows, columns = values.shape[-3:]
    return values[..., z : depth - z, y : rows - y, x : columns - x]


def _summed(values: Tensor, ball: Tensor) -> Tensor:
    """The means of whole neighbourhoods, where there are few: a patch as large as its sphere has one."""
    weights = (ball.double() / ball.sum()).to(dtype=values.dtype, device=values.device)
    sides = [n - m + 1 for n, m in zip(values.shape[-3:], ball.shape, strict=True)]
    boxes = itertools.product(*map(range, sides))
    z, y, x = ball.shape
    means = [(values[..., a : a + z, b : b + y, c : c + x] * weights).sum((-3, -2, -1)) for a, b, c in boxes]
    return torch.stack(means, -1).reshape(*values.shape[:-3], *sides)


def _means(values: Tensor, ball: Tensor, adjoint: bool) -> Tensor:
    """Sums over the ball, divided by how many of its voxels are inside: after the sums, in the adjoint before."""
    counts = _Counts.of(values.shape, ball)
    flat = values.reshape(-1, *values.shape[-3:])
    sums = torch.empty_like(flat, memory_format=torch.contiguous_format)
    transform = _Transform.of(flat, ball)
    for batch, first, end in transform.blocks(flat.shape):
        low, high = max(first - transform.reach, 0), min(end + transform.reach, flat.shape[1])
        part = flat[batch, low:high]
        if adjoint:
            part = part / counts.between(low, high, flat.dtype, flat.device)
        block = transform(part)[:, first - low : end - low, : flat.shape[2], : flat.shape[3]]
        if not adjoint:
            block = block / counts.between(first, end, flat.dtype, flat.device)
        sums[batch, first:end] = block
    return sums.reshape(values.shape)


@dataclass(frozen=True)
class _Transform:
    """Sums over the ball of some slices, by FFT with enough zeros that nothing wraps into the slices that are kept.

    sides: of the transform. response: the ball's spectrum, real as the ball is symmetric. slices: that a block keeps.
    reach: slices that it needs on both sides.
    """

    sides: tuple[int, int, int]
    response: Tensor
    slices: int
    reach: int

    @classmethod
    def of(cls, values: Tensor, ball: Tensor) -> _Transform:
        """For values [B, Z, Y, X]."""
        z, y, x = ((n - 1) // 2 for n in ball.shape)
        depth = values.shape[1]
        plane = (_good_length(values.shape[2] + y), _good_length(values.shape[3] + x))
        fitting = _BLOCK_BYTES // (values.element_size() * plane[0] * plane[1]) - 2 * z
        slices = min(depth, max(fitting, 2 * z, 1))
        # The rounding up to a good length is for slices, too.
        length = _good_length(slices + 2 * z)
        slices = min(depth, length - 2 * z)
        wrapped = torch.zeros(length, *plane, dtype=torch.float64)
        wrapped[: ball.shape[0], : ball.shape[1], : ball.shape[2]] = ball.cpu().double()
        wrapped = wrapped.roll((-z, -y, -x), (0, 1, 2))
        response = torch.fft.rfftn(wrapped).real.to(device=values.device, dtype=values.dtype)
        return cls((length, *plane), response, slices, z)

    def blocks(self, shape: Sequence[int]) -> Iterator[tuple[slice, int, int]]:
        """Volumes, first and end slice of each block."""
        many = 1 if self.slices < shape[1] else max(1, _BLOCK_BYTES // (8 * self.response.numel()))
        for volume in range(0, shape[0], many):
            for first in range(0, shape[1], self.slices):
                yield slice(volume, min(volume + many, shape[0])), first, min(first + self.slices, shape[1])

    def __call__(self, part: Tensor) -> Tensor:
        """[b, slices, Y, X] to [b, *sides], whose first entries are the sums about the part's voxels."""
        axes = (-3, -2, -1)
        spectrum = torch.fft.rfftn(part, s=self.sides, dim=axes)
        spectrum *= self.response
        return torch.fft.irfftn(spectrum, s=self.sides, dim=axes)


@dataclass(frozen=True)
class _Counts:
    """Voxels of the ball inside the volume: only those near the faces have others than the middle.

    near: for the distinct distances to the faces, of the ball's shape. index: which of them each slice, row, column is.
    """

    near: Tensor
    index: tuple[Tensor, Tensor, Tensor]

    @classmethod
    def of(cls, shape: Sequence[int], ball: Tensor) -> _Counts:
        """For volumes [..., Z, Y, X]."""
        member = ball.cpu().double()
        sides = [_good_length(2 * n) for n in ball.shape]
        spectra = [torch.fft.rfftn(part, s=sides) for part in (torch.ones_like(member), member)]
        sums = torch.fft.irfftn(spectra[0] * spectra[1], s=sides).round()
        z, y, x = ((n - 1) // 2 for n in ball.shape)
        near = sums[z : z + ball.shape[0], y : y + ball.shape[1], x : x + ball.shape[2]]
        index = [_distances(n, (m - 1) // 2) for n, m in zip(shape[-3:], ball.shape, strict=True)]
        return cls(near, (index[0], index[1], index[2]))

    def between(self, first: int, end: int, dtype: torch.dtype, device: Any) -> Tensor:
        """Of slices first to end - 1, [end - first, Y, X]."""
        z, y, x = self.index
        planes = self.near[z[first:end]].to(dtype=dtype, device=device)
        return planes[:, y.to(planes.device)][:, :, x.to(planes.device)]


def _distances(n: int, reach: int) -> Tensor:
    """0 to reach - 1 at the near face, reach in the middle, reach + 1 to 2 reach at the far face."""
    position = torch.arange(n)
    far = 2 * reach + 1 - (n - position)
    return torch.where(position < reach, position, torch.where(far > reach, far, reach))


def _good_length(least: int) -> int:
    """The next length that transforms fast."""
    length: Any = scipy.fft.next_fast_len(least)
    return length
