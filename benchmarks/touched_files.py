"""How many files of the package one run of a command goes through.

    python benchmarks/touched_files.py [SRC ...] [--list]

Of each source folder (this one's, unless others are named) `sinograd denoise` and `sinograd reconstruct` of one small
file run in a process of their own under `sys.setprofile`. Counted are the distinct files of the package with a frame
in the run: in `all` that of a module's body is one, as it is when the file is imported; in `called` only functions'.
`--list` prints the files: `*` where a function ran, `-` where the file was imported only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

INPUT = """
import sinograd as sg
geometry = sg.ConeBeam.circular(
    source_to_origin=60, source_to_detector=90, angles=sg.full_scan(24), detector=sg.FlatDetector((20, 24), 0.75)
)
grid = sg.Grid((8, 16, 16), 0.5)
ball = sg.phantoms.ball(4.0, 0.05)
sg.write_scan(sg.Scan(ball.project(geometry), geometry, {"sample": "ball"}, grid), "scan.h5")
values = ball.voxelize(grid)
try:
    sg.write_volume(sg.Volume(values, grid, "1/mm"), "volume.h5")
except (AttributeError, TypeError):  # 0.1.0
    sg.write_volume(values, "volume.h5", grid)
"""
RUN = """
import inspect, json, sys, threading
package, *arguments = sys.argv[1:]
imported, called = set(), set()
def profile(frame, event, argument):
    if event == "call" and frame.f_code.co_filename.startswith(package):
        function = frame.f_code.co_flags & inspect.CO_OPTIMIZED
        (called if function else imported).add(frame.f_code.co_filename)
sys.argv = ["sinograd", *arguments]
threading.setprofile(profile)
sys.setprofile(profile)
try:
    from sinograd.cli import main
    main()
except SystemExit as end:
    code = end.code
else:
    code = 0
sys.setprofile(None)
with open("touched.json", "w") as file:
    json.dump([code or 0, sorted(imported | called), sorted(called)], file)
"""
COMMANDS = {
    "denoise": ("denoise", "volume.h5", "--model", "bone-xrm-one-filter", "-o", "denoised.h5", "-q"),
    "reconstruct": ("reconstruct", "scan.h5", "-o", "reconstructed.h5", "-q"),
}


def touched(source: Path, command: str) -> tuple[set[str], set[str]]:
    """Files of the package under `source` with a frame in a run of a command, and those where a function ran."""
    package = source.resolve() / "sinograd"
    environment = {**os.environ, "PYTHONPATH": str(source.resolve()), "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", INPUT], cwd=folder, env=environment, check=True)
        run = [sys.executable, "-c", RUN, f"{package}{os.sep}", *COMMANDS[command]]
        subprocess.run(run, cwd=folder, env=environment, check=True)
        code, found, called = json.loads(Path(folder, "touched.json").read_text())
    if code != 0:
        raise SystemExit(f"{source}: sinograd {' '.join(COMMANDS[command])} failed with exit code {code}")
    every, functions = ({str(Path(name).relative_to(package)) for name in names} for names in (found, called))
    return every, functions


def main() -> None:
    """Print a table of the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", nargs="*", type=Path, default=[Path(__file__).parents[1] / "src"])
    parser.add_argument("--list", action="store_true", help="print the files")
    options = parser.parse_args()
    print(f"{'command':12} {'all':>5} {'called':>7}  sources")
    for source in options.source:
        for command in COMMANDS:
            every, called = touched(source, command)
            print(f"{command:12} {len(every):5} {len(called):7}  {source}")
            if options.list:
                print("\n".join(f"  {'*' if name in called else '-'} {name}" for name in sorted(every)))


if __name__ == "__main__":
    main()
