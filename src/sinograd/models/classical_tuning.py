"""Settings of classical filters that come nearest to a target: an oracle, for comparisons only.

No filter does better on the image with these parameters than its oracle says (P. Gnudi et al., "Denoising of x-ray
projections and computed tomography images using convolutional neural networks without clean data", tune each filter
on each image in this way). Whoever has no target cannot use them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.models import classical

Options = dict[str, float]
_MOST_ROUNDS = 30  # of a pattern search, which ends by itself after some


@dataclass(frozen=True)
class Tunable:
    """A classical filter and how its settings are searched.

    Attributes:
        function: called with the volume and the settings. fixed: settings that are not searched.
        dimensions: 2 for filters of slices, each tuned by itself; 3 for filters of volumes.
        starts: for each setting the values of the first grid; those of `of_noise` are in units of the noise, the
            root mean square of input - target.
        steps: factors by which settings are then changed one by one, the next when no change helps; none: the grid's
            best is taken.
    """

    function: classical.ClassicalFilter
    dimensions: int
    starts: Mapping[str, Sequence[float]]
    of_noise: tuple[str, ...] = ()
    steps: tuple[float, ...] = (1.3, 1.1)
    fixed: Mapping[str, Any] | None = None

    def __call__(self, volume: Tensor, options: Options) -> Tensor:
        """The filtered volume."""
        return self.function(volume, **options, **(self.fixed or {}))


_SPATIAL = (0.3, 0.45, 0.65, 0.9, 1.3, 1.9, 2.8)
_BILATERAL = {"sigma_spatial": (0.6, 1.0, 1.8), "sigma_range": (1.0, 2.5, 6.0)}
_IN_3D = {"dimensions": 3}

TUNABLE: dict[str, Tunable] = {
    "gaussian": Tunable(classical.gaussian, 2, {"sigma": _SPATIAL}),
    "median": Tunable(classical.median, 2, {"width": (1, 3, 5, 7, 9)}, steps=()),
    "bilateral": Tunable(classical.bilateral, 2, _BILATERAL, ("sigma_range",)),
    "bm3d": Tunable(classical.bm3d, 2, {"sigma": (0.5, 0.75, 1.0, 1.4)}, ("sigma",), (1.15,)),
    "gaussian-3d": Tunable(classical.gaussian, 3, {"sigma": _SPATIAL}, fixed=_IN_3D),
    "median-3d": Tunable(classical.median, 3, {"width": (1, 3, 5)}, steps=(), fixed=_IN_3D),
    "bilateral-3d": Tunable(classical.bilateral, 3, _BILATERAL, ("sigma_range",), fixed=_IN_3D),
    "bm4d": Tunable(classical.bm4d, 3, {"sigma": (0.5, 0.75, 1.0, 1.4)}, ("sigma",), (1.15,)),
}


@dataclass(frozen=True, eq=False)
class Tuned:
    """What the search found.

    Attributes:
        name: of the filter.
        options: its settings: one mapping for each slice (filters of slices), or one for all of the volume.
        mse: mean squared error of the filtered volume, over all voxels.
        tries: how many times a slice or the volume was filtered.
        together: whether all slices have the same settings.
    """

    name: str
    options: tuple[Options, ...]
    mse: float
    tries: int
    together: bool = False

    def __call__(self, volume: Tensor) -> Tensor:
        """The volume, filtered with these settings."""
        tunable = TUNABLE[self.name]
        if tunable.dimensions == 3 or self.together:
            return tunable(volume, self.options[0])
        if len(volume) != len(self.options):
            raise InputError(f"volume: expected the {len(self.options)} slices that were tuned, got {len(volume)}")
        return torch.stack([tunable(image, options) for image, options in zip(volume, self.options, strict=True)])


def tune(
    name: str,
    volume: Tensor,
    target: Tensor,
    *,
    together: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Tuned:
    """The settings of a classical filter with the least mean squared error to the target.

    A grid, then a pattern search: settings are changed one by one by smaller and smaller factors while that helps.

    Args:
        name: gaussian, median, bilateral, bm3d (slice by slice, each slice tuned by itself), gaussian-3d, median-3d,
            bilateral-3d or bm4d (the volume at once).
        volume, target: [Z, Y, X] or [Y, X], in the same unit.
        together: find one setting for all slices, also of filters of slices; it can be used on other ones.
        progress: called with (slices or volumes done, all).

    Raises:
        ValueError: another name, shapes that differ, values that are not finite, a filter whose package is missing.
    """
    if name not in TUNABLE:
        raise InputError(f"no filter {name!r}: expected one of {', '.join(TUNABLE)}")
    if volume.shape != target.shape or volume.ndim not in (2, 3):
        raise InputError(
            f"volume and target: expected two [Z, Y, X] or [Y, X] of one shape, got {list(volume.shape)} and "
            f"{list(target.shape)}"
        )
    if not classical.has_package(name):
        TUNABLE[name].function(volume[:1], sigma=1.0)  # raises the error that says so
    volume, target = (v if v.ndim == 3 else v[None] for v in (volume, target))
    tunable = TUNABLE[name]
    each = tunable.dimensions == 2 and not together
    parts = list(zip(volume, target, strict=True)) if each else [(volume, target)]
    found = []
    for number, (image, wanted) in enumerate(parts, 1):
        found.append(_search(tunable, image, wanted))
        if progress is not None:
            progress(number, len(parts))
    mse = math.fsum(error for _, error, _ in found) / len(found)
    settings = tuple(options for options, _, _ in found)
    return Tuned(name, settings, mse, sum(tries for _, _, tries in found), together)


def _search(tunable: Tunable, image: Tensor, target: Tensor) -> tuple[Options, float, int]:
    """Settings, mean squared error and number of tries for one slice or volume."""
    wanted = target.double()
    noise = float((image.double() - wanted).square().mean().sqrt())
    if not math.isfinite(noise):
        raise InputError("volume and target: expected finite values, got NaN or infinite ones")
    scale = noise or 1.0
    tried: dict[tuple[float, ...], float] = {}
    names = list(tunable.starts)

    def options(values: tuple[float, ...]) -> Options:
        return {n: v * scale if n in tunable.of_noise else v for n, v in zip(names, values, strict=True)}

    def error(values: tuple[float, ...]) -> float:
        key = tuple(float(f"{v:.6g}") for v in values)
        if key not in tried:
            tried[key] = float((tunable(image, options(values)).double() - wanted).square().mean())
        return tried[key]

    best = min(itertools.product(*tunable.starts.values()), key=error)
    for factor in tunable.steps:
        for _ in range(_MOST_ROUNDS):
            around = [
                (*best[:i], best[i] * step, *best[i + 1 :]) for i in range(len(best)) for step in (factor, 1 / factor)
            ]
            nearest = min(around, key=error)
            if error(nearest) >= error(best):
                break
            best = nearest
    return options(best), error(best), len(tried)
