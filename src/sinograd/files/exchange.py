"""Two names exchanged, or one given to something new, in a single step of the file system (renameat2 of Linux)."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_NOREPLACE, _EXCHANGE = 1, 2
_AT_FDCWD = -100
_UNKNOWN = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.ENOTTY}


def exchange(first: Path, second: Path) -> bool:
    """Exchange the names of two files or folders; False where system or file system cannot.

    Raises OSError, such as FileNotFoundError where one is missing.
    """
    return _renamed(first, second, _EXCHANGE)


def rename_new(path: Path, target: Path) -> None:
    """Rename to a name that nothing has. Raises FileExistsError where something has it, a dangling link included.

    Where the system cannot do that in one step, something that takes the name in between may be replaced.
    """
    if _renamed(path, target, _NOREPLACE):
        return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    os.rename(path, target)


def _renamed(first: Path, second: Path, flags: int) -> bool:
    call = _system_call()
    if call is None:
        return False
    sys.audit("os.rename", str(first), str(second), -1, -1)
    if call(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), str(first), None, str(second))


@functools.cache
def _system_call() -> Callable[..., Any] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None
    call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    call.restype = ctypes.c_int
    return call
