"""What a run found: plain rows that tables and figures are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

from study.scoring import Summary, by_phantom, paired_difference, summarise

Metric = Literal["psnr", "ssim"]


@dataclass(frozen=True)
class Row:
    """Means over the images of one test phantom, against the clean images, with the data range 1; PSNR in dB."""

    dataset: str
    method: str
    phantom: int
    seed: int
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Run:
    """A training run; core_seconds: to denoise one image."""

    dataset: str
    method: str
    seed: int
    parameters: int
    steps: int
    reason: str
    training_seconds: float
    core_seconds: float
    validation_loss: float


@dataclass(frozen=True)
class Point:
    """One image at one level of the noise (dB, nominal) before and after a network."""

    curve: str
    dataset: str
    method: str
    phantom: int
    seed: int
    level: float
    psnr_in: float
    psnr_out: float


@dataclass(frozen=True)
class Level:
    """A point of a curve: mean PSNR of the inputs, PSNR of the outputs and gain over the phantoms."""

    psnr_in: float
    output: Summary
    gain: Summary


@dataclass
class Results:
    """Everything; settings: of the noise and of the filters with one setting, by data set and seed."""

    rows: list[Row] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    settings: list[dict[str, Any]] = field(default_factory=list)

    def values(self, dataset: str, method: str, metric: Metric) -> list[tuple[int, int, float]]:
        """(phantom, seed, value) of a method."""
        chosen = (row for row in self.rows if (row.dataset, row.method) == (dataset, method))
        return [(row.phantom, row.seed, getattr(row, metric)) for row in chosen]

    def summary(self, dataset: str, method: str, metric: Metric) -> Summary | None:
        """Over phantoms, of their means over the seeds; None without values."""
        values = self.values(dataset, method, metric)
        return summarise(list(by_phantom(values).values())) if values else None

    def difference(self, dataset: str, better: str, than: str, metric: Metric) -> Summary | None:
        """Paired by phantom; None where the data set has not both."""
        both = [self.values(dataset, method, metric) for method in (better, than)]
        return paired_difference(*both) if all(both) else None

    def runs_of(self, dataset: str, method: str) -> list[Run]:
        """One for each seed."""
        return [run for run in self.runs if (run.dataset, run.method) == (dataset, method)]

    def curve(self, name: str, dataset: str, method: str) -> list[Level]:
        """Of means over the seeds, the noisiest level first."""
        held = [p for p in self.points if (p.curve, p.dataset, p.method) == (name, dataset, method)]
        found = []
        for level in sorted({point.level for point in held}):
            here = [p for p in held if p.level == level]
            before, after = (
                by_phantom([(p.phantom, p.seed, value) for p, value in zip(here, values, strict=True)])
                for values in ([p.psnr_in for p in here], [p.psnr_out for p in here])
            )
            gains = [after[phantom] - before[phantom] for phantom in after]
            found.append(Level(fmean(before.values()), summarise(list(after.values())), summarise(gains)))
        return found
