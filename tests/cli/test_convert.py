"""`sinograd convert`. Truth: the scan or the volume that went in."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from dicom_slices import tissue, write_slices
from scanner_files import check_phantom, nikon_text, nikon_vectors, stored, write_images
from sinograd.data import Calibration, Scan
from sinograd.geometry import FlatDetector, Grid, ParallelBeam
from sinograd.io import read, read_volume, write_scan, write_volume
from sinograd.io.storage.tiff import TiffImages


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def counts_file(tmp_path: Path) -> Path:
    """Counts of a parallel beam with references and dark images, as sinograd's .h5."""
    draw = np.random.default_rng(0).integers(1, 999, (9, 4, 5), dtype=np.uint16)
    calibration = Calibration(reference=draw[6:8], dark=draw[8:])
    geometry = ParallelBeam([0.0, 0.5, 1.0, 1.5, 2.0, 2.5], FlatDetector((4, 5), 0.1))
    scan = Scan(draw[:6], geometry, {"sample": "Knöchel"}, kind="counts", calibration=calibration)
    write_scan(scan, tmp_path / "counts.h5")
    return tmp_path / "counts.h5"


def same(a: Scan, b: Scan) -> None:
    assert a.kind == b.kind and a.projections.dtype == b.projections.dtype and a.geometry.equals(b.geometry)
    np.testing.assert_array_equal(a.projections[:], b.projections[:])
    assert a.calibration is not None and b.calibration is not None
    for name in ("reference", "dark"):
        np.testing.assert_array_equal(getattr(a.calibration, name)[:], getattr(b.calibration, name)[:])


def test_through_all_formats(sinograd: Any, tmp_path: Path, counts_file: Path) -> None:
    original, last = read(counts_file), counts_file
    for name, options in (("a.npy", ()), ("b", ()), ("c.h5", ("--to", "dxchange")), ("d.hdf5", ("--to", "h5"))):
        result = sinograd("convert", last, tmp_path / name, *options)
        assert result.exit_code == 0, result.output
        same(read(tmp_path / name), original)
        lines = dict(line.split(None, 1) for line in result.stdout.splitlines())
        assert lines["projections"].startswith("6 views x 4 rows x 5 columns, uint16 counts")
        assert lines["references"].startswith("2 images")
        assert lines["written"].startswith(str(tmp_path / name))
        last = tmp_path / name
    provenance = read(tmp_path / "b").provenance
    assert provenance["command"] == "sinograd convert"
    assert provenance["scan"]["file"] == str((tmp_path / "a.npy").resolve())
    assert provenance["scan"]["provenance"]["scan"]["file"] == str(counts_file.resolve())


