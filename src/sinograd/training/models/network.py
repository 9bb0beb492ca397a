"""Networks in a training configuration; their options are the arguments of their constructors."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import nn

from sinograd.choices import NETWORKS
from sinograd.config.schema import from_plain
from sinograd.config.signature import arguments, options_of, schema_of
from sinograd.errors import ConfigError, InputError
from sinograd.models import NetworkDenoiser
from sinograd.training.model_config import ModelConfig, Offset, Scale, number
from sinograd.training.random_streams import stream
from sinograd.training.samples import Samples, offset_and_scale

_USUAL_RATE = 1e-3


@dataclass(frozen=True)
class NetworkModel(ModelConfig):
    """What the schemas of all networks derive from.

    Attributes:
        name: of the network.
        offset, scale: the network sees (value - offset) / scale; "auto": mean and standard deviation of the training
            inputs.
    """

    name: str
    offset: Offset = "auto"
    scale: Scale = "auto"
    single_precision: ClassVar[bool] = True
    file_name: ClassVar[str] = "model.pt"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.name, {f.name: getattr(self, f.name) for f in dataclasses.fields(self)})

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the network."""
        return options_of(self, NetworkModel)

    @property
    def ndim(self) -> int:
        """Images, or volumes; images with their neighbours are volumes."""
        return 3 if self._slices > 1 else getattr(NETWORKS.load(self.name), "ndim", 2)

    @property
    def lost(self) -> tuple[int, ...]:
        """Twice the margin of networks of volumes; the neighbours of the outermost slices."""
        if self._slices > 1:
            return (self._slices - 1, 0, 0)
        margin = getattr(NETWORKS.load(self.name), "margin", (0, 0, 0))
        return tuple(2 * n for n in margin) if self.ndim == 3 else (0, 0)

    @property
    def _slices(self) -> int:
        slices = self.options.get("slices", 1)
        return slices if isinstance(slices, int) else 1

    @property
    def loss_scale(self) -> float:
        """What the network sees as 1."""
        return number(self.scale)

    def learning_rates(self) -> dict[str, float]:
        """That of the registry."""
        return {"network": float(NETWORKS.entry(self.name).about.get("learning_rate", _USUAL_RATE))}

    def check(self) -> None:
        """ConfigError where the network's constructor refuses its options, or they do not go with the offset."""
        non_negative = False
        try:  # on meta, where it costs neither memory nor random numbers
            with torch.device("meta"), torch.random.fork_rng(devices=[]):
                network = NETWORKS.load(self.name)(**self.options)
            non_negative = getattr(network, "non_negative", False)
        except (ValueError, TypeError) as error:
            if str(error).partition(":")[0] in self.options:
                raise ConfigError(f"model.{error}") from error
            raise ConfigError(f"model: {self.name} does not take {self.options}: {error}") from error
        except (NotImplementedError, RuntimeError):
            pass  # it needs numbers; then its options are checked when it is built
        if non_negative and self.offset == "auto":
            words = f"expected a number, below which the output of {self.name} with these options never is"
            raise ConfigError(f"model.offset: {words}, got 'auto'")

    def resolved(self, samples: Samples) -> Self:
        """With mean and deviation of the inputs."""
        offset, scale = offset_and_scale(self.offset, self.scale, samples)
        return dataclasses.replace(self, offset=offset, scale=scale)

    def build(self, seed: int) -> nn.Module:
        """The network with its starting values, in the units of the data."""
        network = NETWORKS.load(self.name)(**self.options, generator=stream(seed, "weights", 0))
        return NetworkDenoiser(network, number(self.offset), number(self.scale))

    def parameter_groups(self, model: nn.Module, rates: dict[str, float]) -> list[dict[str, Any]]:
        """All of them."""
        return [{"params": list(model.parameters()), "lr": rates["network"]}]


def network_schema(name: str) -> type[NetworkModel]:
    """The dataclass of a network's part of a configuration.

    Raises:
        InputError: an unknown name, or a class that cannot be configured.
    """
    return _schema(name, NETWORKS.load(name))


def network_model(name: str, **options: Any) -> NetworkModel:
    """A network in a configuration: `network_model("red-cnn", channels=32, offset=0.0)`; raises ConfigError."""
    try:
        schema = network_schema(name)
    except InputError as error:
        raise ConfigError(f"model.name: {error}") from None
    return from_plain(schema, {"name": name, **options}, "model")


@functools.cache
def _schema(name: str, kind: type[nn.Module]) -> type[NetworkModel]:
    if "generator" not in arguments(kind):
        raise InputError(f"{kind.__name__}: expected an argument `generator` of its constructor")
    if not hasattr(kind, "options"):
        raise InputError(f"{kind.__name__}: expected a subclass of sinograd.networks.Network, or a property `options`")
    return schema_of(name, kind, base=NetworkModel, without=("generator",))


def _restored(name: str, values: dict[str, Any]) -> NetworkModel:
    return network_schema(name)(**values)
