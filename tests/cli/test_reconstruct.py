"""`sinograd reconstruct`. Truth: sg.fdk and sg.fbp called directly, phantom values, the real HTC scan."""

from __future__ import annotations

import errno
import math
import re
import shutil
import tempfile
import warnings
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg
from sinograd.cli.options import RECONSTRUCT
from sinograd.geometry import Grid
from sinograd.io import read, read_volume
from sinograd.recon import WINDOWS
from sinograd.workflows.estimate import needed_memory
from sinograd.workflows.grids import choose_grid, outside_text

BACKPROJECTION = "sinograd.recon.FilteredBackprojection.add"
Usage = namedtuple("Usage", "total used free")


def one_line(text: str) -> str:
    """The text of stderr, which must be one line without a traceback."""
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("sinograd: ")
    return lines[0]


def test_a_cone_beam_is_what_fdk_gives(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--preview", tmp_path / "out.png")
    assert result.exit_code == 0, result.output
    scan = read(scan_file)
    saved = read_volume(tmp_path / "out.h5")
    volume, grid, provenance = saved.values, saved.grid, saved.provenance
    assert scan.grid is not None and grid.equals(scan.grid)
    torch.testing.assert_close(volume, sg.fdk(scan.load(), scan.geometry, grid), rtol=0, atol=0)
    assert volume[4, 8, 8] == pytest.approx(0.05, rel=0.05)
    assert (tmp_path / "out.png").stat().st_size > 10_000
    assert "24 views x 20 rows x 24 columns" in result.stdout
    assert "8 x 16 x 16 voxels of 500 um" in result.stdout
    assert provenance["options"]["window"] == "ram-lak"
    assert provenance["scan"]["metadata"] == {"sample": "ball"}
    assert provenance["algorithm"] == "FDK"


def test_options(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    arguments = ("--window", "hann", "--cutoff", 0.8, "--voxel-mm", 0.4, "--shape", "4,10,12")
    result = sinograd(
        "reconstruct", scan_file, "-o", tmp_path / "out.tif", *arguments, "--center-mm", "0.5,-1,2", "--quiet"
    )
    assert (result.exit_code, result.output) == (0, "")
    saved = read_volume(tmp_path / "out.tif")
    volume, grid = saved.values, saved.grid
    assert grid.equals(Grid((4, 10, 12), 0.4, (0.5, -1, 2)))
    scan = read(scan_file)
    expected = sg.fdk(scan.load(), scan.geometry, grid, window="hann", cutoff=0.8)
    torch.testing.assert_close(volume, expected, rtol=0, atol=0)


def test_a_fan_beam_with_missing_views_warns(sinograd: Any, wedge_file: Path, tmp_path: Path) -> None:
    result = sinograd("reconstruct", wedge_file, "-o", tmp_path / "out.npy", "--quiet")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.startswith("warning: ") and "rays" in result.stderr
    saved = read_volume(tmp_path / "out.npy")
    volume, grid, provenance = saved.values, saved.grid, saved.provenance
    scan = read(wedge_file)
    assert grid.equals(scan.geometry.default_grid())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sg.CoverageWarning)
        torch.testing.assert_close(volume, sg.fbp(scan.load(), scan.geometry), rtol=0, atol=0)
    assert provenance["algorithm"] == "FBP"


def test_the_real_scan(sinograd: Any, shared_data: Path, tmp_path: Path) -> None:
    """HTC 2022: a disc of 70 mm with openings; the file lacks arcs of views, which must be said."""
    file = shared_data / "htc2022" / "tb_549views.mat"
    result = sinograd("reconstruct", file, "-o", tmp_path / "out.h5", "--preview", tmp_path / "out.png")
    assert result.exit_code == 0, result.output
    assert "warning: views from" in result.stderr and "degrees missing around" in result.stderr
    saved = read_volume(tmp_path / "out.h5")
    image, grid = saved.values, saved.grid
    assert grid.shape == (512, 512)
    y, x = grid.axes()
    radius = (x**2 + (y[:, None] + 1.4) ** 2).sqrt()
    rim, air = image[(radius > 31) & (radius < 34)].mean(), image[(radius > 36) & (radius < 38)].mean()
    assert 0.030 < rim < 0.042 and abs(air) < 0.15 * rim
    # As in the published segmentation, whose row 0 is at +y.
    values = {place: image[abs(y - place[1]).argmin(), abs(x - place[0]).argmin()] for place in OPEN + SOLID}
    assert all(values[place] < 0.4 * rim for place in OPEN), values
    assert all(values[place] > 0.6 * rim for place in SOLID), values


OPEN = [
    (-18.0, -20.0),
    (2.0, -22.0),
    (-9.0, -13.0),
    (9.0, -4.0),
    (-22.0, -1.0),
    (0.0, 20.0),
    (21.0, 8.0),
]  # x, y
SOLID = [(-10.0, -4.7), (13.0, 7.0), (0.0, 30.0), (0.0, -33.0), (32.0, 0.0), (-31.0, 0.0)]


def test_existing_files_stay(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    for name in ("out.h5", "out.png"):
        (tmp_path / name).write_bytes(b"precious")
        arguments = ("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--preview", tmp_path / "out.png")
        result = sinograd(*arguments)
        assert result.exit_code == 2
        assert f"{name} already exists: use --force" in one_line(result.stderr)
        assert (tmp_path / name).read_bytes() == b"precious"
        (tmp_path / name).rename(tmp_path / "aside")
    assert sinograd(*arguments).exit_code == 0
    assert sinograd(*arguments, "--force").exit_code == 0


def test_the_destination_is_checked_before_the_work(
    sinograd: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BACKPROJECTION, lambda *_, **__: pytest.fail("reconstructed"))
    full = sinograd("reconstruct", scan_file, "-o", tmp_path / "missing" / "out.h5")
    assert full.exit_code == 2 and "missing does not exist" in one_line(full.stderr)
    unknown = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.mhd")
    assert unknown.exit_code == 2 and "its name must end in .h5" in one_line(unknown.stderr)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**9, 10**9, 10**6))
    full = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5")
    assert full.exit_code == 2 and "1,056,768 bytes needed, 1,000,000 bytes free" in one_line(full.stderr)


