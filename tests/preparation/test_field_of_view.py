"""The field of view against formulas and against what the projector touches."""

from __future__ import annotations

import math

import pytest
import torch

import sinograd as sg
from sinograd.preparation import field_of_view_mask, field_of_view_radii, mask_field_of_view_

ORBIT = {"source_to_origin": 100.0, "source_to_detector": 150.0}


def test_circles_of_a_cone_beam_shrink_towards_its_ends() -> None:
    """All of a circle of radius r at height z is seen if z SDD / (SOD - r) is on the detector."""
    geometry = sg.ConeBeam.circular(**ORBIT, angles=sg.full_scan(40), detector=sg.FlatDetector((30, 60), 1.0))
    grid = sg.Grid((24, 50, 50), 1.0)
    z = grid.axes()[0].abs()
    widest = geometry.field_of_view / 2
    expected = (100 - z * 150 / 15).clamp(max=widest)
    expected = torch.where(z * 150 / 100 <= 15, expected, -1.0)
    expected = torch.where((expected < 0) & (z * 150 / 100 <= 15), 0.0, expected)
    assert torch.allclose(field_of_view_radii(geometry, grid), expected, atol=1e-3)


def test_curved_detector() -> None:
    geometry = sg.ConeBeam.circular(**ORBIT, angles=sg.full_scan(40), detector=sg.CurvedDetector((30, 60), 1.0))
    grid = sg.Grid((10, 20, 20), 2.0)
    # the detector is as far from the source everywhere: r = SOD - |z| SDD / v
    z = grid.axes()[0].abs()
    expected = (100 - z * 10).clamp(max=geometry.field_of_view / 2)
    assert torch.allclose(field_of_view_radii(geometry, grid), expected, atol=1e-3)


def test_parallel_and_fan_beams_have_one_circle() -> None:
    parallel = sg.ParallelBeam(sg.full_scan(8), sg.FlatDetector((10, 40), 1.0))
    grid = sg.Grid((12, 8, 8), 1.0)
    radii = field_of_view_radii(parallel, grid)
    assert radii.tolist() == pytest.approx([-1, *[20.0] * 10, -1], abs=1e-3)
    fan = sg.FanBeam.circular(**ORBIT, angles=sg.full_scan(8), detector=sg.FlatDetector(40, 1.0))
    assert field_of_view_radii(fan, sg.Grid((4, 4))).tolist() == [fan.field_of_view / 2]
    assert fan.field_of_view / 2 == pytest.approx(100 * math.sin(math.atan(20 / 150)))


def test_every_voxel_inside_is_seen_by_every_view() -> None:
    geometry = sg.ConeBeam.circular(
        **ORBIT, angles=sg.full_scan(12), detector=sg.FlatDetector((16, 30), 1.5), in_plane_rotation=0.1, tilt=0.05
    )
    grid = sg.Grid((13, 21, 21), 1.4)
    mask = field_of_view_mask(geometry, grid)
    assert 0.2 < float(mask.float().mean()) < 0.8
    z, y, x = torch.meshgrid(*grid.axes(), indexing="ij")
    points = torch.stack([x, y, z, torch.ones_like(x)], -1)[mask]
    image = torch.einsum("vij,pj->vpi", geometry.to_matrices(), points)
    row = image[..., 1] / image[..., 2]
    assert (row >= -0.5 - 1e-6).all() and (row <= 15.5 + 1e-6).all()


def test_masking_in_place() -> None:
    geometry = sg.ConeBeam.circular(**ORBIT, angles=sg.full_scan(12), detector=sg.FlatDetector((16, 30), 1.5))
    grid = sg.Grid((13, 21, 21), 1.4)
    mask = field_of_view_mask(geometry, grid)
    volume = torch.rand(2, 13, 21, 21) + 1
    expected = torch.where(mask, volume, -7.0)
    assert mask_field_of_view_(volume, geometry, grid, -7.0) is volume
    assert torch.equal(volume, expected)
    with pytest.raises(ValueError, match="volume"):
        mask_field_of_view_(torch.ones(3, 4, 5), geometry, grid)
    image = torch.ones(21, 21)
    fan = sg.FanBeam.circular(**ORBIT, angles=sg.full_scan(8), detector=sg.FlatDetector(30, 1.0))
    mask_field_of_view_(image, fan, sg.Grid((21, 21), 1.4))
    assert image[0, 0] == 0 and image[10, 10] == 1
