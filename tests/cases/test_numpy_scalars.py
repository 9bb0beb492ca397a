"""Numbers of numpy and torch are numbers wherever a number is taken."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.metrics import noise_power_spectrum, psnr, ssim

QUARTERS = [np.float32(0.25), np.float64(0.25), torch.tensor(0.25), np.array(0.25)]
FIVES = [np.int64(5), np.uint8(5), torch.tensor(5), np.array(5)]


@pytest.mark.parametrize("quarter", QUARTERS, ids=lambda one: type(one).__name__)
def test_numbers(quarter: float) -> None:
    a, b = (torch.rand(16, 16, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert psnr(a, b, data_range=quarter) == psnr(a, b, data_range=0.25)
    assert ssim(a, b, data_range=quarter) == ssim(a, b, data_range=0.25)
    assert noise_power_spectrum(a, spacing=quarter).power.equal(noise_power_spectrum(a, spacing=0.25).power)
    assert sg.Grid((4, 4), quarter) == sg.Grid((4, 4), 0.25)
    assert sg.FlatDetector(8, quarter) == sg.FlatDetector(8, 0.25)
    sg.low_dose(torch.full((4, 8), 2.0), quarter, 1e4)
    layer = sg.BilateralFilter2d(quarter, quarter, input_scale=quarter)
    assert [*layer.sigma_spatial.tolist(), layer.sigma_range.item()] == [0.25, 0.25, 0.25]


@pytest.mark.parametrize("five", FIVES, ids=lambda one: type(one).__name__)
def test_counts(five: int) -> None:
    image = torch.rand(16, 16, generator=torch.Generator().manual_seed(0))
    assert sg.BilateralFilter2d(0.5, 0.1, window=five).window == (5, 5)
    assert sg.Grid((five, five), 1.0).shape == (5, 5)
    assert sg.FlatDetector(five, 1.0).shape == (5,)
    assert len(sg.full_scan(five)) == 5
    assert noise_power_spectrum(image, spacing=1.0, size=five + 4).power.shape == (9, 9)


@pytest.mark.parametrize("five", FIVES, ids=lambda one: type(one).__name__)
def test_more_counts(five: int) -> None:
    geometry = sg.ParallelBeam(sg.full_scan(40), sg.FlatDetector(16, 1.0))
    assert sg.detector_region(geometry, columns=(five, 9)).detector.shape == (4,)
    assert torch.equal(sg.abdomen(five).value, sg.abdomen(5).value)


@pytest.mark.parametrize("quarter", [*QUARTERS, Fraction(1, 4)], ids=lambda one: type(one).__name__)
def test_more_numbers(quarter: float) -> None:
    geometry = sg.ParallelBeam(sg.full_scan(40), sg.FlatDetector(16, 1.0))
    grid, p = sg.Grid((4, 4), 1.0), torch.ones(40, 16)
    assert torch.equal(sg.fbp(p, geometry, grid, cutoff=quarter), sg.fbp(p, geometry, grid, cutoff=0.25))
    volume = sg.Volume(torch.ones(4, 4), grid, "1/mm")
    assert torch.equal(volume.to("HU", water=quarter).values, volume.to("HU", water=0.25).values)
    assert torch.equal(volume.to("mg/cm3", density=(quarter, quarter)).values, torch.full((4, 4), 0.5))
