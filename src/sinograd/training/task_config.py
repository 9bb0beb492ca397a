"""The tasks of a training configuration: what is compared with what.

task: {name: supervised, loss: mse}   # or noise2noise, noise2void, dual-domain; each with options of its own
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from sinograd.config.schema import NOT_NEGATIVE, Check

_FRACTION = Check("a fraction above 0 and at most 0.5", lambda value: 0 < value <= 0.5)
_ODD = Check("an odd number of at least 3", lambda value: value >= 3 and value % 2 == 1)

Loss = Literal["mse", "mae"]


@dataclass(frozen=True)
class Supervised:
    """Noise2Clean: the difference between the denoised input and the target, mean squared (mse) or absolute (mae)."""

    name: Literal["supervised"] = "supervised"
    loss: Loss = "mse"


@dataclass(frozen=True)
class Noise2Noise:
    """One realisation of the noise is denoised and compared with another, in all N (N - 1) ordered pairs of N.

    J. Lehtinen et al., ICML 2018. With mse the model learns the mean of what the noise leaves possible, with mae the
    median. Targets are looked at by validation alone.
    """

    name: Literal["noise2noise"] = "noise2noise"
    loss: Loss = "mse"


@dataclass(frozen=True)
class Noise2Void:
    """Self-supervised: some voxels are replaced by neighbours and predicted; see `training.noise2void`.

    fraction: share of the voxels that are replaced in a step. neighborhood: width of the box they come from.
    """

    name: Literal["noise2void"] = "noise2void"
    fraction: Annotated[float, _FRACTION] = 0.01
    neighborhood: Annotated[int, _ODD] = 5


@dataclass(frozen=True)
class DualDomain:
    """End to end from projections: mean squared error of the volume.

    row_margin: detector rows kept above and below those that the region needs, for filters of the projections.
    recompute: keep only what enters each layer and compute its inside again in the backward pass: less memory, more
    time.
    """

    name: Literal["dual-domain"] = "dual-domain"
    row_margin: Annotated[int, NOT_NEGATIVE] = 8
    recompute: bool = True


Task = Supervised | Noise2Noise | Noise2Void | DualDomain
