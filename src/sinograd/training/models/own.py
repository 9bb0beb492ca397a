"""A module of one's own in a training configuration: given in Python, or imported where that is allowed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import torch
from torch import nn

from sinograd.config.own_code import imported
from sinograd.config.signature import arguments
from sinograd.errors import ConfigError
from sinograd.layers import bilateral_parameter_groups
from sinograd.models import DualDomainBilateral, NetworkDenoiser, bilateral_filters
from sinograd.models.bilateral import is_bilateral_stack
from sinograd.models.dual_domain_file import has_networks
from sinograd.training.model_config import ModelConfig, Offset, Scale, number
from sinograd.training.models.bilateral import RATES
from sinograd.training.random_streams import stream
from sinograd.training.samples import Samples, offset_and_scale

_RATE = 1e-3


@dataclass(frozen=True)
class OwnModel(ModelConfig):
    """A module of your own, imported where that is allowed.

    Attributes:
        name: own.
        path: "module:Class" of a torch.nn.Module; the module may lie beside the configuration.
        options: arguments of the class; one named `generator` gets the random numbers of the starting values.
        offset, scale: of a module of images [B, 1, Y, X] (or volumes, if it has ndim = 3): it sees
            (value - offset) / scale; "auto": mean and standard deviation of the training inputs.
        starts_from: "volumes": it denoises them; "scans": it makes a volume of projections, for dual-domain.
        module: in Python, the module itself, which is trained in place.
    """

    name: Literal["own"] = "own"
    path: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    offset: Offset = 0.0
    scale: Scale = 1.0
    starts_from: Literal["volumes", "scans"] = "volumes"
    module: Any = field(default=None, metadata={"plain": False})
    single_precision: ClassVar[bool] = True

    @property
    def takes_scans(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As configured."""
        return self.starts_from == "scans"

    @property
    def ndim(self) -> int | None:
        """What module or class say in `ndim`, 2 without; None of modules that start from projections."""
        if self.takes_scans:
            return None
        if self.module is None:
            return int(getattr(imported(self.path), "ndim", 2))
        layers = self.module if is_bilateral_stack(self.module) else [self.module]
        return int(getattr(next(iter(layers)), "ndim", 2))

    @property
    def file_name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """YAML for bilateral filters alone."""
        filters = is_bilateral_stack(self.module) if self.module is not None else False
        dual = isinstance(self.module, DualDomainBilateral) and not has_networks(self.module)
        return "model.yaml" if filters or dual else "model.pt"

    @property
    def loss_scale(self) -> float:
        """What the module sees as 1."""
        return number(self.scale)

    def learning_rates(self) -> dict[str, float]:
        """Of a network's weights, and of bilateral filters in it."""
        return {"network": _RATE, **RATES}

    def check(self) -> None:
        """ConfigError unless there is a module to train, given or allowed to be imported."""
        if self.module is not None:
            if not isinstance(self.module, nn.Module):
                raise ConfigError(f"model: expected a torch.nn.Module, got {type(self.module).__name__}")
            if not any(parameter.requires_grad for parameter in self.module.parameters()):
                raise ConfigError("model: expected parameters to train, got none that requires a gradient")
            return
        try:
            kind = imported(self.path)
        except ConfigError as error:
            raise ConfigError(f"model.{error}") from error
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            raise ConfigError(f"model.path: expected a class of torch.nn.Module, got {self.path}")

    def resolved(self, samples: Samples) -> Self:
        """With mean and deviation of the inputs."""
        offset, scale = offset_and_scale(self.offset, self.scale, samples)
        return dataclasses.replace(self, offset=offset, scale=scale)

    def build(self, seed: int) -> nn.Module:
        """The module itself, or a new one whose starting values follow from the seed; on volumes [..., Y, X]."""
        module = self._made(seed) if self.module is None else self.module
        if self.takes_scans or isinstance(module, NetworkDenoiser) or is_bilateral_stack(module):
            return module
        return NetworkDenoiser(module, number(self.offset), number(self.scale))

    def _made(self, seed: int) -> nn.Module:
        kind, drawn = imported(self.path), stream(seed, "weights", 0)
        options = dict(self.options)
        if "generator" in arguments(kind):
            options["generator"] = drawn
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(torch.randint(1 << 62, (), generator=stream(seed, "weights", 1))))
                return kind(**options)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"model.options: {self.path} does not take {self.options}: {error}") from error

    def parameter_groups(self, model: nn.Module, rates: dict[str, float]) -> list[dict[str, Any]]:
        """All that is trained: bilateral filters with rates of their own, and the rest."""
        if bilateral_filters(model):
            return bilateral_parameter_groups(model, rates["spatial"], rates["range"], rates["network"])
        return [{"params": [p for p in model.parameters() if p.requires_grad], "lr": rates["network"]}]


def own_model(module: nn.Module, path: str, starts_from: Literal["volumes", "scans"]) -> OwnModel:
    """The configuration of a module that exists in memory."""
    denoiser = module if isinstance(module, NetworkDenoiser) else None
    offset, scale = (0.0, 1.0) if denoiser is None else (denoiser.offset, denoiser.scale)
    if isinstance(module, DualDomainBilateral):
        starts_from = "scans"
    return OwnModel(path=path, offset=offset, scale=scale, starts_from=starts_from, module=module)
