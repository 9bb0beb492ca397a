"""Temporary files and folders beside what they become, and those that dead processes left.

    .sinograd-HOST-PID-START-SECRET.partial.h5

HOST is a digest of the computer's name and its space of process numbers, PID and START are those of the process, so
that whoever comes later knows whether it still runs; SECRET cannot be guessed. Names are made new (O_EXCL) and never
followed where they are links.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"\.sinograd-([0-9a-f]{8})-(\d+)-([0-9a-f]{8})-([0-9a-f]{16})\.(partial|old|journal)(\..*)?")
_ENDED = {"Z", "X", "x"}  # states of a process that runs no more, though its parent has not asked for its end yet
_SUFFIX = 16  # characters that a temporary file has of the name's end, for libraries that go by it


def temporary_path(target: Path, kind: str = "partial") -> Path:
    """A new name beside `target`, with its suffixes in lower case, as libraries know them; nothing is made."""
    suffix = "".join(target.suffixes[-2:])
    suffix = suffix if len(suffix) <= _SUFFIX and "/" not in suffix else target.suffix[-_SUFFIX:]
    if suffix and not suffix.startswith("."):
        suffix = f".{suffix}"
    return target.with_name(f".sinograd-{_owner(os.getpid())}-{secrets.token_hex(8)}.{kind}{suffix.lower()}")


def make_file(path: Path) -> tuple[int, int]:
    """Make a new empty file, with the permissions of the umask; returns what identifies it (`identity`).

    Raises FileExistsError for a name that exists, links included.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        status = os.fstat(descriptor)
        return status.st_dev, status.st_ino
    finally:
        os.close(descriptor)


def identity(path: Path) -> tuple[int, int] | None:
    """Device and number of a file or folder itself, not of what a link names; None for a missing one."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def is_temporary(name: str) -> bool:
    """Whether a name is one that `temporary_path` makes."""
    return _NAME.fullmatch(name) is not None


def secret_of(name: str) -> str:
    """The part of a temporary name that cannot be guessed."""
    match = _NAME.fullmatch(name)
    return match[4] if match else ""


def left_behind(folder: Path, kind: str | None = None) -> Iterator[Path]:
    """Temporary files and folders of dead processes of this user on this computer."""
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except OSError:
        return
    for name in names:
        match = _NAME.fullmatch(name)
        if match and kind in (None, match[5]) and _is_dead(*match.group(1, 2, 3)) and _is_own(folder / name):
            yield folder / name


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it; nothing is raised where it cannot be done."""
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    except OSError:
        return


def _is_own(path: Path) -> bool:
    try:
        return not hasattr(os, "geteuid") or os.lstat(path).st_uid == os.geteuid()
    except OSError:
        return False


def _is_dead(host: str, pid: str, start: str) -> bool:
    """Whether the process is one of this computer that runs no more."""
    if host != _host():
        return False
    number = int(pid)
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # someone else's
        pass
    except (OSError, OverflowError) as error:
        return isinstance(error, OverflowError) or error.errno == errno.EINVAL
    state, began = _state_and_start(number)
    return state in _ENDED or began != start


@functools.lru_cache(maxsize=8)
def _owner(pid: int) -> str:
    return f"{_host()}-{pid}-{_start(pid)}"


@functools.cache
def _host() -> str:
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return _digest(f"{socket.gethostname()} {space}")


def _start(pid: int) -> str:
    """When a process started, in a digest: clock ticks since the boot, and which boot it was."""
    return _state_and_start(pid)[1]


def _state_and_start(pid: int) -> tuple[str, str]:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        return "", _digest("")
    fields = status.rpartition(")")[2].split()
    return fields[0], _digest(f"{boot.strip()} {fields[19]}")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
