"""What a run found: plain rows that tables and figures are made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import torch
from torch import Tensor

from sinograd import morphometry as bone
from study.scoring import Summary, summarise

STATISTICS = ("difference", "deviation", "rmse", "corrected", "ae", "ae_published", "pe", "psnr", "psnr_db", "r2")
SMALLER = ("rmse", "corrected", "ae", "ae_published", "pe")  # is better


@dataclass(frozen=True)
class Row:
    """How the estimates of all places of a test agree with the truth: mg/cm3, of BV/TV %; PSNR as in the paper's
    equation 13 (`psnr`, natural logarithm) and in dB; r2 in %. corrected: RMSE without the difference of averages.
    """

    test: str
    method: str
    seed: int
    fold: int
    current: float
    parameter: str
    difference: float
    deviation: float
    rmse: float
    corrected: float
    ae: float
    ae_published: float
    pe: float
    psnr: float
    psnr_db: float
    r2: float


@dataclass(frozen=True)
class BoneRow:
    """The same of one bone; corrected: without the difference of averages of the whole test."""

    test: str
    method: str
    seed: int
    fold: int
    current: float
    parameter: str
    bone: str
    rmse: float
    corrected: float


@dataclass(frozen=True)
class Truth:
    """Mean and deviation of the truth over the places of a test; phantom: BV/TV of the object itself, %."""

    test: str
    fold: int
    parameter: str
    mean: float
    deviation: float
    phantom: float


@dataclass(frozen=True)
class Stage:
    """Errors over all currents after so many steps of training, over the deviation of the truth (Figure 5a to d)."""

    steps: int
    part: str
    parameter: str
    rmse: float
    ae: float
    pe: float


@dataclass(frozen=True)
class Run:
    """A training run."""

    split: str
    network: str
    seed: int
    fold: int
    parameters: int
    steps: int
    reason: str
    training_seconds: float
    commit: str


@dataclass(frozen=True)
class Setting:
    """What was chosen on training places for a current: width of the Gaussian filter, lines of re-calibrations."""

    split: str
    fold: int
    current: float
    what: str
    values: tuple[float, ...]


@dataclass
class Results:
    """Everything."""

    rows: list[Row] = field(default_factory=list)
    bones: list[BoneRow] = field(default_factory=list)
    truths: list[Truth] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)

    def chosen(self, test: str, method: str, current: float, parameter: str) -> list[Row]:
        """One for each seed and fold."""
        wanted = (test, method, current, parameter)
        return [row for row in self.rows if (row.test, row.method, row.current, row.parameter) == wanted]

    def mean(self, test: str, method: str, current: float, parameter: str, statistic: str) -> float:
        """Over seeds and folds; NaN without any."""
        held = [getattr(row, statistic) for row in self.chosen(test, method, current, parameter)]
        return fmean(held) if held else math.nan

    def half_range(self, test: str, method: str, current: float, parameter: str, statistic: str) -> float:
        """Over folds, of the means over the seeds."""
        rows = self.chosen(test, method, current, parameter)
        folds = sorted({row.fold for row in rows})
        means = [fmean(getattr(row, statistic) for row in rows if row.fold == fold) for fold in folds]
        return (max(means) - min(means)) / 2

    def best(self, test: str, methods: Iterable[str], current: float, parameter: str, statistic: str) -> str:
        """The method with the best value."""
        sign = 1 if statistic in SMALLER else -1
        return min(methods, key=lambda method: sign * self.mean(test, method, current, parameter, statistic))

    def over_seeds(self, test: str, method: str, current: float, parameter: str, statistic: str) -> list[float]:
        """The means over the folds of each seed."""
        rows = self.chosen(test, method, current, parameter)
        seeds = sorted({row.seed for row in rows})
        return [fmean(getattr(row, statistic) for row in rows if row.seed == seed) for seed in seeds]

    def over_bones(self, test: str, method: str, current: float, parameter: str, statistic: str) -> dict[str, float]:
        """The means over seeds and folds of each bone."""
        wanted = (test, method, current, parameter)
        rows = [row for row in self.bones if (row.test, row.method, row.current, row.parameter) == wanted]
        names = sorted({row.bone for row in rows})
        return {name: fmean(getattr(row, statistic) for row in rows if row.bone == name) for name in names}

    def difference(
        self, first: tuple[str, str, float], second: tuple[str, str, float], what: tuple[str, str]
    ) -> Summary:
        """Of (test, method, current), first - second, paired by bone; what: parameter and statistic."""
        both = [self.over_bones(*key, *what) for key in (first, second)]
        return summarise([both[0][name] - both[1][name] for name in both[0]])


def score(
    key: tuple[str, str, int, int, float], parameter: str, found: Tensor, truth: Tensor, bones: Sequence[str]
) -> tuple[Row, list[BoneRow]]:
    """Rows of estimates [repetitions, places, n] and the truth [places, n]; key: test, method, seed, fold, current.

    bones: of each place.
    """
    x, y = found.flatten(1), truth.flatten()
    difference, rmse = bone.difference_of_averages(x, y), bone.root_mean_square_error(x, y)
    row = Row(
        *key,
        parameter,
        difference,
        bone.deviation(x),
        rmse,
        math.sqrt(max(rmse**2 - difference**2, 0.0)),
        bone.accuracy_error(x, y),
        bone.accuracy_error(x, y, published=True),
        bone.precision_error(x, y),
        bone.psnr_natural(x, y),
        bone.psnr_decibels(x, y),
        100 * bone.adjusted_r2(x, y),
    )
    rows = []
    for name in sorted(set(bones)):
        chosen = torch.tensor([other == name for other in bones])
        errors = (found[:, chosen] - truth[chosen]).double()
        values = (float(errors.square().mean().sqrt()), float((errors - difference).square().mean().sqrt()))
        rows.append(BoneRow(*key, parameter, name, *values))
    return row, rows
