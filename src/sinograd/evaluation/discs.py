"""How sharp methods leave the edge of a disc, such as a rod of a phantom: task transfer functions.

Denoisers are not linear, so that what is found is the transfer at this contrast, in this noise (Richard et al., Med.
Phys. 39, 4115 (2012); AAPM TG-233): other edges of the same image may be blurred more or less.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sinograd.datasets import PairedVolume
from sinograd.errors import InputError
from sinograd.geometry import Grid
from sinograd.metrics import TaskTransferFunction, task_transfer_function

LEAST_CONTRAST_TO_NOISE = 15.0  # Richard et al.: below it a measurement cannot be trusted
TARGET = "target"
_NO_DISC = "no disc there"
_FORM = "X,Y,RADIUS[,VOLUME][,FIRST:END], lengths in mm"


@dataclass(frozen=True)
class Disc:
    """A disc with nothing else nearer to it than 0.8 of its radius.

    Attributes:
        x, y: its middle in mm, to within half the radius: where the volume's file says that it is, or from the middle
            of the slices where there is no file.
        radius: mm, at least 3 pixels.
        volume: name of the volume that has it; None: all have it, in the same place.
        slices: first and the one after the last; None: all.
    """

    x: float
    y: float
    radius: float
    volume: str | None = None
    slices: tuple[int, int] | None = None

    def __str__(self) -> str:
        where = "" if self.volume is None else f" of {self.volume}"
        only = "" if self.slices is None else f", slices {self.slices[0]} to {self.slices[1] - 1}"
        return f"({self.x:g}, {self.y:g}) mm, radius {self.radius:g} mm{where}{only}"

    @staticmethod
    def parse(text: str) -> Disc:
        """From `"X,Y,RADIUS[,VOLUME][,FIRST:END]"`; ValueError for anything else."""
        parts = [part.strip() for part in text.split(",")]
        try:
            x, y, radius = (float(part) for part in parts[:3])
        except ValueError:
            raise InputError(f"disc: expected {_FORM}, got {text!r}") from None
        if not (math.isfinite(x) and math.isfinite(y) and 0 < radius < math.inf):
            raise InputError(f"disc: expected finite lengths and a positive radius, got {text!r}")
        ranges = [part for part in parts[3:] if re.fullmatch(r"\d+:\d+", part)]
        names = [part for part in parts[3:] if part not in ranges]
        if len(ranges) > 1 or len(names) > 1 or "" in names:
            raise InputError(f"disc: expected {_FORM}, got {text!r}")
        slices = None
        if ranges:
            first, _, end = ranges[0].partition(":")
            slices = (int(first), int(end))
        return Disc(x, y, radius, names[0] if names else None, slices)


@dataclass(frozen=True, eq=False)
class Sharpness:
    """Of one disc as one method left it, in the mean of all slices and volumes that have it.

    Attributes:
        disc, method: "target" is the target itself.
        contrast: inside minus outside, in the unit of the scores.
        contrast_to_noise: its size over the standard deviation about the edge profile, of the mean image.
        f50, f10: where the transfer falls to 0.5 and 0.1, 1/mm; infinite beyond the pixels' Nyquist frequency, NaN
            where it was not measured.
        problem: why it was not; "" where it was.
        frequency, transfer: float64 [n], 1/mm; empty where it was not measured.
    """

    disc: str
    method: str
    contrast: float = math.nan
    contrast_to_noise: float = math.nan
    f50: float = math.nan
    f10: float = math.nan
    problem: str = ""
    frequency: np.ndarray = field(default_factory=lambda: np.zeros(0))
    transfer: np.ndarray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class _Place:
    """Of a disc in the pixels of the volumes that have it."""

    volumes: tuple[str, ...]
    shape: tuple[int, int]
    spacing: tuple[float, float]
    center: tuple[float, float]


class DiscImages:
    """Sums of the slices with each disc, as each method left them.

    Raises:
        ValueError: a disc of no volume, in slices that are not there, outside of the image or with a radius below
            3 pixels; volumes without voxel sizes; volumes that hold one disc in other pixels.
    """

    def __init__(self, discs: Sequence[Disc], pairs: Sequence[PairedVolume]) -> None:
        self._places = [(disc, _place(disc, pairs)) for disc in discs]
        self._sums: dict[tuple[int, str], tuple[Tensor, int]] = {}  # of converted slices, and their number

    def add(self, method: str, pair: PairedVolume, volume: Tensor, convert: Callable[[Tensor], Tensor]) -> None:
        """A method's volume [Z, Y, X]; convert: to the unit of the scores."""
        for index, (disc, place) in enumerate(self._places):
            if pair.name not in place.volumes:
                continue
            first, end = disc.slices or (0, len(volume))
            part = convert(volume[first:end].double().mean(0)) * (end - first)
            held, count = self._sums.get((index, method), (torch.zeros_like(part), 0))
            self._sums[index, method] = (held + part, count + end - first)

    def merge(self, other: DiscImages) -> None:
        """Add the sums of other volumes, with the same discs."""
        for key, (part, count) in other._sums.items():
            held, before = self._sums.get(key, (torch.zeros_like(part), 0))
            self._sums[key] = (held + part, before + count)

    def measure(self, methods: Sequence[str]) -> list[Sharpness]:
        """The target's sharpness and each method's, disc by disc, about the middle that the target's disc has."""
        found = []
        for index, (disc, place) in enumerate(self._places):
            center: tuple[float, float] | None = place.center
            for method in (TARGET, *methods):
                total, count = self._sums[index, method]
                if center is None:
                    found.append(Sharpness(str(disc), method, problem=_NO_DISC))
                    continue
                sharpness, center = _measure(disc, method, total / count, place, center, find=method == TARGET)
                found.append(sharpness)
        return found


