"""NumPy arrays with a YAML file. Truth: the arrays that NumPy wrote."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from scanner_files import COLUMNS, ROWS, VIEWS, WHITE, check_phantom, counts, phantom
from sinograd.data import Calibration, Scan
from sinograd.geometry import ConeBeam, FlatDetector, full_scan
from sinograd.io import read, write_scan


def small(views: int = 6) -> ConeBeam:
    return ConeBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=full_scan(views), detector=FlatDetector((4, 5), 0.3)
    )


def draw(images: int = 6, dtype: Any = np.uint16) -> np.ndarray:
    return np.random.default_rng(images).integers(0, 250, (images, 4, 5)).astype(dtype)


def write_yaml(path: Path, **entries: Any) -> None:
    path.write_text(yaml.safe_dump({"geometry": small().to_dict(), **entries}))


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_phantom_comes_back(tmp_path: Path, suffix: str) -> None:
    geometry = ConeBeam.circular(
        source_to_origin=60,
        source_to_detector=150,
        angles=-full_scan(VIEWS, 0.3),
        detector=FlatDetector((ROWS, COLUMNS), 0.5, (0.7, -1.3)),
    )
    images = counts(phantom().project(geometry))
    if suffix == ".npy":
        np.save(tmp_path / "scan.npy", images)
    else:
        np.savez(tmp_path / "scan.npz", projections=images)
    record = {"geometry": geometry.to_dict(), "reference": WHITE}
    (tmp_path / "scan.yaml").write_text(yaml.safe_dump(record))
    scan = read(tmp_path / f"scan{suffix}").validate()
    assert scan.kind == "counts"
    check_phantom(scan.load(), WHITE, scan.geometry)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64, ">u2"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("flipped", [False, True])
def test_arrays_stay_in_their_file(tmp_path: Path, dtype: Any, order: Any, flipped: bool) -> None:
    images = draw(dtype=dtype)
    np.save(tmp_path / "scan.npy", np.asarray(images, order=order))
    write_yaml(tmp_path / "scan.yaml", flip_rows=flipped, flip_columns=flipped)
    scan = read(tmp_path / "scan.npy")
    expected = images[:, ::-1, ::-1] if flipped else images
    for views in (slice(None), 2, -1, [5, 0, 0], slice(4, 1, -2)):
        np.testing.assert_array_equal(scan.load(views).numpy(), expected[views])
    again = pickle.loads(pickle.dumps(scan.projections))
    np.testing.assert_array_equal(again[1:3], expected[1:3])
    assert not isinstance(scan.projections, np.ndarray) and "read lazily" in repr(scan)


def test_no_file_is_mapped_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "scan.npy", draw())
    write_yaml(tmp_path / "scan.yaml")
    scan = read(tmp_path / "scan.npy")
    monkeypatch.delattr(np, "memmap")  # it would need as much address space as the file is large, which may be limited
    for views in (slice(None), slice(1, None, 2), [4, -1, 0]):
        np.testing.assert_array_equal(scan.projections[views], draw()[views])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives(tmp_path: Path, save: Any) -> None:
    images, flats, darks = draw(), draw(3), draw(2)
    save(
        tmp_path / "scan.npz",
        projections=images,
        reference=flats,
        reference_views=[-1.0, 2.0, 6.0],
        dark=darks,
        exposure=np.ones(6),
    )
    write_yaml(tmp_path / "scan.yml")
    scan = read(tmp_path / "scan.npz")
    np.testing.assert_array_equal(scan.load([3, 1]).numpy(), images[[3, 1]])
    assert scan.calibration is not None and scan.calibration.reference_views is not None
    np.testing.assert_array_equal(scan.calibration.load("reference").numpy(), flats)
    np.testing.assert_array_equal(scan.calibration.load("dark").numpy(), darks)
    assert scan.calibration.reference_views.tolist() == [-1, 2, 6]
    save(tmp_path / "scan.npz", images)
    assert read(tmp_path / "scan.npz").shape == (6, 4, 5)
    save(tmp_path / "scan.npz", a=images, b=images)
    with pytest.raises(ValueError, match=r"must hold `projections` and at most reference, .* it holds \['a', 'b'\]"):
        read(tmp_path / "scan.npz")


def test_references_in_files_of_their_own(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", draw())
    np.save(tmp_path / "air.npy", draw(3))
    write_yaml(tmp_path / "scan.yaml", reference="E:\\data\\air.npy", dark=3)
    scan = read(tmp_path / "scan.npy")
    assert scan.calibration is not None
    np.testing.assert_array_equal(scan.calibration.load("reference").numpy(), draw(3))
    np.save(tmp_path / "air2.npy", draw(3))
    write_yaml(tmp_path / "scan.yaml", reference="air*.npy")
    with pytest.raises(ValueError, match=r"one \.npy file of \[n, rows, columns\] is expected, got 2 files"):
        read(tmp_path / "scan.npy")


def test_contradictions_are_named(tmp_path: Path) -> None:
    path = tmp_path / "scan.npy"
    np.save(path, draw())
    with pytest.raises(
        ValueError, match=r"write it to .*scan\.yaml, in mm and degrees, for example {beam: cone, scan: circular"
    ):
        read(path)
    small(7).save(tmp_path / "scan.yaml")
    with pytest.raises(ValueError, match=r"scan\.npy: projections \[6, 4, 5\] do not match .* views 6 != 7"):
        read(path)
    arrays = {"complex64": np.zeros((6, 4, 5), np.complex64), "object": np.array([None]), "int64, got": np.zeros(())}
    for name, array in arrays.items():
        np.save(path, array)
        with pytest.raises(ValueError, match=r"scan\.npy"):
            read(path)
        assert name
    np.save(path, np.zeros((6, 0, 5)))
    with pytest.raises(ValueError, match=r"not empty, got \[6, 0, 5\]"):
        read(path)


@pytest.mark.parametrize("name", ["scan.npy", "scan.npz", "packed.npz"])
def test_truncated_at_any_length(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "scan.npy":
        np.save(path, draw())
    elif name == "scan.npz":
        np.savez(path, projections=draw(), reference=draw(2))
    else:
        np.savez_compressed(path, projections=draw(), reference=draw(2))
    small().save(tmp_path / "geometry.yaml")
    content = path.read_bytes()
    scan = read(path)
    for length in [1, 6, 9, 40, *range(60, len(content), 37), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=name):
            read(path)
        if name == "scan.npy":
            with pytest.raises(ValueError, match=name):
                scan.load()


def test_a_volume_is_not_a_scan(tmp_path: Path) -> None:
    from sinograd.geometry import Grid
    from sinograd.io import write_volume

    write_volume(torch.zeros(3, 4, 5), tmp_path / "volume.npy", Grid((3, 4, 5), 0.1))
    with pytest.raises(ValueError, match=r"describes a volume, not a scan \(read it with sinograd\.read_volume\)"):
        read(tmp_path / "volume.npy")


@pytest.fixture
def measured(cone_scan: Scan) -> Scan:
    calibration = Calibration(reference=draw(3), reference_views=[-1, 2.5, 6], dark=draw(2), shifts=np.ones((6, 2)))
    return dataclasses.replace(cone_scan, projections=draw(), kind="counts", calibration=calibration)


def test_round_trip(tmp_path: Path, measured: Scan) -> None:
    seen: list[tuple[int, int]] = []
    write_scan(measured, tmp_path / "out.npy", progress=lambda done, total: seen.append((done, total)), format="npy")
    assert seen[-1] == (6, 6)
    names = {"out.npy", "out.yaml", "out_reference.npy", "out_dark.npy"}
    assert {path.name for path in tmp_path.iterdir()} == names
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), measured.projections)
    again = read(tmp_path / "out.npy").validate()
    assert again.geometry.equals(measured.geometry) and again.kind == "counts" and again.metadata == measured.metadata
    first, second = measured.calibration, again.calibration
    assert first is not None and second is not None
    for name in ("reference", "reference_views", "dark", "shifts"):
        np.testing.assert_array_equal(getattr(second, name)[:], getattr(first, name)[:])


def test_blocks_and_types(tmp_path: Path, fan_scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinograd.data.blocks.BLOCK_BYTES", 80)
    double = dataclasses.replace(fan_scan, projections=torch.rand(7, 9, dtype=torch.float64))
    seen: list[int] = []
    write_scan(double, tmp_path / "out.npy", progress=lambda done, total: seen.append(done), format="npy")
    assert seen == [2, 4, 6, 7]
    again = read(tmp_path / "out.npy")
    assert again.projections.dtype == np.float32 and again.kind == "line integrals"
    torch.testing.assert_close(again.load(), double.load(), rtol=0, atol=0)


def test_nothing_is_replaced_unasked(tmp_path: Path, measured: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("out.npy", "out.yaml", "out_reference.npy"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(FileExistsError, match=rf"{name} already exists"):
            write_scan(measured, tmp_path / "out.npy", format="npy")
        assert [path.name for path in tmp_path.iterdir()] == [name]
        (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=r"must end in \.npy"):
        write_scan(measured, tmp_path / "out.npz", format="npy")

    def stop(file: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_scan(measured, tmp_path / "out.npy", format="npy")
    assert not list(tmp_path.iterdir())
