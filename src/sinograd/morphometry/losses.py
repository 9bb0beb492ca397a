"""Losses that compare maps of bone parameters instead of voxels, so that a network denoises for the parameter.

Paper 001 (arXiv 2011.02382), equations 10 to 12. Values are in mg/cm3.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import checks
from sinograd.morphometry.arguments import DENSITY
from sinograd.morphometry.ball import fitting_ball
from sinograd.morphometry.maps import Neighbourhoods

Parameter = Literal["voxel", "bmd", "sd", "tmd", "bvtv"]
PARAMETERS = ("voxel", "bmd", "sd", "tmd", "bvtv")
THRESHOLDS = tuple(range(125, 326, 25))  # mg/cm3
CENTRE, SPREAD = 225.0, 100.0  # of the normal distribution of their weights
PUBLISHED_SPACING = (0.34, 0.172, 0.172)
D1, D2, D3, D4 = 0.516, 1.548, 2.924, 4.3  # mm: 3 x 3 x 1, 9 x 9 x 5, 17 x 17 x 9 and 25 x 25 x 13 voxels


def threshold_weights(thresholds: Sequence[float] = THRESHOLDS) -> tuple[float, ...]:
    """b_t of equation 11: the normal density of mean 225 and standard deviation 100 mg/cm3, with sum 1."""
    heights = [math.exp(-(((t - CENTRE) / SPREAD) ** 2) / 2) for t in thresholds]
    return tuple(height / math.fsum(heights) for height in heights)


@dataclass(frozen=True)
class BoneTerm:
    """One summand of a compound loss.

    Attributes:
        parameter: "voxel" (the values themselves), "bmd" or "sd" (equation 10), "tmd" or "bvtv" (equation 11, over
            nine thresholds).
        weight: w_f of equation 12.
        diameter: of the spheres, mm; not for voxels.
    """

    parameter: Parameter
    weight: float = 1.0
    diameter: float = D4


class BoneLoss:
    """Weighted sum of mean squared errors of maps (equation 12), each over its mean for unfiltered training data.

    Maps are of whole spheres alone ("valid"). Thresholds and spheres have units, so values are in mg/cm3 and `scale`
    is not used.

    Args:
        terms: what is compared; in a configuration mappings with `parameter`, `weight` and `diameter`.
        spacing: mm per voxel, (z, y, x).
        factors: a_f of each term; "auto": 1 over what the term is on average for unfiltered training data. Training
            finds these; elsewhere `normalised` does.
        softness: of the thresholds, mg/cm3 (equation 5).
    """

    pointwise = False
    unit = DENSITY
    found = ("factors",)

    def __init__(
        self,
        terms: tuple[BoneTerm, ...] = (BoneTerm("tmd"),),
        spacing: tuple[float, float, float] = PUBLISHED_SPACING,
        factors: tuple[float, ...] | Literal["auto"] = "auto",
        softness: float = 10.0,
    ) -> None:
        self.terms = tuple(_checked(term, f"terms[{i}]") for i, term in enumerate(terms))
        if not self.terms:
            raise InputError("terms: expected at least one, got none")
        z, y, x = checks.spacing(spacing, "spacing", 3)
        self.spacing = (z, y, x)
        self.softness = checks.positive(softness, "softness")
        if isinstance(factors, str) and factors != "auto":
            raise InputError(f"factors: expected auto or {len(self.terms)} numbers, got {factors!r}")
        self.factors: tuple[float, ...] | None = None
        if not isinstance(factors, str):
            if len(factors) != len(self.terms):
                raise InputError(f"factors: expected {len(self.terms)}, one for each term, got {len(factors)}")
            self.factors = tuple(checks.positive(factor, f"factors[{i}]") for i, factor in enumerate(factors))

    def __call__(self, predicted: Tensor, target: Tensor, *, scale: float = 1.0) -> Tensor:
        """The loss of volumes [..., Z, Y, X] of one shape, []; InputError where the factors are not known."""
        if self.factors is None:
            raise InputError("factors: not known; `loss.normalised(pairs)` finds them from unfiltered training data")
        parts = self.parts(predicted, target)
        weights = [f * term.weight for f, term in zip(self.factors, self.terms, strict=True)]
        return torch.stack([weight * part for weight, part in zip(weights, parts, strict=True)]).sum()

    def parts(self, predicted: Tensor, target: Tensor) -> list[Tensor]:
        """Each term without weight and factor, []; in squared mg/cm3, of BV/TV without a unit."""
        if predicted.shape != target.shape:
            raise InputError(f"predicted {list(predicted.shape)} does not match target {list(target.shape)}")
        self.check(predicted.shape)
        maps = [_Maps(self, values) for values in (predicted, target)]
        return [mse_loss(maps[0].of(term), maps[1].of(term)) for term in self.terms]

    def normalised(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> BoneLoss:
        """The same loss with a_f so that each term averages 1 over pairs of unfiltered and true volumes.

        Raises InputError without any pair, or where a term is 0 for all of them.
        """
        sums, count = [0.0] * len(self.terms), 0
        with torch.no_grad():
            for noisy, clean in pairs:
                sums = [total + float(part) for total, part in zip(sums, self.parts(noisy, clean), strict=True)]
                count += 1
        if count == 0:
            raise InputError("pairs: expected at least one of unfiltered and true volumes, got none")
        for term, total in zip(self.terms, sums, strict=True):
            if not 0 < total < math.inf:
                raise InputError(f"pairs: the {term.parameter} term is {total / count:g} for unfiltered data")
        return BoneLoss(self.terms, self.spacing, tuple(count / total for total in sums), self.softness)

    def check(self, shape: Sequence[int]) -> None:
        """InputError unless volumes of that shape hold the largest sphere."""
        if len(shape) < 3:
            raise InputError(f"expected volumes [..., Z, Y, X] for a loss of bone parameters, got {list(shape)}")
        for term in self.terms:
            if term.parameter != "voxel":
                fitting_ball(self.spacing, term.diameter, shape)


class NNSPLoss(BoneLoss):
    """The loss of NN_SP: 0.64 TMD + 0.32 BV/TV + 0.04 BMD, all in spheres of 4.3 mm; see `BoneLoss`."""

    def __init__(
        self,
        spacing: tuple[float, float, float] = PUBLISHED_SPACING,
        factors: tuple[float, ...] | Literal["auto"] = "auto",
    ) -> None:
        terms = (BoneTerm("tmd", 0.64, D4), BoneTerm("bvtv", 0.32, D4), BoneTerm("bmd", 0.04, D4))
        super().__init__(terms, spacing, factors)


class NNBMDLoss(BoneLoss):
    """The loss of NN_BMD: 0.4 voxels + 0.1 BMD (0.516 mm) + 0.1 BMD (1.548 mm) + 0.4 SD (2.924 mm); see `BoneLoss`."""

    def __init__(
        self,
        spacing: tuple[float, float, float] = PUBLISHED_SPACING,
        factors: tuple[float, ...] | Literal["auto"] = "auto",
    ) -> None:
        terms = (BoneTerm("voxel", 0.4), BoneTerm("bmd", 0.1, D1), BoneTerm("bmd", 0.1, D2), BoneTerm("sd", 0.4, D3))
        super().__init__(terms, spacing, factors)


class _Maps:
    """Maps of a volume; those that TMD and BV/TV share are computed once."""

    def __init__(self, loss: BoneLoss, values: Tensor) -> None:
        self.loss, self.values = loss, values
        self._bone: dict[float, tuple[Tensor, Tensor]] = {}

    def of(self, term: BoneTerm) -> Tensor:
        """Of TMD and BV/TV [T, ...], times the root of each threshold's weight and of T: a plain mean weighs them."""
        if term.parameter == "voxel":
            return self.values
        near = Neighbourhoods(fitting_ball(self.loss.spacing, term.diameter, self.values.shape), valid=True)
        if term.parameter in ("bmd", "sd"):
            return near.bmd(self.values) if term.parameter == "bmd" else near.sd(self.values)
        if term.diameter not in self._bone:
            self._bone[term.diameter] = self._tissue(near)
        return self._bone[term.diameter][0 if term.parameter == "tmd" else 1]

    def _tissue(self, near: Neighbourhoods) -> tuple[Tensor, Tensor]:
        maps = [near.tmd(self.values, float(t), self.loss.softness) for t in THRESHOLDS]
        weights = [math.sqrt(weight * len(THRESHOLDS)) for weight in threshold_weights()]
        density, share = (
            torch.stack([weight * pair[i] for weight, pair in zip(weights, maps, strict=True)]) for i in (0, 1)
        )
        return density, share


def _checked(term: Any, name: str) -> BoneTerm:
    if not isinstance(term, BoneTerm):
        raise InputTypeError(f"{name}: expected a BoneTerm, got {type(term).__name__}")
    if term.parameter not in PARAMETERS:
        raise InputError(f"{name}.parameter: expected one of {', '.join(PARAMETERS)}, got {term.parameter!r}")
    return dataclasses.replace(
        term,
        weight=checks.positive(term.weight, f"{name}.weight"),
        diameter=checks.positive(term.diameter, f"{name}.diameter"),
    )
