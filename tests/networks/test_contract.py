"""Every network of the registry under the contract that other packages' networks are held to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sinograd.choices import NETWORKS
from sinograd.networks import Network
from sinograd.testing import NetworkContract

SMALL: dict[str, dict[str, Any]] = {
    "dncnn": {"layers": 4, "channels": 6},
    "dugan": {"channels": 4, "layers": 3},
    "jbfnet": {"channels": 3, "blocks": 2},
    "noise2noise-unet": {"features": 4},
    "qae": {"kernel": 3, "channels": 4},
    "red-cnn": {"channels": 5},
    "resnet": {"blocks": 2, "channels": 8},
    "structkpn": {"kernel": 5, "channels": 6, "blocks": 2},
    "wavresnet": {"channels": 6, "modules": 1},
    "wgan-vgg": {"channels": 6},
}


class TestNetworks(NetworkContract):
    networks = {name: SMALL.get(name, {}) for name in NETWORKS}  # noqa: RUF012


class Forgetful(Network):
    """Breaks what the contract asks for: a layer without a use, random numbers of its own, sizes that it loses."""

    def __init__(self, channels: int = 2, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.first, self.unused = nn.Conv2d(1, channels, 3), nn.Conv2d(1, 1, 1)
        self.last = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x))


def test_the_contract_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    NETWORKS.add("forgetful", Forgetful)
    try:
        contract = type("Contract", (NetworkContract,), {"networks": {"forgetful": {}}})()
        network = contract.make("forgetful")
        with pytest.raises(AssertionError):
            contract.test_images_keep_their_shape(network, (1, 1, 12, 12))
        with pytest.raises(AssertionError, match=r"unused\.weight"):
            contract.test_gradients_reach_all_parameters(network)
        with pytest.raises(AssertionError):
            contract.test_starting_values_follow_from_the_generator("forgetful", network)
        contract.test_options_build_the_same_network("forgetful", network)
    finally:
        NETWORKS.remove("forgetful")
