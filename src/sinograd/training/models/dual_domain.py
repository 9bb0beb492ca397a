"""Bilateral filters before and after the reconstruction in a training configuration."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self

from torch import nn

from sinograd.choices import WINDOWS
from sinograd.config.schema import NOT_NEGATIVE, Check, OneOf
from sinograd.errors import ConfigError
from sinograd.layers import bilateral_parameter_groups
from sinograd.models import DualDomainBilateral, bilateral_stack
from sinograd.training.model_config import ModelConfig, RangeSigma, Scale, Sigmas, Window, number
from sinograd.training.models.bilateral import PAPER_RANGE, RANGE_FIELD, RATES, check_filters
from sinograd.training.samples import Samples, typical_size

CUTOFF = Check("a fraction above 0 and at most 1", lambda value: 0 < value <= 1)


@dataclass(frozen=True)
class DualDomainModel(ModelConfig):
    """Bilateral filters before and after the reconstruction; see `models.DualDomainBilateral`.

    Attributes:
        name: dual-domain-bilateral.
        projection_filters: how many filters of the projections.
        image_filters: how many filters of the volume.
        dimensions: 3, or 2 for fan beams.
        sigma_spatial: start value in voxels or pixels, one number or one an axis.
        sigma_range: start value in units of each scale; "auto" and "paper": 0.01.
        projection_scale, image_scale: what counts as 1 in line integrals and in the volume; "auto": from the data.
        window: width in voxels, odd, one number or one an axis; null: five standard deviations, at least 5 voxels.
        ramp_window, cutoff: of the reconstruction's filter.
    """

    name: Literal["dual-domain-bilateral"] = "dual-domain-bilateral"
    projection_filters: Annotated[int, NOT_NEGATIVE] = 1
    image_filters: Annotated[int, NOT_NEGATIVE] = 2
    dimensions: Literal[2, 3] = 3
    sigma_spatial: Sigmas = 0.5
    sigma_range: RangeSigma = field(default="auto", metadata=RANGE_FIELD)
    projection_scale: Scale = "auto"
    image_scale: Scale = "auto"
    window: Window = None
    ramp_window: Annotated[str, OneOf(WINDOWS)] = "ram-lak"
    cutoff: Annotated[float, CUTOFF] = 1.0
    takes_scans: ClassVar[bool] = True

    @property
    def filters(self) -> int:
        """How many filters there are."""
        return self.projection_filters + self.image_filters

    @property
    def ndim(self) -> int:
        """As configured."""
        return self.dimensions

    @property
    def loss_scale(self) -> float:
        """That of the volume."""
        return number(self.image_scale)

    def learning_rates(self) -> dict[str, float]:
        """The paper's."""
        return dict(RATES)

    def check(self) -> None:
        """ConfigError unless there is a filter, with sigmas and window of so many dimensions."""
        if self.filters < 1:
            raise ConfigError("model: expected at least one filter, got projection_filters: 0 and image_filters: 0")
        check_filters(self.sigma_spatial, self.window, self.dimensions)

    def started(self, from_noise: bool) -> Self:
        """With the paper's range sigma where it does not come from the data."""
        fixed = isinstance(self.sigma_range, str)
        return dataclasses.replace(self, sigma_range=PAPER_RANGE) if fixed else self

    def resolved(self, samples: Samples) -> Self:
        """With the scales of projections and targets."""
        model = self if not isinstance(self.sigma_range, str) else dataclasses.replace(self, sigma_range=PAPER_RANGE)
        if model.projection_scale == "auto":
            model = dataclasses.replace(model, projection_scale=typical_size(samples.projections))
        if model.image_scale == "auto":
            model = dataclasses.replace(model, image_scale=typical_size(samples.targets))
        return model

    def build(self, seed: int) -> nn.Module:
        """The filters, without a scan; nothing random."""
        return DualDomainBilateral(
            self._filters(self.projection_filters, self.projection_scale),
            self._filters(self.image_filters, self.image_scale),
            ramp_window=self.ramp_window,
            cutoff=self.cutoff,
        )

    def _filters(self, count: int, scale: float | str) -> nn.Sequential:
        if not count:
            return nn.Sequential()
        start = {"sigma_spatial": self.sigma_spatial, "sigma_range": number(self.sigma_range)}
        options = {**start, "dimensions": self.dimensions, "window": self.window}
        return bilateral_stack(count, input_scale=number(scale), **options)

    def parameter_groups(self, model: nn.Module, rates: dict[str, float]) -> list[dict[str, Any]]:
        """Spatial and range sigmas of all filters."""
        return bilateral_parameter_groups(model, rates["spatial"], rates["range"])
