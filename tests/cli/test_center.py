"""Centres of rotation on the command line. Truth: the columns on which phantoms' axes are put."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg
from sinograd.workflows import progress_lines
from sinograd.workflows.centering import warn_of_other_center
from sinograd.workflows.values import CenterColumn, center_choice

OBJECT = sg.Ellipsoids([0.05, 0.03], [[6.0, 4.0, 8.0], [2.0, 1.5, 8.0]], [[1.0, -1.5, 0.0], [4.0, 5.0, 0.0]])
GRID = sg.Grid((40, 40), 0.5)


def scan_of(columns_off: float, offset_mm: float = 0.0) -> sg.Scan:
    """A fan beam whose axis falls `columns_off` columns after where its geometry says."""
    orbit: dict[str, Any] = {"source_to_origin": 60, "source_to_detector": 90, "angles": sg.full_scan(120)}
    stated = sg.FanBeam.circular(**orbit, detector=sg.FlatDetector(80, 0.5, offset_mm))
    true = sg.FanBeam.circular(**orbit, detector=sg.FlatDetector(80, 0.5, offset_mm - columns_off * 0.5))
    return sg.Scan(OBJECT.project(true), stated)


def error(volume: sg.Volume) -> float:
    truth = OBJECT.voxelize(GRID)
    return float((volume.values - truth).norm() / truth.norm())


@pytest.mark.parametrize("offset_mm", [0.0, 2.0])
def test_a_column_of_the_full_detector(offset_mm: float) -> None:
    """The axis of column 42.5 + 4 - offset: with all columns, with some, and binned; and the same in pixels."""
    scan, own = scan_of(4.0, offset_mm), {"shape": (40, 40), "voxel_mm": 0.5}
    column = 39.5 + 4.0 - offset_mm / 0.5
    best = error(sg.reconstruct(scan, center=-4.0, **own))
    assert best < 0.35
    assert error(sg.reconstruct(scan, center=f"column:{column}", **own)) == pytest.approx(best, rel=1e-4)
    assert error(sg.reconstruct(scan, center=f"column:{column}", columns=(4, 76), **own)) < 1.1 * best
    binned = error(sg.reconstruct(scan, center=-2.0, binning=2, **own))
    assert error(sg.reconstruct(scan, center=f"column:{column}", binning=2, **own)) == pytest.approx(binned, rel=1e-4)
    with pytest.warns(sg.errors.CenterWarning):
        assert error(sg.reconstruct(scan, **own)) > 1.6 * best


def test_a_wrong_centre_is_said_once_with_the_number_and_the_option(
    sinograd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_lines, "SECONDS", float("inf"))  # a slow machine prints lines of progress, too
    sg.write_scan(scan_of(3.0), tmp_path / "scan.h5")
    result = sinograd("reconstruct", tmp_path / "scan.h5", "-o", tmp_path / "out.h5")
    assert result.exit_code == 0, result.output
    (line,) = result.stderr.splitlines()
    words = re.fullmatch(r"warning: another centre .* fits clearly better .*: (\S+) pixels, .* axis at column (\S+) of "
                         r"the 80 .*; --center (\S+) takes it, --center auto searches for it", line)  # fmt: skip
    assert words, line
    assert float(words[1]) == float(words[3]) == pytest.approx(-3.0, abs=0.1)
    assert float(words[2]) == pytest.approx(42.5, abs=0.1)
    again = sinograd("reconstruct", tmp_path / "scan.h5", "-o", tmp_path / "b.h5", "--center", words[3])
    assert (again.exit_code, again.stderr) == (0, "")


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_right_centres_say_nothing(noise: float) -> None:
    """Warnings are errors here."""
    scan = scan_of(0.0)
    projections = scan.load() + noise * torch.randn(scan.shape, generator=torch.Generator().manual_seed(0))
    sg.reconstruct(sg.Scan(projections, scan.geometry), shape=(40, 40), voxel_mm=0.5)
    sg.reconstruct(sg.Scan(projections, scan.geometry)[::4], shape=(40, 40), voxel_mm=0.5)


@pytest.mark.parametrize("name", ["tb_549views.mat", "tb_30deg_original.mat"])
def test_right_centres_of_real_scans_say_nothing(shared_data: Path, name: str) -> None:
    scan = sg.read(shared_data / "htc2022" / name)
    warn_of_other_center(scan)
    warn_of_other_center(scan[::3])


def test_texts() -> None:
    assert center_choice("column:296") == CenterColumn(296.0)
    assert str(center_choice("column: 296.5")) == "column:296.5"
    assert (center_choice("-2.5"), center_choice("auto"), center_choice(2)) == (-2.5, "auto", 2.0)
    for wrong in ("column:", "column:nan", "row:3", "middle", ":3", True, None):
        with pytest.raises(sg.errors.InputError, match=r"expected file, auto, a number of pixels or column:NUMBER"):
            center_choice(wrong)
    for column in (-1, 80):
        with pytest.raises(sg.errors.InputError, match="expected a column from 0 to 79"):
            sg.reconstruct(scan_of(0.0), center=f"column:{column}")
