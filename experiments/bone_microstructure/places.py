"""Where patches lie, which of them are trained and tested on, and the bone parameters of each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bone_microstructure.settings import Places, Split, Study
from sinograd.morphometry.ball import fitting_ball
from sinograd.morphometry.soft_threshold import soft_floor, soft_threshold

_LOST = (8, 16, 16)  # voxels that the network takes off a patch
SOFTNESS = 10.0  # of the threshold, mg/cm3 (equation 5)
PARAMETERS = ("voxel", "bmd", "tmd", "bvtv")


@dataclass(frozen=True, order=True)
class Place:
    """A patch: the bone's name and the first voxel (z, y, x)."""

    bone: str
    start: tuple[int, int, int]

    def cut(self, volume: Tensor, size: tuple[int, int, int]) -> Tensor:
        """The patch of volumes [..., Z, Y, X]."""
        z, y, x = (slice(first, first + n) for first, n in zip(self.start, size, strict=True))
        return volume[..., z, y, x]

    def inner(self, volume: Tensor, size: tuple[int, int, int]) -> Tensor:
        """What a network that loses its border makes of the patch."""
        start = tuple(first + lost // 2 for first, lost in zip(self.start, _LOST, strict=True))
        z, y, x = (slice(first, first + n - lost) for first, n, lost in zip(start, size, _LOST, strict=True))
        return volume[..., z, y, x]


@dataclass(frozen=True)
class Parts:
    """Places of one fold of a split: trained on, watched, and tested on by the name of the test."""

    training: list[Place]
    validation: list[Place]
    tests: dict[str, list[Place]]


def places_of(study: Study, bone: str) -> list[Place]:
    """All of a bone, on the grid of steps."""
    counts = zip(study.region.shape, study.places.size, study.places.step, strict=True)
    starts = [range(0, count - size + 1, step) for count, size, step in counts]
    return [Place(bone, (z, y, x)) for z, y, x in itertools.product(*starts)]


def parts_of(study: Study, split: Split, fold: int) -> Parts:
    """Training, validation and test."""
    places = [place for bone in study.bones.training for place in places_of(study, bone.name)]
    drawn = [places[i] for i in np.random.default_rng(study.places.seed).permutation(len(places))]
    tests: dict[str, list[Place]] = {}
    if split.by == "position":
        tests["position"] = sorted(drawn[fold :: study.places.folds])
        drawn = [place for place in drawn if place not in tests["position"]]
    else:
        for name in ("others", "parameters"):
            tests[name] = [p for bone in getattr(study.bones, name) for p in places_of(study, bone.name)]
    watched = round(study.places.validation * len(drawn))
    return Parts(sorted(drawn[watched:]), sorted(drawn[:watched]), tests)


def inner_size(places: Places) -> tuple[int, int, int]:
    """Of what is left of a patch."""
    z, y, x = (n - lost for n, lost in zip(places.size, _LOST, strict=True))
    return z, y, x


def parameters_of(study: Study, inner: Tensor, threshold: float | None = None) -> dict[str, Tensor]:
    """Voxels [..., n] and, in the sphere about the middle of each patch [..., Z, Y, X], BMD, TMD (mg/cm3) and BV/TV
    (%) [..., 1], with equations 6 to 8."""
    ball = fitting_ball(study.region.spacing, study.diameter, inner.shape)
    margins = [(n - m) // 2 for n, m in zip(inner.shape[-3:], ball.shape, strict=True)]
    z, y, x = (slice(a, a + m) for a, m in zip(margins, ball.shape, strict=True))
    values = inner[..., z, y, x].double()
    weights = ball.double() / ball.sum()
    bone = soft_threshold(values, study.threshold if threshold is None else threshold, SOFTNESS)
    share = (bone * weights).sum((-3, -2, -1))
    density = (bone * values * weights).sum((-3, -2, -1)) / soft_floor(share)
    return {
        "voxel": inner.flatten(-3).double(),
        "bmd": (values * weights).sum((-3, -2, -1))[..., None],
        "tmd": density[..., None],
        "bvtv": 100 * share[..., None],
    }


def stacked(study: Study, volumes: dict[str, Tensor], places: Sequence[Place]) -> Tensor:
    """The inner patches of volumes [..., Z, Y, X] of each bone: [..., places, z, y, x]."""
    return torch.stack([place.inner(volumes[place.bone], study.places.size) for place in places], dim=-4)
