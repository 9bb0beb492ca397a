"""WGAN-VGG and DU-GAN. Truth: plain loops with PyTorch's own optimisers, the same run without an interrupt."""

from __future__ import annotations

import copy
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

import sinograd
from sinograd.datasets import PairedVolume
from sinograd.errors import ConfigError, InputError
from sinograd.geometry import Grid
from sinograd.io import write_volume
from sinograd.losses import Perceptual, Wasserstein
from sinograd.models import load_model
from sinograd.networks.unet_discriminator import UNetDiscriminator, sobel_magnitude
from sinograd.networks.wgan_vgg import WGANVGGCritic
from sinograd.training import Stack, TrainingData, read_history, train
from sinograd.training.config import as_config, config_hash
from sinograd.training.random_streams import stream
from sinograd.training.tasks.dugan import cutmix_mask

SIZE = 29
LOSS = {"name": "perceptual", "weights": "random", "network": "vgg16", "layer": 2}
WGAN: dict[str, Any] = {
    "task": {"name": "wgan-vgg", "loss": LOSS, "loss_weight": 0.3, "critic_steps": 2, "patch": SIZE},
    "model": {"name": "wgan-vgg", "channels": 4, "offset": 0.2, "scale": 0.3},
    "optimizer": {"name": "adam", "learning_rates": {"network": 1e-3, "critic": 2e-4}, "betas": [0.5, 0.9]},
    "stop": {"max_steps": 3, "keep": "last"},
    "seed": 4,
}
DUGAN: dict[str, Any] = {
    "task": {"name": "dugan", "channels": 2, "levels": 2, "cutmix_warm_up": 1, "average": 0.9, "image_steps": 2},
    "model": {"name": "dugan", "channels": 3, "layers": 2, "offset": 0.0, "scale": 1.0},
    "optimizer": {"learning_rates": {"network": 1e-3, "discriminator": 1e-3}},
    "stop": {"max_steps": 4, "keep": "last"},
    "seed": 4,
}
BOTH = pytest.mark.parametrize("config", [WGAN, DUGAN], ids=["wgan-vgg", "dugan"])


def stack(seed: int = 0, size: int = SIZE) -> Stack:
    generator = torch.Generator().manual_seed(seed)
    clean = torch.rand(2, size, 1, generator=generator).expand(2, size, size).contiguous()
    return Stack(clean + 0.1 * torch.randn(clean.shape, generator=generator), clean, f"bars {seed}")


def equal(one: nn.Module, other: nn.Module) -> None:
    for key, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, rtol=1e-3, atol=1e-5)


