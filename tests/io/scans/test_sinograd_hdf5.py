"""sinograd's own scan file: what is written is read, lazily. Truth: the scan that was written, and h5py."""

from __future__ import annotations

import dataclasses
import errno
import json
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml

from sinograd.data import Scan, make_provenance
from sinograd.geometry import ConeBeam, FlatDetector, Geometry
from sinograd.io import read, write_scan
from sinograd.io.scans.sinograd_hdf5 import Hdf5Projections


@pytest.fixture
def written(cone_scan: Scan, tmp_path: Path) -> Path:
    path = tmp_path / "scan.h5"
    write_scan(cone_scan, path)
    return path


def test_round_trip(cone_scan: Scan, written: Path) -> None:
    scan = read(written)
    torch.testing.assert_close(scan.load(), cone_scan.load(), rtol=0, atol=0)
    assert scan.geometry.equals(cone_scan.geometry)
    assert scan.grid is not None and scan.grid.equals(cone_scan.grid)
    assert scan.metadata == cone_scan.metadata
    assert scan.kind == "line integrals"
    assert scan.file == written
    assert set(scan.provenance) == {"software", "command", "options", "time"}
    assert scan.validate() is scan


def test_round_trip_of_a_fan_beam_without_grid(fan_scan: Scan, tmp_path: Path) -> None:
    provenance = make_provenance("test", {"path": tmp_path, "values": np.arange(3)}, more=1.5)
    write_scan(dataclasses.replace(fan_scan, provenance=provenance), tmp_path / "scan.hdf5")
    scan = read(tmp_path / "scan.hdf5")
    torch.testing.assert_close(scan.load(), fan_scan.load(), rtol=0, atol=0)
    assert scan.geometry.equals(fan_scan.geometry)
    assert scan.grid is None and scan.metadata == {}
    assert scan.provenance == provenance
    assert scan.provenance["options"] == {"path": str(tmp_path), "values": [0, 1, 2]}


def test_round_trip_of_vectors(tmp_path: Path) -> None:
    sources, centers, u, v = torch.rand(4, 5, 3, dtype=torch.float64).sub(0.5)
    u, v = (x / x.norm(dim=-1, keepdim=True) for x in (u, v))
    geometry = ConeBeam.from_vectors(
        sources=sources - 9, centers=centers + 9, u=u, v=v, detector=FlatDetector((2, 3), 1)
    )
    write_scan(Scan(torch.rand(5, 2, 3), geometry), tmp_path / "scan.h5")
    assert read(tmp_path / "scan.h5").geometry.equals(geometry)


def test_the_layout_is_the_documented_one(cone_scan: Scan, written: Path) -> None:
    with h5py.File(written) as file:
        assert (file.attrs["format"], file.attrs["version"]) == ("sinograd-scan", 1)
        projections = file["projections"]
        assert projections.dtype == np.float32
        assert projections.chunks == (1, 4, 5)
        assert projections.compression is None
        assert projections.attrs["axes"] == "views rows columns"
        np.testing.assert_array_equal(projections[()], cone_scan.load().numpy())
        geometry = Geometry.from_dict(yaml.safe_load(file["geometry"][()]))
        assert geometry.equals(cone_scan.geometry)
        assert json.loads(file["metadata"][()])["sample"] == "Knöchel"


def test_files_of_other_writers_are_read(cone_scan: Scan, tmp_path: Path) -> None:
    path = tmp_path / "theirs.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update(format="sinograd-scan", version=1)
        file.create_dataset("projections", data=cone_scan.load(dtype=torch.float64), compression="gzip")
        file["geometry"] = yaml.safe_dump(cone_scan.geometry.to_dict())
    scan = read(path)
    torch.testing.assert_close(scan.load(), cone_scan.load(), rtol=0, atol=0)
    assert scan.geometry.equals(cone_scan.geometry)


