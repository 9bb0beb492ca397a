"""Scores of a volume, slice by slice, and what they say over phantoms.

PSNR = 10 log10(R^2 / mean squared error) and SSIM of Wang, Bovik, Sheikh and Simoncelli, Image quality assessment,
IEEE Trans. Image Process. 13, 600 (2004): Gaussian window of 1.5 pixels, K1 = 0.01, K2 = 0.03, as scikit-image computes
it, both in two dimensions with the data range R of the configuration. The score of a volume is the mean over its
slices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from skimage.metrics import structural_similarity
from torch import Tensor


@dataclass(frozen=True)
class Score:
    """ssim and psnr (dB) of one volume: means over the slices."""

    ssim: float
    psnr: float


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation (of a sample) and 95 % interval of the mean (Student's t) of n numbers."""

    n: int
    mean: float
    std: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        """Whether the interval lies above 0."""
        return self.low > 0


def score_volume(found: Tensor, reference: Tensor, data_range: float) -> Score:
    """Of found [Z, Y, X] against reference, in the units of both."""
    pairs = list(zip(found.double().numpy(), reference.double().numpy(), strict=True))
    ssim = [
        structural_similarity(
            a, b, data_range=data_range, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for a, b in pairs
    ]
    return Score(float(np.mean(ssim)), float(np.mean([psnr(a, b, data_range) for a, b in pairs])))


def psnr(found: np.ndarray, reference: np.ndarray, data_range: float) -> float:
    """In dB; infinite for equal images."""
    error = float(np.square(found - reference).mean())
    return math.inf if error == 0 else 10 * math.log10(data_range**2 / error)


def summarise(values: Sequence[float]) -> Summary:
    """NaN where a single number allows no standard deviation."""
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Summary(n, mean, math.nan, math.nan, math.nan)
    std = float(np.std(values, ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * std / math.sqrt(n)
    return Summary(n, mean, std, mean - half, mean + half)


def by_phantom(scores: Sequence[tuple[int, int, float]]) -> dict[int, float]:
    """The mean over the seeds for each phantom, of (phantom, seed, value)."""
    phantoms = sorted({phantom for phantom, _, _ in scores})
    return {p: float(np.mean([value for phantom, _, value in scores if phantom == p])) for p in phantoms}


def paired_difference(better: Sequence[tuple[int, int, float]], than: Sequence[tuple[int, int, float]]) -> Summary:
    """Of the phantoms' means over the seeds; both must have the same phantoms and seeds."""
    if sorted((p, s) for p, s, _ in better) != sorted((p, s) for p, s, _ in than):
        raise ValueError("better and than: expected scores of the same phantoms and seeds")
    first, second = by_phantom(better), by_phantom(than)
    return summarise([first[phantom] - second[phantom] for phantom in first])
