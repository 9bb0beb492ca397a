"""Stein's estimate of a filter's error against the truth, and warnings of filters that make it larger."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn

import sinograd as sg
from sinograd.models import bilateral_stack, save_model
from sinograd.phantoms import balls
from sinograd.training import Stack, TrainingData, train
from sinograd.training.risk import error_share, white_noise

GRID = sg.Grid((4, 64, 64), 1.0)


def object_and_noise(noise: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """25 balls of 0.05 per mm, and the same with white noise of a share of that."""
    generator = torch.Generator().manual_seed(seed)
    centers = (torch.rand(25, 3, generator=generator) - 0.5) * torch.tensor([50.0, 50.0, 4.0])
    clean = balls(5.0, 0.05, centers).voxelize(GRID).clamp_max(0.05)
    return clean, clean + noise * 0.05 * torch.randn(clean.shape, generator=generator)


class Mean(nn.Module):
    """SciPy's mean of 3 x 3 pixels."""

    def forward(self, values: Tensor) -> Tensor:
        return torch.from_numpy(ndimage.uniform_filter(values.numpy(), (1, 3, 3)))


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.4, 1.0])
def test_the_estimate_is_the_error(noise: float) -> None:
    clean, noisy = object_and_noise(noise)
    filters = bilateral_stack(2, sigma_spatial=1.0, sigma_range=0.3, input_scale=0.05, dimensions=3, window=3)
    for model in (Mean(), filters):
        with torch.no_grad():
            true = float(((model(noisy) - clean).square().mean() / (noisy - clean).square().mean()).sqrt())
        assert error_share(model, noisy) == pytest.approx(true, rel=0.06, abs=0.06)


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.4])
def test_white_noise_beside_edges(noise: float) -> None:
    clean, noisy = object_and_noise(noise, 3)
    assert white_noise(noisy) == pytest.approx(0.05 * noise, rel=0.05)
    assert white_noise(clean) is None and white_noise(torch.zeros(4, 64, 64)) is None
    correlated = ndimage.gaussian_filter((noisy - clean).numpy(), (0, 0.8, 0.8))
    assert white_noise(clean + torch.from_numpy(correlated)) is None


def run(noise: float, filters: int, steps: int) -> tuple[float, nn.Module, str]:
    """The true share of the error after training, the model and all warnings."""
    clean, noisy = object_and_noise(noise)
    config = {
        "task": {"name": "noise2void"},
        "model": {"name": "bilateral", "filters": filters, "window": 3},
        "stop": {"max_steps": steps, "early_stopping": None},
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = train(config, TrainingData([Stack(noisy)])).model
    with torch.no_grad():
        share = float(((model(noisy) - clean).square().mean() / (noisy - clean).square().mean()).sqrt())
    return share, model, "\n".join(str(w.message) for w in caught)


def test_noise2void_that_raises_the_error_is_told() -> None:
    """Noise of 5 % of the object: blind spots are filled best by means over edges, whatever the filters start from."""
    share, _, text = run(0.05, 3, 40)
    assert 1.15 < share < 1.45
    assert "for the worse" in text
    assert float(text.split("estimated at ")[1].split(" ")[0]) == pytest.approx(share, rel=0.06)
    share, _, text = run(0.2, 1, 40)
    assert share < 0.5 and not text


def test_denoise_tells_of_filters_that_raise_the_error(tmp_path: Path) -> None:
    clean, noisy = object_and_noise(0.02)
    filters = bilateral_stack(1, sigma_spatial=1.0, sigma_range=1.0, input_scale=0.05, dimensions=3, window=3)
    save_model(filters, tmp_path / "model.yaml", trained_on={"unit": "1/mm"})
    volume = sg.Volume(noisy, GRID, "1/mm")
    with pytest.warns(sg.errors.NoEffectWarning, match="changes .* for the worse: its error is estimated at"):
        sg.denoise(volume, tmp_path / "model.yaml")
    rough = sg.Volume(clean + 0.02 * torch.from_numpy(np.random.default_rng(0).normal(size=clean.shape)), GRID, "1/mm")
    sg.denoise(rough, tmp_path / "model.yaml")
