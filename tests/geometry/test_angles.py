from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.geometry import full_scan, short_scan


def test_full_scan_excludes_the_end() -> None:
    """Quarter turns, hand-computed."""
    expected = torch.tensor([0.5, 0.5 + math.pi / 2, 0.5 + math.pi, 0.5 + 3 * math.pi / 2], dtype=torch.float64)
    assert torch.allclose(full_scan(4, start=0.5), expected, rtol=1e-15)
    assert full_scan(1).tolist() == [0.0]
    assert full_scan(3).dtype == torch.float64


def test_short_scan_includes_both_ends() -> None:
    """From start to start + pi + fan, evenly."""
    angles = short_scan(101, 0.3, start=-1.0)
    assert angles[0].item() == -1.0
    assert angles[-1].item() == pytest.approx(math.pi - 0.7, rel=1e-15)
    assert torch.allclose(angles.diff(), torch.full((100,), (math.pi + 0.3) / 100, dtype=torch.float64))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: full_scan(0), ValueError, "views must be at least 1, got 0"),
        (lambda: full_scan(3.0), TypeError, "views must be an integer, got 3.0"),
        (lambda: full_scan(True), TypeError, "views must be an integer, got True"),
        (lambda: full_scan(3, math.nan), ValueError, "start must be finite, got nan"),
        (lambda: short_scan(1, 0.1), ValueError, "views must be at least 2 for a short scan, got 1"),
        (lambda: short_scan(9, -0.1), ValueError, r"fan_angle must lie in \[0, pi\) rad, got -0.1"),
        (lambda: short_scan(9, 200.0), ValueError, r"fan_angle must lie in \[0, pi\) rad, got 200"),
    ],
)
def test_bad_input_is_named(make, error: type[Exception], message: str) -> None:
    """Errors name the argument, what was expected and what came."""
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "degrees",
    [
        np.arange(360.0),
        np.arange(0, 180, 0.5),
        np.linspace(0, 180, 181),
        torch.linspace(-90, 90, 61),
        np.arange(360.0)[::-1],
    ],
)
def test_degrees_are_told(degrees: object) -> None:
    with pytest.warns(sg.errors.ScanWarning, match="look like degrees"):
        sg.ParallelBeam(degrees, sg.FlatDetector(8, 1.0))  # type: ignore[arg-type]
    with pytest.warns(sg.errors.ScanWarning, match="look like degrees"):
        sg.FanBeam.circular(
            source_to_origin=50,
            source_to_detector=80,
            angles=degrees,  # type: ignore[arg-type]
            detector=sg.FlatDetector(8, 1.0),
        )


@pytest.mark.parametrize(
    "turns", [np.radians(np.arange(360)), sg.full_scan(720), np.arange(0, 200, 0.1), np.arange(5.0)]
)
def test_radians_are_not(turns: object) -> None:
    sg.ParallelBeam(turns, sg.FlatDetector(8, 1.0))  # type: ignore[arg-type]
