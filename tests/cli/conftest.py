from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from sinograd.cli.app import app
from sinograd.data import Scan
from sinograd.geometry import ConeBeam, FanBeam, FlatDetector, Grid, full_scan
from sinograd.io import write_scan
from sinograd.phantoms import ball

Command = Callable[..., Result]


@pytest.fixture
def sinograd() -> Command:
    """Run the command line with these arguments in this process."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def scan_file(tmp_path: Path) -> Path:
    """A cone-beam scan of a ball of 4 mm and 0.05 1/mm: 24 views of 20 x 24 pixels."""
    geometry = ConeBeam.circular(
        source_to_origin=60,
        source_to_detector=90,
        angles=full_scan(24),
        detector=FlatDetector((20, 24), 0.75),
    )
    scan = Scan(ball(4.0, 0.05).project(geometry), geometry, {"sample": "ball"}, Grid((8, 16, 16), 0.5))
    write_scan(scan, tmp_path / "scan.h5")
    return tmp_path / "scan.h5"


@pytest.fixture
def wedge_file(tmp_path: Path) -> Path:
    """A fan-beam scan of a disc over 3/4 of the views that are needed."""
    geometry = FanBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=full_scan(80)[:30], detector=FlatDetector(40, 0.45)
    )
    write_scan(Scan(ball(4.0, 0.05).project(geometry), geometry), tmp_path / "wedge.h5")
    return tmp_path / "wedge.h5"


@pytest.fixture
def beside_file(tmp_path: Path) -> Path:
    """A cone-beam scan whose detector lies beside the shadow of the rotation axis."""
    geometry = ConeBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=full_scan(4), detector=FlatDetector((4, 6), 1.0, (0, 20))
    )
    write_scan(Scan(torch.zeros(4, 4, 6), geometry, {"sample": "air"}), tmp_path / "beside.h5")
    return tmp_path / "beside.h5"
