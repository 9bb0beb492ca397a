"""Gated scans as one operator. Truth: each phase's own operator."""

from __future__ import annotations

import math

import pytest
import torch

import sinograd as sg
from sinograd.errors import InputError

GRID = sg.Grid((20, 20), 1.0)
DETECTOR = sg.FlatDetector(30, 1.0)


def gates(count: int, views: int) -> list[sg.ParallelBeam]:
    """Interleaved views of a half turn, more for the first gate than for the others."""
    angles = torch.arange(count * views) * math.pi / (count * views)
    return [sg.ParallelBeam(angles[k::count][: views if k else views + 1], DETECTOR) for k in range(count)]


@pytest.mark.parametrize("lead", [(), (2,)])
def test_each_phase_is_projected_by_its_own_scan(lead: tuple[int, ...]) -> None:
    parts = [sg.XRayTransform(geometry, GRID) for geometry in gates(3, 5)]
    operator = sg.phases(parts)
    assert operator.domain_shape == (3, 20, 20) and operator.range_shape == (15, 30)
    x, y = torch.rand(*lead, 3, 20, 20, dtype=torch.float64), torch.rand(*lead, 15, 30, dtype=torch.float64)
    found = operator(x)
    for k, (part, piece, back) in enumerate(zip(parts, operator.split(found), operator.split(y), strict=True)):
        torch.testing.assert_close(piece, part(x[..., k, :, :]))
        torch.testing.assert_close(operator.T(y)[..., k, :, :], part.T(back))
    assert float((found * y).sum()) == pytest.approx(float((x * operator.T(y)).sum()), rel=1e-12)
    torch.testing.assert_close(operator.join(operator.split(found)), found)


def test_gradients() -> None:
    operator = sg.phases([sg.XRayTransform(geometry, sg.Grid((4, 5), 2.0)) for geometry in gates(2, 2)])
    assert torch.autograd.gradcheck(operator, torch.rand(2, 4, 5, dtype=torch.float64, requires_grad=True))


def test_wrong_calls() -> None:
    operator = sg.phases([sg.XRayTransform(geometry, GRID) for geometry in gates(3, 5)])
    with pytest.raises(ValueError, match=r"volume: expected \[..., 3, 20, 20\]"):
        operator(torch.rand(20, 20))
    with pytest.raises(InputError, match="has no subset"):
        operator.subset([0, 1])
    with pytest.raises(InputError, match="expected at least one"):
        sg.phases([])
    with pytest.raises(InputError, match="spacing: expected 3 numbers"):
        sg.recon.fista_tv(operator, torch.zeros(15, 30), spacing=GRID.spacing, iterations=1)


def test_total_variation_over_time_learns_from_the_neighbours() -> None:
    """A disc that grows slowly, seven views a phase: less error than phase by phase, with any weight of those."""
    count, grid = 6, sg.Grid((32, 32), 1.0)
    detector = sg.FlatDetector(48, 1.0)
    angles = torch.arange(count * 7) * math.pi / (count * 7)
    scans = [sg.ParallelBeam(angles[k::count], detector) for k in range(count)]
    objects = [
        sg.Ellipsoids([0.02, 0.02], [[12, 10, 5], [3 + 0.3 * k, 3, 5]], [[0, 0, 0], [-3, 2, 0]]) for k in range(count)
    ]
    truth = torch.stack([one.voxelize(grid) for one in objects]).float()
    generator = torch.Generator().manual_seed(0)
    measured = [one.project(scan).float() for one, scan in zip(objects, scans, strict=True)]
    measured = [p + 0.01 * torch.randn(p.shape, generator=generator) for p in measured]
    operator = sg.phases([sg.XRayTransform(scan, grid) for scan in scans])

    def error(volumes: torch.Tensor) -> float:
        return float((volumes - truth).square().mean().sqrt())

    weights = (0.02, 0.05)
    joined = operator.join(measured)
    together = [
        error(sg.recon.fista_tv(operator, joined, regularization=w, spacing=(1.0, 1.0, 1.0), iterations=60).image)
        for w in weights
    ]
    apart = []
    for w in weights:
        pairs = zip(operator.parts, measured, strict=True)
        volumes = [sg.recon.fista_tv(part, p, regularization=w, iterations=60).image for part, p in pairs]
        apart.append(error(torch.stack(volumes)))
    assert min(together) < 0.95 * min(apart)
