"""Safe writing: a file appears under its name when it is whole, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HEADROOM = 1 << 20  # bytes kept free beside the data: headers, metadata, the file system's own
_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_destination(path: str | os.PathLike[str], *, force: bool = False, needed: int = 0) -> Path:
    """Check that `needed` bytes can be written to `path`, before the work that makes them starts.

    Raises FileNotFoundError or NotADirectoryError when the folder is missing, IsADirectoryError when `path`
    is a folder, FileExistsError when it exists and `force` is not set, PermissionError when the folder cannot
    be written to, and OSError (ENOSPC) with both numbers when the disk has too little room. An existing file
    stays until the new one is complete, so its room does not count as free.
    """
    path = Path(path)
    folder = path.parent
    if not folder.exists():
        raise FileNotFoundError(f"cannot write {path}: the folder {folder} does not exist")
    if not folder.is_dir():
        raise NotADirectoryError(f"cannot write {path}: {folder} is not a folder")
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder, a file name is expected")
    if path.exists() and not force:
        raise FileExistsError(f"{path} already exists: use --force (force=True in Python) to replace it")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"cannot write {path}: no permission to write in {folder}")
    free = shutil.disk_usage(folder).free
    if needed and free < needed + HEADROOM:
        raise OSError(
            errno.ENOSPC,
            f"cannot write {path}: not enough free disk space, {needed + HEADROOM:,} bytes needed, {free:,} bytes free",
        )
    return path


@contextmanager
def replacing(path: str | os.PathLike[str], *, force: bool = False, needed: int = 0) -> Iterator[Path]:
    """A temporary path in the same folder that takes the name `path` when the block ends without an error.

    The data is flushed to the disk before the name changes. Whatever ends the block early, an interrupt
    included, the temporary file is removed and `path` stays as it was.
    """
    path = check_destination(path, force=force, needed=needed)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        check_destination(path, force=force)
        os.replace(temporary, path)
    except OSError as error:
        # NumPy's short writes say neither errno nor why.
        short = error.errno is None and shutil.disk_usage(path.parent).free < HEADROOM
        if error.errno in _FULL or short:
            message = f"the disk is full: writing {path} stopped and nothing partial was left"
            raise OSError(errno.ENOSPC, message) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
