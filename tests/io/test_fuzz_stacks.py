"""Mutated images, arrays, descriptions and volumes: read, or a clear error that names the file; never a crash, a hang
or memory without bound."""

from __future__ import annotations

import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz_cases import nikon, skyscan
from sinograd.data import Calibration, Scan
from sinograd.errors import ScanWarning
from sinograd.geometry import ConeBeam, FlatDetector, Grid, full_scan
from sinograd.io import read, read_volume, write_scan, write_volume

IMAGES = np.random.default_rng(0).integers(0, 4000, (5, 4, 5)).astype(np.uint16)
WORDS = (0, 1, 2, 63, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
TEXTS = ("0", "-1", "1e999", "nan", "9" * 30, "", "[", "{a: ", "'", "\t", "\0", "!!python/object:os.system ")
MAX_BYTES, MAX_SECONDS = 64 << 20, 20

place = st.floats(0, 1, exclude_max=True)
mutation = st.one_of(
    st.tuples(st.just("byte"), place, st.integers(0, 255)),
    st.tuples(st.just("early byte"), place, st.integers(0, 255)),
    st.tuples(st.just("word"), place, st.sampled_from(WORDS)),
    st.tuples(st.just("early word"), place, st.sampled_from(WORDS) | st.integers(0, 1 << 12)),
    st.tuples(st.just("text"), place, st.sampled_from(range(len(TEXTS)))),
    st.tuples(st.just("cut"), place, st.just(0)),
    st.tuples(st.just("drop"), place, st.integers(1, 300)),
    st.tuples(st.just("twice"), place, st.integers(1, 300)),
)
mutations = st.lists(mutation, min_size=1, max_size=8)


def mutated(content: bytes, changes: list[tuple[str, float, int]]) -> bytes:
    data = bytearray(content)
    for kind, where, value in changes:
        reach = min(len(data), 400) if kind.startswith("early") else len(data)
        at = int(where * reach)
        if kind.endswith("byte") and data:
            data[at] = value
        elif kind.endswith("word"):
            data[at : at + 4] = value.to_bytes(4, "little")
        elif kind == "text":
            data[at : at + len(TEXTS[value])] = TEXTS[value].encode()
        elif kind == "cut":
            del data[at:]
        elif kind == "drop":
            del data[at : at + value]
        elif kind == "twice":
            data[at:at] = data[at : at + value]
    return bytes(data)


def small() -> ConeBeam:
    return ConeBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=full_scan(5), detector=FlatDetector((4, 5), 0.3)
    )


def scan() -> Scan:
    calibration = Calibration(reference=IMAGES[:2], reference_views=[-1, 5], dark=IMAGES[:1], shifts=np.ones((5, 2)))
    return Scan(IMAGES, small(), {"sample": "Knöchel"}, Grid((2, 2, 2), 1), kind="counts", calibration=calibration)


def tiff_folder(folder: Path) -> Path:
    write_scan(scan(), folder / "in")
    return folder / "in"


def tiff_pages(folder: Path, **options: str) -> Path:
    tifffile.imwrite(folder / "in.tif", IMAGES, photometric="minisblack", **options)
    small().save(folder / "in.yaml")
    return folder / "in.tif"


def npy(folder: Path) -> Path:
    write_scan(scan(), folder / "in.npy")
    return folder / "in.npy"


def npz(folder: Path, save: Callable[..., None] = np.savez) -> Path:
    save(folder / "in.npz", projections=IMAGES, reference=IMAGES[:2], exposure=np.ones(5))
    small().save(folder / "in.yaml")
    return folder / "in.npz"


def volume(folder: Path, name: str) -> Path:
    write_volume(torch.randn(3, 4, 5), folder / name, Grid((3, 4, 5), 0.1))
    return folder / name


