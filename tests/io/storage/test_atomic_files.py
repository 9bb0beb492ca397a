"""A file appears whole or not at all, and nothing is replaced unasked. Truth: the file system."""

from __future__ import annotations

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from sinograd.io.storage.atomic import check_destination, replacing

Usage = namedtuple("Usage", "total used free")


def test_a_finished_file_takes_its_name(tmp_path: Path) -> None:
    with replacing(tmp_path / "out.bin") as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".bin"
        temporary.write_bytes(b"whole")
        assert not (tmp_path / "out.bin").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out.bin"]
    assert (tmp_path / "out.bin").read_bytes() == b"whole"


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_an_unfinished_file_leaves_nothing_and_keeps_the_old_one(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    with pytest.raises(type(error)), replacing(target, force=True) as temporary:
        temporary.write_bytes(b"part")
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["out.bin"]
    assert target.read_bytes() == b"old"


def test_existing_files_need_force(tmp_path: Path) -> None:
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    with pytest.raises(FileExistsError, match=r"out\.bin already exists: use `force=True`"):
        check_destination(target)
    with replacing(target, force=True) as temporary:
        temporary.write_bytes(b"new")
    assert target.read_bytes() == b"new"


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "out.bin"
    with pytest.raises(FileExistsError), replacing(target) as temporary:
        temporary.write_bytes(b"mine")
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs"
    assert len(list(tmp_path.iterdir())) == 1


def test_wrong_places(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"the folder .*missing does not exist"):
        check_destination(tmp_path / "missing" / "out.bin")
    with pytest.raises(NotADirectoryError, match="is not a folder"):
        check_destination(tmp_path / "file" / "out.bin")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        check_destination(tmp_path, force=True)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="no permission"):
        check_destination(tmp_path / "out.bin")


def test_too_little_disk_is_found_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10_000_000, 8_000_000, 2_000_000))
    check_destination(tmp_path / "out.bin", needed=900_000)
    with pytest.raises(OSError, match=r"6,048,576 bytes needed, 2,000,000 bytes free") as caught:
        check_destination(tmp_path / "out.bin", needed=5_000_000)
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left"), OSError("600000 requested and 123692 written")]
)
def test_a_disk_that_fills_up_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    full = pytest.raises(OSError, match=r"the disk is full: writing .*out\.bin stopped")
    with full as caught, replacing(tmp_path / "out.bin") as temporary:
        temporary.write_bytes(b"part")
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10_000_000, 10_000_000, 0))
        raise error
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


HDF5_ERROR = (
    "Unable to extend file (file write failed: time = now\n, filename = '.out.1.partial.h5', file descriptor = 3, "
    "errno = 27, error message = 'File too large', buf = 0x5)"
)


@pytest.mark.parametrize(
    ("error", "number", "reason"),
    [
        (OSError("7077888 requested and 511512 written"), None, "7077888 requested and 511512 written"),
        (OSError(errno.EIO, "Input/output error", "somewhere"), errno.EIO, "Input/output error"),
        (OSError(HDF5_ERROR), errno.EFBIG, "File too large"),
    ],
)
def test_a_write_that_stops_names_the_file_once(
    tmp_path: Path, error: OSError, number: int | None, reason: str
) -> None:
    with pytest.raises(OSError) as caught, replacing(tmp_path / "out.yaml"), replacing(tmp_path / "out.npy"):
        raise error
    expected = f"writing {tmp_path / 'out.npy'} stopped: {reason}; nothing partial was left"
    assert (caught.value.strerror or str(caught.value), caught.value.errno) == (expected, number)


def test_the_limit_of_file_sizes(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, before[1]))
    try:
        check_destination(tmp_path / "out.bin", needed=3_900_000)
        with pytest.raises(
            OSError, match=r"out\.bin: 5,048,576 bytes needed, files may have 5,000,000 bytes"
        ) as caught:
            check_destination(tmp_path / "out.bin", needed=4_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
