"""What volumes say about the images that others publish, and detectors about pixels that are not square."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

import sinograd as sg
from sinograd.io.scans.fips import HTC_ORIENTATION


def test_volumes_of_htc2022_say_that_published_images_are_flipped(sinograd: Any, tmp_path: Path) -> None:
    geometry = sg.FanBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=sg.full_scan(24), detector=sg.FlatDetector(32, 1.0)
    )
    scan = sg.Scan(torch.zeros(24, 32), geometry, {"orientation": HTC_ORIENTATION})
    sg.write_scan(scan, tmp_path / "scan.h5")
    made = sinograd("reconstruct", tmp_path / "scan.h5", "-o", tmp_path / "v.h5", "--page", tmp_path / "v.html")
    assert HTC_ORIENTATION in made.stdout and HTC_ORIENTATION in (tmp_path / "v.html").read_text()
    assert HTC_ORIENTATION in sinograd("info", tmp_path / "v.h5").stdout
    volume = sg.read_volume(tmp_path / "v.h5")
    sg.save_preview(volume, tmp_path / "said.png")
    sg.save_preview(volume.with_provenance({}), tmp_path / "bare.png")
    assert (tmp_path / "said.png").stat().st_size > (tmp_path / "bare.png").stat().st_size + 1000  # a line of text


def test_pixels_that_are_not_square_are_told(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    words = "of 1.5 x 0.75 mm (rows x columns: pixels that are not square)"
    made = sinograd("reconstruct", scan_file, "-o", tmp_path / "v.h5", "--binning", "2,1")
    assert words in made.stdout
    assert words in sinograd("reconstruct", scan_file, "-o", tmp_path / "w.h5", "--binning", "2,1", "--dry-run").stdout
    assert "not square" not in sinograd("info", scan_file).stdout
    record = sinograd("reconstruct", scan_file, "-o", tmp_path / "x.h5", "--binning", "2,1", "--json").stdout
    assert json.loads(record)["geometry"]["detector"]["spacing_mm"] == [1.5, 0.75]
    low = ("simulate", "ball", "--scanner", "walnut", "--views", 4, "--detector", "32,64", "-o", tmp_path / "s.h5")
    assert "pixels that are not square" in sinograd(*low).stdout
