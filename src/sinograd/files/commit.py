"""Several files of a folder, or a whole folder, that take their names together.

A single name changes in one step of the file system. Several cannot: a journal beside them lists the renames before
the first is made. Whoever opens the folder next (`settle`) makes those that are missing, so that after a crash, too,
there is all of the old or all of the new. Commits of one folder wait for each other (a lock on the folder itself, which
leaves no file).
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from sinograd.files.exchange import exchange, rename_new
from sinograd.files.temporary import is_temporary, left_behind, make_file, remove, secret_of, temporary_path
from sinograd.interrupts import deferred

_MAX_BYTES = 1 << 20

Move = tuple[str, str]
"""From and to, names in the folder; the first part of one may be a temporary folder."""


def replace_folder(temporary: Path, target: Path) -> None:
    """Give a folder its name, in the place of the folder that has it, which is removed."""
    with deferred(), locked(target.parent):
        if not os.path.lexists(target):
            rename_new(temporary, target)
        elif exchange(temporary, target):
            remove(temporary)
        else:
            old = temporary_path(target, "old")
            _journalled(target.parent, [(target.name, old.name), (temporary.name, target.name)], [old.name])
        flush_folder(target.parent)


def replace_files(folder: Path, temporary: Path, names: Sequence[str], stale: Sequence[str] = ()) -> None:
    """Give the files (or folders) `names` in `temporary`, a folder in `folder`, their names in `folder`.

    What has these names is replaced; `stale` names are removed at the same time.
    """
    with deferred(), locked(folder):
        old = temporary_path(folder / "x", "old")
        os.mkdir(old, 0o700)
        moves: list[Move] = [
            (name, f"{old.name}/{name}")
            for name in dict.fromkeys((*stale, *names))
            if name not in names or (folder / name).is_dir()
        ]
        aside = {name for name, _ in moves}
        for name in names:
            if name not in aside and os.path.lexists(folder / name):
                _keep(folder / name, old / name)
        moves += [(f"{temporary.name}/{name}", name) for name in names]
        _journalled(folder, moves, [temporary.name, old.name])
        flush_folder(folder)


def settle(folder: Path, *, clean: bool = False) -> None:
    """Finish what a process that died while it gave files their names has begun.

    clean: also remove the unfinished files that dead processes left.
    """
    left = list(left_behind(folder, None if clean else "journal"))
    if not left:
        return
    with deferred(), locked(folder):
        for journal in left:
            if ".journal" in journal.name:
                _finish(folder, journal)
        for path in left:
            remove(path)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Inside, no other process or thread is here with the same folder, where the file system has locks."""
    descriptor = -1
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except (ImportError, OSError):  # no such locks here
        pass
    try:
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Have the disk keep the names in a folder, where the file system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _journalled(folder: Path, moves: Sequence[Move], removed: Sequence[str]) -> None:
    """Make the moves, listed in a journal that is whole before the first and gone after the last."""
    journal, part = temporary_path(folder / "x", "journal"), temporary_path(folder / "x")
    record = {"moves": [list(move) for move in moves], "removed": list(removed)}
    try:
        make_file(part)
        with open(part, "w", encoding="utf-8") as file:
            json.dump(record, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(part, journal)
    except BaseException:
        remove(part)
        raise
    try:
        _make(folder, moves)
    except BaseException:
        _undo(folder, moves, removed)
        journal.unlink(missing_ok=True)
        raise
    flush_folder(folder)
    journal.unlink()
    for name in removed:
        remove(folder / name)


def _make(folder: Path, moves: Sequence[Move]) -> None:
    """The moves that were not made yet."""
    for source, target in moves:
        old = is_temporary(PurePosixPath(target).parts[0])
        if not os.path.lexists(folder / source) or (old and os.path.lexists(folder / target)):
            continue
        os.rename(folder / source, folder / target)


def _undo(folder: Path, moves: Sequence[Move], removed: Sequence[str]) -> None:
    """Put back what there was, where a move failed: say because a file of the folder is someone else's."""
    for source, target in reversed(moves):
        if is_temporary(PurePosixPath(target).parts[0]):
            if os.path.lexists(folder / target) and not os.path.lexists(folder / source):
                os.rename(folder / target, folder / source)
        elif os.path.lexists(folder / target) and not os.path.lexists(folder / source):
            os.rename(folder / target, folder / source)
            for kept in removed:
                if os.path.lexists(folder / kept / target) and (kept, target) != PurePosixPath(source).parts:
                    os.rename(folder / kept / target, folder / target)


def _keep(path: Path, link: Path) -> None:
    """A second name for a file, to put it back from."""
    try:
        os.link(path, link, follow_symlinks=False)
    except (OSError, NotImplementedError):
        return


def _finish(folder: Path, journal: Path) -> None:
    """Make the missing moves of a journal that a dead process left, and remove what it would have removed."""
    record = _read(journal)
    if record is None:
        return
    moves, removed = record
    _make(folder, moves)
    flush_folder(folder)
    for name in removed:
        remove(folder / name)


def _read(journal: Path) -> tuple[list[Move], list[str]] | None:
    """Moves and names of a journal; None for one that asks for what no journal of ours does."""
    try:
        status = os.lstat(journal)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
            return None
        record = json.loads(journal.read_text(encoding="utf-8"))
        moves = [(str(source), str(target)) for source, target in record["moves"]]
        removed = [str(name) for name in record["removed"]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    plain = all(_is_inside(name) for move in moves for name in move)
    return (moves, removed) if plain and all(map(is_temporary, removed)) else None


def _is_inside(name: str) -> bool:
    """A name in the folder, or one in a temporary folder of ours in it."""
    parts = PurePosixPath(name).parts
    if not parts or "\0" in name or any(part in ("..", "/", ".") for part in parts):
        return False
    return len(parts) == 1 or (len(parts) == 2 and is_temporary(parts[0]) and bool(secret_of(parts[0])))
