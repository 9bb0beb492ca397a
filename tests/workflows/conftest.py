from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import sinograd as sg
from sinograd.cli.app import app
from sinograd.phantoms import ball


@pytest.fixture
def command() -> Callable[..., Result]:
    """Run a command that must succeed."""

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        return result

    return run


@pytest.fixture
def cone(tmp_path: Path) -> Path:
    """A cone-beam scan of a ball: 24 views of 20 x 24 pixels."""
    geometry = sg.ConeBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=sg.full_scan(24), detector=sg.FlatDetector((20, 24), 0.75)
    )
    scan = sg.Scan(ball(4.0, 0.05).project(geometry), geometry, {"sample": "ball"}, sg.Grid((20, 18, 18), 0.5))
    sg.write_scan(scan, tmp_path / "cone.h5")
    return tmp_path / "cone.h5"


@pytest.fixture
def fan(tmp_path: Path) -> Path:
    """A fan-beam scan of a disc: 30 views of 40 pixels."""
    geometry = sg.FanBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=sg.full_scan(30), detector=sg.FlatDetector(40, 0.45)
    )
    sg.write_scan(sg.Scan(ball(4.0, 0.05).project(geometry), geometry), tmp_path / "fan.h5")
    return tmp_path / "fan.h5"
