"""The configuration of this experiment: `config.yaml` beside this page, which is its schema.

Profiles as in `study.config`. Images are HU in a window, made 0 to 1. Lengths in mm.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch

from noise2noise.settings import Count, Positive, Split
from sinograd.choices import WINDOWS
from sinograd.config.schema import NOT_NEGATIVE, Check, OneOf
from sinograd.datasets import PatchesSpec
from sinograd.errors import ConfigError
from sinograd.geometry import FlatDetector, Grid, ParallelBeam
from sinograd.models.estimated_noise import ESTIMATED
from sinograd.training.config import Adam, Stop, Validation
from sinograd.training.model_config import Model
from sinograd.training.task_config import TaskChoice
from study.config import LATER, Precision, Seeds, check_headline, load_profile

LOW, NORMAL = "low-dose", "normal-dose"
_FIXED = {
    LOW: "Low dose",
    NORMAL: "Normal dose",
    "ksvd": "K-SVD",
    "bm3d-estimated": "BM3D",
    "bm4d-estimated": "BM4D",
    "bilateral-estimated": "Bilateral",
}

_FRACTION = Check("a fraction above 0 and below 1", lambda value: 0 < value < 1)
_RISING = Check("numbers that rise", lambda value: list(value) == sorted(set(value)) and len(value) > 0)

Rising = Annotated[tuple[float, ...], _RISING]


@dataclass(frozen=True)
class Scan:
    """Parallel beams over half a turn, a row of the detector for each slice.

    views, columns of the detector and their spacing; shape [Y, X] and spacing: of the pixels. count: slices of each
    phantom, evenly spaced from -reach to reach mm; test_count: of a test phantom. window: of the ramp filter.
    """

    views: Count
    columns: Count
    column_spacing: Positive
    shape: tuple[Count, Count]
    spacing: Positive
    count: Count
    test_count: Count
    reach: Positive
    window: Annotated[str, OneOf(WINDOWS)] = "ram-lak"

    def heights(self, *, test: bool) -> list[float]:
        """Of each slice, z."""
        count = self.test_count if test else self.count
        return [self.reach * ((2 * i + 1) / count - 1) for i in range(count)]

    def of(self, slices: int) -> tuple[ParallelBeam, Grid]:
        """So many rows, 1 mm apart, and the slices that they see."""
        angles = torch.arange(self.views, dtype=torch.float64) * (math.pi / self.views)
        detector = FlatDetector((slices, self.columns), (1.0, self.column_spacing))
        return ParallelBeam(angles, detector), Grid((slices, *self.shape), (1.0, self.spacing, self.spacing))


@dataclass(frozen=True)
class Beam:
    """The tube: a spectrum for each voltage behind `filters`, in bins of `bin_kev`.

    photons: of a reading without an object on the central ray, at voltages[1] and 1 mA; the other voltages have what
    the same tube gives. electronic_noise: in photons. bowtie_mm: radius of the water that a bowtie filter is made for.
    normal_ma, dose: current of the normal dose, and the fraction of it that methods learn from.
    """

    voltages: Rising
    currents: Rising
    filters: str
    bin_kev: Positive
    photons: Positive
    electronic_noise: Annotated[float, NOT_NEGATIVE]
    bowtie_mm: Positive
    voltage: Positive
    normal_ma: Positive
    dose: Annotated[float, _FRACTION]


@dataclass(frozen=True)
class Window:
    """What is made 0 to 1, by DICOM's linear formula: center - (width - 1) / 2 - 1/2 and so on, in HU."""

    center: float
    width: Positive

    @property
    def low(self) -> float:
        """What becomes 0."""
        return self.center - 0.5 - (self.width - 1) / 2

    @property
    def range(self) -> float:
        """HU from 0 to 1."""
        return self.width - 1


@dataclass(frozen=True)
class Method:
    """A network: how it is trained. steps: instead of those of `stop`."""

    title: str
    task: TaskChoice
    model: Model
    steps: Count | None = None
    learning_rate: Positive | None = None


