"""The configuration of this experiment: `config.yaml` beside this page, which is its schema.

Profiles as in `study.config`. Lengths in mm, densities in mg/cm3, attenuation in 1/mm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import bone_microstructure.regression  # noqa: F401  # registers its loss
from sinograd.config.schema import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, Check
from sinograd.datasets import PatchesSpec
from sinograd.errors import ConfigError
from sinograd.geometry import ConeBeam, FlatDetector, Grid, full_scan
from sinograd.training.config import Adam, Stop
from sinograd.training.model_config import Model
from sinograd.training.task_config import LossChoice
from study.config import load_profile

_SOME = Check("a list that is not empty", lambda value: len(value) > 0)

Count = Annotated[int, AT_LEAST_ONE]
Positive = Annotated[float, POSITIVE]
NotNegative = Annotated[float, NOT_NEGATIVE]


@dataclass(frozen=True)
class Bone:
    """A bone: the arguments of `sinograd.phantoms.trabecular`."""

    name: str
    seed: int
    bone_fraction: float
    thickness: float
    plates: float = 0.7
    elongation: float = 1.0
    variation: float = 0.15


@dataclass(frozen=True)
class Region:
    """What is reconstructed: shape [Z, Y, X] and spacing of the voxels; phantom: diameter and height of the bone."""

    shape: tuple[Count, Count, Count]
    spacing: tuple[Positive, Positive, Positive]
    phantom: tuple[Positive, Positive]

    @property
    def grid(self) -> Grid:
        """The grid of all volumes."""
        return Grid(self.shape, self.spacing)


@dataclass(frozen=True)
class Reference:
    """The high-resolution scan: voxel, points in each along an axis, blur (standard deviation), noise of a voxel.

    bone, marrow: densities of the tissues.
    """

    bone: float
    marrow: float
    voxel: Positive
    points: Count
    blur: NotNegative
    noise: NotNegative


@dataclass(frozen=True)
class Clinical:
    """The clinical scanner: one axial turn.

    columns, rows: of the detector, [count, spacing at the axis]. points: rays of a pixel along rows and columns.
    voxel: of the fine grid that is projected. focal_spot: width, in the source; detector_blur: standard deviation, on
    the detector. currents: mAs. photons_per_mas: per pixel and view behind the body around the bone. bone, marrow:
    attenuation of the tissues. calibration_diameter: of the spheres that scan and truth are compared in.
    """

    source_to_origin: Positive
    source_to_detector: Positive
    views: Count
    rows: tuple[Count, Positive]
    columns: tuple[Count, Positive]
    points: tuple[Count, Count]
    voxel: Positive
    focal_spot: Positive
    detector_blur: NotNegative
    window: str
    currents: Annotated[tuple[float, ...], _SOME]
    repetitions: Count
    photons_per_mas: Positive
    bone: float
    marrow: float
    calibration_diameter: Positive = 5.0

    @property
    def geometry(self) -> ConeBeam:
        """The scan."""
        return self.finer(1, 1)

    def finer(self, rows: int, columns: int) -> ConeBeam:
        """The scan with so many smaller pixels in each."""
        size = self.source_to_detector / self.source_to_origin
        detector = FlatDetector(
            (self.rows[0] * rows, self.columns[0] * columns),
            (self.rows[1] * size / rows, self.columns[1] * size / columns),
        )
        return ConeBeam.circular(
            source_to_origin=self.source_to_origin,
            source_to_detector=self.source_to_detector,
            angles=full_scan(self.views),
            detector=detector,
        )


@dataclass(frozen=True)
class Bones:
    """training: of both splits. others: made with parameters of the same ranges; parameters: of other ones."""

    training: Annotated[tuple[Bone, ...], _SOME]
    others: Annotated[tuple[Bone, ...], _SOME]
    parameters: Annotated[tuple[Bone, ...], _SOME]

    @property
    def all(self) -> tuple[Bone, ...]:
        """Every bone."""
        return (*self.training, *self.others, *self.parameters)


@dataclass(frozen=True)
class Places:
    """Patches: size and step [z, y, x] in voxels. Of every bone's places, drawn with `seed`, one part of `folds` is
    tested on in each fold, and `validation` of the rest watched in training (where that stops early)."""

    size: tuple[Count, Count, Count]
    step: tuple[Count, Count, Count]
    folds: Count
    seed: int
    validation: NotNegative = 0.0


@dataclass(frozen=True)
class Network:
    """A network that is trained with its own loss; `learning_rate` None: the study's."""

    title: str
    loss: LossChoice


@dataclass(frozen=True)
class Split:
    """How training and test differ.

    by: "position" (places of the same bones, as in the paper) or "bone" (other bones). networks: their names, with the
    seeds of training of each. folds: which ones are run; of "bone" 0 alone.
    """

    by: Literal["position", "bone"]
    networks: dict[str, Annotated[tuple[int, ...], _SOME]]
    folds: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Study:
    """The experiment in one profile.

    diameter, threshold: of the maps that are scored. sigmas: of Gaussian filters, mm. filters: "bm4d", or none.
    stages: after how many equal parts of the training the error is measured (Figure 5). paper: its figures, by test
    current, parameter and method.
    """

    title: str
    profile: str
    region: Region
    reference: Reference
    clinical: Clinical
    bones: Bones
    places: Places
    networks: dict[str, Network]
    splits: dict[str, Split]
    sigmas: Annotated[tuple[float, ...], _SOME]
    model: Model
    optimizer: Adam
    stop: Stop
    patches: PatchesSpec
    stages: Count = 4
    diameter: Positive = 4.3
    threshold: float = 225.0
    filters: tuple[str, ...] = ()
    paper: dict[str, dict[str, dict[str, tuple[float, ...]]]] = field(default_factory=dict)


def load_study(file: str | Path, profile: str, changes: Mapping[str, Any] | None = None) -> Study:
    """Read a profile; `changes` is merged in last. Raises ConfigError naming the file and the key."""
    return load_profile(Study, file, profile, changes, _check)


def _check(study: Study) -> None:
    names = [bone.name for bone in study.bones.all]
    seeds = [bone.seed for bone in study.bones.all]
    if len(set(names)) < len(names) or len(set(seeds)) < len(seeds):
        raise ConfigError("bones: a name or a seed is given twice")
    for name, split in study.splits.items():
        for network in split.networks:
            if network not in study.networks:
                known = ", ".join(study.networks)
                raise ConfigError(f"splits.{name}.networks: no {network!r}, expected some of {known}")
        most = study.places.folds if split.by == "position" else 1
        if any(not 0 <= fold < most for fold in split.folds):
            raise ConfigError(f"splits.{name}.folds: expected numbers from 0 to {most - 1}, got {split.folds}")
    for filtered in study.filters:
        if filtered != "bm4d":
            raise ConfigError(f"filters: expected bm4d or none, got {filtered!r}")
    if any(n > count for n, count in zip(study.places.size, study.region.shape, strict=True)):
        raise ConfigError(f"places.size: {study.places.size} does not fit into {study.region.shape}")
    if study.stop.max_steps % study.stages:
        raise ConfigError(f"stages: expected a divisor of {study.stop.max_steps} steps, got {study.stages}")
