"""Seconds of calls on a device."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch


class Clock:
    """Times calls by events of the GPU's stream, or by the processor's clock on the CPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def wait(self) -> None:
        """Until everything is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def once(self, call: Callable[[], object]) -> float:
        """Of one call."""
        if self.device.type != "cuda":
            start = time.perf_counter()
            call()
            return time.perf_counter() - start
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3

    def median(self, call: Callable[[], object], repeat: int, at_most: float = 2.0) -> float:
        """Of calls after a first one that is not counted; fewer than `repeat` where they take long."""
        call()
        self.wait()
        first = self.once(call)
        count = max(1, min(repeat, int(at_most / max(first, 1e-6))))
        return statistics.median([first, *(self.once(call) for _ in range(count))])
