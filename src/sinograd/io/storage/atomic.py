"""Atomic writing: a file or folder appears under its name when it is whole, or not at all."""

from __future__ import annotations

import errno
import functools
import math
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sinograd.config.regular_files import special_kind
from sinograd.errors import (
    ExistingFileError,
    FileError,
    IsAFolderError,
    MissingFileError,
    NotAFolderError,
    WritingStopped,
)
from sinograd.files.commit import Made, replace_files, replace_folder, settle
from sinograd.files.exchange import rename_new
from sinograd.files.folders import flush_folder
from sinograd.files.inputs import check_output, own_state
from sinograd.files.temporary import make_file, temporary_path
from sinograd.interrupts import deferred
from sinograd.io.storage.together import Output, discard, finish
from sinograd.io.storage.write_errors import HEADROOM, writing


def check_destination(path: str | os.PathLike[str], *, force: bool = False, needed: int = 0) -> Path:
    """Check that `needed` bytes can be written to `path`, before the work that makes them starts.

    Raises FileNotFoundError or NotADirectoryError when the folder is missing, IsADirectoryError when `path`
    is a folder, FileExistsError when it exists and `force` is not set, PermissionError when the folder cannot
    be written to, and OSError (ENOSPC, EFBIG) with both numbers when the disk has too little room or the limit
    of file sizes is too low. An existing file stays until the new one is complete, so its room does not count
    as free.
    """
    path = Path(path)
    folder = path.parent
    if not folder.exists():
        raise MissingFileError(f"cannot write {path}: the folder {folder} does not exist")
    if not folder.is_dir():
        raise NotAFolderError(f"cannot write {path}: {folder} is not a folder")
    if path.is_dir():
        raise IsAFolderError(f"cannot write {path}: it is a folder, a file name is expected")
    kind = special_kind(path)
    if kind is not None:
        raise FileError(f"cannot write {path}: it is {kind}, a file name is expected")
    if os.path.lexists(path) and not force:
        raise ExistingFileError(f"{path} already exists: use `force=True` to replace it")
    check_output(path)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"cannot write {path}: no permission to write in {folder}")
    _check_room(path, needed)
    limit = _size_limit()
    if needed and limit < needed + HEADROOM:
        raise FileError(
            errno.EFBIG,
            f"cannot write {path}: {needed + HEADROOM:,} bytes needed, files may have {limit:,} bytes (ulimit -f)",
        )
    return path


@contextmanager
def replacing(path: str | os.PathLike[str], *, force: bool = False, needed: int = 0) -> Iterator[Path]:
    """A temporary path in the same folder that takes the name `path` when the block ends without an error.

    The data is flushed to the disk before the name changes. Whatever ends the block early, an interrupt
    included, the temporary file is removed and `path` stays as it was. An OSError becomes WritingStopped.
    """
    path = check_destination(path, force=force, needed=needed)
    settle(path.parent, clean=True)
    temporary = temporary_path(path)

    def take() -> None:
        with deferred():
            if force:
                os.replace(temporary, path)
            else:
                rename_new(temporary, path)
            flush_folder(path.parent)

    try:
        with writing(path):
            make_file(temporary)
            yield temporary
            _flush_file(temporary, path)
            made = Made(path.parent, {path.name: temporary.name})
            finish(Output(made, functools.partial(check_destination, path, force=force), take))
    finally:
        discard(temporary)


@contextmanager
def replacing_files(
    folder: str | os.PathLike[str],
    names: Sequence[str],
    *,
    force: bool = False,
    needed: int = 0,
    stale: Sequence[str] = (),
) -> Iterator[Path]:
    """A temporary folder whose files `names` take their names in `folder` together when the block ends.

    After an error, an interrupt or a crash there are all of the old files or all of the new ones. `stale` names are
    removed from the folder at the same time. An OSError becomes WritingStopped.
    """
    folder = Path(folder)
    for name in stale:
        check_output(folder / name)
    kept = [name for name in names if name not in stale]
    for index, name in enumerate(kept):
        check_destination(folder / name, force=force, needed=0 if index else needed)
    settle(folder, clean=True)
    temporary = temporary_path(folder / "x")

    def check() -> None:
        for name in kept:
            check_destination(folder / name, force=force)

    try:
        with writing(folder / names[0]):
            os.mkdir(temporary, 0o700)
            yield temporary
            _flush(temporary)
            made = Made(folder, {name: f"{temporary.name}/{name}" for name in names}, stale)
            finish(Output(made, check, lambda: replace_files(folder, temporary, names, stale)))
    finally:
        discard(temporary)