def _place(disc: Disc, pairs: Sequence[PairedVolume]) -> _Place:
    those = [pair for pair in pairs if disc.volume in (None, pair.name)]
    if not those:
        names = ", ".join(pair.name for pair in pairs[:5]) + (" ..." if len(pairs) > 5 else "")
        raise InputError(f"disc {disc}: expected a volume of {names}")
    places = []
    for pair in those:
        if pair.spacing is None:
            raise InputError(f"disc {disc}: the size of the voxels of {pair.name} is not known")
        depth, height, width = pair.shape
        if disc.slices is not None and not 0 <= disc.slices[0] < disc.slices[1] <= depth:
            raise InputError(f"disc {disc}: expected slices between 0 and {depth} of {pair.name}, FIRST below END")
        _, dy, dx = pair.spacing
        middle = _middle(pair)
        center = ((disc.y - middle[1]) / dy + (height - 1) / 2, (disc.x - middle[0]) / dx + (width - 1) / 2)
        if disc.radius < 3 * max(dy, dx):
            raise InputError(f"disc {disc}: expected a radius of at least 3 pixels of {max(dy, dx):g} mm ({pair.name})")
        for at, n, step in zip(center, (height, width), (dy, dx), strict=True):
            if not 1.8 * disc.radius / step <= at <= n - 1 - 1.8 * disc.radius / step:
                raise InputError(
                    f"disc {disc}: it and 0.8 of its radius around it leave the slices of {pair.name}, {height} x "
                    f"{width} pixels of {dy:g} x {dx:g} mm about ({middle[0]:g}, {middle[1]:g}) mm"
                )
        places.append(_Place(tuple(p.name for p in those), (height, width), (dy, dx), center))
    for pair, place in zip(those, places, strict=True):
        apart = max(abs(a - b) for a, b in zip(place.center, places[0].center, strict=True))
        if place.shape != places[0].shape or not np.allclose(place.spacing, places[0].spacing) or apart > 0.01:
            raise InputError(
                f"disc {disc}: {those[0].name} and {pair.name} have other pixels there: name one volume (,VOLUME)"
            )
    return places[0]


def _middle(pair: PairedVolume) -> tuple[float, float]:
    """X and y of the middle of the slices, as far as files tell."""
    grids = (getattr(source, "grid", None) for source in (*pair.inputs, pair.target))
    grid = next((grid for grid in grids if isinstance(grid, Grid)), None)
    return (0.0, 0.0) if grid is None else (float(grid.center[0]), float(grid.center[1]))


def _measure(
    disc: Disc, method: str, image: Tensor, place: _Place, center: tuple[float, float], *, find: bool
) -> tuple[Sharpness, tuple[float, float] | None]:
    """What is found, and the middle to go on with: None where there is no disc."""
    try:
        found = task_transfer_function(
            image, spacing=place.spacing, radius=disc.radius, center=center, find_center=find
        )
    except ValueError as error:
        return Sharpness(str(disc), method, problem=f"not measured: {error}"), center
    contrast = float(found.contrast)
    ratio = abs(contrast) / float(found.noise) if float(found.noise) > 0 else math.inf
    away = [abs(a - b) * s for a, b, s in zip(found.center, place.center, place.spacing, strict=True)]
    if not max(away) <= disc.radius / 2:
        return Sharpness(str(disc), method, contrast, ratio, problem=_NO_DISC), None
    if not ratio >= LEAST_CONTRAST_TO_NOISE:
        return Sharpness(str(disc), method, contrast, ratio, problem="too noisy to measure"), found.center
    return _sharpness(disc, method, contrast, ratio, found), found.center


def _sharpness(disc: Disc, method: str, contrast: float, ratio: float, found: TaskTransferFunction) -> Sharpness:
    levels = found.frequency_at(0.5), found.frequency_at(0.1)
    arrays = found.frequency.cpu().numpy(), found.transfer.cpu().numpy()
    return Sharpness(str(disc), method, contrast, ratio, *levels, "", *arrays)
