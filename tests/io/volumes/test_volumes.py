"""Volumes out and in again. Truth: the volume, grid and record that were written, and tifffile and h5py."""

from __future__ import annotations

import errno
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import torch
import yaml

from sinograd.data import make_provenance
from sinograd.geometry import Grid
from sinograd.io import check_volume_path, read_volume, write_volume
from sinograd.view import save_preview

GRIDS = {
    "volume": Grid((3, 4, 5), (0.3, 0.2, 0.1), (1.0, -2.0, 3.5)),
    "one slice": Grid((1, 4, 5), 0.25),
    "image": Grid((4, 5), (0.2, 0.1), (1.0, -2.0)),
}
NAMES = ("out.h5", "out.hdf5", "out.npy", "out.tif", "out.tiff")
Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_round_trip(tmp_path: Path, name: str, grid: Grid) -> None:
    volume = torch.randn(grid.shape)
    provenance = make_provenance("test", {"window": "hann", "scan": tmp_path / "Knöchel.h5"})
    write_volume(volume, tmp_path / name, grid, provenance=provenance)
    saved = read_volume(tmp_path / name)
    again, same_grid, record = saved.values, saved.grid, saved.provenance
    assert again.dtype == torch.float32
    torch.testing.assert_close(again, volume, rtol=0, atol=0)
    assert same_grid.equals(grid)
    assert record == provenance
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


@pytest.mark.parametrize("name", NAMES)
def test_any_tensor(tmp_path: Path, name: str) -> None:
    """Strided, with gradients, in double precision; only TIFF changes the precision."""
    volume = torch.randn(5, 4, 3, dtype=torch.float64, requires_grad=True).permute(2, 1, 0)
    write_volume(volume, tmp_path / name, GRIDS["volume"])
    saved = read_volume(tmp_path / name)
    again, record = saved.values, saved.provenance
    assert again.dtype == (torch.float32 if "tif" in name else torch.float64)
    torch.testing.assert_close(again, volume.detach().to(again.dtype), rtol=0, atol=0)
    assert record["software"].startswith("sinograd ")


def test_tiff_spacing_is_what_imagej_reads(tmp_path: Path) -> None:
    write_volume(torch.zeros(3, 4, 5), tmp_path / "out.tif", GRIDS["volume"])
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.imagej_metadata is not None
        assert file.imagej_metadata["spacing"] == pytest.approx(0.3)
        assert file.imagej_metadata["unit"] == "mm"
        assert file.series[0].axes == "ZYX"
        tags = file.pages[0].tags
        pixels_a_mm = [tags[name].value[0] / tags[name].value[1] for name in ("XResolution", "YResolution")]
        assert pixels_a_mm == [pytest.approx(10), pytest.approx(5)]


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_large_tiffs_are_ome_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grid: Grid) -> None:
    monkeypatch.setattr("sinograd.io.volumes.tiff.IMAGEJ_BYTES", 10)
    volume = torch.randn(grid.shape)
    write_volume(volume, tmp_path / "out.tif", grid)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.is_bigtiff and file.ome_metadata is not None
        assert f'PhysicalSizeX="{grid.spacing[-1]}"' in file.ome_metadata
        assert 'PhysicalSizeXUnit="mm"' in file.ome_metadata
    saved = read_volume(tmp_path / "out.tif")
    again, same_grid = saved.values, saved.grid
    torch.testing.assert_close(again, volume, rtol=0, atol=0)
    assert same_grid.equals(grid)


def test_the_hdf5_layout_is_the_documented_one(tmp_path: Path) -> None:
    volume = torch.randn(3, 4, 5)
    write_volume(volume, tmp_path / "out.h5", GRIDS["volume"], unit="1/mm")
    with h5py.File(tmp_path / "out.h5") as file:
        assert (file.attrs["format"], file.attrs["version"]) == ("sinograd-volume", 2)
        np.testing.assert_array_equal(file["volume"][()], volume.numpy())
        attributes = dict(file["volume"].attrs)
        assert attributes["axes"] == "z y x" and attributes["unit"] == "1/mm"
        assert attributes["spacing_mm"].tolist() == [0.3, 0.2, 0.1]
        assert attributes["center_mm"].tolist() == [1.0, -2.0, 3.5]


def test_the_sidecar_of_npy(tmp_path: Path) -> None:
    write_volume(torch.zeros(3, 4, 5), tmp_path / "out.npy", GRIDS["volume"])
    record = yaml.safe_load((tmp_path / "out.yaml").read_text())
    assert record["shape"] == [3, 4, 5] and record["spacing_mm"] == [0.3, 0.2, 0.1]
    with pytest.raises(FileExistsError, match=r"out\.yaml already exists"):
        (tmp_path / "out.npy").unlink()
        write_volume(torch.zeros(3, 4, 5), tmp_path / "out.npy", GRIDS["volume"])
    (tmp_path / "out.yaml").unlink()
    np.save(tmp_path / "out.npy", np.zeros(3))
    with pytest.raises(FileNotFoundError, match=r"has no out\.yaml beside it"):
        read_volume(tmp_path / "out.npy")


