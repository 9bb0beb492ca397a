"""Blur of focal spot and detector: readings convolved with Gaussians along rows and columns."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError, UnsupportedError
from sinograd.geometry import Geometry
from sinograd.geometry.checks import number

# A Gaussian's full width at half maximum in standard deviations; how many of these a convolution reaches.
FWHM, REACH = 2 * math.sqrt(2 * math.log(2)), 5.0


def blur_focal_spot(signal: Tensor, geometry: Geometry, focal_spot_mm: float) -> Tensor:
    """Readings of a focal spot that is no point: each is a mean over the spot, seen through the object at the axis.

    The spot's image on the detector is taken for a Gaussian, f (M - 1) wide with the magnification M at the axis, by
    similar triangles. What lies nearer to the source is blurred more in truth. Blur the mean signal, before noise is
    drawn: photons of different points of the spot are independent.

    Args:
        signal: transmitted fractions or mean counts [..., views, rows, columns] ([..., views, columns] in 2-D); not
            line integrals, whose means are others.
        geometry: of a divergent beam.
        focal_spot_mm: full width at half maximum f, mm.

    Raises:
        TypeError, ValueError: no such tensor, a negative width, or a parallel beam.
    """
    if not geometry.divergent:
        raise UnsupportedError("geometry: a parallel beam has no focal spot")
    width = number(focal_spot_mm, "focal_spot_mm") * (float(geometry.magnification) - 1)
    return _blurred(signal, geometry, width, "focal_spot_mm")


def blur_detector(readings: Tensor, geometry: Geometry, detector_blur_mm: float) -> Tensor:
    """Readings of a detector that spreads light or charge: each pixel takes part of its neighbours' signal.

    Blur drawn counts, after photon noise and before electronic noise: the spread correlates the noise of neighbours.

    Args:
        readings: counts or fractions, likewise.
        geometry: whose detector's pixels are meant.
        detector_blur_mm: full width at half maximum on the detector, mm.
    """
    return _blurred(readings, geometry, number(detector_blur_mm, "detector_blur_mm"), "detector_blur_mm")


def _blurred(signal: Tensor, geometry: Geometry, width: float, name: str) -> Tensor:
    if not isinstance(signal, Tensor) or not signal.is_floating_point():
        raise InputTypeError(f"expected a tensor of floating-point numbers, got {type(signal).__name__}")
    axes = geometry.ndim - 1
    if signal.ndim <= axes or tuple(signal.shape[-axes:]) != tuple(geometry.projection_shape[1:]):
        raise InputError(
            f"expected [..., views, *{list(geometry.projection_shape[1:])}] as the geometry, got {list(signal.shape)}"
        )
    if not 0 <= width < math.inf:
        raise InputError(f"{name} must not be negative, got a width of {width:g} mm on the detector")
    spacing = geometry.detector.spacing
    for axis, step in zip(range(-axes, 0), spacing[-axes:], strict=True):
        signal = _along(signal, axis, width / FWHM / float(step))
    return signal


def _along(signal: Tensor, axis: int, sigma: float) -> Tensor:
    """Convolved with a Gaussian, integrated over each element, along one axis; the ends are repeated beyond."""
    reach = math.ceil(REACH * sigma)
    if reach == 0:
        return signal
    edges = (torch.arange(-reach, reach + 2, dtype=torch.float64) - 0.5) / (math.sqrt(2) * sigma)
    weights = torch.erf(edges).diff() / 2
    weights = (weights / weights.sum()).to(signal)
    lines = signal.movedim(axis, -1)
    flat = lines.reshape(-1, 1, lines.shape[-1])
    padded = torch.cat([flat[..., :1].expand(-1, -1, reach), flat, flat[..., -1:].expand(-1, -1, reach)], -1)
    return torch.nn.functional.conv1d(padded, weights[None, None]).reshape(lines.shape).movedim(-1, axis)
