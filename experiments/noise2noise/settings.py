"""The configuration of this experiment: `config.yaml` beside this page, which is its schema.

Profiles as in `study.config`. Images have the data range 1. Lengths in mm, angles in degrees, PSNR in dB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch

from sinograd.choices import WINDOWS
from sinograd.config.schema import AT_LEAST_ONE, POSITIVE, Check, OneOf
from sinograd.datasets import PatchesSpec
from sinograd.errors import ConfigError
from sinograd.geometry import FlatDetector, Geometry, Grid, ParallelBeam
from sinograd.models.classical_tuning import TUNABLE
from sinograd.training.config import Adam, Stop, Validation
from sinograd.training.model_config import Model
from sinograd.training.tasks import Noise2Noise, Supervised
from study.config import Seeds, check_headline, load_profile

NOISY = "noisy"
ORACLE = "-oracle"  # after the name of a filter: tuned on each test image

_SOME = Check("a list that is not empty", lambda value: len(value) > 0)
_TWO = Check("at least 2", lambda value: value >= 2)

Count = Annotated[int, AT_LEAST_ONE]
Positive = Annotated[float, POSITIVE]


@dataclass(frozen=True)
class Range:
    """The seeds first, first + 1 ... of `count` phantoms."""

    first: int
    count: Count

    @property
    def seeds(self) -> range:
        """All of them."""
        return range(self.first, self.first + self.count)


@dataclass(frozen=True)
class Split:
    """Phantoms that are trained on, that the learning rate and the weights that are kept follow, and tested on."""

    training: Range
    validation: Range
    test: Range


@dataclass(frozen=True)
class Projections:
    """X-ray projections of `sinograd.abdomen`, `size` times as large: transmission, each over its own maximum.

    test_every: every so many of a test phantom's views are scored.
    """

    kind: Literal["projections"]
    geometry: dict[str, Any]
    size: Positive = 1.0
    test_every: Count = 1

    @property
    def scan_geometry(self) -> Geometry:
        """The geometry that `geometry` describes."""
        return Geometry.from_dict(self.geometry)


@dataclass(frozen=True)
class Slices:
    """Slices of `sinograd.abdomen`: filtered backprojections of exact projections, over the largest training value.

    Parallel beams over half a turn: views, columns of the detector and their spacing; window: of the ramp filter.
    shape [Y, X] and spacing: of the pixels. count: slices of each phantom, evenly spaced from -reach to reach mm;
    test_count: of a test phantom.
    """

    kind: Literal["slices"]
    views: Count
    columns: Count
    column_spacing: Positive
    shape: tuple[Count, Count]
    spacing: Positive
    count: Count
    test_count: Count
    reach: Positive
    window: Annotated[str, OneOf(WINDOWS)] = "ram-lak"

    def scan(self, *, test: bool) -> tuple[ParallelBeam, Grid]:
        """A row of the detector for each slice, and the volume."""
        count = self.test_count if test else self.count
        apart = 2 * self.reach / count
        angles = torch.arange(self.views, dtype=torch.float64) * (math.pi / self.views)
        detector = FlatDetector((count, self.columns), (apart, self.column_spacing))
        return ParallelBeam(angles, detector), Grid((count, *self.shape), (apart, self.spacing, self.spacing))


@dataclass(frozen=True)
class Noise:
    """poisson: of photons; gaussian: white. psnr: mean of the images' (gaussian: of each), which fixes the strength."""

    kind: Literal["poisson", "gaussian"]
    psnr: float


@dataclass(frozen=True)
class Dataset:
    """Noisy images, the networks that are trained on them, and the paper's PSNR by method."""

    title: str
    images: str
    noise: Noise
    methods: Annotated[tuple[str, ...], _SOME]
    paper: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """How a network is trained."""

    title: str
    task: Supervised | Noise2Noise


@dataclass(frozen=True)
class Curve:
    """PSNR of the output over that of the input: networks (data set, method), all applied to images of one kind."""

    title: str
    networks: Annotated[tuple[tuple[str, str], ...], _SOME]
    psnr: Annotated[tuple[float, ...], _SOME]


@dataclass(frozen=True)
class Study:
    """The experiment in one profile.

    realisations: of the noise of each training image. filters: of `sinograd.models.classical_tuning`; tuning_images:
    how many training images their one setting is found on. comparisons: pairs (better, than) of rows; headline: those
    of them that the study is about, whose intervals stand as they are; the others are corrected for their number.
    """

    title: str
    profile: str
    phantoms: Split
    images: dict[str, Projections | Slices]
    sets: dict[str, Dataset]
    methods: dict[str, Method]
    filters: tuple[str, ...]
    tuning_images: Count
    comparisons: tuple[tuple[str, str], ...]
    curves: dict[str, Curve]
    seeds: Seeds
    patches: PatchesSpec
    model: Model
    optimizer: Adam
    stop: Stop
    validation: Validation
    realisations: Annotated[int, _TWO] = 2
    headline: tuple[tuple[str, str], ...] = ()

    def title_of(self, method: str) -> str:
        """The words for a row of the tables: the noisy images, a network or a filter."""
        if method == NOISY:
            return "Noisy"
        if method in self.methods:
            return self.methods[method].title
        return method.removesuffix(ORACLE).capitalize() + (", per image" if method.endswith(ORACLE) else "")

    def rows_of(self, dataset: str) -> list[str]:
        """What the tables of a data set have rows of, in their order."""
        filters = [name + end for end in ("", ORACLE) for name in self.filters]
        return [NOISY, *self.sets[dataset].methods, *filters]


def load_study(file: str | Path, profile: str, changes: Mapping[str, Any] | None = None) -> Study:
    """Read a profile; `changes` is merged in last. Raises ConfigError naming the file and the key."""
    return load_profile(Study, file, profile, changes, _check)


def _check(study: Study) -> None:
    split = study.phantoms
    held = [set(part.seeds) for part in (split.training, split.validation, split.test)]
    if len(set.union(*held)) < sum(map(len, held)):
        raise ConfigError("phantoms: training, validation and test have phantoms in common")
    for name in study.filters:
        if name not in TUNABLE or TUNABLE[name].dimensions != 2:
            known = ", ".join(key for key, value in TUNABLE.items() if value.dimensions == 2)
            raise ConfigError(f"filters: no filter {name!r} of images, expected some of {known}")
    filters = {name + end for name in study.filters for end in ("", ORACLE)}
    for name, dataset in study.sets.items():
        _among(f"sets.{name}.images", dataset.images, study.images)
        for method in dataset.methods:
            _among(f"sets.{name}.methods", method, study.methods)
        for method in dataset.paper:
            _among(f"sets.{name}.paper", method, {*study.methods, *filters})
    for pair in study.comparisons:
        for method in pair:
            _among("comparisons", method, {NOISY, *study.methods, *filters})
    check_headline(study.headline, study.comparisons)
    for name, curve in study.curves.items():
        for dataset, method in curve.networks:
            _among(f"curves.{name}.networks", dataset, study.sets)
            _among(f"curves.{name}.networks", method, study.sets[dataset].methods)
        kinds = {(study.sets[d].images, study.sets[d].noise.kind) for d, _ in curve.networks}
        if len(kinds) > 1:
            raise ConfigError(f"curves.{name}.networks: expected one kind of images and noise, got {len(kinds)}")


def _among(where: str, name: str, known: Any) -> None:
    if name not in known:
        raise ConfigError(f"{where}: no {name!r}, expected some of {', '.join(sorted(known))}")
