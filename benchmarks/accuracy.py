"""How far results are from the truth and from each other."""

from __future__ import annotations

import numpy as np
from cases import Case
from inputs import Inputs

RADIUS = 75.0  # mm


def score(result: np.ndarray, truth: np.ndarray, spacing: float) -> dict[str, float]:
    """RMSE within 75 mm of the centre, RMSE there two voxels and more away from any edge, ratio of the means."""
    inside = _inside(truth.shape, spacing)
    flat = inside.copy()
    for axis in range(truth.ndim):
        for shift in (1, -1, 2, -2):
            flat &= np.abs(np.roll(truth, shift, axis) - truth) < 1e-6
    return {
        "rmse": _rms(result[inside] - truth[inside]),
        "rmse_flat": _rms(result[flat] - truth[flat]),
        "mean_ratio": float(result[inside].mean(dtype=np.float64) / truth[inside].mean(dtype=np.float64)),
    }


def against_truth(case: Case, result: np.ndarray, inputs: Inputs) -> dict[str, float]:
    """The score of a reconstruction, the relative errors of a forward projection, nothing for other work."""
    if case.work in ("fdk", "fbp"):
        return score(result, inputs.truth(case), case.spacing)
    if case.work == "forward":
        step, means = inputs.pixel_means(case)
        return {
            "error_of_lines": relative(result, inputs.exact(case)),
            "error_of_pixel_means": relative(result[::step], means),
        }
    return {}


def difference(case: Case, ours: np.ndarray, other: np.ndarray) -> float:
    """Relative RMS difference, leaving out where each library has a rule of its own.

    Reconstructions are compared where they are scored, as voxels that some views miss differ; other volumes without
    their two outermost layers, where RTK's Joseph ends its rays in another way (ours has zeros beyond the border).
    """
    if case.work in ("fdk", "fbp"):
        inside = _inside(ours.shape, case.spacing)
        return relative(ours[inside], other[inside])
    if case.reads_volume and not case.window:
        return relative(ours, other)
    core = (slice(2, -2),) * ours.ndim  # of filters: voxels whose window is whole
    return relative(ours[core], other[core])


def relative(result: np.ndarray, truth: np.ndarray) -> float:
    """|result - truth| / |truth|, 2-norms summed in float64."""
    return _rms(result - truth) / _rms(truth)


def _inside(shape: tuple[int, ...], spacing: float) -> np.ndarray:
    squares = [((np.arange(n) - (n - 1) / 2) * spacing) ** 2 for n in shape]
    return sum(np.meshgrid(*squares, indexing="ij", sparse=True)) < RADIUS**2


def _rms(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))
