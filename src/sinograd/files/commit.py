"""Several files of a folder, a whole folder, or outputs in several places, that take their names together.

A single name changes in one step of the file system. Several cannot: a journal beside them lists the renames before
the first is made. Whoever opens the folder next (`settle`) makes those that are missing, so that after a crash, too,
there is all of the old or all of the new. Commits of one folder wait for each other (a lock on the folder itself, which
leaves no file).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sinograd.files.exchange import exchange, rename_new
from sinograd.files.folders import flush_folder, locked
from sinograd.files.journals import Moves, finish, make_moves
from sinograd.files.temporary import left_behind, remove, temporary_path
from sinograd.interrupts import deferred


@dataclass(frozen=True)
class Made:
    """An output that is whole and waits for its names.

    Attributes:
        folder: where it belongs.
        names: of its files or folders, with the names that they have in `folder` so far: "x.h5" or "temporary/x.h5".
        stale: names that are removed from the folder at the same time.
    """

    folder: Path
    names: Mapping[str, str]
    stale: Sequence[str] = ()


def replace_folder(temporary: Path, target: Path) -> None:
    """Give a folder its name, in the place of the folder that has it, which is removed."""
    with deferred(), locked(target.parent):
        if not os.path.lexists(target):
            rename_new(temporary, target)
        elif exchange(temporary, target):
            remove(temporary)
        else:
            make_moves([_moves(target.parent, [Made(target.parent, {target.name: temporary.name})])])
        flush_folder(target.parent)


def replace_files(folder: Path, temporary: Path, names: Sequence[str], stale: Sequence[str] = ()) -> None:
    """Give the files (or folders) `names` in `temporary`, a folder in `folder`, their names in `folder`.

    What has these names is replaced; `stale` names are removed at the same time.
    """
    replace_all([Made(folder, {name: f"{temporary.name}/{name}" for name in names}, stale)])


def replace_all(outputs: Iterable[Made]) -> None:
    """Give all outputs their names in one step; what has these names is replaced."""
    folders: dict[Path, list[Made]] = {}
    for output in outputs:
        folders.setdefault(output.folder.resolve(), []).append(output)
    order = sorted(folders)  # everyone locks in this order
    with deferred(), ExitStack() as locks:
        for folder in order:
            locks.enter_context(locked(folder))
        make_moves([_moves(folder, folders[folder]) for folder in order])
        for folder in order:
            flush_folder(folder)


def settle(folder: Path, *, clean: bool = False) -> None:
    """Finish what a process that died while it gave files their names has begun.

    clean: also remove the unfinished files that dead processes left.
    """
    left = list(left_behind(folder, None if clean else "journal"))
    if not left:
        return
    with deferred(), locked(folder):
        for path in left:
            if ".journal" in path.name:
                finish(folder.resolve(), path)
        for path in left:
            if ".journal" not in path.name:
                remove(path)


def _moves(folder: Path, outputs: Sequence[Made]) -> Moves:
    """The renames in one folder: what cannot be replaced by a rename goes aside first."""
    old = temporary_path(folder / "x", "old")
    os.mkdir(old, 0o700)
    work = Moves(folder, removed=[old.name])
    names = {name: source for output in outputs for name, source in output.names.items()}
    stale = [name for output in outputs for name in output.stale]
    for name in dict.fromkeys((*stale, *names)):
        if name not in names or (folder / name).is_dir():
            work.moves.append((name, f"{old.name}/{name}"))
            if name in names:
                work.numbers[name] = os.lstat(folder / names[name]).st_ino
        elif os.path.lexists(folder / name):
            work.keep_old(old.name, name)
    for name, source in names.items():
        work.moves.append((source, name))
        head, slash, _ = source.partition("/")
        if slash and head not in work.removed:
            work.removed.append(head)
    return work
