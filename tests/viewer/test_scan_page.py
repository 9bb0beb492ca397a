"""The page of a scan. Truth: the arrays that the scan was made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sinograd.data import Calibration, Scan
from sinograd.errors import InputError
from sinograd.geometry import ConeBeam, FanBeam, FlatDetector, full_scan
from sinograd.io import write_scan, write_volume
from sinograd.viewer import serve_paths
from viewer.asking import array, get, record

VIEWS, ROWS, COLUMNS = 40, 9, 12


@pytest.fixture
def scan(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Two thirds of a turn; one pixel is dead."""
    generator = np.random.default_rng(3)
    arrays = {
        "projections": generator.uniform(100, 200, (VIEWS, ROWS, COLUMNS)).astype(np.float32),
        "reference": generator.uniform(900, 1000, (2, ROWS, COLUMNS)).astype(np.float32),
        "dark": generator.uniform(9, 10, (3, ROWS, COLUMNS)).astype(np.float32),
    }
    arrays["reference"][:, 4, 5] = 20
    geometry = ConeBeam.circular(
        source_to_origin=60,
        source_to_detector=90,
        angles=full_scan(60)[:VIEWS],
        detector=FlatDetector((ROWS, COLUMNS), 1.0),
    )
    calibration = Calibration(arrays["reference"], dark=arrays["dark"])
    made = Scan(
        torch.from_numpy(arrays["projections"]), geometry, {"sample": "<b>"}, None, "counts", None, {}, calibration
    )
    write_scan(made, tmp_path / "scan.h5")
    return tmp_path / "scan.h5", arrays


def test_images_are_those_of_the_scan(scan: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, arrays = scan
    with serve_paths([path]) as server:
        counts = record(server, "scan_facts")["counts"]
        assert counts == {"projection": VIEWS, "sinogram": ROWS, "reference": 2, "dark": 3, "dead": 1}
        np.testing.assert_array_equal(array(server, "image", kind="projection", index=7), arrays["projections"][7])
        np.testing.assert_array_equal(array(server, "image", kind="sinogram", index=3), arrays["projections"][:, 3])
        np.testing.assert_allclose(array(server, "image", kind="reference", index=1), arrays["reference"][1], rtol=1e-6)
        np.testing.assert_allclose(array(server, "image", kind="dark", index=2), arrays["dark"][2], rtol=1e-6)
        dead = array(server, "image", kind="dead", index=0)
        assert dead.sum() == 1 and dead[4, 5] == 1
        assert get(server, "image", kind="projection", index=VIEWS).status == 404
        assert get(server, "image", kind="shadow", index=0).status == 400


def test_the_orbit_shows_what_is_missing(scan: tuple[Path, dict[str, np.ndarray]]) -> None:
    with serve_paths([scan[0]]) as server:
        found = record(server, "orbit")
        assert len(found["source"]) == VIEWS
        np.testing.assert_allclose(np.hypot(*np.array(found["source"]).T), 60)
        ((first, end),) = found["gaps"]
        assert first == pytest.approx(237, abs=0.5) and end == pytest.approx(357, abs=0.5)


def test_in_a_browser(window: Any, scan: tuple[Path, dict[str, np.ndarray]]) -> None:
    with serve_paths([scan[0]]) as server:
        window.open(server.url)
        assert window.data("axis-image", "shape") == f"{ROWS},{COLUMNS}" and "<b>" in window.text("metadata")
        window.set("slice-image", 11)
        window.ready()
        assert "12 of 40, 66 deg" in window.text("place-image")
        window["play"].click()
        window.until(lambda: window.data("axis-image", "index") not in ("11", "12"))
        window["play"].click()
        for kind in ("sinogram", "reference", "dark", "dead"):
            window.set("kind", kind)
            window.until(lambda kind=kind: window.data("axis-image", "kind") == kind)
        window.until(lambda: window.data("orbit", "views") == str(VIEWS))
        assert window.text("coverage") and window.errors() == [] and window.strangers() == []


def test_a_fan_beam_is_its_sinogram(window: Any, tmp_path: Path) -> None:
    geometry = FanBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=full_scan(20), detector=FlatDetector(30, 0.5)
    )
    write_scan(Scan(torch.rand(20, 30), geometry), tmp_path / "fan.h5")
    with serve_paths([tmp_path / "fan.h5"]) as server:
        window.open(server.url)
        assert window.data("axis-image", "kind") == "sinogram" and window.data("axis-image", "shape") == "20,30"


def test_what_is_neither_or_both(scan: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    from sinograd.geometry import Grid

    (tmp_path / "text.txt").write_text("nothing")
    write_volume(torch.rand(2, 3, 4), tmp_path / "v.h5", Grid((2, 3, 4), 1.0), unit="1")
    with pytest.raises(InputError, match=r"neither a volume nor a scan.*text\.txt"):
        serve_paths([tmp_path / "text.txt"])
    with pytest.raises(InputError, match="is a scan: it is looked at alone"):
        serve_paths([tmp_path / "v.h5", scan[0]])
