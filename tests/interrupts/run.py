"""Interrupt every job at every file operation: `make interrupts`.

    python -m interrupts.run [JOB ...]      of the jobs whose names begin so

It prints a line for each job and signal, and every failure; it ends with 1 where there was one.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import torch

from interrupts.check import SIGNALS, Bench
from interrupts.jobs import JOBS

LIBRARIES = (
    *("h5py", "tifffile", "zarr", "SimpleITK", "pydicom", "scipy.signal", "matplotlib.figure", "rich.progress"),
    *(
        "sinograd.ops",
        "sinograd.invariance",
        "sinograd.training",
        "sinograd.evaluation",
        "sinograd.training.lightning_run",
    ),
    *("matplotlib.backends.backend_agg", "sinograd.cli.app"),
)


def main(names: list[str]) -> int:
    """Run the jobs; the number of failures, at most 1."""
    torch.set_num_threads(1)
    warm_up(LIBRARIES)
    points = failures = 0
    with tempfile.TemporaryDirectory(prefix="sinograd-interrupts-") as folder:
        bench = Bench(Path(folder) / "bench")
        for job in JOBS:
            if names and not job.name.startswith(tuple(names)):
                continue
            start, count = time.perf_counter(), bench.prepare(job)
            for name in SIGNALS:
                found: dict[str, int] = {}
                for point in range(1, count + 1):
                    points += 1
                    try:
                        result = bench.interrupt(job, point, name)
                    except Exception as error:
                        failures += 1
                        result = "FAILED"
                        print(f"{job.name}: {name} at operation {point} of {count}: {error}", flush=True)
                    found[result] = found.get(result, 0) + 1
                text = ", ".join(f"{number} {words}" for words, number in sorted(found.items()))
                print(f"{job.name}: {name} at {count} operations: {text}", flush=True)
            print(f"{job.name}: {time.perf_counter() - start:.0f} s", flush=True)
    print(f"{points} interrupts, {failures} failures")
    return min(failures, 1)


def warm_up(names: Iterable[str]) -> None:
    """Import what the jobs need, once for all children."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
