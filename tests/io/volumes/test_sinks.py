"""Volumes written slab by slab, out of order, are the files that are written at once."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

import sinograd as sg
from sinograd.choices import VOLUME_FORMATS
from sinograd.io.formats import writing_format
from sinograd.io.volumes import ome_zarr_sink, sink, tiff
from sinograd.io.volumes.sink import Unwritten, header_of

GRID = sg.Grid((44, 150, 20), (0.5, 0.25, 0.25), (1.0, 2.0, 3.0))
NAMES = ["v.h5", "v.tif", "v.npy", "v.raw", "v.zarr", "v"]


def values(dtype: Any = np.float32) -> np.ndarray:
    generator = np.random.default_rng(3)
    return (generator.normal(0.02, 0.01, GRID.shape) * (1 if dtype == np.float32 else 1e5)).astype(dtype)


def written(folder: Path, name: str, array: np.ndarray, scale: tuple[float, float] | None = None) -> Path:
    """The volume, from slabs in a mixed order, each by a copy of the sink as a worker has it."""
    format = writing_format(VOLUME_FORMATS, Path(name)).format
    assert format.streams
    stored = Unwritten(array.shape, torch.from_numpy(array[:0]).dtype, scale)
    made = format.sink(header_of(GRID, stored, "1/mm", {"command": "first"}), folder / name)
    made.create()
    starts = list(range(0, array.shape[0], made.unit))
    assert len(starts) > 2
    for first in starts[1::2] + starts[::2]:
        pickle.loads(pickle.dumps(made)).write(first, array[first : first + made.unit])
    made.finish(header_of(GRID, stored, "1/mm", {"command": "last", "clipped": 123}))
    return folder / name


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "MOST_SLICES", 16)
    monkeypatch.setattr(ome_zarr_sink, "MOST_SLICES", 8)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_read_as_what_was_written(tmp_path: Path, name: str) -> None:
    if name.endswith(".zarr"):
        pytest.importorskip("zarr")
    array = values()
    path = written(tmp_path, name, array)
    for volume in (sg.read_volume(path), sg.io.open_volume(path)):
        np.testing.assert_array_equal(volume.values.numpy(), array)
        assert volume.unit == "1/mm" and volume.grid.equals(GRID)
        assert volume.provenance == {"command": "last", "clipped": 123}
    assert {file.name for file in tmp_path.iterdir()} == {
        path.name,
        *(["v.yaml"] if path.suffix in (".npy", ".raw") else []),
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.uint16, np.uint8])
def test_scaled_numbers_are_read_as_their_values(tmp_path: Path, name: str, dtype: Any) -> None:
    if name.endswith(".zarr"):
        pytest.importorskip("zarr")
    array = values(np.float32)
    stored = np.clip(np.rint((array + 0.02) / 1e-4), 0, np.iinfo(dtype).max).astype(dtype)
    volume = sg.read_volume(written(tmp_path, name, stored, (1e-4, -0.02)))
    expected = stored.astype(np.float64) * 1e-4 - 0.02
    np.testing.assert_allclose(volume.values.numpy(), expected, rtol=0, atol=1e-8)
    assert volume.dtype == torch.float32
    sg.write_volume(volume, tmp_path / "again.h5")
    np.testing.assert_array_equal(sg.read_volume(tmp_path / "again.h5").values.numpy(), volume.values.numpy())


def test_the_pyramid_is_that_of_a_whole_volume(tmp_path: Path) -> None:
    zarr: Any = pytest.importorskip("zarr")
    grid = sg.Grid((37, 520, 140), 0.5)
    array = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    sg.write_volume(array, tmp_path / "whole.zarr", grid, unit="1/mm")
    made = ome_zarr_sink.ZarrSink(tmp_path / "v.zarr", header_of(grid, Unwritten(grid.shape), "1/mm", {"command": "x"}))
    made.create()
    for first in range(0, 37, made.unit):
        made.write(first, array[first : first + made.unit])
    made.finish(made.header)
    whole, slabs = (zarr.open_group(str(tmp_path / name), mode="r") for name in ("whole.zarr", "v.zarr"))
    assert dict(whole.attrs)["ome"] == dict(slabs.attrs)["ome"]
    for level in map(str, range(4)):
        np.testing.assert_array_equal(whole[level][:], slabs[level][:])
    assert slabs["0"].shards == (8, 520 + 120, 256) or slabs["0"].shards[0] == 8


def test_a_lost_shard_is_noticed(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    path = written(tmp_path, "v.zarr", values())
    next(file for file in (path / "0" / "c").rglob("*") if file.is_file()).unlink()
    with pytest.raises(sg.errors.InputError, match="1 of 6 chunks are missing"):
        sg.read_volume(path)


@pytest.mark.parametrize("limit", [1 << 32, 1000])
def test_other_software_reads_the_tiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(tiff, "IMAGEJ_BYTES", limit)  # ImageJ's, and OME BigTIFF beyond it
    array = values()
    path = written(tmp_path, "v.tif", array)
    np.testing.assert_array_equal(tifffile.imread(path), array)
    assert sg.read_volume(path).provenance["clipped"] == 123
