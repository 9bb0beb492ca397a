"""Losses of published networks in configurations: checked before a run starts, recorded after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from sinograd.datasets import PairedVolume
from sinograd.errors import ConfigError, MissingFileError
from sinograd.evaluation import evaluate, find_method, protocol
from sinograd.evaluation.tables import score_cells
from sinograd.losses import JBFNetLoss, Perceptual, VGGFeatures
from sinograd.training import Stack, TrainingData, load_config, train
from sinograd.training.config import as_config, config_hash, save_text

NETWORK: dict[str, Any] = {"name": "cnn-10", "offset": 0.0, "scale": 1.0}


def unit_stack() -> Stack:
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(2, 1, 1, generator=generator).expand(2, 24, 24) * 0.5 + 0.2
    return Stack(clean + 0.05 * torch.randn(clean.shape, generator=generator), clean.contiguous(), "bars")


@pytest.mark.parametrize(
    "loss",
    [
        "sobel",
        "structure-aware",
        "jbfnet",
        {"name": "structure-aware", "strength": "sqrt", "window": [0.1, 0.9]},
        {"name": "perceptual", "weights": "random", "network": "vgg16", "layer": 2},
        {"name": "sum", "terms": [{"loss": "mse"}, {"loss": {"name": "sobel", "of": "components"}, "weight": 0.1}]},
    ],
)
def test_every_loss_trains(loss: Any, tmp_path: Path) -> None:
    config = as_config({"task": {"name": "supervised", "loss": loss}, "model": NETWORK, "stop": {"max_steps": 12}})
    losses = train(config, TrainingData([unit_stack()])).history.column("training_loss")[1]
    assert losses[-1] < losses[0]
    (tmp_path / "config.yaml").write_text(save_text(config))
    assert load_config(tmp_path / "config.yaml").task == config.task


def test_a_loss_for_0_to_1_refuses_hu_before_the_run_starts(tmp_path: Path) -> None:
    stack = unit_stack()
    assert stack.target is not None
    hu = TrainingData([Stack(stack.input * 2000 - 1000, stack.target * 2000 - 1000)])
    config: dict[str, Any] = {
        "task": {"name": "supervised", "loss": "structure-aware"},
        "output": str(tmp_path / "run"),
    }
    for model in (NETWORK, {"name": "cnn-10"}):
        with pytest.raises(ConfigError, match=r"^task.loss.window: expected .* needs values in \[0, 1\]"):
            train({**config, "model": model}, hu)
    config["task"]["loss"] = {"name": "structure-aware", "window": [2000, 3000]}
    with pytest.raises(ConfigError, match=r"^task.loss.window: \[2000, 3000\] clips 100 % of the values"):
        train({**config, "model": NETWORK}, hu)
    assert not (tmp_path / "run").exists()
    config["task"]["loss"] = {"name": "structure-aware", "window": [-1000, 1000]}
    assert train({**config, "model": {"name": "cnn-10"}, "stop": {"max_steps": 2}}, hu).steps == 2


def test_weights_lie_beside_the_configuration(tmp_path: Path) -> None:
    """Their path is relative to the file's folder; the hash of a run knows their name alone."""
    (tmp_path / "a").mkdir()
    torch.save(VGGFeatures("vgg16", 2).state_dict(), tmp_path / "a" / "vgg.pth")
    loss = {"name": "perceptual", "weights": "vgg.pth", "network": "vgg16", "layer": 2}
    file = tmp_path / "a" / "config.yaml"
    file.write_text(yaml.safe_dump({"task": {"name": "supervised", "loss": loss}, "model": NETWORK}))
    with pytest.raises(
        MissingFileError, match=r"task.loss.weights: no file at .*vgg.pth; expected torchvision's weights"
    ):
        as_config({"task": {"name": "supervised", "loss": loss}, "model": NETWORK})
    config = load_config(file)
    assert isinstance(config.task.measure, Perceptual) and config.task.measure.weights == tmp_path / "a" / "vgg.pth"
    (tmp_path / "b").mkdir()
    for name in ("vgg.pth", "config.yaml"):
        (tmp_path / "b" / name).write_bytes((tmp_path / "a" / name).read_bytes())
    assert config_hash(config) == config_hash(load_config(tmp_path / "b" / "config.yaml"))


def test_random_weights_stand_in_the_record_and_in_tables(tmp_path: Path) -> None:
    loss = {"name": "perceptual", "weights": "random", "network": "vgg16", "layer": 2}
    config = {"task": {"name": "supervised", "loss": loss}, "model": NETWORK, "stop": {"max_steps": 1}}
    stack = unit_stack()
    result = train(config, TrainingData([stack]), output=tmp_path / "run")
    assert result.trained_on["notes"] == ["perceptual loss with random vgg16 weights"]
    method = find_method(tmp_path / "run")
    pair = PairedVolume("bars", "bars", (stack.input,), stack.target, "1")
    scores = evaluate([method], [pair], protocol("full-range", data_range=1.0, unit="1"))
    assert score_cells(scores, scores.methods[1])[0] == "run (perceptual loss with random vgg16 weights)"
    with pytest.raises(MissingFileError):
        Perceptual(tmp_path / "nothing.pth")


def test_stages_of_jbfnet() -> None:
    """The prior and the blocks before the last are compared with the middle slice, in units of the scale."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(15, 1, 1, generator=generator).expand(15, 20, 20).contiguous()
    noisy = clean + 0.05 * torch.randn(clean.shape, generator=generator)
    config = {
        "task": {"name": "supervised", "loss": "jbfnet"},
        "model": {"name": "jbfnet", "channels": 3, "offset": -1.0, "scale": 4.0},
        "stop": {"max_steps": 1},
    }
    result = train(config, TrainingData([Stack(noisy, clean)]))
    denoiser: Any = result.config.model.build(result.config.seed)
    output, stages = denoiser.network.with_stages((noisy[None, None] + 1) / 4)
    target = (clean[None, None, 7:8] + 1) / 4
    expected = JBFNetLoss()(output, target, stages=stages)
    assert len(stages) == 4 and stages[0].shape == target.shape
    assert result.history.column("training_loss")[1][0] == pytest.approx(expected.item(), rel=1e-4)
    assert expected.item() > JBFNetLoss()(output, target).item()
