"""Figures that need no truth: small for a scan that agrees with itself, larger where an error was made."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from torch import Tensor

import sinograd as sg

FAN = sg.FanBeam.circular(
    source_to_origin=200, source_to_detector=500, angles=sg.full_scan(240), detector=sg.FlatDetector(128, 0.8)
)
GRID = sg.Grid((96, 96), FAN.field_of_view / 96)
BODY = sg.Ellipsoids([0.02, 0.03], [[15.0, 12.0, 9.0], [4.0, 3.0, 9.0]], [[2.0, 1.0, 0.0], [5.0, 4.0, 0.0]])


@pytest.fixture
def truthless(project_root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(project_root / "benchmarks")
    return __import__("truthless")


@pytest.fixture
def lines() -> Tensor:
    return BODY.project(FAN).float()


def test_opposite_rays(truthless: ModuleType, lines: Tensor) -> None:
    assert truthless.opposite(lines, FAN) < 0.003
    assert truthless.opposite(lines.roll(1, 1), FAN) > 0.05  # a detector that is off by a column
    some = list(range(20, 190))
    assert truthless.opposite(lines[some], FAN[some]) < 0.003  # rays beyond the ends were measured once
    turned = FAN[list(reversed(range(240)))]
    assert truthless.opposite(lines.flip(0), turned) < 0.003


def test_views_that_were_kept_back(truthless: ModuleType, lines: Tensor) -> None:
    error, sums = truthless.kept_back(lines, FAN, GRID)
    assert error < 0.01 and sums < 0.001
    dim = lines.clone()
    dim[4::16] *= 0.9  # every other view of those that are kept back
    assert truthless.kept_back(dim, FAN, GRID)[1] > 0.03
    kept, used = truthless.split(240)
    assert len(kept) == 30 and sorted(kept + used) == list(range(240))


def test_rings(truthless: ModuleType, lines: Tensor) -> None:
    striped = lines.clone()
    striped[:, 80] += 0.05
    clean, ringed = (truthless.rings(sg.fbp(values, FAN, GRID)) for values in (lines, striped))
    assert ringed > 5 * clean


def test_loss_per_mm(truthless: ModuleType, lines: Tensor) -> None:
    lengths = truthless.lengths_in_object(sg.Ellipsoids([0.02], [[15.0, 12.0, 9.0]]).project(FAN).float(), FAN, GRID)
    assert float(lengths.max()) == pytest.approx(30.0, rel=0.03)
    hardened = 0.02 * lengths - 1e-4 * lengths**2
    assert truthless.loss_per_mm(0.02 * lengths, lengths, (8, 12), (23, 27)) == pytest.approx(0, abs=1e-6)
    assert truthless.loss_per_mm(hardened, lengths, (8, 12), (23, 27)) == pytest.approx(0.0789, rel=0.05)  # 1.5 / 19
