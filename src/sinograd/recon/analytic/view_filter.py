"""Views of a scan weighted, padded and filtered: in one differentiable expression, or strip by strip without gradients.

While a CUDA graph is captured nothing looks for NaN in projections, as the answer cannot be waited for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.ops.cuda.program import capturing
from sinograd.ops.device_cache import on_device
from sinograd.recon.analytic.plan import RayWeights, once
from sinograd.recon.analytic.ramp import circular_kernel, filter_rows
from sinograd.recon.analytic.truncation import extend_rows

if TYPE_CHECKING:
    from sinograd.recon.analytic.plan import Plan

# Bytes filtered at a time without gradients; the transforms take about eight times as much for a moment. On a GPU,
# whose kernels start too often otherwise, more.
STRIP_BYTES, GPU_STRIP_BYTES = 2 << 20, 128 << 20


def filter_views(
    projections: Tensor, plan: Plan, ndim: int, taps: Tensor, weights: Tensor | None, part: slice
) -> Tensor:
    """Views `part` [..., views, (rows,) columns] of a scan, filtered; differentiable in projections, taps, weights."""
    rows, rays = _rows(projections, plan, ndim, part), plan.rays
    redundancy = _redundancy(plan, weights)[part]
    per_column = redundancy * on_device(_views(rays.per_column, part), redundancy)
    weighted = rows * on_device(per_column, rows)[:, None, :]
    if rays.divergent:
        weighted = weighted * _inverse_lengths(rays, part, rows)
    if plan.continued is None and any(plan.padding):
        weighted = torch.nn.functional.pad(weighted, plan.padding)
    filtered = filter_rows(weighted, taps, _kept(plan))
    check_finite(filtered.detach(), part)
    return filtered if ndim == 3 else filtered.squeeze(-2)


@dataclass
class ViewFilter:
    """`filter_views` without gradients: rows are weighted on their way into the padded buffer that is transformed.

    Each call overwrites what the one before gave: buffers are used again, as new memory costs the CPU time.

    Attributes:
        plan, ndim: of the scan.
        per_column: [views or 1, 1, columns]; None where `per_pixel` holds it.
        per_pixel: [rows, columns]: weights that all views share; None where the rays' lengths differ among views.
        response: spectrum of the kernel.
        size: samples of a padded row.
        padded, filtered: the buffers.
    """

    plan: Plan
    ndim: int
    per_column: Tensor | None
    per_pixel: Tensor | None
    response: Tensor
    size: int
    padded: Tensor | None = None
    filtered: Tensor | None = None

    @classmethod
    def of(cls, plan: Plan, ndim: int, taps: Tensor, weights: Tensor | None, like: Tensor) -> ViewFilter:
        """With what all views share computed; `like` has the device and dtype of the projections."""
        rays, redundancy = plan.rays, _redundancy(plan, weights).detach()
        per_column = redundancy * on_device(rays.per_column, redundancy)
        if per_column.device.type == "cpu":
            per_column = once(per_column)
        per_column, per_pixel = on_device(per_column, like)[:, None, :], None
        if rays.divergent and len(rays.horizontal_squared) == len(rays.heights_squared) == 1:
            per_pixel = _inverse_lengths(rays, slice(None), like)[0]
            if len(per_column) == 1:
                per_pixel, per_column = per_pixel.mul_(per_column[0]), None
        columns = plan.rays.per_column.shape[1] if plan.continued is not None else plan.columns
        kernel = circular_kernel(on_device(taps.detach(), like), columns, _kept(plan))
        return cls(plan, ndim, per_column, per_pixel, torch.fft.rfft(kernel), len(kernel))

    def __call__(self, projections: Tensor, part: slice) -> Tensor:
        """Views `part` [..., views, (rows,) columns] of the scan, filtered."""
        plan, views = self.plan, part.stop - part.start
        lead = projections.shape[: projections.ndim - self.ndim]
        rows = plan.detector.shape[0] if self.ndim == 3 else 1
        filtered, padded = self._buffers(projections, (*lead, views, rows, plan.columns))
        strip = padded.shape[-3]
        first = 0 if plan.continued is None else _kept(plan)[0]
        for start in range(0, views, strip):
            some = slice(start, min(start + strip, views))
            of_scan = slice(part.start + some.start, part.start + some.stop)
            strip_rows = _rows(projections[(..., some, *[slice(None)] * (self.ndim - 1))], plan, self.ndim, of_scan)
            before = plan.padding[0] if plan.continued is None else 0
            buffer = padded[..., : some.stop - some.start, :, :]
            self._weigh(strip_rows, of_scan, buffer[..., before : before + strip_rows.shape[-1]])
            spectrum = torch.fft.rfft(buffer).mul_(self.response)
            filtered[..., some, :, :] = torch.fft.irfft(spectrum, n=self.size)[..., first : first + plan.columns]
        check_finite(filtered, part)  # once, as a GPU has to be waited for
        return filtered if self.ndim == 3 else filtered.squeeze(-2)

    def _buffers(self, like: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Of filtered views [..., views, rows, columns], and of a strip of them, zero beside the rows."""
        if self.filtered is None or self.padded is None or self.filtered.shape != shape:
            self.filtered = None
            self.filtered = like.new_empty(shape)
            strip = min(shape[-3], strip_views(self.filtered[..., :1, :, :].nbytes, like.is_cuda))
            if self.padded is None or self.padded.shape[-3] != strip:
                self.padded = like.new_zeros((*shape[:-3], strip, shape[-2], self.size))
        return self.filtered, self.padded

    def _weigh(self, rows: Tensor, part: slice, out: Tensor) -> None:
        """Writes weighted rows [..., views, rows, columns] to `out`."""
        per_column = None if self.per_column is None else _views(self.per_column, part)
        if self.per_pixel is not None:
            torch.mul(rows, self.per_pixel, out=out)
            if per_column is not None:
                out *= per_column
            return
        assert per_column is not None
        rays = self.plan.rays
        torch.mul(rows, _inverse_lengths(rays, part, rows).mul_(per_column) if rays.divergent else per_column, out=out)


