"""Scatter taken out of transmitted fractions: by kernels, as a uniform share, or as a beam stop measured it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry.checks import number, positive

# The primary fraction is at least this share of the reading: scatter that leaves less is not believed.
LEAST = 0.05

# Fractions below this have no thickness that kernels know.
DARK = 1e-4


class ScatterModel(Protocol):
    """Estimates scatter from primary fractions."""

    def scatter(self, primary: Tensor, pixel_mm: tuple[float, float]) -> Tensor:
        """Scattered over open beam, [views, rows, columns] as the primary fractions."""
        ...


@dataclass(frozen=True)
class UniformScatter:
    """The same over all of the detector: a share of the mean reading of each view."""

    share: float

    def __post_init__(self) -> None:
        if not 0 <= number(self.share, "share") < 10:
            raise InputError(f"share: expected scatter over primary signal from 0 to 10, got {self.share}")

    def scatter(self, primary: Tensor, pixel_mm: tuple[float, float]) -> Tensor:
        """A number for each view."""
        return (self.share * primary.mean((1, 2), keepdim=True)).expand_as(primary)


@dataclass(frozen=True)
class KernelScatter:
    """Superposed kernels: what leaves a place depends on how much the object attenuates there.

    Scatter is the amplitude A P^alpha (-ln P)^beta of primary fractions P, convolved with the sum of two Gaussians, and
    with `gamma` adapted to the thickness where it arrives: SKS and fASKS of M. Sun, J. M. Star-Lack, "Improved scatter
    correction using adaptive scatter kernel superposition", Physics in Medicine and Biology 55(22), 2010, for one
    group of thickness. With alpha = beta = 1 and one wide Gaussian it is the forward scatter of B. Ohnesorge, T. Flohr,
    K. Klingenbeck-Regn, "Efficient object scatter correction algorithm for third and fourth generation CT scanners",
    European Radiology 9(3), 1999.

    Args:
        amplitude, alpha, beta: as above; scatter over open beam where all places around are alike.
        sigmas_mm: of the two Gaussians on the detector.
        weight: of the wider one, 0 to 1.
        gamma: 1 per unit of line integral: by how much a thicker place beside takes scatter away (fASKS); 0: SKS.
        geometry_mm: (source to axis, source to detector) that the kernel belongs to; None: any.
    """

    amplitude: float
    alpha: float = 1.0
    beta: float = 1.0
    sigmas_mm: tuple[float, float] = (20.0, 120.0)
    weight: float = 0.5
    gamma: float = 0.0
    geometry_mm: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        positive(self.amplitude, "amplitude")
        for name in ("alpha", "beta", "weight", "gamma"):
            number(getattr(self, name), name)
        for value in self.sigmas_mm:
            positive(value, "sigmas_mm")
        if not 0 <= self.weight <= 1:
            raise InputError(f"weight: expected 0 to 1, got {self.weight}")

    def scatter(self, primary: Tensor, pixel_mm: tuple[float, float]) -> Tensor:
        """Of all views at once."""
        weights = torch.tensor([1 - self.weight, self.weight], dtype=torch.float64)
        shape = torch.tensor(self.sigmas_mm, dtype=torch.float64), weights
        numbers = torch.tensor([self.amplitude, self.alpha, self.beta, self.gamma], dtype=torch.float64)
        return superposed(primary, pixel_mm, numbers, shape)


@dataclass(frozen=True)
class BeamStopScatter:
    """What was read behind small absorbers that let no primary beam through, in a few views.

    Args:
        places: elements (row, column) of the absorbers, [k, 2].
        readings: over the open beam there, [views, k]; one view stands for all, others are those of the scan.
        width: elements, of the Gaussian weights with which readings are interpolated.
    """

    places: Tensor
    readings: Tensor
    width: float = 60.0

    def __post_init__(self) -> None:
        if self.places.ndim != 2 or self.places.shape[1] != 2 or self.readings.ndim != 2:
            raise InputError("beam stop: expected places [k, 2] and readings [views, k]")
        if len(self.places) != self.readings.shape[1]:
            raise InputError(f"beam stop: expected {len(self.places)} readings a view, got {self.readings.shape[1]}")
        positive(self.width, "width")

    def scatter(self, primary: Tensor, pixel_mm: tuple[float, float]) -> Tensor:
        """Interpolated along rows and columns."""
        views, rows, columns = primary.shape
        if len(self.readings) not in (1, views):
            raise InputError(f"beam stop: expected readings of 1 or {views} views, got {len(self.readings)}")
        at = self.places.to(primary)
        row, column = (torch.arange(n, dtype=primary.dtype, device=primary.device) for n in (rows, columns))
        squares = (row[:, None, None] - at[:, 0]) ** 2 + (column[:, None] - at[:, 1]) ** 2
        weights = torch.softmax(-squares / (2 * self.width**2), -1)  # [rows, columns, k]
        return torch.einsum("rck,vk->vrc", weights, self.readings.to(primary)).expand_as(primary)


def correct_scatter(
    transmission: Tensor,
    model: ScatterModel | float,
    *,
    pixel_mm: float | tuple[float, float] = 1.0,
    iterations: int = 6,
    binning: int = 4,
    geometry_mm: tuple[float, float] | None = None,
) -> Tensor:
    """Primary fractions of transmitted fractions [views, rows, columns]; differentiable.

    Scatter is estimated from the primary fractions, which are the readings without it: a few repetitions settle that.

    Args:
        transmission: readings over the open beam.
        model: a `KernelScatter`, `BeamStopScatter` or `UniformScatter`, or a number, the share of the latter.
        pixel_mm: of the detector, one number or (row, column).
        iterations: of the estimate.
        binning: elements that are joined to estimate scatter, which is smooth.
        geometry_mm: (source to axis, source to detector) of the scan, to be held against the kernel's.

    Raises:
        TypeError, ValueError: no such tensor or model, wrong numbers, or a kernel of another geometry.
    """
    if not isinstance(transmission, Tensor) or not transmission.is_floating_point() or transmission.ndim != 3:
        raise InputTypeError("transmission must be a tensor of floating-point numbers [views, rows, columns]")
    model = UniformScatter(float(model)) if isinstance(model, int | float) else model
    if not hasattr(model, "scatter"):
        raise InputTypeError(f"model must be a scatter model or a number, got {type(model).__name__}")
    if iterations < 1 or binning < 1:
        raise InputError(f"iterations, binning: expected at least 1 of each, got {iterations} and {binning}")
    check_geometry(getattr(model, "geometry_mm", None), geometry_mm)
    pixel = pixel_mm if isinstance(pixel_mm, tuple | list) else (pixel_mm, pixel_mm)
    size = (positive(pixel[0], "pixel_mm"), positive(pixel[1], "pixel_mm"))
    whole = isinstance(model, BeamStopScatter)  # its places are those of the detector
    binning = 1 if whole else binning
    small = _binned(transmission, binning)
    shape = (size[0] * transmission.shape[1] / small.shape[1], size[1] * transmission.shape[2] / small.shape[2])
    primary, scatter = small, torch.zeros_like(small)
    for _ in range(1 if whole else iterations):
        scatter = model.scatter(primary, shape)
        primary = torch.maximum(small - scatter, LEAST * small)
    if binning > 1:
        scatter = torch.nn.functional.interpolate(
            scatter[:, None], transmission.shape[1:], mode="bicubic", align_corners=False
        )[:, 0]
    return torch.maximum(transmission - scatter, LEAST * transmission)


def fit_scatter_kernel(
    primaries: Sequence[Tensor],
    scatters: Sequence[Tensor],
    pixel_mm: float | tuple[float, float],
    *,
    start: KernelScatter | None = None,
    adaptive: bool = True,
    steps: int = 60,
) -> KernelScatter:
    """The kernel whose scatter is nearest to that of objects of known primary fractions: least squares of the error's
    share of the readings.

    Args:
        primaries, scatters: [views, rows, columns] of each object, over the open beam; binned ones do.
        pixel_mm: of these.
        start: where the search starts. adaptive: whether gamma is fitted, too. steps: of the search, at most.

    Raises:
        ValueError: none, or shapes that differ.
    """
    from scipy.optimize import least_squares

    if not primaries or len(primaries) != len(scatters):
        raise InputError(f"primaries, scatters: expected as many of each, got {len(primaries)} and {len(scatters)}")
    for primary, scatter in zip(primaries, scatters, strict=True):
        if primary.shape != scatter.shape or primary.ndim != 3:
            raise InputError(f"scatters: expected {list(primary.shape)}, got {list(scatter.shape)}")
    first = start or KernelScatter(0.02, 1.0, 0.5, gamma=0.01 if adaptive else 0.0)
    pixel = pixel_mm if isinstance(pixel_mm, tuple | list) else (pixel_mm, pixel_mm)
    pairs = [(p.detach().cpu().double(), s.detach().cpu().double()) for p, s in zip(primaries, scatters, strict=True)]
    low, high = _bounds(max(math.hypot(p.shape[1] * pixel[0], p.shape[2] * pixel[1]) for p, _ in pairs))
    fixed = [] if adaptive else [first.gamma]  # the last value
    free = len(low) - len(fixed)
    found = least_squares(
        lambda values: _residuals(np.append(values, fixed), pairs, (float(pixel[0]), float(pixel[1]))),
        np.clip(_values(first), low, high)[:free],
        bounds=(low[:free], high[:free]),
        max_nfev=steps,
    )
    amplitude, narrow, wide, alpha, beta, weight, gamma = [*found.x.tolist(), *fixed]
    sigmas = (math.exp(narrow), math.exp(wide))
    return KernelScatter(math.exp(amplitude), alpha, beta, sigmas, weight, gamma, first.geometry_mm)


def _values(kernel: KernelScatter) -> list[float]:
    """What is searched for: logarithms of amplitude and sigmas, alpha, beta, weight, gamma."""
    lengths = (kernel.amplitude, *kernel.sigmas_mm)
    return [*map(math.log, lengths), kernel.alpha, kernel.beta, kernel.weight, kernel.gamma]


def _bounds(extent_mm: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of these. Gaussians wider than the detector are not told apart, and with small beta all scatter would hang on how
    exactly air attenuates nothing: estimates would not settle."""
    widest = math.log(extent_mm)
    return (-16.0, widest - 7.0, widest - 7.0, -1.0, 0.5, 0.0, 0.0), (2.5, widest, widest, 2.0, 2.0, 1.0, 1.0)


