"""How quick corrections of projections are: megabytes of float32 a second and core, by processor time.

    python benchmarks/corrections.py -o benchmarks/results/corrections.json

360 views of 64 x 512 pixels, one thread, the best of three: other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import machine
import torch
from torch import Tensor

from sinograd import physics, preparation
from sinograd.choices import STRIPE_METHODS

SHAPE, REPEAT = (360, 64, 512), 3


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, help="a JSON file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) * 2 + 0.5
    found = {}
    for name, correct in corrections(lines).items():
        found[name] = round(lines.nbytes / 1e6 / seconds(correct), 1)
        print(f"{name:28s} {found[name]:8.1f} MB/s a core", flush=True)
    result = {**machine.describe(), "shape": SHAPE, "megabytes_a_second_and_core": found}
    if options.output is not None:
        options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def corrections(lines: Tensor) -> dict[str, Callable[[], object]]:
    """By name, of line integrals [views, rows, columns] or of their transmission."""
    fractions = torch.exp(-lines)
    lag, kernel = physics.Lag((0.01, 0.002), (0.5, 0.03)), preparation.KernelScatter(0.03, 1.0, 0.5)
    phase = {"pixel_mm": 0.01, "distance_mm": 100.0, "energy": 20.0, "delta_beta": 500.0}
    stripes: dict[str, Callable[[], object]] = {
        f"stripes, {method}": lambda method=method: preparation.remove_stripes(lines, method)
        for method in STRIPE_METHODS.names()
    }
    return {
        "logarithm": lambda: preparation.negative_logarithm(fractions),
        "beam hardening, polynomial": lambda: preparation.correct_beam_hardening(lines, (1.0, 0.05, 0.01)),
        "lag": lambda: preparation.correct_lag(fractions, lag),
        "dose drift": lambda: preparation.correct_dose_drift(fractions, (0, 16)),
        "scatter, a share": lambda: preparation.correct_scatter(fractions, 0.05),
        "scatter, kernels": lambda: preparation.correct_scatter(fractions, kernel),
        "phase (Paganin)": lambda: preparation.paganin(fractions, **phase),
        **stripes,
    }


def seconds(correct: Callable[[], object]) -> float:
    """Processor seconds of a call, the least of some."""
    correct()
    times = []
    for _ in range(REPEAT):
        start = time.process_time()
        correct()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
