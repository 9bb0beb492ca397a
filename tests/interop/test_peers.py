"""The conventions against the toolkits themselves where they run on a CPU: RTK in 3-D, ASTRA in 2-D.

They run in the interpreter that `make peers` makes (.venv-peers, or the environment variable SINOGRAD_PEERS names its
Python). A smooth object off the middle is projected by both; what remains is the difference of the models.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.interop import to_astra, to_rtk_volume, write_rtk

WORKER = Path(__file__).with_name("peers_worker.py")
GRID = sg.Grid((24, 26, 28), (2.0, 2.0, 2.0), (3.0, -2.0, 1.5))
SLICE = sg.Grid((88, 96), 0.5, (3.0, -2.0))
PIXELS = sg.FlatDetector((20, 24), (3.5, 4.0), offset=(2.0, -5.0))
LINE = sg.FlatDetector(40, 2.5, offset=3.0)
ANGLES = sg.full_scan(7, 0.2)
ORBIT = {"source_to_origin": 150, "source_to_detector": 220, "angles": ANGLES}
VARIED = torch.linspace(-2, 2, 7, dtype=torch.float64)

SCANS_3D: dict[str, sg.Geometry] = {
    "circle": sg.ConeBeam.circular(**ORBIT, detector=PIXELS),
    "displaced": sg.ConeBeam.circular(
        **ORBIT,
        detector=PIXELS,
        axis_offset=2.0,
        source_offset=(3.0, -4.0),
        tilt=0.1,
        yaw=-0.15,
        in_plane_rotation=0.2,
        shifts=torch.stack([VARIED, -VARIED], 1),
    ),
    "helix": sg.ConeBeam.helical(**ORBIT, detector=PIXELS, pitch=10.0),
    "parallel": sg.ParallelBeam(ANGLES, PIXELS, axis_offset=1.0),
}
SCANS_2D: dict[str, tuple[sg.Geometry, str]] = {
    "fan": (sg.FanBeam.circular(**ORBIT, detector=sg.FlatDetector(40, 2.5)), "line_fanflat"),
    "fan displaced": (
        sg.FanBeam.circular(**ORBIT, detector=LINE, axis_offset=1.0, source_offset=VARIED, shifts=-VARIED),
        "line_fanflat",
    ),
    "parallel lines": (sg.ParallelBeam(ANGLES, sg.FlatDetector(40, 2.0)), "linear"),
    "parallel lines displaced": (sg.ParallelBeam(ANGLES, LINE, axis_offset=VARIED), "linear"),
}


def smooth(grid: sg.Grid) -> Tensor:
    """Gaussians of different sizes that no mirror or turn maps onto themselves, zero where the grid ends."""
    axes = torch.meshgrid(*grid.axes(), indexing="ij")
    result = torch.zeros(grid.shape, dtype=torch.float64)
    centers = ((4.0, 6.0, -5.0), (-6.0, -7.0, 4.0), (0.0, 5.0, 9.0))
    for (x, y, z), width, value in zip(centers, (3.5, 4.0, 3.0), (1.0, 0.6, 0.8), strict=True):
        position = (z, y, x)[-grid.ndim :]
        square = sum((axis - c) ** 2 for axis, c in zip(axes, position, strict=True))
        result += value * torch.exp(-square / (2 * width**2))
    return result.float()


@pytest.fixture(scope="module")
def peers(project_root: Path) -> Path:
    """The peers' interpreter."""
    python = Path(os.environ.get("SINOGRAD_PEERS") or project_root / ".venv-peers" / "bin" / "python")
    if not python.is_file():
        pytest.skip(f"needs RTK and ASTRA: run `make peers`, or set SINOGRAD_PEERS ({python} does not exist)")
    return python


