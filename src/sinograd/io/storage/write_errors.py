"""What the system says when writing fails, in one line with the file's name."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sinograd.errors import ExistingFileError, WritingStopped

HEADROOM = 1 << 20  # bytes kept free beside the data: headers, metadata, the file system's own
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Inside, a file that takes the name in the last moment is an ExistingFileError; other OSErrors become
    WritingStopped.
    """
    try:
        yield
    except (ExistingFileError, WritingStopped):
        raise
    except FileExistsError:
        raise ExistingFileError(f"{path} already exists: use `force=True` to replace it") from None
    except OSError as error:
        raise stopped(path, error) from error


def stopped(path: Path, error: OSError) -> WritingStopped:
    """The error of a write, with the file's name and without the temporary file's."""
    # HDF5 gives the system's number and words somewhere in a long text, NumPy's short writes give neither.
    code, words = re.search(r"errno = (\d+)", str(error)), re.search(r"error message = '([^']*)'", str(error))
    number = int(code[1]) if code else error.errno
    if number in _FULL or (number is None and shutil.disk_usage(path.parent).free < HEADROOM):
        return WritingStopped(errno.ENOSPC, f"the disk is full: writing {path} stopped and nothing partial was left")
    reason = words[1] if words else error.strerror or str(error)
    message = f"writing {path} stopped: {reason}; nothing partial was left"
    return WritingStopped(message) if number is None else WritingStopped(number, message)