def test_a_disk_that_fills_up(sinograd: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5")
    assert result.exit_code == 2 and "the disk is full: writing" in one_line(result.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["scan.h5"]


def test_an_interrupt_says_how_far_it_came(
    sinograd: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Any, volume: Any, projections: Any, views: Any, progress: Any, **options: Any) -> None:
        progress(7, 24)
        raise KeyboardInterrupt

    monkeypatch.setattr(BACKPROJECTION, interrupted)
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5")
    assert result.exit_code == 130
    message = one_line(result.stderr)
    assert "interrupted while reconstructing, after 7 of 24 views; no partial out.h5 was left" in message
    assert [path.name for path in tmp_path.iterdir()] == ["scan.h5"]


def test_bugs_are_one_line_and_a_file_with_the_traceback(
    sinograd: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that another library or a wrong line raises is not presented as bad input."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def broken(*_: object, **__: object) -> None:
        raise ValueError("shapes (3,) and (4,) not aligned")

    monkeypatch.setattr(BACKPROJECTION, broken)
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5")
    assert result.exit_code == 70
    last = result.stderr.splitlines()[-1]
    assert last.startswith("sinograd: internal error, a bug: ValueError: shapes (3,) and (4,) not aligned (")
    saved = Path(last.removesuffix(")").rpartition(" ")[2])
    assert "Traceback" in saved.read_text() and "Traceback" not in result.output
    assert saved.parent.stat().st_mode & 0o777 == 0o700


def test_too_little_memory(sinograd: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def large(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")

    monkeypatch.setattr(BACKPROJECTION, large)
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5")
    assert result.exit_code == 2 and "not enough memory: about 8" in one_line(result.stderr)


@pytest.mark.parametrize("algorithm", ["auto", "sirt", "fista-tv"])
def test_too_little_memory_has_numbers_and_what_fits(
    sinograd: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    """The volume has 4 x 512^3 bytes; what is said to fit is tried."""
    monkeypatch.setattr("sinograd.workflows.memory_need.available_memory", lambda: 4e8)
    arguments = ("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--algorithm", algorithm)
    result = sinograd(*arguments, "--shape", "512,512,512", "--voxel-mm", "0.03")
    line = one_line(result.stderr)
    assert result.exit_code == 2
    assert "0.537 GB for a volume of 512 x 512 x 512" in line and "0.4 GB are available" in line
    voxel = re.search(r"--voxel-mm (\S+), or --shape (\d+),512,512 \(a slab about the middle\) would fit", line)
    assert voxel, line
    geometry = read(scan_file).geometry
    share = float(voxel[1]) / 0.03
    for shape in ((math.ceil(512 / share),) * 3, (int(voxel[2]), 512, 512)):
        assert needed_memory(geometry, shape, algorithm) < 4e8


def test_scans_that_cannot_be_read(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.h5").write_bytes(scan_file.read_bytes()[:3000])
    (tmp_path / "notes.txt").write_text("not a scan")
    for name, message in (
        ("nothing.h5", "does not exist"),
        ("cut.h5", "is a truncated or damaged HDF5 file"),
        ("notes.txt", "is in no known scan format"),
        (".", "is a folder"),
    ):
        for command in (
            ("reconstruct", tmp_path / name, "-o", tmp_path / "out.h5"),
            ("info", tmp_path / name),
        ):
            result = sinograd(*command)
            assert result.exit_code == 2
            assert message in one_line(result.stderr)


def test_a_scan_with_nan(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    import h5py

    with h5py.File(scan_file, "r+") as file:
        file["projections"][5, 6, 7] = float("nan")
    run = ("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--force")
    result = sinograd(*run)
    assert result.exit_code == 0 and "repaired 1 not finite of 11520 readings" in result.stderr
    assert str(scan_file) in result.stderr
    assert bool(read_volume(tmp_path / "out.h5").values.isfinite().all())
    with h5py.File(scan_file, "r+") as file:
        file["projections"][5] = float("nan")
    result = sinograd(*run)
    assert result.exit_code == 2 and "view 5 has no good reading" in one_line(result.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--shape", "4,x"), "expected numbers with commas"),
        (("--shape", "4,4"), "--shape must have 3 numbers for this scan, got 2"),
        (("--shape", "4,4,0"), "--shape: expected numbers of voxels"),
        (("--center-mm", "1,2"), "--center-mm must have 3 numbers"),
        (("--voxel-mm", "-1"), "--voxel-mm must be positive, got -1"),
        (("--cutoff", "1.5"), "--cutoff: expected a number from 0 to 1, got '1.5'"),
        (("--window", "box"), "box"),
    ],
)
def test_wrong_options(
    sinograd: Any, scan_file: Path, tmp_path: Path, arguments: tuple[str, str], message: str
) -> None:
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", *arguments)
    assert result.exit_code == 2
    assert message in one_line(result.stderr)


def test_choose_grid(scan_file: Path) -> None:
    """The voxel size alone keeps the region, the shape alone keeps the voxel size."""
    scan = read(scan_file)
    assert choose_grid(scan).equals(Grid((8, 16, 16), 0.5))
    assert choose_grid(scan, voxel_mm=0.25).equals(Grid((16, 32, 32), 0.25))
    assert choose_grid(scan, voxel_mm=0.3).equals(Grid((14, 27, 27), 0.3))
    assert choose_grid(scan, shape=(1, 4, 4)).equals(Grid((1, 4, 4), 0.5))
    assert choose_grid(scan, center_mm=(1, 2, 3)).equals(Grid((8, 16, 16), 0.5, (1, 2, 3)))


def test_the_windows_are_those_of_the_filter() -> None:
    assert set(RECONSTRUCT["window"].kind.names()) == set(WINDOWS)


@pytest.mark.parametrize(
    ("name", "outputs", "which"),
    [
        ("scan.h5", ("-o", "scan.h5"), "-o"),
        ("scan.h5", ("-o", "link.h5"), "-o"),
        ("scan.png", ("-o", "out.h5", "--preview", "scan.png"), "--preview"),
        ("scan.yaml", ("-o", "scan.npy"), "the .yaml beside -o"),
    ],
)
def test_the_scan_is_never_replaced(
    sinograd: Any, scan_file: Path, tmp_path: Path, name: str, outputs: tuple[str, ...], which: str
) -> None:
    scan = scan_file.rename(tmp_path / name)
    (tmp_path / "link.h5").symlink_to(scan)
    before = scan.read_bytes()
    paths = [text if text.startswith("-") else tmp_path / text for text in outputs]
    result = sinograd("reconstruct", scan, *paths, "--force")
    assert result.exit_code == 2 and f"{which} is the scan itself" in one_line(result.stderr)
    assert scan.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {name, "link.h5"}


@pytest.mark.parametrize(("size", "message"), [("1e-9", "not enough free disk space"), ("1e-310", "is too small")])
def test_voxels_that_are_too_many(
    sinograd: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str, message: str
) -> None:
    monkeypatch.setattr("sinograd.workflows.pipeline._prepare", lambda *_: pytest.fail("projections were read"))
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--voxel-mm", size)
    assert result.exit_code == 2 and message in one_line(result.stderr)


def test_a_detector_beside_the_axis(sinograd: Any, beside_file: Path, tmp_path: Path) -> None:
    result = sinograd("reconstruct", beside_file, "-o", tmp_path / "out.h5")
    assert result.exit_code == 2
    expected = f"error: {beside_file}: the detector does not see the rotation axis in every view"
    assert expected in one_line(result.stderr)


def test_geometries_without_fdk_name_the_file(sinograd: Any, tmp_path: Path) -> None:
    helix = sg.ConeBeam.helical(
        source_to_origin=60,
        source_to_detector=90,
        angles=sg.full_scan(12),
        detector=sg.FlatDetector((4, 6), 1.0),
        pitch=5,
    )
    sg.write_scan(sg.Scan(torch.zeros(12, 4, 6), helix), tmp_path / "helix.h5")
    result = sinograd("reconstruct", tmp_path / "helix.h5", "-o", tmp_path / "out.h5", "--algorithm", "fdk")
    assert result.exit_code == 2
    line = one_line(result.stderr)
    assert line.startswith(f"sinograd: error: {tmp_path / 'helix.h5'}: FDK is defined for")
    assert "iterative algorithms take any orbit: --algorithm sirt, or sart, os-sart, cgls, lsqr, fista-tv" in line
    result = sinograd("reconstruct", tmp_path / "helix.h5", "-o", tmp_path / "out.h5", "--algorithm", "cgls")
    assert result.exit_code == 0, result.output


def test_an_axis_that_is_not_seen_needs_a_grid(sinograd: Any, beside_file: Path, tmp_path: Path) -> None:
    arguments = ("reconstruct", beside_file, "-o", tmp_path / "out.h5", "--algorithm", "sirt")
    result = sinograd(*arguments, "--shape", "4,40,40")
    assert result.exit_code == 2 and "give the grid (--shape and --voxel-mm)" in one_line(result.stderr)
    result = sinograd(*arguments, "--shape", "4,40,40", "--voxel-mm", "1")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("center", ["0,0,500", "0,-40,0", "30,30,0"])
def test_a_grid_that_the_scan_does_not_see(sinograd: Any, scan_file: Path, tmp_path: Path, center: str) -> None:
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--center-mm", center)
    assert result.exit_code == 0
    assert "lies outside the field of view" in result.stderr.splitlines()[0]


def test_outside_is_what_no_ray_meets() -> None:
    """Boxes along z and y; truth: whether one of the measured rays meets a voxel (sums of forward projections)."""
    geometry = sg.ConeBeam.circular(
        source_to_origin=30,
        source_to_detector=60,
        angles=sg.full_scan(36),
        detector=sg.FlatDetector((10, 24), 1.0, (4, 0)),
    )
    told, seen = [], []
    for height in torch.arange(-8.0, 13.0, 1.0).tolist():
        grid = Grid((1, 14, 14), 0.5, (0, 0, height))
        told.append(outside_text(geometry, grid) is None)
        seen.append(bool(sg.XRayTransform(geometry, grid)(torch.ones(grid.shape)).sum() > 0))
    assert all(t or not s for t, s in zip(told, seen, strict=True))
    assert sum(told) - sum(seen) <= 6 and not all(told)
    radius = geometry.field_of_view / 2
    assert outside_text(geometry, Grid((4, 2, 2), 0.5, (0, radius + 0.4, 2))) is None
    assert outside_text(geometry, Grid((4, 2, 2), 0.5, (0, radius + 0.6, 2))) is not None


@pytest.mark.parametrize("algorithm", ["auto", "sirt"])
@pytest.mark.parametrize("degrees", [[30.0], [30.0] * 7, [10.0, 190.0, 370.0]])
def test_views_of_one_direction_are_no_scan(
    sinograd: Any, tmp_path: Path, degrees: list[float], algorithm: str
) -> None:
    """A radiograph, seven views at one angle, opposite views: an error before the work, and no file."""
    angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    geometry = sg.ConeBeam.circular(
        source_to_origin=100.0, source_to_detector=150.0, angles=angles, detector=sg.FlatDetector((8, 8), 1.0)
    )
    sg.write_scan(sg.Scan(torch.rand(geometry.projection_shape), geometry), tmp_path / "scan.h5")
    result = sinograd("reconstruct", tmp_path / "scan.h5", "-o", tmp_path / "out.h5", "--algorithm", algorithm)
    assert result.exit_code == 2
    message = one_line(result.stderr)
    assert "expected views from 2 distinct directions or more" in message and "in 1 direction" in message
    assert not (tmp_path / "out.h5").exists()
    with pytest.raises(sg.errors.InputError, match="2 distinct directions"):
        sg.reconstruct(tmp_path / "scan.h5", algorithm=algorithm)
    assert sinograd("reconstruct", tmp_path / "scan.h5", "-o", tmp_path / "out.h5", "--dry-run").exit_code == 2


def test_a_narrow_range_of_angles_is_only_warned_of(sinograd: Any, tmp_path: Path) -> None:
    angles = torch.deg2rad(torch.arange(-20.0, 21.0, 4.0, dtype=torch.float64))
    geometry = sg.ConeBeam.circular(
        source_to_origin=100.0, source_to_detector=150.0, angles=angles, detector=sg.FlatDetector((8, 8), 1.0)
    )
    sg.write_scan(sg.Scan(torch.rand(geometry.projection_shape), geometry), tmp_path / "scan.h5")
    result = sinograd("reconstruct", tmp_path / "scan.h5", "-o", tmp_path / "out.h5")
    assert result.exit_code == 0 and "of the rays" in result.stderr
