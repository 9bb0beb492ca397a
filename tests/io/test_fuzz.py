"""Mutated scan files: read, or a clear error that names the file; never a crash, a hang or memory without bound."""

from __future__ import annotations

import dataclasses
import time
import tracemalloc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinograd.data import Calibration, Scan
from sinograd.errors import ScanWarning
from sinograd.geometry import ConeBeam, FlatDetector, full_scan
from sinograd.io import read, write_scan
from txrm_file import write_txrm

WORDS = (0, 1, 2, 63, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFA, 0xFFFFFFFE, 0xFFFFFFFF)
IMAGES = np.random.default_rng(0).integers(0, 4000, (5, 4, 5)).astype(np.uint16)
STREAMS = (
    "ImageInfo/NoOfImages",
    "ImageInfo/ImagesTaken",
    "ImageInfo/ImageWidth",
    "ImageInfo/ImageHeight",
    "ImageInfo/DataType",
    "ImageInfo/XrayGeometry",
    "ImageInfo/Angles",
    "ImageInfo/PixelSize",
    "ImageInfo/StoRADistance",
    "ImageInfo/DtoRADistance",
    "ImageInfo/ExpTimes",
    "ImageInfo/Date",
    "ImageInfo/VerticalalBin",
    "ImageData1/Image3",
    "ReferenceData/Image",
    "ReferenceData/DataType",
    "ReferenceData/ExpTime",
    "MultiReferenceData/Image2",
    "Alignment/X-Shifts",
    "Alignment/Y-Shifts",
    "ReconSettings/CenterShift",
)

place = st.floats(0, 1, exclude_max=True)
mutation = st.one_of(
    st.tuples(st.just("byte"), place, st.integers(0, 255)),
    st.tuples(st.just("early byte"), place, st.integers(0, 255)),
    st.tuples(st.just("word"), place, st.sampled_from(WORDS)),
    st.tuples(st.just("early word"), place, st.sampled_from(WORDS) | st.integers(0, 1 << 12)),
    st.tuples(st.just("cut"), place, st.just(0)),
    st.tuples(st.just("drop"), place, st.integers(1, 700)),
)
mutations = st.lists(mutation, min_size=1, max_size=12)


