"""An iterative reconstruction larger than its memory, beside the same one in memory: memory, time and differences.

    python benchmarks/large_iterative.py --size 512 --views 256 --memory 300MB --algorithm sirt --iterations 3

The scan is made if it is not there (`large.made_scan`). Each run is a process of its own; the second one has `--beside`
memory. Prints one JSON object, and writes it with `-o`: peaks, and what the process holds after a job of a few voxels,
when all is loaded; processor seconds; what the algorithm holds in memory; and how far the volumes differ, as a share of
the largest value. Fails where that is more than `--rounding`, or where the first run takes more than `--memory`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import machine
from large import made_scan

from sinograd.io import open_volume
from sinograd.recon.algorithms import working_memory
from sinograd.workflows.memory_budget import memory_bytes

RUN = """
import json, resource, sys, time
from pathlib import Path
import torch
import sinograd as sg
scan, output, memory, algorithm, iterations = sys.argv[1:]
def held(name):
    lines = [line.split() for line in Path("/proc/self/status").read_text().splitlines()]
    return next(1024 * int(line[1]) for line in lines if line[0] == name)
small = Path(output).with_name("small.h5")
sg.reconstruct(scan, small, algorithm=algorithm, iterations=1, memory="60MB", shape=(8, 8, 8), voxel_mm=4.0,
               views=slice(0, 8), scratch=small.parent)
small.unlink()
Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
usage, idle, start = resource.getrusage(resource.RUSAGE_SELF), held("VmRSS:"), time.perf_counter()
used = usage.ru_utime + usage.ru_stime
sg.reconstruct(scan, output, algorithm=algorithm, iterations=int(iterations), memory=memory)
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"memory": memory, "idle_bytes": idle, "peak_bytes": held("VmHWM:"),
                  "processor_seconds": usage.ru_utime + usage.ru_stime - used,
                  "seconds": time.perf_counter() - start, "threads": torch.get_num_threads()}))
"""


def main() -> None:
    """Both runs, with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--views", type=int, default=256)
    parser.add_argument("--memory", default="300MB")
    parser.add_argument("--beside", default="8GB")
    parser.add_argument("--algorithm", default="sirt")
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--rounding", type=float, default=1e-4)
    parser.add_argument("--folder", type=Path, default=Path("large"))
    parser.add_argument("-o", "--output", type=Path, help="a JSON file")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    scan = made_scan(arguments.folder / f"{arguments.size}-{arguments.views}.npy", arguments.size, arguments.views)
    outputs = [arguments.folder / f"{scan.stem}-{arguments.algorithm}-{name}.h5" for name in ("stored", "whole")]
    runs = [
        run(scan, output, memory, arguments)
        for output, memory in zip(outputs, (arguments.memory, arguments.beside), strict=True)
    ]
    shape = (arguments.size,) * 3
    facts = {
        "size": arguments.size,
        "views": arguments.views,
        "algorithm": arguments.algorithm,
        "iterations": arguments.iterations,
        "budget_bytes": memory_bytes(arguments.memory),
        "working_bytes": working_memory(arguments.algorithm, shape, (arguments.views, *shape[1:])),
        "stored": runs[0],
        "whole": runs[1],
        "times_in_memory": runs[0]["processor_seconds"] / runs[1]["processor_seconds"],
        "largest_difference": largest_difference(*outputs),
    }
    machine.keep({**machine.describe(), **facts}, arguments.output)
    for output in outputs:
        output.unlink()
    if not facts["largest_difference"] <= arguments.rounding:
        raise SystemExit("the volumes differ")
    if runs[0]["peak_bytes"] - runs[0]["idle_bytes"] > facts["budget_bytes"]:
        raise SystemExit("the first run took more than its budget")


def run(scan: Path, output: Path, memory: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Peak and times of one process."""
    output.unlink(missing_ok=True)
    command = [sys.executable, "-c", RUN, str(scan), str(output), memory, arguments.algorithm]
    made = subprocess.run([*command, str(arguments.iterations)], stdout=subprocess.PIPE, text=True, check=True)
    facts: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    return facts


def largest_difference(first: Path, second: Path) -> float:
    """Of two volumes, read slice by slice, as a share of the second's largest value."""
    one, two = (open_volume(path) for path in (first, second))
    largest = most = 0.0
    for i in range(one.slices):
        a, b = one.read(i, i + 1), two.read(i, i + 1)
        largest, most = max(largest, float((a - b).abs().max())), max(most, float(b.abs().max()))
    return largest / most


if __name__ == "__main__":
    main()
