"""A folder appears whole or not at all, and none is replaced that holds something else. Truth: the file system."""

from __future__ import annotations

import errno
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from sinograd.io.storage.atomic import check_folder, replacing_folder

Usage = namedtuple("Usage", "total used free")


def ours(folder: Path) -> bool:
    return [path.name for path in folder.iterdir()] == ["a"]


def test_a_finished_folder_takes_its_name(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "out", ours=ours) as temporary:
        assert temporary.parent == tmp_path
        (temporary / "a").write_text("1")
        assert not (tmp_path / "out").exists()
    assert list(tmp_path.rglob("*")) == [tmp_path / "out", tmp_path / "out" / "a"]


@pytest.mark.parametrize("linked", [False, True])
def test_replacing(tmp_path: Path, linked: bool) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("1")
    out = tmp_path / "link" if linked else tmp_path / "real"
    if linked:
        out.symlink_to(tmp_path / "real")
    with pytest.raises(FileExistsError, match="already exists: use `force=True`"):
        check_folder(out, ours=ours)
    with replacing_folder(out, ours=ours, force=True) as temporary:
        (temporary / "a").write_text("2")
        assert (out / "a").read_text() == "1"
    assert (tmp_path / "real" / "a").read_text() == "2"
    assert {path.name for path in tmp_path.iterdir()} == {"real", out.name}
    (out / "b").touch()
    with pytest.raises(FileExistsError, match="holds other files than those that would be written"):
        check_folder(out, ours=ours, force=True)


def test_an_empty_folder_is_taken_with_force(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with replacing_folder(tmp_path / "out", ours=ours, force=True) as temporary:
        (temporary / "a").touch()
    assert (tmp_path / "out" / "a").exists()


def test_files_that_appear_meanwhile_stay(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError), replacing_folder(tmp_path / "out", ours=ours, force=True) as temporary:
        (temporary / "a").write_text("mine")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "theirs").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "theirs"]


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_an_unfinished_folder_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), replacing_folder(tmp_path / "out", ours=ours) as temporary:
        (temporary / "a").touch()
        raise error
    assert not list(tmp_path.iterdir())


def test_too_little_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10_000_000, 8_000_000, 2_000_000))
    check_folder(tmp_path / "out", ours=ours, needed=900_000)
    with pytest.raises(OSError, match=r"out: not enough free disk space, 6,048,576 bytes needed") as caught:
        check_folder(tmp_path / "out", ours=ours, needed=5_000_000)
    assert caught.value.errno == errno.ENOSPC
    with (
        pytest.raises(OSError, match=r"the disk is full: writing .*out stopped and nothing partial was left"),
        replacing_folder(tmp_path / "out", ours=ours),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_wrong_places(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="it is a file"):
        check_folder(tmp_path / "file", ours=ours, force=True)
    with pytest.raises(NotADirectoryError, match="is not a folder"):
        check_folder(tmp_path / "file" / "out", ours=ours)
    with pytest.raises(FileNotFoundError, match="missing does not exist"):
        check_folder(tmp_path / "missing" / "out", ours=ours)
