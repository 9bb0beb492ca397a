"""Schedules of learning rates. Truth: torch's own schedules, and the same run uninterrupted."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from sinograd.choices import SCHEDULES
from sinograd.errors import ConfigError
from sinograd.training import Stack, TrainingData, train
from sinograd.training.config import as_config, config_hash
from sinograd.training.schedules import Cosine, Exponential, ScheduleConfig, Steps, schedule_schema

STEPS = 50


def optimizers() -> list[torch.optim.Optimizer]:
    """Two, with two groups each, of other rates."""
    groups = [[{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in (1.0, 0.3)] for _ in range(2)]
    return [torch.optim.SGD(held) for held in groups]


@pytest.mark.parametrize(
    ("rule", "theirs"),
    [
        (Cosine(), lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS)),
        (Cosine(period=20), lambda o: lr_scheduler.CosineAnnealingLR(o, 20)),  # StructKPN's, which swings
        (Exponential(last=1e-3), lambda o: lr_scheduler.ExponentialLR(o, 1e-3 ** (1 / STEPS))),
        (Steps(every=7, factor=0.3), lambda o: lr_scheduler.StepLR(o, 7, 0.3)),
    ],
)
def test_rates_are_torchs(rule: ScheduleConfig, theirs: Any) -> None:
    ours, (reference, _) = optimizers(), optimizers()
    schedule, torchs = rule.build(STEPS), theirs(reference)
    for step in range(STEPS):
        schedule.before_step(step, ours)
        expected = [group["lr"] for group in reference.param_groups]
        for optimizer in ours:
            assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(expected, rel=1e-6, abs=1e-12)
        reference.step()
        torchs.step()


def test_the_least_rate() -> None:
    assert Cosine(least=0.1).share(STEPS, STEPS) == pytest.approx(0.1) and Cosine(least=0.1).share(0, STEPS) == 1
    assert Exponential().share(STEPS, STEPS) == pytest.approx(0.01)


def test_the_registry_is_what_a_configuration_takes() -> None:
    """Every name alone, with its options' defaults; plateau still means what it meant."""
    for name in SCHEDULES:
        schedule = as_config({"optimizer": {"schedule": name}}).optimizer.schedule
        assert schedule == schedule_schema(name)(name=name) and schedule is not None and schedule.name == name
    old = as_config({"optimizer": {"schedule": {"name": "plateau", "patience": 3, "factor": 0.5}}})
    assert dataclasses.asdict(old.optimizer)["schedule"] == {"name": "plateau", "patience": 3, "factor": 0.5}
    assert config_hash(old) != config_hash(as_config({"optimizer": {"schedule": "cosine"}}))
    for wrong, message in (
        ("linear", "optimizer.schedule: expected cosine, exponential, step or plateau.*, got 'linear'"),
        ({"name": "step", "factor": 2}, "optimizer.schedule.factor: expected a fraction above 0 and below 1, got 2"),
        ({"name": "cosine", "least": 1.0}, "optimizer.schedule.least: expected a number of at least 0 and below 1"),
        ({"name": "exponential", "gamma": 0.9}, "optimizer.schedule.gamma: unknown key"),
    ):
        with pytest.raises(ConfigError, match=message):
            as_config({"optimizer": {"schedule": wrong}})


def stacks() -> TrainingData:
    clean = torch.rand(2, 12, 12, generator=torch.Generator().manual_seed(0)).round()
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    return TrainingData([Stack(clean + 0.2 * noise, clean)])


@pytest.mark.parametrize("schedule", ["cosine", {"name": "exponential", "last": 0.1}, {"name": "step", "every": 3}])
def test_a_resumed_run_has_the_rates_of_an_uninterrupted_one(schedule: Any, tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    config: dict[str, Any] = {
        "model": {"name": "bilateral", "filters": 1, "input_scale": 1.0},
        "optimizer": {"schedule": schedule, "learning_rates": {"spatial": 0.02, "range": 0.01}},
        "stop": {"max_steps": 8, "early_stopping": None},
        "checkpoints": {"every": 1},
    }

    def stopped(step: int, _total: int, _loss: float) -> None:
        if step == 4:
            raise KeyboardInterrupt

    whole = train(config, stacks())
    with pytest.raises(BaseException):  # noqa: B017
        train(config, stacks(), output=tmp_path / "run", progress=stopped)
    resumed = train(config, stacks(), output=tmp_path / "run", resume=True)
    assert str(resumed.history.columns) == str(whole.history.columns)  # NaN is not itself
    rule = as_config({"optimizer": {"schedule": schedule}}).optimizer.schedule
    assert rule is not None
    expected = [0.02 * rule.share(step, 8) for step in range(8)]
    assert whole.history.column("learning_rate")[1] == pytest.approx(expected)
