"""Modules, losses and optimisers of one's own. Truth: plain loops with the same numbers."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from typer.testing import CliRunner

import sinograd as sg
from sinograd.cli.app import app
from sinograd.datasets import PairedVolume
from sinograd.errors import ConfigError, InputError
from sinograd.io import write_volume
from sinograd.models import DualDomainBilateral, NetworkDenoiser, bilateral_stack, read_model
from sinograd.networks import CNN10, REDCNN
from sinograd.training import ScanStack, Stack, TrainingData, load_config
from sinograd.training.config import as_config
from sinograd.training.random_streams import stream

STEPS: dict[str, Any] = {"stop": {"max_steps": 4, "early_stopping": None}}


class Mine(nn.Module):
    """Images to images, as anybody would write it."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, 1, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        assert x.ndim == 4 and x.shape[1] == 1
        return x + self.layers(x)


class OfVolumes(nn.Module):
    ndim = 3

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv3d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        assert x.ndim == 5
        return x + self.layer(x)


def pairs(count: int = 2, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        clean = torch.rand(4, 1, 1, generator=generator).expand(4, 20, 24).contiguous()
        found.append((clean + 0.1 * torch.randn(clean.shape, generator=generator), clean))
    return found


def test_a_module_a_loss_and_an_optimiser_of_ones_own() -> None:
    """The very patches of `Patches`, a loss in the unit of the data, any optimiser of torch."""
    torch.manual_seed(1)
    module, twin = Mine(), Mine()
    twin.load_state_dict(module.state_dict())
    optimizer = torch.optim.AdamW(module.parameters(), lr=2e-3, weight_decay=0.1)
    result = sg.train(
        STEPS,
        model=module,
        loss=nn.SmoothL1Loss(),
        optimizer=optimizer,
        pairs=pairs(),
        patches={"size": 16, "per_batch": 3},
    )
    paired = [PairedVolume(f"pair {i}", f"pair {i}", (a,), b, "1") for i, (a, b) in enumerate(pairs())]
    patches = sg.datasets.Patches(paired, 16, per_batch=3)
    other, losses = torch.optim.AdamW(twin.parameters(), lr=2e-3, weight_decay=0.1), []
    for step in range(4):
        noisy, clean = patches.batch(stream(0, "patches", step))
        loss = nn.functional.smooth_l1_loss(twin(noisy), clean)
        other.zero_grad()
        loss.backward()
        other.step()
        losses.append(loss.item())
    assert result.history.column("training_loss")[1] == pytest.approx(losses, rel=1e-5)
    assert isinstance(result.model, NetworkDenoiser) and result.model.network is module
    for key, value in twin.state_dict().items():
        torch.testing.assert_close(module.state_dict()[key], value, rtol=1e-4, atol=1e-6)


def test_the_shortest_call() -> None:
    """Patches as large as the data allow, Adam, the mean squared error."""
    module = Mine()
    before = module.layers[0].weight.detach().clone()
    result = sg.train({"stop": {"max_steps": 2}}, model=module, pairs=pairs(), validation_pairs=pairs(1, seed=5))
    assert result.config.data is not None and result.config.data.patches is not None
    assert result.config.data.patches.size == (20, 24)
    assert not torch.equal(before, module.layers[0].weight)
    assert result.model(pairs()[0][0]).shape == (4, 20, 24)


class NotesModes(Mine):
    """Images to images, noting whether it was in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.modes: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.modes.append(self.training)
        return super().forward(x)


def test_trained_and_loaded_models_are_for_use(tmp_path: Path) -> None:
    """In evaluation mode, where networks of volumes keep all slices; what trains them puts them into training mode."""
    first = sg.train({"stop": {"max_steps": 1}}, model=NotesModes(), pairs=pairs(), output=tmp_path / "run").model
    assert not any(module.training for module in first.modules())
    for saved in (tmp_path / "run", tmp_path / "run" / "model.pt"):
        loaded = sg.load_model(saved, module=NotesModes())
        assert not any(module.training for module in loaded.modules())
    again = NotesModes().eval()
    sg.train({"stop": {"max_steps": 2}}, model=again, pairs=pairs())
    assert again.modes[0] and not again.training
    sg.save_model(NetworkDenoiser(CNN10()).train(), tmp_path / "cnn.pt")
    assert not any(module.training for module in sg.load_model(tmp_path / "cnn.pt").modules())


def test_a_function_of_parameter_groups_and_frozen_weights() -> None:
    module = Mine()
    module.layers[0].requires_grad_(False)
    frozen = module.layers[0].weight.clone()
    make = functools.partial(torch.optim.SGD, momentum=0.5)
    config = {**STEPS, "optimizer": {"name": "adam", "learning_rates": {"network": 0.01}}}
    sg.train(config, model=module, optimizer=make, pairs=pairs())
    assert torch.equal(module.layers[0].weight, frozen) and not module.layers[0].weight.requires_grad
    with pytest.raises(InputError, match="optimizer: expected one of the parameters of `model`, got other parameters"):
        sg.train(STEPS, model=module, optimizer=torch.optim.SGD(Mine().parameters(), lr=0.1), pairs=pairs())


def test_modules_of_volumes_and_bilateral_filters() -> None:
    result = sg.train({"stop": {"max_steps": 2}}, model=OfVolumes(), pairs=pairs())
    assert result.config.data is not None and result.config.data.patches is not None
    assert result.config.data.patches.size == (4, 20, 24)
    with torch.no_grad():
        assert result.model(pairs()[0][0]).shape == (4, 20, 24)
    stack = Stack(*pairs(1)[0])
    filters = bilateral_stack(1, window=3)
    trained = sg.train({"stop": {"max_steps": 3}}, TrainingData([stack]), model=filters)
    assert trained.config.optimizer.learning_rates["spatial"] == 0.01 and trained.model is filters


def scan() -> ScanStack:
    geometry = sg.ParallelBeam(torch.arange(10, dtype=torch.float64) * torch.pi / 10, sg.FlatDetector(24, 1.0))
    grid = sg.Grid((20, 20), 1.0)
    object_ = sg.shepp_logan_2d(radius=8, value=0.05)
    clean = object_.project(geometry).float()
    noise = 0.02 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    return ScanStack(clean + noise, geometry, grid, object_.voxelize(grid).float())


def test_networks_in_either_domain() -> None:
    """RED-CNN after the reconstruction, a filter and a module of one's own before it; all of them learn."""
    stack = scan()
    parts = [sg.BilateralFilter2d(sigma_range=0.1), NetworkDenoiser(Mine())]
    model = DualDomainBilateral(parts, [NetworkDenoiser(REDCNN(4), 0.0, 0.05)])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = sg.train(STEPS, TrainingData([stack]), model=model)
    losses = result.history.column("training_loss")[1]
    assert losses[-1] < losses[0]
    changed = {name for name, value in result.model.state_dict().items() if not torch.equal(value, before[name])}
    assert {"projection_filters.0.raw_sigma_range", "projection_filters.1.network.layers.0.weight"} <= changed
    assert any(name.startswith("image_filters.0.network.encoder") for name in changed)


def test_a_module_from_projections_to_the_image() -> None:
    """Its own reconstruction inside, with taps that learn."""
    stack = scan()
    layer = sg.FBP(stack.geometry, stack.grid, trainable=["taps"])
    module = nn.Sequential(NetworkDenoiser(Mine()), layer, NetworkDenoiser(Mine()))
    taps = layer.taps.detach().clone()
    sg.train({**STEPS, "task": {"name": "dual-domain"}}, TrainingData([stack]), model=module)
    assert not torch.equal(layer.taps, taps)
    with pytest.raises(InputError, match=r"the model made \[10, 24\] of it, the target is \[20, 20\]"):
        sg.train({**STEPS, "task": {"name": "dual-domain"}}, TrainingData([stack]), model=NetworkDenoiser(Mine()))


def test_dual_domain_of_networks_in_a_configuration(tmp_path: Path) -> None:
    """Trained, saved, loaded and applied by name alone."""
    stack = scan()
    config = {
        "task": {"name": "dual-domain"},
        "model": {
            "name": "dual-domain",
            "projections": {"name": "bilateral", "filters": 1, "dimensions": 2},
            "volume": {"name": "red-cnn", "channels": 4},
        },
        **STEPS,
    }
    result = sg.train(config, TrainingData([stack]), output=tmp_path / "run")
    assert result.config.optimizer.learning_rates == {"spatial": 0.01, "range": 0.005, "network": 9.58e-5}
    loaded = sg.load_model(tmp_path / "run")
    assert isinstance(loaded, DualDomainBilateral)
    with torch.no_grad():
        found = [model(stack.projections, stack.geometry, stack.grid) for model in (loaded, result.model)]
    assert torch.equal(*found)
    volume = sg.denoise(sg.Scan(stack.projections, stack.geometry), str(tmp_path / "run"), shape=(20, 20), voxel_mm=1.0)
    torch.testing.assert_close(volume.values, found[0], rtol=1e-4, atol=1e-6)
    for words, wrong in (
        ("model: expected a model under projections or volume, got none", {"name": "dual-domain"}),
        ("model.volume.name: expected a model of volumes, got dual-domain", {"volume": {"name": "dual-domain"}}),
        ("model.volume.channels: expected at least 1", {"volume": {"name": "red-cnn", "channels": 0}}),
    ):
        with pytest.raises(ConfigError, match=f"^{words}"):
            as_config({**config, "model": {"name": "dual-domain", **wrong}})


def test_saved_weights_need_their_class_again(tmp_path: Path) -> None:
    module = Mine(4)
    noisy = pairs()[0][0]
    sg.save_model(NetworkDenoiser(module, 0.1, 2.0), tmp_path / "mine.pt", trained_on={"unit": "HU"})
    sg.save_model(nn.Sequential(nn.Linear(2, 2)), tmp_path / "linear.pt")
    saved = read_model(tmp_path / "mine.pt")
    assert saved.model.name == "own" and saved.model.path.endswith(":Mine") and saved.trained_on == {"unit": "HU"}
    loaded = sg.load_model(tmp_path / "mine.pt", module=Mine(4))
    with torch.no_grad():
        assert torch.equal(loaded(noisy), NetworkDenoiser(module, 0.1, 2.0)(noisy))
    assert isinstance(sg.load_model(tmp_path / "linear.pt", module=nn.Sequential(nn.Linear(2, 2))), nn.Sequential)
    sg.save_model(NetworkDenoiser(CNN10()), tmp_path / "cnn.pt")
    for words, name, given in (
        (r"mine.pt: it holds the weights of .*:Mine, a class of your own: build such a module", "mine.pt", None),
        (r"mine.pt: module: expected a Mine, as the file says, got a OfVolumes", "mine.pt", OfVolumes()),
        (r"state_dict.layers.0.weight: expected weights \[3, 1, 3, 3\], got \[4, 1, 3, 3\]", "mine.pt", Mine(3)),
        (r"cnn.pt: module: none is needed, the file holds a cnn-10", "cnn.pt", Mine()),
    ):
        with pytest.raises(InputError, match=words):
            sg.load_model(tmp_path / name, module=given)
    with pytest.raises(InputError, match=r"a class of your own"):
        sg.denoise(sg.Volume(noisy, sg.Grid((4, 20, 24), 1.0)), tmp_path / "mine.pt")


def test_a_run_of_ones_own_is_resumed(tmp_path: Path) -> None:
    """To the same bits, with the module and the optimiser given again."""

    def run(folder: str, **more: Any) -> Any:
        torch.manual_seed(3)
        module = Mine()
        optimizer = torch.optim.RMSprop(module.parameters(), lr=1e-3)
        config = {**STEPS, "checkpoints": {"every": 1}}
        given: dict[str, Any] = {"model": module, "loss": nn.L1Loss(), "optimizer": optimizer, "pairs": pairs()}
        return sg.train(config, **given, output=tmp_path / folder, **more)

    def stop(step: int, total: int, loss: float) -> None:
        if step == 3:
            raise OSError("the machine went away")

    straight = run("one")
    with pytest.raises(OSError, match="went away"):
        run("two", progress=stop)
    resumed = run("two", resume=True)
    for key, value in straight.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[key], value)
    loaded = sg.load_model(tmp_path / "two", module=Mine())
    assert torch.equal(loaded(pairs()[0][0]), straight.model(pairs()[0][0]))


