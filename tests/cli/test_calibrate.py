"""`sinograd calibrate`. Truth: the axis that the scan was made with."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import Result

import sinograd as sg

Command = Callable[..., Result]


@pytest.fixture
def off_file(tmp_path: Path) -> Path:
    """A fan-beam scan of a few discs whose file has the axis 0.9 mm from where it is."""
    geometry = sg.FanBeam.circular(
        source_to_origin=60,
        source_to_detector=90,
        angles=sg.full_scan(60),
        detector=sg.FlatDetector(64, 0.45),
        axis_offset=0.9,
    )
    body = sg.Ellipsoids(
        [0.05, 0.05, -0.03], [[6.0, 5, 5], [1.0, 1.5, 2], [2.0, 1, 1]], [[0.0, 0, 0], [2.0, 2, 0], [-2, 1, 0]]
    )
    wrong = dataclasses.replace(geometry.recipe, axis_offset=0.0).geometry()
    sg.write_scan(sg.Scan(body.project(geometry).float(), wrong), tmp_path / "scan.h5")
    return tmp_path / "scan.h5"


def test_it_finds_the_axis_and_draws_it(sinograd: Command, off_file: Path, tmp_path: Path) -> None:
    output, picture = tmp_path / "beam.yaml", tmp_path / "both.png"
    result = sinograd("calibrate", off_file, "-o", output, "--picture", picture)
    assert result.exit_code == 0, result.output
    assert "axis_offset" in result.stdout and "standard error" in result.stdout
    geometry = sg.load_geometry(output)
    assert float(geometry.to_dict()["axis_offset"]) == pytest.approx(0.9, abs=0.02)
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert sinograd("reconstruct", off_file, "--geometry", output, "-o", tmp_path / "v.h5", "-q").exit_code == 0
    again = sinograd("calibrate", off_file, "-o", output)
    assert again.exit_code != 0 and "exists" in again.output


def test_numbers_for_programs(sinograd: Command, off_file: Path) -> None:
    result = sinograd("calibrate", off_file, "--json")
    numbers = json.loads(result.stdout)
    assert numbers["command"] == "calibrate" and numbers["warnings"] == [] and numbers["files"] == {}
    assert numbers["values"] == {"axis_offset_mm": pytest.approx(0.9, abs=0.02)}
    assert numbers["standard_errors"]["axis_offset_mm"] > 0 and numbers["held"] == {}
    assert numbers["criterion"]["before"] > numbers["criterion"]["after"] and numbers["geometry"]["views"] == 60
    assert sg.Geometry.from_dict(numbers["geometry_file"]).views == 60


def test_outputs_are_checked_before_the_work(
    sinograd: Command, off_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        pytest.fail("it calibrated first")

    monkeypatch.setattr("sinograd.recon.calibrate", fail)
    for options in (("-o", tmp_path / "missing" / "beam.yaml"), ("--picture", tmp_path / "missing" / "both.png")):
        result = sinograd("calibrate", off_file, *options)
        assert result.exit_code == 2 and "missing does not exist" in result.stderr


def test_wrong_values_are_named(sinograd: Command, off_file: Path, tmp_path: Path) -> None:
    for options, words in (
        (("--learn", "tilt"), "expected some of"),
        (("-o", tmp_path / "beam.txt"), "expected a name that ends in .yaml"),
        (("--criterion", "beauty"), "beauty"),
        (("-o", off_file), "expected a name that ends in"),
    ):
        result = sinograd("calibrate", off_file, *options)
        assert result.exit_code != 0 and words in " ".join(result.output.split())


def test_the_function(off_file: Path) -> None:
    result = sg.workflows.calibrate_scan(off_file, learn="axis_offset")
    assert result.values["axis_offset"] == pytest.approx(0.9, abs=0.02)
    with pytest.raises(sg.errors.InputTypeError, match="expected a path"):
        sg.workflows.calibrate_scan(torch.zeros(2))  # type: ignore[arg-type]