def strip_views(view_bytes: int, on_gpu: bool) -> int:
    """Views filtered at a time."""
    return max(1, (GPU_STRIP_BYTES if on_gpu else STRIP_BYTES) // max(1, view_bytes))


def check_finite(filtered: Tensor, part: slice) -> None:
    """A NaN anywhere in a row spreads over the filtered row, so that one element a row tells."""
    if capturing(filtered.device):
        return
    if not bool(torch.isfinite(filtered[..., 0]).all()):
        bad = ~torch.isfinite(filtered[..., 0])
        raise InputError(
            f"projections: expected finite values, got NaN or infinity in {int(bad.sum())} rows of views "
            f"{part.start} to {part.stop - 1}"
        )


def _rows(projections: Tensor, plan: Plan, ndim: int, part: slice) -> Tensor:
    """[..., views, rows, columns]: views `part` as the upright detector sees them, continued."""
    rows = plan.detector.read(projections, part) if ndim == 3 else projections[..., None, :]
    if plan.continued is None:
        return rows
    return extend_rows(rows, plan.continued.orbit.distance[part], plan.continued.extension)


def _kept(plan: Plan) -> tuple[int, int]:
    """First and last column, excluded, of continued (or padded) rows that are backprojected."""
    first = 0 if plan.continued is None else plan.continued.extension[0] - plan.padding[0]
    return first, first + plan.columns


def _redundancy(plan: Plan, weights: Tensor | None) -> Tensor:
    """[views, columns] of the rows that are filtered."""
    weights = plan.weights if weights is None else weights
    return weights if plan.continued is None else _continued_weights(weights, plan.continued.extension)


def _views(values: Tensor, part: slice) -> Tensor:
    """Those of views `part` of [views, ...]; of [1, ...] the one that all views have."""
    return values if len(values) == 1 else values[part]


def _inverse_lengths(rays: RayWeights, part: slice, like: Tensor) -> Tensor:
    """[views or 1, rows, columns], 1/mm, new."""
    across, up = (_views(on_device(v, like), part) for v in (rays.horizontal_squared, rays.heights_squared))
    return (across[:, None, :] + up[:, :, None]).rsqrt_()


def _continued_weights(weights: Tensor, extension: tuple[int, int]) -> Tensor:
    """Weights [views, columns] for as many columns more before and after: those at the edge, or zero where they fall to
    zero half a column beyond it, as on the short side of an offset detector.
    """
    if weights.shape[1] < 2:
        return torch.nn.functional.pad(weights[None], extension, mode="replicate")[0]
    parts = [weights]
    for side, (edge, inner) in enumerate(((0, 1), (-1, -2))):
        last = weights[:, edge, None]
        last = last.masked_fill(2 * last.detach() <= weights.detach()[:, inner, None], 0.0)
        parts.insert(side * len(parts), last.expand(-1, extension[side]))
    return torch.cat(parts, dim=1)
