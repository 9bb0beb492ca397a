"""Processor time that commands take until they answer.

    python benchmarks/start_up.py [--runs 5]

Prints the least of some runs, user and system time of a process of its own, for the help, the version, a mistyped
option and `info` on a small scan.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SCAN = """
import sinograd as sg
geometry = sg.ConeBeam.circular(
    source_to_origin=60, source_to_detector=90, angles=sg.full_scan(24), detector=sg.FlatDetector((20, 24), 0.75)
)
sg.write_scan(sg.Scan(sg.phantoms.ball(4.0, 0.05).project(geometry), geometry), "scan.h5")
"""
COMMANDS = {
    "--help": ["--help"],
    "reconstruct --help": ["reconstruct", "--help"],
    "--version": ["--version"],
    "a mistyped option": ["reconstruct", "scan.h5", "-o", "out.h5", "--windwo", "hann"],
    "info on a small scan": ["info", "scan.h5"],
}


def processor_seconds(arguments: list[str], folder: str) -> float:
    """User and system time of one run of the command."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "sinograd.cli", *arguments], cwd=folder, capture_output=True, check=False)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    source = str(Path(__file__).resolve().parents[1] / "src")
    os.environ["PYTHONPATH"] = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", SCAN], cwd=folder, check=True)
        for name, arguments in COMMANDS.items():
            print(f"{name:<22} {min(processor_seconds(arguments, folder) for _ in range(runs)):.2f} s")


if __name__ == "__main__":
    main()
