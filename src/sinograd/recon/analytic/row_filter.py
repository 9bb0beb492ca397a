"""Rows weighted, filtered and, where they are tilted, resampled on the CPU, by compiled kernels: no gradients.

The bits of a row depend on nothing but the row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sinograd.ops.dispatch import kernel
from sinograd.recon.analytic.virtual_detector import Taps


@dataclass(frozen=True)
class Weights:
    """What rows are multiplied with before they are filtered.

    Attributes:
        pixels: [rows, columns], of all views; None: ones.
        columns: [views or 1, columns]; None: ones.
    """

    pixels: Tensor | None
    columns: Tensor | None

    def arrays(self, like: Tensor) -> list[Tensor]:
        """For the kernels, which take arrays without elements for ones."""
        none = like.new_empty(0)
        return [none if one is None else one.detach().contiguous() for one in (self.pixels, self.columns)]


@dataclass(frozen=True)
class RowFilter:
    """A convolution of rows with one kernel.

    Attributes:
        roots: [size, 2], those of one, clockwise.
        response: [size / 2, 4], see kernels/cpu/row_filter.h.
        columns: samples of a row.
        before: samples of zero before them.
        kept: the first sample that is kept and the one after the last, of before + columns.
    """

    roots: Tensor
    response: Tensor
    columns: int
    before: int
    kept: tuple[int, int]

    @classmethod
    def of(cls, kernel: Tensor, columns: int, before: int, kept: tuple[int, int]) -> RowFilter:
        """The filter of a kernel on a circle [size], the tap at offset zero first; see the attributes.

        Args:
            kernel: float32 or float64, on the CPU; `size` is even, its prime factors are 2, 3 and 5.
        """
        size = len(kernel)
        spectrum = np.fft.rfft(kernel.double().numpy())
        half = spectrum[:-1]
        opposite = spectrum[:0:-1].conj()  # H[k + size / 2] = conj(H[size / 2 - k])
        mean, apart = (half + opposite) / size, (half - opposite) / size
        turn = 2 * np.pi / size * np.arange(size)
        own, other = mean - apart * np.sin(turn[: size // 2]), 1j * apart * np.cos(turn[: size // 2])
        response = np.stack([own.real, own.imag, other.real, other.imag], 1)
        roots = np.stack([np.cos(turn), -np.sin(turn)], 1)
        dtype = kernel.dtype
        return cls(torch.from_numpy(roots).to(dtype), torch.from_numpy(response).to(dtype), columns, before, kept)

    def rows(self, rows: Tensor, weights: Weights, out: Tensor) -> None:
        """Rows [..., views, rows, columns], weighted and filtered, to the contiguous `out`."""
        numbers = self._numbers()
        arrays = weights.arrays(rows)
        kernel("filter_rows")(
            rows.detach().contiguous(), out, self.roots, self.response, numbers, *arrays, rows.shape[-2]
        )

    def images(self, images: Tensor, taps: Taps, weights: Weights, out: Tensor) -> None:
        """Images [..., views, held rows, columns], resampled, weighted and filtered.

        They become the rows of the contiguous `out` [..., views, rows, columns] that the taps are for. Weights are
        those of these rows.
        """
        first, end = taps.rows
        kernel("filter_images")(
            images.detach().contiguous(),
            out,
            taps.places,
            taps.factors,
            (end - first, *images.shape[-2:], first, out.shape[-2]),
            self.roots,
            self.response,
            self._numbers(),
            *weights.arrays(images),
        )

    def _numbers(self) -> tuple[int, int, int, int]:
        first, end = self.kept
        return self.before, self.columns, first, end - first
