"""Whether what a file declares fits into memory, before it is read."""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sinograd.errors import OutOfMemory

_WORTH_A_LOOK = 1 << 27  # bytes; less always fits
_MEMINFO, _STATUS = "/proc/meminfo", "/proc/self/status"
_CGROUP, _CGROUPS = "/proc/self/cgroup", "/sys/fs/cgroup"


def check_memory(needed: int, name: str) -> None:
    """OutOfMemory, which names the file and both numbers, where `needed` bytes are more than there are."""
    if needed < _WORTH_A_LOOK:
        return
    free = available_memory()
    if needed > free:
        raise OutOfMemory(
            f"not enough memory for {name}: the file declares {needed / 1e9:.3g} GB, {free / 1e9:.3g} GB are free"
        )


def give_freed_memory_back() -> None:
    """Have the C library return what it keeps of freed memory to the system, where it can: blocks of up to 32 MB."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Inside, a lack of memory is that of reading a file: OutOfMemory names it."""
    try:
        yield
    except OutOfMemory:
        raise
    except MemoryError as error:
        reason = " ".join(str(error).split())
        raise OutOfMemory(f"not enough memory to read {name}{f': {reason}' if reason else ''}") from error


def available_memory() -> float:
    """Bytes that this process can still take; infinite where the system does not say."""
    free = min(_kilobytes(_MEMINFO, "MemAvailable"), _group_free())
    try:
        import resource
    except ImportError:  # not on POSIX
        return free
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return free if limit == resource.RLIM_INFINITY else min(free, max(0, limit - _kilobytes(_STATUS, "VmSize", 0)))


def _group_free() -> float:
    """What the control groups of this process leave it; infinite without a limit."""
    free = math.inf
    for folder in _groups():
        try:
            limit = (folder / "memory.max").read_text(encoding="ascii").strip()
            if limit == "max":
                continue
            used = int((folder / "memory.current").read_text(encoding="ascii"))
            cached = _statistic(folder / "memory.stat", "inactive_file")
        except (OSError, ValueError):
            continue
        free = min(free, max(0, int(limit) - used + cached))
    return free


def _groups() -> Iterator[Path]:
    """Folders of the control group (version 2) of this process, and of those above it."""
    try:
        lines = Path(_CGROUP).read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    path = next((line[3:] for line in lines if line.startswith("0::")), None)
    if path is None:
        return
    folder = Path(_CGROUPS + path)
    while True:
        yield folder
        if folder == Path(_CGROUPS) or folder.parent == folder:
            return
        folder = folder.parent


def _statistic(path: Path, name: str) -> int:
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name} "):
            return int(line.split()[1])
    return 0


def _kilobytes(path: str, key: str, unknown: float = math.inf) -> float:
    if not os.path.exists(path):
        return unknown
    with open(path, encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    return unknown
