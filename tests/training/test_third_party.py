"""A network and a loss of another package: a class and a line each, then every command knows them."""

from __future__ import annotations

import copy
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import yaml
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from sinograd.choices import LOSSES, NETWORKS
from sinograd.cli.app import app
from sinograd.errors import InputError
from sinograd.geometry import Grid
from sinograd.io import read_volume, write_volume
from sinograd.models import NetworkDenoiser, load_model, read_model, save_model
from sinograd.networks import Network
from sinograd.testing import NetworkContract
from sinograd.training import ConfigError, load_config, read_history
from sinograd.training.config import as_config, save_text
from sinograd.training.models import network_model

GRID = Grid((4, 16, 16), 0.5)


class Smooth(Network):
    """Two convolutions and what they change."""

    def __init__(
        self,
        channels: int,
        slope: float = 0.1,
        kind: Literal["wide", "narrow"] = "narrow",
        sizes: tuple[int, ...] = (3, 3),
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if channels % 2:
            raise ValueError(f"channels: expected an even number, got {channels}")
        if len(sizes) != 2:
            raise ValueError("two sizes are needed")
        self.slope = slope
        width = channels * (2 if kind == "wide" else 1)
        self.first = nn.Conv2d(1, width, sizes[0], padding=sizes[0] // 2)
        self.last = nn.Conv2d(width, 1, sizes[1], padding=sizes[1] // 2)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(0, 0.1, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(nn.functional.leaky_relu(self.first(x), self.slope))


class Huber:
    def __init__(self, delta: float = 1.0) -> None:
        self.delta = delta

    def __call__(self, predicted: Tensor, target: Tensor, *, scale: float) -> Tensor:
        return nn.functional.huber_loss(predicted / scale, target / scale, delta=self.delta)


@pytest.fixture
def dummies() -> Iterator[None]:
    """As another package enters its own; the module stands for its file."""
    module = types.ModuleType("dummy_package")
    module.Smooth, module.Huber = Smooth, Huber  # type: ignore[attr-defined]
    sys.modules["dummy_package"] = module
    NETWORKS.add("dummy", "dummy_package:Smooth", "two convolutions", learning_rate=5e-3)
    LOSSES.add("dummy", "dummy_package:Huber", "Huber's")
    yield
    NETWORKS.remove("dummy")
    LOSSES.remove("dummy")
    del sys.modules["dummy_package"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_train_and_denoise(dummies: None, tmp_path: Path) -> None:
    """Truth: the network and the loss in a plain loop."""
    generator = torch.Generator().manual_seed(0)
    clean = (torch.rand(GRID.shape, generator=generator) > 0.5).float()
    noisy = clean + 0.3 * torch.randn(clean.shape, generator=generator)
    write_volume(clean, tmp_path / "clean.h5", GRID)
    write_volume(noisy, tmp_path / "noisy.h5", GRID)
    config: dict[str, Any] = {
        "output": "run",
        "task": {"name": "supervised", "loss": {"name": "dummy", "delta": 0.5}},
        "data": {"training": [{"input": "noisy.h5", "target": "clean.h5"}]},
        "model": {"name": "dummy", "channels": 4, "sizes": [5, 3], "offset": 0.5, "scale": 0.25},
        "stop": {"max_steps": 4, "keep": "last"},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    result = run("train", tmp_path / "config.yaml")
    assert result.exit_code == 0, result.output
    assert f"dummy, {4 * 25 + 4 + 4 * 9 + 1} parameters" in result.stdout

    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert written["model"]["kind"] == "narrow" and written["model"]["sizes"] == [5, 3]
    assert written["optimizer"]["learning_rates"] == {"network": 5e-3}
    model = load_config(tmp_path / "run" / "config.yaml").model.build(0)
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=5e-3), []
    for _ in range(4):
        optimizer.zero_grad()
        loss = nn.functional.huber_loss(model(noisy) / 0.25, clean / 0.25, delta=0.5)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    history = read_history(tmp_path / "run" / "metrics.csv")
    assert history.column("training_loss")[1] == pytest.approx(losses, rel=1e-5)

    saved = read_model(tmp_path / "run")
    options = {"channels": 4, "slope": 0.1, "kind": "narrow", "sizes": (5, 3)}
    assert (saved.model.name, {**saved.model.options, "sizes": (5, 3)}) == ("dummy", options)
    trained = load_model(tmp_path / "run")
    for key, value in model.state_dict().items():
        torch.testing.assert_close(trained.state_dict()[key], value, rtol=1e-4, atol=1e-6)
    result = run("denoise", tmp_path / "noisy.h5", "--model", tmp_path / "run", "-o", tmp_path / "out.h5")
    assert result.exit_code == 0, result.output
    denoised = read_volume(tmp_path / "out.h5")
    values = denoised[0] if isinstance(denoised, tuple) else denoised.values
    with torch.no_grad():
        torch.testing.assert_close(torch.as_tensor(values), trained(noisy))


def test_options_are_those_of_the_constructor(dummies: None, tmp_path: Path) -> None:
    config = as_config({"model": {"name": "dummy", "channels": 6, "kind": "wide", "offset": 1}})
    assert config.model == network_model("dummy", channels=6, kind="wide", offset=1)
    assert pickle.loads(pickle.dumps(config)) == config == copy.deepcopy(config)
    (tmp_path / "config.yaml").write_text(save_text(config))
    assert load_config(tmp_path / "config.yaml") == config
    bad: dict[str, dict[str, Any]] = {
        "model.channels: missing, expected a whole number": {},
        "model.channels: expected an even number, got 3": {"channels": 3},
        "model.slope: expected a number, got 'steep'": {"channels": 2, "slope": "steep"},
        "model.kind: expected wide or narrow, got 'thin'": {"channels": 2, "kind": "thin"},
        "model.chanels: unknown key (did you mean channels?), expected some of name, offset, scale, channels, slope": {
            "chanels": 2
        },
        "model: dummy does not take {'channels': 2, 'slope': 0.1, 'kind': 'narrow', 'sizes': (3,)}: two sizes": {
            "channels": 2,
            "sizes": [3],
        },
    }
    for words, options in bad.items():
        with pytest.raises(ConfigError) as raised:
            as_config({"model": {"name": "dummy", **options}})
        assert str(raised.value).startswith(words)


class TestDummy(NetworkContract):
    networks = {"dummy": {"channels": 4}}  # noqa: RUF012

    @pytest.fixture(autouse=True)
    def entered(self, dummies: None) -> None:
        """The contract holds for networks of the registry."""


def test_networks_that_cannot_be_used(tmp_path: Path) -> None:
    """Unknown, not importable, without a generator or options, with an option that means something else."""

    class Plain(nn.Module):
        def __init__(self, *, generator: Any = None) -> None:
            super().__init__()

    class Fixed(Network):
        pass

    class Scaled(Network):
        def __init__(self, scale: float = 1.0, *, generator: Any = None) -> None:
            super().__init__()

    cases = {
        "no generator": (Fixed, "Fixed: expected an argument `generator` of its constructor"),
        "no options": (Plain, "Plain: expected a subclass of sinograd.networks.Network, or a property `options`"),
        "taken": (Scaled, "taken: its argument scale has a name that configurations use for something else"),
        "gone": ("no_such_package:Network", "'gone' cannot be imported from 'no_such_package:Network': No module"),
    }
    for name, (target, words) in cases.items():
        NETWORKS.add(name, target)
        try:
            with pytest.raises(ConfigError, match=f"model.name: {name} cannot be used: {words}"):
                as_config({"model": {"name": name}})
        finally:
            NETWORKS.remove(name)
    with pytest.raises(ConfigError, match=r"model\.name: network must be one of cnn-10, .*, got 'unet'"):
        network_model("unet")
    save_model(NetworkDenoiser(Smooth(2)), tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"it holds the weights of .*:Smooth, a class of your own"):
        load_model(tmp_path / "model.pt")
