"""What each method of stripe removal takes out, and what it costs: `python benchmarks/stripes.py [-o FILE.json]`.

The five kinds of stripes of N. T. Vo, R. C. Atwood and M. Drakopoulos (Optics Express 26(22), 28396, 2018), each in two
objects: an uneven one, and a round one about the axis. Decibels are those by which stripes fall in the sinogram,
20 log10(norm of the stripes / of what is left of them, the method's own errors included). The cost is measured without
stripes: how much of a thin wire's modulation transfer is left at 10 and 50 % of the radius, and by how much of its
step the edge of a centred cylinder moves.
"""

from __future__ import annotations

import functools
import json
import math
import time
from pathlib import Path
from typing import Annotated

import machine
import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

import sinograd as sg
from sinograd.choices import STRIPE_METHODS
from sinograd.preparation import remove_stripes

RESULTS = Path(__file__).resolve().parent / "results"
VIEWS, COLUMNS, STEP = 480, 512, 0.01
GEOMETRY = sg.ParallelBeam(sg.full_scan(VIEWS), sg.FlatDetector(COLUMNS, 1.0))
GRID = sg.Grid((COLUMNS, COLUMNS), 1.0)
RADIUS = 225.0
NOISE = 0.005
KINDS = ("full", "partial", "large", "unresponsive", "fluctuating")


def cylinder() -> sg.Ellipsoids:
    """About the axis."""
    return sg.Ellipsoids([STEP], [[RADIUS] * 3])


def uneven() -> sg.Ellipsoids:
    """An oval with forty ellipses in it."""
    generator = torch.Generator().manual_seed(1)
    center = (torch.rand(40, 3, generator=generator) * 2 - 1) * 130
    center[:, 2] = 0
    axes = torch.rand(40, 3, generator=generator) * 24 + 3
    value = (torch.rand(40, generator=generator) - 0.4) * STEP / 2
    return sg.Ellipsoids([STEP / 2], [[RADIUS, 0.85 * RADIUS, 90.0]], [[2.0, -4.0, 0.0]]) + sg.Ellipsoids(
        value, axes, center
    )


THINGS = {"uneven": uneven, "round": cylinder}


def stripes(kind: str, clean: Tensor) -> Tensor:
    """The sinogram [views, columns] with stripes of a kind."""
    generator = torch.Generator().manual_seed(3)
    result, size = clean.clone(), 0.05
    if kind == "full":  # a few per cent of a column's gain, one or two columns wide
        for column, sign in zip(
            (60, 121, 122, 186, 254, 340, 341, 424), (1, -1, -0.8, 0.7, 1.2, -1, 0.9, 0.6), strict=True
        ):
            result[:, column] += sign * size
    elif kind == "partial":  # in a part of the views only
        for column, first, end in ((80, 0, 200), (176, 80, 340), (280, 260, 480), (380, 130, 300)):
            result[first:end, column : column + 2] += 2 * size
    elif kind == "large":  # many columns, strong
        for column, width, sign in ((100, 9, 1.0), (210, 12, -1.0), (360, 8, 1.3)):
            result[:, column : column + width] += sign * 3 * size * torch.hann_window(width + 2)[1:-1]
    elif kind == "unresponsive":  # the same reading in all views
        for column in (90, 220, 370):
            result[:, column : column + 2] = float(clean[:, column].mean()) + 0.1
    elif kind == "fluctuating":
        for column in (104, 196, 320, 400):
            result[:, column : column + 2] += 0.3 * torch.randn(VIEWS, 2, generator=generator)
    return result


def image(sinogram: Tensor) -> Tensor:
    """The slice within the field of view."""
    x = torch.arange(COLUMNS) - (COLUMNS - 1) / 2
    return sg.fbp(sinogram.float(), GEOMETRY, GRID) * ((x[:, None] ** 2 + x**2) < (COLUMNS / 2 - 4) ** 2)


@functools.cache
def striped(kind: str, thing: str) -> tuple[Tensor, Tensor]:
    """A sinogram with stripes, and without."""
    noise = NOISE * torch.randn(VIEWS, COLUMNS, generator=torch.Generator().manual_seed(4))
    clean = THINGS[thing]().project(GEOMETRY) + noise
    return stripes(kind, clean), clean


