"""The configuration of this experiment: `config.yaml` beside this page, which is its schema."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from noise2noise.settings import Count, Positive
from sinograd.config.schema import Check
from sinograd.datasets import PatchesSpec, Phantoms, ScanSpec
from sinograd.errors import ConfigError, MissingFileError
from sinograd.models.estimated_noise import ESTIMATED
from sinograd.training.config import Adam, Stop, Validation
from sinograd.training.model_config import Model
from study.config import Seeds, check_headline, load_profile

LOW = "low-dose"

_FRACTION = Check("a fraction above 0 and below 1", lambda value: 0 < value < 1)


@dataclass(frozen=True)
class Image:
    """A measured volume in HU: `file` below the data's folder; `offset` makes its values HU.

    slices: first and last one that are taken; null: all. use: what it is for. patient: whose it is.
    """

    title: str
    file: str
    patient: str
    use: Literal["training", "validation", "test"]
    offset: float = 0.0
    slices: tuple[int, int] | None = None


@dataclass(frozen=True)
class ThinnedScan:
    """A measured fan-beam scan, thinned to a fraction of its photons, which are measured in its open beam.

    Line integrals below `open_below` count as open beam. pixels: of the slice, along each side. per_mm: the attenuation
    that counts as 0 HU, its body's.
    """

    title: str
    file: str
    dose: Annotated[float, _FRACTION]
    open_below: Positive
    pixels: Count
    per_mm: Positive


@dataclass(frozen=True)
class Method:
    """A model and what it learns from: measured images, or phantoms."""

    title: str
    model: Model
    data: Literal["measured", "phantoms"]
    steps: Count | None = None
    learning_rates: dict[str, Positive] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """The experiment in one profile.

    data: folder of the measured data, relative to this file. noise_hu: the RMS that the lower dose adds inside the
    patient. scan: of the simulation; photons are found. phantoms: what is learnt from instead. filters: of
    `sinograd.models.estimated_noise`. comparisons: pairs (better, than); headline: those that the study is about.
    """

    title: str
    profile: str
    smaller: str
    data: Path
    images: dict[str, Image]
    thinned: ThinnedScan
    noise_hu: Positive
    data_range: Positive
    scan: ScanSpec
    phantoms: Phantoms
    methods: dict[str, Method]
    filters: tuple[str, ...]
    comparisons: tuple[tuple[str, str], ...]
    headline: tuple[tuple[str, str], ...]
    seeds: Seeds
    patches: PatchesSpec
    optimizer: Adam
    stop: Stop
    validation: Validation

    @property
    def folder(self) -> Path:
        """Where the measured data are; the hash of the configuration has `data` as it is written."""
        return (Path(__file__).resolve().parent / self.data).resolve()

    def title_of(self, name: str) -> str:
        """The words for a row of the tables."""
        if name in self.methods:
            return self.methods[name].title
        words = name.removesuffix("-estimated").capitalize() + ", noise estimated"
        return "Low dose" if name == LOW else words

    def of(self, use: str) -> dict[str, Image]:
        """The images of one use."""
        return {name: image for name, image in self.images.items() if image.use == use}


def load_study(file: str | Path, profile: str, changes: Mapping[str, Any] | None = None) -> Study:
    """Read a profile; `changes` is merged in last. Raises ConfigError naming the file and the key."""
    return load_profile(Study, file, profile, changes, _check)


def check_data(study: Study) -> None:
    """MissingFileError, before anything is computed, unless all measured data are there."""
    for name in (*(image.file for image in study.images.values()), study.thinned.file):
        if not (study.folder / name).exists():
            raise MissingFileError(f"{study.folder / name} does not exist (`data` in config.yaml names its folder)")


def _check(study: Study) -> None:
    known = {LOW, *study.filters, *study.methods}
    for name in study.filters:
        if name not in ESTIMATED:
            raise ConfigError(f"filters: no filter {name!r}, expected some of {', '.join(ESTIMATED)}")
    for pair in study.comparisons:
        for name in pair:
            if name not in known:
                raise ConfigError(f"comparisons: no {name!r}, expected some of {', '.join(sorted(known))}")
    check_headline(study.headline, study.comparisons)
    for use in ("training", "validation", "test"):
        if not study.of(use):
            raise ConfigError(f"images: expected at least one with the use {use}")
    patients = {image.patient for use in ("training", "validation") for image in study.of(use).values()}
    for name, image in study.of("test").items():
        if image.patient in patients:
            raise ConfigError(f"images.{name}: patient {image.patient!r} is trained on, too")
