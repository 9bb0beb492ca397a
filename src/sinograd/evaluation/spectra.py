"""Noise power spectra of what methods leave: of output minus target, in the middle of the slices.

The spectrum of a difference of images is that of ICRU Report 87 (2012), section 5, its mean frequency the measure of
texture of AAPM TG-233 (E. Samei et al., Med. Phys. 46, e735 (2019)): noise that a method makes blotchy has a lower mean
frequency than the noise it started from. J. Solomon and E. Samei, Med. Phys. 41, 091908 (2014), measure it in images of
textured objects, as here, in differences. Here these hold what noise is left, structure that was lost, and the
target's own noise, if it has any: as far as that is independent, its spectrum is added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sinograd.metrics import NoisePowerSpectrum, noise_power_spectrum

_LEAST, _MOST = 16, 64  # pixels of a region's side
_BLOCK = 8  # slices at a time


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Of one method's output minus target of one volume.

    Attributes:
        method, patient: whose.
        frequency, power: float64 [n], averaged over directions; of bins that hold a frequency.
        noise: standard deviation in the regions, in the unit of the scores: the root of the integral.
        mean_frequency: weighted with `power`; NaN without any.
    """

    method: str
    patient: str
    frequency: np.ndarray
    power: np.ndarray
    noise: float
    mean_frequency: float


def measure_spectrum(
    found: Tensor,
    target: Tensor,
    spacing: Sequence[float],
    convert: Callable[[Tensor], Tensor],
    *,
    method: str = "",
    patient: str = "",
) -> Spectrum | None:
    """The spectrum of found - target [Z, Y, X] over all slices; None for slices below 16 x 16 (or of pixels
    so oblong that one frequency is left).

    Regions of at most 64 x 64 pixels, each overlapping the next by half, fill the central square of half the shorter
    side; from each its mean is subtracted. spacing: (y, x), mm. convert: applied to both, block by block: to the unit
    of the scores.
    """
    height, width = found.shape[-2:]
    side = max(min(height, width) // 2, _LEAST)
    if side > min(height, width):
        return None
    rows, columns = (slice((n - side) // 2, (n - side) // 2 + side) for n in (height, width))
    size = min(side, _MOST)
    parts = []
    for start in range(0, len(found), _BLOCK):
        one, other = (convert(v[start : start + _BLOCK, rows, columns]) for v in (found, target))
        parts.append(noise_power_spectrum(one - other, spacing=spacing, size=size, degree=0))
    regions = sum(part.regions for part in parts)
    power = torch.stack([part.power * part.regions for part in parts]).sum(0) / regions
    whole = NoisePowerSpectrum(power, parts[0].frequency_y, parts[0].frequency_x, regions)
    radial = whole.radial()
    held = (radial.counts > 0).cpu()
    if int(held.sum()) < 2:
        return None
    return Spectrum(
        method,
        patient,
        radial.frequency.cpu()[held].numpy(),
        radial.power.cpu()[held].numpy(),
        float(whole.variance.sqrt()),
        radial.mean_frequency,
    )


def mean_spectra(spectra: Sequence[Spectrum]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Frequencies, and each method's power: means over each patient's volumes, then over patients.

    Volumes with other pixels are interpolated: over the frequencies that all have, in steps of the coarsest.
    """
    if not spectra:
        return np.zeros(0), {}
    step = max(float(s.frequency[1] - s.frequency[0]) for s in spectra)
    first, last = (pick(float(s.frequency[i]) for s in spectra) for pick, i in ((max, 0), (min, -1)))
    grid = first + step * np.arange(1 + int((last - first) / step + 1e-6))
    held: dict[str, dict[str, list[np.ndarray]]] = {}
    for s in spectra:
        held.setdefault(s.method, {}).setdefault(s.patient, []).append(np.interp(grid, s.frequency, s.power))
    return grid, {
        method: np.mean([np.mean(volumes, 0) for volumes in patients.values()], 0) for method, patients in held.items()
    }
