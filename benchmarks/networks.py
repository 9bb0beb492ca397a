"""Memory and time of each network: one slice denoised, and one training step, on one core.

    python benchmarks/networks.py                        # slices of 256 x 256, steps of 4 patches of 64 x 64
    python benchmarks/networks.py --size 512 --names red-cnn structkpn --json out.json

Each network runs in a process of its own with random weights, after a first call on a small image. Memory is the
largest resident set beyond that before the call; time is that of the processor, which other work on the machine hardly
changes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sinograd.choices import NETWORKS
from sinograd.evaluation.memory import PeakMemory

_DEPTHS = {"jbfnet": 15, "nn-sp": 23}  # slices that networks of volumes see for one
_PATCH, _BATCH = 64, 4


def measure(name: str, what: str, size: int) -> dict[str, Any]:
    """Parameters, seconds and MB of a "slice" [size, size] or of a training "step"."""
    torch.set_num_threads(1)
    network: nn.Module = NETWORKS.load(name)(generator=torch.Generator().manual_seed(0))
    found: dict[str, Any] = {"name": name, "parameters": sum(p.numel() for p in network.parameters())}
    network.eval()
    with torch.inference_mode():
        network(_input(name, 1, 32))
        if what == "slice":
            return found | _cost(what, lambda: network(_input(name, 1, size)))
    network.train()
    optimizer = torch.optim.Adam(network.parameters())

    def step() -> None:
        result = network(_input(name, _BATCH, _PATCH))
        optimizer.zero_grad()
        result.square().mean().backward()
        optimizer.step()

    return found | _cost(what, step)


def table(rows: list[dict[str, Any]], size: int) -> str:
    """Markdown."""
    heads = ["network", "parameters", f"{size} x {size}, core-seconds", "MB", "training step, core-seconds", "MB"]
    keys = ("slice_seconds", "slice_mb", "step_seconds", "step_mb")
    lines = [heads, ["---"] * len(heads)]
    for row in rows:
        cells = (f"{row[key]:.2g}" if "seconds" in key else f"{row[key]:.0f}" for key in keys)
        lines.append([f"`{row['name']}`", f"{row['parameters']:,}", *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _input(name: str, batch: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    depth = (_DEPTHS[name],) if name in _DEPTHS else ()
    return torch.rand(batch, 1, *depth, size, size, generator=generator)


def _cost(what: str, call: Callable[[], object]) -> dict[str, float]:
    with PeakMemory(torch.device("cpu")) as memory:
        start = time.process_time()
        call()
        seconds = time.process_time() - start
    return {f"{what}_seconds": seconds, f"{what}_mb": (memory.peak or 0) / 2**20}


def _in_a_process(name: str, what: str, size: int) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as file:
            json.dump(measure(name, what, size), file)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    os.waitpid(child, 0)
    if not text:
        raise RuntimeError(f"{name}: the process ended without a result")
    return json.loads(text)


def main(arguments: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--names", nargs="*", default=list(NETWORKS.names()))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    rows = []
    for name in options.names:
        rows.append({})
        for what in ("slice", "step"):
            rows[-1] |= _in_a_process(name, what, options.size)
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    if options.json is not None:
        record = {"size": options.size, "torch": torch.__version__, "rows": rows}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table(rows, options.size))


if __name__ == "__main__":
    main(sys.argv[1:])
