"""What FDK would lose if filtered views were stored in 16 bits: `python benchmarks/half_precision.py [-o FILE.json]`.

Case A with other numbers of views. Filtered views are rounded to float16 (multiplied before by a power of two that
brings the largest number of a block of views near the end of the range) or bfloat16, and backprojected in float32.
Differences are from views that are not rounded: of the norms, relative, and the largest, as a share of the volume's
largest value. RMSE is that to the object within 75 mm. Nothing is timed.
"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import accuracy
import machine
import torch
import typer
from cases import CASES, Case
from inputs import Inputs
from libraries.ours import geometry_of, grid_of
from rich.console import Console
from rich.table import Table
from torch import Tensor

import sinograd as sg
from sinograd.recon.analytic.view_blocks import block_views, view_blocks
from sinograd.recon.analytic.view_filter import ViewFilter

STORED = (torch.float32, torch.float16, torch.bfloat16)


def main(
    views: Annotated[list[int], typer.Option(min=2, help="Over the full circle.")] = [90, 360, 720],  # noqa: B006
    size: Annotated[int, typer.Option(min=16, help="Voxels a side, and columns and rows.")] = 256,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file.")] = None,
) -> None:
    """Print the errors."""
    run: dict[str, Any] = {**machine.describe(), "size": size, "rows": []}
    for count in views:
        run["rows"] += errors(replace(CASES["fdk"].at_size(size), views=count))
    Console(width=110).print(_table(run["rows"]))
    if output is not None:
        output.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def errors(case: Case) -> list[dict[str, Any]]:
    """Rows of the table for one number of views; the first is that of float32 beside `fdk`."""
    with tempfile.TemporaryDirectory() as folder:
        inputs = Inputs(Path(folder))
        truth, lines = inputs.truth(case), torch.from_numpy(inputs.exact(case))
    whole = sg.fdk(lines, geometry_of(case), grid_of(case))
    rows = []
    for dtype in STORED:
        volume = reconstructed(case, lines, dtype)
        distance = (volume - whole).double()
        rows.append(
            {
                "views": case.views,
                "stored": str(dtype).removeprefix("torch."),
                "norm": float(distance.norm() / whole.double().norm()),
                "maximum": float(distance.abs().max() / whole.abs().max()),
                "rmse": accuracy.score(volume.numpy(), truth, case.spacing)["rmse"],
            }
        )
        if dtype == torch.float32:
            whole = volume
    return rows


def reconstructed(case: Case, lines: Tensor, dtype: torch.dtype) -> Tensor:
    """The volume from views that were stored in a dtype after the filter, in blocks as `fdk` holds them."""
    geometry, grid = geometry_of(case), grid_of(case)
    job = sg.recon.FilteredBackprojection.of(geometry, grid)
    filtered = ViewFilter.of(job.scan, job.taps, job.weights, lines)
    size = block_views(4 * math.prod(grid.shape), lines[0].nbytes, False)
    parts = view_blocks(0, case.views, size)
    blocks = [stored(filtered(lines[part], part), dtype) for part in parts]
    return sg.Backprojection(geometry, grid, weighting="fdk")(torch.cat(blocks))


def stored(block: Tensor, dtype: torch.dtype) -> Tensor:
    """A block of filtered views rounded to a dtype, as float32 again."""
    scale = 1.0
    if dtype == torch.float16:
        scale = 2.0 ** float(torch.log2(torch.finfo(dtype).max / block.abs().max()).floor())
    return (block * scale).to(dtype).float() / scale


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("views", "stored as", "difference of norms", "largest difference", "RMSE")
    for row in rows:
        table.add_row(
            str(row["views"]), row["stored"], f"{row['norm']:.2e}", f"{row['maximum']:.2e}", f"{row['rmse']:.5f}"
        )
    return table


if __name__ == "__main__":
    typer.run(main)
