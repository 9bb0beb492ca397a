"""Task transfer function: how sharp the edge of a disc is, for its contrast, at the noise of the image.

S. Richard, D. B. Husarik, G. Yadava, S. N. Murphy and E. Samei, "Towards task-based assessment of CT performance:
system and object MTF across different reconstruction algorithms", Med. Phys. 39, 4115 (2012). The radial edge comes
from J. M. Boone, "Determination of the presampled MTF in computed tomography", Med. Phys. 28, 356 (2001).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.metrics.arguments import axis_like, check_image, pixel_size

_LEAST_PIXELS = 3.0  # of a radius


@dataclass(frozen=True, eq=False)
class TaskTransferFunction:
    """What `task_transfer_function` finds.

    Attributes:
        frequency: [n], 1/mm, from 0 to the Nyquist frequency of the pixels.
        transfer: [n], 1 at frequency 0.
        contrast: inside minus outside, in the images' unit.
        noise: standard deviation about the edge profile, in the images' unit; with the contrast it says how far the
            transfer function can be trusted (Richard et al. ask for contrast / noise above 15 after averaging).
        center: (row, column) of the disc in pixels.
        distance: [k], mm from the centre; edge: [k], the mean of the images at that distance.
    """

    frequency: Tensor
    transfer: Tensor
    contrast: Tensor
    noise: Tensor
    center: tuple[float, float]
    distance: Tensor
    edge: Tensor

    def frequency_at(self, level: float) -> float:
        """Where the transfer function first falls to `level` (0.5 and 0.1 are usual), 1/mm; infinite if nowhere."""
        if not 0 < level < 1:
            raise InputError(f"level: expected a number between 0 and 1, got {level}")
        below = (self.transfer <= level).nonzero()
        if len(below) == 0:
            return math.inf
        i = int(below[0])
        high, low = float(self.transfer[i - 1]), float(self.transfer[i])
        start, end = float(self.frequency[i - 1]), float(self.frequency[i])
        return start + (high - level) / (high - low) * (end - start)


def task_transfer_function(
    images: Tensor,
    *,
    spacing: float | Sequence[float],
    radius: float,
    center: tuple[float, float],
    reach: float | None = None,
    oversampling: int = 8,
    find_center: bool = True,
) -> TaskTransferFunction:
    """From the radial edge of a disc (a rod across the slices): edge profile, its derivative, its Fourier transform.

    Pixels are sorted into bins of distance from the centre that are narrower than a pixel; the profile between
    inside and outside is differentiated, tapered to zero at both ends (the inner half is left as it is), and
    transformed. What binning and differentiating blur is divided out.

    Args:
        images: [..., Y, X], the same disc in each, in any unit; more images, less noise.
        spacing: mm, one number or (y, x).
        radius: of the disc in mm, at least 3 pixels.
        center: (row, column) of the disc in pixels, to within half its radius.
        reach: distance from the edge inwards and outwards that is used, in mm; None: 0.8 of the radius. Nothing else
            may be so near to the disc.
        oversampling: bins in a pixel.
        find_center: shift the centre to where the disc's values have their centre of mass.

    Returns:
        The function, float64. Differentiable with respect to the images (the centre is taken as given).

    Raises:
        TypeError: no tensor of floating-point numbers.
        ValueError: wrong spacing or numbers, a disc of fewer than 3 pixels radius or one that leaves the image, or no
            contrast.
    """
    check_image("images", images, 2)
    size = pixel_size(spacing)
    pixel = math.sqrt(size[0] * size[1])
    half = 0.8 * radius if reach is None else reach
    _check(images, size, radius, center, half, oversampling)
    image = images.reshape(-1, *images.shape[-2:]).double()
    mean = image.mean(0)
    if find_center:
        center = _center_of_mass(mean.detach(), size, center, radius, half)
    distance = _distances(mean, size, center)
    width = pixel / oversampling
    bins = 2 * round(half / width)
    index = ((distance - (radius - bins / 2 * width)) / width).floor().long()
    near = (index >= 0) & (index < bins)
    values = image[:, near]
    edge = _filled(index[near], values.mean(0), bins)
    noise = (values - edge[index[near]]).std()
    quarter = max(1, bins // 4)
    contrast = edge[:quarter].mean() - edge[-quarter:].mean()
    if not bool(contrast.detach().abs() > 0):
        raise InputError("images: expected a disc that differs from what is around it, got no contrast")
    spread = -edge.diff() / width
    frequency, transfer = _transform(spread * _taper(spread), width, 0.5 / pixel)
    where = radius + (axis_like(edge, bins) - (bins - 1) / 2) * width
    return TaskTransferFunction(frequency, transfer, contrast, noise, center, where, edge)


def _check(
    images: Tensor,
    size: tuple[float, float],
    radius: float,
    center: tuple[float, float],
    half: float,
    oversampling: int,
) -> None:
    pixel = max(size)
    if not _LEAST_PIXELS * pixel <= radius < math.inf:
        raise InputError(f"radius: expected at least {_LEAST_PIXELS:g} pixels of {pixel:g} mm, got {radius} mm")
    if not pixel < half <= radius:
        raise InputError(f"reach: expected more than a pixel ({pixel:g} mm) and at most the radius, got {half} mm")
    if oversampling < 1:
        raise InputError(f"oversampling: expected at least 1, got {oversampling}")
    for middle, n, step in zip(center, images.shape[-2:], size, strict=True):
        reach = (radius + half) / step
        if not reach <= middle <= n - 1 - reach:
            raise InputError(
                f"center: a disc of {radius:g} mm and {half:g} mm around it leave the image of "
                f"{images.shape[-2]} x {images.shape[-1]} pixels about {tuple(center)}"
            )


def _distances(image: Tensor, size: tuple[float, float], center: tuple[float, float]) -> Tensor:
    """From the centre to each pixel, mm."""
    y, x = ((axis_like(image, n) - c) * s for n, c, s in zip(image.shape, center, size, strict=True))
    return torch.hypot(y[:, None], x[None, :])


def _center_of_mass(
    image: Tensor, size: tuple[float, float], center: tuple[float, float], radius: float, half: float
) -> tuple[float, float]:
    """Of what differs from the surroundings, inside the circle of radius + reach; repeated as the circle moves.

    A soft edge (a cosine over the last pixels) keeps pixels from falling in and out of the circle.
    """
    outer = radius + half
    soft = min(half / 2, 2 * max(size))
    for _ in range(8):
        distance = _distances(image, size, center)
        ring = (distance > radius + half / 2) & (distance <= outer)
        inside = image[distance <= radius - half / 2].mean() if half < 2 * radius else image[distance <= 0.5 * radius]
        above = (image - image[ring].mean()) / (inside - image[ring].mean())
        mass = above * (((outer - distance) / soft).clamp(0, 1) * math.pi / 2).sin().square()
        total = mass.sum()
        y, x = (axis_like(image, n) for n in image.shape)
        moved = (float((mass.sum(1) @ y) / total), float((mass.sum(0) @ x) / total))
        step = max(abs(a - b) for a, b in zip(moved, center, strict=True))
        center = moved
        if step < 1e-4:
            break
    return center


def _filled(index: Tensor, values: Tensor, bins: int) -> Tensor:
    """Means in each bin; bins without a pixel between those of their neighbours."""
    zeros = torch.zeros(bins, dtype=values.dtype, device=values.device)
    counts = zeros.index_add(0, index, torch.ones_like(values))
    means = zeros.index_add(0, index, values) / counts.clamp(min=1)
    held = counts.nonzero()[:, 0]
    if len(held) < bins // 2:
        raise InputError(f"oversampling: only {len(held)} of {bins} bins have a pixel: take fewer bins in a pixel")
    right = torch.searchsorted(held, torch.arange(bins, device=held.device)).clamp(max=len(held) - 1)
    left = (right - (held[right] > torch.arange(bins, device=held.device)).long()).clamp(min=0)
    gap = (held[right] - held[left]).clamp(min=1)
    part = ((torch.arange(bins, device=held.device) - held[left]) / gap).clamp(0, 1).to(means.dtype)
    return means[held[left]] * (1 - part) + means[held[right]] * part


def _taper(like: Tensor) -> Tensor:
    """1 in the inner half, from there half a cosine to 0 at both ends."""
    from_middle = (2 * (axis_like(like, len(like)) + 0.5) / len(like) - 1).abs()
    return ((1 - from_middle) * 2).clamp(max=1).mul(math.pi / 2).sin().square()


def _transform(spread: Tensor, width: float, nyquist: float) -> tuple[Tensor, Tensor]:
    """|Fourier transform| up to `nyquist`, 1 at zero; bins and differences of `width` divided out."""
    n = 1 << (8 * len(spread) - 1).bit_length()
    frequency = torch.fft.rfftfreq(n, width, dtype=torch.float64, device=spread.device)
    kept = frequency <= nyquist * (1 + 1e-9)
    transfer = torch.fft.rfft(spread, n).abs()[kept]
    blur = torch.sinc(frequency[kept] * width).square()
    return frequency[kept], transfer / transfer[0] / blur
