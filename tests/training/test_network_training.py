"""Networks in training runs. Truth: plain loops with torch's Adam, its schedule, the same run uninterrupted."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prose import blocks
from sinograd.choices import LOSSES, MODELS, NETWORKS
from sinograd.datasets import PairedVolume
from sinograd.models import NetworkDenoiser, load_model, read_model
from sinograd.networks import CNN10
from sinograd.training import ConfigError, Stack, TrainingData, load_config, train
from sinograd.training.batches import build_batches
from sinograd.training.build import build_model, resolve
from sinograd.training.config import Plateau, as_config
from sinograd.training.plateau import PlateauSchedule
from sinograd.training.random_streams import stack_of_step
from sinograd.training.tasks import Noise2NoiseTask, SupervisedTask
from sinograd.training.tasks.noise2noise import ordered_pairs
from sinograd.training.validation import validation_loss

TINY = {"name": "noise2noise-unet", "features": 2}
NETWORK: dict[str, Any] = {
    "model": TINY,
    "data": {"patches": {"size": 12, "per_batch": 3}},
    "optimizer": {"schedule": {"name": "plateau", "patience": 1, "factor": 0.5}},
    "stop": {"max_steps": 7},
    "validation": {"every": 2, "slices": 2},
    "checkpoints": {"every": 3},
}


def realisations(count: int, seed: int = 0, slices: int = 3) -> tuple[list[Tensor], Tensor]:
    """Noisy volumes [Z, 16, 18] in HU and what they are of."""
    generator = torch.Generator().manual_seed(seed)
    clean = torch.where(torch.rand(slices, 16, 18, generator=generator) > 0.5, 60.0, -100.0)
    return [clean + 30 * torch.randn(clean.shape, generator=generator) for _ in range(count)], clean


def pair(seed: int, count: int = 1, *, target: bool = True, unit: Any = "HU") -> PairedVolume:
    noisy, clean = realisations(count, seed)
    inputs = tuple(volume for volume in noisy)
    return PairedVolume(f"p{seed}", f"p{seed}", inputs, clean if target else None, unit)


def paired(count: int = 1, *, target: bool = True) -> TrainingData:
    return TrainingData([pair(s, count, target=target) for s in (0, 1)], [pair(2, count)])


def test_it_does_what_a_plain_loop_does() -> None:
    """Mean absolute error of whole slices, normalised by mean and deviation of the input; the seed gives the start."""
    (noisy,), clean = realisations(1)
    config = {"model": {"name": "cnn-10"}, "task": {"name": "supervised", "loss": "mae"}, "stop": {"max_steps": 3}}
    config |= {"optimizer": {"learning_rates": {"network": 1e-3}}, "seed": 5}
    result = train(config, TrainingData([Stack(noisy, clean)]))
    model = result.model
    assert isinstance(model, NetworkDenoiser) and isinstance(model.network, CNN10)
    assert model.offset == pytest.approx(float(noisy.mean()), rel=5e-3, abs=0.05)
    assert model.scale == pytest.approx(float(noisy.std()), rel=5e-3)
    start = build_model(result.config)
    optimizer = torch.optim.Adam(start.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = (start(noisy) - clean).abs().mean() / model.scale
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert result.history.column("training_loss")[1] == pytest.approx(losses, rel=1e-5)
    for key, value in start.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value, rtol=1e-4, atol=1e-6)
    other = build_model(dataclasses.replace(result.config, seed=6))
    assert not torch.equal(next(other.parameters()), next(build_model(result.config).parameters()))


def test_a_resumed_run_of_patches_is_the_same(tmp_path: Path) -> None:
    """Bit for bit: random patches, validation of paired volumes, falling learning rates, the model's file."""

    def stop(step: int, total: int, loss: float) -> None:
        if step == 5:
            raise OSError("the machine went away")

    straight = train(NETWORK, paired(), output=tmp_path / "one")
    with pytest.raises(OSError, match="went away"):
        train(NETWORK, paired(), output=tmp_path / "two", progress=stop)
    resumed = train(NETWORK, paired(), output=tmp_path / "two", resume=True)
    for key, value in straight.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[key], value)
        assert torch.equal(load_model(tmp_path / "two").state_dict()[key], value)
    assert (tmp_path / "one" / "metrics.csv").read_bytes() == (tmp_path / "two" / "metrics.csv").read_bytes()
    assert straight.history.column("validation_loss")[0] == [2, 4, 6]
    saved = read_model(tmp_path / "one")
    assert (saved.model.name, saved.trained_on["unit"]) == ("noise2noise-unet", "HU")
    assert saved.trained_on["volumes"]["slices"] == 6 and "p0" not in str(saved.trained_on)
    assert not (tmp_path / "one" / "model.yaml").exists()


