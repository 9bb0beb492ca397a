"""Scores of a volume, slice by slice, and what they say over phantoms.

PSNR = 10 log10(R^2 / mean squared error) and SSIM of Wang, Bovik, Sheikh and Simoncelli, Image quality assessment,
IEEE Trans. Image Process. 13, 600 (2004): Gaussian window of 1.5 pixels, K1 = 0.01, K2 = 0.03, both in two
dimensions with the data range R of the configuration. The score of a volume is the mean over its slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from sinograd.evaluation.paired import Summary, summarise
from sinograd.metrics import psnr, ssim

__all__ = ["Score", "Summary", "by_phantom", "paired_difference", "score_volume", "summarise"]


@dataclass(frozen=True)
class Score:
    """ssim and psnr (dB) of one volume: means over the slices."""

    ssim: float
    psnr: float


def score_volume(found: Tensor, reference: Tensor, data_range: float) -> Score:
    """Of found [Z, Y, X] against reference, in the units of both."""
    pairs = list(zip(found, reference, strict=True))
    similarity = [float(ssim(a, b, data_range=data_range)) for a, b in pairs]
    return Score(float(np.mean(similarity)), float(psnr(found, reference, data_range=data_range).mean()))


def by_phantom(scores: Sequence[tuple[int, int, float]]) -> dict[int, float]:
    """The mean over the seeds for each phantom, of (phantom, seed, value)."""
    phantoms = sorted({phantom for phantom, _, _ in scores})
    return {p: float(np.mean([value for phantom, _, value in scores if phantom == p])) for p in phantoms}


def paired_difference(better: Sequence[tuple[int, int, float]], than: Sequence[tuple[int, int, float]]) -> Summary:
    """Of the phantoms' means over the seeds that both have; ValueError where one lacks a phantom or they share none."""
    common = {(p, s) for p, s, _ in better} & {(p, s) for p, s, _ in than}
    if not common or {p for p, _, _ in better} != {p for p, _, _ in than}:
        raise ValueError("better and than: expected scores of the same phantoms and some seeds in common")
    first, second = (by_phantom([v for v in values if v[:2] in common]) for values in (better, than))
    return summarise([first[phantom] - second[phantom] for phantom in first])
