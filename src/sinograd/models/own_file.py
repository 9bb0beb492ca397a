"""Modules of one's own as files: weights and the name of the class, which has to be given again on loading.

format, version, description, trained_on, provenance, state_dict as in `network_file`; and
model         name "own", path ("module:Class"), and of a denoiser of volumes offset and scale
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from torch import Tensor, nn

from sinograd.config.own_code import path_of
from sinograd.config.schema import POSITIVE
from sinograd.errors import InputError, InputTypeError
from sinograd.models.network_denoiser import NetworkDenoiser


@dataclass(frozen=True)
class OwnEntry:
    """Which class the weights are of.

    Attributes:
        name: own.
        path: "module:Class" of the module, of a denoiser that of its network.
        offset, scale: of a `NetworkDenoiser`; null: the module itself was saved.
    """

    name: Literal["own"]
    path: str
    offset: float | None = None
    scale: Annotated[float, POSITIVE] | None = None


@dataclass(frozen=True, eq=False)
class SavedOwn:
    """What the file of a module of one's own holds; see the module.

    Attributes:
        model: which class; `model.name` is "own".
        description, trained_on, provenance: what it is for and how it came about.
        state_dict: the weights.
    """

    format: Literal["sinograd-model"]
    version: int
    model: OwnEntry
    state_dict: dict[str, Any]
    description: str = ""
    trained_on: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def build(self, module: nn.Module | None = None) -> nn.Module:
        """The module with the weights, in a `NetworkDenoiser` where it was saved in one.

        Raises InputError without a module, for one of another class, and for other weights.
        """
        from sinograd.models.network_file import check_weights

        if module is None:
            raise InputError(
                f"it holds the weights of {self.model.path}, a class of your own: build such a module and give it to "
                "load_model(path, module=...)"
            )
        held = module.network if isinstance(module, NetworkDenoiser) and self.model.scale is not None else module
        if _class(path_of(type(held))) != _class(self.model.path):
            raise InputError(
                f"module: expected a {_class(self.model.path)}, as the file says, got a {_class(path_of(type(held)))}"
            )
        check_weights(self.state_dict, held)
        held.load_state_dict(self.state_dict)
        if self.model.scale is None:
            return held
        return NetworkDenoiser(held, self.model.offset or 0.0, self.model.scale)


def own_entry(module: nn.Module) -> OwnEntry:
    """What a file says about a module of one's own."""
    if isinstance(module, NetworkDenoiser):
        return OwnEntry("own", path_of(type(module.network)), module.offset, module.scale)
    return OwnEntry("own", path_of(type(module)))


def own_weights(module: nn.Module) -> dict[str, Tensor]:
    """Those of the module, or of the network in a denoiser, on the CPU; InputTypeError for what is no tensor."""
    held = module.network if isinstance(module, NetworkDenoiser) else module
    weights: Mapping[str, Any] = held.state_dict()
    for name, value in weights.items():
        if not isinstance(value, Tensor):
            raise InputTypeError(
                f"module: {name} in its state_dict is a {type(value).__name__}, expected tensors alone"
            )
    return {name: value.detach().cpu() for name, value in weights.items()}


def _class(path: str) -> str:
    """The name of a class without its module, which differs between a script and what imports it."""
    return path.partition(":")[2].rpartition(".")[2]
