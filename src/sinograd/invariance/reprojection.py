"""Denoising samples again where the denoiser needs more than a crop: a full slice or volume, or projections.

The paper could not compare denoisers that start from projections. Here x is a crop of the reconstruction of unfiltered
projections and the condition that of the pipeline's output (`sample_given`). To denoise a sample again it is pasted
into its slice or volume, projected, and run through the pipeline. The same done to x, the baseline, says what the
projection itself changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.data.units import Conversion
from sinograd.errors import InputError

VolumeDenoiser = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Place:
    """Where a crop lies.

    Attributes:
        top, left: its first row and column.
        slice: of a volume [Z, Y, X]; None in an image [Y, X].
    """

    top: int
    left: int
    slice: int | None = None


@dataclass(frozen=True)
class DenoisedAgain:
    """Crops of what became of pasted samples.

    Attributes:
        samples: [K, 1, size, size] in HU.
        baseline: of x itself, projected and denoised like them, [1, size, size] in HU. It differs from the condition
            by what the projection changes; a sample is as good as it can be when it is as near to the baseline.
    """

    samples: Tensor
    baseline: Tensor


class Reprojected:
    """A pipeline from projections as a denoiser of images or volumes in HU.

    Args:
        pipeline: projections to the denoised volume in 1/mm: `DualDomainBilateral.over(geometry, grid)`, say.
        project: a volume in 1/mm to its projections: `sg.XRayTransform(geometry, grid)`, say.
        water: attenuation of water, 1/mm.
    """

    def __init__(
        self, pipeline: Callable[[Tensor], Tensor], project: Callable[[Tensor], Tensor], water: float = 0.0193
    ) -> None:
        if not 0 < water < math.inf:
            raise InputError(f"water: expected a positive number of 1/mm, got {water}")
        self.pipeline, self.project, self.water = pipeline, project, water

    @torch.no_grad()
    def __call__(self, volume: Tensor) -> Tensor:
        """[Z, Y, X] or [Y, X] in HU to the same shape; InputError for another one, or values that are not finite."""
        attenuation = Conversion("HU", "1/mm", self.water)(volume)
        denoised = self.pipeline(self.project(attenuation))
        if denoised.shape != volume.shape:
            raise InputError(f"pipeline: expected an output of {list(volume.shape)}, got {list(denoised.shape)}")
        if not bool(torch.isfinite(denoised).all()):
            raise InputError("pipeline: expected finite values, its output has NaN or infinite ones")
        return Conversion("1/mm", "HU", self.water)(denoised)


def crop_of(volume: Tensor, place: Place, size: int) -> Tensor:
    """The crop [1, size, size] at a place; InputError where it does not lie inside."""
    return volume[_index(volume, place, size)][None]


def pasted(volume: Tensor, crop: Tensor, place: Place) -> Tensor:
    """A copy of the volume with a crop [1, size, size] at a place; errors as `crop_of`."""
    copied = volume.clone()
    copied[_index(volume, place, crop.shape[-1])] = crop[0].to(volume.dtype)
    return copied


@torch.no_grad()
def denoise_again(denoiser: VolumeDenoiser, volume: Tensor, samples: Tensor, place: Place) -> DenoisedAgain:
    """What a denoiser of whole images or volumes makes of samples of one crop.

    Args:
        denoiser: in HU, from volumes to volumes: a filter of three dimensions, or a `Reprojected` pipeline.
        volume: the unfiltered [Z, Y, X] or [Y, X] that the crop is from, in HU.
        samples: [K, 1, size, size] in HU, of `sample_given`.
        place: of the crop.

    Raises:
        InputError: samples of another shape, a place outside, or what the denoiser raises.
    """
    if samples.ndim != 4 or samples.shape[1] != 1 or samples.shape[2] != samples.shape[3] or not len(samples):
        raise InputError(f"samples: expected [K, 1, size, size], got {list(samples.shape)}")
    size = samples.shape[-1]
    again = [crop_of(denoiser(pasted(volume, each, place)), place, size) for each in samples]
    return DenoisedAgain(torch.stack(again), crop_of(denoiser(volume), place, size))


def _index(volume: Tensor, place: Place, size: int) -> tuple[int | slice, ...]:
    if volume.ndim != (2 if place.slice is None else 3):
        wanted = "[Y, X] without a slice" if place.slice is None else "[Z, Y, X] with a slice"
        raise InputError(f"volume: expected {wanted}, got {list(volume.shape)}")
    rows, columns = volume.shape[-2:]
    inside = 0 <= place.top <= rows - size and 0 <= place.left <= columns - size
    if not inside or (place.slice is not None and not 0 <= place.slice < len(volume)):
        raise InputError(f"place: expected a crop of {size}^2 inside {list(volume.shape)}, got {place}")
    square = (slice(place.top, place.top + size), slice(place.left, place.left + size))
    return square if place.slice is None else (place.slice, *square)