@dataclass(frozen=True)
class Kernels:
    """Table 3: `like` with other widths of its kernels."""

    like: str
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Places:
    """Figure 2: so many pixels of each kind in the middle slice of each test phantom, `apart` from each other."""

    like: str
    count: Count
    apart: Count


@dataclass(frozen=True)
class Study:
    """The experiment in one profile.

    filters: of `sinograd.models.estimated_noise`; filter_seeds: how many of the seeds they see.
    tables: methods of Tables 1 and 2. paper: (PSNR, SSIM) by method, of other images. curve: methods of Figure 5.
    comparisons: pairs (better, than); headline: those that the study is about. smaller: what a profile has smaller.
    precision: of what networks compute in training.
    """

    title: str
    profile: str
    smaller: str
    phantoms: Split
    scan: Scan
    beam: Beam
    window: Window
    methods: dict[str, Method]
    kernels: Kernels
    places: Places
    filters: tuple[str, ...]
    filter_seeds: Count
    tables: tuple[tuple[str, ...], ...]
    curve: tuple[str, ...]
    paper: dict[str, tuple[float, float]]
    comparisons: tuple[tuple[str, str], ...]
    headline: tuple[tuple[str, str], ...]
    seeds: Seeds
    patches: PatchesSpec
    optimizer: Adam
    stop: Stop
    validation: Validation
    shown: tuple[float, float, float] = field(default=(0.3, 0.2, 0.35))
    precision: Precision = field(default="float32", metadata=LATER)

    @property
    def all_methods(self) -> dict[str, Method]:
        """With those of Table 3."""
        like = self.kernels.like
        return {**self.methods, **{sized(like, size): self._sized(size) for size in self.kernels.sizes}}

    def title_of(self, name: str) -> str:
        """The words for a row of the tables."""
        return _FIXED[name] if name in _FIXED else self.all_methods[name].title

    def _sized(self, size: int) -> Method:
        method = self.methods[self.kernels.like]
        model: Any = method.model
        return dataclasses.replace(method, title=f"{method.title}, {size} x {size}", model=_with_kernel(model, size))


def sized(like: str, size: int) -> str:
    """The name of a method of Table 3."""
    return f"{like}-k{size}"


def kernel_of(method: Method) -> int:
    """The width of a method's kernels."""
    return int(getattr(method.model, "kernel"))  # noqa: B009


def load_study(file: str | Path, profile: str, changes: Mapping[str, Any] | None = None) -> Study:
    """Read a profile; `changes` is merged in last. Raises ConfigError naming the file and the key."""
    return load_profile(Study, file, profile, changes, _check)


def _with_kernel(model: Any, size: int) -> Any:
    return dataclasses.replace(model, kernel=size)


def _check(study: Study) -> None:
    split = study.phantoms
    held = [set(part.seeds) for part in (split.training, split.validation, split.test)]
    if len(set.union(*held)) < sum(map(len, held)):
        raise ConfigError("phantoms: training, validation and test have phantoms in common")
    for like, where in ((study.kernels.like, "kernels"), (study.places.like, "places")):
        if like not in study.methods or not hasattr(study.methods[like].model, "kernel"):
            raise ConfigError(f"{where}.like: expected a method with kernels, got {like!r}")
    _among("filters", study.filters, ESTIMATED)
    known = {LOW, *study.filters, *study.all_methods}
    for table in study.tables:
        _among("tables", table, known)
    _among("curve", study.curve, study.methods)
    _among("paper", study.paper, {*known, *ESTIMATED})
    for pair in study.comparisons:
        _among("comparisons", pair, known)
    check_headline(study.headline, study.comparisons)
    beam = study.beam
    for name, value, values in (
        ("voltage", beam.voltage, beam.voltages),
        ("normal_ma", beam.normal_ma, beam.currents),
    ):
        if value not in values:
            raise ConfigError(f"beam.{name}: expected one of {', '.join(f'{v:g}' for v in values)}, got {value:g}")


def _among(where: str, names: Any, known: Any) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(f"{where}: no {name!r}, expected some of {', '.join(sorted(known))}")
