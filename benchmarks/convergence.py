"""Residuals of SIRT and CGLS against iterations, ours and a peer's on the same data.

`python benchmarks/convergence.py [--peers-python PYTHON] [-o FILE.json]`. Each library starts from zero, without
bounds, with its defaults for the rest (RTK's SART relaxed by 1 instead of its 0.3, and with Joseph's backprojector).
The residual is |p - A x| / |p| with that library's own projector; the file also has the peer's images with our
projector. Nothing is timed, so that the machine may be busy.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import machine
import numpy as np
import typer
from cases import Case
from client import PEERS_PYTHON, Library
from inputs import Inputs
from rich.console import Console
from rich.table import Table

ITERATIONS = (*range(1, 13), 16, 20)
LEVELS = (0.3, 0.2, 0.1, 0.05, 0.02)
RESULTS = Path(__file__).resolve().parent / "results"
CASES = {
    "astra": (
        Case("parallel", "", "parallel", 127, 2.0, columns=127, rows=0, pixel=2.0, views=120, arc=math.pi),
        Case("fan", "", "fan", 256, 1.0, columns=256, rows=0, pixel=1.6, views=180),
    ),
    "rtk": (Case("cone", "", "cone", 96, 2.5, columns=96, rows=96, pixel=4.0, views=90),),
}


def main(
    threads: Annotated[int, typer.Option(min=1, help="Threads of each library.")] = 2,
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON file.")] = RESULTS / "convergence.json",
    peers_python: Annotated[Path, typer.Option(help="The peers' interpreter.")] = PEERS_PYTHON,
) -> None:
    """Compare residuals after the same number of iterations."""
    run = {**machine.describe(), "name": "convergence", "threads": threads, "entries": []}
    for peer, case in ((peer, case) for peer, cases in CASES.items() for case in cases):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            ours, theirs = (stack.enter_context(Library(name, threads, peers_python)) for name in ("ours", peer))
            run.setdefault("versions", {})[peer] = theirs.versions()
            inputs = Inputs(Path(folder))
            for work in ("sirt", "cgls"):
                for iterations in ITERATIONS:
                    job = replace(case, work=work, iterations=iterations)
                    mine, _ = residuals(ours, ours, job, inputs)
                    own, here = residuals(theirs, ours, job, inputs)
                    entry = {"data": case.name, "work": work, "iterations": iterations, "peer": peer}
                    run["entries"].append({**entry, "ours": mine, "theirs": own, "theirs by ours": here})
                    print(case.name, work, iterations, f"{mine:.5f} {peer} {own:.5f}", file=sys.stderr, flush=True)
    _print(run["entries"])
    output.write_text(json.dumps(run, indent=1) + "\n")


def _print(entries: list[dict]) -> None:
    """Iterations until the residual is below each level, ours / the peer's."""
    table = Table("data", "algorithm", "peer", *(f"residual {level:g}" for level in LEVELS))
    for peer, name, work in dict.fromkeys((e["peer"], e["data"], e["work"]) for e in entries):
        chosen = [e for e in entries if (e["data"], e["work"]) == (name, work)]
        counts = [[_reached(chosen, who, level) for who in ("ours", "theirs")] for level in LEVELS]
        table.add_row(name, work, peer, *(" / ".join(pair) for pair in counts))
    Console(width=120).print(table)


def _reached(entries: list[dict], who: str, level: float) -> str:
    done = [e["iterations"] for e in entries if e[who] <= level]
    return str(min(done)) if done else f"> {max(ITERATIONS)}"


def residuals(library: Library, ours: Library, case: Case, inputs: Inputs) -> tuple[float, float]:
    """Of the library's image: with its own projector and with ours."""
    image = inputs.folder / "image.npy"
    library.load(case, inputs.path(case))
    library.run()
    library.save(image)
    exact = inputs.exact(case).astype(np.float64)
    return tuple(_residual(one, case, image, exact) for one in (library, ours))  # type: ignore[return-value]


def _residual(library: Library, case: Case, image: Path, exact: np.ndarray) -> float:
    projected = image.with_name("projected.npy")
    library.load(replace(case, work="forward", iterations=0), image)
    library.run()
    library.save(projected)
    return float(np.linalg.norm(exact - np.load(projected)) / np.linalg.norm(exact))


if __name__ == "__main__":
    typer.run(main)