def test_wrong_arguments(tmp_path: Path) -> None:
    grid = GRIDS["volume"]
    with pytest.raises(ValueError, match=r"volume \[3, 4, 6\] does not match grid.shape \(3, 4, 5\)"):
        write_volume(torch.zeros(3, 4, 6), tmp_path / "out.h5", grid)
    with pytest.raises(TypeError, match="must hold real numbers, got complex64"):
        write_volume(torch.zeros(3, 4, 5, dtype=torch.complex64), tmp_path / "out.h5", grid)
    with pytest.raises(ValueError, match=r"out\.mhd: its name must end in \.h5"):
        write_volume(torch.zeros(3, 4, 5), tmp_path / "out.mhd", grid)
    with pytest.raises(FileNotFoundError, match=r"out\.mhd does not exist"):
        read_volume(tmp_path / "out.mhd")
    with pytest.raises(FileNotFoundError, match=r"out\.h5 does not exist"):
        read_volume(tmp_path / "out.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_existing_files_need_force(tmp_path: Path, name: str) -> None:
    grid = GRIDS["volume"]
    write_volume(torch.zeros(grid.shape), tmp_path / name, grid)
    before = (tmp_path / name).read_bytes()
    for attempt in (write_volume, lambda _, path, grid: check_volume_path(path, grid)):
        with pytest.raises(FileExistsError, match="already exists: use `force=True`"):
            attempt(torch.ones(grid.shape), tmp_path / name, grid)
    assert (tmp_path / name).read_bytes() == before
    write_volume(torch.ones(grid.shape), tmp_path / name, grid, force=True)
    assert read_volume(tmp_path / name).values.sum() == 60


def test_a_full_disk_is_found_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(1 << 40, 1 << 40, 1 << 20))
    with pytest.raises(OSError, match="not enough free disk space, 5,048,576 bytes needed, 1,048,576 bytes free"):
        check_volume_path(tmp_path / "out.h5", Grid((100, 100, 100)))


@pytest.mark.parametrize("name", ["out.h5", "out.npy", "out.tif"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_stops_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException
) -> None:
    """The last step of every format, when the data is written but not yet safe, fails."""

    def stop(file: int) -> None:
        raise error

    monkeypatch.setattr("os.fsync", stop)
    with pytest.raises(type(error)):
        write_volume(torch.zeros(3, 4, 5), tmp_path / name, GRIDS["volume"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["out.h5", "out.npy", "out.tif"])
def test_truncated_at_any_length(tmp_path: Path, name: str) -> None:
    grid = GRIDS["volume"]
    volume = torch.randn(grid.shape)
    write_volume(volume, tmp_path / name, grid)
    content = (tmp_path / name).read_bytes()
    tail = 230 if "tif" in name else 0  # tags of the last page, which can be missing
    for length in [
        0,
        1,
        7,
        *range(8, len(content) - tail, max(1, len(content) // 40)),
        len(content) - 1 - tail,
    ]:
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(ValueError, match=name):
            read_volume(tmp_path / name)
    (tmp_path / name).write_bytes(b"not a volume" * 100)
    with pytest.raises(ValueError, match=name):
        read_volume(tmp_path / name)


def test_a_scan_is_not_a_volume(tmp_path: Path, cone_scan: Any) -> None:
    from sinograd.io import write_scan

    write_scan(cone_scan, tmp_path / "scan.h5")
    with pytest.raises(ValueError, match=r"is not a volume: .* \(read it with sinograd.read\)"):
        read_volume(tmp_path / "scan.h5")


def test_a_tiff_of_other_software_has_no_spacing(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "out.tif", np.zeros((3, 4, 5), np.float32), photometric="minisblack")
    with pytest.raises(ValueError, match="has no usable spacing_mm and center_mm"):
        read_volume(tmp_path / "out.tif")


def test_a_grid_of_another_type(tmp_path: Path) -> None:
    grid: Any
    for grid in (None, (3, 4, 5)):
        with pytest.raises(TypeError, match=f"grid must be a Grid, got {type(grid).__name__}"):
            write_volume(torch.zeros(3, 4, 5), tmp_path / "out.h5", grid)
        with pytest.raises(TypeError, match=f"grid must be a Grid, got {type(grid).__name__}"):
            save_preview(torch.zeros(3, 4, 5), grid, tmp_path / "out.png")


def test_sizes_beyond_64_bits(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="32,000,000,000,000,000,000,000,001,048,576 bytes needed"):
        check_volume_path(tmp_path / "out.h5", Grid((2 * 10**10,) * 3))
