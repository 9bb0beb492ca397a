"""Runs one library in its own interpreter: `python worker.py LIBRARY THREADS`, driven by `client.py`.

Commands arrive as lines of JSON on standard input and are answered by one line each. Times are taken here, around
the call alone; data are loaded before.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
from cases import Case


class Worker:
    """The library, the case that is loaded, and the last result."""

    def __init__(self, library: str, threads: int) -> None:
        self.library = importlib.import_module(f"libraries.{library}")
        self.library.start(threads)
        self.arm = self.fetch = self.result = None

    def versions(self) -> dict:
        """Of the library and what it computes with."""
        return self.library.versions()

    def load(self, case: dict, path: str | None) -> dict:
        """Warms up on a small case, notes the idle memory, then loads the case's input (random if no path is given)."""
        case = Case(**case)
        self._warm_up(case)
        _reset_peak()
        idle = _memory("VmRSS")
        shape = case.volume_shape if case.reads_volume else case.projection_shape
        data = np.load(path) if path else np.random.default_rng(0).random(shape, dtype=np.float32)
        self.arm = self.library.prepare(case, data)
        return {"idle": idle, "input": data.nbytes}

    def run(self) -> dict:
        """One call: wall-clock and processor seconds, and the highest memory since the idle state."""
        self.fetch = self.result = None
        call, fetch = self.arm()
        gc.collect()
        cpu, wall = time.process_time(), time.perf_counter()
        result = call()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        self.fetch, self.result = fetch, result
        return {"seconds": wall, "processor_seconds": cpu, "peak": _memory("VmHWM")}

    def save(self, path: str) -> dict:
        """Writes the last result in sinograd's axes."""
        array = np.ascontiguousarray(self.fetch(self.result), dtype=np.float32)
        np.save(path, array)
        return {"output": array.nbytes}

    def _warm_up(self, case: Case) -> None:
        small = case.at_size(16)
        shape = small.volume_shape if small.reads_volume else small.projection_shape
        call, fetch = self.library.prepare(small, np.ones(shape, np.float32))()
        fetch(call())


def _memory(key: str) -> int:
    """VmRSS or VmHWM of this process in bytes; elsewhere than on Linux the highest memory ever, for both."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in status.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def _reset_peak() -> None:
    gc.collect()
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    worker = Worker(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(worker, command.pop("do"))(**command)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
