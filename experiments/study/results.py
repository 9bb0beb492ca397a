"""What a run found: plain rows that tables and figures are made of."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from study.data import Case
from study.scoring import Score, Summary, by_phantom, paired_difference, summarise

LOW, NORMAL = "low-dose", "normal-dose"
REFERENCES = {"normal": "normal dose", "clean": "noise-free"}


@dataclass(frozen=True)
class Row:
    """Scores of one denoised (or input) volume against one reference: "normal" dose or "clean", without noise.

    test: the name of the shift, "" for the study's own test phantoms.
    """

    method: str
    phantom: int
    seed: int
    reference: str
    ssim: float
    psnr: float
    test: str = ""


@dataclass(frozen=True)
class Measure:
    """Something measured of one volume, or of all seeds of an object; seed -1 then."""

    method: str
    phantom: int
    seed: int
    name: str
    value: float


@dataclass(frozen=True)
class Run:
    """A training run: how it went and what it learned.

    seconds_a_slice: of one core, to apply it; commit: of the code that trained, another one where a run was found.
    device, threads, date: of the training; empty where they were not written down. precision: of its steps. key: of
    what trained it, where parts of a study add up (`study.kept`).
    """

    method: str
    seed: int
    parameters: int
    steps: int
    reason: str
    training_seconds: float
    seconds_a_slice: float
    last_loss: float
    sigmas: dict[str, float]
    commit: str
    last_gain: float | None = None
    device: str = ""
    threads: int | None = None
    date: str = ""
    precision: str = ""
    key: str = ""


@dataclass
class Results:
    """Everything; titles: of the methods, in the order of the tables."""

    titles: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    starved: list[dict[str, Any]] = field(default_factory=list)
    implant: list[dict[str, Any]] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)

    def add(self, method: str, case: Case, reference: str, score: Score, test: str = "") -> None:
        """One more row."""
        self.rows.append(Row(method, case.phantom, case.seed, reference, score.ssim, score.psnr, test))

    def measure(self, method: str, phantom: int, seed: int, values: Mapping[str, float]) -> None:
        """More measures."""
        self.measures += [Measure(method, phantom, seed, name, value) for name, value in values.items()]

    def put_in_order(self, names: Sequence[str], tests: Sequence[str]) -> None:
        """Rows by test, seed, phantom and method, whichever run made them: `names` and `tests` give the order.

        Methods beyond `names`, of variants that are there in part, come last.
        """
        names = [*names, *sorted({row.method for row in self.rows}.union(run.method for run in self.runs) - set(names))]
        method, test = ({name: number for number, name in enumerate(order)} for order in (names, tests))
        title = {self.titles[name]: number for number, name in enumerate(names) if name in self.titles}
        self.rows.sort(key=lambda row: (test[row.test], row.seed, row.phantom, method[row.method]))
        self.measures.sort(key=lambda found: (found.phantom, found.seed, method[found.method]))
        self.runs.sort(key=lambda run: (run.seed, method[run.method]))
        self.implant.sort(key=lambda row: title[row["method"]])

    def measured(self, method: str, name: str) -> Summary | None:
        """As `summary`, of a measure; without values that are not finite."""
        held = [m for m in self.measures if (m.method, m.name) == (method, name) and math.isfinite(m.value)]
        values = by_phantom([(m.phantom, m.seed, m.value) for m in held])
        return summarise(list(values.values())) if values else None

    def values(self, method: str, reference: str, metric: str, test: str = "") -> list[tuple[int, int, float]]:
        """(phantom, seed, value) of a method; metric is "ssim" or "psnr"."""
        chosen = (row for row in self.rows if (row.method, row.reference, row.test) == (method, reference, test))
        return [(row.phantom, row.seed, getattr(row, metric)) for row in chosen]

    def summary(self, method: str, reference: str, metric: str, test: str = "") -> Summary | None:
        """Over phantoms, of their means over the seeds; None without values."""
        values = self.values(method, reference, metric, test)
        return summarise(list(by_phantom(values).values())) if values else None

    def difference(self, better: str, than: str, reference: str, metric: str, test: str = "") -> Summary:
        """Paired by phantom."""
        both = (self.values(method, reference, metric, test) for method in (better, than))
        return paired_difference(*both)

    def runs_of(self, method: str) -> list[Run]:
        """One for each seed."""
        return [run for run in self.runs if run.method == method]

    def mean_of_runs(self, method: str, name: str) -> float | None:
        """The mean over the seeds of a number of the runs."""
        return _mean([getattr(run, name) for run in self.runs_of(method)])

    def sigmas_of(self, method: str) -> dict[str, list[float]]:
        """The learned sigmas by name, one for each seed."""
        runs = self.runs_of(method)
        return {name: [run.sigmas[name] for run in runs] for name in (runs[0].sigmas if runs else {})}


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
