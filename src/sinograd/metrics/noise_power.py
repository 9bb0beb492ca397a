"""Noise power spectra: how the variance of the noise is spread over spatial frequencies.

ICRU Report 87, "Radiation dose and image-quality assessment in computed tomography" (2012), section 5; J. H.
Siewerdsen, I. A. Cunningham and D. A. Jaffray, "A framework for noise-power spectrum analysis of multidimensional
images", Med. Phys. 29, 2655 (2002).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry.checks import is_sequence, scalar
from sinograd.metrics.arguments import axis_like, check_image, pixel_size

Center = tuple[float, float]


@dataclass(frozen=True, eq=False)
class RadialSpectrum:
    """A noise power spectrum averaged over directions.

    Attributes:
        frequency: [bins], 1/mm, middle of each bin.
        power: [bins], unit^2 mm^2, mean over the frequencies in the bin; NaN for bins without any.
        counts: [bins], how many frequencies each mean is over.
    """

    frequency: Tensor
    power: Tensor
    counts: Tensor

    @property
    def mean_frequency(self) -> float:
        """Mean of the frequency weighted with the power, 1/mm: ICRU 87's measure of how fine the noise is.

        Both integrals, from 0 to the last bin, by the trapezoid rule; the power at 0 is that of the first bin.
        """
        held = self.counts > 0
        zero = torch.zeros_like(self.frequency[:1])
        frequency, power = torch.cat([zero, self.frequency[held]]), self.power[held]
        power = torch.cat([power[:1], power])
        return float(torch.trapezoid(frequency * power, frequency) / torch.trapezoid(power, frequency))

    @property
    def peak_frequency(self) -> float:
        """Where the power is largest, 1/mm."""
        return float(self.frequency[self.power.nan_to_num().argmax()])


@dataclass(frozen=True, eq=False)
class NoisePowerSpectrum:
    """A two-dimensional noise power spectrum.

    Attributes:
        power: [n, m], unit^2 mm^2, zero frequency in the middle (as `torch.fft.fftshift` has it).
        frequency_y: [n], frequency_x: [m], 1/mm, increasing.
        regions: how many regions the mean is over.
    """

    power: Tensor
    frequency_y: Tensor
    frequency_x: Tensor
    regions: int

    @property
    def variance(self) -> Tensor:
        """The integral over all frequencies: the variance of the detrended regions, in the square of the unit."""
        step_y, step_x = (float(f[1] - f[0]) for f in (self.frequency_y, self.frequency_x))
        return self.power.sum() * (step_y * step_x)

    def radial(self, step: float | None = None) -> RadialSpectrum:
        """Averaged over directions, up to the smaller Nyquist frequency.

        step: width of a bin in 1/mm; None: the larger of the steps along y and x. The zero frequency, which
        detrending took away, is in no bin.
        """
        frequencies = (self.frequency_y, self.frequency_x)
        width = max(float(f[1] - f[0]) for f in frequencies) if step is None else step
        if not 0 < width < math.inf:
            raise InputError(f"step: expected a positive number of 1/mm, got {step}")
        limit = min(-float(f[0]) for f in frequencies)
        distance = torch.hypot(self.frequency_y[:, None], self.frequency_x[None, :])
        index = (distance / width).round().long()
        bins = int(limit / width + 0.5) + 1
        kept = (index < bins) & (distance > 0)
        sums = torch.zeros(bins, dtype=self.power.dtype, device=self.power.device)
        counts = sums.index_add(0, index[kept], torch.ones_like(self.power)[kept])
        power = sums.index_add(0, index[kept], self.power[kept]) / counts
        return RadialSpectrum(width * axis_like(self.power, bins), power, counts.long())


def noise_power_spectrum(
    images: Tensor,
    *,
    spacing: float | Sequence[float],
    size: int | tuple[int, int] | None = None,
    centers: Sequence[Center] | None = None,
    degree: int = 2,
) -> NoisePowerSpectrum:
    """The mean of |DFT(region)|^2 dy dx / (n m) over regions of n x m pixels of each image.

    From each region the best polynomial in y and x (least squares) is subtracted first, and with it what is no noise:
    the object's mean, cupping. A uniform region is expected; for others take differences of repeated scans
    (`noise_of_repeats`).

    Args:
        images: [..., Y, X], in any unit; the spectrum is the mean over all.
        spacing: mm, one number or (y, x).
        size: height and width of the regions in pixels, at least 8; None: the whole image.
        centers: (row, column) of the middle of each region in pixels, rounded to whole pixels, such as
            `ring_of_centers`; None: regions all over the image, each overlapping the next by half.
        degree: of the polynomial: 0 for the mean, 1 for a plane, 2 as ICRU 87 advises; -1: nothing is subtracted.

    Returns:
        The spectrum in float64; its integral is the mean variance of the detrended regions (Parseval).

    Raises:
        TypeError: no tensor of floating-point numbers.
        ValueError: fewer than 2 dimensions, wrong spacing, size or degree, or a region that leaves the image.
    """
    check_image("images", images, 2)
    dy, dx = pixel_size(spacing)
    if degree not in (-1, 0, 1, 2, 3):
        raise InputError(f"degree: expected -1, 0, 1, 2 or 3, got {degree}")
    height, width = images.shape[-2:]
    sides = scalar(size)
    if not (sides is None or isinstance(sides, int) or is_sequence(sides)):
        raise InputTypeError(f"size: expected a whole number or two, got {size!r:.40}")
    n, m = (height, width) if size is None else (sides, sides) if isinstance(sides, int) else tuple(size)  # pyright: ignore
    if min(n, m) < 8 or n > height or m > width:
        raise InputError(f"size: expected regions of 8 x 8 pixels to the image's {height} x {width}, got {n} x {m}")
    stack = images.reshape(-1, height, width)
    surfaces = _surfaces(stack, n, m, degree)
    total, count = torch.zeros(n, m, dtype=torch.float64, device=images.device), 0
    for top, left in _corners((height, width), (n, m), centers):
        region = stack[:, top : top + n, left : left + m].double()
        if surfaces is not None:
            flat = region.flatten(1)
            region = (flat - flat @ surfaces @ surfaces.T).reshape(region.shape)
        total = total + torch.fft.fft2(region).abs().square().sum(0)
        count += len(region)
    power = torch.fft.fftshift(total) * (dy * dx / (n * m * count))
    frequencies = (
        torch.fft.fftshift(torch.fft.fftfreq(k, step, dtype=torch.float64, device=images.device))
        for k, step in ((n, dy), (m, dx))
    )
    frequency_y, frequency_x = frequencies
    return NoisePowerSpectrum(power, frequency_y, frequency_x, count)


def noise_of_repeats(images: Tensor) -> Tensor:
    """What repeated scans of one object differ in: their deviations from the mean, with the variance of the noise.

    images: [N, ..., Y, X], N scans with independent noise; the same shape is returned. Deviations from the mean of N
    have (N - 1) / N of the variance, which the factor sqrt(N / (N - 1)) makes up for. Take degree=-1 or 0 in
    `noise_power_spectrum` then. Raises ValueError for fewer than two.
    """
    check_image("images", images, 3)
    if len(images) < 2:
        raise InputError(f"images: expected at least 2 scans along the first axis, got {len(images)}")
    return (images - images.mean(0, keepdim=True)) * math.sqrt(len(images) / (len(images) - 1))


def ring_of_centers(shape: Sequence[int], radius: float, count: int) -> list[Center]:
    """`count` centres of regions in pixels, evenly on a circle of `radius` pixels about the middle of an image.

    shape: (..., Y, X) of the image. The noise of CT images depends on the radius, so that regions on a ring belong
    together. Raises ValueError for a count below 1 or a negative radius.
    """
    if count < 1 or radius < 0:
        raise InputError(f"expected a radius of at least 0 and a count of at least 1, got {radius} and {count}")
    middle = [(n - 1) / 2 for n in shape[-2:]]
    angles = [2 * math.pi * i / count for i in range(count)]
    return [(middle[0] + radius * math.sin(a), middle[1] + radius * math.cos(a)) for a in angles]


def _corners(
    shape: tuple[int, int], size: tuple[int, int], centers: Sequence[Center] | None
) -> Iterator[tuple[int, int]]:
    """First row and column of each region."""
    if centers is None:
        tops, lefts = (range(0, n - k + 1, max(1, k // 2)) for n, k in zip(shape, size, strict=True))
        yield from ((top, left) for top in tops for left in lefts)
        return
    if not centers:
        raise InputError("centers: expected at least one (row, column), got none")
    for center in centers:
        first = [math.floor(c - (k - 1) / 2 + 0.5) for c, k in zip(center, size, strict=True)]
        if any(not 0 <= f <= n - k for f, n, k in zip(first, shape, size, strict=True)):
            where = ", ".join(f"{c:.1f}" for c in center)
            raise InputError(
                f"centers: a region of {size[0]} x {size[1]} about ({where}) leaves the image of "
                f"{shape[0]} x {shape[1]}"
            )
        yield first[0], first[1]


def _surfaces(like: Tensor, n: int, m: int, degree: int) -> Tensor | None:
    """Orthonormal polynomials of y and x up to `degree`, [n m, terms]; None for -1."""
    if degree < 0:
        return None
    y, x = (2 * axis_like(like, k) / (k - 1) - 1 for k in (n, m))
    terms = [torch.outer(y**i, x**j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    return torch.linalg.qr(torch.stack(terms).flatten(1).T).Q
