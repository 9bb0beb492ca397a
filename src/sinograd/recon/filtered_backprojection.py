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

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.geometry import Geometry, Grid
from sinograd.geometry.surface import slid
from sinograd.ops.arguments import autocast, check_shape
from sinograd.ops.backprojection import add_backprojection, backproject
from sinograd.ops.lowering import is_curved
from sinograd.recon.angular import angular_sampling
from sinograd.recon.coverage import warn_of_missing_rays
from sinograd.recon.orbit import Orbit, check_axis_seen, circular_orbit
from sinograd.recon.ramp import filter_rows, ramp_taps
from sinograd.recon.redundancy import redundancy_weights
from sinograd.recon.truncation import check_truncation, extend_rows
from sinograd.recon.virtual_detector import VirtualDetector, upright_detector

# Without gradients: bytes of filtered projections backprojected at a time (a multiple of 24 views, the kernels' own
# block, and at least that) and bytes filtered at a time (filtering takes about ten times as much for a moment).
BLOCK_BYTES, BLOCK_VIEWS = 8 << 20, 24
STRIP_BYTES = 2 << 20
# The same on a GPU, whose kernels start too often otherwise.
GPU_BLOCK_BYTES, GPU_STRIP_BYTES = 1 << 30, 128 << 20

# Rad from the axis to which rows of a curved detector are continued at most.
WIDEST_FAN = 1.2

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """Everything about a scan that does not depend on its projections.

    Attributes:
        detector: the upright detector that is filtered.
        orbit: the scan's circle.
        steps: [views], rad.
        weights: redundancy weights, [views, columns].
        padding: columns of zeros before and after each row that make the detector symmetric about the axis.
        vectors: those of the upright detector with the padding, [views, 4 or 5, 3].
        tap_spacing: mm between columns, and the radius of a curved detector.
        continued: how rows go on beyond the detector before they are filtered; None: as zeros.
    """

    detector: VirtualDetector
    orbit: Orbit
    steps: Tensor
    weights: Tensor
    padding: tuple[int, int]
    vectors: Tensor
    tap_spacing: tuple[float, float | None]
    continued: Continuation | None = None

    @property
    def columns(self) -> int:
        """Columns of a padded row."""
        return self.orbit.fan.shape[1] + sum(self.padding)

    def default_taps(self, window: str, cutoff: float) -> Tensor:
        """Ramp taps for a padded (and continued) row, [2 columns - 1], float64."""
        spacing, radius = self.tap_spacing
        columns = self.columns if self.continued is None else self.orbit.fan.shape[1] + sum(self.continued.extension)
        return ramp_taps(columns, spacing, window, cutoff, radius)


@dataclass(frozen=True)
class Continuation:
    """Columns that rows are continued by: how many before and after (those of the padding among them), and the orbit of
    the rows with them."""

    extension: tuple[int, int]
    orbit: Orbit


def make_plan(geometry: Geometry, grid: Grid, algorithm: str, truncation: str = "none") -> Plan:
    """The plan of a scan; warns where rays through the grid are missing.

    Raises:
        ValueError: filtered backprojection is not defined for the geometry, or the detector does not see the axis.
    """
    detector = upright_detector(geometry, algorithm)
    vectors = detector.vectors
    orbit = circular_orbit(vectors, detector.shape, geometry.divergent, algorithm, geometry.scan == "helical")
    sampling = angular_sampling(orbit.angles)
    check_axis_seen(orbit, algorithm)
    warn_of_missing_rays(orbit, sampling, grid)
    padding = _symmetric_padding(vectors, orbit)
    spacing = vectors[:, 2].norm(dim=1)
    if float(spacing.max() - spacing.min()) > 1e-6 * float(spacing.max()):
        raise ValueError(f"geometry: {algorithm} needs the same column spacing in every view")
    radius = None
    if is_curved(vectors):
        radius = float((vectors[0, 1] - vectors[0, 4]).norm())
    check_truncation(truncation)
    return Plan(
        detector,
        orbit,
        sampling.steps,
        redundancy_weights(orbit, sampling),
        padding,
        _pad_vectors(vectors, padding),
        (float(spacing[0]), radius),
        None if truncation == "none" else _continue(vectors, detector.shape, orbit, padding, algorithm),
    )


