"""Measures of bone on 512 x 512 x 200 voxels of 172 x 172 x 340 um, float32: seconds, processor time and memory.

    python benchmarks/morphometry.py [--shape Z,Y,X] [--threads N] [--only NAME] [-o FILE.json]

Each runs in a process of its own, so that peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPACING, DIAMETER, THRESHOLD = (0.340, 0.172, 0.172), 4.3, 225.0
NAMES = ("bmd_map", "bvtv_map", "tmd_map", "sd_map", "thickness", "separation", "surface", "connectivity", "command")


def measured(name: str, shape: tuple[int, ...], threads: int) -> dict[str, float]:
    """Seconds, processor seconds and peak memory of one measure, in this process."""
    import torch

    import sinograd as sg
    from sinograd import morphometry as bone

    torch.set_num_threads(threads)
    values = textured(shape)
    folder = tempfile.TemporaryDirectory()
    file = Path(folder.name) / "bone.h5"
    if name == "command":
        sg.write_volume(sg.Volume(values, sg.Grid(shape, SPACING), "mg/cm3"), file)
        del values
    jobs = {
        "bmd_map": lambda: bone.bmd_map(values, SPACING, DIAMETER),
        "bvtv_map": lambda: bone.bvtv_map(values, SPACING, DIAMETER, THRESHOLD),
        "tmd_map": lambda: bone.tmd_map(values, SPACING, DIAMETER, THRESHOLD),
        "sd_map": lambda: bone.sd_map(values, SPACING, DIAMETER),
        "thickness": lambda: bone.thickness(values >= THRESHOLD, SPACING, largest=4.0),
        "separation": lambda: bone.thickness(values < THRESHOLD, SPACING, largest=4.0),
        "surface": lambda: bone.surface_area(values >= THRESHOLD, SPACING),
        "connectivity": lambda: bone.connectivity_density(values >= THRESHOLD, SPACING),
        "command": lambda: command(file, threads),
    }
    start, processor = time.perf_counter(), time.process_time()
    peak = jobs[name]()
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    if name != "command":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    else:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = used.ru_utime + used.ru_stime
    folder.cleanup()
    return {"seconds": seconds, "processor_seconds": processor, "peak_bytes": float(peak)}


def command(file: Path, threads: int) -> float:
    """Peak memory of `sinograd bone` in a process of its own."""
    code = f"import torch, sys; torch.set_num_threads({threads}); from sinograd.cli import main; main()"
    options = ["bone", str(file), "--threshold", str(THRESHOLD), "--diameter", str(DIAMETER), "-q"]
    subprocess.run([sys.executable, "-c", code, *options, "-o", str(file.parent / "report")], check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def textured(shape: tuple[int, ...]) -> object:
    """Plates of a smooth random field, about a fifth of the volume, with noise; float32."""
    import numpy as np
    import torch
    from scipy import ndimage

    drawn = np.random.default_rng(0)
    sigma = [0.25 / step for step in SPACING]
    field = ndimage.gaussian_filter(drawn.standard_normal(shape, np.float32), sigma)
    field /= field.std()
    density = 40 + 700 / (1 + np.exp((1.4 - np.abs(field)) * 8)) + 30 * drawn.standard_normal(shape, np.float32)
    return torch.from_numpy(density.astype(np.float32))


def main() -> None:
    """Run the chosen measures one after the other and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="200,512,512", help="voxels, Z,Y,X")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=NAMES, help="one of them")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path, help="JSON file")
    arguments = parser.parse_args()
    shape = tuple(int(part) for part in arguments.shape.split(","))
    if arguments.here:
        print(json.dumps(measured(arguments.only, shape, arguments.threads)))
        return
    results = {}
    for name in [arguments.only] if arguments.only else NAMES:
        options = ["--shape", arguments.shape, "--threads", str(arguments.threads), "--only", name, "--here"]
        done = subprocess.run([sys.executable, __file__, *options], check=True, capture_output=True, text=True)
        results[name] = found = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{name:<13} {found['seconds']:8.2f} s {found['processor_seconds']:8.2f} s of processors "
            f"{found['peak_bytes'] / 1e9:6.2f} GB"
        )
    if arguments.output is not None:
        arguments.output.write_text(json.dumps({"shape": shape, "threads": arguments.threads, **results}, indent=1))


if __name__ == "__main__":
    main()