@pytest.mark.parametrize(
    "views",
    [
        slice(None),
        slice(2, 5),
        slice(5, 1, -2),
        slice(3, 3),
        4,
        -1,
        [5, 0, 0, 3],
        [1, 3, 5],
        np.array([2, 1]),
    ],
)
def test_views_are_chosen_as_numpy_does(cone_scan: Scan, written: Path, views: Any) -> None:
    everything = cone_scan.load().numpy()
    np.testing.assert_array_equal(read(written).projections[views], everything[views])


def test_projections_stay_in_the_file(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Any] = []
    original = h5py.Dataset.__getitem__

    def counting(dataset: h5py.Dataset, key: Any, new_dtype: Any = None) -> Any:
        if dataset.name == "/projections":
            reads.append(key)
        return original(dataset, key)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counting)
    scan = read(written)
    scan.check_shape()
    assert not reads
    scan.load(slice(1, 3))
    assert reads == [slice(1, 3, 1)]


def test_projections_can_be_pickled(cone_scan: Scan, written: Path) -> None:
    copy = pickle.loads(pickle.dumps(read(written).projections))
    assert isinstance(copy, Hdf5Projections)
    np.testing.assert_array_equal(copy[2:4], cone_scan.load().numpy()[2:4])


def test_a_replaced_file_is_noticed(fan_scan: Scan, cone_scan: Scan, written: Path) -> None:
    scan = read(written)
    write_scan(fan_scan, written, force=True)
    with pytest.raises(ValueError, match=r"changed since it was read: /projections \(7, 9\) .* != \(6, 4, 5\)"):
        scan.load()


def test_writing_refuses(cone_scan: Scan, written: Path) -> None:
    before = written.read_bytes()
    with pytest.raises(FileExistsError, match="`force=True`"):
        write_scan(cone_scan, written)
    with pytest.raises(ValueError, match=r"must end in \.h5, \.hdf5"):
        write_scan(cone_scan, written.with_suffix(".mat"))
    with pytest.raises(ValueError, match="columns 7 != 5"):
        write_scan(dataclasses.replace(cone_scan, projections=torch.zeros(6, 4, 7)), written, force=True)
    assert written.read_bytes() == before


def failing_after(views: int, error: BaseException, scan: Scan) -> Scan:
    """The scan, whose projections raise `error` once `views` of them were read."""

    class Failing:
        shape, dtype = scan.shape, np.dtype(np.float32)

        def __getitem__(self, key: slice) -> np.ndarray:
            if key.start >= views:
                raise error
            return np.asarray(scan.projections[key])

    return dataclasses.replace(scan, projections=Failing())


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full: writing"),
        (KeyboardInterrupt("stop"), "stop"),
    ],
)
def test_a_write_that_stops_leaves_nothing(cone_scan: Scan, tmp_path: Path, error: BaseException, message: str) -> None:
    with pytest.raises(type(error), match=message):
        write_scan(failing_after(3, error, cone_scan), tmp_path / "scan.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.attrs.__setitem__("version", 3), "has version 3; this sinograd reads versions 1 to 2"),
        (lambda f: f.__delitem__("projections"), "has no dataset /projections"),
        (lambda f: f.__delitem__("geometry"), "has no dataset /geometry"),
        (lambda f: f["geometry"].__setitem__((), "beam: cone\nscan: circular"), "lacks source_to_origin"),
        (lambda f: f["geometry"].__setitem__((), "just words"), "/geometry must be a mapping, got str"),
        (lambda f: f["metadata"].__setitem__((), "{broken"), "/metadata cannot be read"),
        (lambda f: f.attrs.__setitem__("format", "sinograd-volume"), "read it with sinograd.read_volume"),
    ],
)
def test_files_that_are_not_as_specified(written: Path, change: Any, message: str) -> None:
    with h5py.File(written, "r+") as file:
        change(file)
    with pytest.raises(ValueError, match=message) as caught:
        read(written)
    assert str(written) in str(caught.value)


def test_projections_that_are_not_numbers(written: Path) -> None:
    with h5py.File(written, "r+") as file:
        del file["projections"]
        file["projections"] = np.zeros((6, 4, 5), np.complex64)
    with pytest.raises(ValueError, match="must hold real numbers, got complex64"):
        read(written)
