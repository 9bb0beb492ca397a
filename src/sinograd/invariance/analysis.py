"""How samples of invariances differ from their image: in pixels, in content, and between denoisers.

Eulig et al., Medical Physics 52(1), 2025, equations 7 and 9 (8 and 10 with a learnt embedding) and section 3. The paper
tests crops, 1000 of five patients, which are not independent of each other; `compare` tests the patients' means too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor
from torch.nn.functional import cosine_similarity

from sinograd.errors import InputError


@dataclass(frozen=True)
class Maps:
    """What samples change, pixel by pixel.

    Attributes:
        difference: mean over samples of |x - sample|, [B, 1, Y, X], in the unit of x.
        deviation: standard deviation of the samples, with n - 1 samples, [B, 1, Y, X].
    """

    difference: Tensor
    deviation: Tensor

    @property
    def mean_difference(self) -> Tensor:
        """Mean of `difference` over the pixels, [B]: the paper's MD. It holds the autoencoder's own error too."""
        return self.difference.flatten(1).mean(dim=1)


def maps(x: Tensor, samples: Tensor) -> Maps:
    """Differences and deviations.

    Args:
        x: [B, 1, Y, X].
        samples: [B, K, 1, Y, X], of `sample`, K at least 2.

    Raises:
        InputError: shapes that do not fit, or fewer than two samples.
    """
    _check_samples(x, samples)
    if samples.shape[1] < 2:
        raise InputError(f"samples: expected at least 2 of each image, got {samples.shape[1]}")
    return Maps((samples - x[:, None]).abs().mean(dim=1), samples.std(dim=1))


@torch.no_grad()
def similarities(embed: Callable[[Tensor], Tensor], x: Tensor, samples: Tensor) -> Tensor:
    """Cosine similarity of each sample's code to that of its image, [B, K]; its mean over K is equation 9 or 10.

    Args:
        embed: images [N, 1, Y, X] to codes [N, C]: `lambda x: twin.encode(twin.normalise(x)).mean` of the unconditional
            twin in evaluation mode, or an `Embedding`.
        x, samples: as in `maps`.

    Raises:
        InputError: shapes that do not fit, codes that are no vectors.
    """
    _check_samples(x, samples)
    codes, others = embed(x), torch.stack([embed(each) for each in samples.unbind(dim=1)], dim=1)
    if codes.ndim != 2 or others.shape[::2] != codes.shape:
        raise InputError(f"embed: expected codes [{len(x)}, C], got {list(codes.shape)}")
    return cosine_similarity(codes[:, None], others, dim=2)


@dataclass(frozen=True)
class Comparison:
    """Whether the reference ignores more than another denoiser: one-sided Mann-Whitney U tests.

    Attributes:
        name: of the other denoiser.
        by_crop, by_patient: p of the test on crops and on patients' means.
        corrected_by_crop, corrected_by_patient: the same after Benjamini and Hochberg over all other denoisers.
    """

    name: str
    by_crop: float
    by_patient: float
    corrected_by_crop: float
    corrected_by_patient: float


def compare(
    values: Mapping[str, Sequence[float]], reference: str, patients: Sequence[object], lower_is_more: bool = True
) -> list[Comparison]:
    """Tests of one denoiser against each other one.

    Args:
        values: of each denoiser, one number a crop: mean similarities, or mean differences.
        reference: the denoiser that is said to ignore more.
        patients: whose crop each is; the crops are the same for all denoisers.
        lower_is_more: True for similarities, False for differences.

    Raises:
        InputError: an unknown reference, no other denoiser, lengths that differ, numbers that are not finite.
    """
    if reference not in values or len(values) < 2:
        raise InputError(f"reference: expected one of at least two denoisers, {sorted(values)}, got {reference!r}")
    arrays = {name: np.asarray(list(each), dtype=float) for name, each in values.items()}
    for name, each in arrays.items():
        if each.shape != (len(patients),) or not len(patients):
            raise InputError(f"values: expected {len(patients)} numbers of {name}, one a crop, got {len(each)}")
        if not np.isfinite(each).all():
            raise InputError(f"values: expected finite numbers, {name} has NaN or infinite ones")
    means = {name: _patient_means(each, patients) for name, each in arrays.items()}
    others = [name for name in arrays if name != reference]
    alternative = "less" if lower_is_more else "greater"
    tests = [
        [float(stats.mannwhitneyu(of[reference], of[name], alternative=alternative).pvalue) for name in others]
        for of in (arrays, means)
    ]
    corrected = [stats.false_discovery_control(each, method="bh") for each in tests]
    return [
        Comparison(name, tests[0][i], tests[1][i], float(corrected[0][i]), float(corrected[1][i]))
        for i, name in enumerate(others)
    ]


def at_quantiles(values: Sequence[float], shares: Sequence[float] = (0, 1 / 3, 2 / 3, 1)) -> list[int]:
    """Indices of the crops at these shares of the rank of `values`, the lowest first, for Figures 6 and 7.

    The paper does not say which quantiles it shows. InputError without values, or for shares outside [0, 1].
    """
    if not len(values) or any(not 0 <= share <= 1 for share in shares):
        raise InputError(f"values: expected some, and shares from 0 to 1, got {len(values)} and {list(shares)}")
    order = np.argsort(np.asarray(list(values), dtype=float), kind="stable")
    return [int(order[round(share * (len(order) - 1))]) for share in shares]


def _patient_means(values: np.ndarray, patients: Sequence[object]) -> np.ndarray:
    names = list(patients)
    return np.array([values[[each == name for each in names]].mean() for name in dict.fromkeys(names)])


def _check_samples(x: Tensor, samples: Tensor) -> None:
    if x.ndim != 4 or x.shape[1] != 1 or samples.ndim != 5 or samples.shape[:1] + samples.shape[2:] != x.shape:
        raise InputError(
            f"samples: expected [B, K, 1, Y, X] beside x [B, 1, Y, X], got {list(samples.shape)} and {list(x.shape)}"
        )
