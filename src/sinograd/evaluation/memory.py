"""The most memory that a computation took."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from sinograd.data.memory import give_freed_memory_back


class PeakMemory:
    """Bytes beyond those that were held when the block began, in `peak` after it; None where that is not known.

    On a GPU what torch allocated. On a CPU the process's resident memory, on Linux: the kernel keeps its high-water
    mark, which is set back first, and free memory is handed back (glibc), or what is taken from it would not be seen.

        with PeakMemory(device) as memory:
            ...
        memory.peak
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.peak: int | None = None
        self._before: int | None = None

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self._before = torch.cuda.memory_allocated(self.device)
        else:
            self._before = _resident("VmRSS") if _set_back() else None
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is None:
            return
        cuda = self.device.type == "cuda"
        most = torch.cuda.max_memory_allocated(self.device) if cuda else _resident("VmHWM")
        self.peak = None if most is None else max(0, most - self._before)


def _set_back() -> bool:
    """Make the high-water mark the memory of now."""
    give_freed_memory_back()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _resident(key: str) -> int | None:
    try:
        found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.M)
    except OSError:
        return None
    return None if found is None else 1024 * int(found[1])
