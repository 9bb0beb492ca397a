"""A non-subsampled contourlet transform: 15 bands of an image, by scale and direction, each of its size.

A. L. da Cunha, J. Zhou, M. N. Do, "The nonsubsampled contourlet transform: theory, design, and applications", IEEE
Transactions on Image Processing 15(10), 3089-3101, 2006. A pyramid of three levels and in each a tree of two-channel
filters, by frequencies w = (w_y, w_x) in radians a pixel: 8 directions of the finest level, 4 of the next, 2 of the
coarsest, and what is left below; the order is coarse to fine, the lowest first.

- Pyramid: of p = h(w_y) h(w_x), h(w) = (8 + 9 cos w - cos 3w) / 16, half-band and flat at 0 and pi, the lower part is
  sin(p pi / 2), the upper one cos(p pi / 2). At each further level frequencies are doubled.
- Directions: of v in [-1, 1], q = (15 v - 10 v^3 + 3 v^5) / 8, the two channels are cos((1 - q) pi / 4), which passes
  v > 0, and cos((1 + q) pi / 4). First v = (cos w_y - cos w_x) / 2, the fans; then sin w_y sin w_x, the quadrants; then
  sin a sin (2 b - a), parallelograms, a the larger of the two frequencies in each wedge, b the other one with the sign
  of its quadrant. At coarser levels frequencies are doubled, as in the paper (the authors' toolbox does not).

All responses are real and even (filters without phase), and in each pair their squares sum to 1: a tight frame, whose
synthesis filters are those of the analysis and whose bands have the energy of the image together. They are applied to
the periodic image by FFT. Reconstruction is exact for any image, and shifts of the image shift its bands.

The pairs are not those of WavResNet's code, `vk` of the toolbox: (1 + v) / 2 and (1 - v) (2 + v), which cross at
v = 0.69 instead of 0, so that less than half of a wedge's energy may lie in its band.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

BANDS = 15
_DIRECTIONS = (3, 2, 1)  # levels of the tree, fine to coarse


def contourlets(images: Tensor) -> Tensor:
    """Images [..., Y, X], taken as periodic, to their bands [..., 15, Y, X]."""
    responses = _responses_for(images)
    return torch.fft.irfft2(torch.fft.rfft2(images)[..., None, :, :] * responses, s=images.shape[-2:])


def from_contourlets(bands: Tensor) -> Tensor:
    """The images [..., Y, X] of bands [..., 15, Y, X]."""
    responses = _responses_for(bands)
    return torch.fft.irfft2((torch.fft.rfft2(bands) * responses).sum(-3), s=bands.shape[-2:])


def _responses_for(images: Tensor) -> Tensor:
    make = _responses.__wrapped__ if torch.compiler.is_compiling() else _responses  # tracers have tensors of their own
    with torch.inference_mode(False):  # such tensors could not be kept for gradients
        return make(images.shape[-2], images.shape[-1], images.dtype, images.device)


@functools.lru_cache(maxsize=2)
def _responses(rows: int, columns: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The responses [15, Y, X // 2 + 1] for real images."""
    y = 2 * math.pi * torch.fft.fftfreq(rows, dtype=torch.float64, device="cpu")[:, None]
    x = 2 * math.pi * torch.fft.rfftfreq(columns, dtype=torch.float64, device="cpu")
    one = torch.ones(rows, columns // 2 + 1, dtype=torch.float64, device="cpu")
    bands: list[Tensor] = []
    below = one
    for level, depth in enumerate(_DIRECTIONS):
        scale = 1 << level
        lower = _half_band(scale * y) * _half_band(scale * x) * math.pi / 2
        bands = [below * lower.cos() * wedge for wedge in _directions(scale * y, scale * x, depth)] + bands
        below = below * lower.sin()
    return torch.stack([below, *bands]).to(device, dtype)


def _half_band(w: Tensor) -> Tensor:
    return (8 + 9 * w.cos() - (3 * w).cos()) / 16


def _directions(y: Tensor, x: Tensor, depth: int) -> list[Tensor]:
    """The responses of the 2^depth wedges; counted by fan, quadrant, half of the wedge."""
    wedges = []
    for a, b, fan in zip((x, y), (y, x), _pair((y.cos() - x.cos()) / 2), strict=True):
        if depth == 1:
            wedges.append(fan)
            continue
        for sign, quadrant in zip((1, -1), _pair(y.sin() * x.sin()), strict=True):
            halves = _pair(a.sin() * (2 * sign * b - a).sin()) if depth == 3 else (torch.ones_like(fan),)
            wedges += [fan * quadrant * half for half in halves]
    return wedges


def _pair(v: Tensor) -> tuple[Tensor, Tensor]:
    """What passes v > 0 and v < 0; their squares sum to 1."""
    angle = (15 * v - 10 * v**3 + 3 * v**5) / 8 * math.pi / 4
    return (math.pi / 4 - angle).cos(), (math.pi / 4 + angle).cos()
