"""What an iteration costs, and what few views give: `python benchmarks/iterative.py [--threads 2] [-o FILE.json]`.

Cost: an iteration of SIRT on case A beside a projection and an adjoint of the same, in turn. Few views: every sixth
view of case A (60), with and without photon noise, by FDK (Ram-Lak and Hann) and by FISTA-TV with its defaults; scored
as `run.py` scores case A.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import accuracy
import machine
import torch
import typer
from cases import CASES
from inputs import PHANTOM
from libraries.ours import geometry_of, grid_of
from rich.console import Console
from rich.table import Table

import sinograd as sg
from sinograd.recon import fista_tv, sirt

RESULTS = Path(__file__).resolve().parent / "results"
FEW, ATTENUATION, PHOTONS = 60, 0.02, 1e5  # attenuation of the phantom's 1, which photon noise needs


def main(
    threads: Annotated[int, typer.Option(min=1, help="Threads.")] = 2,
    repeat: Annotated[int, typer.Option(min=2, help="Iterations timed.")] = 5,
    iterations: Annotated[int, typer.Option(min=1, help="Iterations of FISTA-TV.")] = 100,
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON file.")] = RESULTS / "iterative.json",
) -> None:
    """Measure iterative reconstruction."""
    torch.set_num_threads(threads)
    if os.getloadavg()[0] > 0.5:
        print(f"The machine is busy (load average {os.getloadavg()[0]:.1f}): figures will be off.", file=sys.stderr)
    run = {**machine.describe(), "name": "iterative", "threads": threads, "size": None, "versions": {}}
    run["versions"]["sinograd"], run["versions"]["torch"] = sg.__version__, torch.__version__
    run["cost"], run["few views"] = cost(repeat), few_views(iterations)
    _print(run)
    output.write_text(json.dumps(run, indent=1) + "\n")


def cost(repeat: int) -> dict[str, list[float]]:
    """Seconds of projections, adjoints and iterations."""
    case = CASES["forward"]
    geometry, grid = geometry_of(case), grid_of(case)
    operator = sg.XRayTransform(geometry, grid)
    exact = PHANTOM.project(geometry)
    image = sirt(operator, exact, iterations=1, lower=0.0).image
    seconds: dict[str, list[float]] = {"projection": [], "adjoint": [], "SIRT iteration": []}
    for _ in range(repeat):
        start = time.perf_counter()
        projected = operator(image)
        middle = time.perf_counter()
        operator.T(projected)
        seconds["projection"].append(middle - start)
        seconds["adjoint"].append(time.perf_counter() - middle)
        marks: list[float] = []
        sirt(
            operator, exact, iterations=3, lower=0.0, callback=lambda _, marks=marks: marks.append(time.perf_counter())
        )
        seconds["SIRT iteration"] += [marks[1] - marks[0], marks[2] - marks[1]]
    return seconds


def few_views(iterations: int) -> list[dict]:
    """Errors of FDK and FISTA-TV at 60 views."""
    case = replace(CASES["fdk"], views=FEW)
    geometry, grid = geometry_of(case), grid_of(case)
    exact, truth = PHANTOM.project(geometry), PHANTOM.voxelize(grid, supersampling=2)
    noisy = sg.add_photon_noise(ATTENUATION * exact, photons=PHOTONS, generator=torch.Generator().manual_seed(0))
    operator = sg.XRayTransform(geometry, grid)
    entries = []
    for name, projections in (("exact", exact), (f"{PHOTONS:g} photons", noisy / ATTENUATION)):
        volumes = {
            f"FDK, {window}": sg.fdk(projections, geometry, grid, window=window) for window in ("ram-lak", "hann")
        }
        start = time.perf_counter()
        volumes["FISTA-TV"] = fista_tv(operator, projections, iterations=iterations, lower=0.0).image
        seconds = time.perf_counter() - start
        for method, volume in volumes.items():
            score = accuracy.score(volume.numpy(), truth.numpy(), case.spacing)
            entries.append({"data": name, "method": method, **score})
        entries[-1].update(iterations=iterations, seconds=seconds)
        print(name, entries[-3:], file=sys.stderr, flush=True)
    return entries


def _print(run: dict) -> None:
    table = Table("work, case A", "seconds: median (min to max)")
    for name, values in run["cost"].items():
        table.add_row(name, f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})")
    Console(width=120).print(table)
    middle = {name: statistics.median(values) for name, values in run["cost"].items()}
    ratio = middle["SIRT iteration"] / (middle["projection"] + middle["adjoint"])
    print(f"SIRT iteration / (projection + adjoint) = {ratio:.3f}")
    table = Table("60 views of case A", "method", "RMSE", "RMSE, flat", "FDK's RMSE / this")
    for entry in run["few views"]:
        first = next(e for e in run["few views"] if e["data"] == entry["data"])
        figures = (f"{entry['rmse']:.5f}", f"{entry['rmse_flat']:.5f}", f"{first['rmse'] / entry['rmse']:.2f}")
        table.add_row(entry["data"], entry["method"], *figures)
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