CODE = """
import torch
from torch import nn

class Tiny(nn.Module):
    def __init__(self, channels=2):
        super().__init__()
        self.a = nn.Conv2d(1, channels, 3, padding=1)
        self.b = nn.Conv2d(channels, 1, 1)

    def forward(self, x):
        return x + self.b(torch.relu(self.a(x)))

def huber(prediction, target, delta=1.0):
    return nn.functional.huber_loss(prediction, target, delta=delta)
"""


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Path]:
    """A folder with code, volumes and a configuration that names the code."""
    (tmp_path / "my_code.py").write_text(CODE)
    noisy, clean = pairs(1)[0]
    for name, values in (("noisy", noisy), ("clean", clean)):
        write_volume(values, tmp_path / f"{name}.npy", sg.Grid((4, 20, 24), 1.0))
    config = {
        "output": "run",
        "task": {"name": "supervised", "loss": {"name": "own", "path": "my_code:huber", "options": {"delta": 0.2}}},
        "model": {"name": "own", "path": "my_code:Tiny", "options": {"channels": 3}, "offset": "auto", "scale": "auto"},
        "data": {"training": [{"input": "noisy.npy", "target": "clean.npy"}], "patches": {"size": 16, "per_batch": 2}},
        "stop": {"max_steps": 3},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    yield tmp_path
    sys.modules.pop("my_code", None)


def test_a_configuration_that_names_code(beside: Path) -> None:
    """An error without --allow-import, before anything is imported; with it, code beside the file is found."""
    refused = CliRunner().invoke(app, ["train", str(beside / "run.yaml")])
    assert refused.exit_code == 2 and "my_code" not in sys.modules and not (beside / "run").exists()
    assert "which runs when it is imported: --allow-import allows that" in refused.stderr
    done = CliRunner().invoke(app, ["train", str(beside / "run.yaml"), "--allow-import"])
    assert done.exit_code == 0, done.stderr
    assert str(beside) not in sys.path
    again = sg.train(beside / "run.yaml", output=beside / "again", allow_import=True)
    sys.path.insert(0, str(beside))
    try:
        import my_code  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(beside))
    loaded = sg.load_model(beside / "run", module=my_code.Tiny(3))
    for key, value in again.model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value)
    with pytest.raises(ConfigError, match=r"task.loss.path: my_code:huber is code of this machine"):
        load_config(beside / "run.yaml")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (r"model.path: expected module:name of what is to be imported, got 'my_code'", {"path": "my_code"}),
        (r"model.path: my_code:Nothing cannot be imported: AttributeError", {"path": "my_code:Nothing"}),
        (r"model.path: expected a class of torch.nn.Module, got my_code:huber", {"path": "my_code:huber"}),
        (r"model.options: my_code:Tiny does not take {'width': 3}", {"options": {"width": 3}}),
    ],
)
def test_code_that_cannot_be_used(words: str, part: dict[str, Any], beside: Path) -> None:
    config = yaml.safe_load((beside / "run.yaml").read_text())
    config["model"] |= part
    (beside / "run.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError, match=words):
        sg.train(beside / "run.yaml", allow_import=True)


def test_wrong_arguments() -> None:
    item = pairs(1)
    for words, given in (
        ("config: expected a configuration, or a `model`", {"pairs": item}),
        (
            "pairs: expected `pairs` or `data`, got both",
            {"model": Mine(), "pairs": item, "data": TrainingData([Stack(*item[0])])},
        ),
        ("validation_pairs: goes with `pairs`", {"model": Mine(), "validation_pairs": item}),
        (
            r"pairs\[0\]: expected a PairedVolume or \(noisy, clean\), got a Tensor",
            {"model": Mine(), "pairs": [item[0][0]]},
        ),
        ("model: expected a torch.nn.Module, got type", {"model": Mine, "pairs": item}),
        (
            "optimizer: expected a torch.optim.Optimizer, or a function",
            {"model": Mine(), "pairs": item, "optimizer": 3},
        ),
        ("loss: expected a name, a mapping or a function, got int", {"model": Mine(), "pairs": item, "loss": 3}),
        (
            r"loss: expected a function that returns one number as a tensor, got \[",
            {"model": Mine(), "pairs": item, "loss": torch.sub},
        ),
        (
            "loss: expected a function of the prediction, got a number without its gradient",
            {"model": Mine(), "pairs": item, "loss": lambda made, clean: (made - clean).detach().abs().mean()},
        ),
        (
            r"Conv2d: expected to make \[16, 1, 20, 24\] of it, got \[16, 1, 18, 22\]",
            {"model": nn.Conv2d(1, 1, 3), "pairs": item},
        ),
        (r"Conv2d: expected to make .* of it, got \[16, 2,", {"model": nn.Conv2d(1, 2, 1), "pairs": item}),
        ("model: expected parameters to train, got none", {"model": nn.Identity(), "pairs": item}),
        ("model: expected parameters to train, got none", {"model": Mine().requires_grad_(False), "pairs": item}),
        (
            "optimizer: own ones are given in Python",
            {"config": {"model": {"name": "cnn-10"}, "optimizer": {"name": "own"}}, "pairs": item},
        ),
    ):
        with pytest.raises((InputError, TypeError), match=words):
            sg.train(**given)  # type: ignore[arg-type]


def test_all_parameters_have_a_group() -> None:
    """FDK taps beside bilateral filters, each parameter once; frozen ones in none."""
    geometry = sg.ParallelBeam(torch.arange(30, dtype=torch.float64) * torch.pi / 30, sg.FlatDetector(12, 1.0))
    layer = sg.FBP(geometry, sg.Grid((8, 8), 1.0), trainable=["taps", "weights"])
    model = nn.Sequential(sg.BilateralFilter2d(), layer, sg.BilateralFilter2d(), nn.Conv2d(1, 1, 1))
    model[3].bias.requires_grad_(False)  # type: ignore[union-attr]
    groups = sg.bilateral_parameter_groups(model, 0.1, 0.2, other=0.3)
    assert [group["lr"] for group in groups] == [0.1, 0.2, 0.3]
    assert [len(group["params"]) for group in groups] == [2, 2, 3]  # type: ignore[arg-type]
    held = [id(p) for group in groups for p in group["params"]]  # type: ignore[attr-defined]
    assert sorted(held) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    assert len(sg.bilateral_parameter_groups(sg.BilateralFilter2d())) == 2


def test_patches_for_a_loader_of_ones_own() -> None:
    """Batches of a DataLoader, with and without processes; `torch.manual_seed` repeats them, another loop goes on."""
    paired = [PairedVolume(f"pair {i}", f"pair {i}", (a,), b, "1") for i, (a, b) in enumerate(pairs())]
    patches = sg.datasets.Patches(paired, 8, per_batch=1, augment=False)

    def draw(workers: int, seed: int | None) -> list[Tensor]:
        if seed is not None:
            torch.manual_seed(seed)
        loader = torch.utils.data.DataLoader(patches, batch_size=5, num_workers=workers)
        return [torch.stack(batch) for batch, _ in zip(loader, range(3), strict=False)]

    for workers in (0, 2):
        first, again, other = draw(workers, 0), draw(workers, 0), draw(workers, 1)
        assert first[0].shape == (2, 5, 1, 8, 8)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert not torch.equal(first[0], other[0]) and not torch.equal(first[0], first[1])
        assert not torch.equal(draw(workers, None)[0], draw(workers, None)[0])
    drawing = iter(patches)
    one, target = next(drawing)
    assert torch.is_grad_enabled()
    places = [
        (volume, z, y, x)
        for volume, (_, clean) in enumerate(pairs())
        for z in range(4)
        for y in range(13)
        for x in range(17)
        if torch.equal(pairs()[volume][0][z, y : y + 8, x : x + 8], one[0])
    ]
    assert len(places) == 1
    volume, z, y, x = places[0]
    assert torch.equal(pairs()[volume][1][z, y : y + 8, x : x + 8], target[0])
