"""A volume larger than memory, from scan file to volume file: memory, time, kills and bits.

    python benchmarks/large.py --size 1024 --views 720 --memory 1.5GB --limit 2.5GB --folder large
    python benchmarks/large.py --size 2048 --views 512 --memory 4GB --kills 3 --folder large

The scan is made if it is not there: line integrals of a ball with noise, float32 .npy. The run is a process of its own,
whose address space `--limit` bounds; it is killed `--kills` times at random and resumed. Eight slabs drawn by `--seed`
are held against `sg.fdk` on grids of just those slices, to the last bit. `--beside 16GB` runs the same job again with
memory for all of it, and compares times and checksums. Prints one JSON object, and writes it with `-o`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import machine
import numpy as np
import yaml

import sinograd as sg
from sinograd.workflows.manifest import Manifest
from sinograd.workflows.memory_budget import memory_bytes
from sinograd.workflows.slab_job import checksum

RUN = """
import json, resource, sys, time
import sinograd as sg
start = time.perf_counter()
sg.reconstruct(sys.argv[1], sys.argv[2], memory=sys.argv[3], resume=sys.argv[4] == "True", dtype="float32")
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"seconds": time.perf_counter() - start, "peak_bytes": usage.ru_maxrss * 1024,
                  "processor_seconds": usage.ru_utime + usage.ru_stime}))
"""


def main() -> None:
    """One run with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--views", type=int, default=720)
    parser.add_argument("--memory", default="1.5GB")
    parser.add_argument("--limit", help="of the address space of the process")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=19)
    parser.add_argument("--slabs", type=int, default=8)
    parser.add_argument("--suffix", default=".h5")
    parser.add_argument("--beside", help="memory in which all of the job fits")
    parser.add_argument("--folder", type=Path, default=Path("large"))
    parser.add_argument("-o", "--output", type=Path, help="a JSON file")
    arguments = parser.parse_args()
    needed = 4 * arguments.size**2 * (arguments.size + 2 * arguments.views) + (1 << 30)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(arguments.folder).free
    if free < needed:
        raise SystemExit(f"{arguments.folder}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")
    scan = made_scan(arguments.folder / f"{arguments.size}-{arguments.views}.npy", arguments.size, arguments.views)
    output = arguments.folder / f"{scan.stem}{arguments.suffix}"
    facts = run(scan, output, arguments, arguments.memory, arguments.limit, arguments.kills)
    if arguments.beside is not None:
        other = output.with_name(f"beside-{output.name}")
        facts["beside"] = run(scan, other, arguments, arguments.beside, None, 0)
        facts["beside"]["same"] = same_values(output, other)
        facts["times_in_memory"] = facts["seconds"] / facts["beside"]["seconds"]
        other.unlink()
    facts["slabs_equal"] = compared(scan, output, arguments.slabs, arguments.seed)
    size = {"size": arguments.size, "views": arguments.views, "memory": arguments.memory, "limit": arguments.limit}
    machine.keep({**machine.describe(), **size, **facts}, arguments.output)
    if not all(facts["slabs_equal"].values()):
        raise SystemExit("slabs differ")


def made_scan(path: Path, size: int, views: int) -> Path:
    """Line integrals of a ball, with noise, view by view."""
    if path.with_suffix(".yaml").exists():
        return path
    geometry = sg.ConeBeam.circular(
        source_to_origin=400.0,
        source_to_detector=600.0,
        angles=sg.full_scan(views),
        detector=sg.FlatDetector((size, size), 150.0 / size),
    )
    image = sg.phantoms.ball(40.0, 0.02).project(geometry[:1])[0].numpy()
    scan = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(views, size, size))
    noise = np.random.default_rng(0)
    for view in scan:
        view[:] = image + noise.normal(0, 0.01, image.shape)
    scan.flush()
    path.with_suffix(".yaml").write_text(yaml.safe_dump({"geometry": geometry.to_dict(), "kind": "line integrals"}))
    return path


def run(
    scan: Path, output: Path, arguments: argparse.Namespace, memory: str, bound: str | None, wanted: int
) -> dict[str, Any]:
    """Peak and times of the last process, when the others were killed, and what all of them took together."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    limit = memory_bytes(bound, "limit")
    chance = random.Random(arguments.seed)
    at = sorted(chance.uniform(0, 0.95) for _ in range(wanted))
    manifest, killed = Manifest(output), list[int]()
    while True:
        command = [sys.executable, "-c", RUN, str(scan), str(output), memory, str(manifest.has_plan)]
        preexec = None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=preexec)
        if len(killed) < wanted and killed_at(process, manifest, at[len(killed)] * arguments.size, chance):
            killed.append(slices_done(manifest))
            print(f"killed after {killed[-1]} slices", file=sys.stderr, flush=True)
            continue
        text, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"the run ended with {process.returncode}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        together = {
            "seconds": time.perf_counter() - started,
            "processor_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        }
        return {**json.loads(text.splitlines()[-1]), "killed_after_slices": killed, "all_processes": together}


def killed_at(process: subprocess.Popen[str], manifest: Manifest, slices: float, chance: random.Random) -> bool:
    """Whether it was killed: when so many slices are written, and at a random moment of the part after that."""
    while process.poll() is None and (not manifest.has_plan or slices_done(manifest) < slices):
        time.sleep(0.05)
    parts = manifest.parts() if manifest.has_plan else []
    time.sleep(chance.uniform(0, parts[-1]["compute_seconds"] if parts else 2))
    if process.poll() is not None:
        return False
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return True


def slices_done(manifest: Manifest) -> int:
    """That are written."""
    return sum(part["end"] - part["first"] for part in manifest.parts())


def compared(scan: Path, output: Path, count: int, seed: int) -> dict[str, bool]:
    """Whether slabs of the volume, drawn at random, are `sg.fdk` on grids of just those slices."""
    import torch

    read, volume = sg.read(scan), sg.io.open_volume(output)
    assert isinstance(read.geometry, sg.ConeBeam)
    projections = torch.from_numpy(np.load(scan, mmap_mode="c"))
    unit = volume.provenance["unit_slices"]
    found = {}
    for number in random.Random(seed).sample(range(-(-volume.slices // unit)), min(count, -(-volume.slices // unit))):
        slices = (number * unit, min(volume.slices, (number + 1) * unit))
        expected = sg.fdk(projections, read.geometry, of_slices(volume.grid, *slices))
        stored = volume.read(*slices).numpy()
        same = np.array_equal(stored, expected.numpy())
        found[f"{slices[0]}-{slices[1]}"] = same and checksum(stored) == volume.provenance["checksums"][number]
    return found


def same_values(first: Path, second: Path) -> bool:
    """Whether two volumes are equal, read in blocks."""
    volumes = [sg.io.open_volume(path) for path in (first, second)]
    blocks = ((i, min(i + 32, volumes[0].slices)) for i in range(0, volumes[0].slices, 32))
    return all(np.array_equal(*(volume.read(*block).numpy() for volume in volumes)) for block in blocks)


def of_slices(grid: sg.Grid, first: int, end: int) -> sg.Grid:
    """The grid of slices [first, end)."""
    x, y, z = grid.center
    z += ((first + end - 1) / 2 - (grid.shape[0] - 1) / 2) * grid.spacing[0]
    return sg.Grid((end - first, *grid.shape[1:]), grid.spacing, (x, y, z))


if __name__ == "__main__":
    main()
