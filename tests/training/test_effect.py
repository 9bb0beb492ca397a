"""Start values from the noise, and warnings of filters without effect. Truth: noise of known deviation from numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.models import bilateral_stack, save_model
from sinograd.phantoms import balls
from sinograd.training import Stack, TrainingData, train
from sinograd.training.config import as_config, load_config
from sinograd.training.samples import noise_level

GRID = sg.Grid((4, 20, 20), 1.0)
# Of 15 runs of one filter (5 seeds, noise of 10, 20 and 40 %) five ended without effect from 0.01; these are three.
COLLAPSED = [(0.1, 2), (0.2, 1), (0.4, 3)]


def object_and_noise(noise: float, seed: int) -> tuple[Tensor, Tensor]:
    """Balls of 0.05 per mm, and the same with white noise of a share of that."""
    generator = torch.Generator().manual_seed(seed)
    centers = (torch.rand(6, 3, generator=generator) - 0.5) * torch.tensor([14.0, 14.0, 4.0])
    clean = balls(4.0, 0.05, centers).voxelize(GRID).clamp_max(0.05)
    return clean, clean + noise * 0.05 * torch.randn(clean.shape, generator=generator)


def config(seed: int, **model: Any) -> dict[str, Any]:
    return {
        "task": {"name": "noise2void"},
        "model": {"name": "bilateral", "filters": 1, "window": 3, **model},
        "stop": {"max_steps": 40, "early_stopping": None},
        "seed": seed,
    }


@pytest.mark.parametrize(("noise", "seed"), COLLAPSED)
def test_noise2void_by_defaults_removes_noise(noise: float, seed: int) -> None:
    clean, noisy = object_and_noise(noise, seed)
    result = train(config(seed), TrainingData([Stack(noisy)]))
    with torch.no_grad():
        denoised = result.model(noisy)
    assert (denoised - clean).square().mean() < 0.9**2 * (noisy - clean).square().mean()
    scale, start = result.config.model.input_scale, result.config.model.sigma_range  # type: ignore[attr-defined]
    assert 1.9 < start * scale / (0.05 * noise) < 2.7  # edges of the balls count as noise, too


@pytest.mark.parametrize("start", ["paper", 0.01])
def test_the_papers_start_is_there_and_a_run_without_effect_is_told(start: str | float) -> None:
    noise, seed = COLLAPSED[1]
    data = TrainingData([Stack(object_and_noise(noise, seed)[1])])
    with pytest.warns(sg.errors.NoEffectWarning, match="changes what it was trained on by .* not at all: other start"):
        result = train(config(seed, sigma_range=start), data)
    assert result.history.column("0.sigma_range")[1][0] == pytest.approx(0.01)


def test_other_tasks_start_as_the_paper_does() -> None:
    clean, noisy = object_and_noise(0.4, 0)
    for task, stack in (("supervised", Stack(noisy, clean)), ("noise2noise", Stack(noisy, others=(noisy.flip(0),)))):
        options = {**config(0), "task": {"name": task}, "stop": {"max_steps": 1}}
        assert train(options, TrainingData([stack])).config.model.sigma_range == 0.01  # type: ignore[attr-defined]


def test_a_run_resumes_from_the_start_that_it_had(tmp_path: Path) -> None:
    """Runs of 0.1 started from 0.01; the same file with its defaults goes on with them, and so does a new run."""
    data = TrainingData([Stack(object_and_noise(0.1, 0)[1])])
    for name, old in (("old", {"sigma_range": 0.01}), ("new", {})):
        folder = tmp_path / name
        train({**config(0, **old), "stop": {"max_steps": 5}}, data, output=folder)
        start = load_config(folder / "config.yaml").model.sigma_range  # type: ignore[attr-defined]
        resumed = train({**config(0), "stop": {"max_steps": 12}}, data, output=folder, resume=True)
        assert (start == 0.01) == (name == "old") and resumed.steps == 12
        assert resumed.config.model.sigma_range == start  # type: ignore[attr-defined]
    with pytest.raises(sg.errors.ConfigError, match=r"model\.sigma_range"):
        train({**config(0, sigma_range=0.3), "stop": {"max_steps": 12}}, data, output=tmp_path / "old", resume=True)


@pytest.mark.parametrize("word", ["none", "", 0, -1.0])
def test_start_values_that_are_none(word: object) -> None:
    with pytest.raises(sg.errors.ConfigError, match=r"model\.sigma_range: expected auto or paper or a positive number"):
        as_config(config(0, sigma_range=word))


@pytest.mark.parametrize("shape", [(64, 64), (6, 48, 50), (2, 1, 3, 40, 40)])
def test_noise_level(shape: tuple[int, ...]) -> None:
    """Of numpy's normal numbers on a smooth object, and on one of which half is exactly zero."""
    random = np.random.default_rng(0)
    across = np.linspace(0, 3, shape[-1])
    smooth = np.broadcast_to(np.sin(across) * 5 + 100, shape)
    values = torch.from_numpy(smooth + 0.3 * random.standard_normal(shape)).float()
    assert noise_level([values]) == pytest.approx(0.3, rel=0.06)
    assert noise_level([values, values * 1.0]) == pytest.approx(0.3, rel=0.06)
    values[..., : shape[-1] // 2] = 0
    assert noise_level([values]) == pytest.approx(0.3, rel=0.15)
    assert noise_level([torch.ones(shape)]) == 0 and noise_level([torch.ones(2, 2)]) == 0


def test_denoise_tells_of_a_filter_without_effect(tmp_path: Path) -> None:
    """A filter of another unit: its range of 1e-6 is far below the noise; one that denoises is not told of."""
    _, noisy = object_and_noise(0.2, 0)
    volume = sg.Volume(noisy, GRID, "1/mm")
    save_model(bilateral_stack(1, sigma_range=1e-5, input_scale=0.05), tmp_path / "nothing.yaml")
    save_model(bilateral_stack(1, sigma_range=0.4, input_scale=0.05), tmp_path / "good.yaml")
    with pytest.warns(sg.errors.NoEffectWarning, match=r"nothing\.yaml .*in-memory|nothing\.yaml .* by .* not at all"):
        result = sg.denoise(volume, tmp_path / "nothing.yaml")
    torch.testing.assert_close(result.values, noisy)
    assert "not at all" in str(result.provenance["warnings"])
    assert not torch.allclose(sg.denoise(volume, tmp_path / "good.yaml").values, noisy)
