"""`sinograd reconstruct --algorithm`. Truth: the functions of `sinograd.recon` called directly."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import ndimage

import sinograd as sg
from sinograd.cli.iterating import METHODS
from sinograd.cli.options import Algorithm
from sinograd.io import read, read_volume
from sinograd.ops import XRayTransform
from sinograd.recon import cgls, fista_tv, sirt


def test_sirt_is_what_the_function_gives(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "v.h5", "--algorithm", "sirt", "--iterations", 5)
    assert result.exit_code == 0, result.output
    assert "SIRT, 5 iterations, residual 0." in result.stdout
    scan = read(scan_file)
    assert scan.grid is not None
    expected = sirt(XRayTransform(scan.geometry, scan.grid), scan.load(), iterations=5, lower=0.0).image
    torch.testing.assert_close(read_volume(tmp_path / "v.h5")[0], expected, rtol=0, atol=0)
    assert read_volume(tmp_path / "v.h5")[2]["options"]["algorithm"] == "sirt"


@pytest.mark.parametrize("algorithm", [name for name in METHODS if name != "sirt"])
def test_every_algorithm_runs(sinograd: Any, scan_file: Path, tmp_path: Path, algorithm: str) -> None:
    """The ball of 0.05 1/mm comes out."""
    run = ("reconstruct", scan_file, "-o", tmp_path / "v.h5", "--iterations", 4, "--algorithm", algorithm)
    result = sinograd(*run)
    assert result.exit_code == 0, result.output
    assert f"{algorithm.upper()}, 4 iterations" in result.stdout
    assert read_volume(tmp_path / "v.h5")[0][4, 8, 8] == pytest.approx(0.05, rel=0.25)


def test_the_names_are_those_of_the_options() -> None:
    assert {a.value for a in Algorithm} == {"auto", "fdk", "fbp", *METHODS}


def test_an_interrupted_run_goes_on_from_its_image(
    sinograd: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sinograd.cli.progress import Progress

    run = ("reconstruct", scan_file, "-o", tmp_path / "v.h5", "--algorithm", "cgls", "--iterations", 6)
    stage = Progress.stage

    def watched(self: Progress, name: str, total: int, unit: str = "views") -> Any:
        advance = stage(self, name, total, unit)

        def tell(done: int, of: int, *note: str) -> None:
            advance(done, of, *note)
            if name == "iterating" and done == 2:
                os.kill(os.getpid(), signal.SIGINT)

        return tell

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "stage", watched)
        stopped = sinograd(*run)
    assert stopped.exit_code == 130 and "--resume goes on from there" in stopped.stderr
    assert (tmp_path / "v.h5.partial.h5").exists() and not (tmp_path / "v.h5").exists()
    image, _, record = read_volume(tmp_path / "v.h5.partial.h5")
    result = sinograd(*run, "--resume")
    assert result.exit_code == 0 and "CGLS, 6 iterations" in result.stdout
    assert not (tmp_path / "v.h5.partial.h5").exists()
    scan = read(scan_file)
    assert scan.grid is not None
    operator = XRayTransform(scan.geometry, scan.grid)
    expected = cgls(operator, scan.load(), start=image, iterations=6 - record["done"]).image
    torch.testing.assert_close(read_volume(tmp_path / "v.h5")[0], expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--iterations", 5), "--iterations is for iterative algorithms"),
        (("--algorithm", "sirt", "--iterations", 0), "--iterations must be at least 1, got 0"),
        (("--algorithm", "sirt", "--tv-strength", 2), "--tv-strength is for fista-tv, not for sirt"),
        (("--algorithm", "fbp"), "--algorithm fbp does not take a ConeBeam"),
        (("--algorithm", "art"), "'art' is not one of"),
    ],
)
def test_wrong_options(
    sinograd: Any, scan_file: Path, tmp_path: Path, arguments: tuple[Any, ...], message: str
) -> None:
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "v.h5", *arguments)
    assert result.exit_code == 2 and message in result.stderr and not (tmp_path / "v.h5").exists()


def test_the_real_fan_scan(sinograd: Any, shared_data: Path, tmp_path: Path) -> None:
    """Without tuning: a residual of a few per cent, an even disc."""
    file = shared_data / "htc2022" / "tb_549views.mat"
    size = ("--voxel-mm", 1.2, "--shape", "64,64", "--views", "::6")
    result = sinograd("reconstruct", file, "-o", tmp_path / "v.h5", "--algorithm", "sirt", "--iterations", 20, *size)
    assert result.exit_code == 0, result.output
    residual = float(result.stdout.split("residual ")[1].split()[0])
    assert residual < 0.1


def test_options(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    options = ("--algorithm", "fista-tv", "--iterations", 2, "--tv-strength", 3, "--any-sign", "-q")
    assert sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", *options).exit_code == 0
    scan = read(scan_file)
    volume, grid, _ = read_volume(tmp_path / "out.h5")
    expected = fista_tv(XRayTransform(scan.geometry, grid), scan.load(), iterations=2, strength=3.0)
    torch.testing.assert_close(volume, expected.image, rtol=0, atol=0)


def test_an_object_larger_than_the_grid(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    options = ("--algorithm", "sirt", "--shape", "8,4,4", "--iterations", 2)
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", *options)
    assert result.exit_code == 0 and "the object is larger than the grid" in result.stderr


@pytest.mark.parametrize("name", ["sirt", "cgls", "fista-tv"])
def test_the_real_scan_without_tuning(sinograd: Any, shared_data: Path, tmp_path: Path, name: str) -> None:
    """A twentieth of HTC 2022's views: material is even and openings are empty, more than FBP has them."""
    scan = read(shared_data / "htc2022" / "tb_549views.mat")
    few = sg.Scan(scan.load()[::20], scan.geometry[::20], grid=sg.Grid((128, 128), 4 * scan.grid.spacing[0]))
    sg.write_scan(few, tmp_path / "few.h5")
    with pytest.warns(sg.CoverageWarning):
        whole = sg.fbp(scan.load(), scan.geometry, few.grid, window="hann")
        fbp = sg.fbp(few.load(), few.geometry, few.grid, window="hann")
    result = sinograd("reconstruct", tmp_path / "few.h5", "-o", tmp_path / "out.h5", "--algorithm", name)
    assert result.exit_code == 0, result.output
    image, grid, _ = read_volume(tmp_path / "out.h5")
    y, x = grid.axes()
    disc = (x**2 + (y[:, None] + 1.4) ** 2).sqrt() < 33
    solid = ndimage.binary_erosion((whole > 0.018) & disc, iterations=2)
    empty = ndimage.binary_erosion((whole < 0.014) & disc, iterations=2)

    def unevenness(picture: torch.Tensor) -> float:
        material, opening = picture[torch.from_numpy(solid)], picture[torch.from_numpy(empty)]
        assert 0.028 < material.mean() < 0.04
        return ((material.std() + opening.square().mean().sqrt()) / material.mean()).item()

    assert unevenness(image) < {"sirt": 0.7, "cgls": 0.8, "fista-tv": 0.5}[name] * unevenness(fbp)
