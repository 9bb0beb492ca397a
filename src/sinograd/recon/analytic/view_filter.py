"""Views of a scan weighted, padded and filtered: in one differentiable expression, or without gradients.

Without gradients a row's bits depend on nothing but the row. The CPU has kernels for that (`row_filter`). On a GPU FFTs
differ in their last bits with the number of rows that they transform at a time, so that rows are transformed in blocks
of one shape, which the length of a row decides.

While a CUDA graph is captured nothing looks for NaN in projections, as the answer cannot be waited for.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.ops.cuda.program import capturing
from sinograd.ops.derivatives import transformed
from sinograd.ops.device_cache import on_device
from sinograd.recon.analytic.circular import CircularScan, RayWeights
from sinograd.recon.analytic.orbit import once
from sinograd.recon.analytic.ramp import circular_kernel, filter_rows
from sinograd.recon.analytic.row_filter import RowFilter, Weights
from sinograd.recon.analytic.truncation import extend_rows

# Bytes filtered at a time without gradients; the transforms take about eight times as much for a moment. On a GPU,
# whose kernels start too often otherwise, more.
STRIP_BYTES, GPU_STRIP_BYTES = 2 << 20, 128 << 20
# Numbers in a block of rows that a GPU transforms at a time.
GPU_BLOCK_NUMBERS = 1 << 21


def filter_views(projections: Tensor, scan: CircularScan, taps: Tensor, weights: Tensor, part: slice) -> Tensor:
    """Views [..., views, (rows,) columns] of a scan, filtered; differentiable in projections, taps and weights.

    Args:
        projections: of the views `part`.
        scan: of all views.
        taps: of the filter.
        weights: redundancy weights [views, columns] of the views `part`.
        part: which views, of the scan.
    """
    rows, rays = _rows(projections, scan, part), scan.rays
    redundancy = _redundancy(scan, weights)
    per_column = redundancy * on_device(_views(rays.per_column, part), redundancy)
    weighted = rows * on_device(per_column, rows)[:, None, :]
    if rays.divergent:
        weighted = weighted * _inverse_lengths(rays, part, rows)
    if scan.continued is None and any(scan.padding):
        weighted = torch.nn.functional.pad(weighted, scan.padding)
    filtered = filter_rows(weighted, taps, scan.kept_columns)
    check_finite(filtered.detach(), part)
    return filtered if scan.ndim == 3 else filtered.squeeze(-2)


@dataclass
class ViewFilter:
    """`filter_views` without gradients: rows are weighted on their way into the padded buffer that is transformed.

    Each call overwrites what the one before gave: buffers are used again, as new memory costs the CPU time.

    Attributes:
        scan: all views.
        per_column: [views or 1, 1, columns]; None where `per_pixel` holds it.
        per_pixel: [rows, columns]: weights that all views share; None where the rays' lengths differ among views.
        response: spectrum of the kernel, for a GPU.
        size: samples of a padded row.
        on_cpu: the filter for the kernels of the CPU, which need no `padded`.
        padded, filtered: the buffers.
    """

    scan: CircularScan
    per_column: Tensor | None
    per_pixel: Tensor | None
    response: Tensor | None
    size: int
    on_cpu: RowFilter | None = None
    padded: Tensor | None = None
    filtered: Tensor | None = None

    @classmethod
    def of(cls, scan: CircularScan, taps: Tensor, weights: Tensor, like: Tensor) -> ViewFilter:
        """With what all views share computed; `like` has the device and dtype of the projections."""
        rays, redundancy = scan.rays, _redundancy(scan, weights).detach()
        if redundancy.device.type == "cpu":
            redundancy = once(redundancy)
        per_column = redundancy * on_device(rays.per_column, redundancy)
        per_column, per_pixel = on_device(per_column, like)[:, None, :], None
        if rays.divergent and len(rays.horizontal_squared) == len(rays.heights_squared) == 1:
            per_pixel = _inverse_lengths(rays, slice(None), like)[0]
            if len(per_column) == 1:
                per_pixel, per_column = per_pixel.mul_(per_column[0]), None
        kernel = circular_kernel(on_device(taps.detach(), like), scan.filtered_columns, scan.kept_columns)
        on_cpu, response = None, None
        if like.device.type == "cpu":
            before = scan.padding[0] if scan.continued is None else 0
            on_cpu = RowFilter.of(kernel, redundancy.shape[1], before, scan.kept_columns)
        else:
            response = torch.fft.rfft(kernel)
        return cls(scan, per_column, per_pixel, response, len(kernel), on_cpu)

    def __call__(self, projections: Tensor, part: slice) -> Tensor:
        """Views `part` [..., views, (rows,) columns] of the scan, filtered."""
        scan, views, ndim = self.scan, part.stop - part.start, self.scan.ndim
        lead = projections.shape[: projections.ndim - ndim]
        shape = (*lead, views, scan.detector.row_count if ndim == 3 else 1, scan.columns)
        if self.on_cpu is not None:
            if self.filtered is None or self.filtered.shape != shape:
                self.filtered = projections.new_empty(shape)
            filtered = self.filtered
            self._filter_on_cpu(projections, part, filtered)
        else:
            filtered = self._filtered_by_torch(projections, part, shape)
        check_finite(filtered, part)  # once, as a GPU has to be waited for
        return filtered if ndim == 3 else filtered.squeeze(-2)

    def _filter_on_cpu(self, projections: Tensor, part: slice, out: Tensor) -> None:
        scan, detector = self.scan, self.scan.detector
        assert self.on_cpu is not None
        shared = self.per_pixel is not None or not scan.rays.divergent
        if scan.ndim == 3 and scan.continued is None and detector.turned_alike and shared:
            for taps in detector.shared_taps(projections):
                self.on_cpu.images(projections, taps, self._weights(part, taps.rows), out)
            return
        as_they_are = scan.continued is None and (scan.ndim == 2 or detector.homographies is None)
        views = part.stop - part.start
        step = max(1, views if as_they_are else min(views, strip_views(out[..., :1, :, :].nbytes, False)))
        several, outs = (t.reshape(-1, *t.shape[-n:]) for t, n in ((projections, scan.ndim), (out, 3)))
        for one, target in zip(several, outs, strict=True):
            for start in range(0, views, step):
                some = slice(start, min(start + step, views))
                of_scan = slice(part.start + some.start, part.start + some.stop)
                rows, weights = _rows(one[some], scan, of_scan), self._weights(of_scan)
                if not shared:
                    rows, weights = rows * self._lengths_and_columns(rows, of_scan), Weights(None, None)
                self.on_cpu.rows(rows, weights, target[some])

    def _weights(self, part: slice, rows: tuple[int, int] | None = None) -> Weights:
        """Those of views `part` and, of tilted detectors, some rows; but for lengths that differ among views."""
        columns = None if self.per_column is None else _views(self.per_column, part)[:, 0]
        return Weights(None if self.per_pixel is None else self.per_pixel[slice(*rows or (None,))], columns)

    def _lengths_and_columns(self, rows: Tensor, part: slice) -> Tensor:
        """Weights [views or 1, rows, columns] where they differ among views."""
        assert self.per_column is not None
        per_column, rays = _views(self.per_column, part), self.scan.rays
        return _inverse_lengths(rays, part, rows).mul_(per_column) if rays.divergent else per_column

    def _filtered_by_torch(self, projections: Tensor, part: slice, shape: tuple[int, ...]) -> Tensor:
        scan, views, before = self.scan, shape[-3], self.scan.padding[0] if self.scan.continued is None else 0
        filtered, padded = self._buffers(projections, shape)
        strip = min(views, strip_views(filtered[..., :1, :, :].nbytes, True))
        for start in range(0, views, strip):
            some = slice(start, min(start + strip, views))
            of_scan = slice(part.start + some.start, part.start + some.stop)
            strip_rows = _rows(projections[(..., some, *[slice(None)] * (scan.ndim - 1))], scan, of_scan)
            used = strip_rows.shape
            buffer = padded.flatten(0, 1)[: used[:-1].numel()].view(*used[:-1], self.size)
            self._weigh(strip_rows, of_scan, buffer[..., before : before + used[-1]])
            self._transform(padded, filtered[..., some, :, :])
        return filtered

    def _buffers(self, like: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Of filtered views [..., views, rows, columns], and of the rows of a strip of them: [blocks, rows, size], zero
        beside the rows."""
        if self.filtered is None or self.padded is None or self.filtered.shape != shape:
            self.filtered = None
            self.filtered = like.new_empty(shape)
            one = self.filtered[..., :1, :, :]
            strip = min(shape[-3], strip_views(one.nbytes, True)) * one.shape[:-1].numel()
            block = max(2, GPU_BLOCK_NUMBERS // self.size)
            blocks = -(-strip // block)
            if self.padded is None or self.padded.shape[:2] != (blocks, block):
                self.padded = like.new_zeros((blocks, block, self.size))
        return self.filtered, self.padded

    def _weigh(self, rows: Tensor, part: slice, out: Tensor) -> None:
        """Writes weighted rows [..., views, rows, columns] to `out`."""
        if self.per_pixel is not None:
            torch.mul(rows, self.per_pixel, out=out)
            if self.per_column is not None:
                out *= _views(self.per_column, part)
            return
        torch.mul(rows, self._lengths_and_columns(rows, part), out=out)

    def _transform(self, padded: Tensor, out: Tensor) -> None:
        """Writes the filtered rows of the first blocks [blocks, rows, size] to `out` [..., columns]."""
        first, count = self.scan.kept_columns[0], out.shape[:-1].numel()
        flat = out.view(count, -1) if out.is_contiguous() else out.new_empty(count, out.shape[-1])
        height = padded.shape[1]
        for number in range(-(-count // height)):
            rows = slice(number * height, min((number + 1) * height, count))
            spectrum = torch.fft.rfft(padded[number])
            spectrum *= self.response
            result = torch.fft.irfft(spectrum, n=self.size)
            flat[rows] = result[: rows.stop - rows.start, first : first + out.shape[-1]]
        if not out.is_contiguous():
            out.copy_(flat.view(out.shape))


def strip_views(view_bytes: int, on_gpu: bool) -> int:
    """Views filtered at a time."""
    return max(1, (GPU_STRIP_BYTES if on_gpu else STRIP_BYTES) // max(1, view_bytes))


def check_finite(filtered: Tensor, part: slice) -> None:
    """A NaN anywhere in a row spreads over the filtered row, so that one element a row tells."""
    if capturing(filtered.device) or transformed(filtered):
        return
    if not bool(torch.isfinite(filtered[..., 0]).all()):
        bad = ~torch.isfinite(filtered[..., 0])
        raise InputError(
            f"projections: expected finite values, got NaN or infinity in {int(bad.sum())} rows of views "
            f"{part.start} to {part.stop - 1}"
        )


def _rows(projections: Tensor, scan: CircularScan, part: slice) -> Tensor:
    """[..., views, rows, columns]: views `part` as the upright detector sees them, continued."""
    rows = scan.detector.read(projections, part) if scan.ndim == 3 else projections[..., None, :]
    if scan.continued is None:
        return rows
    return extend_rows(rows, scan.continued.orbit.distance[part], scan.continued.extension)


def _redundancy(scan: CircularScan, weights: Tensor) -> Tensor:
    """[views, columns] of the rows that are filtered."""
    return weights if scan.continued is None else _continued_weights(weights, scan.continued.extension)


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
