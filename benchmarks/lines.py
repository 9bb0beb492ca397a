"""Where an axial kernel's time goes: seconds a job against the length of its line.

A job of the line primitive is one (voxel column, view) of a backprojection, or one (detector column, plane) of
Joseph's operators. Its time is a cost of setting it up plus a cost for each sample along z: a straight line is fitted
to the fastest runs with volumes and detectors of different heights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from cases import CASES, Case
from client import Library

KERNELS = ("backprojection", "forward", "adjoint")
DEPTHS = (64, 256, 512)
VIEWS = 96


def fit(depths: Sequence[int], per_job: Sequence[float]) -> tuple[float, float]:
    """Seconds a job and seconds a sample: the line that fits best with errors relative to the values."""
    values = np.asarray(per_job, dtype=float)
    columns = np.stack([np.ones(len(depths)), np.asarray(depths, dtype=float)], axis=1)
    (setup, sample), *_ = np.linalg.lstsq(columns / values[:, None], np.ones(len(values)), rcond=None)
    return float(setup), float(sample)


def measure(name: str, library: Library, size: int | None, repeat: int, threads: int) -> dict:
    """The entry of one kernel: thread-seconds a job and a sample, and the share of setting up at a height of 256."""
    case = CASES[name].at_size(size) if size else CASES[name]
    depths = [depth * case.voxels // 256 for depth in DEPTHS]
    per_job = []
    for depth in depths:
        deep = case.deep(depth, max(8, VIEWS * case.voxels // 256))
        library.load(deep, None)
        seconds = min(library.run()["seconds"] for _ in range(repeat))
        per_job.append(seconds * threads / _jobs(deep))
    setup, sample = fit(depths, per_job)
    height = CASES[name].voxels
    return {
        "case": name,
        "depths": depths,
        "seconds_per_job": per_job,
        "setup": setup,
        "sample": sample,
        "setup_share": setup / (setup + height * sample),
    }


def _jobs(case: Case) -> int:
    across = case.columns if case.work in ("forward", "adjoint") else case.voxels
    return across * case.voxels * case.views