def test_a_scanner_s_files(sinograd: Any, tmp_path: Path) -> None:
    folder = tmp_path / "nikon"
    folder.mkdir()
    write_images(stored(nikon_vectors(), (0.5, 0.5)), folder, "bone_", 1)
    (folder / "bone.xtekct").write_text(nikon_text(DetectorOffsetX=1), encoding="latin-1")
    result = sinograd("convert", folder, tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "warning: " in result.stderr and "DetectorOffsetX 1" in result.stderr
    scan = read(tmp_path / "out")
    assert scan.projections.dtype == np.uint16 and scan.calibration is not None
    check_phantom(scan.load(), float(scan.calibration.load("reference").mean()), scan.geometry)
    assert "--quiet" not in result.stdout and sinograd("convert", "-q", folder, tmp_path / "x.npy").stdout == ""


def test_line_integrals(sinograd: Any, tmp_path: Path, wedge_file: Path) -> None:
    assert sinograd("convert", wedge_file, tmp_path / "out").exit_code == 0
    torch.testing.assert_close(read(tmp_path / "out").load(), read(wedge_file).load(), rtol=0, atol=0)
    result = sinograd("convert", wedge_file, tmp_path / "out.h5", "--to", "dxchange")
    assert result.exit_code == 2
    assert "DXchange holds counts or transmission, this scan holds line integrals" in one_line(result.stderr)


@pytest.mark.parametrize("name", ["out.tif", "out.npy", "out.mha", "out.nii.gz", "out.zarr", "out"])
def test_volumes(sinograd: Any, tmp_path: Path, name: str) -> None:
    volume, grid = torch.randn(3, 4, 5), Grid((3, 4, 5), (0.5, 0.25, 0.125), (1, 2, 3))
    write_volume(volume, tmp_path / "volume.h5", grid, provenance={"command": "test"})
    result = sinograd("convert", tmp_path / "volume.h5", tmp_path / name)
    assert result.exit_code == 0, result.output
    assert "3 x 4 x 5 voxels of 500 x 250 x 125 um, centre 1, 2, 3 mm" in result.stdout
    assert sinograd("convert", tmp_path / name, tmp_path / "back.h5").exit_code == 0
    saved = read_volume(tmp_path / "back.h5")
    again, same_grid, provenance = saved.values, saved.grid, saved.provenance
    torch.testing.assert_close(again, volume, rtol=0, atol=0)
    assert same_grid.equals(grid)
    assert provenance == ({} if "nii" in name else {"command": "test"})
    for options in (("--to", "h5"), ("--geometry", "walnut")):
        refused = sinograd("convert", tmp_path / name, tmp_path / "no.h5", *options)
        assert refused.exit_code == 2 and "is a volume" in refused.stderr


def test_dicom_slices(sinograd: Any, tmp_path: Path) -> None:
    values = tissue((3, 4, 5))
    write_slices(tmp_path / "series", values)
    result = sinograd("convert", tmp_path / "series", tmp_path / "out.h5")
    assert result.exit_code == 0, result.output
    assert "float32, HU" in result.stdout
    again = read_volume(tmp_path / "out.h5")
    assert again.unit == "HU" and again.values.tolist() == values.tolist()
    assert again.grid.spacing == (2.0, 0.7, 0.7)


def test_a_given_geometry(sinograd: Any, tmp_path: Path, counts_file: Path) -> None:
    original = read(counts_file)
    np.save(tmp_path / "raw.npy", original.projections[:])
    result = sinograd("convert", tmp_path / "raw.npy", tmp_path / "out.h5")
    assert result.exit_code == 2 and "does not say in which geometry it was measured" in one_line(result.stderr)
    original.geometry.save(tmp_path / "bench.yaml")
    result = sinograd("convert", tmp_path / "raw.npy", tmp_path / "out.h5", "--geometry", tmp_path / "bench.yaml")
    assert result.exit_code == 0, result.output
    assert read(tmp_path / "out.h5").geometry.equals(original.geometry)


def test_the_input_is_never_replaced(sinograd: Any, tmp_path: Path, counts_file: Path) -> None:
    sinograd("convert", counts_file, tmp_path / "a.npy")
    sinograd("convert", counts_file, tmp_path / "b")
    (tmp_path / "a.hdf5").write_bytes((tmp_path / "counts.h5").read_bytes())
    np.savez(tmp_path / "a.npz", projections=np.load(tmp_path / "a.npy"))
    (tmp_path / "link.h5").symlink_to(counts_file)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for source, output in (
        (counts_file, counts_file),
        (counts_file, tmp_path / "link.h5"),
        (tmp_path / "b", tmp_path / "b"),
        (tmp_path / "b" / "projection_00000.tif", tmp_path / "b"),
        (tmp_path / "a.npz", tmp_path / "a.npy"),  # whose YAML file is the input's
    ):
        result = sinograd("convert", source, output, "--force")
        assert result.exit_code == 2, (source, output)
        words = one_line(result.stderr)
        reasons = ("it is the input, or holds it", "it would replace what is being read", "belongs to one array")
        assert any(reason in words for reason in reasons)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_nothing_is_replaced_unasked(sinograd: Any, tmp_path: Path, counts_file: Path) -> None:
    for name in ("a.npy", "b", "c.h5"):
        assert sinograd("convert", counts_file, tmp_path / name).exit_code == 0
        again = sinograd("convert", counts_file, tmp_path / name)
        assert again.exit_code == 2 and "already exists: use --force" in one_line(again.stderr)
        assert sinograd("convert", counts_file, tmp_path / name, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        ("out.png", (), "its name must end in .h5, .hdf5, .hdf, .npy, or have no suffix"),
        ("out.h5", ("--to", "tiff"), "as tiff: its name must have no suffix"),
        ("missing/out.h5", (), "missing does not exist"),
        ("out.h5", ("--to", "raw"), "'raw' is not one of"),
    ],
)
def test_wrong_outputs(
    sinograd: Any, tmp_path: Path, counts_file: Path, output: str, options: tuple[str, ...], message: str
) -> None:
    result = sinograd("convert", counts_file, tmp_path / output, *options)
    assert result.exit_code == 2
    assert message in one_line(result.stderr)
    assert list(tmp_path.iterdir()) == [counts_file]


