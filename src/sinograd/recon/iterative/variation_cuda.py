"""Total variation's kernels on a GPU: which program, how many blocks, which arguments. `total_variation` says what the
functions do."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.ops.cuda import Program, launch

_THREADS = ((256, 1), (32, 8))  # columns and rows of a block: of images with one row, and of others

Layout = tuple[tuple[int, ...], tuple[float, ...], int]  # shape (batch, z, y, x), factors along z, y, x, axes


def value(x: Tensor, layout: Layout, smoothing: float) -> Tensor:
    """The sum of each image, [batch] float64, in the same order every time."""
    program, blocks, threads = _grid(x, layout)
    parts = torch.empty(blocks, dtype=torch.float64, device=x.device)
    launch(program, "variation_value", blocks, threads, x, parts, *_extent(layout), *_reals(x, *layout[1], smoothing))
    return parts.view(layout[0][0], -1).sum(-1)


def ascend(x: Tensor, dual: Tensor, ahead: Tensor, layout: Layout, step: float, limit: float, momentum: float) -> None:
    """A step of the dual; in place."""
    program, blocks, threads = _grid(x, layout)
    numbers = _reals(x, *[step * factor for factor in layout[1]], 1 / limit, 1 + momentum)
    launch(program, "variation_ascend", blocks, threads, x, dual, ahead, *_extent(layout), *numbers)


def descend(b: Tensor, field: Tensor, out: Tensor, layout: Layout, scale: float, bounds: tuple[float, float]) -> None:
    """Writes b + scale * divergence(field), within bounds, to out, which may be b."""
    program, blocks, threads = _grid(b, layout)
    numbers = _reals(b, *[scale * factor for factor in layout[1]], *bounds)
    launch(program, "variation_descend", blocks, threads, b, field, out, *_extent(layout), *numbers)


def _grid(x: Tensor, layout: Layout) -> tuple[Program, int, tuple[int, int]]:
    """Program, blocks and threads for images of a layout; the blocks of an image follow each other."""
    (batch, depth, height, width), _, axes = layout
    columns, rows = _THREADS[height > 1]
    real = "float" if x.dtype == torch.float32 else "double"
    program = Program.of("total_variation.cu", REAL=real, AXES=axes, COLUMNS=columns, ROWS=rows)
    return program, batch * depth * math.ceil(height / rows) * math.ceil(width / columns), (columns, rows)


def _extent(layout: Layout) -> tuple[np.int64, ...]:
    return tuple(np.int64(n) for n in layout[0])


def _reals(x: Tensor, *numbers: float) -> tuple[np.generic, ...]:
    """Numbers of the dtype of a tensor."""
    kind: Any = np.float32 if x.dtype == torch.float32 else np.float64
    return tuple(kind(number) for number in numbers)
