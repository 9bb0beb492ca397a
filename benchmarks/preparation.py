"""Megabytes a second that are read and prepared: `python benchmarks/preparation.py [--threads 2] [-o FILE.json]`.

A scan of 1000 projections of 512 x 512 uint16, with one reference before and one after it, five dark images and shifts
of each view, is written as an .h5 file and read once, so that the system's cache holds it. Then `sg.read` and
`sg.prepare` run on it: to float32 line integrals in memory. A megabyte is 10^6 bytes of stored projections. Seconds
are of the clock and of all processors together; where the machine is busy only the latter mean something.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import machine
import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

import sinograd as sg
from sinograd.data import Calibration

RESULTS = Path(__file__).resolve().parent / "results"
WORK = {
    "dark and flat, logarithm": {"shifts": "ignore"},
    "with shifts": {},
    "with shifts left to the geometry": {"shifts": "geometry"},
    "with shifts and rings": {"rings": True},
    "binned 2 x 2": {"shifts": "ignore", "binning": 2},
}


def main(
    threads: Annotated[int, typer.Option(min=1, help="Threads.")] = 2,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 3,
    views: Annotated[int, typer.Option(min=40, help="Projections.")] = 1000,
    side: Annotated[int, typer.Option(min=8, help="Rows and columns.")] = 512,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file.")] = RESULTS / "preparation.json",
) -> None:
    """Measure the preparation of a scan."""
    torch.set_num_threads(threads)
    if os.getloadavg()[0] > 0.5:
        print(f"The machine is busy (load average {os.getloadavg()[0]:.1f}): figures will be off.", file=sys.stderr)
    run = {**machine.describe(), "name": "preparation", "threads": threads, "repeat": repeat, "size": None}
    run["scan"], run["preparation"] = [views, side, side], []
    table = Table("work", "MB/s", "MB/s a core", "seconds: median (min to max)", "processor seconds")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.h5"
        sg.write_scan(make_scan(views, side), path)
        megabytes = views * side * side * 2 / 1e6
        out = torch.empty(views, side, side)
        sg.read(path).projections[0:views]
        for name, options in WORK.items():
            clock, busy = zip(*(measure(path, options, out) for _ in range(repeat)), strict=True)
            middle, work = statistics.median(clock), statistics.median(busy)
            run["preparation"].append({"work": name, "megabytes": megabytes, "seconds": clock, "processor": busy})
            table.add_row(
                name,
                f"{megabytes / middle:.0f}",
                f"{megabytes / work:.0f}",
                f"{middle:.2f} ({min(clock):.2f} to {max(clock):.2f})",
                f"{work:.2f}",
            )
    run["peak"] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    Console(width=120).print(table)
    print(f"highest memory of the process {run['peak'] / 1e6:.0f} MB, result {out.nbytes / 1e6:.0f} MB of it")
    if output is not None:
        output.write_text(json.dumps(run, indent=1) + "\n")


def measure(path: Path, options: dict, out: torch.Tensor) -> tuple[float, float]:
    """Seconds of the clock and of the processors for reading and preparing."""
    small = "binning" in options
    clock, busy = time.perf_counter(), time.process_time()
    sg.prepare(sg.read(path), sg.Preparation(**options), out=None if small else out)
    return time.perf_counter() - clock, time.process_time() - busy


def make_scan(views: int, side: int) -> sg.Scan:
    """Counts of a disc, with noise."""
    rng = np.random.default_rng(0)
    geometry = sg.ConeBeam.circular(
        source_to_origin=100,
        source_to_detector=150,
        angles=sg.full_scan(views),
        detector=sg.FlatDetector((side, side), 0.1),
    )
    x = np.linspace(-1, 1, side)
    image = 30000 * np.exp(-2 * np.sqrt(np.clip(0.8 - x[:, None] ** 2 - x**2, 0, None)))
    counts = np.empty((views, side, side), np.uint16)
    for view in counts:
        view[:] = image + 200 + 100 * rng.standard_normal((side, side), dtype=np.float32)
    calibration = Calibration(
        reference=np.full((2, side, side), 30200, np.float32),
        reference_views=[-1, views],
        dark=rng.integers(190, 210, (5, side, side)).astype(np.uint16),
        shifts=rng.uniform(-4, 4, (views, 2)),
    )
    return sg.Scan(counts, geometry, kind="counts", calibration=calibration)


if __name__ == "__main__":
    typer.run(main)
