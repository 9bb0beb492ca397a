"""The share of the filter in FDK of case A: `python benchmarks/filter_share.py [-o FILE.json]`.

Processor time of one thread, `sg.fdk` and `sg.Backprojection` in turns, so that what works beside them slows both.
`SINOGRAD_SIMD=avx2` takes the other kernels. What is not the backprojection is the filter, weights, and NaN that are
looked for.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Annotated

import machine
import torch
import typer
from cases import CASES
from libraries.ours import prepare

from sinograd import _native


def main(
    size: Annotated[int, typer.Option(min=16, help="Voxels a side.")] = 256,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each in turns; the median counts.")] = 5,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file.")] = None,
) -> None:
    """Print seconds and rates as JSON."""
    torch.set_num_threads(1)
    cases = {name: CASES[name].at_size(size) for name in ("fdk", "backprojection")}
    data = torch.rand(cases["fdk"].projection_shape, generator=torch.Generator().manual_seed(0)).numpy()
    calls = {name: prepare(case, data)()[0] for name, case in cases.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeat + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if turn:
                seconds[name].append(time.process_time() - start)
    whole, last = (statistics.median(seconds[name]) for name in calls)
    record = {
        **machine.describe(),
        "instruction_set": _native.instruction_set(),
        "seconds": {"fdk": whole, "backprojection": last},
        "giga_updates_a_second": cases["backprojection"].updates / last / 1e9,
        "share_of_the_rest": statistics.median(1 - b / a for a, b in zip(*seconds.values(), strict=True)),
    }
    machine.keep(record, output)


if __name__ == "__main__":
    typer.run(main)
