"""Views that all look in one direction hold no volume, in however many scans they come."""

from __future__ import annotations

import math

import pytest
import torch

import sinograd as sg
from sinograd.errors import InputError

GRID = sg.Grid((4, 6, 6), 1.0)
ALGORITHMS = ("sirt", "cgls", "lsqr", "gradient_descent", "chambolle_pock")


def projector(angle: float, rows: int = 4, beam: str = "parallel") -> sg.XRayTransform:
    angles, detector = torch.full((3,), angle, dtype=torch.float64), sg.FlatDetector((rows, 8), 1.0)
    if beam == "parallel":
        return sg.XRayTransform(sg.ParallelBeam(angles, detector), GRID)
    cone = sg.ConeBeam.circular(source_to_origin=60, source_to_detector=90, angles=angles, detector=detector)
    return sg.XRayTransform(cone, GRID)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_scans_of_one_direction(algorithm: str) -> None:
    run = getattr(sg.recon, algorithm)
    first, opposite, other = (projector(angle) for angle in (0.0, math.pi, 1.0))
    for operator in (
        sg.stack([first, opposite]),
        sg.stack([first, projector(0.0, rows=6), projector(math.pi, beam="cone")]),
        2 * sg.stack([first, opposite]),
        first + opposite,
    ):
        with pytest.raises(InputError, match=r"operator: expected views from 2 distinct directions"):
            run(operator, torch.rand(operator.range_shape), iterations=1)
    fine = sg.stack([first, other])
    assert run(fine, fine(torch.rand(GRID.shape)), iterations=1).image.isfinite().all()


def test_scans_that_do_not_tell() -> None:
    unknown = sg.ops.FunctionOperator(lambda x: x, lambda y: y, GRID.shape, GRID.shape)
    several = sg.stack([projector(0.0), unknown])
    assert sg.recon.cgls(several, several(torch.rand(GRID.shape)), iterations=1).image.isfinite().all()
