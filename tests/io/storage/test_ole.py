"""OLE2 compound files: the tests' writer and the reader of the package, each held against olefile."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import numpy as np
import olefile
import pytest

from compound_file import write_compound
from sinograd.io.storage.ole import CompoundFile


def several_streams(large: int) -> dict[str, bytes]:
    """Small, large and empty streams in nested storages, whose names differ in case, length and alphabet."""
    draw = np.random.default_rng(0)
    streams = {f"A{i % 7}/Box {i % 3}/s{i}": draw.bytes(int(draw.integers(0, 9000))) for i in range(120)}
    streams |= {"empty": b"", "deep/er/still/Ünicode": b"x", "cut": draw.bytes(4095), "off": draw.bytes(4096)}
    return streams | {f"Image{i}": draw.bytes(70_001) for i in range(large)}


@pytest.mark.parametrize("scattered", [False, True])
@pytest.mark.parametrize(("version", "large"), [(3, 3), (3, 130), (4, 3)])
def test_written_streams_are_those_that_olefile_and_the_reader_find(
    tmp_path: Path, version: int, large: int, scattered: bool
) -> None:
    path, streams = tmp_path / "file.ole", several_streams(large)
    write_compound(path, streams, version=version, scattered=scattered, empty=("nothing/here",))
    file = CompoundFile(path)
    with olefile.OleFileIO(path, raise_defects=olefile.DEFECT_POTENTIAL) as truth:
        assert not truth.parsing_issues
        assert (truth.num_difat_sectors > 0) == (large == 130)
        assert len(truth.listdir()) == len(file.names) == len(streams)
        for name, content in streams.items():
            assert truth.openstream(name).read() == content
            assert file.read(name) == content
            assert file.size(name.upper()) == len(content)
    assert file.read("no such stream") is None and file.size("no such stream") is None
    assert "A0/box 0/S0" in file and "nothing" not in file


@pytest.mark.parametrize("name", ["test_chip00.xrm", "txrm_test_chip_tomo.txrm"])
def test_real_files_as_olefile_reads_them(shared_data: Path, name: str) -> None:
    file = CompoundFile(shared_data / "xrm" / name)
    with olefile.OleFileIO(shared_data / "xrm" / name) as truth:
        names = ["/".join(parts) for parts in truth.listdir()]
        assert sorted(file.names) == sorted(name.lower() for name in names)
        assert all(file.read(name) == truth.openstream(name).read() for name in names)


def test_contiguous_streams_are_one_part(tmp_path: Path) -> None:
    write_compound(tmp_path / "file.ole", {"a": bytes(100_000), "b": bytes(5000)}, version=3)
    file = CompoundFile(tmp_path / "file.ole")
    assert file.extents("a") == ((512, 100_000),)
    write_compound(tmp_path / "file.ole", {"a": bytes(100_000)}, version=3, scattered=True)
    assert len(CompoundFile(tmp_path / "file.ole").extents("a") or ()) == 196


def patched(path: Path, offset: int, *words: int) -> Path:
    """A copy of a file with 32-bit words replaced."""
    content = bytearray(path.read_bytes())
    for i, word in enumerate(words):
        content[offset + 4 * i : offset + 4 * i + 4] = word.to_bytes(4, "little")
    copy = path.with_name("patched.ole")
    copy.write_bytes(content)
    return copy


@pytest.mark.parametrize(
    ("offset", "words", "message"),
    [
        (0, (0,), "is not an OLE2 compound file"),
        (30, (0x0006_0020,), r"sectors of 2\^32 bytes, expected 2\^9 or 2\^12"),
        (48, (0x7FFF_FFFF,), "the chain of sectors of the directory does not end"),
        (60, (0x7FFF_FFFF,), "the chain of sectors of the table of small streams does not end"),
        (76, (0x00FF_FFFF,), "1 of 1 sectors of its table of sectors are missing"),
        (76, (0xFFFF_FFFF,), "it has no table of sectors"),
    ],
)
def test_damaged_headers(tmp_path: Path, offset: int, words: tuple[int, ...], message: str) -> None:
    write_compound(tmp_path / "file.ole", several_streams(0), version=4)
    with pytest.raises(ValueError, match=message) as caught:
        CompoundFile(patched(tmp_path / "file.ole", offset, *words))
    assert "patched.ole" in str(caught.value)


def test_truncation_is_told_at_the_latest_when_a_stream_is_read(tmp_path: Path) -> None:
    streams = several_streams(3)
    write_compound(tmp_path / "file.ole", streams, version=3)
    content = (tmp_path / "file.ole").read_bytes()
    for length in [1, 8, 100, 511, 512, 5000, len(content) // 2, len(content) - 513, len(content) - 1]:
        (tmp_path / "cut.ole").write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cut\.ole"):
            file = CompoundFile(tmp_path / "cut.ole")
            for name in streams:
                file.read(name)


def test_loops_end(tmp_path: Path) -> None:
    """A chain that bites its tail, a directory whose entries name each other, storages without end."""
    path = tmp_path / "file.ole"
    write_compound(path, {"a": bytes(50_000), **{f"s{i}/x": b"1" for i in range(40)}}, version=3)
    file = CompoundFile(path)
    content = path.read_bytes()
    fat, directory = (512 * (1 + int.from_bytes(content[at : at + 4], "little")) for at in (76, 48))
    looped = CompoundFile(patched(path, fat + 4 * 10, 5))  # sector 10 is followed by sector 5
    assert len(looped.read("a") or b"") == 50_000 == len(file.read("a") or b"")
    own = patched(path, directory + 128 + 68, 1, 1, 1)  # the first entry's left, right and child are itself
    assert len(CompoundFile(own).names) <= 41


def test_sizes_are_not_believed(tmp_path: Path) -> None:
    """A stream of 2^40 bytes in a file of 70 kB costs nothing."""
    path = tmp_path / "file.ole"
    write_compound(path, {"a": bytes(65_536)}, version=4)
    content = path.read_bytes()
    entry = content.index(b"a\0\0\0" + bytes(60))
    copy = patched(path, entry + 120, 0, 256)
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(ValueError, match=r"a has 1,099,511,627,776 bytes, the file"):
        CompoundFile(copy).read("a")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert time.process_time() - start < 1