def decibels(method: str, kind: str, thing: str) -> float:
    """By how much stripes fall."""
    sinogram, clean = striped(kind, thing)
    return 20 * math.log10(float((sinogram - clean).norm() / (remove_stripes(sinogram, method) - clean).norm()))


def edge_error(method: str) -> float:
    """The largest change of the radial profile near the edge of a centred cylinder, as a share of the step."""
    clean = cylinder().project(GEOMETRY)
    x = torch.arange(COLUMNS) - (COLUMNS - 1) / 2
    radius = (x[:, None] ** 2 + x**2).sqrt()
    ring = radius.round().long()
    changes = image(remove_stripes(clean, method)) - image(clean)
    sums, counts = torch.zeros(400), torch.zeros(400)
    sums.index_add_(0, ring.flatten(), changes.flatten()), counts.index_add_(0, ring.flatten(), torch.ones(COLUMNS**2))
    profile = sums / counts.clamp(min=1)
    near = slice(int(RADIUS) - 15, int(RADIUS) + 16)
    return float(profile[near].abs().max() / STEP)


def transfer(method: str, share: float) -> float:
    """The modulation transfer of a wire at this share of the radius, over that without the method: the least of it.

    At frequencies where the wire has at least a tenth of its largest amplitude, up to 0.35 of a cycle a pixel.
    """
    place = share * RADIUS
    wire = sg.Ellipsoids([STEP], [[1.5, 1.5, 50]], [[place, 3.0, 0.0]])
    body = sg.Ellipsoids([STEP / 2], [[RADIUS, 0.85 * RADIUS, 90.0]], [[2.0, -4.0, 0.0]])
    noise = NOISE * torch.randn(VIEWS, COLUMNS, generator=torch.Generator().manual_seed(5))
    clean = body.project(GEOMETRY) + noise
    both = clean + wire.project(GEOMETRY)
    column, row = round(place + (COLUMNS - 1) / 2), round(3.0 + (COLUMNS - 1) / 2)

    def spectrum(with_wire: Tensor, without: Tensor) -> Tensor:
        part = (image(with_wire) - image(without))[row - 16 : row + 16, column - 16 : column + 16]
        return torch.fft.rfft2(part).abs()

    before = spectrum(both, clean)
    after = spectrum(remove_stripes(both, method), remove_stripes(clean, method))
    k = torch.fft.fftfreq(32)[:, None] ** 2 + torch.fft.rfftfreq(32) ** 2
    used = (before > 0.1 * before.max()) & (k.sqrt() < 0.35)
    return float(after[used].sum() / before[used].sum())


def speed(method: str) -> float:
    """Megabytes of float32 a second."""
    projections = torch.rand(360, 32, 512)
    remove_stripes(projections[:, :2], method)
    start = time.perf_counter()
    remove_stripes(projections, method)
    return projections.nbytes / 1e6 / (time.perf_counter() - start)


def measure(method: str) -> dict:
    """One line of the table."""
    return {
        "uneven": {kind: decibels(method, kind, "uneven") for kind in KINDS},
        "round": {kind: decibels(method, kind, "round") for kind in KINDS},
        "transfer": {"10 %": transfer(method, 0.1), "50 %": transfer(method, 0.5)},
        "edge": edge_error(method),
        "MB/s": speed(method),
    }


def main(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file.")] = RESULTS / "stripes.json",
    methods: Annotated[str, typer.Option(help="Names between commas; all of them otherwise.")] = "",
) -> None:
    """Measure the methods."""
    torch.set_num_threads(2)
    table = Table("method", *(f"{kind}" for kind in KINDS), "MTF 10 %", "MTF 50 %", "edge", "MB/s")
    found = json.loads(output.read_text())["methods"] if output is not None and output.is_file() else {}
    for name in methods.split(",") if methods else STRIPE_METHODS.names():
        row = found[name] = measure(name)
        cells = [f"{row['uneven'][kind]:.1f} / {row['round'][kind]:.1f}" for kind in KINDS]
        table.add_row(
            name,
            *cells,
            f"{row['transfer']['10 %']:.3f}",
            f"{row['transfer']['50 %']:.3f}",
            f"{row['edge']:.2%}",
            f"{row['MB/s']:.0f}",
        )
        if output is not None:
            output.write_text(json.dumps({"machine": machine.describe(), "methods": found}, indent=1) + "\n")
    Console(width=140).print(table)


if __name__ == "__main__":
    typer.run(main)
