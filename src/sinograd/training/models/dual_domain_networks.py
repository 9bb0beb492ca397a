"""Networks or filters before and after the reconstruction in a training configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from torch import nn

from sinograd.choices import WINDOWS
from sinograd.config.schema import OneOf
from sinograd.errors import ConfigError
from sinograd.layers import bilateral_parameter_groups
from sinograd.models import DualDomainBilateral, bilateral_filters
from sinograd.training.model_config import Model, ModelConfig
from sinograd.training.models.dual_domain import CUTOFF
from sinograd.training.samples import Samples

Part = Model | None


@dataclass(frozen=True)
class DualDomainNetworks(ModelConfig):
    """Any models of volumes before and after the reconstruction; see `models.DualDomainBilateral`.

    Attributes:
        name: dual-domain.
        projections: the model of the projections, such as {name: bilateral, filters: 1}; null: none.
        volume: the model of the volume, such as {name: red-cnn}; null: none.
        ramp_window, cutoff: of the reconstruction's filter.
    """

    name: Literal["dual-domain"] = "dual-domain"
    projections: Part = None
    volume: Part = None
    ramp_window: Annotated[str, OneOf(WINDOWS)] = "ram-lak"
    cutoff: Annotated[float, CUTOFF] = 1.0
    takes_scans: ClassVar[bool] = True
    file_name: ClassVar[str] = "model.pt"

    @property
    def parts(self) -> tuple[ModelConfig, ...]:
        """Those that there are."""
        return tuple(part for part in (self.projections, self.volume) if part is not None)

    @property
    def ndim(self) -> int | None:
        """Of the volume's model, unless it is one of images, which takes volumes slice by slice."""
        return None

    @property
    def loss_scale(self) -> float:
        """That of the volume's model, 1 without one."""
        return 1.0 if self.volume is None else self.volume.loss_scale

    def learning_rates(self) -> dict[str, float]:
        """Those of the parts; of two networks that of the volume's."""
        return {name: rate for part in self.parts for name, rate in part.learning_rates().items()}

    def check(self) -> None:
        """ConfigError without a model, for one that starts from projections itself, and as its parts."""
        if not self.parts:
            raise ConfigError("model: expected a model under projections or volume, got none")
        for key in ("projections", "volume"):
            part = getattr(self, key)
            if part is None:
                continue
            if part.takes_scans:
                raise ConfigError(f"model.{key}.name: expected a model of volumes, got {part.name}")
            try:
                part.check()
            except ConfigError as error:
                raise ConfigError(f"model.{key}.{str(error).removeprefix('model.')}") from error

    def started(self, from_noise: bool) -> Self:
        """With the start values of the parts that need no data."""
        return self._with({key: part.started(from_noise) for key, part in self._named().items()})

    def resolved(self, samples: Samples) -> Self:
        """Each part from the values that it is trained on: projections, or the targets."""
        values = {"projections": list(samples.projections), "volume": list(samples.targets)}
        return self._with({key: part.resolved(_samples(values[key])) for key, part in self._named().items()})

    def build(self, seed: int) -> nn.Module:
        """The parts, without a scan; starting values follow from the seed."""
        before, after = (
            [] if part is None else _layers(part.build(seed + number))
            for number, part in enumerate((self.projections, self.volume))
        )
        return DualDomainBilateral(before, after, ramp_window=self.ramp_window, cutoff=self.cutoff)

    def parameter_groups(self, model: nn.Module, rates: dict[str, float]) -> list[dict[str, Any]]:
        """Bilateral filters with rates of their own, and the weights of networks."""
        if bilateral_filters(model):
            return bilateral_parameter_groups(model, rates["spatial"], rates["range"], rates.get("network", 1.0))
        return [{"params": list(model.parameters()), "lr": rates["network"]}]

    def _named(self) -> dict[str, ModelConfig]:
        return {key: part for key in ("projections", "volume") if (part := getattr(self, key)) is not None}

    def _with(self, parts: Mapping[str, ModelConfig]) -> Self:
        return dataclasses.replace(self, **parts)


def _samples(values: list[Any]) -> Samples:
    return Samples(lambda: (values, values), [])


def _layers(module: nn.Module) -> list[nn.Module]:
    """Filters one by one, a network as a whole."""
    return list(module) if isinstance(module, nn.Sequential) else [module]
