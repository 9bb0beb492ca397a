"""Faulty pixels: shares and readings, and that preparation finds and mends them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import sinograd as sg
from sinograd.errors import InputError, InputTypeError
from sinograd.physics import FaultyPixels


def test_shares_and_readings() -> None:
    faults = FaultyPixels.draw((200, 300), dead=0.01, stuck=0.02, nonlinear=0.1, curvature=0.05, seed=3)
    shares = [float(part.double().mean()) for part in (faults.dead, faults.stuck, faults.curvature != 0)]
    assert shares == pytest.approx([0.01, 0.02, 0.1], abs=0.004)
    assert float(faults.curvature[faults.curvature != 0].std()) == pytest.approx(0.05, rel=0.05)
    counts = torch.full((2, 200, 300), 500.0, dtype=torch.float64)
    read = faults.read(counts, 1000.0)
    assert bool((read[:, faults.dead] == 0).all()) and bool((read[:, faults.stuck] == 1000).all())
    assert torch.equal(read[:, ~faults.mask], counts[:, ~faults.mask])
    bent = faults.curvature != 0
    torch.testing.assert_close(read[0, bent], 500 * (1 + faults.curvature[bent] / 2))
    assert torch.equal(faults.read(counts, 1000.0), read)
    again = FaultyPixels.draw((200, 300), dead=0.01, stuck=0.02, nonlinear=0.1, curvature=0.05, seed=3)
    assert torch.equal(again.mask, faults.mask)


def test_preparation_mends_dead_and_stuck_pixels() -> None:
    geometry = sg.ConeBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=sg.full_scan(24), detector=sg.FlatDetector((24, 32), 1.0)
    )
    exact = sg.phantoms.ball(6.0, 0.05).project(geometry)
    faults = FaultyPixels.draw((24, 32), dead=0.004, stuck=0.004, seed=1)
    assert faults.mask.any()
    white = 6e4
    counts = faults.read(white * torch.exp(-exact.double()), 65000.0)
    reference = faults.read(torch.full((4, 24, 32), white, dtype=torch.float64), 65000.0)
    scan = sg.Scan(
        counts.float(), geometry, kind="counts", calibration=sg.Calibration(reference=reference.float().numpy())
    )
    prepared = sg.prepare(scan)
    error = (prepared.projections - exact).abs()
    assert float(error[:, ~faults.mask].max()) < 1e-4
    assert float(error[:, faults.mask].max()) < 0.05  # filled from the pixels beside; 0.6 in the middle of the ball


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: FaultyPixels.draw((3,), dead=-0.1), InputError, "dead"),
        (lambda: FaultyPixels.draw((3,), dead=0.6, stuck=0.6), InputError, "together"),
        (lambda: FaultyPixels.draw((3,)).read(torch.ones(2, 4), 10.0), InputError, "counts"),
        (lambda: FaultyPixels.draw((3,)).read(torch.ones(2, 3), 0.0), InputError, "full_scale"),
        (lambda: FaultyPixels.draw((3,)).read([1, 2, 3], 1.0), InputTypeError, "counts"),
    ],
)
def test_bad_input(call: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
