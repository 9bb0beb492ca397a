"""A parallel beam with every length changed by one factor, as when the size of a pixel becomes known."""

from __future__ import annotations

import torch

from sinograd.errors import InputError
from sinograd.geometry import checks
from sinograd.geometry.base import Geometry
from sinograd.geometry.detectors import FlatDetector
from sinograd.geometry.parallel import ParallelBeam

_LENGTHS = ("axis_offset", "shifts", "centers", "u", "v")


def scaled_beam(geometry: Geometry, factor: float) -> ParallelBeam:
    """The same rays with all lengths times `factor`; InputError for a fan or cone beam, whose distances are separate.

    Args:
        geometry: a `ParallelBeam`.
        factor: positive.
    """
    factor = checks.positive(factor, "factor")
    if not isinstance(geometry, ParallelBeam):
        raise InputError(f"geometry: a pixel size alone scales parallel beams, got a {type(geometry).__name__}")
    old, arguments = geometry.detector, dict(geometry._arguments)
    offset = (factor * old.row_offset, factor * old.column_offset)
    spacing = tuple(factor * step for step in old.spacing)
    arguments["detector"] = FlatDetector(old.shape, spacing, offset if old.ndim == 2 else offset[1])
    for name in _LENGTHS:
        if arguments.get(name) is not None:
            arguments[name] = factor * arguments[name]
    motion = arguments.get("motion")
    if motion is not None:
        lengths = 3 if geometry.ndim == 3 else 2
        arguments["motion"] = torch.cat([factor * motion[:, :lengths], motion[:, lengths:]], 1)
    return ParallelBeam._constructor(geometry.scan)(**arguments)