def test_noise2noise_takes_every_ordered_pair_once_a_round() -> None:
    noisy, clean = realisations(3)
    data = TrainingData([Stack(noisy[0], clean, others=tuple(noisy[1:])), Stack(noisy[0], others=(noisy[2],))])
    config = as_config({"task": {"name": "noise2noise"}, "model": TINY})
    data.check(config)
    batches = build_batches(config, data)
    assert batches.round == 3 * 2 + 2 * 1
    numbers = {id(volume): i for i, volume in enumerate(noisy)}
    for start in (0, 8):
        used = [batches.of_step(step) for step in range(start, start + 8)]
        drawn = sorted((numbers[id(s.input)], numbers[id(s.target)]) for s in used)  # type: ignore[union-attr]
        assert drawn == sorted([(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (0, 2), (2, 0)])
    assert len(ordered_pairs(Stack(noisy[0], others=tuple(noisy[1:] * 2)))) == 5 * 4


@pytest.mark.parametrize("task", ["noise2noise", "noise2void"])
def test_tasks_that_see_no_target(task: str) -> None:
    """Targets of the training volumes are not looked at: other ones give the same run."""
    config = {**NETWORK, "task": {"name": task}, "model": {**TINY, "offset": 0, "scale": 100}}
    results = [train(config, paired(3, target=target)) for target in (True, False)]
    one, other = (result.history.column("training_loss")[1] for result in results)
    assert one == other and len(set(one)) == 7


def test_noise2noise_with_mse_learns_what_clean_targets_teach() -> None:
    """The best constant against noisy targets is the mean, the clean value, up to the noise of the mean."""
    generator = torch.Generator().manual_seed(0)
    values = [5 + torch.randn(200, 200, generator=generator) for _ in range(2)]
    task = Noise2NoiseTask(torch.nn.Identity(), 2.0)
    losses = [float(task.difference(torch.full((200, 200), c), values[1])) for c in (4.9, 5.0, 5.1)]
    assert losses[1] == min(losses) == pytest.approx(1 / 4, rel=0.05)
    stack = Stack(values[0], None, others=(values[1],))
    assert float(task.validation_loss(stack, generator)) == pytest.approx(2 / 4, rel=0.05)


def test_the_schedule_is_torchs() -> None:
    """Reduced after `patience` validations without a new lowest loss, then counted anew."""
    losses = (torch.rand(60, generator=torch.Generator().manual_seed(1)) + torch.linspace(1, 0, 60)).tolist()
    for patience in (1, 2, 3):
        optimizers = [torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0) for _ in range(2)]
        theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizers[0], factor=0.5, patience=patience - 1, threshold=0.0, eps=0.0
        )
        ours = PlateauSchedule(Plateau(patience=patience))
        for loss in losses:
            theirs.step(loss)
            again = PlateauSchedule(ours.rule)
            again.load(ours.state())
            ours = again
            ours.after_validation(loss, optimizers[1:])
            assert optimizers[0].param_groups[0]["lr"] == optimizers[1].param_groups[0]["lr"]
        assert optimizers[1].param_groups[0]["lr"] < 0.5


def test_learning_rates_are_in_the_history() -> None:
    """A rate of zero change: with nothing learnt every validation but the first is one without progress."""
    config = {**NETWORK, "optimizer": {**NETWORK["optimizer"], "learning_rates": {"network": 1e-12}}}
    rates = train(config, paired()).history.column("learning_rate")[1]
    assert rates == pytest.approx([1e-12] * 4 + [5e-13] * 2 + [2.5e-13])