def mutated(content: bytes, changes: list[tuple[str, float, int]]) -> bytes:
    data = bytearray(content)
    for kind, where, value in changes:
        if not data:
            break
        at = int(where * (min(len(data), 5000) if kind.startswith("early") else len(data)))
        if kind.endswith("byte"):
            data[at] = value
        elif kind.endswith("word"):
            data[at // 4 * 4 : at // 4 * 4 + 4] = value.to_bytes(4, "little")
        elif kind == "cut":
            del data[at:]
        else:
            del data[at : at + value]
    return bytes(data)


def read_everything(path: Path) -> None:
    """Read a file to its last number; ValueError and OSError are the clear errors, and name the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScanWarning)
        try:
            scan = read(path)
            assert len(repr(scan)) < 1_000_000
            scan.validate()
            if scan.calibration is not None:
                for name in ("reference", "dark"):
                    if getattr(scan.calibration, name) is not None:
                        scan.calibration.load(name)
        except (ValueError, OSError) as error:
            assert path.name in str(error), error


@contextmanager
def little() -> Iterator[None]:
    """Little memory and little time are used inside."""
    tracemalloc.start()
    start = time.process_time()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20
    assert time.process_time() - start < 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module", params=[(3, False), (4, True)], ids=["small sectors", "large sectors"])
def txrm(request: pytest.FixtureRequest, folder: Path) -> bytes:
    version, scattered = request.param
    write_txrm(
        folder / "base.txrm",
        IMAGES,
        np.linspace(0, 300, 5),
        reference=IMAGES[0],
        references=IMAGES[:2],
        shifts=np.ones((5, 2)),
        center_shift=0.5,
        version=version,
        scattered=scattered,
    )
    return (folder / "base.txrm").read_bytes()


@settings(max_examples=150)
@given(changes=mutations)
def test_mutated_txrm(txrm: bytes, folder: Path, changes: list[tuple[str, float, int]]) -> None:
    path = folder / "mutated.txrm"
    path.write_bytes(mutated(txrm, changes))
    with little():
        read_everything(path)


@settings(max_examples=150)
@given(
    streams=st.dictionaries(
        st.sampled_from(STREAMS),
        st.none()
        | st.binary(max_size=60)
        | st.integers(-(1 << 31), (1 << 31) - 1).map(lambda n: n.to_bytes(4, "little", signed=True))
        | st.integers(0, 12).map(lambda n: n.to_bytes(4, "little"))
        | st.lists(st.floats(width=32), max_size=9).map(lambda values: np.array(values, "<f4").tobytes()),
        min_size=1,
        max_size=4,
    )
)
def test_txrm_with_other_streams(folder: Path, streams: dict[str, bytes | None]) -> None:
    path = folder / "streams.txrm"
    shifts = np.ones((5, 2))
    write_txrm(
        path,
        IMAGES,
        np.linspace(0, 300, 5),
        reference=IMAGES[0],
        references=IMAGES[:3],
        shifts=shifts,
        center_shift=0.5,
        change=streams,
    )
    with little():
        read_everything(path)


def sinograd_file(path: Path) -> None:
    geometry = ConeBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=full_scan(5), detector=FlatDetector((4, 5), 0.3)
    )
    scan = Scan(IMAGES, geometry, {"sample": "bone"}, kind="counts")
    calibration = Calibration(IMAGES[:2], np.array([0.0, 4.0]), IMAGES[:1], np.ones((5, 2)), np.ones(5))
    write_scan(dataclasses.replace(scan, calibration=calibration), path, force=True)


def dxchange_file(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["exchange/data"], file["exchange/data_white"] = IMAGES, IMAGES[:2]
        file["exchange/theta"] = np.arange(5.0)
        file["measurement/instrument/detector/x_pixel_size"] = 1.3e-6
        file["measurement/instrument/detector/x_pixel_size"].attrs["units"] = "m"
        file["measurement/sample/name"] = "bone"


def nxtomo_file(path: Path) -> None:
    with h5py.File(path, "w") as file:
        detector, sample = file.create_group("entry/instrument/detector"), file.create_group("entry/sample")
        detector.attrs["NX_class"], sample.attrs["NX_class"] = "NXdetector", "NXsample"
        detector["data"], detector["image_key"] = IMAGES, [2, 1, 0, 0, 1]
        detector["x_pixel_size"], sample["rotation_angle"] = 1e-6, np.arange(5.0)


@pytest.fixture(scope="module", params=[sinograd_file, dxchange_file, nxtomo_file], ids=lambda make: make.__name__)
def hdf5(request: pytest.FixtureRequest, folder: Path) -> bytes:
    request.param(folder / "base.h5")
    return (folder / "base.h5").read_bytes()


@settings(max_examples=80)
@given(changes=mutations)
def test_mutated_hdf5(hdf5: bytes, folder: Path, changes: list[tuple[str, float, int]]) -> None:
    path = folder / "mutated.h5"
    path.write_bytes(mutated(hdf5, changes))
    with little():
        read_everything(path)


def test_a_heap_without_an_end(folder: Path) -> None:
    """The HDF5 library (2.0) does not return from reading a text in such a heap."""
    dxchange_file(folder / "heap.h5")
    content = bytearray((folder / "heap.h5").read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 16 : heap + 32] = bytes(16)  # the first object: unused space of size 0
    (folder / "heap.h5").write_bytes(content)
    with pytest.raises(ValueError, match=rf"heap\.h5 is a truncated or damaged HDF5 file: the heap at byte {heap} has"):
        read(folder / "heap.h5")


def test_a_text_that_says_to_be_longer_than_its_file(folder: Path) -> None:
    path = folder / "text.h5"
    dxchange_file(path)
    with h5py.File(path) as file:
        place = file["measurement/sample/name"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[place : place + 4] = (1 << 31).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"text\.h5: the text /measurement/sample/name has 2,147,483,648 bytes"):
        read(path)
