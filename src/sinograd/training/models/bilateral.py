"""Stacked bilateral filters in a training configuration."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from torch import nn

from sinograd.errors import ConfigError
from sinograd.layers import bilateral_parameter_groups
from sinograd.models import bilateral_stack
from sinograd.training.model_config import Count, ModelConfig, RangeSigma, Scale, Sigmas, Window, number
from sinograd.training.samples import Samples, noise_level, typical_size

# The paper's, for start values of 0.5 voxels and 0.01 of the scale (Wagner et al., section II.D).
RATES = {"spatial": 0.01, "range": 0.005}
PAPER_RANGE = 0.01
# Twice the noise is near the best range sigma of a single filter: M. Zhang, B. K. Gunturk, IEEE TIP 17(12), 2008.
_NOISE_RANGE = 2.0
# "auto" counted as the paper's value, which was the default of 0.1; so hashes of configurations stay.
RANGE_FIELD = {"hashed": PAPER_RANGE}


@dataclass(frozen=True)
class BilateralModel(ModelConfig):
    """Stacked bilateral filters; see `models.bilateral_stack`.

    Attributes:
        name: bilateral.
        filters: how many, one after the other.
        dimensions: 3 for volumes, 2 for images.
        sigma_spatial: start value in voxels, one number or one an axis.
        sigma_range: start value in units of `input_scale`. "paper": 0.01. "auto": the paper's, but for noise2void twice
            the noise of the inputs, as from 0.01 such runs may end as filters that change nothing.
        input_scale: what counts as 1 in the units of the data; "auto": 99.9 % of the targets' (without targets the
            inputs') absolute values lie below it.
        window: width in voxels, odd, one number or one an axis; null: five standard deviations, at least 5 voxels.
    """

    name: Literal["bilateral"] = "bilateral"
    filters: Count = 3
    dimensions: Literal[2, 3] = 3
    sigma_spatial: Sigmas = 0.5
    sigma_range: RangeSigma = field(default="auto", metadata=RANGE_FIELD)
    input_scale: Scale = "auto"
    window: Window = None

    @property
    def ndim(self) -> int:
        """As configured."""
        return self.dimensions

    @property
    def loss_scale(self) -> float:
        """That of the input."""
        return number(self.input_scale)

    def learning_rates(self) -> dict[str, float]:
        """The paper's."""
        return dict(RATES)

    def check(self) -> None:
        """ConfigError unless sigmas and window are those of so many dimensions."""
        check_filters(self.sigma_spatial, self.window, self.dimensions)

    def started(self, from_noise: bool) -> Self:
        """With the paper's range sigma where it does not come from the data."""
        fixed = self.sigma_range == "paper" or (self.sigma_range == "auto" and not from_noise)
        return dataclasses.replace(self, sigma_range=PAPER_RANGE) if fixed else self

    def resolved(self, samples: Samples) -> Self:
        """With the scale of the targets and the start values."""
        scale = self.input_scale
        if scale == "auto":
            scale = typical_size(samples.targets or samples.inputs)
        start = range_start(self.sigma_range, samples, float(scale))
        return dataclasses.replace(self, input_scale=scale, sigma_range=start)

    def build(self, seed: int) -> nn.Module:
        """The filters; nothing random."""
        start = {"sigma_spatial": self.sigma_spatial, "sigma_range": number(self.sigma_range)}
        options = {**start, "dimensions": self.dimensions, "window": self.window}
        return bilateral_stack(self.filters, input_scale=number(self.input_scale), **options)

    def parameter_groups(self, model: nn.Module, rates: dict[str, float]) -> list[dict[str, Any]]:
        """Spatial and range sigmas."""
        return bilateral_parameter_groups(model, rates["spatial"], rates["range"])


def range_start(sigma_range: float | str, samples: Samples, scale: float) -> float:
    """The start value of range sigmas in units of the scale, "auto" and "paper" filled in."""
    if not isinstance(sigma_range, str):
        return sigma_range
    noise = noise_level(samples.inputs) if sigma_range == "auto" and samples.start_from_noise else 0.0
    return float(f"{_NOISE_RANGE * noise / scale:.3g}") if noise > 0 else PAPER_RANGE


def check_filters(sigma_spatial: float | tuple[float, ...], window: Window, dimensions: int) -> None:
    """ConfigError unless sigmas and window are those of filters of so many dimensions."""
    if isinstance(sigma_spatial, tuple) and len(sigma_spatial) != dimensions:
        raise ConfigError(f"model.sigma_spatial: expected one number or {dimensions}, got {len(sigma_spatial)}")
    for width in window if isinstance(window, tuple) else (window,):
        if width is not None and (width < 1 or width % 2 == 0):
            raise ConfigError(f"model.window: expected odd, positive widths, got {window}")
    if isinstance(window, tuple) and len(window) != dimensions:
        raise ConfigError(f"model.window: expected one width or {dimensions}, got {len(window)}")
