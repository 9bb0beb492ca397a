"""Bruker SkyScan scans. Truth: a phantom projected in the vectors of public readers, and those vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scanner_files import (
    COLUMNS,
    ROWS,
    VIEWS,
    WHITE,
    check_phantom,
    counts,
    phantom,
    skyscan_text,
    skyscan_vectors,
    stored,
    write_images,
)
from sinograd.data import Scan
from sinograd.errors import ScanWarning
from sinograd.geometry import ConeBeam, FlatDetector, ParallelBeam, full_scan
from sinograd.io import read


def write_scan(folder: Path, views: int = 3, prefix: str = "bone_", text: str | None = None, **changes: Any) -> Path:
    """Zeros for images."""
    write_images(np.zeros((views, ROWS, COLUMNS), np.uint16), folder, prefix, 0)
    entries = {"Number Of Files": views, **changes}
    path = folder / f"{prefix}.log"
    path.write_text(skyscan_text(prefix, **entries) if text is None else text, encoding="latin-1")
    return path


def assert_vectors(scan: Scan, expected: np.ndarray) -> None:
    vectors = scan.geometry.vectors.numpy()
    vectors[:, 2:] *= -1
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("changes", [{}, {"line_from_bottom": 15.0, "postalignment": 2.5}])
def test_a_phantom_comes_back(tmp_path: Path, changes: dict[str, float]) -> None:
    write_images(stored(skyscan_vectors(**changes), (0.5, 0.5)), tmp_path, "bone_", 0)
    text = skyscan_text(**{"Optical Axis (line)": changes.get("line_from_bottom", (ROWS - 1) / 2)})
    if changes:
        text += f"[Reconstruction]\r\nPostalignment={changes['postalignment']}\r\n"
    (tmp_path / "bone_.log").write_text(text, encoding="latin-1")
    scan = read(tmp_path / "bone_.log").validate()
    assert (scan.kind, scan.shape) == ("counts", (VIEWS, ROWS, COLUMNS))
    assert scan.calibration is not None
    assert bool((scan.calibration.load("reference") == WHITE).all())
    assert scan.metadata["vendor"] == "SkyScan1275" and scan.metadata["voltage"] == "80 kV"
    assert scan.metadata["center_shift_pixels"] == changes.get("postalignment", 0.0)
    check_phantom(scan.load(), WHITE, scan.geometry)


def test_a_phantom_in_a_parallel_beam(tmp_path: Path) -> None:
    """Object to Source of 100 m, as for scanners without a cone; images mirrored both ways, clockwise gantry."""
    angles = np.radians(-2.5 * np.arange(VIEWS))
    geometry = ParallelBeam(angles, FlatDetector((ROWS, COLUMNS), 0.2))
    images = counts(phantom().project(geometry))[:, ::-1, ::-1]
    write_images(images, tmp_path, "bone_", 0)
    changes = {"Object to Source (mm)": 100000, "Camera to Source (mm)": None, "Rotation Step (deg)": 2.5}
    (tmp_path / "bone_.log").write_text(skyscan_text(**changes), encoding="latin-1")
    scan = read(tmp_path)
    assert scan.geometry.equals(geometry)
    check_phantom(scan.load(), WHITE, scan.geometry)


def test_direction_and_line(tmp_path: Path) -> None:
    path = write_scan(tmp_path, **{"Rotation Direction": "CW", "Optical Axis (line)": 10})
    assert_vectors(read(path), skyscan_vectors(3, step=-5.0, line_from_bottom=10))
    assert_vectors(read(path, line_from_top=True), skyscan_vectors(3, step=-5.0, line_from_bottom=ROWS - 1 - 10))


def test_older_logs(tmp_path: Path) -> None:
    """No reference intensity, no camera distance, other names of keys, a comment before the first section."""
    changes = {"Reference Intensity": None, "Camera to Source (mm)": None, "Rotation Direction": None}
    text = "# Begin of log file ####\r\n" + skyscan_text(**{"Number Of Files": 3, **changes})
    scan = read(write_scan(tmp_path, text=text))
    assert_vectors(scan, skyscan_vectors(3, to_camera=60.0))
    assert scan.calibration is not None
    assert bool((scan.calibration.load("reference") == 65535).all())


def test_logs_of_reconstructions_and_other_programs_are_passed_over(tmp_path: Path) -> None:
    path = write_scan(tmp_path)
    (tmp_path / "bone__rec.log").write_text(skyscan_text())
    (tmp_path / "install.log").write_text("12:00 all went well")
    write_images(np.zeros((2, 4, 4), np.uint8), tmp_path, "bone__rec", 0)
    assert read(tmp_path).file == path
    (tmp_path / "second.log").write_text(skyscan_text())
    with pytest.raises(ValueError, match=r"holds 2 scans, name one: bone_\.log, second\.log"):
        read(tmp_path)


def test_what_is_not_applied_is_told(tmp_path: Path) -> None:
    path = write_scan(tmp_path, **{"Image Rotation": "0.1700"})
    (tmp_path / "bone__TS.csv").touch()
    with pytest.warns(ScanWarning, match=r"Image Rotation 0\.17 degrees, the thermal shifts in bone__TS\.csv"):
        read(path)
    (tmp_path / "bone__TS.csv").unlink()
    path = write_scan(tmp_path, text=skyscan_text(**{"Number Of Files": 3}).replace("Ratio=1.0", "Ratio=1.074"))
    with pytest.warns(ScanWarning, match=r"Camera X/Y Ratio 1\.074 \(pixels are taken for square\)"):
        read(path)
    path = write_scan(tmp_path, **{"Flat Field Correction": "OFF"})
    with pytest.warns(ScanWarning, match="Flat Field Correction is OFF"):
        assert read(path).calibration is None


def test_an_aborted_scan(tmp_path: Path) -> None:
    path = write_scan(tmp_path)
    path.write_text(skyscan_text(**{"Number Of Files": 5}), encoding="latin-1")
    (tmp_path / "bone_0001.tif").unlink()
    with pytest.warns(ScanWarning, match="lists 5 images, 3 are missing: 2 views are read"):
        scan = read(path)
    assert_vectors(scan, skyscan_vectors(3)[[0, 2]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Object to Source (mm)": None}, r"\[Acquisition\] has no Object to Source \(mm\)"),
        ({"Image Pixel Size (um)": 0}, r"Image Pixel Size \(um\) must be positive, got 0"),
        ({"Camera to Source (mm)": 10}, r"Camera to Source \(mm\) 10 is less than Object to Source \(mm\) 60"),
        ({"Number Of Files": "many"}, "Number of Files must be a number, got 'many'"),
        ({"Number Of Rows": 50}, r"images of 50 rows x 56 columns, bone_0000\.tif has 48 x 56"),
        ({"Rotation Direction": "up"}, "Rotation Direction must be CC or CW, got 'up'"),
        ({"Optical Axis (line)": 1e6}, r"Optical Axis \(line\) 1e\+06 is far outside the 48 rows"),
        ({"Depth (bits)": 1000}, "must be at most 32"),
        ({"Filename Prefix": "D:\\data\\other"}, r"no image other0000\.tif was found"),
    ],
)
def test_contradictions_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read(write_scan(tmp_path, **changes))
    assert str(tmp_path) in str(caught.value)


def test_a_given_geometry(tmp_path: Path) -> None:
    path = write_scan(tmp_path, **{"Object to Source (mm)": None})
    geometry = ConeBeam.circular(
        source_to_origin=1, source_to_detector=2, angles=full_scan(3), detector=FlatDetector((ROWS, COLUMNS), 0.1)
    )
    scan = read(path, geometry)
    assert scan.geometry is geometry
    torch.testing.assert_close(scan.load(0), torch.zeros(ROWS, COLUMNS))
