"""mbirjax and mbirtorch, whose models have the same names. Models are made before the clock starts.

Axes. The source of view angle a stands at (sin a, cos a) of their (x, y), columns of the detector run along
(cos a, -sin a): with y turned over this is sinograd's gantry angle. Their volume [row, column, slice] therefore becomes
[z, -y, x]. A projector is scaled to lengths in mm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from cases import Case


def prepare(model: Any, reconstruct: Callable[[Any], Any], case: Case, data: np.ndarray) -> Callable[[], tuple]:
    """FDK, projection or backprojection by a model; `reconstruct` is its FDK."""
    model.set_params(
        delta_det_row=case.pixel,
        delta_det_channel=case.pixel,
        delta_voxel=case.spacing,
        recon_shape=(case.voxels,) * 3,
        verbose=0,
    )
    if case.reads_volume:
        given = np.ascontiguousarray(data[:, ::-1].transpose(1, 2, 0))
        return lambda: (lambda: np.asarray(model.forward_project(given)), lambda result: result)
    work = reconstruct if case.work == "fdk" else model.back_project
    return lambda: (lambda: np.asarray(work(data)), lambda result: result.transpose(2, 0, 1)[:, ::-1])


def arguments(case: Case) -> tuple[tuple[int, ...], np.ndarray, float, float]:
    """Of a cone-beam model."""
    if case.beam != "cone" or case.tilt:
        raise ValueError(f"{case.name} is not offered: expected an upright cone beam")
    angles = np.asarray(case.angles, dtype=np.float32)
    return case.projection_shape, angles, case.source_to_detector, case.source_to_origin
