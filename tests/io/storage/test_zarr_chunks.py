"""Chunks that are read without zarr. Truth: what zarr reads."""

from __future__ import annotations

import itertools
import math
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sinograd.errors import FormatError
from sinograd.io.storage.zarr_checks import check_chunk
from sinograd.io.storage.zarr_chunks import ZarrChunks, chunks_of

zarr: Any = pytest.importorskip("zarr")
numcodecs: Any = pytest.importorskip("numcodecs")
google_crc32c: Any = pytest.importorskip("google_crc32c")

SHAPE, CHUNKS = (11, 23, 17), (4, 8, 5)
ARRAYS: dict[str, dict[str, Any]] = {
    "zstd": {"compressors": zarr.codecs.ZstdCodec()},
    "gzip": {"compressors": zarr.codecs.GzipCodec()},
    "blosc": {"compressors": zarr.codecs.BloscCodec()},
    "plain": {"compressors": None},
    "checksum": {"compressors": [zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()]},
    "big endian": {"serializer": zarr.codecs.BytesCodec(endian="big")},
    "shards": {"shards": (8, 8, 10)},
    "index at the start": {"shards": {"shape": (4, 16, 15), "index_location": "start"}},
    "points": {"chunk_key_encoding": {"name": "default", "separator": "."}},
    "version 2": {"zarr_format": 2, "compressors": numcodecs.Blosc(cname="lz4")},
    "version 2, zlib, folders": {
        "zarr_format": 2,
        "compressors": numcodecs.Zlib(),
        "chunk_key_encoding": {"name": "v2", "separator": "/"},
    },
    "version 2, plain": {"zarr_format": 2, "compressors": None},
}
OTHERS: dict[str, dict[str, Any]] = {
    "transposed": {"filters": [zarr.codecs.TransposeCodec(order=(2, 1, 0))]},
    "columns first": {"zarr_format": 2, "order": "F"},
    "filtered": {"zarr_format": 2, "filters": [numcodecs.Delta(dtype="<i2")]},
}


def made(folder: Path, dtype: str = "int16", **options: Any) -> Any:
    """An array of noise; some of its chunks are never written."""
    options = {"chunks": CHUNKS, "fill_value": 7, **options}
    group = zarr.open_group(str(folder), mode="w", zarr_format=options.pop("zarr_format", 3))
    array = group.create_array("0", shape=SHAPE, dtype=dtype, **options)
    array[:8, :, :10] = np.random.default_rng(3).integers(-900, 900, (8, SHAPE[1], 10))
    return array


def boxes() -> list[tuple[slice, ...]]:
    parts = [[slice(0, n), slice(n - 1, n), slice(n // 3, 2 * n // 3), slice(2, 2)] for n in SHAPE]
    return list(itertools.product(*parts))


def own(folder: Path, array: Any) -> ZarrChunks:
    found = chunks_of(folder, array)
    assert found is not None
    return found


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_every_box_is_that_of_zarr(tmp_path: Path, name: str, dtype: str) -> None:
    array = made(tmp_path, dtype, **ARRAYS[name])
    chunks = pickle.loads(pickle.dumps(own(tmp_path, array)))
    for box in boxes():
        found = chunks.read(box)
        assert found.dtype.isnative and found.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(found, array[box])


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_left_to_zarr(tmp_path: Path, name: str) -> None:
    assert chunks_of(tmp_path, made(tmp_path, **OTHERS[name])) is None


def test_threads_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = made(tmp_path, shards=(4, 8, 5))
    monkeypatch.setattr("sinograd.io.storage.zarr_chunks._WORTH_THREADS", 0)
    np.testing.assert_array_equal(own(tmp_path, array).read(boxes()[0]), array[:])


def test_only_the_chunks_of_a_box_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = made(tmp_path, shards=(4, 24, 20))
    unpacked = []
    real = ZarrChunks._unpacked
    monkeypatch.setattr(ZarrChunks, "_unpacked", lambda self, *rest: unpacked.append(1) or real(self, *rest))
    own(tmp_path, array).read((slice(0, 4), slice(9, 10), slice(1, 3)))
    assert len(unpacked) == 1


@pytest.mark.parametrize("name", ["zstd", "blosc", "plain", "shards", "checksum", "version 2, zlib, folders"])
def test_damage_names_the_file(tmp_path: Path, name: str) -> None:
    """A file that was cut, at every one of some lengths: its error, or that of its voxels; never another one."""
    array = made(tmp_path, **ARRAYS[name])
    chunks = own(tmp_path, array)
    file = max(
        (path for path in (tmp_path / "0").rglob("[0-9]*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    whole = file.read_bytes()
    everything = tuple(slice(0, n) for n in SHAPE)
    for length in (0, 1, 3, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(FormatError, match=file.name):
            chunks.read(everything)


def test_a_checksum_tells_another_byte(tmp_path: Path) -> None:
    array = made(tmp_path, compressors=[zarr.codecs.Crc32cCodec()])
    file = tmp_path / "0" / "c" / "0" / "0" / "0"
    held = bytearray(file.read_bytes())
    held[5] ^= 1
    file.write_bytes(bytes(held))
    with pytest.raises(FormatError, match="checksum"):
        own(tmp_path, array).read((slice(0, 1), slice(0, 1), slice(0, 1)))


def test_an_index_that_points_beyond_the_file(tmp_path: Path) -> None:
    array = made(tmp_path, shards=(8, 8, 10))
    file = tmp_path / "0" / "c" / "0" / "0" / "0"
    held = bytearray(file.read_bytes())
    index = np.frombuffer(bytes(held[-(16 * 4 + 4) : -4]), "<u8").copy()
    index[0] = 1 << 40
    held[-(16 * 4 + 4) : -4] = index.tobytes()
    import google_crc32c

    held[-4:] = google_crc32c.value(index.tobytes()).to_bytes(4, "little")
    file.write_bytes(bytes(held))
    with pytest.raises(FormatError, match="behind the end"):
        own(tmp_path, array).read((slice(0, 1), slice(0, 1), slice(0, 1)))


@pytest.mark.parametrize("name", ["zstd", "blosc", "plain", "checksum", "version 2", *OTHERS])
def test_files_far_larger_than_their_voxels_are_not_read(tmp_path: Path, name: str) -> None:
    array = made(tmp_path, **(ARRAYS | OTHERS)[name])
    key = array.metadata.encode_chunk_key((0, 0, 0))
    os.truncate(tmp_path / "0" / key, 1 << 40)
    with pytest.raises(FormatError, match="1,099,511,627,776 bytes, expected at most"):
        if name in OTHERS:
            check_chunk(tmp_path / "0", key, math.prod(CHUNKS) * 2, 1)
        else:
            own(tmp_path, array).read((slice(0, 1),) * 3)


def test_chunks_of_shards_far_larger_than_their_voxels_are_not_read(tmp_path: Path) -> None:
    array = made(tmp_path, shards={"shape": (4, 16, 15), "index_location": "start"}, compressors=None)
    path = tmp_path / "0" / array.metadata.encode_chunk_key((0, 0, 0))
    index = bytearray(path.read_bytes()[: 16 * 6])
    index[8:16] = (1 << 39).to_bytes(8, "little")
    path.write_bytes(index + google_crc32c.value(bytes(index)).to_bytes(4, "little"))
    os.truncate(path, 1 << 40)
    with pytest.raises(FormatError, match="549,755,813,888 bytes, expected at most"):
        own(tmp_path, array).read((slice(0, 1),) * 3)
