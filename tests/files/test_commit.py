"""Several files, or a folder, take their names together, with and without the exchange of names by the system.

Truth: all of the old or all of the new, whatever the operation before which the process died.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import dying
from dying import OLD, OLD_APART, OLD_STACK, contents, dies_at, fill, several, shown
from sinograd.files import exchange
from sinograd.files.commit import settle
from sinograd.files.folders import locked
from sinograd.files.temporary import temporary_path

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

NEW = {"a.npy": "new", "a.yaml": "new", "made.csv": "new", "mine.txt": "mine"}
NEW_APART = {"a/scan.h5": "new", "b/t.npy": "new", "b/t.yaml": "new", "c/v.zarr/1": "new", "c/v.zarr/2": "new"}
NEW_STACK = {"stack/1.tif": "new", "stack/2.tif": "new"}


@pytest.fixture(scope="module")
def deaths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `dying` found."""
    command = [sys.executable, dying.__file__, str(tmp_path_factory.mktemp("dying"))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True, env=environment).stdout)


@pytest.mark.parametrize("system", ["exchange", "journal"])
@pytest.mark.parametrize(("kind", "old", "new"), [("files", OLD, NEW), ("folder", OLD_STACK, NEW_STACK)])
def test_a_process_that_dies_before_any_operation(
    deaths: dict[str, Any], kind: str, system: str, old: dict[str, str], new: dict[str, str]
) -> None:
    found = deaths[f"{kind}, {system}"]
    for point, (_, seen, left) in enumerate(found, 1):
        assert seen in (old, new) and left == seen, point
    done = [seen == new for _, seen, _ in found]
    assert not done[0] and done[-1] and done == sorted(done), "once new, it stays new"
    died = [entry[0] for entry in found]
    assert died == [True] * (len(found) - 1) + [False] and len(found) > 5


@pytest.mark.parametrize("order", ["abc", "cba", "bca", "journal"])
def test_outputs_in_several_folders(deaths: dict[str, Any], order: str) -> None:
    found = deaths[f"apart, {order}"]
    for point, (_, seen, left) in enumerate(found, 1):
        assert seen in (OLD_APART, NEW_APART) and left == seen, point
    done = [seen == NEW_APART for _, seen, _ in found]
    assert not done[0] and done[-1] and done == sorted(done)
    assert [entry[0] for entry in found] == [True] * (len(found) - 1) + [False] and len(found) > 10


def test_names_are_never_without_a_file(deaths: dict[str, Any]) -> None:
    """For programs that do not finish what a dead process began: each output is there, the old one or the new."""
    assert len(deaths["missing"]) > 10 and not any(deaths["missing"])


@pytest.mark.parametrize("system", ["exchange", "journal"])
def test_a_failure_in_one_folder_undoes_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    rename = os.rename
    if system == "journal":
        monkeypatch.setattr(exchange, "_system_call", lambda: None)

    def failing(source: str, target: str) -> None:
        if str(target).endswith("v.zarr") and (".old" in str(target)) == (system == "exchange"):
            monkeypatch.setattr(os, "rename", rename)
            raise PermissionError(1, "Operation not permitted", str(target))
        rename(source, target)

    folder = fill(tmp_path, OLD_APART)
    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(PermissionError):
        dying.apart(folder)
    assert shown(folder) == OLD_APART


def test_who_finishes_may_die_too(deaths: dict[str, Any]) -> None:
    found = deaths["twice"]
    assert all(seen == left == NEW for _, seen, left in found)
    assert [entry[0] for entry in found] == [True] * (len(found) - 1) + [False] and len(found) > 5


def test_a_move_that_fails_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    rename = os.rename

    def failing(source: str, target: str) -> None:
        nonlocal made
        made += 1
        if made == allowed + 1:
            raise PermissionError(1, "Operation not permitted", str(target))
        rename(source, target)

    for allowed in range(5):
        folder = fill(tmp_path / str(allowed), OLD)
        made = 0
        monkeypatch.setattr(os, "rename", failing)
        with pytest.raises(PermissionError):
            several(folder)
        monkeypatch.setattr(os, "rename", rename)
        assert shown(folder) == OLD, allowed


@pytest.mark.parametrize(
    "record",
    [
        {"moves": [["../outside", "a.npy"]], "removed": []},
        {"moves": [["a.npy", "../outside"]], "removed": []},
        {"moves": [["/etc/hostname", "a.npy"]], "removed": []},
        {"moves": [["a.npy", "sub/a.npy"]], "removed": []},
        {"moves": [], "removed": ["a.npy"]},
        {"moves": [], "removed": ["../x"]},
        {"moves": "a", "removed": []},
        {"moves": [["a.npy"]], "removed": []},
        {"moves": [], "removed": [], "others": ["../outside"]},
        {"moves": [["a.npy", "b.npy"]], "removed": [], "first": "../outside"},
        {"moves": [["a.npy", "b.npy"]], "removed": [], "others": [1]},
        {"moves": [["a.npy", "b.npy"]], "removed": [], "numbers": [1]},
        {"moves": [["a.npy", "b.npy"]], "removed": [], "numbers": {"c.npy": 1}},
        {"moves": [["a.npy", "b.npy"]], "removed": [], "numbers": {"b.npy": None}},
        [],
        {},
        None,
    ],
    ids=str,
)
def test_a_journal_that_none_of_ours_would_be(tmp_path: Path, record: object) -> None:
    folder = fill(tmp_path / "in", OLD)
    (tmp_path / "outside").write_text("outside")
    (folder / "sub").mkdir()

    def plant() -> None:
        temporary_path(folder / "x", "journal").write_text(json.dumps(record) if record is not None else "{", "utf-8")

    assert not dies_at(plant, 1000)
    settle(folder, clean=True)
    assert contents(folder) == OLD and (tmp_path / "outside").read_text() == "outside"


def test_a_journal_that_is_a_link(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", OLD)
    (tmp_path / "real").write_text(json.dumps({"moves": [["a.npy", "b.npy"]], "removed": []}))
    assert not dies_at(lambda: temporary_path(folder / "x", "journal").symlink_to(tmp_path / "real"), 1000)
    settle(folder, clean=True)
    assert contents(folder) == OLD and (tmp_path / "real").exists()


def test_a_living_process_is_left_in_peace(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", OLD)
    mine = temporary_path(folder / "x", "journal")
    mine.write_text(json.dumps({"moves": [["a.npy", "b.npy"]], "removed": []}))
    settle(folder, clean=True)
    assert mine.exists() and shown(folder) == OLD


def test_the_lock_of_a_folder_keeps_threads_apart(tmp_path: Path) -> None:
    order: list[str] = []
    entered = threading.Event()

    def second() -> None:
        entered.set()
        with locked(tmp_path):
            order.append("second")

    with locked(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        entered.wait()
        order.append("first")
    thread.join()
    assert order == ["first", "second"] and list(tmp_path.iterdir()) == []
