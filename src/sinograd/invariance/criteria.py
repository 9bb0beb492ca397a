"""Whether models of invariances may be believed, and whether an analysis exposes what it must.

What one has to see before samples say anything of a denoiser: latents that are normal, samples that it denoises to the
same image, and controls in their places.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import integrate, special
from torch import Tensor

from sinograd.errors import InputError
from sinograd.invariance.analysis import Comparison, compare

LARGEST_MEAN, LARGEST_SHARE, LARGEST_P = 0.1, 0.2, 0.01


@dataclass(frozen=True)
class LatentMoments:
    """How far latents v = t(z; condition) of held-out images are from N(0, I).

    Attributes:
        largest_mean: of the absolute means of the latents.
        largest_error: the standard error of that mean.
        rms_mean, rms_error: root mean squares of the means and of their standard errors.
        chance: the largest absolute mean that is expected where all means are 0, from `rms_error`.
        lowest_variance, highest_variance: on the diagonal of the covariance.
        rms_correlation: root mean square of its other entries.
        expected_rms: of these entries for as many draws of N(0, I).
    """

    largest_mean: float
    largest_error: float
    rms_mean: float
    rms_error: float
    chance: float
    lowest_variance: float
    highest_variance: float
    rms_correlation: float
    expected_rms: float

    @property
    def mean_is_zero(self) -> bool:
        """Whether all means are 0 +- 0.1."""
        return self.largest_mean <= LARGEST_MEAN

    @property
    def true_rms_mean(self) -> float:
        """`rms_mean` without what sampling alone adds to it; 0 where that is all."""
        return math.sqrt(max(0.0, self.rms_mean**2 - self.rms_error**2))


def latent_moments(v: Tensor, patients: Sequence[object] | None = None) -> LatentMoments:
    """Moments of latents.

    Args:
        v: [N, latent], N at least 2.
        patients: whose image each is; standard errors are then those over patients, whose images are not independent of
            each other (of means over clusters of any size). None: all images are independent.

    Raises:
        InputError: other shapes, another number of patients, a single one.
    """
    if v.ndim != 2 or len(v) < 2 or v.shape[1] < 2:
        raise InputError(f"v: expected latents [N, C] of 2 or more images, got {list(v.shape)}")
    v = v.detach().double()
    mean, covariance = v.mean(dim=0), torch.cov(v.T)
    errors = _errors_of_means(v - mean, range(len(v)) if patients is None else patients)
    largest = int(mean.abs().argmax())
    others = covariance[~torch.eye(len(covariance), dtype=torch.bool)]
    diagonal = covariance.diagonal()
    rms_error = float(errors.square().mean().sqrt())
    return LatentMoments(
        float(mean[largest].abs()),
        float(errors[largest]),
        float(mean.square().mean().sqrt()),
        rms_error,
        rms_error * _largest_of_normal(v.shape[1]),
        float(diagonal.min()),
        float(diagonal.max()),
        float(others.square().mean().sqrt()),
        1 / math.sqrt(len(v)),
    )


def _errors_of_means(deviations: Tensor, patients: Sequence[object]) -> Tensor:
    """Standard errors of means over clusters, [C], of deviations from the mean [N, C]."""
    names = list(dict.fromkeys(patients))
    if len(patients) != len(deviations) or len(names) < 2:
        raise InputError(
            f"patients: expected {len(deviations)} names, of two patients at least, got {len(patients)} of {len(names)}"
        )
    number = {name: index for index, name in enumerate(names)}
    which = torch.tensor([number[name] for name in patients], device=deviations.device)
    sums = deviations.new_zeros(len(names), deviations.shape[1]).index_add(0, which, deviations)
    return (sums.square().sum(dim=0) * len(names) / (len(names) - 1)).sqrt() / len(deviations)


def _largest_of_normal(count: int) -> float:
    """The expected largest absolute value of `count` draws of N(0, 1)."""
    values = np.linspace(0.0, 10.0, 10_001)
    return float(integrate.trapezoid(1 - special.erf(values / math.sqrt(2)) ** count, values))


@dataclass(frozen=True)
class Consistency:
    """How near samples are to their image once they are denoised again, [B] in HU each.

    Attributes:
        own: mean absolute difference of the denoised samples to the denoised image.
        others: that of other crops' denoised images to it.
    """

    own: Tensor
    others: Tensor

    @property
    def share(self) -> float:
        """Mean of `own` over that of `others`: at most 0.2 of good samples; NaN where all images are the same."""
        mean = float(self.others.mean())
        return float(self.own.mean()) / mean if mean > 0 else math.nan

    @property
    def holds(self) -> bool:
        """Whether the share is at most 0.2, or all images are the same."""
        return not self.share > LARGEST_SHARE


def consistency(denoised: Tensor, again: Tensor) -> Consistency:
    """Of denoised crops and their denoised samples.

    Args:
        denoised: [B, 1, Y, X] in HU, B at least 2.
        again: [B, K, 1, Y, X], the samples after the denoiser.

    Raises:
        InputError: other shapes.
    """
    if (
        denoised.ndim != 4
        or len(denoised) < 2
        or again.ndim != 5
        or again.shape[:1] + again.shape[2:] != denoised.shape
    ):
        raise InputError(
            f"again: expected [B, K, 1, Y, X] beside [B, 1, Y, X], B at least 2, got {list(again.shape)} and "
            f"{list(denoised.shape)}"
        )
    own = (again - denoised[:, None]).abs().flatten(1).mean(dim=1)
    flat = denoised.flatten(1)
    others = torch.stack([(flat - one).abs().mean(dim=1).sum() / (len(flat) - 1) for one in flat])
    return Consistency(own, others)


@dataclass(frozen=True)
class Reconstruction:
    """Errors of reconstructed images: mean absolute difference in HU, and PSNR in dB over a data range."""

    difference: float
    psnr: float


def reconstruction(x: Tensor, made: Tensor, data_range: float) -> Reconstruction:
    """Of images of the same shape, in HU; the PSNR is that of the mean squared error over all. InputError else."""
    if x.shape != made.shape or not data_range > 0:
        raise InputError(f"made: expected {list(x.shape)} and a positive range, got {list(made.shape)}, {data_range}")
    error = (x - made).double()
    mean = float(error.square().mean())
    psnr = math.inf if mean == 0 else 10 * math.log10(data_range**2 / mean)
    return Reconstruction(float(error.abs().mean()), psnr)


@dataclass(frozen=True)
class Exposure:
    """Whether an analysis finds the denoiser that removes lesions.

    Attributes:
        lowest: its mean content similarity, over crops with a lesion, is the lowest of all but the constant's.
        comparisons: one-sided tests that it ignores more than each other one, without the constant.
    """

    lowest: bool
    comparisons: tuple[Comparison, ...]

    def significant(self, by: str = "crop") -> bool:
        """Whether all corrected p are below 0.01, by "crop" or by "patient"."""
        return all(getattr(one, f"corrected_by_{by}") < LARGEST_P for one in self.comparisons)


def exposure(
    similarities: Mapping[str, Sequence[float]],
    patients: Sequence[object],
    lesions: Sequence[bool],
    suspect: str = "lesion-eraser",
    constant: str = "constant",
) -> Exposure:
    """Whether the suspect is exposed on crops that contain a lesion.

    Args:
        similarities: of each denoiser, one content similarity a crop (means over samples and seeds).
        patients: whose crop each is.
        lesions: whether it contains a lesion.
        suspect, constant: names of the denoiser that removes lesions, and of the one that removes all.

    Raises:
        InputError: no such denoisers, no crop with a lesion, or as `compare`.
    """
    chosen = [i for i, lesion in enumerate(lesions) if lesion]
    if not chosen or len(lesions) != len(patients):
        raise InputError(f"lesions: expected {len(patients)} answers, at least one of them true, got {len(lesions)}")
    held = {name: [values[i] for i in chosen] for name, values in similarities.items() if name != constant}
    found = compare(held, suspect, [patients[i] for i in chosen])
    means = {name: float(np.mean(values)) for name, values in held.items()}
    return Exposure(means[suspect] == min(means.values()), tuple(found))


def at_the_ends(
    similarities: Mapping[str, Sequence[float]], least: str = "identity", most: str = "constant"
) -> tuple[bool, bool]:
    """Whether `least` has the highest mean content similarity of all denoisers, and `most` the lowest."""
    for name in (least, most):
        if name not in similarities:
            raise InputError(f"similarities: expected those of {name}, got those of {', '.join(similarities)}")
    means = {name: float(np.mean(list(values))) for name, values in similarities.items()}
    return means[least] == max(means.values()), means[most] == min(means.values())