def replacing_results(
    folder: str | os.PathLike[str], names: Sequence[str], *, force: bool = False, stale: Sequence[str] = ()
) -> AbstractContextManager[Path]:
    """As `replacing_files`, in a folder that is made where it is missing.

    Where it holds nothing else than `names` and `stale`, the whole folder is exchanged in one step.
    """
    folder = Path(folder)
    held = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    own = {*names, *stale}
    if held <= own:
        known = force or not held
        return replacing_folder(folder, ours=lambda path: own.issuperset(os.listdir(path)), force=known)
    there = [name for name in stale if name in held]
    return replacing_files(folder, names, force=force, stale=there)


def check_folder(
    path: str | os.PathLike[str], *, ours: Callable[[Path], bool], force: bool = False, needed: int = 0
) -> Path:
    """Check that a folder of `needed` bytes can be written to `path`, before the work that makes it starts.

    An existing folder may be replaced only with `force`, and only when `ours(path)` says that it holds what
    would be written and nothing else. Raises as `check_destination`.
    """
    path = Path(path)
    there = _mode(path)  # looked at once: another writer may make the folder meanwhile
    if there is not None and stat.S_ISDIR(there):
        if not force:
            raise ExistingFileError(f"{path} already exists: use `force=True` to replace it")
        check_output(path)
        with own_state():  # to look at the old output is not to read an input
            replaceable = not any(path.iterdir()) or ours(path)
        if not replaceable:
            raise ExistingFileError(f"{path} holds other files than those that would be written: it is not replaced")
    elif there is not None:
        raise ExistingFileError(f"cannot write the folder {path}: it is a file")
    check_destination(temporary_path(path))
    _check_room(path, needed)
    return path


@contextmanager
def replacing_folder(
    path: str | os.PathLike[str], *, ours: Callable[[Path], bool], force: bool = False, needed: int = 0
) -> Iterator[Path]:
    """A temporary folder beside `path` that takes this name when the block ends without an error.

    Whatever ends the block early, an interrupt included, the temporary folder is removed and `path` stays as it
    was. An existing folder is exchanged in one step. An OSError becomes WritingStopped.
    """
    path = check_folder(path, ours=ours, force=force, needed=needed).resolve()
    settle(path.parent, clean=True)
    temporary = temporary_path(path)
    try:
        with writing(path):
            os.mkdir(temporary)
            yield temporary
            _flush(temporary)
            made = Made(path.parent, {path.name: temporary.name})
            check = functools.partial(check_folder, path, ours=ours, force=force)
            finish(Output(made, check, lambda: replace_folder(temporary, path)))
    finally:
        discard(temporary)


def _mode(path: Path) -> int | None:
    """The mode of what `path` leads to, of a link that leads nowhere its own, None where nothing is."""
    try:
        return os.stat(path).st_mode
    except OSError:
        return os.lstat(path).st_mode if path.is_symlink() else None


def _check_room(path: Path, needed: int) -> None:
    """FileError (ENOSPC) when the disk has no room for `needed` bytes more."""
    free = shutil.disk_usage(path.parent).free
    if needed and free < needed + HEADROOM:
        raise FileError(
            errno.ENOSPC,
            f"cannot write {path}: not enough free disk space, {needed + HEADROOM:,} bytes needed, {free:,} bytes free",
        )


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            _flush_file(path, path)


def _flush_file(temporary: Path, path: Path) -> None:
    """Have the disk keep a file; WritingStopped where someone else has put another one in its place."""
    strange = WritingStopped(f"writing {path} stopped: another program replaced the unfinished file")
    try:
        file = os.open(temporary, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise strange if error.errno == errno.ELOOP else error from None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or (hasattr(os, "geteuid") and status.st_uid != os.geteuid()):
            raise strange
        os.fsync(file)
    finally:
        os.close(file)


def _size_limit() -> float:
    """Bytes that a file of this process may have; infinite without a limit."""
    try:
        import resource
    except ImportError:  # not on POSIX
        return math.inf
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return math.inf if limit == resource.RLIM_INFINITY else limit
