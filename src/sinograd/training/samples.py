"""What "auto" looks at: values of what is trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from sinograd.errors import InputError

# Values that "auto" looks at to find a scale.
_SCALE_SAMPLES = 1 << 20
_SCALE_QUANTILE = 0.999


class Samples:
    """Inputs and targets of a training run, and projections of scans; each looked up when it is needed.

    start_from_noise: whether range sigmas start from the noise of the inputs (`TaskConfig.starts_from_noise`).
    """

    def __init__(
        self,
        pairs: Callable[[], tuple[list[Tensor], list[Tensor]]],
        projections: Sequence[Tensor],
        start_from_noise: bool = False,
    ) -> None:
        self._draw = pairs
        self.projections = projections
        self.start_from_noise = start_from_noise

    @cached_property
    def _pairs(self) -> tuple[list[Tensor], list[Tensor]]:
        return self._draw()

    @property
    def inputs(self) -> list[Tensor]:
        """What the model takes."""
        return self._pairs[0]

    @property
    def targets(self) -> list[Tensor]:
        """What should come of it, as far as there is any."""
        return self._pairs[1]


def typical_size(tensors: Sequence[Tensor]) -> float:
    """What "auto" takes as a scale: 99.9 % of the absolute values lie below it; to three digits.

    Raises:
        ValueError: all values are zero.
    """
    values = _some_values(tensors).abs()
    rank = max(1, math.ceil(_SCALE_QUANTILE * values.numel()))
    size = float(values.kthvalue(rank).values)
    if size <= 0:
        size = float(values.max())
    if size <= 0:
        raise InputError("data: all values are zero, so that there is no scale for input_scale: auto")
    return float(f"{size:.3g}")


def offset_and_scale(offset: float | str, scale: float | str, samples: Samples) -> tuple[float | str, float | str]:
    """Those of a network, with the mean and the deviation of the inputs where they are "auto"."""
    if "auto" not in (offset, scale):
        return offset, scale
    mean, deviation = mean_and_deviation(samples.inputs)
    return mean if offset == "auto" else offset, deviation if scale == "auto" else scale


def mean_and_deviation(tensors: Sequence[Tensor]) -> tuple[float, float]:
    """What "auto" takes as offset and scale of networks, to three digits; ValueError where all values are equal."""
    values = _some_values(tensors).double()
    mean, deviation = float(values.mean()), float(values.std(correction=0))
    if not deviation > 1e-6 * abs(mean):
        raise InputError(f"data: all values are {mean:.4g}, so that there is no scale for model.scale: auto")
    return float(f"{mean:.3g}"), float(f"{deviation:.3g}")


def noise_level(tensors: Sequence[Tensor]) -> float:
    """Standard deviation of white noise in images [..., Y, X], in their unit; 0 where there is none.

    The median absolute value of Immerkaer's mask (1, -2, 1) x (1, -2, 1), which smooth objects hardly change, over
    0.6745 x 6; voxels whose surroundings are constant do not count. J. Immerkaer, "Fast noise variance estimation",
    Computer Vision and Image Understanding 64 (1996). Noise that is correlated over pixels is underestimated.
    """
    masked = [_second_differences(part) for tensor in tensors for part in _some_images(tensor, len(tensors))]
    values = torch.cat(masked) if masked else torch.empty(0)
    values = values[values > 0]
    return float(values.median()) / (0.6745 * 6) if values.numel() else 0.0


def _second_differences(image: Tensor) -> Tensor:
    """Absolute values of the mask's output, flat; empty for images below 3 x 3."""
    for axis in (-1, -2):
        if image.ndim < 2 or image.shape[axis] < 3:
            return image.new_empty(0)
        image = image.diff(n=2, dim=axis)
    return image.abs().reshape(-1)


def _some_images(tensor: Tensor, count: int) -> Tensor:
    """Evenly spaced images [n, Y, X] of one of `count` tensors."""
    images = tensor.detach().reshape(-1, *tensor.shape[-2:]) if tensor.ndim > 2 else tensor.detach()[None]
    step = max(1, images.numel() * count // _SCALE_SAMPLES)
    return images[:: min(step, len(images))]


def _some_values(tensors: Sequence[Tensor]) -> Tensor:
    samples = []
    for tensor in tensors:
        values = tensor.reshape(-1)
        samples.append(values[:: max(1, values.numel() * len(tensors) // _SCALE_SAMPLES)])
    return torch.cat(samples)
