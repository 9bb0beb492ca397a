"""The configuration of this experiment: `config.yaml` beside this page, which is its schema.

Profiles as in `study.config`. Values in HU, lengths in mm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from sinograd.choices import WINDOWS
from sinograd.config.schema import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, Check, OneOf, from_plain
from sinograd.errors import ConfigError
from sinograd.geometry import FanBeam, FlatDetector, Grid, full_scan
from sinograd.invariance.denoisers import CONTROLS
from sinograd.training.config import Config
from study.config import Seeds, load_profile

_SHARE = Check("a number above 0 and at most 1", lambda value: 0 < value <= 1)
Count = Annotated[int, AT_LEAST_ONE]
Positive = Annotated[float, POSITIVE]
Run = dict[str, Any]  # a configuration of `sinograd train` without what the experiment fills in
WATER = 0.0193


@dataclass(frozen=True)
class Range:
    """The seeds first, first + 1 ... of `count` patients."""

    first: int
    count: Count

    @property
    def seeds(self) -> range:
        """All of them."""
        return range(self.first, self.first + self.count)


@dataclass(frozen=True)
class Scans:
    """Patients and their scans: each slice a fan beam of its own.

    training, validation, test: seeds of patients. slices: of each. height: mm from one to the next. shape, voxel: of a
    slice. views, columns, column: of the scan, element size at the detector. photons: of the normal dose; dose: share
    of the low one. window: of the ramp filter.
    """

    training: Range
    validation: Range
    test: Range
    slices: Count
    height: Positive
    shape: tuple[int, int]
    voxel: Positive
    views: Count
    columns: Count
    column: Positive
    photons: Positive
    dose: Annotated[float, _SHARE]
    electronic_noise: Annotated[float, NOT_NEGATIVE]
    window: Annotated[str, OneOf(WINDOWS)]
    nodules: Count
    vessels: Count

    def scan(self) -> tuple[FanBeam, Grid]:
        """The geometry of each slice and its grid."""
        geometry = FanBeam.circular(
            source_to_origin=595.0,
            source_to_detector=1085.6,
            angles=full_scan(self.views),
            detector=FlatDetector(shape=self.columns, spacing=self.column),
        )
        return geometry, Grid(self.shape, self.voxel)


@dataclass(frozen=True)
class Crops:
    """Crops of test patients: per_patient, `about_nodules` of them around one, at most `jitter` pixels off; one
    contains a lesion if `least` pixels of nodules lie in it, `margin` or more from its edge."""

    per_patient: Count
    about_nodules: Annotated[int, NOT_NEGATIVE]
    jitter: Annotated[int, NOT_NEGATIVE]
    least: Count
    margin: Annotated[int, NOT_NEGATIVE]


@dataclass(frozen=True)
class Latents:
    """Of patients of their own, whose latents must be normal: per_patient crops of each, anywhere, and draws of the
    latents of each crop."""

    patients: Range
    per_patient: Count
    draws: Count


@dataclass(frozen=True)
class Denoiser:
    """title: for tables. control: its name. train: how it is trained, low dose to normal dose. pipeline: it starts from
    projections."""

    title: str
    control: str | None = None
    train: Run | None = None
    pipeline: bool = False


@dataclass(frozen=True)
class Study:
    """The experiment in one profile.

    Attributes:
        denoisers: by name; reference: the one that Table 2 tests against the others.
        vae, twin, flow, embedding: training runs.
        samples: of each crop; control_samples: with shuffled conditions and without the flow.
        seeds: of training and of sampling; patients and their noise are always the same.
        shares: of the rank of similarities, of the crops in Figures 6 and 7.
    """

    title: str
    profile: str
    scans: Scans
    crops: Crops
    latents: Latents
    denoisers: dict[str, Denoiser]
    reference: str
    vae: Run
    twin: Run
    flow: Run
    embedding: Run
    samples: Count
    control_samples: Count
    seeds: Seeds
    shares: tuple[float, ...] = (0.0, 0.333, 0.667, 1.0)

    def title_of(self, name: str) -> str:
        """For tables and figures."""
        return self.denoisers[name].title


def load_study(file: str | Path, profile: str, changes: Mapping[str, Any] | None = None) -> Study:
    """Read a profile; `changes` is merged in last. Raises ConfigError naming the file and the key."""
    return load_profile(Study, file, profile, changes, _check)


def run_config(run: Run, **more: Any) -> dict[str, Any]:
    """A run with keys that the experiment fills in; mappings are merged."""
    return _merged(run, more)


def _merged(base: Any, more: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(more, Mapping):
        return {**base, **{key: _merged(base.get(key), value) for key, value in more.items()}}
    return more


def _check(study: Study) -> None:
    scans = study.scans
    parts = [set(part.seeds) for part in (scans.training, scans.validation, scans.test, study.latents.patients)]
    if len(set.union(*parts)) < sum(map(len, parts)):
        raise ConfigError("scans: training, validation, test and latents have patients in common")
    if study.latents.patients.count < 2:
        raise ConfigError("latents.patients.count: expected at least 2, for standard errors, got 1")
    if study.reference not in study.denoisers:
        raise ConfigError(f"reference: no denoiser {study.reference!r}")
    for name in CONTROLS:
        if name not in study.denoisers:
            raise ConfigError(f"denoisers: the control {name} is missing, it runs every time")
    for name, entry in study.denoisers.items():
        if (entry.control is None) == (entry.train is None):
            raise ConfigError(f"denoisers.{name}: expected control or train")
        if entry.control is not None and entry.control not in CONTROLS:
            raise ConfigError(f"denoisers.{name}.control: expected one of {', '.join(CONTROLS)}, got {entry.control!r}")
        if entry.train is not None:
            from_plain(Config, entry.train, f"denoisers.{name}.train")
    fitting = {"task": {"autoencoder": "vae"}}, {"task": {"samplers": ["flow"]}}
    for key, more in (("vae", {}), ("twin", {}), ("flow", fitting[0]), ("embedding", fitting[1])):
        from_plain(Config, run_config(getattr(study, key), **more), key)
    if study.samples < 2:
        raise ConfigError(f"samples: expected at least 2, got {study.samples}")
    if study.crops.about_nodules > study.crops.per_patient:
        raise ConfigError("crops.about_nodules: expected at most per_patient")
