"""The bilateral filter's kernels on a GPU: which program, how many blocks, which arguments."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sinograd.ops.bilateral_reference import Filtered
from sinograd.ops.cuda import Program, launch
from sinograd.ops.window import Layout

COLUMNS = 32
# Rows of a block and voxels of a thread along z, the best first; the first whose tiles fit is taken.
TILES = ((8, 4), (8, 2), (4, 4), (4, 2), (8, 1), (4, 1))
SHARED_BYTES = 48 * 1024  # what every GPU gives a block without being asked
SUMS_BYTES = 8  # of a thread, for the sums over a block


@dataclass(frozen=True)
class Grid:
    """A program and the blocks it runs in."""

    program: Program
    threads: tuple[int, int]
    blocks: int


def grid_of(layout: Layout, dtype: torch.dtype, joint: bool, backward: bool) -> Grid:
    """The program for a filter and the grid for a volume.

    Tiles of all arrays are staged in shared memory where 48 KiB hold them; else neighbours are read where they lie.
    """
    batch, depth, height, width = layout.shape
    radii = [w // 2 for w in layout.window]
    arrays = (3 if backward else 1) + joint
    rows, outputs, staged = 8, min(4, depth), False
    for rows_here, outputs_here in TILES:
        tile = math.prod(n + 2 * r for n, r in zip((outputs_here, rows_here, COLUMNS), radii, strict=True))
        used = arrays * tile * dtype.itemsize + backward * SUMS_BYTES * COLUMNS * rows_here
        if outputs_here <= max(depth, 1) and used <= SHARED_BYTES:
            rows, outputs, staged = rows_here, outputs_here, True
            break
    program = Program.of(
        "bilateral.cu",
        REAL="float" if dtype == torch.float32 else "double",
        JOINT=joint,
        BACKWARD=backward,
        RADIUS_Z=radii[0],
        RADIUS_Y=radii[1],
        RADIUS_X=radii[2],
        ROWS=rows,
        OUTPUTS=outputs,
        STAGED=staged,
    )
    blocks = batch * -(-depth // outputs) * -(-height // rows) * -(-width // COLUMNS)
    return Grid(program, (COLUMNS, rows), blocks)


def forward(
    x: Tensor, guide: Tensor | None, sigma_spatial: Tensor, sigma_range: Tensor, layout: Layout
) -> tuple[Tensor, Tensor]:
    """Filtered volume and normaliser of contiguous tensors. No value is read from the device."""
    output, normaliser = torch.empty_like(x), torch.empty_like(x)
    if x.numel():
        grid = grid_of(layout, x.dtype, guide is not None, backward=False)
        tensors = x, x if guide is None else guide, output, normaliser, _sigmas(sigma_spatial, sigma_range)
        launch(grid.program, "bilateral_forward", grid.blocks, grid.threads, *tensors, *_extent(layout))
    return output, normaliser


def backward(
    grad_output: Tensor, grad_normaliser: Tensor | None, call: Filtered, layout: Layout
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients to x, guide (empty for the plain filter), sigma_spatial and sigma_range."""
    x, guide, sigma_spatial, sigma_range = call.x, call.guide, call.sigma_spatial, call.sigma_range
    grad_x = torch.empty_like(x)
    grad_guide = x.new_empty(0) if guide is None else torch.empty_like(x)
    if not x.numel():
        return grad_x, grad_guide, torch.zeros_like(sigma_spatial), torch.zeros_like(sigma_range)
    grid = grid_of(layout, x.dtype, guide is not None, backward=True)
    scaled, excess = torch.empty_like(x), torch.empty_like(x)
    pulled = grad_output, grad_normaliser, x, call.output, call.normaliser, scaled, excess, np.int64(x.numel())
    threads = math.prod(grid.threads)
    launch(grid.program, "bilateral_pull_back", -(-x.numel() // threads), grid.threads, *pulled)
    sigmas = _sigmas(sigma_spatial, sigma_range)
    parts, grads = sigmas.new_empty(grid.blocks, 4), torch.empty_like(sigmas)
    tensors = x, x if guide is None else guide, scaled, excess, grad_x, grad_guide, parts, sigmas
    launch(grid.program, "bilateral_backward", grid.blocks, grid.threads, *tensors, *_extent(layout))
    launch(grid.program, "bilateral_sigmas", 1, grid.threads, parts, np.int64(grid.blocks), sigmas, grads)
    grad_spatial = grads[3 - sigma_spatial.numel() : 3].to(sigma_spatial.dtype)
    return grad_x, grad_guide, grad_spatial, grads[3].to(sigma_range.dtype)


def _sigmas(sigma_spatial: Tensor, sigma_range: Tensor) -> Tensor:
    """z, y, x (1 where there is no such axis), range, in float64 on the device of the tensors."""
    sigmas = torch.ones(4, dtype=torch.float64, device=sigma_spatial.device)
    sigmas[3 - sigma_spatial.numel() : 3] = sigma_spatial.detach()
    sigmas[3] = sigma_range.detach()
    return sigmas


def _extent(layout: Layout) -> tuple[np.int64, ...]:
    return tuple(np.int64(n) for n in layout.shape[1:])
