"""Measured limits of a GPU, for the benchmarks to stand beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from clock import Clock

LOADS, THREADS = 16, 256


def ceilings(clock: Clock) -> Iterator[tuple[str, dict[str, float]]]:
    """Copy bandwidth first; the rest by kernels of ceilings.cu."""
    yield "copy", {"tb_per_s": _copy(clock, 1 << 28) / 1e12}
    yield "copy within L2", {"tb_per_s": _copy(clock, 1 << 21) / 1e12}
    yield from _kernels(clock)


def _copy(clock: Clock, count: int) -> float:
    """Bytes read and written a second."""
    source = torch.ones(count, device=clock.device)
    target = torch.empty_like(source)
    return 8 * count / clock.median(lambda: target.copy_(source), 20)


def _kernels(clock: Clock) -> Iterator[tuple[str, dict[str, float]]]:
    from sinograd.ops.cuda.kernel_launch import Stream
    from sinograd.ops.cuda.program import cuda_core

    core = cuda_core()
    core.Device(clock.device.index or 0).set_current()
    major, minor = torch.cuda.get_device_capability(clock.device)
    options = core.ProgramOptions(name="ceilings.cu", arch=f"sm_{major}{minor}", std="c++17")
    text = Path(__file__).with_suffix(".cu").read_text()
    code = core.Program(text, "c++", options).compile("cubin")
    blocks = 8 * torch.cuda.get_device_properties(clock.device).multi_processor_count
    out = torch.zeros(8, device=clock.device)
    data = torch.ones(64 << 20, device=clock.device)

    def run(kernel: str, *arguments: object) -> Callable[[], None]:
        def launch() -> None:
            stream = Stream(torch.cuda.current_stream(clock.device).cuda_stream)
            config = core.LaunchConfig(grid=blocks, block=THREADS)
            core.launch(stream, config, code.get_kernel(kernel), *arguments)

        return launch

    def long(number: int) -> np.int64:
        return np.int64(number)

    repeat = 2000
    for step, name in ((1, "shared memory"), (2, "shared memory, every other element")):
        seconds = clock.median(run("shared_loads", out.data_ptr(), long(repeat), long(step)), 5)
        yield name, {"t_loads_per_s": blocks * THREADS * LOADS * repeat / seconds / 1e12}
    # window: elements of a block; shares: how many different windows there are
    for name, window, offset, shares in (
        ("L1, aligned", 4096, 0, 1),
        ("L1, one element off", 4096, 1, 1),
        ("L2", 1 << 14, 0, 512),
    ):
        arguments = data.data_ptr(), out.data_ptr(), long(200), long(window), long(offset), long(shares)
        seconds = clock.median(run("cached_loads", *arguments), 5)
        yield name, {"t_loads_per_s": blocks * window * 200 / seconds / 1e12}
    for real in ("float", "double"):
        seconds = clock.median(run(f"products_{real}", out.data_ptr(), long(20000)), 5)
        yield f"multiply-adds, {real}", {"t_per_s": blocks * THREADS * 8 * 20000 / seconds / 1e12}
