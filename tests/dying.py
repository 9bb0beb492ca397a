"""Pieces of work in processes that die, as by SIGKILL, before each of their file operations in turn.

    python dying.py FOLDER

It runs the pieces in a folder and prints as JSON what the folder held afterwards. A process without torch is forked
a dozen times faster than that of the tests.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

OPERATIONS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"}
MOST = 100

Contents = dict[str, str]
OLD = {"a.npy": "old", "a.yaml": "old", "gone.csv": "old", "mine.txt": "mine"}
OLD_APART = {"a/scan.h5": "old", "b/t.npy": "old", "b/t.yaml": "old", "c/v.zarr/1": "old"}
OLD_STACK = {"stack/1.tif": "old", "stack/3.tif": "old"}


def dies_at(work: Callable[[], object], point: int) -> bool:
    """Run `work` in a child, which dies before operation `point`, counted from 1; False where it ended before."""
    child = os.fork()
    if child == 0:
        _run(work, point)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9), code
    return code == 9


def fill(folder: Path, contents: Contents) -> Path:
    """Make a folder of text files."""
    for name, text in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def contents(folder: Path) -> Contents:
    """What `fill` made, and what became of it."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def shown(folder: Path) -> Contents:
    """The contents without unfinished files."""
    return {name: text for name, text in contents(folder).items() if ".sinograd-" not in name}


def several(folder: Path) -> None:
    """Replace two files together, add a third, remove a fourth."""
    from sinograd.files.commit import replace_files
    from sinograd.files.temporary import temporary_path

    names = ["a.npy", "a.yaml", "made.csv"]
    made = fill(temporary_path(folder / "x"), dict.fromkeys(names, "new"))
    replace_files(folder, made, names, ["gone.csv"])


def whole(folder: Path) -> None:
    """Replace a folder."""
    from sinograd.files.commit import replace_folder
    from sinograd.files.temporary import temporary_path

    made = fill(temporary_path(folder / "x"), {"1.tif": "new", "2.tif": "new"})
    replace_folder(made, folder / "stack")


def apart(folder: Path) -> None:
    """Replace a file, two files and a folder in three folders together."""
    from sinograd.files.commit import Made, replace_all
    from sinograd.files.temporary import temporary_path

    file = temporary_path(folder / "a" / "scan.h5")
    file.write_text("new")
    files = fill(temporary_path(folder / "b" / "x"), {"t.npy": "new", "t.yaml": "new"})
    stack = fill(temporary_path(folder / "c" / "v.zarr"), {"1": "new", "2": "new"})
    names = {name: f"{files.name}/{name}" for name in ("t.npy", "t.yaml")}
    outputs = [
        Made(folder / "a", {"scan.h5": file.name}),
        Made(folder / "b", names),
        Made(folder / "c", {"v.zarr": stack.name}),
    ]
    replace_all(outputs)


def _run(work: Callable[[], object], point: int) -> None:
    left = point

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in OPERATIONS:
            left -= 1
            if left == 0:
                os._exit(9)

    try:
        sys.addaudithook(hook)
        work()
        os._exit(0)
    finally:
        os._exit(1)


def _each_point(base: Path, old: Contents, work: Callable[[Path], None], order: tuple[str, ...] = (".",)) -> list[Any]:
    """For each point: whether it died there, what a reader sees then, and what is left when the next writer cleaned.

    order: in which the folders are looked at.
    """
    from sinograd.files.commit import settle

    found: list[Any] = []
    while len(found) < MOST and (not found or found[-1][0]):
        folder = fill(base / str(len(found)), old)
        died = dies_at(lambda folder=folder: work(folder), len(found) + 1)
        for name in order:
            settle(folder / name)
        seen = shown(folder)
        for name in order:
            settle(folder / name, clean=True)
        found.append((died, seen, contents(folder)))
    return found


def _missing(base: Path) -> list[list[str]]:
    """For each point at which `apart` dies: which of its outputs have no file or folder under their names then."""
    names = ["a/scan.h5", "b/t.npy", "b/t.yaml", "c/v.zarr"]
    found: list[list[str]] = []
    died = True
    while len(found) < MOST and died:
        folder = fill(base / str(len(found)), OLD_APART)
        died = dies_at(lambda folder=folder: apart(folder), len(found) + 1)
        found.append([name for name in names if not (folder / name).exists()])
    return found


def _twice(base: Path) -> list[Any]:
    """The same for whoever finishes the work of a process that died with a journal."""
    from sinograd.files.commit import settle

    def first(folder: Path, point: int) -> Path:
        fill(folder, OLD)
        dies_at(lambda: several(folder), point)
        return folder

    point = 1
    while point < MOST and not any(".journal" in name for name in contents(first(base / f"first-{point}", point))):
        point += 1

    def finish(folder: Path) -> None:
        settle(folder, clean=True)

    found: list[Any] = []
    while len(found) < MOST and (not found or found[-1][0]):
        folder = first(base / f"second-{len(found)}", point)
        died = dies_at(lambda folder=folder: finish(folder), len(found) + 1)
        settle(folder)
        seen = shown(folder)
        settle(folder, clean=True)
        found.append((died, seen, contents(folder)))
    return found


def main(base: Path) -> dict[str, Any]:
    """All pieces, with and without the system's exchange of names."""
    from sinograd.files import exchange

    call = exchange._system_call
    results: dict[str, Any] = {}
    for name, system in (("exchange", call), ("journal", lambda: None)):
        exchange._system_call = system  # pyright: ignore[reportAttributeAccessIssue]
        results[f"files, {name}"] = _each_point(base / name / "files", OLD, several)
        results[f"folder, {name}"] = _each_point(base / name / "folder", OLD_STACK, whole)
    exchange._system_call = call
    for order in ("abc", "cba", "bca"):
        results[f"apart, {order}"] = _each_point(base / order, OLD_APART, apart, tuple(order))
    exchange._system_call = lambda: None  # pyright: ignore[reportAttributeAccessIssue]
    results["apart, journal"] = _each_point(base / "without", OLD_APART, apart, tuple("abc"))
    exchange._system_call = call
    return results | {"twice": _twice(base / "twice"), "missing": _missing(base / "missing")}


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1])), sys.stdout)
