"""Peak resident memory of FDK over the idle process, each in a process of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from cases import CASES, LARGE, Case
from client import Library


def measure(case: Case, name: str, threads: int, peers_python: Path) -> dict:
    """The entry of one case and library: bytes, and the peak over idle in units of input + output.

    Idle is the process with the library loaded and warmed up on a tiny case; the peak holds input and output too.
    """
    with Library(name, threads, peers_python) as library:
        loaded = library.load(case, None)
        run = library.run()
    output = 4 * math.prod(case.volume_shape)
    over_idle = int(run["peak"]) - loaded["idle"]
    return {
        "case": case.name,
        "library": name,
        "idle": loaded["idle"],
        "input": loaded["input"],
        "output": output,
        "peak": int(run["peak"]),
        "over_idle": over_idle,
        "ratio": over_idle / (loaded["input"] + output),
        "seconds": run["seconds"],
    }


def measure_all(names: Sequence[str], size: int | None, threads: int, peers_python: Path) -> list[dict]:
    """Case A for every library that does FDK, and 512^3 for ours."""
    able = [name for name in names if name in ("ours", "rtk")]
    jobs = [(CASES["fdk"], name) for name in able] + [(LARGE, "ours")]
    return [measure(_sized(case, size), name, threads, peers_python) for case, name in jobs]


def _sized(case: Case, size: int | None) -> Case:
    return case.at_size(size * case.voxels // 256) if size else case
