"""What an evaluation found: plain rows, and what they say over patients."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from sinograd.errors import InputError
from sinograd.evaluation.discs import Sharpness
from sinograd.evaluation.paired import PairedDifference, Summary, paired_difference, summarise
from sinograd.evaluation.protocols import Protocol
from sinograd.evaluation.spectra import Spectrum

METRICS = ("ssim", "psnr", "rmse")
MEASURES = ("noise", "noise_frequency")  # neither more nor less is better by itself
BETTER = {"ssim": 1, "psnr": 1, "rmse": -1}  # whether more is better


@dataclass(frozen=True)
class Row:
    """One denoised volume.

    Scores are means over its slices; noise and noise_frequency are the standard deviation and mean frequency of
    `Spectrum`, NaN where the slices are too small; seconds of wall-clock time a slice; memory in bytes.
    """

    method: str
    volume: str
    patient: str
    group: str
    realisation: int
    slices: int
    ssim: float
    psnr: float
    rmse: float
    noise: float
    noise_frequency: float
    seconds: float
    memory: int | None


@dataclass(frozen=True)
class MethodInfo:
    """What tables say about a method; see `Method`."""

    name: str
    parameters: int | None
    oracle: bool
    note: str = ""


@dataclass(frozen=True, eq=False)
class Sample:
    """A slice to look at: [Y, X] float32 in `unit`, of the target and as each method left it, with its scores."""

    volume: str
    group: str
    index: int
    unit: str
    target: Tensor
    images: dict[str, Tensor]
    scores: dict[str, tuple[float, float, float]]


@dataclass(frozen=True, eq=False)
class Scores:
    """Of methods over paired volumes, by one protocol.

    Attributes:
        protocol, unit: how, and in which unit the RMSE is.
        methods: in the order of the tables.
        rows: one for each method, volume and realisation of the noise.
        samples: slices that were kept.
        spectra: of what each method left of the noise, one for each row that has them. frequency_unit: theirs, 1/mm, or
            1/pixel where the size of some volume's voxels is not known.
        edges: how sharp the target and each method have the edge of each disc.
        device, threads: what the times belong to.
    """

    protocol: Protocol
    unit: str
    methods: tuple[MethodInfo, ...]
    rows: list[Row] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    spectra: list[Spectrum] = field(default_factory=list)
    edges: list[Sharpness] = field(default_factory=list)
    frequency_unit: str = "1/mm"
    device: str = "cpu"
    threads: int = 1

    @property
    def patients(self) -> tuple[str, ...]:
        """Whose volumes these are."""
        return tuple(dict.fromkeys(row.patient for row in self.rows))

    def by_patient(self, method: str, metric: str) -> dict[str, float]:
        """The mean over each patient's volumes and realisations; metric: ssim, psnr, rmse, noise, noise_frequency."""
        self._check(method, metric)
        held: dict[str, list[float]] = {}
        for row in self.rows:
            if row.method == method:
                held.setdefault(row.patient, []).append(getattr(row, metric))
        return {patient: statistics.fmean(values) for patient, values in held.items()}

    def summary(self, method: str, metric: str) -> Summary:
        """Mean, standard deviation and interval over the patients."""
        return summarise(list(self.by_patient(method, metric).values()))

    def difference(self, first: str, second: str, metric: str) -> PairedDifference:
        """What the patients' scores say about first - second."""
        one, other = self.by_patient(first, metric), self.by_patient(second, metric)
        return paired_difference(list(one.values()), [other[patient] for patient in one])

    def best(self, metric: str) -> str | None:
        """The method with the best mean among those that could be used: no oracle, not the input.

        None without any, and where none is better than the input.
        """
        self._check(self.methods[0].name, metric)

        def goodness(name: str) -> float:
            return BETTER[metric] * self.summary(name, metric).mean

        names = [m.name for m in self.methods if not m.oracle]
        least = goodness("input") if "input" in names else -math.inf
        usable = [name for name in names if name != "input" and goodness(name) > least]
        return max(usable, key=goodness, default=None)

    def seconds(self, method: str) -> float | None:
        """Wall-clock time a slice, median over the volumes; None where it is not known."""
        held = [row.seconds for row in self.rows if row.method == method and not math.isnan(row.seconds)]
        return statistics.median(held) if held else None

    def memory(self, method: str) -> int | None:
        """The most that a volume took, in bytes; None where that is not known."""
        held = [row.memory for row in self.rows if row.method == method and row.memory is not None]
        return max(held, default=None)

    def pairs_of_methods(self) -> Sequence[tuple[str, str]]:
        """Each method with each that stands before it."""
        names = [m.name for m in self.methods]
        return [(later, earlier) for i, later in enumerate(names) for earlier in names[:i]]

    def _check(self, method: str, metric: str) -> None:
        if method not in [m.name for m in self.methods]:
            raise InputError(f"no method {method!r}: expected one of {', '.join(m.name for m in self.methods)}")
        if metric not in (*METRICS, *MEASURES):
            raise InputError(f"no metric {metric!r}: expected one of {', '.join((*METRICS, *MEASURES))}")
