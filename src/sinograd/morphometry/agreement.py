"""How estimates from repeated scans agree with the truth: bias, accuracy, precision, correlation.

Paper 001 (arXiv 2011.02382), equations 13 to 15 and table captions. Estimates are [repetitions, patches] (voxels or
places of a map count as patches), the truth is [patches]. One repetition may be given as [patches] where precision is
not asked for. All results are Python numbers, NaN where they are not defined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError

Numbers = Tensor | np.ndarray | Sequence[Any]


def difference_of_averages(estimates: Numbers, truth: Numbers) -> float:
    """Mean of the estimates less that of the truth, in their unit ("dAvg")."""
    x, y = _pair(estimates, truth, 1)
    return float(x.mean() - y.mean())


def deviation(estimates: Numbers) -> float:
    """Sample standard deviation over the patches, the root of its mean square over the repetitions ("SD")."""
    x = _matrix(estimates)
    return math.sqrt(float(_variance(x, 1).mean()))


def root_mean_square_error(estimates: Numbers, truth: Numbers) -> float:
    """Root of the mean squared difference over patches and repetitions, in their unit ("RMSE")."""
    x, y = _pair(estimates, truth, 1)
    return math.sqrt(float((x - y).square().mean()))


def accuracy_error(estimates: Numbers, truth: Numbers, published: bool = False) -> float:
    """Error of the mean over infinitely many repetitions, in the unit of the truth ("AE", equation 15).

    The root of max(0, MSE(mean over N repetitions, truth) - s^2 / N), s^2 the mean over the patches of the sample
    variance over the repetitions: what is left of the noise in a mean of N is s^2 / N. The published form takes
    s^2 / (N - 1) off, which makes it too small.

    Args:
        estimates: [repetitions, patches], at least two repetitions.
        truth: [patches].
        published: the form of the paper's tables.

    Raises:
        InputError, InputTypeError: other shapes, numbers that are not finite, a single repetition.
    """
    x, y = _pair(estimates, truth, 2)
    left = _noise(x) / (len(x) - 1 if published else len(x))
    return math.sqrt(max(0.0, float((x.mean(0) - y).square().mean()) - left))


def precision_error(estimates: Numbers, truth: Numbers) -> float:
    """Standard deviation of repetitions, scaled to the spread of the truth ("PE", equation 14).

    The root of E_p(Var_r x) Var_p(y) / E_r(Var_p x): estimates with less contrast than the truth do not gain by it.

    Args, raises: as `accuracy_error`. NaN where all estimates of a repetition are equal.
    """
    x, y = _pair(estimates, truth, 2)
    spread = float(_variance(x, 1).mean())
    return math.sqrt(_noise(x) * float(_variance(y, 0)) / spread) if spread > 0 else math.nan


def psnr_natural(estimates: Numbers, truth: Numbers) -> float:
    """20 (ln(3 SD(truth)) - ln(RMSE)): equation 13 as its tables were computed, with natural logarithms.

    That is 2.303 times `psnr_decibels`. Infinite without an error.
    """
    return psnr_decibels(estimates, truth) * math.log(10)


def psnr_decibels(estimates: Numbers, truth: Numbers) -> float:
    """20 log10(3 SD(truth) / RMSE): peak signal-to-noise ratio in dB, with three standard deviations for the peak."""
    x, y = _pair(estimates, truth, 1)
    peak, error = 3 * math.sqrt(float(_variance(y, 0))), root_mean_square_error(x, y)
    if error == 0:
        return math.inf
    return 20 * math.log10(peak / error) if peak > 0 else -math.inf


def adjusted_r2(estimates: Numbers, truth: Numbers) -> float:
    """1 - (1 - R^2)(n - 1) / (n - 2), R Pearson's correlation of all n estimates with the truth.

    Whatever slope and offset the estimates have, R does not see them. NaN where either is constant, or n is 2.
    """
    x, y = _pair(estimates, truth, 1)
    values, wanted = x.flatten(), y.expand_as(x).flatten()
    n = len(values)
    a, b = values - values.mean(), wanted - wanted.mean()
    scale = float(a.square().sum() * b.square().sum())
    if n < 3 or scale == 0:
        return math.nan
    return 1 - (1 - float((a * b).sum()) ** 2 / scale) * (n - 1) / (n - 2)


def mean_and_half_range(values: Numbers) -> tuple[float, float]:
    """Mean over folds, and half the difference of the largest and the smallest, as the paper's tables have them.

    NaN both where a fold is NaN, so that no fold is left out unseen.
    """
    folds = _numbers(values, "values", (1,))
    return float(folds.mean()), float(folds.max() - folds.min()) / 2


def _pair(estimates: Numbers, truth: Numbers, least: int) -> tuple[Tensor, Tensor]:
    """[repetitions, patches] and [patches], float64."""
    x, y = _matrix(estimates), _numbers(truth, "truth", (1,))
    if x.shape[1] != len(y):
        raise InputError(
            f"estimates {list(x.shape)} do not match truth {list(y.shape)}: patches {x.shape[1]} != {len(y)}"
        )
    if len(y) < 2:
        raise InputError(f"truth: expected at least 2 patches, got {len(y)}")
    if len(x) < least:
        raise InputError(f"estimates: expected [repetitions, patches] with at least {least} repetitions, got {len(x)}")
    for name, numbers in (("estimates", x), ("truth", y)):
        bad = int((~torch.isfinite(numbers)).sum())
        if bad:
            raise InputError(f"{name}: expected finite numbers, got {bad} NaN or infinite ones")
    return x, y


def _matrix(estimates: Numbers) -> Tensor:
    found = _numbers(estimates, "estimates", (1, 2))
    return found[None] if found.ndim == 1 else found


def _numbers(values: Numbers, name: str, ndim: tuple[int, ...]) -> Tensor:
    if not isinstance(values, Tensor):
        try:
            values = torch.from_numpy(np.array(values, dtype=np.float64))
        except (TypeError, ValueError):
            raise InputTypeError(f"{name}: expected numbers, got {type(values).__name__}") from None
    if values.is_complex() or values.dtype == torch.bool:
        raise InputTypeError(f"{name}: expected real numbers, got {str(values.dtype).removeprefix('torch.')}")
    form = "[patches]" if ndim == (1,) else "[repetitions, patches]"
    if values.ndim not in ndim or values.numel() == 0:
        raise InputError(f"{name}: expected {form}, got shape {list(values.shape)}")
    return values.detach().cpu().double()


def _variance(x: Tensor, axis: int) -> Tensor:
    """Sample variance."""
    return x.var(axis, correction=1)


def _noise(x: Tensor) -> float:
    """Mean over patches of the sample variance over repetitions."""
    return float(_variance(x, 0).mean())
