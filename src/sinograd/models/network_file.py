"""Trained networks as files: PyTorch archives with these entries, read without executing anything.

format        "sinograd-model"
version       1
description   what it is for
model         name (of `sinograd.networks.NETWORKS`), offset, scale (in the units of the data), options (the
              network's arguments)
trained_on    task, data, steps, losses, seed
provenance    software, command, time
state_dict    the weights, by name
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from sinograd.choices import NETWORKS
from sinograd.config.schema import POSITIVE, OneOf, from_plain, to_plain
from sinograd.config.shown import shown
from sinograd.errors import ConfigError, InputError, InputTypeError
from sinograd.io.storage.atomic import replacing
from sinograd.io.storage.torch_archive import check_weight, read_archive
from sinograd.models.network_denoiser import NetworkDenoiser
from sinograd.models.own_file import SavedOwn, own_entry, own_weights

if TYPE_CHECKING:
    from sinograd.models.dual_domain_file import SavedDualDomain

# What every model file starts with.
FORMAT = "sinograd-model"
VERSION = 1

NETWORK_SUFFIX = ".pt"


@dataclass(frozen=True)
class NetworkEntry:
    """A network and its normalisation."""

    name: Annotated[str, OneOf(NETWORKS)]
    offset: float = 0.0
    scale: Annotated[float, POSITIVE] = 1.0
    options: dict[str, Any] = field(default_factory=dict)

    def build(self) -> NetworkDenoiser:
        """The denoiser with weights that mean nothing."""
        return NetworkDenoiser(self._network(), self.offset, self.scale)

    def check(self, state_dict: Mapping[str, Any]) -> None:
        """ConfigError unless these are the network's weights; no more of it is built than there are weights."""
        with torch.device("meta"), at_most(2 * len(state_dict) + 16):
            network = self._network()
        check_weights(state_dict, network)

    def _network(self) -> nn.Module:
        try:
            return NETWORKS.load(self.name)(**self.options)
        except ConfigError:
            raise
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            reason = str(error).splitlines()[0][:200]
            raise ConfigError(f"model.options: {self.name} does not take {shown(self.options)}: {reason}") from error


@dataclass(frozen=True, eq=False)
class SavedNetwork:
    """What the file of a trained network holds; see the module.

    Attributes:
        model: which network; `model.name` says of which kind it is.
        description, trained_on, provenance: what it is for and how it came about.
        state_dict: the network's weights.
    """

    format: Literal["sinograd-model"]
    version: int
    model: NetworkEntry
    state_dict: dict[str, Any]
    description: str = ""
    trained_on: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def build(self) -> NetworkDenoiser:
        """The network with its weights, in the units of the data."""
        self.model.check(self.state_dict)
        denoiser = self.model.build()
        denoiser.network.load_state_dict(self.state_dict)
        return denoiser


def network_entry(module: NetworkDenoiser) -> NetworkEntry:
    """What a file says about a denoiser; TypeError for a network that is not registered."""
    name = NETWORKS.name_of(type(module.network))
    if name is None:
        raise InputTypeError(
            f"module: expected a network of sinograd.networks ({', '.join(NETWORKS)}), got "
            f"{type(module.network).__name__}; others are entered in sinograd.choices.NETWORKS"
        )
    return NetworkEntry(name, module.offset, module.scale, dict(module.network.options))  # pyright: ignore


def save_network(
    module: nn.Module,
    path: Path,
    *,
    description: str,
    trained_on: Mapping[str, Any],
    provenance: Mapping[str, Any],
    force: bool,
) -> None:
    """Write a denoiser, or another module; `read_network` gives it back, bit for bit."""
    if path.suffix != NETWORK_SUFFIX:
        raise InputError(f"the file of a network ends in {NETWORK_SUFFIX}, got {str(path)!r}")
    entry = _entry_of(module)
    weights = own_weights(module)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "description": description,
        "model": to_plain(entry),
        "trained_on": to_plain(trained_on),
        "provenance": to_plain(provenance),
        "state_dict": weights,
    }
    needed = sum(value.nbytes for value in weights.values())
    with replacing(path, force=force, needed=needed) as temporary:
        torch.save(content, temporary)


def _entry_of(module: nn.Module) -> Any:
    """Of what sinograd can build again; else the name of the class."""
    from sinograd.models.dual_domain_file import dual_domain_entry, is_registered

    if isinstance(module, NetworkDenoiser) and NETWORKS.name_of(type(module.network)) is not None:
        return network_entry(module)
    if is_registered(module):
        return dual_domain_entry(module)  # pyright: ignore[reportArgumentType]
    return own_entry(module)


def read_network(path: Path) -> SavedNetwork | SavedDualDomain | SavedOwn:
    """What the file of a network holds; also of ldct-benchmark's checkpoints, see `ldct_benchmark`.

    Raises:
        ValueError: no such file, damaged, or an unknown, missing or wrong key; does not name the file.
    """
    from sinograd.models.dual_domain_file import SavedDualDomain
    from sinograd.models.ldct_benchmark import converted, is_ldct_benchmark

    content = read_archive(path)
    if isinstance(content, Mapping) and "sinograd" in content:
        raise InputError("it is a training checkpoint; the model is model.pt in its run's folder")
    if is_ldct_benchmark(content):
        return converted(content)
    name = content.get("format") if isinstance(content, Mapping) else None
    if name != FORMAT:
        raise ConfigError(f"it is no model file: expected format: {FORMAT}, got {shown(name)}")
    entry = content.get("model")
    kind = entry.get("name") if isinstance(entry, Mapping) else None
    kinds = {"own": SavedOwn, "dual-domain": SavedDualDomain}
    saved = from_plain(kinds.get(kind, SavedNetwork) if isinstance(kind, str) else SavedNetwork, content)
    check_version(saved.version)
    return saved


def check_version(version: int) -> None:
    """ConfigError for a file of a later version of sinograd."""
    if not 1 <= version <= VERSION:
        raise ConfigError(f"version {version}; this sinograd reads versions 1 to {VERSION}")


def check_weights(state_dict: Mapping[str, Any], network: nn.Module) -> None:
    """ConfigError, with the first name, unless these are finite weights of this network, all and of the same shapes."""
    expected = network.state_dict()
    for name in expected:
        if name not in state_dict:
            raise ConfigError(f"state_dict.{name}: missing, expected weights {list(expected[name].shape)}")
    for name, value in state_dict.items():
        if name not in expected:
            raise ConfigError(f"state_dict.{name}: {type(network).__name__} has no such weights")
        check_weight(name, value, expected[name])


@contextmanager
def at_most(count: int) -> Iterator[None]:
    """Inside, a network of more weights than `count` is not built to its end: ConfigError."""
    built = 0

    def counted(*_: object) -> None:
        nonlocal built
        built += 1
        if built > count:
            raise ConfigError(f"model.options: the network has more weights than the {count} of the file")

    hook = register_module_parameter_registration_hook(counted)
    try:
        yield
    finally:
        hook.remove()
