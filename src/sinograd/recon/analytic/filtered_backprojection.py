"""Filtered backprojection over views, shared by `fdk` and `fbp`: weight, filter, backproject.

Flat detectors: for rays (a, u) of a source on a circle of radius R, a detector plane at distance D from the source
and W the depth of a voxel along the detector's normal, parallel-beam inversion becomes

    f = sum over views of  da D / W^2  (h * (w R cos(gamma) cos(kappa) p)) (u)

with h the ramp filter in u, w the redundancy weight, gamma the ray's angle from the ray through the axis and kappa
its elevation. It holds wherever the principal point lies, so shifted and turned detectors and sources need no
resampling. Curved detectors: da / L^2 and the equiangular kernel, L the in-plane distance to the voxel. Kak & Slaney
(1988), chapters 3.4 and 3.6; Feldkamp, Davis, Kress (1984).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import Geometry, Grid
from sinograd.ops.arguments import autocast, check_shape
from sinograd.ops.backprojection import add_backprojection, backproject
from sinograd.ops.cuda.program import capturing
from sinograd.ops.memory import enough_memory
from sinograd.ops.transfers import uploaded
from sinograd.recon.analytic.plan import Plan
from sinograd.recon.analytic.view_filter import ViewFilter, filter_views

# Without gradients: bytes of filtered projections backprojected at a time (a multiple of 24 views, the kernels' own
# block, and at least that).
BLOCK_BYTES, BLOCK_VIEWS = 8 << 20, 24
# On a GPU, whose kernels start too often otherwise: at least this, and more where the volume is large, as every block
# reads and writes all of it.
GPU_BLOCK_BYTES, GPU_BLOCK_SHARE = 1 << 30, 8

# Where a GPU has too little memory.
IN_SLABS = 'projections in host memory are reconstructed in parts that fit: fdk(projections.cpu(), ..., device="cuda")'

Progress = Callable[[int, int], None]


def filtered_backprojection(
    projections: Tensor,
    plan: Plan,
    geometry: Geometry,
    grid: Grid,
    taps: Tensor,
    weights: Tensor | None,
    progress: Progress | None,
) -> Tensor:
    """[..., views, (rows,) columns] to [..., (z,) y, x]; differentiable in projections, taps and weights.

    After a first call it can be captured in a CUDA graph, which does not look for NaN.
    """
    projections = autocast(projections)
    check_inputs(projections, plan, geometry, taps, weights)
    shape = (*projections.shape[: projections.ndim - geometry.ndim], *grid.shape)
    if projections.numel() == 0:
        return projections.new_zeros(shape)
    with enough_memory("filtered backprojection", projections, shape, IN_SLABS):
        return _reconstruct(projections, plan, geometry, grid, taps, weights, progress)


def _reconstruct(
    projections: Tensor,
    plan: Plan,
    geometry: Geometry,
    grid: Grid,
    taps: Tensor,
    weights: Tensor | None,
    progress: Progress | None,
) -> Tensor:
    if wants_gradients(projections, taps, weights):
        views = geometry.views
        filtered = filter_views(projections, plan, geometry.ndim, taps, weights, slice(0, views))
        place = (grid.spacing, grid.center, plan.orbit.weighting)
        volume = backproject(filtered, plan.vectors, geometry.divergent, grid.shape, *place)
        if progress is not None:
            progress(views, views)
        return volume
    volume = projections.new_zeros((*projections.shape[: projections.ndim - geometry.ndim], *grid.shape))
    return add_filtered_backprojection(volume, projections, plan, geometry, grid, taps, weights, progress)


def add_filtered_backprojection(
    volume: Tensor,
    projections: Tensor,
    plan: Plan,
    geometry: Geometry,
    grid: Grid,
    taps: Tensor,
    weights: Tensor | None = None,
    progress: Progress | None = None,
    first_view: int = 0,
    block: int | None = None,
) -> Tensor:
    """Adds the views from `first_view` on to `volume`, in place and without gradients, block by block.

    Projections may stay in host memory while the volume is on a GPU: blocks are copied there while others are computed
    with. `block`: views in one; by default as many as suit the device.

    When `progress` is called with (done, views), `volume` holds views 0 to done - 1; going on from there later gives
    the same bits as going on at once.
    """
    views, ndim = geometry.views, geometry.ndim
    place = (grid.spacing, grid.center, plan.orbit.weighting)
    if block is None:
        block = block_views(volume.nbytes, projections.nbytes // views, volume.is_cuda)
    parts = [slice(start, min(start + block, views)) for start in range(first_view, views, block)]
    pieces = (projections[(..., part, *[slice(None)] * (ndim - 1))] for part in parts)
    if projections.device != volume.device:
        pieces = uploaded(pieces, volume.device)
    filtered = ViewFilter.of(plan, ndim, taps, weights, volume)
    for part, piece in zip(parts, pieces, strict=True):
        add_backprojection(volume, filtered(piece, part), plan.vectors[part], geometry.divergent, *place)
        if progress is not None:
            progress(part.stop, views)
    return volume


def block_views(volume_bytes: int, view_bytes: int, on_gpu: bool) -> int:
    """Views backprojected at a time."""
    size = max(GPU_BLOCK_BYTES, volume_bytes // GPU_BLOCK_SHARE) if on_gpu else BLOCK_BYTES
    return BLOCK_VIEWS * max(1, size // max(1, BLOCK_VIEWS * view_bytes))


def wants_gradients(*inputs: Tensor | None) -> bool:
    """Whether autograd records what is done with any of the tensors."""
    return torch.is_grad_enabled() and any(t.requires_grad for t in inputs if t is not None)


def check_inputs(projections: Tensor, plan: Plan, geometry: Geometry, taps: Tensor, weights: Tensor | None) -> None:
    """Shapes, dtypes and finite taps and weights; see `fdk`."""
    axes = ("views", "rows", "columns") if geometry.ndim == 3 else ("views", "columns")
    check_shape("projections", projections, "geometry.projection_shape", geometry.projection_shape, axes)
    _check_parameter("taps", taps)
    if weights is not None:
        _check_parameter("weights", weights)
        if tuple(weights.shape) != tuple(plan.weights.shape):
            raise InputError(
                f"weights: expected [views, columns] {list(plan.weights.shape)}, got {list(weights.shape)}"
            )


def _check_parameter(name: str, tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise InputTypeError(f"{name}: expected a torch.Tensor, got {type(tensor).__name__}")
    if not tensor.is_floating_point():
        raise InputTypeError(f"{name}: expected floating-point numbers, got {tensor.dtype}")
    if not capturing(tensor.device) and not bool(torch.isfinite(tensor.detach()).all()):
        raise InputError(f"{name}: expected finite values, got NaN or infinity")