def _residuals(values: np.ndarray, pairs: list[tuple[Tensor, Tensor]], pixel_mm: tuple[float, float]) -> np.ndarray:
    """Errors of scatter as shares of the readings."""
    amplitude, narrow, wide, alpha, beta, weight, gamma = torch.from_numpy(values).unbind()
    numbers = torch.stack([amplitude.exp(), alpha, beta, gamma])
    shape = torch.stack([narrow.exp(), wide.exp()]), torch.stack([1 - weight, weight])
    errors = [
        (superposed(primary, pixel_mm, numbers, shape) - scatter) / (primary + scatter) / math.sqrt(primary.numel())
        for primary, scatter in pairs
    ]
    return torch.cat([error.flatten() for error in errors]).numpy()


def superposed(primary: Tensor, pixel_mm: tuple[float, float], numbers: Tensor, shape: tuple[Tensor, Tensor]) -> Tensor:
    """Scatter of primary fractions [views, rows, columns].

    numbers: A, alpha, beta, gamma. shape: sigmas in mm and weights of Gaussians.
    """
    amplitude, alpha, beta, gamma = numbers.to(primary)
    fraction = primary.clamp(DARK, 1.0)
    depth = -fraction.log()
    source = amplitude * fraction**alpha * (depth + 1e-12) ** beta
    one = _convolved(source, pixel_mm, shape)
    if float(gamma.detach()) == 0 and not gamma.requires_grad:
        return one
    return (1 - gamma * depth) * one + gamma * _convolved(source * depth, pixel_mm, shape)


