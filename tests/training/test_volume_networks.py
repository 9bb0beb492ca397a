"""Training of networks of volumes on patches of paired volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sinograd.datasets import PairedVolume
from sinograd.errors import ConfigError
from sinograd.models import load_model
from sinograd.training import Stack, TrainingData, train
from sinograd.training.config import as_config
from sinograd.training.effect import share_of_change, shares_of_training

CONFIG: dict[str, Any] = {
    "model": {"name": "nn-sp", "channels": [4, 3, 2, 2, 3]},
    "data": {"patches": {"size": [11, 19, 19], "step": [2, 3, 3], "per_batch": 4, "per_place": 2}},
    "stop": {"max_steps": 6},
    "validation": {"every": 3},
}


def pair(seed: int) -> PairedVolume:
    drawn = torch.Generator().manual_seed(seed)
    clean = torch.nn.functional.avg_pool3d(torch.randn(1, 18, 28, 28, generator=drawn), 5, 1)[0] * 400
    inputs = tuple(clean + 100 * torch.randn(clean.shape, generator=drawn) for _ in range(3))
    return PairedVolume(f"bone {seed}", f"bone {seed}", inputs, clean, "1")


def test_a_run(tmp_path: Path) -> None:
    """The same run gives the same bits, its loss is that of the middle of patches, and its model denoises volumes."""
    data = TrainingData([pair(0), pair(1)], [pair(2)])
    first, again = (train(CONFIG, data, output=tmp_path / name) for name in ("first", "again"))
    model, other = load_model(tmp_path / "first"), load_model(tmp_path / "again")
    for key, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[key])
    assert first.history.column("validation_loss")[0] == again.history.column("validation_loss")[0] == [3, 6]
    noisy, clean = pair(2).inputs[0].read(0, 14), pair(2).target.read(0, 14)  # type: ignore[union-attr]
    with torch.no_grad():
        denoised = model.eval()(noisy)
    scale: float = model.scale  # type: ignore[assignment]
    expected = ((denoised - clean) / scale).square().mean().item()
    assert first.history.column("validation_loss")[1][-1] == pytest.approx(expected, rel=1e-4)


def test_the_effect_is_looked_at() -> None:
    """After ten steps, in volumes and with the whole depth that the network needs, in the mode that it then has."""
    config = {**CONFIG, "stop": {"max_steps": 10}}
    result = train(config, TrainingData([pair(0)], [pair(2)]))
    assert result.steps == 10
    (share,) = shares_of_training(result.model, pair(0))
    with torch.no_grad():
        values = pair(0).inputs[0].read(3, 11)
        expected = share_of_change(values, result.model.eval()(values))
    assert share == pytest.approx(expected)


@pytest.mark.parametrize(
    ("model", "slices"),
    [
        ({"name": "jbfnet", "channels": 2, "blocks": 1, "offset": -4096.0, "scale": 4096.0}, 15),
        ({"name": "structkpn", "kernel": 3, "channels": 4, "blocks": 1, "slices": 3}, 3),
        ({"name": "wavresnet", "channels": 3, "modules": 1, "slices": 3}, 3),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_slices_with_their_neighbours(model: dict[str, Any], slices: int, tmp_path: Path) -> None:
    """Stacks in, the slice in their middle out; the model's file denoises volumes of any number of slices."""
    data = {"patches": {"size": [slices, 16, 16], "per_batch": 2}}
    config = {"model": model, "data": data, "stop": {"max_steps": 2}}
    train(config, TrainingData([tall_pair(0) if slices == 15 else pair(0)]), output=tmp_path / "run")
    noisy = pair(1).inputs[0].read(0, 5)  # type: ignore[union-attr]
    with torch.no_grad():
        denoised = load_model(tmp_path / "run").eval()(noisy)
    assert denoised.shape == noisy.shape and bool(torch.isfinite(denoised).all())
    short = {**config, "data": {"patches": {"size": [slices - 1, 16, 16], "per_batch": 2}}}
    with pytest.raises(ConfigError, match=rf"expected at least {slices} x 1 x 1, which {model['name']} sees"):
        as_config(short)


def tall_pair(seed: int) -> PairedVolume:
    """Eighteen slices."""
    drawn = torch.Generator().manual_seed(seed)
    clean = 200 * torch.rand(18, 1, 1, generator=drawn).expand(18, 24, 24)
    noisy = clean + 100 * torch.randn(clean.shape, generator=drawn)
    return PairedVolume(f"tall {seed}", f"tall {seed}", (noisy,), clean.contiguous(), "1")


def test_stacks_without_patches() -> None:
    """A stack in memory is trained on as a whole."""
    noisy, clean = pair(0).inputs[0].read(0, 14), pair(0).target.read(0, 14)  # type: ignore[union-attr]
    config = {**CONFIG, "data": None, "stop": {"max_steps": 2}, "validation": {"every": 2}}
    assert len(train(config, TrainingData([Stack(noisy, clean)])).history.column("training_loss")[1]) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"patches": {"size": 32}}}, r"data\.patches\.size: expected three numbers \(z, y, x\)"),
        (
            {"data": {"patches": {"size": [8, 32, 32]}}},
            "expected at least 9 x 17 x 17, which nn-sp sees, got 8 x 32 x 32",
        ),
        ({"model": {"name": "cnn-10"}}, "expected one number or two, the model cnn-10 is for images"),
        ({"task": {"name": "noise2void"}}, "noise2void looks at all voxels, and nn-sp gives fewer"),
    ],
)
def test_configurations_that_do_not_fit(changes: dict[str, Any], words: str) -> None:
    """Before anything is read."""
    with pytest.raises(ConfigError, match=words):
        as_config({**CONFIG, **changes})
