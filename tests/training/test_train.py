"""Training runs. Truth: a plain loop with torch's Adam, and the same run without an interrupt."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg
from sinograd.config.schema import to_plain
from sinograd.models import load_model, read_model
from sinograd.training import ConfigError, Stack, TrainingData, TrainingResult, load_config, read_history, train

SUPERVISED: dict[str, Any] = {
    "model": {"name": "bilateral", "filters": 2, "input_scale": 0.05, "window": 3},
    "stop": {"max_steps": 12},
    "validation": {"every": 4},
    "checkpoints": {"every": 5},
    "seed": 3,
}
NOISE2VOID = {**SUPERVISED, "task": {"name": "noise2void", "fraction": 0.02}}


def outcome(result: TrainingResult) -> tuple[list[str], list[list[float]]]:
    """Everything that two runs must share, bit for bit."""
    weights = [f"{key} {value.tolist()}" for key, value in result.model.state_dict().items()]
    return weights, [[-1.0 if v != v else v for v in column] for column in result.history.columns.values()]


def at_step(step: int, action: Callable[[], None]) -> Callable[[int, int, float], None]:
    return lambda done, total, loss: action() if done == step else None


def fail() -> None:
    raise OSError("the machine went away")


def test_it_does_what_a_plain_loop_does(stacks: TrainingData) -> None:
    first = TrainingData(stacks.training[:1])
    result = train({**SUPERVISED, "stop": {"max_steps": 5, "early_stopping": None}}, first)
    model = torch.nn.Sequential(*(sg.BilateralFilter3d(0.5, 0.01, input_scale=0.05, window=3) for _ in range(2)))
    optimizer = torch.optim.Adam(sg.bilateral_parameter_groups(model, 0.01, 0.005))
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = ((model(first.training[0].input) - first.training[0].target) / 0.05).square().mean()  # type: ignore[union-attr]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert result.history.column("training_loss") == ([1, 2, 3, 4, 5], pytest.approx(losses, rel=1e-5))
    for key, value in model.state_dict().items():
        torch.testing.assert_close(result.model.state_dict()[key], value, rtol=1e-5, atol=1e-7)
    assert (result.steps, result.kept_step, result.reason, result.folder) == (5, 5, "max_steps", None)
    assert result.history.column("0.sigma_range")[1][0] == pytest.approx(0.01)


@pytest.mark.parametrize(("how", "config"), [("interrupted", SUPERVISED), ("killed", NOISE2VOID)])
def test_a_resumed_run_ends_as_one_that_was_not_interrupted(
    how: str, config: dict[str, Any], stacks: TrainingData, tmp_path: Path
) -> None:
    """Bit for bit: weights, history, files. An interrupt keeps the step, a killed run its last checkpoint."""
    straight = train(config, stacks, output=tmp_path / "straight")
    folder = tmp_path / "stopped"
    if how == "interrupted":
        with pytest.raises(KeyboardInterrupt, match=r"after step 7 of 12; `resume=True` goes on from there"):
            train(config, stacks, output=folder, progress=at_step(7, lambda: os.kill(os.getpid(), signal.SIGINT)))
        assert len(read_history(folder / "metrics.csv")) == 7
        assert read_model(folder / "model.yaml").trained_on["steps"] == 7
    else:
        with pytest.raises(OSError, match="the machine went away"):
            train(config, stacks, output=folder, progress=at_step(8, fail))
        assert not (folder / "model.yaml").exists()
    steps: list[int] = []
    resumed = train(config, stacks, output=folder, resume=True, progress=lambda step, total, loss: steps.append(step))
    assert steps == list(range(8 if how == "interrupted" else 6, 13))
    assert outcome(resumed) == outcome(straight)
    for name in ("metrics.csv",):
        assert (folder / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
    assert read_model(folder).model == read_model(tmp_path / "straight").model
    # nothing is left to do
    again = train(config, stacks, output=folder, resume=True, progress=at_step(12, fail))
    assert outcome(again) == outcome(straight)


def test_an_interrupt_that_cannot_wait(stacks: TrainingData, tmp_path: Path) -> None:
    """The second Ctrl-C ends the step; SIGTERM is an interrupt as well; handlers are put back."""

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    folder = tmp_path / "run"
    with pytest.raises(
        KeyboardInterrupt, match=r"in the middle of step 9; `resume=True` goes on from the last checkpoint"
    ):
        train(SUPERVISED, stacks, output=folder, progress=at_step(8, twice))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    with pytest.raises(KeyboardInterrupt, match=r"after step 10 of 12; `resume=True` goes on from there"):
        stop = at_step(10, lambda: os.kill(os.getpid(), signal.SIGTERM))
        train(SUPERVISED, stacks, output=folder, resume=True, progress=stop)
    assert outcome(train(SUPERVISED, stacks, output=folder, resume=True)) == outcome(train(SUPERVISED, stacks))


def test_a_finished_run_goes_on_with_more_steps(stacks: TrainingData, tmp_path: Path) -> None:
    longer = {**SUPERVISED, "stop": {"max_steps": 15}}
    train(SUPERVISED, stacks, output=tmp_path / "run")
    assert outcome(train(longer, stacks, output=tmp_path / "run", resume=True)) == outcome(train(longer, stacks))


def test_the_folder(stacks: TrainingData, tmp_path: Path) -> None:
    result = train(SUPERVISED, stacks, output=tmp_path / "run")
    folder = tmp_path / "run"
    assert result.folder == folder
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("config.yaml", "provenance.json", "metrics.csv", "tensorboard", "checkpoints", "loss.png", "model.yaml")
    }
    assert load_config(folder / "config.yaml") == result.config
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["command"] == "sinograd train" and provenance["torch"] == torch.__version__
    assert provenance["options"] == json.loads(json.dumps(to_plain(result.config)))
    table = read_history(folder / "metrics.csv")
    assert table.column("step")[1] == list(range(1, 13))
    assert table.column("validation_loss")[0] == [4, 8, 12]
    assert table.columns.keys() == result.history.columns.keys()
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert any((folder / "tensorboard").glob("events.*"))
    loaded = load_model(folder)
    for key, value in result.model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], value, rtol=1e-6, atol=0)
    noted = read_model(folder).trained_on
    assert str(tmp_path) not in (folder / "model.yaml").read_text()
    assert noted["stacks"][0] == {"name": "phantom 0", "shape": [5, 16, 18], "voxel_mm": [1.0, 1.0, 1.0]}


def test_tensorboard_holds_the_losses(stacks: TrainingData, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = train(SUPERVISED, stacks, output=tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    losses = [event.value for event in events.Scalars("training_loss")]
    assert losses == pytest.approx(result.history.column("training_loss")[1], rel=1e-6)
    assert len(events.Scalars("0.sigma_range")) == 12 and len(events.Scalars("validation_loss")) == 3


def test_nothing_is_overwritten(stacks: TrainingData, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(SUPERVISED, stacks, output=folder)
    (folder / "notes.txt").write_text("mine")
    before = (folder / "metrics.csv").read_bytes()
    with pytest.raises(
        FileExistsError, match=r"is not empty: `resume=True` goes on with its run, `force=True` replaces it"
    ):
        train(SUPERVISED, stacks, output=folder)
    with pytest.raises(ValueError, match="resume and force exclude each other"):
        train(SUPERVISED, stacks, output=folder, resume=True, force=True)
    other = {**SUPERVISED, "seed": 4}
    with pytest.raises(ConfigError, match=r"is of another run, it and this configuration differ in seed: 3 and 4"):
        train(other, stacks, output=folder, resume=True)
    bad = TrainingData([Stack(torch.full((4, 8, 8), torch.nan), torch.zeros(4, 8, 8))])
    with pytest.raises(ValueError, match="stack: input: expected finite values, got 256 NaN or infinite ones"):
        train(SUPERVISED, bad, output=folder, force=True)
    assert (folder / "metrics.csv").read_bytes() == before
    train(other, stacks, output=folder, force=True)
    assert (folder / "metrics.csv").read_bytes() != before
    assert (folder / "notes.txt").read_text() == "mine"
    with pytest.raises(FileNotFoundError, match=r"holds no run to resume: it has no config\.yaml"):
        train(SUPERVISED, stacks, output=tmp_path / "nowhere", resume=True)
    assert not (tmp_path / "nowhere").exists()


def test_a_checkpoint_of_another_model(stacks: TrainingData, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    train(SUPERVISED, stacks, output=one)
    train({**SUPERVISED, "model": {**SUPERVISED["model"], "filters": 1}}, stacks, output=two)
    (one / "checkpoints" / "last.ckpt").write_bytes((two / "checkpoints" / "last.ckpt").read_bytes())
    with pytest.raises(ValueError, match=r"last\.ckpt is of another model: .* differ in model\.filters: 1 and 2"):
        train(SUPERVISED, stacks, output=one, resume=True)
    (one / "checkpoints" / "last.ckpt").write_bytes(b"PK nonsense")
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged or no checkpoint of sinograd"):
        train(SUPERVISED, stacks, output=one, resume=True)


def test_it_stops_when_the_loss_does_not_fall(stacks: TrainingData) -> None:
    rule = {"patience": 3, "min_change": 0.9}
    result = train({**SUPERVISED, "stop": {"max_steps": 40, "early_stopping": rule}}, TrainingData(stacks.training[:1]))
    assert (result.reason, result.steps) == ("converged", 4)


def test_the_best_weights_are_kept(stacks: TrainingData) -> None:
    """Training on pure noise moves the filter away from what the validation wants."""
    noisy = stacks.validation[0]
    identity = TrainingData([type(noisy)(noisy.target, noisy.input)], stacks.validation)  # type: ignore[union-attr, arg-type]
    config = {**SUPERVISED, "stop": {"max_steps": 12}, "optimizer": {"learning_rates": {"range": 0.0005}}}
    config["model"] = {"name": "bilateral", "filters": 1, "input_scale": 0.05, "sigma_range": 0.3}
    best = train(config, identity)
    steps, losses = best.history.column("validation_loss")
    assert best.kept_step == steps[losses.index(min(losses))]
    last = train({**config, "stop": {"max_steps": 12, "keep": "last"}}, identity)
    assert last.kept_step == 12


def test_a_loss_that_is_no_number(stacks: TrainingData) -> None:
    huge = TrainingData([type(s)(s.input * 1e20, s.target) for s in stacks.training])  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"the training loss is (inf|nan) in step 1: smaller learning rates"):
        train(SUPERVISED, huge)


@pytest.mark.parametrize("device", ["tpu", "cuda:7", "fast"])
def test_devices_that_do_not_exist(device: str, stacks: TrainingData) -> None:
    with pytest.raises(ConfigError, match=r"^device: expected "):
        train({**SUPERVISED, "device": device}, stacks)
