"""Packed blocks that become a thousand times larger, and shapes that cost nothing to write down: refused before that.

Truth: what the standard library unpacks, and the memory that the process took.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

import sinograd as sg
from sinograd.data.projections import view_order
from sinograd.errors import OutOfMemory, SinogradError
from sinograd.io import read, read_volume, write_scan, write_volume
from sinograd.io.storage.inflation import HARMLESS, check_inflation

SIZE = HARMLESS + (1 << 20)
ZEROS = bytes(SIZE)
BOMB = zlib.compress(ZEROS, 1)
CONE = sg.ConeBeam.circular(
    source_to_origin=100, source_to_detector=200, angles=sg.full_scan(2), detector=sg.FlatDetector((500, 300), 1.0)
)


def zstd_of_runs(size: int) -> bytes:
    """A zstd frame that does not declare its size, of blocks that repeat one byte 128 K times (RFC 8878, 3.1.1.2)."""
    count = -(-size // (1 << 17))
    blocks = [((index == count - 1) | 1 << 1 | (1 << 17) << 3).to_bytes(3, "little") + b"\0" for index in range(count)]
    return b"\x28\xb5\x2f\xfd\x00\x38" + b"".join(blocks)


@pytest.mark.parametrize(
    ("method", "pack"),
    [
        ("deflate", lambda data: zlib.compress(data, 1)),
        ("deflate", lambda data: gzip.compress(b"short") + gzip.compress(data, 1)),
        ("bz2", lambda data: bz2.compress(data, 1)),
        ("lzma", lambda data: lzma.compress(data, preset=0)),
        ("zstd", lambda data: zstd_of_runs(len(data))),
    ],
)
def test_how_large_packed_bytes_become(method: str, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(ZEROS)
    with pytest.raises(SinogradError, match=r"^a\.bin: [\d,]+ packed bytes inflate to more than 134,217,728$"):
        check_inflation(packed, method, 1000, "a.bin")
    check_inflation(packed, method, SIZE + (1 << 18), "a.bin")  # it may be as large as that
    check_inflation(pack(bytes(1000)), method, 1, "a.bin")  # harmless
    check_inflation(packed[: len(packed) // 2], method, SIZE, "a.bin")  # damaged: the reader says so
    check_inflation(b"\xff" * 1_000_000, method, SIZE, "a.bin")


def test_the_size_of_zstd_frames_holds_for_what_a_library_packs() -> None:
    numcodecs = pytest.importorskip("numcodecs", reason="needs the extra io")
    data = np.random.default_rng(0).integers(0, 9, SIZE, np.uint8).tobytes()
    check_inflation(bytes(numcodecs.Zstd(1).encode(data)), "zstd", SIZE + (1 << 18), "a.bin")
    with pytest.raises(SinogradError, match="inflate to more"):
        check_inflation(bytes(numcodecs.Zstd(1).encode(data)), "zstd", SIZE - 1, "a.bin")


def deflated(file: Any, name: str, shape: tuple[int, ...], chunks: tuple[int, ...]) -> None:
    """A data set in the place of another, whose first chunk is much larger than its numbers."""
    attributes = dict(file[name].attrs) if name in file else {}
    if name in file:
        del file[name]
    dataset = file.create_dataset(name, shape, "f4", chunks=chunks, compression="gzip")
    dataset.attrs.update(attributes)
    dataset.id.write_direct_chunk((0,) * len(shape), BOMB)


def test_chunks_of_hdf5(tmp_path: Path) -> None:
    import h5py

    write_scan(sg.Scan(torch.zeros(2, 500, 300), CONE), tmp_path / "s.h5")
    write_volume(torch.zeros(2, 500, 300), tmp_path / "v.h5", sg.Grid((2, 500, 300)))
    for path, name in ((tmp_path / "s.h5", "projections"), (tmp_path / "v.h5", "volume")):
        with h5py.File(path, "r+") as file:
            deflated(file, name, (2, 500, 300), (1, 500, 300))
    scan = read(tmp_path / "s.h5")
    assert not scan.load([1]).any()  # the chunk that is well
    for load in (scan.load, lambda: scan.load([0]), lambda: read_volume(tmp_path / "v.h5")):
        with pytest.raises(SinogradError, match=r"at \[0, 0, 0\]: [\d,]+ packed bytes inflate to more than"):
            load()
    with h5py.File(tmp_path / "dx.h5", "w") as file:
        file["exchange/data"] = np.ones((4, 8, 8), np.uint16)
        theta = file.create_dataset("exchange/theta", (4,), "f8", maxshape=(None,), chunks=(140_000,), compression=4)
        theta.id.write_direct_chunk((0,), BOMB)
    with pytest.raises(SinogradError, match="/exchange/theta at"):
        read(tmp_path / "dx.h5")


def test_hdf5_that_is_packed_twice(tmp_path: Path) -> None:
    import h5py
    from h5py import h5d, h5p, h5s, h5t  # pyright: ignore[reportAttributeAccessIssue]

    write_scan(sg.Scan(torch.zeros(2, 500, 300), CONE), tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        plan = h5p.create(h5p.DATASET_CREATE)
        plan.set_chunk((1, 500, 300))
        plan.set_deflate(9)
        plan.set_deflate(9)
        if plan.get_nfilters() < 2:
            pytest.skip("this HDF5 keeps one filter of a kind")
        del file["projections"]
        h5d.create(file.id, b"projections", h5t.IEEE_F32LE, h5s.create_simple((2, 500, 300)), plan)
    with pytest.raises(SinogradError, match="packed twice"):
        read(tmp_path / "s.h5")


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")
@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize(
    ("codec", "pack"),
    [
        ({"name": "gzip", "configuration": {"level": 5}}, lambda data: gzip.compress(data, 1)),
        ({"name": "zstd", "configuration": {"level": 5, "checksum": False}}, lambda data: zstd_of_runs(len(data))),
        ({"name": "numcodecs.bz2", "configuration": {"level": 5}}, lambda data: bz2.compress(data, 1)),
    ],
)
def test_chunks_of_zarr(tmp_path: Path, codec: dict[str, Any], pack: Callable[[bytes], bytes], sharded: bool) -> None:
    pytest.importorskip("zarr", reason="needs the extra io")
    path = tmp_path / "v.zarr"
    write_volume(torch.ones(3, 40, 50), path, sg.Grid((3, 40, 50), 0.1))
    metadata = json.loads((path / "0" / "zarr.json").read_text())
    plain = {"name": "bytes", "configuration": {"endian": "little"}}
    metadata["codecs"], content = [plain, codec], pack(ZEROS)
    if sharded:
        inner = {"chunk_shape": [3, 40, 50], "codecs": [plain, codec], "index_codecs": [plain], "index_location": "end"}
        metadata["codecs"] = [{"name": "sharding_indexed", "configuration": inner}]
        content += np.array([0, len(content)], "<u8").tobytes()
    (path / "0" / "zarr.json").write_text(json.dumps(metadata))
    (path / "0" / "c" / "0" / "0" / "0").write_bytes(content)
    with pytest.raises(SinogradError, match="packed bytes inflate to more than") as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shards", [None, (4, 64, 64)])
@pytest.mark.parametrize("version", [2, 3])
def test_packed_zarr_is_read(tmp_path: Path, version: int, shards: tuple[int, ...] | None) -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra io")
    if version == 2 and shards:
        pytest.skip("version 2 has no shards")
    volume = torch.rand(5, 60, 70)
    write_volume(volume, tmp_path / "v.zarr", sg.Grid((5, 60, 70), 0.1))
    attributes = {"ome": zarr.open_group(str(tmp_path / "v.zarr"), mode="r").attrs["ome"]}
    path = tmp_path / "packed.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    group.create_array("0", data=volume.numpy(), chunks=(2, 32, 32), shards=shards)
    group.attrs.update(attributes)
    assert torch.equal(read_volume(path).values, volume)


def test_strips_of_tiff_without_imagecodecs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sinograd.io.storage import tiff_pixels

    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((500, 300), np.float32), compression="zlib", rowsperstrip=500, metadata=None)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        tags = page.tags
        for tag, value in ((tags[273], len(content)), (tags[279], len(BOMB))):
            content[tag.valueoffset : tag.valueoffset + 4] = value.to_bytes(4, "little")
    path.write_bytes(bytes(content) + BOMB)
    monkeypatch.setattr(tiff_pixels.importlib.util, "find_spec", lambda name: None)
    with tifffile.TiffFile(path) as file, pytest.raises(SinogradError, match=r"page 0: .* inflate to more than"):
        tiff_pixels.check_segments(file.pages[0], path)


def test_a_scan_that_declares_a_billion_views(tmp_path: Path) -> None:
    import h5py

    geometry = sg.FanBeam.circular(
        source_to_origin=100, source_to_detector=200, angles=sg.full_scan(2), detector=sg.FlatDetector(4, 1.0)
    )
    write_scan(sg.Scan(torch.zeros(2, 4), geometry), tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        del file["projections"]
        file.create_dataset("projections", (10**9, 4), "f4", chunks=(1, 4))
    with pytest.raises(SinogradError, match=r"/projections has 1,000,000,000 images, at most 10,000,000 are read"):
        read(tmp_path / "s.h5")


@pytest.mark.parametrize(
    "views",
    [3, -1, slice(None), slice(8, 2, -2), slice(5, 5), [1, -2], [], np.array([[0, 1], [2, 3]]), np.arange(10) > 4,
     [True] * 10, np.int16(2)],
)  # fmt: skip
def test_numbers_of_chosen_views(views: Any) -> None:
    want = np.arange(10)[np.asarray(views, dtype=int if views == [] else None) if isinstance(views, list) else views]
    found = view_order(views, (10, 2), np.dtype("f4"), "a.h5")
    np.testing.assert_array_equal(found, want)
    assert np.shape(found) == np.shape(want)


def test_views_that_do_not_fit_into_memory() -> None:
    with pytest.raises(OutOfMemory, match=r"not enough memory for a\.h5"):
        view_order(slice(None), (10**15,), np.dtype("f4"), "a.h5")
    assert view_order(10**15 - 1, (10**15,), np.dtype("f4"), "a.h5") == 10**15 - 1
    assert len(view_order(slice(10, 20), (10**15,), np.dtype("f4"), "a.h5")) == 10
    with pytest.raises(IndexError, match=r"a\.h5: view \[10\] of 10"):
        view_order([10], (10,), np.dtype("f4"), "a.h5")
