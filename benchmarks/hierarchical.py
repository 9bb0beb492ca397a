"""Hierarchical filtered backprojection of a parallel beam beside `fbp` and `fourier_fbp`.

`python benchmarks/hierarchical.py [--size 512 --size 1024] [--levels 4] [-o FILE.json]`. One thread, processor time.

`hierarchy.py` says what it is. "whole" is a call with everything in it, "moving" what comes before the "last"
backprojection; "columns" 2: twice as fine ones, made by sincs. Errors as everywhere here (README.md); "difference" is
that from no levels with the same columns (of `fourier_fbp` from `fbp`).
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import accuracy
import machine
import torch
import typer
from cases import CASES, Case
from hierarchy import Hierarchy, finer
from inputs import Inputs
from libraries.ours import geometry_of, grid_of
from rich.console import Console
from rich.table import Table
from torch import Tensor

import sinograd as sg
from sinograd.recon.analytic.view_filter import ViewFilter


def main(
    size: Annotated[list[int], typer.Option(min=64, help="Pixels a side; half as many views more.")] = [512, 1024],  # noqa: B006
    levels: Annotated[int, typer.Option(min=0, help="The most.")] = 4,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each in turns; the median counts.")] = 3,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file.")] = None,
) -> None:
    """Measure times and errors."""
    torch.set_num_threads(1)
    record: dict[str, Any] = {**machine.describe(), "threads": 1, "repeat": repeat, "rows": []}
    for pixels in size:
        if pixels % (16 << levels):
            raise typer.BadParameter(f"size: expected a multiple of {16 << levels} for {levels} levels, got {pixels}")
        record["rows"] += measured(case_of(pixels), levels, repeat)
    Console(width=130).print(_table(record["rows"]))
    if output is not None:
        output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def case_of(pixels: int) -> Case:
    """`parallel-fbp` with an even number of pixels, and 1.5 views for each."""
    width = CASES["parallel-fbp"].spacing * 512 / pixels
    changes = {"voxels": pixels, "columns": pixels, "spacing": width, "pixel": width, "views": pixels * 3 // 2}
    return replace(CASES["parallel-fbp"], **changes)


def measured(case: Case, levels: int, repeat: int) -> list[dict[str, Any]]:
    """Rows of the table of one size."""
    with tempfile.TemporaryDirectory() as folder:
        inputs = Inputs(Path(folder))
        truth, lines = inputs.truth(case), torch.from_numpy(inputs.exact(case))
    works, times, zeros = _works(case, lines, levels), [], {}
    for turn in range(repeat + 1):
        for number, (row, work) in enumerate(works):
            start = time.process_time()
            image, parts = work()
            if turn:
                times.append((number, (time.process_time() - start, *parts)))
            else:
                result = image.numpy()
                zero = zeros.setdefault(row["columns"], result)
                row |= {
                    **accuracy.score(result, truth, case.spacing),
                    "difference": accuracy.difference(case, result, zero),
                }
    rows = []
    for number, (row, _) in enumerate(works):
        taken = zip(*(parts for which, parts in times if which == number), strict=True)
        seconds = dict(zip(("whole", "moving", "last"), map(statistics.median, taken), strict=True))
        rows.append({"size": case.voxels, "views": case.views, **row, "seconds": seconds})
    return rows


def _works(case: Case, lines: Tensor, levels: int) -> list[tuple[dict[str, Any], Callable[[], tuple[Tensor, Any]]]]:
    """What is measured: the row it begins, and a call that gives an image and the two times of a hierarchy."""
    geometry, grid = geometry_of(case), grid_of(case)

    def split(level: int, fine: int, whole: int) -> tuple[Tensor, Any]:
        job = sg.recon.FilteredBackprojection.of(geometry, grid)
        rows = ViewFilter.of(job.scan, job.taps, job.weights, lines)(lines, slice(0, case.views))
        hierarchy = Hierarchy(case.pixel / fine, level, whole)
        return hierarchy(finer(rows) if fine == 2 else rows, case.voxels, case.spacing), hierarchy.seconds

    def other(method: Any) -> tuple[Tensor, Any]:
        return method(lines, geometry, grid), (0.0, 0.0)

    works: list[Any] = [
        ({"method": method.__name__, "columns": 1, "levels": 0}, partial(other, method))
        for method in (sg.fbp, sg.recon.fourier_fbp)
    ]
    for fine, whole in ((1, 0), (2, 0), (2, 1)):
        for level in range(2 * whole, levels + 1):
            row = {"method": "hierarchical" + whole * ", first level whole", "columns": fine, "levels": level}
            works.append((row, partial(split, level, fine, whole)))
    return works


def _table(rows: list[dict[str, Any]]) -> Table:
    figures = ("size", "method", "columns", "levels", "whole, ms", "moving", "last", "RMSE", "flat", "difference")
    table = Table(*figures)
    for row in rows:
        times = (f"{1e3 * value:.0f}" for value in row["seconds"].values())
        errors = (f"{row[name]:.5f}" for name in ("rmse", "rmse_flat", "difference"))
        table.add_row(*(str(row[name]) for name in figures[:4]), *times, *errors)
    return table


if __name__ == "__main__":
    typer.run(main)
