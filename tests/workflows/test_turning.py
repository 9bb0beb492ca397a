"""Turns of the detector found from the projections. Truth: a body simulated with an axis and turns that are known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import sinograd as sg
from sinograd.cli.app import app

pytestmark = pytest.mark.filterwarnings("ignore:another centre of rotation:sinograd.errors.CenterWarning")

ORBIT = {"source_to_origin": 100, "source_to_detector": 200, "angles": sg.full_scan(48)}
DETECTOR = sg.FlatDetector((32, 48), 1.6)
GRID = {"shape": (24, 48, 48), "voxel_mm": 0.75}
STATED = sg.ConeBeam.circular(**ORBIT, detector=DETECTOR)
TRUTH = sg.ConeBeam.circular(**ORBIT, detector=DETECTOR, axis_offset=1.3, in_plane_rotation=math.radians(1.5))


def body() -> sg.Ellipsoids:
    seeds = torch.rand(30, 7, generator=torch.Generator().manual_seed(1))
    return sg.Ellipsoids(
        [0.02, *(0.03 * seeds[:, 0]).tolist()],
        [[14, 12, 14], *(3 * seeds[:, 1:4] + 1).tolist()],
        [[0, 0, 0], *(16 * seeds[:, 4:] - 8).tolist()],
    )


def scan_of(geometry: sg.Geometry) -> sg.Scan:
    clean = body().project(geometry).float()
    noisy = sg.add_photon_noise(clean, 1e4, generator=torch.Generator().manual_seed(0))
    return sg.Scan(noisy, STATED)


@pytest.fixture(scope="module")
def turned_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("turned") / "scan.h5"
    sg.write_scan(scan_of(TRUTH), path)
    return path


@pytest.fixture(scope="module")
def found(turned_file: Path) -> tuple[dict[str, Any], sg.Volume]:
    """The record and the volume of the command."""
    output = turned_file.with_name("v.h5")
    line = ["reconstruct", str(turned_file), "-o", str(output), "--center", "auto", "--tilt", "auto", "--json"]
    line += ["--shape", "24,48,48", "--voxel-mm", "0.75"]
    outcome = CliRunner().invoke(app, line, catch_exceptions=False)
    return json.loads(outcome.stdout), sg.read_volume(output)


def test_axis_and_roll_are_found_together(found: tuple[dict[str, Any], sg.Volume], turned_file: Path) -> None:
    record, volume = found
    turns = record["turns"]
    assert abs(turns["in_plane_rotation_deg"] - 1.5) < 0.1
    assert abs(turns["in_plane_rotation_deg"] - 1.5) < 2 * turns["in_plane_rotation_standard_error_deg"]
    best = sg.fdk(scan_of(TRUTH).projections, TRUTH, volume.grid)
    before = sg.reconstruct(turned_file, **GRID).values
    away, start = ((values - best).square().mean().sqrt() for values in (volume.values, before))
    assert away < 0.25 * start
    assert "in-plane rotation +1." in volume.provenance["turns"]


def test_in_slabs_and_resumed_the_same_bits(
    found: tuple[dict[str, Any], sg.Volume], turned_file: Path, tmp_path: Path
) -> None:
    """The first run of a part searches, the second takes what it found."""
    for part in ("1/2", "2/2"):
        made = sg.reconstruct(turned_file, tmp_path / "v.zarr", part=part, center="auto", tilt="auto", **GRID)
    np.testing.assert_array_equal(made.load().values.numpy(), found[1].values.numpy())
    assert made.provenance["turns"] == found[1].provenance["turns"]


def test_degrees_are_a_roll(turned_file: Path) -> None:
    rolled = sg.ConeBeam.circular(**ORBIT, detector=DETECTOR, in_plane_rotation=math.radians(1.5))
    found = sg.reconstruct(turned_file, tilt=1.5, **GRID)
    expected = sg.fdk(scan_of(TRUTH).projections, rolled, found.grid)
    np.testing.assert_array_equal(found.values.numpy(), expected.numpy())


def test_a_straight_scan_stays(tmp_path: Path) -> None:
    """Not turned by more than two standard errors: the bits are those of the scan's own geometry."""
    scan = scan_of(STATED)
    found = sg.reconstruct(scan, tilt="auto", **GRID)
    assert "turns" not in found.provenance
    np.testing.assert_array_equal(found.values.numpy(), sg.reconstruct(scan, **GRID).values.numpy())


@pytest.mark.parametrize("tilt", ["upright", 46, float("nan"), True, None])
def test_what_is_no_turn(tilt: object) -> None:
    with pytest.raises(sg.errors.InputError, match="`tilt`: expected file, auto or a number of degrees"):
        sg.reconstruct(scan_of(STATED), tilt=tilt)  # pyright: ignore[reportArgumentType]


def test_detectors_that_cannot_be_turned() -> None:
    fan = sg.FanBeam.circular(**ORBIT, detector=sg.FlatDetector(64, 1.2))
    given = STATED.at(STATED.vectors)
    for scan in (sg.Scan(torch.zeros(48, 64), fan), sg.Scan(torch.zeros(48, 32, 48), given)):
        with pytest.raises(sg.errors.InputError, match="`tilt`: expected a scan with detector rows"):
            sg.reconstruct(scan, tilt="auto")


def test_a_search_that_finds_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves the turns of the scan."""

    def fails(*_: object, **__: object) -> None:
        raise sg.errors.CalibrationError("the criterion falls up to the bounds", None)  # pyright: ignore

    monkeypatch.setattr("sinograd.recon.calibrate", fails)
    scan = scan_of(STATED)
    with pytest.warns(sg.errors.CalibrationWarning, match="no turns of the detector were found: the criterion falls"):
        found = sg.reconstruct(scan, tilt="auto", **GRID)
    np.testing.assert_array_equal(found.values.numpy(), sg.reconstruct(scan, **GRID).values.numpy())


def test_few_detector_rows() -> None:
    """Of calibrations, too."""
    low = sg.ConeBeam.circular(**ORBIT, detector=sg.FlatDetector((2, 512), 0.2))
    for call in (
        lambda: sg.reconstruct(sg.Scan(torch.zeros(48, 2, 512), low), tilt="auto"),
        lambda: sg.calibrate(torch.zeros(48, 2, 512), low, learn=("in_plane_rotation",)),
    ):
        with pytest.raises(sg.errors.InputError, match=r"^projections: expected at least 4 detector rows, .* got 2"):
            call()
