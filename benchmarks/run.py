"""Measures sinograd, and peers beside it: `python benchmarks/run.py NAME [--against rtk|astra|skimage|sitk]`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import lines
import machine
import memory
import report
import timing
import typer
from cases import CASES, PEERS, Case
from client import IN_THIS_INTERPRETER, PEERS_PYTHON, Library
from inputs import Inputs
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).resolve().parent / "results"
GROUPS = {
    **{name: (name,) for name in CASES},
    "general": ("general-backprojection", "general-forward"),
    "accuracy": ("fdk", "fan-fbp", "parallel-fbp", "forward", "general-forward"),
    "bilateral": ("bilateral-forward", "bilateral-backward", "bilateral-image"),
    "memory": (),
    "lines": (),
    "all": tuple(CASES),
}

Name = StrEnum("Name", list(GROUPS))
Peer = StrEnum("Peer", list(PEERS))


def main(
    name: Annotated[Name, typer.Argument(help="What to measure; benchmarks/README.md says what each is.")],
    against: Annotated[
        list[Peer] | None, typer.Option(help="A peer to run in turn with sinograd; can be given more than once.")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each library.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each library.")] = 2,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="JSON file; by default one in benchmarks/results.")
    ] = None,
    peers_python: Annotated[Path, typer.Option(help="The peers' interpreter.")] = PEERS_PYTHON,
    size: Annotated[int | None, typer.Option(hidden=True, help="Voxels a side, to try things out.")] = None,
) -> None:
    """Measure sinograd on this machine, alone or beside a peer, and print and keep the figures."""
    peers = [str(peer) for peer in against or ()]
    cases = [CASES[case].at_size(size) if size else CASES[case] for case in GROUPS[name]]
    _check_offered(name, cases, peers)
    if not peers_python.exists() and not set(peers) <= set(IN_THIS_INTERPRETER):
        raise typer.BadParameter(f"{peers_python} does not exist: run `make peers` first")
    if os.getloadavg()[0] > 0.5:
        print(f"The machine is busy (load average {os.getloadavg()[0]:.1f}): figures will be off.", file=sys.stderr)
    run = {**machine.describe(), "name": str(name), "threads": threads, "repeat": repeat, "size": size}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        libraries = [stack.enter_context(Library(lib, threads, peers_python)) for lib in ("ours", *peers)]
        run["versions"] = {library.name: library.versions() for library in libraries}
        inputs = Inputs(Path(folder))
        runs = 1 if name == "accuracy" else repeat
        entries = [timing.measure(case, libraries, inputs, runs, threads) for case in cases]
        run["accuracy" if name == "accuracy" else "timings"] = entries
        if name in ("lines", "all"):
            run["lines"] = [lines.measure(kernel, libraries[0], size, repeat, threads) for kernel in lines.KERNELS]
    if name in ("memory", "all"):
        run["memory"] = memory.measure_all(["ours", *peers], size, threads, peers_python)
    _print(run)
    path = output or (None if size else RESULTS / _file_name(name, peers))
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(run, indent=1) + "\n")
        print(f"written to {path}", file=sys.stderr)


def _check_offered(name: str, cases: Sequence[Case], peers: Iterable[str]) -> None:
    for peer in peers:
        offered = [case.name for case in cases if case.name in PEERS[peer]]
        if not offered and not (name == "memory" and peer == "rtk"):
            raise typer.BadParameter(f"{peer} does not do {name}: it does {', '.join(PEERS[peer])}")


def _file_name(name: str, peers: Sequence[str]) -> str:
    return "-".join([str(name), *peers, *filter(None, [os.environ.get("SINOGRAD_SIMD")])]) + ".json"


def _print(run: dict) -> None:
    versions = ", ".join(f"{key} {value}" for part in run["versions"].values() for key, value in part.items())
    clock = f" at {run['clock_ghz']} GHz" if run["clock_ghz"] else ""
    print(f"{run['processor']}, {run['cores']} cores{clock}, {run['threads']} threads; {versions}")
    timings = run.get("timings", run.get("accuracy", ()))
    _table(report.TIMING_HEADER, [row for entry in timings for row in report.timing_rows(entry)])
    _table(report.LINES_HEADER, [report.lines_row(entry) for entry in run.get("lines", ())])
    _table(report.MEMORY_HEADER, [report.memory_row(entry) for entry in run.get("memory", ())])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        return
    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    console = Console()
    (console if console.is_terminal else Console(width=180)).print(table)


if __name__ == "__main__":
    typer.run(main)
