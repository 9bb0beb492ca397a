"""Processor time that the command takes to answer: help, version, a mistyped option, `info` of a small scan.

    python benchmarks/start_up.py [SRC] [--repeats 5]

Seconds of user and system time of one process, the least of some runs; `modules` counts those that Python imported,
and `torch` says whether torch is one of them. SRC is a source folder, this checkout's unless another is named.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

COMMANDS = ("reconstruct", "info", "convert", "simulate", "train", "denoise", "evaluate", "demo", "doctor")
INPUT = """
import sinograd as sg
geometry = sg.ConeBeam.circular(
    source_to_origin=60, source_to_detector=90, angles=sg.full_scan(24), detector=sg.FlatDetector((20, 24), 0.75)
)
sg.write_scan(sg.Scan(sg.phantoms.ball(4.0, 0.05).project(geometry), geometry), "scan.h5")
"""
COUNTED = """
import runpy, sys
try:
    runpy.run_module("sinograd.cli", run_name="__main__")
finally:
    print(len(sys.modules), "torch" in sys.modules, file=sys.stderr)
"""


def seconds(arguments: list[str], environment: dict[str, str], folder: str) -> float:
    """Processor time of one run of the command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = [sys.executable, "-m", "sinograd.cli", *arguments]
    subprocess.run(run, env=environment, cwd=folder, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def imports(arguments: list[str], environment: dict[str, str], folder: str) -> list[str]:
    """How many modules one run imports, and whether torch is among them."""
    run = [sys.executable, "-c", COUNTED, *arguments]
    text = subprocess.run(run, env=environment, cwd=folder, capture_output=True, text=True).stderr
    return text.split()[-2:]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", nargs="?", type=Path, default=Path(__file__).parents[1] / "src")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    environment = {**os.environ, "PYTHONPATH": str(options.source.resolve())}
    cases = [["--version"], ["--help"], *([command, "--help"] for command in COMMANDS)]
    cases += [["reconstruct", "scan.h5", "--windw", "hann"], ["info", "scan.h5"]]
    print(f"{'seconds':>7} {'modules':>8} torch  sinograd ...")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", INPUT], env=environment, cwd=folder, check=True)
        for case in cases:
            least = min(seconds(case, environment, folder) for _ in range(options.repeats))
            modules, torch = imports(case, environment, folder)
            print(f"{least:7.2f} {modules:>8} {'yes' if torch == 'True' else 'no':5}  {' '.join(case)}")


if __name__ == "__main__":
    main()
