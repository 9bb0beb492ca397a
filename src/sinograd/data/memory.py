"""Whether what a file declares fits into memory, before it is read."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sinograd.errors import OutOfMemory

_WORTH_A_LOOK = 1 << 27  # bytes; less always fits
_MEMINFO, _STATUS = "/proc/meminfo", "/proc/self/status"


def check_memory(needed: int, name: str) -> None:
    """OutOfMemory, which names the file and both numbers, where `needed` bytes are more than there are."""
    if needed < _WORTH_A_LOOK:
        return
    free = available_memory()
    if needed > free:
        raise OutOfMemory(
            f"not enough memory for {name}: the file declares {needed / 1e9:.3g} GB, {free / 1e9:.3g} GB are free"
        )


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
    free = _kilobytes(_MEMINFO, "MemAvailable")
    try:
        import resource
    except ImportError:  # not on POSIX
        return free
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return free if limit == resource.RLIM_INFINITY else min(free, max(0, limit - _kilobytes(_STATUS, "VmSize", 0)))


def _kilobytes(path: str, key: str, unknown: float = math.inf) -> float:
    if not os.path.exists(path):
        return unknown
    with open(path, encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    return unknown
