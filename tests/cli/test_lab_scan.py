"""A lab microscope's scan, from .txrm to attenuation in one command. Truth: the phantom.

A short scan with references, drift of the sample (shifts), an axis that is not where the file says, and an object
wider than the field of view. The numbers are those of a real one of 1024 x 1024 pixels and 1601 images, eight times
smaller: PixelSize 44.998 um, shifts of -8 to +3.4 pixels, uint16 images, float32 reference.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sinograd.geometry import ConeBeam, FlatDetector, Grid
from sinograd.io import read_volume
from sinograd.phantoms import Ellipsoids
from txrm_file import write_txrm

PIXELS, VIEWS = 128, 201
PIXEL_MM = 8 * 44.998e-3  # at the sample
SOD, ODD = 220.0, 420.0
SPACING = PIXEL_MM * (SOD + ODD) / SOD
AXIS = 5.3  # pixels, where the axis really is; the file says 0
PHOTONS = 4e4
MATERIAL = 0.02  # 1/mm
GRID = Grid((24, 96, 96), PIXEL_MM)


@dataclass(frozen=True)
class Lab:
    """The file and the truth."""

    path: Path
    phantom: Ellipsoids


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    # The field of view has a radius of 22 mm; the object one of 25 to 27 mm.
    phantom = Ellipsoids(
        value=[MATERIAL, -0.5 * MATERIAL, 0.5 * MATERIAL, 0.5 * MATERIAL],
        semi_axes=[[27, 25, 28], [4, 4, 4], [3, 2, 5], [0.8, 0.8, 6]],
        center=[[0, 0, 0], [6, 3, 0], [-7, 2, 1], [2, -9, 0]],
    )
    rng = np.random.default_rng(3)
    t = np.linspace(0, 1, VIEWS)
    shifts = np.stack([0.8 * np.sin(5 * t), -1.0 + 1.43 * t + 0.2 * np.sin(9 * t)], axis=1)  # (row, column), pixels
    fan = 2 * math.atan(PIXELS / 2 * SPACING / (SOD + ODD))
    angles = np.linspace(0, math.pi + fan, VIEWS)
    geometry = ConeBeam.circular(
        source_to_origin=SOD,
        source_to_detector=SOD + ODD,
        angles=torch.from_numpy(angles),
        detector=FlatDetector((PIXELS, PIXELS), SPACING, (0.0, -AXIS * SPACING)),
        shifts=torch.from_numpy(shifts * SPACING),
    )
    columns = np.linspace(-1, 1, PIXELS)
    beam = PHOTONS * (1 - 0.2 * columns**2 - 0.1 * columns[:, None] ** 2)
    expected = torch.from_numpy(beam) * torch.exp(-phantom.project(geometry, dtype=torch.float64))
    counts = rng.poisson(expected.numpy()).astype(np.uint16)
    reference = rng.poisson(beam, (20, PIXELS, PIXELS)).mean(axis=0).astype(np.float32)
    path = tmp_path_factory.mktemp("lab") / "bone.txrm"
    write_txrm(
        path,
        counts,
        -np.degrees(angles),  # of the stage
        pixel_um=1000 * PIXEL_MM,
        distances_mm=(-SOD, ODD),
        reference=reference,
        shifts=shifts,
        center_shift=0.0,
    )
    return Lab(path, phantom)


def interior(volume: torch.Tensor) -> tuple[float, float]:
    """Mean in the middle (within 3 mm of the axis, away from the inserts) and near the edge of the field of view."""
    _, y, x = GRID.axes()
    radius = (x**2 + y[:, None] ** 2).sqrt()
    below = (y < 1)[:, None].expand(len(y), len(x)) & (y > -5)[:, None]
    middle = (radius < 3) & below
    edge = (radius > 15) & (radius < 16.8)
    slices = volume[8:16].double()
    return float(slices[:, middle].mean()), float(slices[:, edge].mean())


def test_one_command(sinograd: Any, lab: Lab, tmp_path: Path) -> None:
    options = ("--center", "auto", "--truncation", "ellipse", "--window", "hann", "--mask")
    voxels = ("--voxel-mm", PIXEL_MM, "--shape", "24,96,96", "--center-mm", "0,0,0")
    result = sinograd("reconstruct", lab.path, "-o", tmp_path / "v.h5", *options, *voxels)
    assert result.exit_code == 0, result.output
    found = re.search(r"^centre +([+-][\d.]+) pixels", result.stdout, re.M)
    assert found is not None and float(found[1]) == pytest.approx(-AXIS, abs=0.25)

    saved = read_volume(tmp_path / "v.h5")
    volume, grid = saved.values, saved.grid
    assert grid.equals(GRID)
    middle, edge = interior(volume)
    assert middle == pytest.approx(MATERIAL, rel=0.01)
    assert edge == pytest.approx(MATERIAL, rel=0.01)
    # The details are where they belong, at their values.
    truth = lab.phantom.voxelize(GRID)
    for place in ((12, 56, 64), (14, 53, 29)):
        z, y, x = (slice(i - 1, i + 2) for i in place)
        assert float(volume[z, y, x].mean()) == pytest.approx(float(truth[z, y, x].mean()), abs=0.03 * MATERIAL)


def test_without_truncation_handling_the_volume_is_cupped(sinograd: Any, lab: Lab, tmp_path: Path) -> None:
    voxels = ("--voxel-mm", PIXEL_MM, "--shape", "24,96,96", "--center-mm", "0,0,0", "--window", "hann")
    result = sinograd("reconstruct", lab.path, "-o", tmp_path / "v.h5", "--center", -AXIS, *voxels)
    assert result.exit_code == 0, result.output
    middle, edge = interior(read_volume(tmp_path / "v.h5").values)
    print(f"cupping: middle {middle / MATERIAL:.3f}, edge {edge / MATERIAL:.3f} of the attenuation")
    assert edge / middle > 1.05