# what is read, and which of its files is damaged
CASES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "image of a stack": (tiff_folder, "in/projection_00002.tif"),
    "YAML of a stack": (tiff_folder, "in/scan.yaml"),
    "pages": (tiff_pages, "in.tif"),
    "packed pages": (lambda folder: tiff_pages(folder, compression="zlib"), "in.tif"),
    "ImageJ pages": (lambda folder: tiff_pages(folder, imagej="yes"), "in.tif"),
    "npy": (npy, "in.npy"),
    "YAML of npy": (npy, "in.yaml"),
    "npz": (npz, "in.npz"),
    "packed npz": (lambda folder: npz(folder, np.savez_compressed), "in.npz"),
    "xtekct": (nikon, "bone.xtekct"),
    "measured angles": (nikon, "bone.ang"),
    "SkyScan log": (skyscan, "bone_.log"),
}
VOLUMES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "tif": (lambda folder: volume(folder, "out.tif"), "out.tif"),
    "mha": (lambda folder: volume(folder, "out.mha"), "out.mha"),
    "nii": (lambda folder: volume(folder, "out.nii"), "out.nii"),
    "nii.gz": (lambda folder: volume(folder, "out.nii.gz"), "out.nii.gz"),
    "nrrd": (lambda folder: volume(folder, "out.nrrd"), "out.nrrd"),
    "mrc volume": (lambda folder: volume(folder, "out.mrc"), "out.mrc"),
    "h5 volume": (lambda folder: volume(folder, "out.h5"), "out.h5"),
    "npy volume": (lambda folder: volume(folder, "out.npy"), "out.npy"),
    "YAML of an npy volume": (lambda folder: volume(folder, "out.npy"), "out.yaml"),
    "zarr group": (lambda folder: volume(folder, "out.zarr"), "out.zarr/zarr.json"),
    "zarr array": (lambda folder: volume(folder, "out.zarr"), "out.zarr/0/zarr.json"),
    "zarr chunk": (lambda folder: volume(folder, "out.zarr"), "out.zarr/0/c/0/0/0"),
    "slice": (lambda folder: volume(folder, "out"), "out/slice_00001.tif"),
    "YAML of slices": (lambda folder: volume(folder, "out"), "out/volume.yaml"),
}


def read_all(path: Path) -> None:
    found = read(path)
    found.load()
    repr(found)
    if found.calibration is not None:
        for name in ("reference", "dark"):
            if getattr(found.calibration, name) is not None:
                found.calibration.load(name)


def bounded(folder: Path, action: Callable[[Path], object], path: Path) -> None:
    """Run it: no error but those of bad input, which name a file of the folder, in bounded memory and time."""
    start = time.perf_counter()
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ScanWarning)
            action(path)
    except (ValueError, FileNotFoundError, IsADirectoryError) as error:
        assert str(folder) in str(error), error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MAX_BYTES, f"{peak:,} bytes"
    assert time.perf_counter() - start < MAX_SECONDS


@pytest.fixture
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """A case: what is read, and the file that is damaged."""
    make, name = request.param
    if name.startswith("out"):
        pytest.importorskip("SimpleITK", reason="needs the extra io")
        pytest.importorskip("zarr", reason="needs the extra io")
    return make(tmp_path), tmp_path / name


@pytest.mark.parametrize("damaged", CASES.values(), ids=CASES.keys(), indirect=True)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=mutations)
def test_damaged_scans(tmp_path: Path, damaged: tuple[Path, Path], changes: list[tuple[str, float, int]]) -> None:
    path, file = damaged
    whole = file.read_bytes()
    try:
        file.write_bytes(mutated(whole, changes))
        bounded(tmp_path, read_all, path)
    finally:
        file.write_bytes(whole)


@pytest.mark.parametrize("damaged", VOLUMES.values(), ids=VOLUMES.keys(), indirect=True)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=mutations)
def test_damaged_volumes(tmp_path: Path, damaged: tuple[Path, Path], changes: list[tuple[str, float, int]]) -> None:
    path, file = damaged
    whole = file.read_bytes()
    try:
        file.write_bytes(mutated(whole, changes))
        bounded(tmp_path, read_volume, path)
    finally:
        file.write_bytes(whole)
