"""Time against size, beside peers: `python benchmarks/growth.py [-o FILE.json]`.

FDK of case A from 64 to 256 voxels a side (512 with --large) and FBP of a parallel beam from 255 to 1023 (2047), views
and columns growing with them. A reconstruction takes N^(d + 1) updates; the exponent of time between neighbouring sizes
says how near a library is to that, and where overheads end. Sizes that would take a peer longer than --seconds are left
out, by the size before.
"""

from __future__ import annotations

import json
import math
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import machine
import timing
import typer
from cases import CASES, PEERS
from client import PEERS_PYTHON, Library
from inputs import Inputs
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).resolve().parent / "results"
SIZES = {"fdk": (64, 128, 256), "parallel-fbp": (255, 511, 1023)}
LARGE = {"fdk": 512, "parallel-fbp": 2047}


def main(
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON file.")] = RESULTS / "growth.json",
    large: Annotated[bool, typer.Option("--large", help="One more size: gigabytes, and minutes.")] = False,
    seconds: Annotated[float, typer.Option(help="For one run of a library at one size.")] = 180.0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each library.")] = 2,
    peers_python: Annotated[Path, typer.Option(help="The peers' interpreter.")] = PEERS_PYTHON,
) -> None:
    """Measure how time grows with size."""
    run: dict[str, Any] = {**machine.describe(), "threads": threads, "rows": []}
    for name, sizes in SIZES.items():
        for library in ("ours", *(peer for peer, offered in PEERS.items() if name in offered)):
            for size in (*sizes, *([LARGE[name]] if large else [])):
                before = [row for row in run["rows"] if (row["case"], row["library"]) == (name, library)]
                if before and _expected(before[-1], size, name) > seconds:
                    break
                run["rows"].append(_measure(name, library, size, threads, peers_python) | {"before": len(before)})
    output.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    Console(width=110).print(_table(run["rows"]))


def _expected(row: dict[str, Any], size: int, name: str) -> float:
    return row["seconds"] * (size / row["size"]) ** (4 if name == "fdk" else 3)


def _measure(name: str, library: str, size: int, threads: int, peers_python: Path) -> dict[str, Any]:
    """The median of three runs of one library."""
    case = CASES[name].at_size(size)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        started = stack.enter_context(Library(library, threads, peers_python))
        started.load(case, Inputs(Path(folder)).path(case))
        runs = [started.run() for _ in range(3)]
    taken = timing.spread([run["seconds"] for run in runs])
    return {
        "case": name,
        "library": library,
        "size": size,
        "seconds": taken["median"],
        "processor_seconds": timing.spread([run["processor_seconds"] for run in runs])["median"],
        "updates": case.updates,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("work", "library", "size", "seconds", "processor seconds", "G updates a second", "exponent")
    for before, row in zip([None, *rows], rows, strict=False):
        exponent = ""
        if before is not None and row["before"]:
            ratio = row["processor_seconds"] / before["processor_seconds"]
            exponent = f"{math.log(ratio) / math.log(row['size'] / before['size']):.2f}"
        table.add_row(
            row["case"],
            row["library"],
            str(row["size"]),
            f"{row['seconds']:.3g}",
            f"{row['processor_seconds']:.3g}",
            f"{row['updates'] / row['seconds'] / 1e9:.3g}",
            exponent,
        )
    return table


if __name__ == "__main__":
    typer.run(main)
