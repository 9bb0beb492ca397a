"""Views of a scan weighted, padded and filtered: in one differentiable expression, or strip by strip without gradients.

Without gradients a row's bits depend on nothing but the row: FFTs differ in their last bits with the number of rows
that they transform at a time, and complex products with how threads share them. So rows are transformed in blocks of
one shape, which the length of a row and the kind of device decide, and multiplied in pieces that one thread takes.

While a CUDA graph is captured nothing looks for NaN in projections, as the answer cannot be waited for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.ops.cuda.program import capturing
from sinograd.ops.derivatives import transformed
from sinograd.ops.device_cache import on_device
from sinograd.recon.analytic.circular import CircularScan, RayWeights
from sinograd.recon.analytic.orbit import once
from sinograd.recon.analytic.ramp import circular_kernel, filter_rows
from sinograd.recon.analytic.truncation import extend_rows

# Bytes filtered at a time without gradients; the transforms take about eight times as much for a moment. On a GPU,
# whose kernels start too often otherwise, more.
STRIP_BYTES, GPU_STRIP_BYTES = 2 << 20, 128 << 20
# Numbers in a block of rows that are transformed at a time, and in products that torch leaves to one thread.
BLOCK_NUMBERS, GPU_BLOCK_NUMBERS, SERIAL_NUMBERS = 1 << 17, 1 << 21, (1 << 15) - 1


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
        response: spectrum of the kernel.
        size: samples of a padded row.
        padded, filtered: the buffers.
    """

    scan: CircularScan
    per_column: Tensor | None
    per_pixel: Tensor | None
    response: Tensor
    size: int
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
        columns = scan.columns if scan.continued is None else scan.filtered_columns
        kernel = circular_kernel(on_device(taps.detach(), like), columns, scan.kept_columns)
        return cls(scan, per_column, per_pixel, _spectrum(kernel), len(kernel))

    def __call__(self, projections: Tensor, part: slice) -> Tensor:
        """Views `part` [..., views, (rows,) columns] of the scan, filtered."""
        scan, views, ndim = self.scan, part.stop - part.start, self.scan.ndim
        lead = projections.shape[: projections.ndim - ndim]
        rows = scan.detector.row_count if ndim == 3 else 1
        filtered, padded = self._buffers(projections, (*lead, views, rows, scan.columns))
        strip = min(views, strip_views(filtered[..., :1, :, :].nbytes, projections.is_cuda))
        before = scan.padding[0] if scan.continued is None else 0
        for start in range(0, views, strip):
            some = slice(start, min(start + strip, views))
            of_scan = slice(part.start + some.start, part.start + some.stop)
            strip_rows = _rows(projections[(..., some, *[slice(None)] * (ndim - 1))], scan, of_scan)
            shape = strip_rows.shape
            buffer = padded.flatten(0, 1)[: shape[:-1].numel()].view(*shape[:-1], self.size)
            self._weigh(strip_rows, of_scan, buffer[..., before : before + shape[-1]])
            self._transform(padded, filtered[..., some, :, :])
        check_finite(filtered, part)  # once, as a GPU has to be waited for
        return filtered if ndim == 3 else filtered.squeeze(-2)

    def _buffers(self, like: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Of filtered views [..., views, rows, columns], and of the rows of a strip of them: [blocks, rows, size], zero
        beside the rows."""
        if self.filtered is None or self.padded is None or self.filtered.shape != shape:
            self.filtered = None
            self.filtered = like.new_empty(shape)
            one = self.filtered[..., :1, :, :]
            strip = min(shape[-3], strip_views(one.nbytes, like.is_cuda)) * one.shape[:-1].numel()
            block = max(2, (GPU_BLOCK_NUMBERS if like.is_cuda else BLOCK_NUMBERS) // self.size)
            blocks = -(-strip // block)
            if self.padded is None or self.padded.shape[:2] != (blocks, block):
                self.padded = like.new_zeros((blocks, block, self.size))
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
        rays = self.scan.rays
        torch.mul(rows, _inverse_lengths(rays, part, rows).mul_(per_column) if rays.divergent else per_column, out=out)

    def _transform(self, padded: Tensor, out: Tensor) -> None:
        """Writes the filtered rows of the first blocks [blocks, rows, size] to `out` [..., columns]."""
        first, count = self.scan.kept_columns[0], out.shape[:-1].numel()
        flat = out.view(count, -1) if out.is_contiguous() else out.new_empty(count, out.shape[-1])
        height = padded.shape[1]
        for number in range(-(-count // height)):
            rows = slice(number * height, min((number + 1) * height, count))
            spectrum = torch.fft.rfft(padded[number])
            for piece, response in _serial_pieces(spectrum, self.response):
                piece *= response
            result = torch.fft.irfft(spectrum, n=self.size)
            flat[rows] = result[: rows.stop - rows.start, first : first + out.shape[-1]]
        if not out.is_contiguous():
            out.copy_(flat.view(out.shape))


def _serial_pieces(spectrum: Tensor, response: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Pieces of rows [rows, n] with their part of the response [n], each so small that one thread takes it; on a GPU
    everything."""
    if spectrum.device.type != "cpu":
        return [(spectrum, response)]
    wide = min(SERIAL_NUMBERS, len(response))
    return [
        (piece, part)
        for columns, part in zip(spectrum.split(wide, 1), response.split(wide), strict=True)
        for piece in columns.split(max(1, SERIAL_NUMBERS // wide))
    ]


def _spectrum(kernel: Tensor) -> Tensor:
    """The spectrum of a kernel; by NumPy on the CPU, as torch's bits may depend on the number of threads there."""
    if kernel.device.type != "cpu":
        return torch.fft.rfft(kernel)
    spectrum = torch.from_numpy(np.fft.rfft(kernel.double().numpy()))
    return spectrum.to(torch.complex64 if kernel.dtype == torch.float32 else torch.complex128)


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
