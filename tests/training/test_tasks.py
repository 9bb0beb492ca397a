"""Losses in tasks, and a task with two optimisers. Truth: plain loops, the same run without an interrupt."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor, nn

import sinograd as sg
from sinograd.choices import LOSSES, TASKS
from sinograd.config.schema import to_plain
from sinograd.models import DualDomainBilateral, bilateral_stack
from sinograd.phantoms import ball
from sinograd.training import ConfigError, ScanStack, Stack, TrainingData, load_config, train
from sinograd.training.config import as_config, config_hash, save_text
from sinograd.training.model_config import ModelConfig
from sinograd.training.random_streams import stream
from sinograd.training.tasks import DualDomainTask, Optimize, SupervisedTask, Task
from sinograd.training.tasks.supervised import Supervised

BILATERAL: dict[str, Any] = {
    "model": {"name": "bilateral", "filters": 1, "input_scale": 0.05, "window": 3},
    "stop": {"max_steps": 3, "early_stopping": None},
}


def loss_of_first_step(config: dict[str, Any], data: TrainingData) -> float:
    return train({**config, "stop": {"max_steps": 1}}, data).history.column("training_loss")[1][0]


def test_ssim_of_slices(stacks: TrainingData) -> None:
    """The first step's loss is 1 - scikit-image's mean over the slices of what the filter makes; then it falls."""
    config = {**BILATERAL, "task": {"name": "supervised", "loss": {"name": "ssim", "data_range": 2}}}
    stack = stacks.training[0]
    assert isinstance(stack, Stack) and stack.target is not None
    result = train({**config, "stop": {"max_steps": 30}}, TrainingData([stack]))
    with torch.no_grad():
        filtered = bilateral_stack(1, input_scale=0.05, window=3)(stack.input)
    settings = {"data_range": 0.1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    pairs = zip(filtered.double().numpy(), stack.target.double().numpy(), strict=True)
    means = [structural_similarity(a, b, **settings) for a, b in pairs]
    losses = result.history.column("training_loss")[1]
    assert losses[0] == pytest.approx(1 - sum(means) / len(means), rel=1e-4)
    assert losses[-1] < 0.7 * losses[0]


def test_every_task_takes_a_loss(stacks: TrainingData) -> None:
    """Absolute errors are not squared ones; the default is mse."""
    other = TrainingData([Stack(stacks.training[0].input, others=(stacks.training[1].input,))])  # type: ignore[union-attr]
    geometry = sg.ConeBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=sg.full_scan(8), detector=sg.FlatDetector((8, 12), 1.5)
    )
    grid = sg.Grid((2, 12, 12), 1.0)
    scan = ScanStack(ball(4.0, 0.05).project(geometry), geometry, grid, ball(4.0, 0.05).voxelize(grid))
    dual = {"model": {"name": "dual-domain-bilateral", "projection_filters": 0, "image_filters": 1, "window": 3}}
    for task, config, data in (
        ("supervised", BILATERAL, stacks),
        ("noise2noise", BILATERAL, other),
        ("noise2void", BILATERAL, stacks),
        ("dual-domain", dual, TrainingData([scan])),
    ):
        losses = [
            loss_of_first_step({**config, "task": {"name": task, **loss}}, data)
            for loss in ({}, {"loss": "mse"}, {"loss": "mae"}, {"loss": {"name": "mae"}})
        ]
        assert losses[0] == losses[1] != losses[2] == losses[3]
        assert losses[2] ** 2 < losses[1]  # the mean of squares is above the square of the mean


def test_dual_domain_in_plain_words() -> None:
    geometry = sg.ParallelBeam(torch.arange(6, dtype=torch.float64) * math.pi / 6, sg.FlatDetector((4, 12), 1.0))
    grid = sg.Grid((4, 10, 10), 1.0)
    stack = ScanStack(torch.rand(6, 4, 12), geometry, grid, torch.rand(4, 10, 10))
    model = DualDomainBilateral([], bilateral_stack(1, window=3))
    loss = DualDomainTask(model, 0.5, recompute=False, loss="mae").loss(stack, torch.Generator())
    expected = (model(stack.projections, geometry, grid) - stack.target).abs().mean() / 0.5
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_losses_in_files(tmp_path: Path) -> None:
    """A name for a loss without options, a mapping with all of them for one with some."""
    usual = {"name": "ssim", "data_range": 1.0, "weights": "gaussian", "width": 7, "sigma": 1.5}
    for loss, written in (
        ("mae", "mae"),
        ({"name": "mae"}, "mae"),
        ("ssim", usual),
        (
            {"name": "ssim", "width": 9},
            {"name": "ssim", "data_range": 1.0, "weights": "gaussian", "width": 9, "sigma": 1.5},
        ),
    ):
        config = as_config({"task": {"name": "supervised", "loss": loss}})
        assert to_plain(config.task)["loss"] == written
        (tmp_path / "config.yaml").write_text(save_text(config))
        assert load_config(tmp_path / "config.yaml") == config


def test_hashes_of_configurations_without_a_new_key_stay() -> None:
    """Values of 0.1.0, whose noise2void and dual-domain had no loss."""
    hashes = {
        "noise2void": "022daa292f2f63219bbeb0b2d0dc502af6b8fc063068213718e346675249e42b",
        "dual-domain": "f5fb0712efe431544fcbb9cd5124b49340db5e6c02c3cc6630b3a813edbe9a50",
        "supervised": "747b5ad657d58855136eb40530c6d97d917094af7db355bde1a5b8f76527fd93",
    }
    for task, expected in hashes.items():
        model = {"name": "dual-domain-bilateral" if task == "dual-domain" else "bilateral"}
        assert config_hash(as_config({"task": {"name": task}, "model": model})) == expected
    changed = as_config({"task": {"name": "noise2void", "loss": "mae"}, "model": {"name": "bilateral"}})
    assert config_hash(changed) != hashes["noise2void"]


BAD: dict[str, tuple[str, Any]] = {
    "task.loss.width: expected an odd number of at least 3, got 4": ("supervised", {"name": "ssim", "width": 4}),
    "task.loss.widht: unknown key (did you mean width?)": ("supervised", {"name": "ssim", "widht": 7}),
    f"task.loss.name: expected {', '.join(list(LOSSES)[:-1])} or nn-bmd, got 'l1'": (
        "supervised",
        {"name": "l1"},
    ),
    f"task.loss: expected {', '.join(list(LOSSES)[:-1])} or nn-bmd, or a mapping with such a name, got 1": (
        "noise2void",
        1,
    ),
    "task.loss: noise2void compares single voxels, expected mse, mae or another pointwise loss, got ssim": (
        "noise2void",
        "ssim",
    ),
}


@pytest.mark.parametrize("words", BAD)
def test_losses_that_do_not_fit(words: str) -> None:
    with pytest.raises(ConfigError, match="^" + re.escape(words)):
        task, loss = BAD[words]
        as_config({"task": {"name": task, "loss": loss}})


def test_images_too_small_for_ssim(tmp_path: Path) -> None:
    """Before anything is written."""
    config = {**BILATERAL, "task": {"name": "supervised", "loss": "ssim"}}
    data = TrainingData([Stack(torch.rand(3, 8, 20), torch.rand(3, 8, 20), "thin")])
    with pytest.raises(ValueError, match=r"thin: expected images of at least 11 pixels along each axis for ssim"):
        train(config, data, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@dataclass(frozen=True)
class Adversarial(Supervised):
    """A denoiser and a critic that tells denoised from clean images, each with an optimiser of its own."""

    name: Literal["adversarial"] = "adversarial"  # type: ignore[assignment]
    weight: float = 0.1
    needs_target: ClassVar[bool] = True

    def learning_rates(self) -> dict[str, float]:
        return {"critic": 1e-3}

    def build(self, model: nn.Module, settings: ModelConfig, seed: int) -> Task:
        return AdversarialTask(model, settings.loss_scale, self.weight, stream(seed, "critic", 0))


def critic(generator: torch.Generator) -> nn.Sequential:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.2, generator=generator)
    return network


class AdversarialTask(SupervisedTask):
    """Least-squares adversarial training, as short as it can be."""

    manual = True

    def __init__(self, model: nn.Module, scale: float, weight: float, generator: torch.Generator) -> None:
        super().__init__(model, scale)
        self.weight = weight
        self.extra["critic"] = critic(generator)

    def optimizers(self, make: Any, groups: Any, rates: Mapping[str, float]) -> Sequence[torch.optim.Optimizer]:
        parameters = list(self.extra["critic"].parameters())
        return [make(groups), make([{"params": parameters, "lr": rates["critic"]}])]

    def step(
        self,
        stack: Any,
        generator: torch.Generator,
        optimizers: Sequence[torch.optim.Optimizer],
        optimize: Optimize,
    ) -> Tensor:
        judge, clean = self.extra["critic"], stack.target[:, None] / self.scale
        denoised = self.prediction(stack)
        fake = denoised[:, None] / self.scale
        loss = self.difference(denoised, stack.target) + self.weight * (judge(fake) - 1).square().mean()
        optimize(loss, optimizers[0])
        optimize((judge(clean) - 1).square().mean() + judge(fake.detach()).square().mean(), optimizers[1])
        return loss


@pytest.fixture
def adversarial() -> Iterator[dict[str, Any]]:
    TASKS.add("adversarial", Adversarial)
    yield {
        "task": {"name": "adversarial", "weight": 0.2},
        "model": {"name": "noise2noise-unet", "features": 2, "offset": 0.0, "scale": 0.05},
        "optimizer": {"learning_rates": {"critic": 2e-3}, "schedule": {"name": "plateau", "patience": 1}},
        "stop": {"max_steps": 6, "early_stopping": None, "keep": "last"},
        "validation": {"every": 2},
        "checkpoints": {"every": 2},
        "seed": 4,
    }
    TASKS.remove("adversarial")


def test_a_task_with_two_optimisers(adversarial: dict[str, Any], stacks: TrainingData) -> None:
    """A plain loop that makes two steps of Adam."""
    data = TrainingData(stacks.training[:1])
    config = {**adversarial, "optimizer": {"learning_rates": {"critic": 2e-3}}}
    result = train(config, data)
    assert result.config.optimizer.learning_rates == {"network": 1e-3, "critic": 2e-3}
    stack = data.training[0]
    assert isinstance(stack, Stack) and stack.target is not None
    model, judge = result.config.model.build(4), critic(stream(4, "critic", 0))
    both = [torch.optim.Adam(model.parameters(), lr=1e-3), torch.optim.Adam(judge.parameters(), lr=2e-3)]
    clean, losses = stack.target[:, None] / 0.05, []
    for _ in range(6):
        denoised = model(stack.input)
        fake = denoised[:, None] / 0.05
        loss = (denoised - stack.target).square().mean() / 0.05**2 + 0.2 * (judge(fake) - 1).square().mean()
        both[0].zero_grad()
        loss.backward()
        both[0].step()
        other = (judge(clean) - 1).square().mean() + judge(fake.detach()).square().mean()
        both[1].zero_grad()
        other.backward()
        both[1].step()
        losses.append(loss.item())
    assert result.history.column("training_loss")[1] == pytest.approx(losses, rel=1e-4)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(result.model.state_dict()[key], value, rtol=1e-3, atol=1e-5)


def test_a_task_with_two_optimisers_is_resumed(
    adversarial: dict[str, Any], stacks: TrainingData, tmp_path: Path
) -> None:
    """Bit for bit: the critic and its optimiser are in the checkpoint; the schedule lowers both rates."""

    def stop(step: int, total: int, loss: float) -> None:
        if step == 5:
            raise OSError("the machine went away")

    straight = train(adversarial, stacks, output=tmp_path / "one")
    with pytest.raises(OSError, match="went away"):
        train(adversarial, stacks, output=tmp_path / "two", progress=stop)
    resumed = train(adversarial, stacks, output=tmp_path / "two", resume=True)
    for key, value in straight.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[key], value)
    assert (tmp_path / "one" / "metrics.csv").read_bytes() == (tmp_path / "two" / "metrics.csv").read_bytes()
    ends = [torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True) for name in ("one", "two")]
    names = [key for key in ends[0]["state_dict"] if key.startswith("extra.critic")]
    assert len(names) == 4
    assert all(torch.equal(ends[0]["state_dict"][key], ends[1]["state_dict"][key]) for key in names)
    assert len(ends[0]["optimizer_states"]) == 2


def test_the_default_loss_is_one_of_the_registry() -> None:
    assert Supervised().loss in LOSSES
