"""Lag, scatter and phase as steps of the preparation: the same as the functions of tensors, whatever the blocks."""

from __future__ import annotations

import pytest
import torch

import sinograd as sg
from sinograd.errors import InputError
from sinograd.physics import Lag, add_lag
from sinograd.preparation import Preparation, paganin, prepare
from sinograd.preparation import prepare as prepare_function

GEOMETRY = sg.ConeBeam.circular(
    source_to_origin=200, source_to_detector=400, angles=sg.full_scan(20), detector=sg.FlatDetector((12, 16), 1.0)
)
BODY = sg.Ellipsoids([0.1], [[2.5, 2.0, 2.0]])


def fractions() -> torch.Tensor:
    return torch.exp(-BODY.project(GEOMETRY, dtype=torch.float64))


def prepared(readings: torch.Tensor, **options: object) -> torch.Tensor:
    scan = sg.Scan(readings.float(), GEOMETRY, kind="transmission")
    return prepare(scan, Preparation(**options)).projections.double()  # type: ignore[arg-type]


def test_lag_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    numbers = (0.02, 0.4, 0.005, 0.05)
    lag = Lag(numbers[::2], numbers[1::2])
    air = torch.ones(1, 12, 16, dtype=torch.float64)
    measured = add_lag(fractions(), lag)
    expected = -fractions().log()
    assert float((prepared(measured) - expected).abs().max()) > 0.01
    assert torch.allclose(prepared(measured, lag=numbers), expected, atol=1e-5)
    monkeypatch.setattr(sys.modules[prepare_function.__module__], "BLOCK_BYTES", 3 * 4 * air.numel())
    assert torch.allclose(prepared(measured, lag=numbers), expected, atol=1e-5)


def test_scatter() -> None:
    primary = fractions()
    readings = primary + 0.1 * primary.mean((1, 2), keepdim=True)
    assert torch.allclose(prepared(readings, scatter=0.1), -primary.log(), atol=1e-4)


def test_phase() -> None:
    readings = fractions()
    found = prepared(readings, phase=(800.0, 200.0, 30.0))
    options = {"pixel_mm": 1.0, "distance_mm": 200.0, "energy": 30.0, "delta_beta": 800.0}
    assert torch.allclose(found, paganin(readings, source_mm=200.0, **options), atol=1e-5)


@pytest.mark.parametrize("step", [{"lag": (0.02, 0.4)}, {"scatter": 0.1}, {"phase": (800.0, 200.0, 30.0)}])
def test_scans_of_line_integrals_are_corrected_as_well(step: dict) -> None:
    """They were left as they are, without a word."""
    readings = fractions()
    scan = sg.Scan(-readings.log().float(), GEOMETRY, kind="line integrals")
    found = prepare(scan, Preparation(**step)).projections.double()
    assert torch.allclose(found, prepared(readings, **step), atol=1e-5)
    assert float((found + readings.log()).abs().max()) > 1e-4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lag": (0.1,)}, "as many amplitudes as rates"),
        ({"scatter": 1.5}, r"scatter: expected a share in \[0, 1\)"),
        ({"phase": (1.0, 2.0)}, "phase: expected three positive numbers"),
    ],
)
def test_what_cannot_be_is_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Preparation(**options)


def test_large_line_integrals_stay() -> None:
    """What was below the smallest reading before the steps is not raised to it; what is no reading is an error."""
    exact = 40 * BODY.project(GEOMETRY)
    assert float(exact.max()) > 12
    made = prepare(sg.Scan(exact, GEOMETRY), Preparation(lag=(1e-14, 0.5))).load()
    assert torch.allclose(made, exact, atol=1e-3)
    with pytest.raises(InputError, match="below -88: no readings"):
        prepare(sg.Scan(exact - 120, GEOMETRY), Preparation(lag=(1e-14, 0.5)))


def test_phase_needs_images_and_room() -> None:
    with pytest.raises(InputError, match="phase: expected a distance below 400 mm"):
        prepared(fractions(), phase=(800.0, 500.0, 30.0))
