"""Filters and networks before and after a reconstruction as files; of filters alone see `model_file`.

format, version, description, trained_on, provenance, state_dict as in `network_file`; and
model         name "dual-domain", projection_filters and image_filters (filters as in `model_file`, networks as in
              `network_file`), ramp_window, cutoff
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from sinograd.config.schema import from_plain, to_plain
from sinograd.errors import InputTypeError
from sinograd.models.bilateral import BILATERAL, DualDomainBilateral
from sinograd.models.filter_entry import FilterEntry, describe_filter
from sinograd.models.network_denoiser import NetworkDenoiser
from sinograd.models.network_file import NetworkEntry, check_weights, network_entry

Part = dict[str, Any]


@dataclass(frozen=True)
class DualDomainNetworksEntry:
    """Filters and networks before and after a reconstruction."""

    name: Literal["dual-domain"]
    projection_filters: tuple[Part, ...]
    image_filters: tuple[Part, ...]
    ramp_window: str = "ram-lak"
    cutoff: float = 1.0

    def build(self) -> DualDomainBilateral:
        """The parts, whose weights mean nothing."""
        parts = {
            where: [_part(part, f"model.{where}[{i}]") for i, part in enumerate(getattr(self, where))]
            for where in ("projection_filters", "image_filters")
        }
        return DualDomainBilateral(**parts, ramp_window=self.ramp_window, cutoff=self.cutoff)


@dataclass(frozen=True, eq=False)
class SavedDualDomain:
    """What such a file holds; see the module.

    Attributes:
        model: the parts; `model.name` is "dual-domain".
        description, trained_on, provenance: what it is for and how it came about.
        state_dict: the weights of the whole.
    """

    format: Literal["sinograd-model"]
    version: int
    model: DualDomainNetworksEntry
    state_dict: dict[str, Any]
    description: str = ""
    trained_on: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def build(self) -> DualDomainBilateral:
        """The model with its weights."""
        with torch.device("meta"):
            check_weights(self.state_dict, self.model.build())
        model = self.model.build()
        model.load_state_dict(self.state_dict)
        return model


def is_registered(module: nn.Module) -> bool:
    """Whether a module is made of bilateral filters and registered networks before and after a reconstruction."""
    try:
        return isinstance(module, DualDomainBilateral) and bool(dual_domain_entry(module))
    except InputTypeError:
        return False


def dual_domain_entry(module: DualDomainBilateral) -> DualDomainNetworksEntry:
    """What a file says about it; InputTypeError for parts of other classes."""
    sides = (module.projection_filters, module.image_filters)
    before, after = (tuple(to_plain(_described(part)) for part in parts) for parts in sides)
    return DualDomainNetworksEntry("dual-domain", before, after, module.ramp_window, module.cutoff)


def _described(part: nn.Module) -> FilterEntry | NetworkEntry:
    return network_entry(part) if isinstance(part, NetworkDenoiser) else describe_filter(part)


def _part(part: Mapping[str, Any], where: str) -> nn.Module:
    return from_plain(NetworkEntry if "name" in part else FilterEntry, part, where).build()


def has_networks(module: DualDomainBilateral) -> bool:
    """Whether there is more in it than bilateral filters."""
    return not all(isinstance(part, BILATERAL) for part in (*module.projection_filters, *module.image_filters))
