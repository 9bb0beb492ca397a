"""Poisson and binomial numbers of any size; torch's own are wrong where float64 no longer tells counts apart."""

from __future__ import annotations

import torch
from torch import Tensor

# Above these torch's rejection tests cancel: its variance is off by 0.1 % at 1e12 (Poisson) and 1e15 (binomial).
MOST_POISSON = 1e9
_MOST_BINOMIAL = 1e12
_NORMAL = 1e6  # a variance from which a binomial number is normal: its skewness is below 0.001


def poisson(mean: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Poisson numbers of these means, any shape, in their dtype; float64 where means are above 1e9.

    Above 1e9 they are normal with the same mean and variance (skewness below 3e-5), and whole as far as 64 bits can
    say.
    """
    large = mean > MOST_POISSON
    if not bool(large.any()):
        return torch.poisson(mean, generator=generator)
    mean = mean.double()
    small = torch.poisson(mean.clamp(max=MOST_POISSON), generator=generator)
    noise = torch.empty_like(mean).normal_(generator=generator)
    return torch.where(large, (mean + mean.sqrt() * noise).round(), small)


def binomial(trials: Tensor, probability: float, generator: torch.Generator | None = None) -> Tensor:
    """Successes in so many trials (whole, float64), each with one probability in (0, 1].

    Of more than 1e12 trials they are normal with the same mean and variance, or Poisson where successes or failures are
    rare (a share below 1e-6).
    """
    large = trials > _MOST_BINOMIAL
    chance = torch.full_like(trials, probability)
    if not bool(large.any()):
        return torch.binomial(trials, chance, generator=generator)
    small = torch.binomial(trials.clamp(max=_MOST_BINOMIAL), chance, generator=generator)
    variance = trials * probability * (1 - probability)
    noise = torch.empty_like(trials).normal_(generator=generator)
    normal = (trials * probability + variance.sqrt() * noise).round()
    rarer = min(probability, 1 - probability)
    rare = torch.poisson((trials * rarer).clamp(max=2 * _NORMAL), generator=generator)
    rare = rare if probability < 0.5 else trials - rare
    return torch.where(large, torch.where(variance < _NORMAL, rare, normal), small)
