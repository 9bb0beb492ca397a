"""What a denoiser leaves of the noise, without the truth: Stein's unbiased estimate of the error.

For white noise of deviation s and a filter f, |f(y) - x|^2 = |f(y) - y|^2 - s^2 + 2 s^2 div f(y) in the mean (C. M.
Stein, "Estimation of the mean of a multivariate normal distribution", Annals of Statistics 9(6), 1981). The divergence
is the mean of b (f(y + e b) - f(y - e b)) / 2 e over random signs b (S. Ramani, T. Blu, M. Unser, "Monte-Carlo SURE: a
black-box optimization of regularization parameters for general denoising algorithms", IEEE Transactions on Image
Processing 17(9), 2008).
"""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor, nn

from sinograd.errors import NoEffectWarning

# Pixels are flat whose surroundings, smoothed, slope less than in this share of the image; at least so many tell.
FLAT, FEWEST = 0.25, 400

# Noise is white where second differences over one pixel and over two agree within this.
WHITE = 0.1

# Random signs, and their size in deviations of the noise; slices, and pixels along each axis, that are looked at.
DRAWS, STEP, SLAB, SIDE = 2, 0.1, 8, 128

# Errors beyond this many times those of the input are told.
WORSE = 1.05


@torch.no_grad()
def error_share(model: nn.Module, values: Tensor) -> float | None:
    """RMS error after a filter over that before it, of images [..., Y, X]; None where the noise is not white."""
    noise = white_noise(values)
    if noise is None:
        return None
    values = values.detach()
    generator = torch.Generator().manual_seed(0)
    change = (model(values) - values).double().square().mean().item() / noise**2
    step, divergence = STEP * noise, 0.0
    for _ in range(DRAWS):
        signs = torch.randint(2, values.shape, generator=generator).to(values) * 2 - 1
        difference = (model(values + step * signs) - model(values - step * signs)).double()
        divergence += (difference * signs).mean().item() / (2 * step * DRAWS)
    return math.sqrt(max(change - 1 + 2 * divergence, 0.0))


def white_noise(images: Tensor) -> float | None:
    """Standard deviation of white noise in images [..., Y, X], from their flat parts; None where it is not white.

    Of each image the quarter of the pixels counts whose surroundings slope least, as in S.-C. Tai, S.-M. Yang, "A fast
    method for image noise estimation using Laplacian operator and adaptive edge detection", ISCCSP 2008.
    """
    if min(images.shape[-2:]) < 8:
        return None
    stack = images.detach().double().reshape(-1, 1, *images.shape[-2:])
    near, far = _differences(stack, 1), _differences(stack, 2)
    flat = _flat(stack)
    near, far = near[flat], far[flat]
    near, far = near[near > 0], far[far > 0]
    if min(near.numel(), far.numel()) < FEWEST:
        return None
    first, second = (float(part.median()) / (0.6745 * 6) for part in (near, far))
    return first if abs(second - first) <= WHITE * first else None


def warn_if_worse(model: nn.Module, values: Tensor, subject: str, advice: str) -> None:
    """NoEffectWarning where bilateral filters on the CPU leave more error than their input has.

    The texts stand before and after what is said of them.
    """
    if not isinstance(model, nn.Sequential) or not len(model):
        return
    share = error_share(model, _middle(values))
    if share is not None and share > WORSE:
        words = f"{subject} for the worse: its error is estimated at {share:.2f} times that of the input: {advice}"
        warnings.warn(words, NoEffectWarning, stacklevel=3)


def _middle(values: Tensor) -> Tensor:
    """The middle of the first volume [Z, Y, X] of a batch, or of an image [Y, X]."""
    values = values.reshape(-1, *values.shape[-3:])[0] if values.ndim > 3 else values
    for axis, most in ((-1, SIDE), (-2, SIDE), (-3, SLAB))[: values.ndim]:
        first = max(0, (values.shape[axis] - most) // 2)
        values = values.narrow(axis, first, min(most, values.shape[axis]))
    return values.contiguous()


def _differences(stack: Tensor, gap: int) -> Tensor:
    """Absolute second differences over `gap` pixels along both axes, of all but four pixels at each edge."""
    rows, columns = stack.shape[-2:]
    for axis in (-1, -2):
        count = stack.shape[axis] - 2 * gap
        parts = [stack.narrow(axis, k * gap, count) for k in range(3)]
        stack = parts[0] - 2 * parts[1] + parts[2]
    edge = 3 - gap
    return stack[:, 0, edge : edge + rows - 6, edge : edge + columns - 6].abs()


def _flat(stack: Tensor) -> Tensor:
    """Where smoothed images slope least, bool [images, rows - 6, columns - 6]."""
    smooth = nn.functional.avg_pool2d(stack, 5, 1)[:, 0]
    rows, columns = smooth[:, 2:, 1:-1] - smooth[:, :-2, 1:-1], smooth[:, 1:-1, 2:] - smooth[:, 1:-1, :-2]
    slope = rows.square() + columns.square()
    limit = slope.flatten(1).quantile(FLAT, dim=1)
    return slope <= limit[:, None, None]