def test_wrong_inputs(sinograd: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.h5").write_text("no scan")
    for name, message in (
        ("none.h5", "does not exist"),
        ("empty", "no known scan format is one"),
        ("text.h5", "is not a sinograd HDF5 file"),
    ):
        result = sinograd("convert", tmp_path / name, tmp_path / "out.npy")
        assert result.exit_code == 2 and message in one_line(result.stderr), result.output


def test_an_interrupt(sinograd: Any, tmp_path: Path, counts_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sinograd("convert", counts_file, tmp_path / "in")
    read_image = TiffImages.__getitem__

    def stop(images: TiffImages, views: Any) -> np.ndarray:
        if views == 3:
            raise KeyboardInterrupt
        return read_image(images, views)

    monkeypatch.setattr(TiffImages, "__getitem__", stop)
    result = sinograd("convert", tmp_path / "in", tmp_path / "out")
    assert result.exit_code == 130
    assert "interrupted while converting, after 3 of 6 views; no partial out was left" in one_line(result.stderr)
    assert {path.name for path in tmp_path.iterdir()} == {"counts.h5", "in"}


@pytest.mark.parametrize("name", ["out.h5", "out.npy", "out"])
def test_memory_is_bounded(sinograd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A scan of 16 MiB in images of 0.25 MiB: what is held at a time is a block, of 1 MiB here."""
    monkeypatch.setattr("sinograd.data.blocks.BLOCK_BYTES", 1 << 20)
    (tmp_path / "in").mkdir()
    image = np.random.default_rng(0).integers(0, 60000, (256, 512), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "in" / "scan.tif", np.broadcast_to(image, (64, 256, 512)), photometric="minisblack")
    ParallelBeam(np.arange(64) / 64, FlatDetector((256, 512), 0.1)).save(tmp_path / "in" / "geometry.yaml")
    assert sinograd("convert", tmp_path / "in", tmp_path / f"first{Path(name).suffix}").exit_code == 0  # imports
    tracemalloc.start()
    try:
        assert sinograd("convert", tmp_path / "in", tmp_path / name).exit_code == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read(tmp_path / name).shape == (64, 256, 512)
    assert peak < 3 << 20, f"{peak:,} bytes"


def test_volumes_are_described_and_drawn(sinograd: Any, tmp_path: Path) -> None:
    """`info` reads the values; `convert` to .png draws the middle slices."""
    values = np.linspace(-1000, 3000, 60, dtype=np.float32).reshape(3, 4, 5)
    write_volume(values, tmp_path / "v.h5", Grid((3, 4, 5), (2.0, 0.5, 0.5)), unit="HU")
    lines = dict(line.split(None, 1) for line in sinograd("info", tmp_path / "v.h5").stdout.splitlines())
    assert lines["size"] == "6 x 2 x 2.5 mm (z, y, x)" and lines["range"] == "-1000 to 3000 HU"
    assert lines["percentiles"].startswith("0.5 %: -1000, 50 %: 1033.9, 99.5 %: 3000")
    assert sinograd("convert", tmp_path / "v.h5", tmp_path / "v.png").exit_code == 0
    assert (tmp_path / "v.png").read_bytes().startswith(b"\x89PNG")
