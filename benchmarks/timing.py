"""Ours and the peers in turn (A B A B ...), in one run, on the same arrays."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from accuracy import against_truth, difference
from cases import PARTIAL, PEERS, Case
from client import Library
from inputs import Inputs


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def pairwise_ratios(ours: Sequence[float], other: Sequence[float]) -> list[float]:
    """How many times as long the other took, run by run."""
    return [theirs / mine for mine, theirs in zip(ours, other, strict=True)]


def measure(case: Case, libraries: Sequence[Library], inputs: Inputs, repeat: int, threads: int) -> dict:
    """The entry of one case: the first library is ours; those that cannot do the case are left out."""
    able = [lib for lib in libraries if lib.name == "ours" or case.name in PEERS[lib.name]]
    for library in able:
        library.load(case, inputs.path(case))
    runs: dict[str, list[dict[str, float]]] = {library.name: [] for library in able}
    for _ in range(repeat):
        for library in able:
            runs[library.name].append(library.run())
        print(f"{case.name}: {_last(runs)}", file=sys.stderr, flush=True)
    results = {library.name: _result(library, inputs.folder) for library in able}
    seconds = {name: [run["seconds"] for run in done] for name, done in runs.items()}
    return {
        "case": case.name,
        "work": case.work,
        "updates": case.updates,
        "libraries": {name: _summary(case, name, seconds, runs[name], results, inputs, threads) for name in seconds},
    }


def _summary(
    case: Case,
    name: str,
    seconds: dict[str, list[float]],
    runs: list[dict[str, float]],
    results: dict[str, np.ndarray],
    inputs: Inputs,
    threads: int,
) -> dict:
    own = seconds[name]
    busy = sum(run["processor_seconds"] for run in runs) / sum(own) / threads
    entry: dict = {"seconds": own, **spread(own), "processor_share": busy}
    whole = (name, case.name) not in PARTIAL
    if whole:
        entry["rate_per_core"] = case.updates / entry["median"] / threads
        entry["accuracy"] = against_truth(case, results[name], inputs)
    if name == "ours" and case.window:
        slices = case.depth or 1
        entry["note"] = f"{1e3 * entry['median'] / slices:.3g} ms a slice"
    if name != "ours":
        ratios = pairwise_ratios(seconds["ours"], own)
        entry["ratio"] = {"each": ratios, **spread(ratios)}
        entry["note"] = PEERS[name][case.name]
        if whole:
            entry["difference"] = difference(case, results["ours"], results[name])
    return entry


def _result(library: Library, folder: Path) -> np.ndarray:
    path = folder / f"result-{library.name}.npy"
    library.save(path)
    return np.load(path)


def _last(runs: dict[str, list[dict[str, float]]]) -> str:
    return ", ".join(f"{name} {done[-1]['seconds']:.3g} s" for name, done in runs.items())