def test_wgan_vgg_is_its_algorithm() -> None:
    """Critic steps of Adam on D(fake) - D(real) + 10 (|grad| - 1)^2, then one of the generator."""
    result = train(WGAN, TrainingData([stack()]))
    model = result.config.model.build(4)
    critic = WGANVGGCritic(SIZE, generator=stream(4, "critic", 0))
    item = stack()
    assert item.target is not None
    perceptual = Perceptual("random", "vgg16", 2)
    players = [
        torch.optim.Adam(module.parameters(), lr=rate, betas=(0.5, 0.9))
        for module, rate in ((model, 1e-3), (critic, 2e-4))
    ]
    real, columns = (item.target[:, None] - 0.2) / 0.3, dict[str, list[float]](g=[], d=[], p=[])
    for step in range(3):
        drawn = stream(4, "training", step)
        for _ in range(2):
            fake = (model(item.input)[:, None].detach() - 0.2) / 0.3
            share = torch.rand(2, 1, 1, 1, generator=drawn)
            between = (share * real + (1 - share) * fake).requires_grad_()
            (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            penalty = 10 * (slope.square().sum((1, 2, 3)).sqrt() - 1).square().mean()
            loss = critic(fake).mean() - critic(real).mean() + penalty
            players[1].zero_grad()
            loss.backward()
            players[1].step()
        denoised = model(item.input)
        total = 0.3 * perceptual(denoised, item.target, scale=0.3) - critic((denoised[:, None] - 0.2) / 0.3).mean()
        players[0].zero_grad()
        total.backward()
        players[0].step()
        for name, value in (("g", total), ("d", loss), ("p", penalty)):
            columns[name].append(value.item())
    history = result.history
    assert history.column("training_loss")[1] == pytest.approx(columns["g"], rel=1e-3)
    assert history.column("critic_loss")[1] == pytest.approx(columns["d"], rel=1e-3)
    assert history.column("critic_penalty")[1] == pytest.approx(columns["p"], rel=1e-3)
    equal(model, result.model)


def ls(score: Tensor, label: Any) -> Tensor:
    return (score - label).square().mean()


def test_dugan_is_its_algorithm() -> None:
    """Both discriminators with CutMix, the generator's four terms, and the moving average that is kept."""
    task = {**DUGAN["task"], "cutmix_probability": 1.0}
    item = stack()
    result = train({**DUGAN, "task": task}, TrainingData([item]))
    model = result.config.model.build(4)
    average = copy.deepcopy(model)
    judges = [UNetDiscriminator(2, 2, generator=stream(4, "discriminator", i)) for i in range(2)]
    players = [torch.optim.Adam(module.parameters(), lr=1e-3) for module in (model, *judges)]
    assert item.target is not None
    noisy, real, losses = item.input[:, None], item.target[:, None], []
    for step in range(4):
        drawn = stream(4, "training", step)
        torch.rand((), generator=drawn)
        fake = model(item.input)[:, None]
        triples = [(noisy, real, fake), tuple(sobel_magnitude(x) for x in (noisy, real, fake))]
        for judge, player, (x, y, z), times in zip(judges, players[1:], triples, (2, 1), strict=True):
            for _ in range(times):
                verdicts = [judge(y), judge(z.detach()), judge(x)]
                loss = sum(ls(v, label) for pair, label in zip(verdicts, (1, 0, 0), strict=True) for v in pair)
                mask = cutmix_mask(SIZE, SIZE, drawn)
                whole, pixels = judge(torch.where(mask > 0, y, z.detach()))
                agreed = torch.where(mask > 0, verdicts[0][1], verdicts[1][1])
                loss = loss + ls(whole, 0) + ls(pixels, mask) + 5.09 * ls(pixels, agreed)
                player.zero_grad()
                loss.backward()
                player.step()
        total = 5.03 * ls(fake, real) + 35.3 * (triples[1][2] - triples[1][1]).abs().mean()
        for judge, seen, weight in zip(judges, (fake, triples[1][2]), (0.142, 0.120), strict=True):
            total = total + weight * sum(ls(verdict, 1) for verdict in judge(seen))
        players[0].zero_grad()
        total.backward()
        players[0].step()
        losses.append(total.item())
        with torch.no_grad():
            for slow, weight in zip(average.parameters(), model.parameters(), strict=True):
                slow.mul_(0.9).add_(0.1 * weight)
    assert result.history.column("training_loss")[1] == pytest.approx(losses, rel=1e-3)
    equal(average, result.model)


def test_boxes_of_cutmix() -> None:
    """The share of ones is about uniform, but for boxes cut off at the edges; one box each."""
    generator = torch.Generator().manual_seed(0)
    masks = torch.stack([cutmix_mask(32, 48, generator) for _ in range(400)])
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    inside = 1 - masks
    boxes = inside.amax(2).sum(1) * inside.amax(1).sum(1)
    assert torch.equal(boxes, inside.sum((1, 2)))
    shares = masks.mean((1, 2))
    assert 0.55 < shares.mean() < 0.8 and shares.min() < 0.1 and shares.max() > 0.97


@BOTH
def test_a_resumed_run_has_the_same_bits(config: dict[str, Any], tmp_path: Path) -> None:
    data = TrainingData([stack()], [stack(1)])
    config = {**config, "validation": {"every": 1}, "checkpoints": {"every": 1}, "stop": {"max_steps": 3}}

    def stop(step: int, total: int, loss: float) -> None:
        if step == 2:
            raise OSError("the machine went away")

    straight = train(config, data, output=tmp_path / "one")
    with pytest.raises(OSError, match="went away"):
        train(config, data, output=tmp_path / "two", progress=stop)
    resumed = train(config, data, output=tmp_path / "two", resume=True)
    for key, value in straight.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[key], value)
    assert (tmp_path / "one" / "metrics.csv").read_bytes() == (tmp_path / "two" / "metrics.csv").read_bytes()
    ends = [torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True) for name in ("one", "two")]
    assert all(torch.equal(value, ends[1]["state_dict"][key]) for key, value in ends[0]["state_dict"].items())


