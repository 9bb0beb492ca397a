"""Views that are left out by their numbers. Truth: the scan that never had them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import sinograd as sg
from sinograd.cli.app import app
from sinograd.errors import InputError, SinogradError

pytestmark = pytest.mark.filterwarnings("ignore::sinograd.errors.SinogradWarning")

BODY = sg.Ellipsoids(
    [0.02, 0.02, -0.01], [[50, 35, 40], [8, 8, 8], [6, 12, 9]], [[5, 3, 0], [-20, 10, 5], [15, -12, -6]]
)
FAN = sg.FanBeam.circular(
    source_to_origin=500, source_to_detector=750, angles=sg.full_scan(60), detector=sg.FlatDetector(64, 3.0)
)
ODD = (12, 40, 41, 42)
KEPT = [view for view in range(60) if view not in ODD]
GOOD = BODY.project(FAN).float()


@pytest.fixture
def scan() -> sg.Scan:
    """Four views are garbage."""
    projections = GOOD.clone()
    projections[list(ODD)] = torch.rand(4, 64, generator=torch.Generator().manual_seed(0)) * GOOD.max()
    return sg.Scan(projections, FAN)


WAYS: list[Any] = [
    "12,40-42",
    [12, 40, 41, 42],
    np.array(ODD),
    torch.tensor(ODD),
    "42,40-41,12,12",
    (12, *range(40, 43)),
]


def test_the_volume_is_that_of_the_others(scan: sg.Scan) -> None:
    without = sg.reconstruct(sg.Scan(GOOD[KEPT], FAN[KEPT]), shape=(32, 32))
    for numbers in WAYS:
        assert torch.equal(sg.reconstruct(scan, shape=(32, 32), leave_out=numbers).values, without.values)


def test_of_a_scan(scan: sg.Scan) -> None:
    rest = scan.without(list(ODD))
    assert torch.equal(rest.load(), GOOD[KEPT]) and rest.geometry.equals(FAN[KEPT])
    assert len(scan.without(slice(0, 10)).geometry) == 50 and len(scan.without(3).geometry) == 59
    for wrong in (60, [1, 99]):
        with pytest.raises(IndexError):
            scan.without(wrong)
    with pytest.raises(InputError, match="none of 60 views would be left"):
        scan.without(slice(None))


def test_what_the_warning_says_can_be_given(scan: sg.Scan) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sg.prepare(scan)
    text = next(str(w.message) for w in caught if "not fit" in str(w.message))
    assert "`leave_out` 12,40-42;" in text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sg.prepare(scan.without(list(ODD)))


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ("12,x", "expected numbers of views from 0, as 12,40-44, got '12,x'"),
        ("5-3", "expected numbers of views"),
        ("-3", "expected numbers of views"),
        ("1,,2", "expected numbers of views"),
        ("0-99999999999", "expected numbers of views"),
        ([-1], "expected numbers of views from 0, got -1"),
        ([1.5], "expected whole numbers"),
        ("60", "there is no view 60"),
        ("0-59", "none of 60 views would be left"),
    ],
)
def test_wrong_numbers(scan: sg.Scan, numbers: Any, words: str) -> None:
    with pytest.raises(SinogradError, match=words) as caught:
        sg.reconstruct(scan, leave_out=numbers)
    assert "\n" not in str(caught.value)


def test_on_the_command_line(scan: sg.Scan, tmp_path: Path) -> None:
    sg.write_scan(scan, tmp_path / "scan.h5")
    run = CliRunner().invoke
    line = ["reconstruct", str(tmp_path / "scan.h5"), "--shape", "32,32", "-o"]
    told = run(app, [*line, str(tmp_path / "all.h5")])
    assert "--leave-out 12,40-42" in " ".join(told.stderr.split())
    made = run(app, [*line, str(tmp_path / "v.h5"), "--leave-out", "12,40-42"])
    assert made.exit_code == 0 and "not fit" not in made.stderr, made.output
    again = run(
        app,
        ["reconstruct", str(tmp_path / "scan.h5"), "--config", str(tmp_path / "v.h5"), "-o", str(tmp_path / "w.h5")],
    )
    assert again.exit_code == 0, again.output
    values = sg.read_volume(tmp_path / "v.h5").values
    assert torch.equal(sg.read_volume(tmp_path / "w.h5").values, values)
    assert torch.equal(values, sg.reconstruct(scan, shape=(32, 32), leave_out=list(ODD)).values)
    streamed = run(app, [*line, str(tmp_path / "s.h5"), "--views", "10:", "--leave-out", "2,30-32", "--dry-run"])
    assert streamed.exit_code == 0 and "46 views" in streamed.stdout, streamed.output
    wrong = run(app, [*line, str(tmp_path / "x.h5"), "--leave-out", "77"])
    assert wrong.exit_code == 2 and "--leave-out" in wrong.stderr and not (tmp_path / "x.h5").exists()
