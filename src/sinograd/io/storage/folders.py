"""Safe writing of folders: a folder appears under its name when it is whole, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sinograd.errors import ExistingFileError, WritingStopped
from sinograd.io.storage.files import HEADROOM, check_destination, stopped


def check_folder(
    path: str | os.PathLike[str], *, ours: Callable[[Path], bool], force: bool = False, needed: int = 0
) -> Path:
    """Check that a folder of `needed` bytes can be written to `path`, before the work that makes it starts.

    An existing folder may be replaced only with `force`, and only when `ours(path)` says that it holds what
    would be written and nothing else. Raises as `check_destination`.
    """
    path = Path(path)
    if path.is_dir():
        if not force:
            raise ExistingFileError(f"{path} already exists: use `force=True` to replace it")
        if any(path.iterdir()) and not ours(path):
            raise ExistingFileError(f"{path} holds other files than those that would be written: it is not replaced")
    elif path.exists():
        raise ExistingFileError(f"cannot write the folder {path}: it is a file")
    check_destination(path if not path.exists() else path.with_name(f".{os.getpid()}.checked.{path.name}"))
    free = shutil.disk_usage(path.parent).free
    if needed and free < needed + HEADROOM:
        raise OSError(
            errno.ENOSPC,
            f"cannot write {path}: not enough free disk space, {needed + HEADROOM:,} bytes needed, {free:,} bytes free",
        )
    return path


@contextmanager
def replacing_folder(
    path: str | os.PathLike[str], *, ours: Callable[[Path], bool], force: bool = False, needed: int = 0
) -> Iterator[Path]:
    """A temporary folder beside `path` that takes this name when the block ends without an error.

    Whatever ends the block early, an interrupt included, the temporary folder is removed and `path` stays as it
    was. An OSError becomes WritingStopped.
    """
    path = check_folder(path, ours=ours, force=force, needed=needed).resolve()
    temporary = path.with_name(f".{os.getpid()}.partial.{path.name}")
    old = path.with_name(f".{os.getpid()}.old.{path.name}")
    try:
        temporary.mkdir()
        yield temporary
        _flush(temporary)
        check_folder(path, ours=ours, force=force)
        if path.exists():
            os.replace(path, old)
        try:
            os.replace(temporary, path)
        except OSError:
            if old.exists():
                os.replace(old, path)
            raise
    except (FileExistsError, WritingStopped):
        raise
    except OSError as error:
        raise stopped(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)


def _flush(folder: Path) -> None:
    for found in folder.rglob("*"):
        if found.is_file():
            with open(found, "rb+") as file:
                os.fsync(file.fileno())