def filtered_backprojection(
    projections: Tensor,
    plan: Plan,
    geometry: Geometry,
    grid: Grid,
    taps: Tensor,
    weights: Tensor | None,
    progress: Progress | None,
) -> Tensor:
    """[..., views, (rows,) columns] to [..., (z,) y, x]; differentiable in projections, taps and weights."""
    projections = autocast(projections)
    axes = ("views", "rows", "columns") if geometry.ndim == 3 else ("views", "columns")
    check_shape("projections", projections, "geometry.projection_shape", geometry.projection_shape, axes)
    _check_parameter("taps", taps)
    if weights is not None:
        _check_parameter("weights", weights)
        if tuple(weights.shape) != tuple(plan.weights.shape):
            raise ValueError(
                f"weights: expected [views, columns] {list(plan.weights.shape)}, got {list(weights.shape)}"
            )
    if projections.numel() == 0:
        return projections.new_zeros((*projections.shape[: projections.ndim - geometry.ndim], *grid.shape))
    inputs = [t for t in (projections, taps, weights) if t is not None]
    if torch.is_grad_enabled() and any(t.requires_grad for t in inputs):
        views = geometry.views
        filtered = _filter_views(projections, plan, geometry.ndim, taps, weights, slice(0, views))
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
) -> Tensor:
    """Adds the views from `first_view` on to `volume`, in place and without gradients, block by block.

    When `progress` is called with (done, views), `volume` holds views 0 to done - 1; going on from there later gives
    the same bits as going on at once.
    """
    views = geometry.views
    place = (grid.spacing, grid.center, plan.orbit.weighting)
    view_bytes = projections.numel() // views * projections.element_size()
    block_bytes = max(GPU_BLOCK_BYTES, volume.numel() // 2) if projections.is_cuda else BLOCK_BYTES
    block = BLOCK_VIEWS * max(1, block_bytes // max(1, BLOCK_VIEWS * view_bytes))
    for start in range(first_view, views, block):
        part = slice(start, min(start + block, views))
        filtered = _filter_block(projections, plan, geometry.ndim, taps, weights, part)
        add_backprojection(volume, filtered, plan.vectors[part], geometry.divergent, *place)
        if progress is not None:
            progress(part.stop, views)
    return volume


def _check_parameter(name: str, tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor, got {type(tensor).__name__}")
    if not tensor.is_floating_point():
        raise TypeError(f"{name}: expected floating-point numbers, got {tensor.dtype}")
    if not bool(torch.isfinite(tensor.detach()).all()):
        raise ValueError(f"{name}: expected finite values, got NaN or infinity")


def _filter_block(
    projections: Tensor, plan: Plan, ndim: int, taps: Tensor, weights: Tensor | None, part: slice
) -> Tensor:
    """Filtered views `part`, made strip by strip."""
    detector = (plan.detector.shape[0], plan.columns) if ndim == 3 else (plan.columns,)
    lead = projections.shape[: projections.ndim - ndim]
    filtered = projections.new_empty((*lead, part.stop - part.start, *detector))
    strip_bytes = GPU_STRIP_BYTES if projections.is_cuda else STRIP_BYTES
    strip = max(1, strip_bytes // max(1, math.prod(lead) * math.prod(detector) * projections.element_size()))
    for start in range(part.start, part.stop, strip):
        views = slice(start, min(start + strip, part.stop))
        target = slice(views.start - part.start, views.stop - part.start)
        index = (..., target, *[slice(None)] * len(detector))
        filtered[index] = _filter_views(projections, plan, ndim, taps, weights, views)
    return filtered


def _filter_views(
    projections: Tensor, plan: Plan, ndim: int, taps: Tensor, weights: Tensor | None, part: slice
) -> Tensor:
    """Weighted, padded and filtered views `part`."""
    orbit, keep = plan.orbit, None
    rows = plan.detector.read(projections[..., part, :, :], part) if ndim == 3 else projections[..., part, None, :]
    redundancy = plan.weights[part] if weights is None else weights[part]
    if plan.continued is not None:
        orbit, extension = plan.continued.orbit, plan.continued.extension
        rows = extend_rows(rows, orbit.distance[part], extension)
        redundancy = _continued_weights(redundancy, extension)
        first = extension[0] - plan.padding[0]
        keep = (first, first + plan.columns)
    per_column = redundancy * (orbit.numerator[part] * (plan.steps * orbit.scale)[part, None]).to(redundancy.device)
    weighted = rows * per_column.to(rows)[:, None, :]
    if orbit.divergent:
        squared = (orbit.horizontal[part, None, :] ** 2).to(rows) + (orbit.heights[part, :, None] ** 2).to(rows)
        weighted = weighted * squared.rsqrt_()
    if plan.continued is None and any(plan.padding):
        weighted = torch.nn.functional.pad(weighted, plan.padding)
    filtered = filter_rows(weighted, taps, keep)
    _check_finite(filtered.detach(), part)
    return filtered if ndim == 3 else filtered.squeeze(-2)


def _continued_weights(weights: Tensor, extension: tuple[int, int]) -> Tensor:
    """Weights [views, columns] for as many columns more before and after: those at the edge, or zero where they fall to
    zero half a column beyond it, as on the short side of an offset detector.
    """
    if weights.shape[1] < 2:
        return torch.nn.functional.pad(weights[None], extension, mode="replicate")[0]
    parts = [weights]
    for side, (edge, inner) in enumerate(((0, 1), (-1, -2))):
        last = weights[:, edge, None]
        last = torch.where(2 * last.detach() > weights.detach()[:, inner, None], last, 0.0)
        parts.insert(side * len(parts), last.expand(-1, extension[side]))
    return torch.cat(parts, dim=1)


def _check_finite(filtered: Tensor, part: slice) -> None:
    """A NaN anywhere in a row spreads over the filtered row, so that one element a row tells."""
    if not bool(torch.isfinite(filtered[..., 0]).all()):
        bad = ~torch.isfinite(filtered[..., 0])
        raise ValueError(
            f"projections: expected finite values, got NaN or infinity in {int(bad.sum())} rows of views "
            f"{part.start} to {part.stop - 1}"
        )


def _symmetric_padding(vectors: Tensor, orbit: Orbit) -> tuple[int, int]:
    """Columns to add before and after each row so that it reaches as far on both sides of the axis."""
    columns = orbit.fan.shape[1]
    first, last = float(orbit.fan[:, 0].median()), float(orbit.fan[:, -1].median())
    if orbit.divergent and not is_curved(vectors):
        first, last = math.tan(first), math.tan(last)
    if columns == 1 or first == last:
        return 0, 0
    step = abs(last - first) / (columns - 1)
    missing = round((abs(last) - abs(first)) / step)
    # fewer than two columns are not worth a copy
    return (max(missing, 0), max(-missing, 0)) if abs(missing) > 1 else (0, 0)


def _continue(
    vectors: Tensor, shape: tuple[int, int], orbit: Orbit, padding: tuple[int, int], algorithm: str
) -> Continuation:
    """As many columns as the padded row has on each side, in the place of zeros where the row is padded. Fewer where a
    curved detector would reach round the object.

    Where the short side of an offset detector sees what its long side sees from the other direction, its weights have
    fallen to zero, and so have those of the continuation.
    """
    columns = orbit.fan.shape[1]
    most = columns + sum(padding)
    if orbit.divergent and is_curved(vectors):
        step = float((orbit.fan[:, -1] - orbit.fan[:, 0]).abs().max()) / max(columns - 1, 1)
        most = min(most, max(1, int((WIDEST_FAN - float(orbit.fan.abs().max())) / step)))
    extension = (max(most, padding[0]), max(most, padding[1]))
    wide = slid(vectors, 0.0, (extension[1] - extension[0]) / 2)
    return Continuation(
        extension, circular_orbit(wide, (shape[0], columns + sum(extension)), orbit.divergent, algorithm)
    )


def _pad_vectors(vectors: Tensor, padding: tuple[int, int]) -> Tensor:
    """The vectors of the padded detector: its middle moves along the rows."""
    shift = (padding[1] - padding[0]) / 2
    return vectors if shift == 0 else slid(vectors, 0.0, shift)
