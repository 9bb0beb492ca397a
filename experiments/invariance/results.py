"""What a run found: rows of crops, and what follows from them."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from invariance.measures import Row
from invariance.settings import Study
from sinograd.invariance import Comparison, Exposure, LatentMoments, at_the_ends, compare, exposure

METRICS = {"difference": "MD, HU", "content": "content similarity (VAE)", "learnt": "similarity in the embedding"}
_RANGE = 2000.0  # HU, of PSNR: about what chests span
ERASER, CONSTANT = "lesion-eraser", "constant"


@dataclass(frozen=True)
class Score:
    """A denoiser against the normal dose, by the benchmark's protocol for chests."""

    denoiser: str
    patient: int
    seed: int
    ssim: float
    psnr: float
    rmse: float


@dataclass
class Results:
    """Everything, in the order of the denoisers."""

    rows: list[Row] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    latents: dict[tuple[str, int], LatentMoments] = field(default_factory=dict)  # of many patients
    tested: dict[tuple[str, int], LatentMoments] = field(default_factory=dict)  # of the test crops
    runs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Of the denoisers."""
        return list(dict.fromkeys(row.denoiser for row in self.rows))

    @property
    def seeds(self) -> list[int]:
        """Those that are finished."""
        return list(dict.fromkeys(row.seed for row in self.rows))

    def of_seed(self, seed: int) -> Results:
        """The rows of one seed alone."""
        return Results([row for row in self.rows if row.seed == seed])

    def by_crop(self, name: str, column: str) -> list[float]:
        """Means over the seeds of each crop, in their order."""
        held = [[getattr(r, column) for r in self.rows if (r.denoiser, r.seed) == (name, seed)] for seed in self.seeds]
        return [float(value) for value in np.mean(held, axis=0)]

    def crops(self) -> list[Row]:
        """One row for each crop."""
        first = self.rows[0]
        return [r for r in self.rows if (r.denoiser, r.seed) == (first.denoiser, first.seed)]

    def by_patient(self, name: str, column: str) -> list[float]:
        """Means of the patients' crops."""
        return list(self._means(self.by_crop(name, column)).values())

    def mean(self, name: str, column: str) -> float:
        """Over all crops."""
        return statistics.fmean(self.by_crop(name, column))

    def share(self, name: str, column: str = "own") -> float:
        """Of the denoised samples' distance in that of other crops; NaN where the denoised images are all the same."""
        others = self.mean(name, "others")
        return self.mean(name, column) / others if others > 0 else math.nan

    def psnr(self, name: str, column: str) -> float:
        """DB over 2000 HU, of a column of squared errors."""
        return 10 * math.log10(_RANGE**2 / self.mean(name, column))

    def compared(self, study: Study, column: str) -> list[Comparison]:
        """Whether the reference ignores more than each other denoiser that is no control (Table 2)."""
        real = [n for n in self.names if study.denoisers[n].control is None]
        if len(real) < 2 or study.reference not in real:
            return []
        values = {name: self.by_crop(name, column) for name in real}
        return compare(values, study.reference, self._patients(), lower_is_more=column != "difference")

    def exposed(self, column: str = "content") -> Exposure:
        """Whether the lesion eraser is, on crops with a lesion."""
        crops = self.crops()
        values = {name: self.by_crop(name, column) for name in self.names}
        return exposure(values, self._patients(), [row.lesion for row in crops], ERASER, CONSTANT)

    def ends(self, column: str = "content") -> tuple[bool, bool]:
        """Whether identity and constant are at the two ends."""
        return at_the_ends({name: self.by_crop(name, column) for name in self.names}, "identity", CONSTANT)

    def lesion_means(self, name: str, column: str) -> tuple[float, float]:
        """Over crops with a lesion, and over the others."""
        values, crops = self.by_crop(name, column), self.crops()
        parts = [[v for v, r in zip(values, crops, strict=True) if r.lesion == lesion] for lesion in (True, False)]
        return tuple(statistics.fmean(part) if part else math.nan for part in parts)  # pyright: ignore

    def _patients(self) -> list[int]:
        return [row.patient for row in self.crops()]

    def _means(self, values: list[float]) -> dict[int, float]:
        found: dict[int, list[float]] = {}
        for value, row in zip(values, self.crops(), strict=True):
            found.setdefault(row.patient, []).append(value)
        return {patient: statistics.fmean(each) for patient, each in found.items()}
