"""How near projectors come to what a detector measures: Joseph's method, footprints, and the floor of box voxels.

`python benchmarks/footprint.py [-o FILE.json]`. The object of case A on its 256^3 voxels, seen by its detector, by one
twice as fine and by one twice as coarse. Errors are |Ax - p| / |p| over random pixels of some views; p are exact line
integrals averaged over points of each pixel. The floor is what no projector of box voxels can be below: exact integrals
of the same boxes along the same lines, averaged in the same way. Nothing is timed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import machine
import torch
import typer
from box_integrals import box_integrals
from cases import CASES, Case
from inputs import PHANTOM
from libraries.ours import geometry_of, grid_of
from torch import Tensor

import sinograd as sg

RESULTS = Path(__file__).resolve().parent / "results"
DETECTORS = {"case A": (1.0, 4), "pixels half as wide": (0.5, 4), "pixels twice as wide": (2.0, 8)}


def main(
    views: Annotated[int, typer.Option(min=1, help="Random views.")] = 8,
    pixels: Annotated[int, typer.Option(min=1, help="Random pixels of each.")] = 400,
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON file.")] = RESULTS / "footprint.json",
) -> None:
    """Print and keep the errors."""
    run = {**machine.describe(), "name": "footprint", "views": views, "pixels": pixels, "entries": []}
    case = CASES["forward"]
    volume = PHANTOM.voxelize(grid_of(case), supersampling=2)
    print(f"{'detector':24}{'floor':>10}{'footprint':>11}{'Joseph':>10}{'to floor':>10}{'to Joseph':>11}")
    for name, (width, fine) in DETECTORS.items():
        count = round(case.columns / width)
        job = replace(case, columns=count, rows=count, pixel=case.pixel * width)
        floor, *errors = errors_of(job, volume, views, pixels, fine)
        run["entries"].append({"detector": name, "floor": floor, "footprint": errors[0], "joseph": errors[1]})
        ratios = f"{errors[0] / floor - 1:>+10.1%}{errors[0] / errors[1] - 1:>+11.1%}"
        print(f"{name:24}{floor:>10.5f}{errors[0]:>11.5f}{errors[1]:>10.5f}{ratios}", flush=True)
    output.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {output}", file=sys.stderr)


def errors_of(case: Case, volume: Tensor, views: int, pixels: int, fine: int) -> list[float]:
    """Relative errors of the floor, of footprints and of Joseph's method."""
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(case.views, generator=generator)[:views].sort().values.tolist()
    geometry, grid = geometry_of(case)[chosen], grid_of(case)
    shape = geometry.detector.shape
    places = torch.stack([torch.randint(n, (views, pixels), generator=generator) for n in shape])
    exact = _at(_pixel_means(geometry, fine), places)
    results = [_floor(volume, grid, geometry, places, fine)]
    results += [_at(sg.XRayTransform(geometry, grid, model=model)(volume), places) for model in ("footprint", "joseph")]
    return [float((result - exact).norm() / exact.norm()) for result in results]


def _pixel_means(geometry: sg.Geometry, fine: int) -> Tensor:
    rows, columns = geometry.detector.shape
    lines = (_finer(geometry[[view]], (rows * fine, columns * fine), fine) for view in range(geometry.views))
    means = (PHANTOM.project(part).reshape(rows, fine, columns, fine).double().mean((1, 3)) for part in lines)
    return torch.stack([*means])


def _finer(geometry: sg.Geometry, shape: tuple[int, int], fine: int) -> sg.Geometry:
    source, centre, u, v = geometry.vectors.unbind(1)
    rows, columns = geometry.detector.spacing
    detector = sg.FlatDetector(shape, (rows / fine, columns / fine))
    return sg.ConeBeam.from_vectors(sources=source, centers=centre, u=u / fine, v=v / fine, detector=detector)


def _floor(volume: Tensor, grid: sg.Grid, geometry: sg.Geometry, places: Tensor, fine: int) -> Tensor:
    rows, columns = geometry.detector.shape
    within = (torch.arange(fine, dtype=torch.float64) + 0.5) / fine - 0.5
    results = []
    for view, row, column in zip(geometry.vectors, *places, strict=True):
        source, centre, u, v = view
        at = [c[:, None, None] - (n - 1) / 2 + part for c, n, part in
              ((row, rows, within[:, None]), (column, columns, within[None, :]))]  # fmt: skip
        pixel = centre + at[1].expand(-1, fine, fine)[..., None] * u + at[0].expand(-1, fine, fine)[..., None] * v
        direction = (pixel - source).reshape(-1, 3)
        lines = box_integrals(volume, grid, source.expand_as(direction), direction)
        results.append(lines.reshape(len(row), -1).mean(1))
    return torch.stack(results)


def _at(projections: Tensor, places: Tensor) -> Tensor:
    view = torch.arange(len(projections))[:, None].expand(places.shape[1:])
    return projections[view, places[0], places[1]].double()


if __name__ == "__main__":
    typer.run(main)