def _convolved(images: Tensor, pixel_mm: tuple[float, float], shape: tuple[Tensor, Tensor]) -> Tensor:
    """With Gaussians whose weights add up to one, in Fourier space; dark around."""
    rows, columns = images.shape[-2:]
    sigmas, weights = (value.to(images) for value in shape)
    size = (2 * rows, 2 * columns)
    ky = 2 * torch.pi * torch.fft.fftfreq(size[0], pixel_mm[0], dtype=images.dtype)
    kx = 2 * torch.pi * torch.fft.rfftfreq(size[1], pixel_mm[1], dtype=images.dtype)
    squares = (ky[:, None] ** 2 + kx**2).to(images.device)
    response = sum(w * torch.exp(-(s**2) * squares / 2) for s, w in zip(sigmas, weights, strict=True))
    return torch.fft.irfft2(torch.fft.rfft2(images, s=size) * response, s=size)[..., :rows, :columns]


def _binned(images: Tensor, binning: int) -> Tensor:
    if binning == 1:
        return images
    size = (max(1, -(-images.shape[1] // binning)), max(1, -(-images.shape[2] // binning)))
    return torch.nn.functional.adaptive_avg_pool2d(images[:, None], size)[:, 0]


def check_geometry(kernel: tuple[float, float] | None, scan: tuple[float, float] | None, name: str = "model") -> None:
    """InputError where a kernel is of another (source to axis, source to detector) than the scan."""
    if kernel is None or scan is None:
        return
    if any(abs(a / b - 1) > 0.02 for a, b in zip(kernel, scan, strict=True)):
        raise InputError(
            f"{name}: the kernel belongs to {kernel[0]:g} mm from source to axis and {kernel[1]:g} mm to the detector, "
            f"the scan has {scan[0]:g} and {scan[1]:g} mm: fit one for this geometry"
        )
