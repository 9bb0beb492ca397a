"""The kernels on a GPU beside its measured limits: `python benchmarks/gpu/measure.py --out FILE.json`.

Results are written as they come. Rates: voxels x views (Joseph: rays x planes; bilateral filter: voxels x neighbours) a
second. Agreement: the norm of the difference between the GPU's and the CPU's result for the phantom, over the CPU's.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from os import environ
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from cases import CASES, LARGE, SIGMA_RANGE, SIGMA_SPATIAL, Case
from ceilings import ceilings
from clock import Clock
from libraries.ours import geometry_of, grid_of

import sinograd as sg
from sinograd.ops import bilateral_filter
from sinograd.phantoms import Ellipsoids, shepp_logan_3d

FIRST_CALL = """
import sys, time
import torch
import sinograd as sg
detector = sg.FlatDetector((40, 40), 1.0)
geometry = sg.ConeBeam.circular(source_to_origin=60, source_to_detector=100, angles=[0.1], detector=detector)
operator = sg.Backprojection(geometry, sg.Grid((40, 40, 40)), "fdk")
projections = torch.rand(1, 40, 40, device=sys.argv[1])
start = time.perf_counter()
operator(projections).sum().item()
print(time.perf_counter() - start)
"""


def work_of(case: Case, device: torch.device) -> tuple[Callable[[torch.Tensor], object], tuple[int, ...]]:
    """The public call of a case, and the shape of what it takes."""
    if case.window:
        return _filter(case, device), case.volume_shape
    geometry, grid = geometry_of(case), grid_of(case)
    if case.work in ("fdk", "fbp"):
        reconstruct = getattr(sg, case.work)
        return lambda p: reconstruct(p, geometry, grid), case.projection_shape
    if case.work.startswith("backprojection"):
        operator = sg.Backprojection(geometry, grid, case.weighting)
        if case.work == "backprojection":
            return operator, case.projection_shape
        return operator.T, case.volume_shape
    transform = sg.XRayTransform(geometry, grid)
    return (transform, case.volume_shape) if case.work == "forward" else (transform.T, case.projection_shape)


def _filter(case: Case, device: torch.device) -> Callable[[torch.Tensor], object]:
    sigmas = (
        torch.full((len(case.volume_shape),), SIGMA_SPATIAL, device=device),
        torch.tensor(SIGMA_RANGE, device=device),
    )
    if case.work == "bilateral":
        return lambda x: bilateral_filter(x, *sigmas, window=case.window)

    def gradients(x: torch.Tensor) -> object:
        leaves = [t.detach().requires_grad_() for t in (x, *sigmas)]
        return torch.autograd.grad(bilateral_filter(*leaves, window=case.window).sum(), leaves)

    return gradients


def cases(size: int | None) -> Iterator[Case]:
    """The benchmarks' cases, the adjoint of backprojection, and the general kernels' adjoint."""
    for case in CASES.values():
        yield case
        if case.work == "backprojection":
            yield replace(case, name=f"{case.name}-adjoint", work="backprojection-adjoint")
        if case.name == "general-forward":
            yield replace(case, name="general-adjoint", work="adjoint")
    if size is None:
        yield LARGE
        yield replace(LARGE, name="fdk-1024", voxels=1024, spacing=0.25, columns=1024, rows=1024, pixel=0.4, views=800)


def told(measure: Callable[[], dict]) -> dict:
    """A measurement, or why there is none, so that one case that fails does not end the others."""
    try:
        return measure()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:500]}


def kernels(clock: Clock, size: int | None) -> Iterator[tuple[str, dict]]:
    """Every case's time and rate."""
    for case in cases(size):
        yield case.name, told(partial(_time, clock, case.at_size(size) if size else case))


def _time(clock: Clock, case: Case) -> dict:
    call, shape = work_of(case, clock.device)
    data = torch.rand(shape, generator=torch.Generator(clock.device).manual_seed(0), device=clock.device)
    start = time.perf_counter()
    call(data)
    clock.wait()
    first = time.perf_counter() - start
    seconds = clock.median(lambda: call(data), 10)
    return {"ms": 1e3 * seconds, "g_per_s": case.updates / seconds / 1e9, "first_call_s": first}


def agreement(clock: Clock, size: int) -> Iterator[tuple[str, dict]]:
    """How far the GPU's results are from the CPU's for the phantom, and from float64."""
    phantom = shepp_logan_3d(radius=115.0)
    for case in cases(size):
        if not case.window:
            yield f"agreement, {case.name}", told(partial(_difference, clock, case.at_size(size), phantom))


def _difference(clock: Clock, case: Case, phantom: Ellipsoids) -> dict:
    exact = phantom.project(geometry_of(case))
    call, shape = work_of(case, clock.device)
    reads_volume = tuple(shape) == case.volume_shape
    data = phantom.voxelize(grid_of(case)) if reads_volume else exact.reshape(shape)
    on_cpu, actual = (torch.as_tensor(call(x)).double().cpu() for x in (data, data.to(clock.device)))
    return {"relative_rms": ((actual - on_cpu).norm() / on_cpu.norm()).item()}


def starting(device: str) -> Iterator[tuple[str, dict]]:
    """The first call of a new process: kernels compiled, and kernels found on disk."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first call, nothing on disk", "first call, kernels on disk"):
            command = [sys.executable, "-c", FIRST_CALL, device]
            done = subprocess.run(
                command, env={**environ, "XDG_CACHE_HOME": folder}, capture_output=True, text=True, timeout=60
            )
            yield name, {"s": float(done.stdout)} if done.returncode == 0 else {"error": done.stderr[-500:]}


def memory(clock: Clock) -> Iterator[tuple[str, dict]]:
    """Peak memory of FDK, case A, over that of projections and volume."""
    case = CASES["fdk"]
    call, shape = work_of(case, clock.device)
    data = torch.rand(shape, device=clock.device)
    call(data)
    torch.cuda.reset_peak_memory_stats(clock.device)
    call(data)
    peak = torch.cuda.max_memory_allocated(clock.device)
    yield "memory, fdk", {"ratio": peak / 4 / (math.prod(case.volume_shape) + math.prod(shape))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures until time is up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=200.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, help="voxels a side of every case; for trying this out")
    given = parser.parse_args(arguments)
    end, clock, results = time.monotonic() + given.seconds, Clock(torch.device(given.device)), {}
    parts = [agreement(clock, given.size or 96), kernels(clock, given.size)]
    if clock.device.type == "cuda":
        parts = [ceilings(clock), starting(given.device), memory(clock), *parts]
    failed = False
    for part in parts:
        try:
            for name, entry in part:
                results[name] = entry
                failed = failed or "error" in entry
                given.out.write_text(json.dumps(results, indent=1) + "\n")
                if time.monotonic() > end:
                    print("time is up", file=sys.stderr)
                    return 1
        except Exception as error:
            failed = True
            results[f"failed: {part.__name__}"] = {"error": f"{type(error).__name__}: {error}"[:500]}
            given.out.write_text(json.dumps(results, indent=1) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