def test_half_precision() -> None:
    """bfloat16 inside the network: float32 weights, losses within its 3 digits."""
    config = {**NETWORK, "stop": {"max_steps": 2}}
    exact, half = (train({**config, "precision": kind}, paired()) for kind in ("float32", "bfloat16"))
    assert all(p.dtype == torch.float32 for p in half.model.parameters())
    one, other = (result.history.column("training_loss")[1] for result in (exact, half))
    assert one != other and one == pytest.approx(other, rel=0.03)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision_on_a_gpu(kind: str, device: torch.device, tmp_path: Path) -> None:
    if device.type != "cuda":
        pytest.skip("needs a GPU: pytest --device cuda")
    config = {**NETWORK, "device": str(device)}
    exact = train(config, paired())
    half = train({**config, "precision": kind}, paired(), output=tmp_path / "run")
    assert all(p.dtype == torch.float32 for p in half.model.parameters())
    one, other = (result.history.column("training_loss")[1] for result in (exact, half))
    assert one != other and one == pytest.approx(other, rel=0.05)
    train({**config, "precision": kind, "stop": {"max_steps": 9}}, paired(), output=tmp_path / "run", resume=True)


def test_validation_of_some_slices() -> None:
    """Evenly spaced ones; of all slices the mean over all."""
    noisy, clean = realisations(1, slices=11)
    volume = PairedVolume("p", "p", (noisy[0],), clean, "HU")
    task = SupervisedTask(torch.nn.Identity(), 10.0)
    generator = torch.Generator()
    every = (noisy[0] - clean).square().mean((1, 2)) / 100
    assert validation_loss(task, volume, generator) == pytest.approx(float(every.mean()), rel=1e-5)
    found = validation_loss(task, volume, generator, slices=3)
    assert found == pytest.approx(float(every[[1, 5, 9]].mean()), rel=1e-5)


def test_patches_of_stacks_in_memory() -> None:
    (noisy,), clean = realisations(1)
    config = as_config({**NETWORK, "optimizer": {}, "validation": {"every": 5}})
    data = TrainingData([Stack(noisy, clean), Stack(noisy[0], clean[0])])
    stack = build_batches(config, data).of_step(0)
    assert isinstance(stack, Stack) and stack.input.shape == (3, 1, 12, 12)
    assert resolve(config, data).model.scale == pytest.approx(float(noisy.std()), rel=0.1)  # type: ignore[union-attr]


BAD_DATA: dict[str, tuple[dict[str, Any], list[Any], list[Any]]] = {
    "p0: the task supervised needs a target": ({}, [pair(0, target=False)], []),
    "p0: noise2noise needs at least two realisations of the noise, got 1": (
        {"task": {"name": "noise2noise"}},
        [pair(0)],
        [],
    ),
    "stack: noise2noise needs at least two realisations of the noise, got 1": (
        {"task": {"name": "noise2noise"}},
        [Stack(torch.rand(2, 20, 20), torch.rand(2, 20, 20))],
        [],
    ),
    "data: expected volumes in one unit, got 1/mm and HU": ({}, [pair(0)], [pair(1, unit="1/mm")]),
    "data.patches: missing, paired volumes are trained on in patches": ({"data": None}, [pair(0)], []),
    "optimizer.schedule: plateau looks at the validation loss, and data.validation is empty": (
        {"optimizer": NETWORK["optimizer"]},
        [pair(0)],
        [],
    ),
    "others[0] [2, 4, 5] does not match input [2, 4, 4]": (
        {"data": None},
        [Stack(torch.rand(2, 4, 4), torch.rand(2, 4, 4), others=(torch.rand(2, 4, 5),))],
        [],
    ),
    "all values are 3, so that there is no scale for model.scale: auto": (
        {"data": None},
        [Stack(torch.full((2, 8, 8), 3.0), torch.zeros(2, 8, 8))],
        [],
    ),
    "slice": ({"data": {"patches": {"size": 40}}}, [pair(0)], []),
    "stack: expected float32 for the network noise2noise-unet, got float64": (
        {"data": None},
        [Stack(torch.rand(2, 8, 8).double(), torch.rand(2, 8, 8))],
        [],
    ),
}