@pytest.fixture(scope="module")
def run(peers: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[dict[str, Any]], Path], None]:
    """Runs jobs of a folder in one process of the peers."""

    def start(jobs: list[dict[str, Any]], folder: Path) -> None:
        (folder / "jobs.json").write_text(json.dumps(jobs))
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [str(peers), str(WORKER), str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return start


@pytest.fixture(scope="module")
def rtk(run: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """RTK's projections of all scans, from one process: loading ITK takes seconds."""
    folder = tmp_path_factory.mktemp("rtk")
    array, spacing, origin = to_rtk_volume(smooth(GRID), GRID)
    jobs = []
    for name, geometry in SCANS_3D.items():
        write_rtk(geometry, folder / f"{name}.xml")
        np.save(folder / f"{name}.npy", array.contiguous().numpy())
        job = {"library": "rtk", "name": name, "file": f"{name}.xml", "spacing": spacing, "origin": origin}
        jobs.append({**job, "shape": PIXELS.shape, "pixel": PIXELS.spacing})
    run(jobs, folder)
    return {name: np.load(folder / f"{name}.out.npy") for name in SCANS_3D}


@pytest.mark.parametrize("name", SCANS_3D)
def test_rtk(name: str, rtk: dict[str, np.ndarray]) -> None:
    """Both are Joseph's method."""
    expected = sg.XRayTransform(SCANS_3D[name], GRID)(smooth(GRID)).double()
    difference = torch.from_numpy(rtk[name]).double() - expected
    assert difference.norm() < 2e-5 * expected.norm()


@pytest.fixture(scope="module")
def astra(run: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """ASTRA's projections of all scans, in its short and its vector form."""
    folder = tmp_path_factory.mktemp("astra")
    jobs = []
    for name, (geometry, projector) in SCANS_2D.items():
        for form in ("auto", "vectors"):
            described, voxels = to_astra(geometry, SLICE, form)
            described = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in described.items()}
            job = {"library": "astra", "name": f"{name} {form}", "projector": projector}
            jobs.append({**job, "projection_geometry": described, "volume_geometry": voxels})
            np.save(folder / f"{name} {form}.npy", smooth(SLICE).numpy())
    run(jobs, folder)
    return {job["name"]: np.load(folder / f"{job['name']}.out.npy") for job in jobs}


@pytest.mark.parametrize("form", ["auto", "vectors"])
@pytest.mark.parametrize("name", SCANS_2D)
def test_astra(name: str, form: str, astra: dict[str, np.ndarray]) -> None:
    """ "linear" is Joseph's method; "line_fanflat" is Siddon's, which takes pixels as squares."""
    geometry, projector = SCANS_2D[name]
    expected = sg.XRayTransform(geometry, SLICE)(smooth(SLICE)).double()
    difference = torch.from_numpy(astra[f"{name} {form}"]).double() - expected
    assert difference.norm() < (2e-5 if projector == "linear" else 1e-2) * expected.norm()


def test_astra_transform(peers: Path, tmp_path: Path) -> None:
    """AstraTransform with ASTRA itself: the CPU's pairs are matched, scaled and centred."""
    site = peers.parents[1] / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    if not (site / "astra").is_dir():
        pytest.skip(f"needs ASTRA for this Python, and {site / 'astra'} does not exist")
    jobs = []
    for name in ("fan displaced", "parallel lines displaced"):
        geometry, projector = SCANS_2D[name]
        geometry.save(tmp_path / f"{name}.yaml")
        np.save(tmp_path / f"{name}.npy", smooth(SLICE).numpy())
        job = {"library": "check", "name": name, "projector": projector, "file": f"{name}.yaml"}
        jobs.append({**job, "grid": SLICE.to_dict(), "packages": str(site)})
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    # this interpreter and its packages first, the peers' behind them
    environment = {**os.environ, "PYTHONPATH": str(Path(sg.__file__).parents[1])}
    command = [sys.executable, str(WORKER), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for job in jobs:
        mismatch, scale, column_shift, error, difference = np.load(tmp_path / f"{job['name']}.out.npy")
        assert mismatch < 1e-5 and abs(scale - 1) < 0.01 and abs(column_shift) < 0.05 and error < 0.05
        assert difference < 0.01
