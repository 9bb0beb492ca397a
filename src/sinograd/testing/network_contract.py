"""`NetworkContract`: what every denoising network of the registry must pass.

A pytest class subclasses it, in this package or in another one whose networks are in `sinograd.choices.NETWORKS`:

    from sinograd.testing import NetworkContract

    class TestMine(NetworkContract):
        networks = {"smooth": {"channels": 4}}  # names, and options that make a small one
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sinograd.choices import NETWORKS
from sinograd.models import NetworkDenoiser, load_model, read_model, save_model
from sinograd.training.models.network import network_model

# Images that are small, odd, long, and of a usual size.
SHAPES = ((1, 1, 1, 1), (2, 1, 37, 5), (3, 1, 12, 12), (1, 1, 33, 64))


def images(shape: tuple[int, ...] = (2, 1, 24, 24), seed: int = 0) -> Tensor:
    """Numbers of mean zero and deviation one, as networks see them."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class NetworkContract:
    """Shapes, gradients, options, starting values, files and precision of the networks that a subclass names.

    networks: their names in the registry, each with options that make a small one.
    """

    networks: Mapping[str, Mapping[str, Any]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Parametrizes with the networks of the class."""
        if "name" in metafunc.fixturenames:
            metafunc.parametrize("name", [*self.networks])

    def images_for(self, network: nn.Module, shape: tuple[int, ...] = (2, 1, 24, 24)) -> Tensor:
        """Images of a shape; for networks of volumes, volumes of several of them."""
        if getattr(network, "ndim", 2) == 3:
            margin = getattr(network, "margin", (0, 0, 0))[0]
            shape = (*shape[:2], max(11, 2 * margin + 1), *shape[2:])
        return images(shape)

    def denoised(self, network: nn.Module, x: Tensor) -> Tensor:
        """What the network makes of images or volumes, of the same shape in evaluation."""
        return getattr(network, "volumes", network)(x) if x.ndim == 5 else network(x)

    def make(self, name: str, seed: int = 0) -> nn.Module:
        """A small network whose starting values follow from the seed."""
        return NETWORKS.load(name)(**self.networks[name], generator=torch.Generator().manual_seed(seed))

    @pytest.fixture
    def network(self, name: str) -> nn.Module:
        """A small network with starting values of seed 0."""
        return self.make(name)

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_images_keep_their_shape(self, network: nn.Module, shape: tuple[int, ...]) -> None:
        """Whatever their size, in the dtype of the input, which stays as it is."""
        x = self.images_for(network, shape)
        before = x.clone()
        with torch.no_grad():
            y = self.denoised(network.eval(), x)
        assert y.shape == x.shape and y.dtype == x.dtype
        assert torch.equal(x, before), "the input is changed in place"

    def test_images_of_a_batch_do_not_meet(self, network: nn.Module) -> None:
        """Each one of a batch becomes what it becomes by itself."""
        x = self.images_for(network, (3, 1, 21, 26))
        with torch.no_grad():
            together = self.denoised(network.eval(), x)
            for image, expected in zip(x, together, strict=True):
                torch.testing.assert_close(self.denoised(network, image[None])[0], expected, rtol=1e-4, atol=1e-5)

    def test_gradients_reach_all_parameters(self, network: nn.Module) -> None:
        """Away from the starting values, of which some may be zero."""
        drawn = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=drawn))
        self.denoised(network, self.images_for(network)).square().sum().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert bool(torch.isfinite(parameter.grad).all()), name
            assert bool(parameter.grad.any()), name

    def test_options_build_the_same_network(self, name: str, network: nn.Module) -> None:
        """In Python and through a configuration, of plain values; those that were given are among them."""
        options: dict[str, Any] = network.options  # pyright: ignore[reportAssignmentType]
        assert {**options, **self.networks[name]} == options and "generator" not in options
        config = network_model(name, **options)
        assert config.options == options
        for again in (type(network)(**options), copy.deepcopy(network)):
            assert again.options == options
            shapes = [(key, tuple(value.shape)) for key, value in again.state_dict().items()]
            assert shapes == [(key, tuple(value.shape)) for key, value in network.state_dict().items()]

    def test_starting_values_follow_from_the_generator(self, name: str, network: nn.Module) -> None:
        """Bit for bit, whatever the state of torch's global generator."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(12345)
            same, other = self.make(name), self.make(name, seed=1)
        for key, value in network.state_dict().items():
            assert torch.equal(same.state_dict()[key], value), key
        assert any(not torch.equal(other.state_dict()[key], value) for key, value in network.state_dict().items())

    def test_the_same_input_gives_the_same_bits(self, network: nn.Module) -> None:
        """In evaluation, twice."""
        x = self.images_for(network)
        with torch.no_grad():
            assert torch.equal(self.denoised(network.eval(), x), self.denoised(network, x))

    def test_files(self, name: str, network: nn.Module, tmp_path: Path) -> None:
        """Weights, options and results bit for bit."""
        model = NetworkDenoiser(network.eval(), -500.0, 250.0)
        save_model(model, tmp_path / "model.pt")
        saved, again = read_model(tmp_path / "model.pt"), load_model(tmp_path / "model.pt")
        assert saved.model.name == name
        assert again.state_dict().keys() == model.state_dict().keys()
        for key, value in model.state_dict().items():
            assert torch.equal(again.state_dict()[key], value), key
        volume = -500 + 250 * images((2, 9, 14))
        with torch.no_grad():
            assert torch.equal(again(volume), model(volume))

    def test_mixed_precision(self, network: nn.Module) -> None:
        """Trained with bfloat16 (`precision: bfloat16`): images within its digits, finite gradients in float32."""
        x = self.images_for(network)
        exact = self.denoised(network, x).detach()
        with torch.autocast("cpu", torch.bfloat16):
            y = self.denoised(network, x)
        assert bool((y.detach().float() - exact).abs().max() < 0.1 * exact.abs().max())
        y.float().square().sum().backward()
        for name, parameter in network.named_parameters():
            if parameter.grad is not None:
                assert parameter.grad.dtype == torch.float32 and bool(torch.isfinite(parameter.grad).all()), name

    def test_double_precision(self, network: nn.Module) -> None:
        """float64 gives the same numbers, in float64."""
        x = self.images_for(network)
        with torch.no_grad():
            single = self.denoised(network.eval(), x)
            double = self.denoised(network.double(), x.double())
        assert double.dtype == torch.float64
        torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-4)
