"""Iterative algorithms on helical operators of raw clinical scans, with ordered subsets. Truth: the phantom."""

from __future__ import annotations

import math

import pytest
import torch

import sinograd as sg
from sinograd.phantoms.balls import balls
from sinograd.recon import check
from sinograd.recon.iterative.cgls import cgls
from sinograd.recon.iterative.os_sart import os_sart

VIEWS, GRID = 96, sg.Grid((8, 24, 24), 6.0)


def helix(*, pitch: float = 24.0, turn: float = 1.0) -> sg.ConeBeam:
    """Three turns; the focal spot flies in columns, in z and outward."""
    spot = torch.tensor([[-0.6, 0.7, 5.45], [0.0, 0.7, 0.0], [-0.6, -0.7, 5.45], [0.0, -0.7, 0.0]], dtype=torch.float64)
    return sg.ConeBeam.helical(
        source_to_origin=595.0,
        source_to_detector=1085.6,
        angles=turn * torch.arange(VIEWS, dtype=torch.float64) * 2 * math.pi / 32,
        detector=sg.CurvedDetector((12, 40), (6.0, 8.0), offset=(0.5, 2.0)),
        pitch=pitch,
        source_offset=spot.repeat(VIEWS // 4, 1),
    )


@pytest.mark.parametrize(("pitch", "turn"), [(24.0, 1.0), (-24.0, 1.0), (24.0, -1.0)])
def test_the_operator_is_what_its_geometry_says(pitch: float, turn: float) -> None:
    """Exact adjoint, scale and place, by `sg.recon.check`; of every subset, too."""
    operator = sg.XRayTransform(helix(pitch=pitch, turn=turn), GRID)
    assert check(operator).ok
    parts = operator.subset(range(3, VIEWS, 8))
    x = torch.rand(parts.domain_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = torch.rand(parts.range_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    forward, backward = float((parts(x) * y).sum()), float((x * parts.T(y)).sum())
    assert forward == pytest.approx(backward, rel=1e-12)
    assert torch.equal(parts(x), operator(x)[3::8])


def test_ordered_subsets_reach_the_phantom_sooner() -> None:
    """Three passes with eight subsets are nearer to the phantom than three of all views together, and near to it."""
    geometry = helix()
    phantom = balls([20.0, 14.0, 14.0], [0.02, 0.02, 0.01], [(5.0, -5.0, 0.0), (35.0, 20.0, 4.0), (-30.0, 10.0, -5.0)])
    projections, truth = phantom.project(geometry), phantom.voxelize(GRID)
    operator = sg.XRayTransform(geometry, GRID)
    inside = slice(2, 6)

    def error(volume: torch.Tensor) -> float:
        return float((volume - truth)[inside].norm() / truth[inside].norm())

    divided = error(os_sart(operator, projections, iterations=3, subsets=8, lower=0.0).image)
    whole = error(os_sart(operator, projections, iterations=3, subsets=1, lower=0.0).image)
    assert divided < 0.5 * whole and divided < 0.2
    assert error(cgls(operator, projections, iterations=10).image) < 0.25