@pytest.mark.parametrize("words", BAD_DATA)
def test_data_that_do_not_fit(words: str, tmp_path: Path) -> None:
    """Before anything is written."""
    changed, training, validation = BAD_DATA[words]
    config = {**NETWORK, "optimizer": {}, **changed}
    with pytest.raises((ValueError, TypeError), match=re.escape(words)):
        train(config, TrainingData(training, validation), output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


PHANTOMS = {"layout": "phantoms"}
NAMES = (*MODELS, *NETWORKS)
BAD_CONFIGS: dict[str, dict[str, Any]] = {
    f"model.name: expected {', '.join(NAMES[:-1])} or {NAMES[-1]}, got 'unet'": {"model": {"name": "unet"}},
    "model.kernel: expected an odd number of at least 3, got 4": {"model": {"name": "qae", "kernel": 4}},
    "model.scale: expected auto or a positive number, got -1": {"model": {"name": "cnn-10", "scale": -1}},
    "model.offset: expected a number, below which the output of red-cnn": {
        "model": {"name": "red-cnn", "final_relu": True}
    },
    "model.name: expected dual-domain-bilateral or dual-domain for the task dual-domain, got qae": {
        "task": {"name": "dual-domain"},
        "model": {"name": "qae"},
    },
    f"task.loss: expected {', '.join([*LOSSES][:-1])} or {[*LOSSES][-1]}, got 'huber'": {
        "task": {"name": "supervised", "loss": "huber"}
    },
    "optimizer.learning_rates.spatial: the model cnn-10 has no such parameter group, expected some of network": {
        "model": {"name": "cnn-10"},
        "optimizer": {"learning_rates": {"spatial": 1.0}},
    },
    "optimizer.schedule.factor: expected a fraction above 0 and below 1, got 2": {
        "optimizer": {"schedule": {"name": "plateau", "factor": 2}}
    },
    "precision: expected float32 for the model bilateral, got bfloat16": {"precision": "bfloat16"},
    "precision: float16 needs a GPU (device: cuda), got device: cpu": {
        "precision": "float16",
        "model": {"name": "cnn-10"},
    },
    "data.pairs.layout: expected": {"data": {"pairs": {"layout": "mayo2017"}}},
    "data.patches: missing, paired volumes are trained on in patches": {"data": {"pairs": PHANTOMS}},
    "data: expected training or pairs, got both": {
        "data": {"training": [{"input": "a", "target": "b"}], "pairs": PHANTOMS, "patches": {}}
    },
    "data.patches.size: expected three numbers (z, y, x), the model bilateral is for volumes": {
        "data": {"pairs": PHANTOMS, "patches": {}}
    },
    "data.training[0].input: expected one file for the task supervised, got 2": {
        "data": {"training": [{"input": ["a", "b"], "target": "c"}]}
    },
    "data.training[0].input: expected at least two realisations of the noise for noise2noise, got 1": {
        "task": {"name": "noise2noise"},
        "data": {"training": [{"input": "a", "target": "b"}]},
    },
    "validation.slices: expected": {"validation": {"slices": 0}},
    "devices: expected a whole number of at least 1, got 0": {"devices": 0},
}


@pytest.mark.parametrize("words", BAD_CONFIGS)
def test_configurations_that_do_not_fit(words: str) -> None:
    with pytest.raises(ConfigError, match="^" + re.escape(words)):
        as_config(BAD_CONFIGS[words])


def test_processes_that_were_not_started() -> None:
    words = "devices: expected 1, as many as there are processes, got 2: start torchrun --nproc-per-node 2"
    with pytest.raises(ConfigError, match=re.escape(words)):
        train({**NETWORK, "devices": 2}, paired())


def test_the_configurations_in_the_documentation(project_root: Path, tmp_path: Path) -> None:
    text = (project_root / "docs" / "howto" / "networks.md").read_text(encoding="utf-8")
    examples = blocks(text, "yaml")
    assert len(examples) >= 3
    models = set()
    for example in (text.replace("vgg19-dcbb9e9d.pth", "random") for text in examples):  # a file of 550 MB
        (tmp_path / "config.yaml").write_text(example)
        models.add(load_config(tmp_path / "config.yaml").model.name)
    assert len(models) >= 2


def test_orders_of_several_processes_are_one_order() -> None:
    """Two processes together use every stack of a round once."""
    config = as_config({"model": {"name": "cnn-10"}, "devices": 2})
    data = TrainingData([Stack(torch.full((4, 4), float(i)), torch.zeros(4, 4)) for i in range(4)])
    both = [build_batches(config, data, rank) for rank in (0, 1)]
    used = [float(batches.of_step(step).input[0, 0]) for step in range(2) for batches in both]  # type: ignore[union-attr]
    assert sorted(used) == [0, 1, 2, 3] and both[0].round == 2
    assert used == [stack_of_step(config.seed, index, 4) for index in range(4)]
