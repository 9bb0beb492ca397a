"""Renames that are made together: listed in a journal before the first is made, finished by whoever finds it.

    {"moves": [[from, to], ...], "removed": [name, ...], "numbers": {name: N}}      names in the folder of the journal

Folders that replace others are exchanged with them where the system can, so that their names are never without one:
`numbers` are the inodes of the new ones, which tell whether that was done.

Of several folders the first has the journal that counts, whose `others` are those of the other folders. Each of them
names it as `first` and means nothing without it, so that the renames of all folders are begun in one step.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from sinograd.files.exchange import exchange
from sinograd.files.folders import flush_folder, locked
from sinograd.files.temporary import is_temporary, left_behind, make_file, remove, secret_of, temporary_path

_MAX_BYTES = 1 << 20

Move = tuple[str, str]
"""From and to, names in the folder; the first part of one may be a temporary folder."""


@dataclass
class Moves:
    """What a journal lists, for one folder: renames in their order, and temporary names that are removed after them.

    numbers: inodes of new folders, by the names that they take from others.
    """

    folder: Path
    moves: list[Move] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def sources(self) -> dict[str, str]:
        """Where each name is made, for those that are given to something new."""
        return {target: source for source, target in self.moves if not is_temporary(PurePosixPath(target).parts[0])}

    def keep_old(self, old: str, name: str) -> None:
        """A second name for what is about to be replaced, to put it back from."""
        try:
            os.link(self.folder / name, self.folder / old / name, follow_symlinks=False)
        except (OSError, NotImplementedError):
            return


def make_moves(work: Sequence[Moves]) -> None:
    """Make the moves of all folders, or none of them. Whoever calls has locked the folders."""
    journals = [temporary_path(part.folder / "x", "journal") for part in work]
    others = [str(path.absolute()) for path in journals[1:]]
    try:
        for part, journal in zip(work[1:], journals[1:], strict=True):
            _write(journal, part, {"first": str(journals[0].absolute())})
        _write(journals[0], work[0], {"others": others} if others else {})
    except BaseException:
        for journal in journals:
            remove(journal)
        raise
    try:
        for part in work:
            _make(part)
    except BaseException:
        for part in reversed(work):
            _undo(part)
        for journal in journals:
            journal.unlink(missing_ok=True)
        raise
    for part in work:
        flush_folder(part.folder)
    for journal in reversed(journals):  # the one that counts is the last
        journal.unlink()
    for part in work:
        _remove(part)


def finish(folder: Path, journal: Path) -> None:
    """Make the missing moves of a journal that a dead process left, and remove it and what it would have removed.

    Whoever calls has locked the folder.
    """
    found = _read(folder, journal)
    if found is not None:
        part, others, first = found
        if first is None or os.path.lexists(first):
            _make(part)
            flush_folder(folder)
            _remove(part)
            for other in others:
                if other.parent != folder and other in left_behind(other.parent, "journal"):
                    with locked(other.parent):
                        finish(other.parent, other)
    remove(journal)


def _write(journal: Path, work: Moves, more: dict[str, Any]) -> None:
    """A journal that is whole when it appears."""
    part = temporary_path(work.folder / "x")
    lists = {"moves": [list(move) for move in work.moves], "removed": list(work.removed)}
    record = {**lists, **({"numbers": work.numbers} if work.numbers else {}), **more}
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


def _make(work: Moves) -> None:
    """The moves that were not made yet."""
    folder = work.folder
    for source, target in work.moves:
        old = is_temporary(PurePosixPath(target).parts[0])
        if not os.path.lexists(folder / source) or (old and os.path.lexists(folder / target)):
            continue
        if not (old and source in work.numbers and _exchanged(work, source, target)):
            os.rename(folder / source, folder / target)


def _exchanged(work: Moves, name: str, aside: str) -> bool:
    """Give a name to the new folder and put the one that had it aside; False where that takes plain renames."""
    target, made = work.folder / name, work.folder / work.sources[name]
    if not os.path.lexists(made):
        return False
    if os.lstat(target).st_ino != work.numbers[name] and not exchange(made, target):
        return False
    try:
        os.rename(made, work.folder / aside)
    except BaseException:
        exchange(made, target)
        raise
    return True


def _undo(work: Moves) -> None:
    """Put back what there was, where a move failed: say because a file of the folder is someone else's."""
    folder = work.folder
    for source, target in reversed(work.moves):
        if is_temporary(PurePosixPath(target).parts[0]):
            if os.path.lexists(folder / target) and not os.path.lexists(folder / source):
                os.rename(folder / target, folder / source)
        elif os.path.lexists(folder / target) and not os.path.lexists(folder / source):
            os.rename(folder / target, folder / source)
            for kept in work.removed:
                if os.path.lexists(folder / kept / target) and (kept, target) != PurePosixPath(source).parts:
                    os.rename(folder / kept / target, folder / target)


def _remove(work: Moves) -> None:
    for name in work.removed:
        remove(work.folder / name)


def _read(folder: Path, journal: Path) -> tuple[Moves, list[Path], Path | None] | None:
    """Moves, the other journals and the first one; None for a journal that asks for what none of ours does."""
    try:
        status = os.lstat(journal)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
            return None
        record = json.loads(journal.read_text(encoding="utf-8"))
        moves = [(str(source), str(target)) for source, target in record["moves"]]
        removed = [str(name) for name in record["removed"]]
        others = [Path(str(name)) for name in record.get("others", ())]
        first = Path(str(record["first"])) if "first" in record else None
        numbers = {str(name): int(number) for name, number in record.get("numbers", {}).items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    plain = all(_is_inside(name) for move in moves for name in move)
    journals = all(is_temporary(path.name) and "\0" not in str(path) for path in (*others, *([first] if first else [])))
    if not (plain and journals and all(map(is_temporary, removed))):
        return None
    part = Moves(folder, moves, removed, numbers)
    return (part, others, first) if set(numbers) <= set(part.sources) else None


def _is_inside(name: str) -> bool:
    """A name in the folder, or one in a temporary folder of ours in it."""
    parts = PurePosixPath(name).parts
    if not parts or "\0" in name or any(part in ("..", "/", ".") for part in parts):
        return False
    return len(parts) == 1 or (len(parts) == 2 and is_temporary(parts[0]) and bool(secret_of(parts[0])))
