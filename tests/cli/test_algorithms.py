"""`sinograd reconstruct --algorithm`. Truth: the functions called directly, and the real HTC scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import ndimage

import sinograd as sg
from sinograd.choices import ALGORITHMS
from sinograd.cli.options import RECONSTRUCT
from sinograd.io import read, read_volume

METHODS = {entry.name: entry.about for entry in ALGORITHMS.entries() if entry.about.get("iterative")}


@pytest.mark.filterwarnings("ignore::sinograd.errors.GridWarning")
@pytest.mark.parametrize("name", METHODS)
def test_the_volume_is_the_functions(sinograd: Any, scan_file: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out.h5"
    result = sinograd("reconstruct", scan_file, "-o", out, "--algorithm", name, "--iterations", 3)
    assert result.exit_code == 0, result.output
    scan = read(scan_file)
    saved = read_volume(out)
    volume, grid, provenance = saved.values, saved.grid, saved.provenance
    operator = sg.XRayTransform(scan.geometry, grid)
    bounds = {"lower": 0.0} if METHODS[name].get("non_negative") else {}
    expected = getattr(sg.recon, name.replace("-", "_"))(operator, scan.load(), iterations=3, **bounds)
    torch.testing.assert_close(volume, expected.image, rtol=0, atol=0)
    assert provenance["algorithm"] == name.upper()
    residual = expected.residuals[int(expected.best)].item()
    assert provenance["details"] == f"3 iterations, residual {residual:.4g} of the projections"
    assert provenance["details"] in result.stdout and "window" not in result.stdout


@pytest.mark.filterwarnings("ignore::sinograd.errors.GridWarning")
def test_options(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    options = ("--algorithm", "fista-tv", "--iterations", 2, "--tv-strength", 3, "--any-sign", "-q")
    assert sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", *options).exit_code == 0
    scan = read(scan_file)
    saved = read_volume(tmp_path / "out.h5")
    volume, grid = saved.values, saved.grid
    expected = sg.recon.fista_tv(sg.XRayTransform(scan.geometry, grid), scan.load(), iterations=2, strength=3.0)
    torch.testing.assert_close(volume, expected.image, rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore::sinograd.errors.GridWarning")
def test_options_of_chambolle_pock(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    options = ("--algorithm", "chambolle-pock", "--iterations", 2, "--tv-strength", 3, "--any-sign", "-q")
    assert sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", *options).exit_code == 0
    scan = read(scan_file)
    saved = read_volume(tmp_path / "out.h5")
    operator = sg.XRayTransform(scan.geometry, saved.grid)
    expected = sg.recon.chambolle_pock(operator, scan.load(), iterations=2, strength=3.0)
    torch.testing.assert_close(saved.values, expected.image, rtol=0, atol=0)


def test_the_algorithms_are_those_of_the_option() -> None:
    analytic = {"fdk", "fbp", "helical-fbp", "katsevich"}
    assert {*METHODS, "auto", *analytic} == set(RECONSTRUCT["algorithm"].kind.names())


@pytest.mark.filterwarnings("ignore::sinograd.errors.GridWarning")
def test_defaults_are_the_functions(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    assert sinograd("reconstruct", scan_file, "-o", out, "--algorithm", "cgls", "-q").exit_code == 0
    scan = read(scan_file)
    saved = read_volume(out)
    volume, grid = saved.values, saved.grid
    expected = sg.recon.cgls(sg.XRayTransform(scan.geometry, grid), scan.load()).image
    torch.testing.assert_close(volume, expected, rtol=0, atol=0)


def test_fdk_and_fbp_by_name(sinograd: Any, scan_file: Path, wedge_file: Path, tmp_path: Path) -> None:
    for file, right, wrong in ((scan_file, "fdk", "fbp"), (wedge_file, "fbp", "fdk")):
        assert sinograd("reconstruct", file, "-o", tmp_path / "a.h5", "--algorithm", right, "--force").exit_code == 0
        assert sinograd("reconstruct", file, "-o", tmp_path / "b.h5", "--force").exit_code == 0
        torch.testing.assert_close(read_volume(tmp_path / "a.h5").values, read_volume(tmp_path / "b.h5").values)
        result = sinograd("reconstruct", file, "-o", tmp_path / "c.h5", "--algorithm", wrong)
        assert result.exit_code == 2 and f"--algorithm {wrong} does not take a" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--iterations", "5"), "--iterations is for iterative algorithms (sirt, "),
        (("--algorithm", "fdk", "--iterations", "5"), "--iterations is for iterative algorithms"),
        (("--algorithm", "sirt", "--iterations", "0"), "--iterations must be at least 1, got 0"),
        (("--algorithm", "sirt", "--iterations", "-3"), "--iterations must be at least 1, got -3"),
        (("--algorithm", "sirt", "--tv-strength", "1"), "--tv-strength is for fista-tv, chambolle-pock, not for sirt"),
        (("--algorithm", "fista-tv", "--tv-strength", "-1"), "--tv-strength must not be negative, got -1"),
        (("--algorithm", "chambolle-pock", "--tv-strength", "-1"), "--tv-strength must not be negative, got -1"),
        (
            ("--algorithm", "gradient-descent", "--tv-strength", "1"),
            "--tv-strength is for fista-tv, chambolle-pock, not",
        ),
        (("--algorithm", "fbp"), "--algorithm fbp does not take a ConeBeam"),
        (("--algorithm", "magic"), "'magic' is not one of"),
    ],
)
def test_wrong_options(sinograd: Any, scan_file: Path, tmp_path: Path, options: Any, message: str) -> None:
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", *options)
    assert result.exit_code == 2 and message in result.stderr
    assert not (tmp_path / "out.h5").exists()


def test_an_object_larger_than_the_grid(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    options = ("--algorithm", "sirt", "--shape", "8,4,4", "--iterations", 2)
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", *options)
    assert result.exit_code == 0 and "the object is larger than the grid" in result.stderr


LIMITS = {"sirt": 0.7, "cgls": 0.8, "fista-tv": 0.5, "chambolle-pock": 0.5, "gradient-descent": 0.7}


@pytest.mark.parametrize("name", ["sirt", "cgls", "fista-tv", "chambolle-pock", "gradient-descent"])
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
    saved = read_volume(tmp_path / "out.h5")
    image, grid = saved.values, saved.grid
    y, x = grid.axes()
    disc = (x**2 + (y[:, None] + 1.4) ** 2).sqrt() < 33
    solid = ndimage.binary_erosion((whole > 0.018) & disc, iterations=2)
    empty = ndimage.binary_erosion((whole < 0.014) & disc, iterations=2)

    def unevenness(picture: torch.Tensor) -> float:
        material, opening = picture[torch.from_numpy(solid)], picture[torch.from_numpy(empty)]
        assert 0.028 < material.mean() < 0.04
        return ((material.std() + opening.square().mean().sqrt()) / material.mean()).item()

    assert unevenness(image) < LIMITS[name] * unevenness(fbp)
