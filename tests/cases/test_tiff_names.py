"""Folders of TIFF whose names carry the angle: the order that comes out, and what it does to the slice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

import sinograd as sg

DETECTOR = sg.FlatDetector((6, 64), 0.1)
GRID = sg.Grid((4, 40, 40), 0.1)
OBJECT = sg.Ellipsoids([0.2, 0.1], [[1.4, 1.2, 0.5], [0.3, 0.3, 0.3]], [[0, 0, 0], [0.5, 0.2, 0]])
GOLDEN = (np.arange(180) * 111.24611797) % 180

NAMES: dict[str, tuple[np.ndarray, Callable[[int, float], str]]] = {
    "signed angle, padded": (np.arange(-90, 90), lambda i, a: f"tomo_{a:+07.2f}deg.tif"),
    "quarters": (np.arange(0, 180, 0.25), lambda i, a: f"p_{a}.tif"),
    "comma": (np.arange(0, 180, 0.25), lambda i, a: f"p_{a}.tif".replace(".", ",", 1)),
    "golden angle, then index": (GOLDEN, lambda i, a: f"GR_{a:.4f}".rstrip("0").rstrip(".") + f"_{i:03d}.tif"),
    "golden angle alone": (GOLDEN, lambda i, a: f"GR_{a:.4f}.tif"),
    "exponents": (np.arange(180), lambda i, a: f"scan_{a:.2e}.tif"),
    "exponents with signs": (np.arange(-90, 90), lambda i, a: f"tomo_{a:+.3e}_deg.tif"),
    "clock time before the index": (
        np.arange(180),
        lambda i, a: f"p_{9 + i // 60}-{i % 60}-{(i * 7) % 60}_{i}.tif",
    ),
}
TILTS: dict[str, Callable[[int, float], str]] = {
    "sign": lambda i, a: f"tilt_{a:.0f}.tif",
    "n and p": lambda i, a: f"tilt_{'n' if a < 0 else 'p'}{abs(a):.0f}.tif",
}


def written(folder: Path, degrees: np.ndarray, name: Callable[[int, float], str]) -> tuple[sg.Scan, list[str]]:
    """The scan of a folder whose geometry has the angles in the order in which they were taken, and the right names."""
    geometry = sg.ParallelBeam(torch.as_tensor(np.radians(degrees)), DETECTOR)
    names = [name(i, float(a)) for i, a in enumerate(degrees.astype(float))]
    for file, image in zip(names, OBJECT.project(geometry).numpy().astype(np.float32), strict=True):
        tifffile.imwrite(folder / file, image)
    geometry.save(folder / "geometry.yaml")
    return sg.read(folder), names


@pytest.mark.parametrize("case", NAMES)
def test_full_scans(tmp_path: Path, case: str) -> None:
    """In order, without a warning; the slice is as sharp as the phantom's own: 0.0074 of 0.2 for 180 views."""
    scan, names = written(tmp_path, *NAMES[case])
    assert [file.name for file in scan.projections.files] == names  # pyright: ignore[reportAttributeAccessIssue]
    error = (sg.fbp(scan.load(), scan.geometry, GRID) - OBJECT.voxelize(GRID)).square().mean().sqrt()
    assert error < 0.0076


@pytest.mark.parametrize("case", TILTS)
def test_tilt_series(tmp_path: Path, case: str) -> None:
    degrees = np.arange(-60, 61, 2)
    scan, names = written(tmp_path, degrees, TILTS[case])
    assert [file.name for file in scan.projections.files] == names  # pyright: ignore[reportAttributeAccessIssue]


def test_a_stray_image(tmp_path: Path) -> None:
    """The image at 180 degrees that the scanner took to see whether the sample moved is named, and left out."""
    written(tmp_path, np.arange(180), lambda i, a: f"S_{i:03d}.tif")
    tifffile.imwrite(tmp_path / "S_180deg.tif", np.zeros(DETECTOR.shape, np.float32))
    with pytest.warns(sg.errors.ScanWarning, match=r"S_180deg\.tif is named unlike the other 180 images .* left out"):
        scan = sg.read(tmp_path)
    assert scan.load().shape == (180, 6, 64) and scan.load(slice(179, 180)).any()


def test_images_that_are_missing(tmp_path: Path) -> None:
    written(tmp_path, np.arange(180), lambda i, a: f"S_{i:03d}.tif")
    for number in (17, 41):
        (tmp_path / f"S_{number:03d}.tif").unlink()
    with pytest.raises(ValueError, match=r"178 projections, .* 180 views: 2 numbers between them are missing: 17, 41"):
        sg.read(tmp_path)
