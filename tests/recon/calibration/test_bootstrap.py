"""Error bars by a parametric bootstrap. Truth: the spread over real draws of the noise."""

from __future__ import annotations

import torch

import sinograd as sg
from recon.calibration.scans import body


def fan(offset: float) -> sg.FanBeam:
    return sg.FanBeam.circular(
        source_to_origin=100,
        source_to_detector=200,
        angles=sg.full_scan(60),
        detector=sg.FlatDetector(48, 2.1),
        axis_offset=offset,
    )


def test_the_spread_is_that_of_real_draws() -> None:
    exact = body().project(fan(0.5)).float()

    def found(seed: int, **options: int) -> sg.recon.Calibrated:
        noisy = sg.add_photon_noise(exact, 1e3, generator=torch.Generator().manual_seed(seed))
        return sg.calibrate(noisy, fan(0.7), learn=("axis_offset",), criterion="redundancy", **options)

    real = torch.tensor([found(seed).values["axis_offset"] for seed in range(16)]).std()
    one = found(0, bootstrap=16)
    assert one.values == found(0).values
    model = 0.01 * 2.1  # mm, what pixels err by comes on top
    assert 0.5 * float(real) < one.standard_errors["axis_offset"] < 2 * float(real) + model
