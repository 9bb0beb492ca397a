"""A measured scan made into one of lower dose."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from types import EllipsisType
from typing import Literal, overload

import torch
from torch import Tensor

from sinograd.config.shown import shown
from sinograd.errors import InputError, InputTypeError
from sinograd.geometry.checks import real, without_gradients
from sinograd.physics.draws import binomial
from sinograd.physics.lost_readings import draw_lost, expected_photons
from sinograd.physics.noise_arguments import (
    check_generator,
    check_line_integrals,
    check_readings,
    checked_floor,
    electronic_noise_like,
    photons_like,
)

# Readings worked on at once, in float64. A constant: the noise of a generator follows from it, whatever the memory.
_BLOCK = 2**20
# Of a line integral in float32, with 1 for the reading's own rounding: which readings are whole numbers of photons.
_ROUNDING = 4 * 2.0**-23

# Deviations from the floor beyond which no reading is lost.
_FAR = 6.0

Correlation = Tensor | list[float] | list[list[float]]


@overload
def low_dose(
    line_integrals: Tensor,
    dose: float,
    photons: float | Tensor,
    electronic_noise: float | Tensor = ...,
    *,
    correlation: Correlation | None = ...,
    floor: float = ...,
    generator: torch.Generator | None = ...,
    return_counts: Literal[False] = ...,
) -> Tensor: ...
@overload
def low_dose(
    line_integrals: Tensor,
    dose: float,
    photons: float | Tensor,
    electronic_noise: float | Tensor = ...,
    *,
    correlation: Correlation | None = ...,
    floor: float = ...,
    generator: torch.Generator | None = ...,
    return_counts: Literal[True],
) -> tuple[Tensor, Tensor]: ...
@torch.no_grad()
def low_dose(
    line_integrals: Tensor,
    dose: float,
    photons: float | Tensor,
    electronic_noise: float | Tensor = 0.0,
    *,
    correlation: Correlation | None = None,
    floor: float = 0.5,
    generator: torch.Generator | None = None,
    return_counts: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """What the same scan would have measured with `dose` times the photons; the measured noise is kept.

    A reading of c = photons exp(-p) counts has the noise variance m + s^2, with m the expected photons and s
    the electronic noise; at the lower dose a it is a m + s^2. So noise of the variance

        a (1 - a) c + (1 - a^2) s^2

    is added to a c. To first order in 1 / counts that is in the line integrals the variance

        (1 - a) / a  e^p / N0  [1 + (1 + a) / a  s^2 e^p / N0]

    of Yu et al., Development and validation of a practical lower-dose-simulation tool for optimizing computed
    tomography scan protocols, J. Comput. Assist. Tomogr. 36, 477 (2012), with N0 = photons. Working on counts
    also gives the logarithm's bias at few photons, which adding to the line integrals does not.

    Without `correlation` the photons are thinned: each is kept with the probability a, so that Poisson counts
    become Poisson counts, however few. With it, normal noise with that correlation is added.

    Readings at the floor f have lost their value. Without electronic noise they are taken as no photons, which they
    were; with it they are drawn anew, below the floor, for the expected photons m that the 9 x 9 readings about them
    tell: the mean of readings cut at f is f + sigma (z Phi(z) + phi(z)), sigma^2 = m + s^2, z = (m - f) / sigma.
    Without electronic noise the counts have the distribution of a scan at the lower dose, with it its mean a m and
    its variance a m + s^2 (where the object is even over 9 readings; from one photon on to 0.03 photons and 2 %). The
    line integrals have the bias of the lower dose, as `add_photon_noise` explains: few photons and the floor make it.
    The exact line integrals of a phantom have no noise to keep; `add_photon_noise` makes their scans, of any dose.

    Args:
        line_integrals: of the measured scan, p = -ln(counts / photons), [..., rows, columns] or any other
            shape; float32 or float64.
        dose: a, in (0, 1].
        photons: that reached a detector element without an object in one view of the measured scan; a number,
            or a tensor that broadcasts to line_integrals (bowtie filter: [rows, columns], tube current:
            [views, 1, 1]).
        electronic_noise: s, standard deviation of the reading noise in photons; likewise. The lower-dose scan
            has the same, as the electronics do.
        correlation: kernel along the last axes (rows, columns) or (columns,) with which white noise is
            convolved to have the detector's correlation, as its point spread does. Scaled to unit energy
            (sum of squares), so it does not change the variance.
        floor: the smallest reading taken at its word, in photons, as for `add_photon_noise`, and as it was for the
            measured scan.
        generator: to draw from, on the device of line_integrals; the same one gives the same noise.
        return_counts: also return the counts before the floor; without electronic noise `(counts <= 0).sum()` had no
            photons; `(counts < floor).sum()` were raised to the floor. Whole numbers where those of
            the measured scan are.

    Returns:
        Line integrals of the shape and dtype of the measured ones, or (those, counts); detached. Besides
        them about 60 MB are held, however large the scan.

    Raises:
        TypeError: for another dtype.
        ValueError: for a dose outside (0, 1], line integrals that are not finite, photons that are not
            positive, negative noise, shapes that do not broadcast to line_integrals, a correlation with too
            many axes, no energy or numbers that are not finite, or line integrals so negative that a reading has
            more than 1e30 photons.
    """
    dose = real(dose, "dose")
    if not 0 < dose <= 1:
        raise InputError(f"dose must be in (0, 1], as a fraction of the measured scan's, got {dose}")
    floor = checked_floor(floor)
    check_generator(generator)
    check_line_integrals(line_integrals)
    unattenuated = photons_like(line_integrals, photons).expand_as(line_integrals)
    deviation = electronic_noise_like(line_integrals, electronic_noise).expand_as(line_integrals)
    kernel = None if correlation is None else _unit_energy(correlation, line_integrals)

    blocks = list(_blocks(line_integrals.shape, split_rows=kernel is None or len(kernel) == 1))
    for block in blocks:
        check_readings(line_integrals[block], unattenuated[block])
    result = torch.empty_like(line_integrals)
    readings = torch.empty_like(line_integrals) if return_counts else None
    for block in blocks:
        full, sigma = unattenuated[block].double(), deviation[block].double()
        counts, quanta = _measured_counts(line_integrals[block].double(), full, sigma, floor, generator)
        if dose == 1:
            result[block] = torch.minimum(line_integrals[block], (full / floor).log().to(result.dtype))
        else:
            counts = _lowered((counts, quanta), dose, sigma, kernel, generator)
            result[block] = -(counts.clamp(min=floor) / (dose * full)).log()
        if readings is not None:
            readings[block] = counts
    return result if readings is None else (result, readings)


def _measured_counts(
    line_integrals: Tensor, full: Tensor, sigma: Tensor, floor: float, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """The measured readings in photons: whole again after rounding, and what may have been below the floor; and how
    many of them are photons, the rest being electronic noise.

    full: photons without an object. sigma: of the electronic noise. All float64, of one shape.
    """
    counts = full * (-line_integrals).exp()
    rounding = _ROUNDING * (1 + line_integrals.abs()) * counts
    whole = counts.round()
    counts = torch.where((sigma == 0) & ((counts - whole).abs() <= rounding), whole, counts)
    lost = counts <= floor + rounding
    if floor < 1:  # else a photon may be below it
        counts = counts.masked_fill(lost & (sigma == 0), 0.0)
    quanta = counts.clamp(min=0)
    noisy = lost & (sigma > 0)
    if bool(noisy.any()):
        expected = expected_photons(counts, full, sigma, floor)
        near = (sigma > 0) & (expected < floor + _FAR * (expected.clamp(min=0) + sigma.square()).sqrt())
        mean = expected.clamp(min=0)
        share = mean / (mean + sigma.square().clamp(min=torch.finfo(sigma.dtype).tiny))
        quanta = torch.where(near, (mean + (counts - mean) * share).clamp(min=0), quanta)
        counts[noisy], quanta[noisy] = draw_lost(expected[noisy], sigma[noisy], floor, generator)
    return counts, quanta


def _lowered(
    readings: tuple[Tensor, Tensor],
    dose: float,
    sigma: Tensor,
    kernel: Tensor | None,
    generator: torch.Generator | None,
) -> Tensor:
    """Measured readings (and the photons in them) at the lower dose, with the electronic noise `sigma` that a lower
    dose takes away."""
    counts, quanta = readings
    electronic = (1 - dose**2) * sigma.square()
    if kernel is not None:
        noise = _correlated(counts.shape, kernel, generator)
        return dose * counts + (dose * (1 - dose) * quanta + electronic).sqrt() * noise
    kept = _thinned(counts, quanta, dose, sigma > 0, generator)
    if bool((electronic > 0).any()):
        kept += electronic.sqrt() * torch.empty_like(kept).normal_(generator=generator)
    return kept


def _thinned(counts: Tensor, quanta: Tensor, dose: float, noisy: Tensor, generator: torch.Generator | None) -> Tensor:
    """Each of the photons kept with the probability `dose`.

    What is left of counts that are not whole photons is scaled where electronic noise is in it; else (averaged
    references) it is kept or lost as one photon is, so that readings without photons are zero.
    """
    whole = torch.where(noisy, quanta.round(), quanta.floor())
    rest = counts - whole
    kept = binomial(whole, dose, generator)
    part = (rest != 0) & ~noisy
    if bool(part.any()):
        chance = torch.empty_like(counts).uniform_(generator=generator)
        return kept + torch.where(part, rest * (chance < dose), dose * rest)
    return kept + dose * rest


def _correlated(shape: torch.Size, kernel: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal noise with the correlation of `kernel` [rows, columns] along the last two axes."""
    rows, columns = shape[-2:] if len(shape) > 1 else (1, shape[-1])
    grown = (math.prod(shape) // max(rows * columns, 1), 1, rows + kernel.shape[0] - 1, columns + kernel.shape[1] - 1)
    white = torch.empty(grown, dtype=kernel.dtype, device=kernel.device).normal_(generator=generator)
    return torch.nn.functional.conv2d(white, kernel[None, None]).reshape(shape)


def _unit_energy(correlation: Correlation, like: Tensor) -> Tensor:
    """The kernel as float64 [rows, columns] with a sum of squares of 1."""
    without_gradients(correlation, "correlation")
    try:
        kernel = torch.as_tensor(correlation, dtype=torch.float64, device=like.device)
    except (TypeError, ValueError, RuntimeError):
        raise InputTypeError(f"correlation must be a kernel of numbers, got {shown(correlation)}") from None
    if not (1 <= kernel.ndim <= min(2, like.ndim)) or kernel.numel() == 0:
        raise InputError(f"correlation must be a kernel [rows, columns] or [columns], got shape {list(kernel.shape)}")
    energy = kernel.square().sum().item()
    if not 0 < energy < float("inf"):
        raise InputError(f"correlation must be finite and not all zero, got a sum of squares of {energy}")
    return torch.atleast_2d(kernel / math.sqrt(energy))


def _blocks(shape: torch.Size, split_rows: bool) -> Iterator[tuple[int | slice | EllipsisType, ...]]:
    """Indices that cover `shape` in blocks of whole views: [..., views, rows, columns], or [views, columns]."""
    if len(shape) < 3:
        if len(shape) < 2 or not split_rows:
            yield (...,)
            return
        step = max(1, _BLOCK // max(1, shape[1]))
        yield from ((slice(start, start + step),) for start in range(0, shape[0], step))
        return
    step = max(1, _BLOCK // max(1, shape[-2] * shape[-1]))
    for outer in itertools.product(*(range(n) for n in shape[:-3])):
        for start in range(0, shape[-3], step):
            yield (*outer, slice(start, start + step))
