"""Rows without training of a network: re-calibrated values and parameters, Gaussian filters, BM4D."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from scipy import ndimage, optimize
from torch import Tensor

from bone_microstructure.places import parameters_of
from bone_microstructure.settings import Study
from sinograd.models.classical import bm4d

_WEIGHTS = {"tmd": 0.64, "bvtv": 0.32, "bmd": 0.04}  # of the loss of NN_SP

Parameters = dict[str, Tensor]


def gaussian(study: Study, volumes: Tensor, sigma: float) -> Tensor:
    """Of volumes [..., Z, Y, X]; sigma in mm, the same along all axes."""
    widths = [0.0] * (volumes.ndim - 3) + [sigma / step for step in study.region.spacing]
    filtered: Any = ndimage.gaussian_filter
    return torch.from_numpy(filtered(volumes.numpy(), widths))


def bm4d_of_scans(scans: Tensor) -> Tensor:
    """BM4D of [repetitions, Z, Y, X]; sigma is estimated from the repetitions' differences, as for white noise."""
    sigma = float((scans[1:] - scans[:-1]).std()) / math.sqrt(2)
    return torch.stack([bm4d(volume, sigma=sigma) for volume in scans])


def misfit(found: Parameters, truth: Parameters, unfiltered: Parameters) -> float:
    """Mean squared errors of TMD, BV/TV and BMD, each over that of unfiltered data, weighed as in the loss of NN_SP."""
    parts = []
    for name, weight in _WEIGHTS.items():
        errors = [(values[name] - truth[name]).square().mean() for values in (found, unfiltered)]
        parts.append(weight * float(errors[0] / errors[1]))
    return math.fsum(parts)


def fitted_line(found: Tensor, truth: Tensor) -> tuple[float, float]:
    """Slope and intercept of the least squares of the truth [n] on estimates [repetitions, n]."""
    x, y = found.flatten().double(), truth.expand_as(found).flatten().double()
    centred = x - x.mean()
    slope = float((centred * (y - y.mean())).sum() / centred.square().sum())
    return slope, float(y.mean()) - slope * float(x.mean())


def recalibration_of_values(study: Study, patches: Tensor, truth: Parameters) -> tuple[float, float]:
    """Slope and offset of voxels with the least `misfit` of their parameters; patches [places, z, y, x], one scan."""
    middle = float(patches.mean())
    unfiltered = parameters_of(study, patches)

    def error(line: Sequence[float]) -> float:
        return misfit(parameters_of(study, middle + line[0] * (patches - middle) + line[1]), truth, unfiltered)

    found = minimised(error)
    return found[0], middle * (1 - found[0]) + found[1]


def minimised(error: Callable[[Sequence[float]], float]) -> tuple[float, float]:
    """Slope and offset about the middle, from 1 and 0; Nelder and Mead."""
    start = [[1.0, 0.0], [0.6, 0.0], [1.0, 20.0]]
    options = {"initial_simplex": start, "maxfev": 40, "xatol": 1e-3, "fatol": 1e-4}
    result = optimize.minimize(error, start[0], method="Nelder-Mead", options=options)
    return float(result.x[0]), float(result.x[1])
