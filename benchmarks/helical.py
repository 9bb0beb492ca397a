"""Weighted filtered backprojection of a long helix from a file: `python benchmarks/helical.py [-o FILE]`.

512 x 512 x 128 voxels from 12 turns of 1152 views of 64 x 736 pixels, memory-mapped. The object is a cylinder about the
axis, of which all views are equal, so that the file is quickly written and the result is known. Beside it, in the same
process, the axial backprojection alone of as many lines of the same length: what its kernel reaches here.
"""

from __future__ import annotations

import argparse
import math
import resource
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import torch
from torch import Tensor

import sinograd as sg
from sinograd.ops.cone_parallel import ConeParallelViews

ORBIT = dict(source_to_origin=595.0, source_to_detector=1085.6)
VALUE, RADIUS = 0.02, 150.0


def scan(turns: int, views: int) -> sg.ConeBeam:
    """A clinical helix of pitch 1, centred on z = 0."""
    detector = sg.CurvedDetector((64, 736), (1.0947, 1.2858), offset=(0.0, 0.32145))
    angles = torch.arange(turns * views, dtype=torch.float64) * (2 * math.pi / views)
    pitch = 64 * 1.0947 * ORBIT["source_to_origin"] / ORBIT["source_to_detector"]
    return sg.ConeBeam.helical(**ORBIT, angles=angles, detector=detector, pitch=pitch)


def write_projections(geometry: sg.ConeBeam, path: Path) -> Tensor:
    """Projections of the cylinder, mapped from a file."""
    view = sg.Ellipsoids(VALUE, (RADIUS, RADIUS, 1e5)).project(geometry[:1])[0].numpy()
    with path.open("wb") as file:
        for _ in range(geometry.views):
            file.write(view.tobytes())
    shape = geometry.projection_shape
    return torch.from_file(str(path), shared=False, size=math.prod(shape), dtype=torch.float32).view(shape)


def timed(job: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """What a job takes, on the clock and of the processor, and what it returns."""
    wall, processor = time.perf_counter(), time.process_time()
    result = job()
    return {"seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - processor}, result


class Backprojections:
    """Seconds of processor time and updates of the weighted backprojection while it is watched."""

    def __init__(self) -> None:
        self.seconds, self.updates = 0.0, 0.0
        self._add = ConeParallelViews.add

    def __enter__(self) -> Backprojections:
        def add(views: ConeParallelViews, volume: Tensor, projections: Tensor, grid: sg.Grid) -> None:
            start = time.process_time()
            self._add(views, volume, projections, grid)
            self.seconds += time.process_time() - start
            self.updates += _updates(views, grid)

        ConeParallelViews.add = add  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        ConeParallelViews.add = self._add  # type: ignore[method-assign]


class OwnMemory:
    """The most memory of the process's own, sampled ten times a second: pages of the mapped file are not its own."""

    def __init__(self) -> None:
        self.peak, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> OwnMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            status = Path("/proc/self/status").read_text(encoding="utf-8")
            line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
            self.peak = max(self.peak, int(line.split()[1]) * 1024)


def _updates(views: ConeParallelViews, grid: sg.Grid) -> float:
    """Voxels times views that see them, from one voxel column in 16 x 16 and one direction in 24."""
    z = torch.arange(grid.shape[0], dtype=torch.float64) - (grid.shape[0] - 1) / 2
    z = z * grid.spacing[0] + grid.center[2]
    y, x = (
        (torch.arange(8, grid.shape[axis], 16) - (grid.shape[axis] - 1) / 2) * grid.spacing[axis] for axis in (1, 2)
    )
    seen, directions = 0, range(0, views.shape[1], 24)
    for number in directions:
        for turn in range(views.shape[0]):
            theta = views.directions[turn, number]
            if bool(theta.isnan()):
                continue
            t = x * theta.cos() + y[:, None] * theta.sin()
            index = ((t - views.nearest) / views.spacing).round()
            inside = (index >= 0) & (index < views.shape[3])
            source, rows, height, row = views.rays[turn, number, index.clamp(0, views.shape[3] - 1).long()].unbind(-1)
            depth = source + y[:, None] * theta.cos() - x * theta.sin()
            at = row + (z[:, None, None] - height) * rows / depth
            seen += int(((at > -1) & (at < views.shape[2]) & inside).sum())
    share = len(directions) / views.shape[1]
    return seen * 256 / share


def axial_rate() -> float:
    """Updates a second of processor time of the axial backprojection: 64 rows, lines of about as many voxels."""
    detector = sg.CurvedDetector((64, 736), (1.0947, 1.2858))
    geometry = sg.ConeBeam.circular(**ORBIT, angles=sg.full_scan(48), detector=detector)
    grid = sg.Grid((40, 256, 256), (0.9, 1.4, 1.4))
    operator, projections = sg.Backprojection(geometry, grid, "fdk"), torch.rand(geometry.projection_shape)
    operator(projections)
    start = time.process_time()
    operator(projections)
    return math.prod(grid.shape) * geometry.views / (time.process_time() - start)


def measure(turns: int, views: int, voxels: tuple[int, int, int]) -> dict[str, Any]:
    """All figures of one reconstruction."""
    geometry = scan(turns, views)
    grid = sg.Grid(voxels, (128 / voxels[0], 360 / voxels[1], 360 / voxels[2]))
    with tempfile.TemporaryDirectory() as folder, Backprojections() as watched:
        projections = write_projections(geometry, Path(folder) / "projections.raw")
        with OwnMemory() as memory:
            taken, volume = timed(lambda: sg.helical_fbp(projections, geometry, grid))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    middle = volume[:, voxels[1] // 4 : -voxels[1] // 4, voxels[2] // 4 : -voxels[2] // 4]
    along_z = middle.mean((1, 2)) / VALUE
    axial = axial_rate()
    return {
        "turns": turns,
        "views": geometry.views,
        "voxels": voxels,
        "threads": torch.get_num_threads(),
        **taken,
        "backprojection_processor_seconds": watched.seconds,
        "updates": watched.updates,
        "updates_a_second": watched.updates / watched.seconds,
        "axial_updates_a_second": axial,
        "share_of_axial": watched.updates / watched.seconds / axial,
        "own_peak_bytes": memory.peak,
        "resident_peak_bytes": peak * 1024,
        "mean": float(along_z.mean()),
        "range_along_z": float(along_z.max() - along_z.min()),
    }


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--views", type=int, default=1152, help="a turn")
    parser.add_argument("--voxels", type=int, nargs=3, default=(128, 512, 512), metavar=("Z", "Y", "X"))
    options = parser.parse_args()
    figures = {**machine.describe(), **measure(options.turns, options.views, tuple(options.voxels))}
    machine.keep(figures, options.output)


if __name__ == "__main__":
    main()
