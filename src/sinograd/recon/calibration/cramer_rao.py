"""`cramer_rao`: how precisely a scan's photons can tell arguments of its geometry, whatever finds them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.errors import InputError, SinogradWarning
from sinograd.geometry import Geometry, Grid, checks
from sinograd.geometry.learned import changed, check_learnable, pixel_scale, start_value
from sinograd.ops import XRayTransform
from sinograd.ops.arguments import check_pair, check_volume
from sinograd.recon.iterative.cgls import cgls

_LEAST = 1e-9  # of the largest eigenvalue of the information: less is rounding
_DEVIATION = "object_deviation"
_STEP = 0.3  # pixels, of the differences by which projections follow an argument


def cramer_rao(
    volume: Tensor,
    geometry: Geometry,
    grid: Grid,
    *,
    learn: Sequence[str],
    photons: float,
    object_deviation: float | None = None,
    iterations: int = 60,
) -> dict[str, float]:
    """The Cramer-Rao bounds of arguments of a geometry: least standard deviations of unbiased estimates from this scan.

    Of line integrals p with the variance exp(p) / photons, whose mean is A(arguments) x. All arguments are unknown
    together, and so is the object: of what an argument does to the projections counts what no likely change of the
    volume does as well. Likely are changes of each voxel of a normal distribution around x; were all changes equally
    likely, voxels as small as pixels would explain nearly everything, and there were no bound. H. L. Van Trees,
    "Detection, Estimation, and Modulation Theory", part I, 1968, sections 2.4.2 and 2.4.3.

    Args:
        volume: x in 1/mm, [(Z,) Y, X]: a phantom, or a reconstruction that stands for the object.
        geometry: a beam that is given by arguments.
        grid: of the volume.
        learn: names of arguments, as for `calibrate`.
        photons: of a ray that meets nothing.
        object_deviation: standard deviation of the voxels from x, 1/mm; 0: the object is known, which gives lower
            bounds; None: that of the voxels of x from their mean.
        iterations: of conjugate gradients that look for the change of the volume; too few make bounds too low, more
            are needed for a greater deviation.

    Returns:
        By name, mm or radians; infinite where the scan tells nothing.

    Raises:
        InputTypeError, InputError: shapes that do not fit, names that the geometry does not have, arguments that are
            not one number for all views, no photons, a negative deviation.
    """
    check_pair(geometry, grid)
    check_volume(volume, grid)
    names = check_learnable(geometry[:], learn)
    photons = checks.positive(photons, "photons")
    deviation = (
        float(volume.double().std()) if object_deviation is None else checks.number(object_deviation, _DEVIATION)
    )
    if deviation < 0:
        raise InputError(f"{_DEVIATION}: expected a number from 0, got {deviation}")
    for name in names:
        if start_value(geometry, name).ndim:
            raise InputError(f"learn: expected arguments that are one number for all views, got {name}")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", SinogradWarning)
        operator, x = XRayTransform(geometry, grid), volume.double()
        weights = photons * (-operator(x)).exp()
        changes = [_change(geometry, grid, x, name) for name in names]
        volumes = [torch.zeros_like(x)] * len(names)
        if deviation:
            fitted = [_explained(operator, change, weights, deviation, iterations) for change in changes]
            volumes = [one / deviation for one in fitted]
            changes = [change - operator(one) for change, one in zip(changes, fitted, strict=True)]
        left, taken = (torch.stack([one.flatten() for one in some]) for some in (changes, volumes))
        information = (left * weights.flatten()) @ left.T + taken @ taken.T
    return dict(zip(names, _bounds(information).tolist(), strict=True))


def _change(geometry: Geometry, grid: Grid, volume: Tensor, name: str) -> Tensor:
    """The derivative of the projections to an argument, from differences over a fraction of a pixel."""
    value = start_value(geometry, name).detach()
    step = _STEP * float(pixel_scale(geometry, name, value))
    ends = [XRayTransform(changed(geometry, {name: value + sign * step}), grid)(volume) for sign in (1, -1)]
    return (ends[0] - ends[1]) / (2 * step)


def _explained(operator: XRayTransform, change: Tensor, weights: Tensor, deviation: float, iterations: int) -> Tensor:
    """The change d of the volume that explains one of the projections: least |change - A d|^2 weights + |d|^2 / s^2."""
    size, heaviest = change.abs().max().clamp_min(1e-300), float(weights.max())
    damp = 1 / (deviation * math.sqrt(heaviest))
    run = cgls(operator, change / size, weights=weights / heaviest, damp=damp, iterations=iterations, keep_best=False)
    return size * run.image


def _bounds(information: Tensor) -> Tensor:
    """Roots of the diagonal of the inverse; infinite where there is none."""
    scale = information.diagonal().sqrt()
    result = torch.full_like(scale, torch.inf)
    told = scale > 0
    if bool(told.any()):
        part = information[told][:, told] / scale[told] / scale[told, None]
        values, vectors = torch.linalg.eigh(part)
        empty = values <= _LEAST * values.max()
        spread = (vectors.square() / values.masked_fill(empty, torch.inf)).sum(1).sqrt()
        open_ = vectors[:, empty].square().sum(1) > _LEAST
        result[told] = spread.masked_fill(open_, torch.inf) / scale[told]
    return result
