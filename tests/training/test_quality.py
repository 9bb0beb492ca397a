"""Loss and PSNR of the untouched input and of a trained model. Truth: NumPy and scikit-image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

import sinograd as sg
from sinograd.cli.train import summary
from sinograd.datasets import PairedVolume
from sinograd.errors import NoEffectWarning
from sinograd.models import DualDomainBilateral, bilateral_stack
from sinograd.training import ScanStack, Stack, TrainingData, train

CONFIG: dict[str, Any] = {
    "model": {"name": "bilateral", "filters": 2, "input_scale": 0.05, "window": 3},
    "stop": {"max_steps": 3},
    "validation": {"every": 1},
}


def test_the_untouched_input_beside_the_model(stacks: TrainingData) -> None:
    """Of the validation data; the PSNR with the targets' span as data range."""
    result = train(CONFIG, stacks)
    stack, quality = stacks.validation[0], result.quality
    assert isinstance(stack, Stack) and stack.target is not None and quality is not None
    target = stack.target.double().numpy()
    span = float(target.max() - target.min())
    with torch.no_grad():
        output = result.model(stack.input).double().numpy()
    for image, loss, psnr in (
        (stack.input.double().numpy(), quality.input_loss, quality.input_psnr),
        (output, quality.loss, quality.psnr),
    ):
        assert loss == pytest.approx(np.mean((image - target) ** 2) / 0.05**2, rel=1e-5)
        assert psnr == pytest.approx(peak_signal_noise_ratio(target, image, data_range=span), abs=1e-4)
    assert quality.on == "validation" and quality.data_range == pytest.approx(span) and quality.switched_off == ()
    assert quality.loss == pytest.approx(min(result.history.column("validation_loss")[1]), rel=1e-5)
    lines = dict(summary(result))
    assert (
        lines["loss"] == f"{quality.loss:.4g} on the validation data; of the untouched input {quality.input_loss:.4g}"
    )
    assert f"of the untouched input {quality.input_psnr:.2f} dB" in lines["PSNR"]


def test_training_data_where_nothing_validates_and_pairs(stacks: TrainingData) -> None:
    item = stacks.training[0]
    assert isinstance(item, Stack) and item.target is not None
    quality = train(CONFIG, TrainingData([item])).quality
    assert quality is not None and quality.on == "training"
    pair = PairedVolume("one", "one", (item.input,), item.target, "1")
    model = {"model": {"name": "cnn-10", "offset": 0.0, "scale": 0.05}, "data": {"patches": {"size": 9}}}
    paired = train({**CONFIG, **model}, TrainingData([pair])).quality
    assert paired is not None and paired.input_psnr == pytest.approx(quality.input_psnr)
    blind = train({**CONFIG, "task": {"name": "noise2void"}}, TrainingData([Stack(item.input)]))
    assert blind.quality is None and "PSNR" not in dict(summary(blind))


def test_a_filter_that_has_switched_itself_off(stacks: TrainingData) -> None:
    """One of two filters with a range sigma far below the noise; the other one still works."""
    filters = bilateral_stack(2, input_scale=0.05, window=3, sigma_range=0.1)
    off = bilateral_stack(1, input_scale=0.05, window=3, sigma_range=1e-7)
    model = torch.nn.Sequential(filters[0], off[0])
    config = {"stop": {"max_steps": 10}, "optimizer": {"learning_rates": {"spatial": 1e-9, "range": 1e-12}}}
    result = sg.train(config, TrainingData(stacks.training), model=model)
    assert result.quality is not None and result.quality.switched_off == ("1",)
    lines = dict(summary(result))
    assert lines["filter 1"].endswith("switched off: it changes nothing") and "switched" not in lines["filter 0"]
    with pytest.warns(NoEffectWarning):
        alone = sg.train(config, TrainingData(stacks.training), model=torch.nn.Sequential(off[0]))
    assert alone.quality is not None and alone.quality.input_psnr == pytest.approx(alone.quality.psnr, abs=1e-3)


def test_the_plain_reconstruction_is_the_untouched_input_of_scans() -> None:
    geometry = sg.ParallelBeam(torch.arange(24, dtype=torch.float64) * torch.pi / 24, sg.FlatDetector(24, 1.0))
    grid, disc = sg.Grid((16, 16), 1.0), sg.shepp_logan_2d(radius=7, value=0.05)
    clean = disc.project(geometry).float()
    noisy = clean + 0.02 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    target = disc.voxelize(grid).float()
    model = DualDomainBilateral([], [sg.BilateralFilter2d(sigma_range=0.5, input_scale=0.05)], ramp_window="hann")
    result = sg.train({"stop": {"max_steps": 2}}, TrainingData([ScanStack(noisy, geometry, grid, target)]), model=model)
    quality = result.quality
    plain = sg.fbp(noisy, geometry, grid, window="hann")
    assert quality is not None and quality.input_loss == pytest.approx(
        (plain - target).square().mean().item(), rel=1e-4
    )


def test_validation_at_stated_steps(stacks: TrainingData) -> None:
    config = {**CONFIG, "stop": {"max_steps": 6}}
    assert train({**config, "validation": {"at": [1, 4]}}, stacks).history.column("validation_loss")[0] == [1, 4]
    assert train({**config, "validation": {"every": 4}}, stacks).history.column("validation_loss")[0] == [4]
