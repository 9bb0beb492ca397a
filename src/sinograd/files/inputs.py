"""What is being read, and the one check that no output replaces it.

Whoever opens a file for reading says so (`noted`). Inside `inputs()` these files are noted, and `check_output`
refuses every output that would replace or remove one of them, by name or as the same file under another name (links).
Every writer of the package asks it before it begins, and again before the output takes its name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

from sinograd.errors import InputError

P = TypeVar("P")


class Inputs:
    """The files and folders that a job reads.

    Attributes:
        files: by their full names, with what they are.
        wholes: folders whose every file is part of the input.
    """

    def __init__(self) -> None:
        self.files: dict[Path, tuple[int, int] | None] = {}
        self.wholes: set[Path] = set()
        self.outputs: dict[Path, str] = {}

    def add(self, path: Path, whole: bool = False) -> None:
        """Note a file or folder, and what it is a link to."""
        full = _full(path)
        if full not in self.files:
            self.files[full] = _identity(full)
        if whole:
            self.wholes.add(full)

    def conflict(self, output: Path) -> Path | None:
        """The input that would be lost if something took the name `output`; None without one."""
        full, named = _full(output), _named(output)
        here = _identity(output)
        for path, identity in self.files.items():
            if path in (full, named):
                return path
            # a file that was removed leaves its number to the next one that is made
            if here is not None and here == identity == _identity(path):
                return path
            if full in path.parents or named in path.parents:
                return path
        return next((folder for folder in self.wholes if folder in full.parents or _holds(folder, output)), None)


_INPUTS: ContextVar[tuple[Inputs, ...]] = ContextVar("inputs", default=())
_OF_SCANS: dict[Path, tuple[Path, ...]] = {}
_MOST_SCANS = 256


def noted(path: P, whole: bool = False) -> P:
    """Note that a file or folder is read, and return it. What is no path on this computer is not noted.

    whole: all files in a folder belong to it.
    """
    if isinstance(path, str | os.PathLike):
        for found in _INPUTS.get():
            found.add(Path(path), whole)
    return path


@contextmanager
def inputs(files: Iterable[Path | None] = ()) -> Iterator[Inputs]:
    """Inside, files that are read are noted, and no output may replace them; `files` are noted at once."""
    found = Inputs()
    token = _INPUTS.set((*_INPUTS.get(), found))
    try:
        for path in files:
            if path is not None:
                noted(path)
        yield found
    finally:
        _INPUTS.reset(token)


@contextmanager
def own_state() -> Iterator[None]:
    """Inside, nothing is noted: for files of a run's own state, which it reads and replaces."""
    token = _INPUTS.set(())
    try:
        yield
    finally:
        _INPUTS.reset(token)


@contextmanager
def read_as(path: Path) -> Iterator[None]:
    """Inside, what is read belongs to the scan or volume `path`, and is noted again by `note_again`."""
    with inputs([path]) as found:
        yield
    _OF_SCANS.pop(_full(path), None)
    while len(_OF_SCANS) >= _MOST_SCANS:
        del _OF_SCANS[next(iter(_OF_SCANS))]
    _OF_SCANS[_full(path)] = tuple(found.files)


def note_again(path: Path | None) -> None:
    """Note the files of a scan or volume that was opened before, and may still lie in them."""
    if path is not None:
        for file in (path, *_OF_SCANS.get(_full(path), ())):
            noted(file)


def check_output(path: str | os.PathLike[str], name: str = "") -> None:
    """InputError where an output of this name would replace, or remove, what is being read.

    name: of the argument, for the message.
    """
    path = Path(path)
    what = f"{name} would replace" if name else "it would replace"
    for found in _INPUTS.get():
        source = found.conflict(path)
        if source is not None:
            where = "itself" if _full(path) == source else str(source)
            raise InputError(f"cannot write {path}: {what} what is being read ({where}); choose another name")


def _full(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # links in a circle
        return path.absolute()


def _named(path: Path) -> Path:
    """The place of the name itself, where it is a link."""
    return _full(path.parent) / path.name if path.name not in ("", "..") else _full(path)


def _holds(folder: Path, path: Path) -> bool:
    """Whether a file is one of a folder, too, under a second name (a hard link)."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_nlink < 2:
        return False
    here = status.st_dev, status.st_ino
    return any(_identity(Path(place, name)) == here for place, _, names in os.walk(folder) for name in names)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
