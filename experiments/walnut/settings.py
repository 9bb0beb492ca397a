"""The configuration of this experiment: `config.yaml` beside this page, which is its schema. Lengths in mm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from sinograd.config.schema import AT_LEAST_ONE, POSITIVE
from sinograd.errors import ConfigError
from study.config import Seeds, load_profile

Count = Annotated[int, AT_LEAST_ONE]
Positive = Annotated[float, POSITIVE]


@dataclass(frozen=True)
class Voxels:
    """The grid, in the middle of the scan; shape z, y, x."""

    shape: tuple[int, int, int]
    voxel_mm: Positive


@dataclass(frozen=True)
class Scored:
    """Slices and the radius about the axis within which volumes are compared."""

    z: tuple[int, int]
    radius_mm: Positive


@dataclass(frozen=True)
class Reprojected:
    """Detector rows, and every so many of the views kept back, that the volume is projected to."""

    rows: tuple[int, int]
    every: Count


@dataclass(frozen=True)
class Case:
    """A share of the photons, by added noise, and every so many of the views."""

    dose: Positive
    every: Count


@dataclass(frozen=True)
class Study:
    """All settings; seeds are those of the added noise and of the training."""

    title: str
    seeds: Seeds
    photons: Positive
    grid: Voxels
    window: str
    reference_window: str
    training: dict[str, tuple[int, int]]
    scored: Scored
    reprojected: Reprojected
    data_range: Positive
    filters: tuple[Count, ...]
    task: dict[str, Any]
    steps: Count
    cases: dict[str, Case]
    profile: str = "quick"


def load_study(file: str | Path, profile: str = "quick", changes: Mapping[str, Any] | None = None) -> Study:
    """The configuration in one profile; ConfigError for what is wrong."""
    return load_profile(Study, file, profile, changes, _check)


def _check(study: Study) -> None:
    if any(case.dose > 1 for case in study.cases.values()):
        raise ConfigError("cases: a dose is at most 1")
    if len(study.seeds) < 3:
        raise ConfigError(f"seeds: intervals need at least 3, got {len(study.seeds)}")