def test_the_average_is_validated_and_kept() -> None:
    """The best step's weights are the average's, and the validation loss is theirs."""
    data = TrainingData([stack()], [stack(1)])
    result = train({**DUGAN, "validation": {"every": 1}, "stop": {"max_steps": 4, "keep": "best"}}, data)
    steps, losses = result.history.column("validation_loss")
    item = data.validation[0]
    assert isinstance(item, Stack) and item.target is not None
    with torch.no_grad():
        error = (result.model(item.input) - item.target).square().mean().item()
    assert error == pytest.approx(min(losses), rel=1e-5) and result.kept_step == steps[losses.index(min(losses))]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="torchrun's gloo backend is tried on Linux")
@BOTH
def test_two_processes_average_their_gradients(config: dict[str, Any], tmp_path: Path) -> None:
    """Both with the same stack do what one does: the draws of points and boxes are off."""
    item = stack(0, 32 if config is DUGAN else SIZE)
    assert item.target is not None
    grid = Grid(tuple(item.input.shape), 1.0)
    for name, values in (("noisy", item.input), ("clean", item.target)):
        for number in range(2):
            write_volume(values, tmp_path / f"{name}{number}.npy", grid)
    off = {"cutmix_probability": 0.0} if config is DUGAN else {"adversarial": {"name": "wasserstein", "penalty": 0.0}}
    config = {**config, "task": {**config["task"], **off}}
    files = [{"input": f"noisy{i}.npy", "target": f"clean{i}.npy"} for i in range(2)]
    written = {**config, "output": "run", "devices": 2, "data": {"training": files}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(written))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(sinograd.__file__).parents[1])}
    command = [*launcher, "-m", "sinograd.cli", "train", str(tmp_path / "config.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=240)
    assert done.returncode == 0, done.stderr
    alone = train(config, TrainingData([item]))
    together = read_history(tmp_path / "run" / "metrics.csv")
    assert together.column("training_loss")[1] == pytest.approx(alone.history.column("training_loss")[1], rel=1e-3)
    equal(alone.model, load_model(tmp_path / "run"))


def test_patches_of_another_size_than_the_critic_takes(tmp_path: Path) -> None:
    patches = {"pairs": {"layout": "phantoms"}, "patches": {"size": 48}}
    with pytest.raises(
        ConfigError, match=r"^data.patches.size: expected 29 x 29, which the critic takes \(task.patch\), got 48 x 48"
    ):
        as_config({**WGAN, "data": patches})
    with pytest.raises(
        ConfigError, match=r"^bars 0: expected 29 x 29, which the critic takes \(task.patch\), got 40 x 4"
    ):
        train(WGAN, TrainingData([stack(0, 40)]), output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    small = {**DUGAN, "task": {"name": "dugan"}, "data": {**patches, "patches": {"size": 32}}}
    with pytest.raises(ConfigError, match=r"expected at least 33 x 33, as the discriminators halve them 6 times"):
        as_config(small)
    with pytest.raises(InputError, match=r"expected patches \[B, 1, 29, 29\], got \[2, 1, 40, 40\]"):
        WGANVGGCritic(SIZE)(torch.zeros(2, 1, 40, 40))


def test_wrong_options() -> None:
    task = WGAN["task"]
    for words, wrong in (
        ("task.loss: missing, expected ", {"name": "wgan-vgg"}),
        ("task.adversarial: expected wasserstein or least-squares", {**task, "adversarial": "hinge"}),
        (
            "task.adversarial.penalty: expected a number that is not",
            {**task, "adversarial": {"name": "wasserstein", "penalty": -1}},
        ),
        ("task.loss.weights: missing, expected random or the path", {**task, "loss": "perceptual"}),
        ("task.patch: expected a whole number of at least 29, got 8", {**task, "patch": 8}),
    ):
        with pytest.raises(ConfigError, match=f"^{words}"):
            as_config({**WGAN, "task": wrong})
    with pytest.raises(ConfigError, match=r"optimizer\.betas"):
        as_config({**WGAN, "optimizer": {"name": "adam", "betas": [0.5, 1.0]}})
    usual = as_config({"model": {"name": "cnn-10"}})
    assert config_hash(usual) == config_hash(
        as_config({"model": {"name": "cnn-10"}, "optimizer": {"betas": [0.9, 0.999], "name": "adam"}})
    )
    with pytest.raises(InputError, match="needs a target"):
        train(WGAN, TrainingData([Stack(torch.zeros(2, SIZE, SIZE))]))


@pytest.mark.parametrize("column", ["training loss", "critic loss"])
def test_nan_ends_training_and_the_last_good_checkpoint_stays(
    column: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Wasserstein.critic if column == "critic loss" else Wasserstein.generator
    calls = [0]

    def broken(self: Wasserstein, *scores: Tensor) -> Tensor:
        calls[0] += 1
        return usual(self, *scores) * (math.nan if calls[0] > (4 if column == "critic loss" else 2) else 1.0)  # type: ignore[arg-type]

    monkeypatch.setattr(Wasserstein, "critic" if column == "critic loss" else "generator", broken)
    config = {**WGAN, "checkpoints": {"every": 1}, "output": str(tmp_path / "run")}
    with pytest.raises(InputError, match=rf"^the {column} is nan in step 3: .*; the state after step 2 is kept"):
        train(config, TrainingData([stack()]))
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(bool(torch.isfinite(value).all()) for value in state["state_dict"].values())
    assert len(read_history(tmp_path / "run" / "metrics.csv")) == 2


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of the step is finite, its gradient is not."""
    usual = torch.optim.Adam.step
    calls = [0]

    def step(self: torch.optim.Adam, closure: Any = None) -> Any:
        loss = usual(self, closure)
        calls[0] += 1
        if calls[0] == 3:
            with torch.no_grad():
                self.param_groups[0]["params"][0][0] = math.inf
        return loss

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    config: dict[str, Any] = {"model": {"name": "cnn-10", "offset": 0.0, "scale": 1.0}, "checkpoints": {"every": 1}}
    config["stop"] = {"max_steps": 5}
    with pytest.raises(
        InputError, match=r"the weights \(model.network.*\) are not finite after step 3: .*after step 2 is kept"
    ):
        train({**config, "output": str(tmp_path / "run")}, TrainingData([stack()]))
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(bool(torch.isfinite(value).all()) for value in state["state_dict"].values())


def test_a_configuration_with_patches_of_chosen_patients(tmp_path: Path) -> None:
    """From files to a trained model, validated on other patients than those of the training."""
    pairs = {
        "layout": "phantoms",
        "phantom": "shepp-logan",
        "count": 1,
        "shape": [2, 40, 40],
        "scan": {"views": 24, "photons": 1e4},
    }
    config = {
        **WGAN,
        "output": str(tmp_path / "run"),
        "data": {
            "pairs": {**pairs, "phantom": "abdomen"},
            "validation_pairs": {**pairs, "phantom": "abdomen", "first_seed": 100},
            "patches": {"size": SIZE, "per_batch": 2},
        },
        "validation": {"every": 2, "slices": 1},
    }
    result = train(config)
    assert result.history.column("validation_loss")[0] == [2]
    assert (tmp_path / "run" / "model.pt").is_file()
    same = {**config, "data": {**config["data"], "validation_pairs": {**pairs, "phantom": "abdomen"}}, "output": None}
    with pytest.raises(InputError, match=r"validation: .* is of the patient .*, who is trained on, too"):
        train(same)


def test_no_volume_of_a_trained_patient_validates() -> None:
    item = stack()
    pair = PairedVolume("scan", "L067", (item.input,), item.target, "HU")
    other = PairedVolume("later scan", "L067", (item.input,), item.target, "HU")
    config = {"model": {"name": "cnn-10"}, "data": {"patches": {"size": 16}}}
    with pytest.raises(
        InputError, match=r"data\.validation: later scan is of the patient L067, who is trained on, too"
    ):
        train(config, TrainingData([pair], [other]))
