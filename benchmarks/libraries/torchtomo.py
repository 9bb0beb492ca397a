"""torchtomo's projector of cone beams and its transpose, in plain torch; it has no FDK.

Its licence, CC BY-NC 4.0, lets anyone run it and says nothing of measurements: nothing of it is copied or shipped here.
Axes are sinograd's.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch
import torchtomo
from cases import Case


def versions() -> dict[str, str]:
    """Versions."""
    return {"torchtomo": version("torchtomo"), "torch": torch.__version__}


def start(threads: int) -> None:
    """Sets the number of threads."""
    torch.set_num_threads(threads)


def prepare(case: Case, data: np.ndarray) -> Callable[[], tuple]:
    """The projector or its transpose."""
    if case.work not in ("forward", "adjoint"):
        raise ValueError(f"{case.work} is not offered")
    projector = torchtomo.ConeBeam(case.volume_shape, *_positions(case), voxel_spacing=case.spacing)
    given = torch.from_numpy(data)[None, None]
    work = projector if case.work == "forward" else projector.adjoint

    def call() -> torch.Tensor:
        with torch.no_grad():
            return work(given)

    return lambda: (call, lambda result: result[0, 0].numpy())


def _positions(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the source [views, 3] and of the pixels [views, rows, columns, 3], mm."""
    angle = torch.tensor(case.angles)
    zero = torch.zeros_like(angle)
    outward = torch.stack([angle.sin(), -angle.cos(), zero], 1)  # from the axis to the source
    along = torch.stack([angle.cos(), angle.sin(), zero], 1)
    u = (torch.arange(case.columns) - (case.columns - 1) / 2) * case.pixel
    v = (torch.arange(case.rows) - (case.rows - 1) / 2) * case.pixel
    centre = (case.source_to_origin - case.source_to_detector) * outward
    pixels = (centre[:, None] + u[:, None] * along[:, None])[:, None] + torch.zeros(1, case.rows, 1, 3)
    pixels[..., 2] += v[:, None]
    return case.source_to_origin * outward, pixels
