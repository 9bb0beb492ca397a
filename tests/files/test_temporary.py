"""Temporary names, and whose leftovers are removed. Truth: the rules in the module, spelled out here."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dying import dies_at
from sinograd.files import temporary
from sinograd.files.commit import settle
from sinograd.files.temporary import is_temporary, left_behind, make_file, remove, secret_of, temporary_path
from sinograd.io.storage.atomic import replacing, replacing_files, replacing_folder

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def named(path: Path, host: str = "", pid: object = "", start: str = "") -> Path:
    """A temporary name of this process with other parts."""
    _, h, p, s, rest = temporary_path(path).name.split("-", 4)
    return path.with_name(f".sinograd-{host or h}-{pid or p}-{start or s}-{rest}")


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


@pytest.fixture
def zombie() -> Iterator[int]:
    """The number of a process that has ended, and whose parent has not asked for it: containers are full of them."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    yield child
    os.waitpid(child, 0)


def test_names_are_new_and_keep_the_suffix(tmp_path: Path) -> None:
    names = {temporary_path(tmp_path / "scan.nii.gz").name for _ in range(100)}
    assert len({secret_of(name) for name in names}) == 100
    assert all(is_temporary(name) and name.startswith(".") and name.endswith(".nii.gz") for name in names)
    assert all(len(secret_of(name)) == 16 for name in names)  # 64 bits
    assert all(is_temporary(temporary_path(tmp_path / name).name) for name in ("a", "a b.h5", "x" * 250 + ".npy"))


def test_leftovers_of_the_dead(tmp_path: Path, dead: int) -> None:
    (tmp_path / "kept").write_text("kept")
    left = [named(tmp_path / "a.npy", pid=dead), named(tmp_path / "b", pid=dead), named(tmp_path / "c", pid=10**30)]
    left[0].write_text("part")
    (left[1] / "deep").mkdir(parents=True)
    (left[1] / "deep" / "1.tif").write_text("part")
    left[2].symlink_to(tmp_path / "kept")
    assert set(left_behind(tmp_path)) == set(left)
    settle(tmp_path)  # reading removes nothing
    assert all(os.path.lexists(path) for path in left)
    settle(tmp_path, clean=True)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"] and (tmp_path / "kept").read_text() == "kept"


def test_a_dead_process_that_its_parent_did_not_ask_for(tmp_path: Path, zombie: int) -> None:
    start = temporary._start(zombie)
    path = named(tmp_path / "a.npy", pid=zombie, start=start)
    path.write_text("part")
    assert list(left_behind(tmp_path)) == [path]


def test_a_process_number_that_is_in_use_again(tmp_path: Path) -> None:
    ours, init = named(tmp_path / "a", start="00000000"), named(tmp_path / "b", pid=1, start="00000000")
    ours.write_text("part")
    init.write_text("part")
    assert set(left_behind(tmp_path)) == {ours, init}


def test_what_is_kept(tmp_path: Path, dead: int) -> None:
    living = subprocess.Popen(["sleep", "30"])
    try:
        start = temporary._start(living.pid)
        whole = named(tmp_path / "a.h5", pid=dead).name
        names = [
            named(tmp_path / "a.h5", pid=living.pid, start=start).name,
            temporary_path(tmp_path / "a.h5").name,  # of this process
            named(tmp_path / "a.h5", host="0" * 8, pid=dead).name,  # of another computer
            whole.removeprefix("."),
            f"x{whole}",
            whole.replace(".partial", ".part"),
            whole.upper(),
            re.sub("-[0-9a-f]{16}", "-secret", whole),
            whole.replace(".sinograd-", ".sinograd_"),
            whole.replace(f"-{dead}-", "--"),
            whole.replace(f"-{dead}-", f"-{dead}x-"),
            whole.replace(f"-{dead}-", f"--{dead}-"),
            ".sinograd-mine",
            ".sinograd-.partial",
        ]
        for name in names:
            (tmp_path / name).write_text("kept")
        settle(tmp_path, clean=True)
        assert {path.name for path in tmp_path.iterdir()} == set(names)
    finally:
        living.kill()
        living.wait()


def test_someone_else_s_leftovers_stay(tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    named(tmp_path / "a.h5", pid=dead).write_text("part")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert list(left_behind(tmp_path)) == []


def test_the_next_writer_cleans_up(tmp_path: Path) -> None:
    def write() -> None:
        with replacing(tmp_path / "a.bin") as made:
            made.write_text("part")
            os._exit(9)

    assert dies_at(write, 10_000)
    assert len(list(tmp_path.iterdir())) == 1
    with replacing(tmp_path / "other.bin") as made:
        made.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["other.bin"]


def test_planted_links_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim, folder, planted = tmp_path / "victim", tmp_path / "out", tmp_path / "out" / "planted"
    victim.write_text("precious")
    folder.mkdir()
    planted.symlink_to(victim)
    with pytest.raises(FileExistsError):
        make_file(planted)
    monkeypatch.setattr("sinograd.io.storage.atomic.temporary_path", lambda *_: planted)
    for writing in (
        replacing(folder / "a.bin"),
        replacing_files(folder, ["a.npy", "a.yaml"]),
        replacing_folder(folder / "stack", ours=lambda _: True),
    ):
        planted.unlink(missing_ok=True)
        planted.symlink_to(victim)
        with pytest.raises(FileExistsError), writing as made:
            (made / "x" if made.is_dir() else made).write_text("mine")
        assert victim.read_text() == "precious"


def test_a_link_that_takes_the_place_of_an_unfinished_file(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    with pytest.raises(OSError, match="another program replaced the unfinished file"):  # noqa: SIM117
        with replacing(tmp_path / "a.bin") as made:
            made.unlink()
            made.symlink_to(victim)
    assert victim.read_text() == "precious" and [path.name for path in tmp_path.iterdir()] == ["victim"]


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_under_the_final_name(tmp_path: Path, dangling: bool) -> None:
    victim, target = tmp_path / "victim", tmp_path / "a.bin"
    if not dangling:
        victim.write_text("precious")
    target.symlink_to(victim)
    with pytest.raises(FileExistsError), replacing(target):
        raise AssertionError
    with replacing(target, force=True) as made:
        made.write_text("whole")
    assert not target.is_symlink() and target.read_text() == "whole"
    assert victim.exists() is not dangling and (dangling or victim.read_text() == "precious")


def test_removing_stays_inside(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_text("precious")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "direct").symlink_to(tmp_path / "outside")
    remove(tmp_path / "in")
    remove(tmp_path / "direct")
    remove(tmp_path / "missing")
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (tmp_path / "outside" / "x").read_text() == "precious"
