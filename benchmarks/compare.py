"""Cone-beam toolkits side by side on one machine: `make compare`, or `python benchmarks/compare.py [TOOLKIT ...]`.

All do the same work on the same data: FDK, a projection and its transpose of case A (benchmarks/README.md) at sizes of
64, 128 and 256 voxels a side. Each runs in a process of its own, one after the other, and has three minutes for a size;
what did not finish is a row. A page and a JSON file are written. To add a toolkit, write `libraries/NAME.py` (see any
of them), name it in TOOLKITS and what to install in peers.txt.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import accuracy
import compare_page
import machine
import numpy as np
import typer
from cases import CASES, Case
from client import PEERS_PYTHON, Library
from inputs import Inputs

HERE = Path(__file__).resolve().parent
SIZES = (64, 128, 256)
SECONDS = 180.0
WORKS = ("fdk", "forward", "adjoint")
TOOLKITS = {
    "ours": "sinograd",
    "rtk": "itk-rtk",
    "mbirjax": "mbirjax",
    "mbirtorch": "mbirtorch",
    "torchtomo": "torchtomo (CC BY-NC 4.0)",
}


def main(
    toolkits: Annotated[list[str] | None, typer.Argument(help=f"{', '.join(TOOLKITS)}; all by default.")] = None,
    sizes: Annotated[str, typer.Option(help="Voxels a side, between commas.")] = ",".join(map(str, SIZES)),
    seconds: Annotated[float, typer.Option(help="For one toolkit at one size.")] = SECONDS,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each toolkit.")] = 2,
    page: Annotated[Path, typer.Option(help="Markdown.")] = HERE.parent / "docs" / "comparison.md",
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON.")] = HERE / "results" / "compare.json",
    peers_python: Annotated[Path, typer.Option(help="The peers' interpreter.")] = PEERS_PYTHON,
) -> None:
    """Compare toolkits."""
    unknown = [name for name in toolkits or () if name not in TOOLKITS]
    if unknown:
        raise typer.BadParameter(f"expected some of {', '.join(TOOLKITS)}, got {', '.join(unknown)}")
    run: dict[str, Any] = {**machine.describe(), "threads": threads, "seconds": seconds, "versions": {}, "rows": []}
    with tempfile.TemporaryDirectory() as folder:
        inputs = Inputs(Path(folder))
        for name in toolkits or TOOLKITS:
            before = 0.0
            for size in map(int, sizes.split(",")):
                row = {"toolkit": TOOLKITS[name], "size": size}
                if 16 * before > seconds:
                    row["error"] = f"not tried: about {16 * before:.0f} s, by the size before"
                else:
                    row |= _measure(name, size, inputs, Budget(seconds), threads, peers_python, run["versions"])
                before = max([row.get(f"{work}_seconds", 0.0) for work in WORKS] + [before * 16])
                run["rows"].append(row)
                print(json.dumps(row), flush=True)
                if "error" in row:
                    break
    output.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    page.write_text(compare_page.text(run), encoding="utf-8")


class Budget:
    """Seconds that are left."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """At least a little, so that what is asked next ends at once."""
        return max(0.1, self._end - time.monotonic())


def _measure(
    name: str, size: int, inputs: Inputs, budget: Budget, threads: int, peers_python: Path, versions: dict[str, Any]
) -> dict[str, Any]:
    """Seconds, memory and errors of each work that is offered, or why there are none."""
    row: dict[str, Any] = {}
    products: dict[str, Path] = {}
    for work in WORKS:
        case = CASES[work].at_size(size)
        path = inputs.path(case)
        try:
            with Library(name, threads, peers_python, lambda: budget.left) as library:
                versions[name] = library.versions()
                loaded = library.load(case, path)
                run = library.run()
                if run["seconds"] < budget.left:  # without what is compiled in the first call
                    run = library.run()
                result = inputs.folder / f"{name}-{work}.npy"
                library.save(result)
        except TimeoutError:
            return row | {"error": f"did not finish in time: {work}"}
        except (RuntimeError, OSError) as error:
            row[f"{work}_error"] = str(error)
            continue
        products[work] = result
        row[f"{work}_seconds"] = run["seconds"]
        row[f"{work}_megabytes"] = (run["peak"] - loaded["idle"]) / 1e6
        row |= accuracy.against_truth(case, np.load(result), inputs)
    if "forward" in products and "adjoint" in products:
        row["adjointness"] = _adjointness(CASES["forward"].at_size(size), products, inputs)
    return row


def _adjointness(case: Case, products: dict[str, Path], inputs: Inputs) -> float:
    """| <A x, y> - <x, A' y> | / <A x, y> of the phantom x and its exact projections y."""
    x, y = inputs.truth(case).astype(np.float64), inputs.exact(case).astype(np.float64)
    ours, theirs = (np.load(products[work]).astype(np.float64) for work in ("forward", "adjoint"))
    product = float((ours * y).sum())
    return abs(product - float((x * theirs).sum())) / product


if __name__ == "__main__":
    typer.run(main)
