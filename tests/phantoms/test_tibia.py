from __future__ import annotations

import math

import pytest
import torch

from sinograd.geometry import ConeBeam, FlatDetector, Grid
from sinograd.ops import XRayTransform
from sinograd.phantoms import Ellipsoids, tibia

SMALL = dict(outer=(0.125, 0.105), wall=0.06, height=0.08)
MICROSCOPE = dict(source_to_origin=12.0, source_to_detector=28.92)


def surface(parts: Ellipsoids, n: int = 200) -> torch.Tensor:
    """Points on every ellipsoid, [parts, n, 3]."""
    points = torch.nn.functional.normalize(torch.randn(n, 3, dtype=torch.float64), dim=1)
    return parts.center[:, None] + (points * parts.semi_axes[:, None]) @ parts.rotation.mT


def level(one: Ellipsoids, points: torch.Tensor) -> torch.Tensor:
    """Less than 1 inside the one ellipsoid, more outside."""
    return (((points - one.center) @ one.rotation[0] / one.semi_axes) ** 2).sum(-1)


def test_same_seed_same_bone() -> None:
    first, again, other = tibia(3, **SMALL), tibia(3, **SMALL), tibia(4, **SMALL)
    assert torch.equal(first.center, again.center) and torch.equal(first.rotation, again.rotation)
    assert not torch.equal(first.center, other.center)
    generator = torch.Generator().manual_seed(3)
    assert torch.equal(tibia(generator, **SMALL).center, first.center)


def test_numbers_of_pores_follow_the_density() -> None:
    area = math.pi * (0.125 * 0.105 - 0.065 * 0.045)
    phantom = tibia(0, **SMALL)
    assert len(phantom) == 2 + round(40 * area) + round(60_000 * area * 0.08)
    assert len(tibia(0, **SMALL, lacunae=5, canals=0)) == 7
    whole = tibia(0)
    assert len(whole) > 3000  # a whole shaft of 0.1 mm height
    assert whole.semi_axes[0, :2].tolist() == [0.65, 0.5]


@pytest.mark.parametrize("seed", range(3))
def test_pores_lie_in_the_wall(seed: int) -> None:
    phantom = tibia(seed, **SMALL)
    points = surface(phantom[2:])
    assert level(phantom[0], points).max() < 1
    assert level(phantom[1], points).min() > 1
    assert phantom.center[2:, 2].abs().max() < 0.04


def test_lacunae_are_3_to_20_micrometres_and_lie_flat_along_the_shaft() -> None:
    phantom = tibia(1, **SMALL, canals=0)
    lacunae = phantom[2:]
    diameters = 2000 * lacunae.semi_axes
    assert diameters.min() > 3 and diameters.max() < 20
    long, flat = lacunae.rotation[:, :, 2], lacunae.rotation[:, :, 0]
    assert long[:, 2].abs().median() > 0.9
    outwards = torch.nn.functional.normalize(lacunae.center[:, :2], dim=1)
    assert (flat[:, :2] * outwards).sum(dim=1).abs().median() > 0.8


def test_every_point_has_one_of_the_attenuations() -> None:
    volume = tibia(2, **SMALL).voxelize(Grid((12, 200, 200), 0.0014), supersampling=1, dtype=torch.float64)
    allowed = torch.tensor([0.0, 0.023, 0.027, 0.128], dtype=torch.float64)
    assert (volume[..., None] - allowed).abs().amin(dim=-1).max() < 1e-12
    assert min((volume - a).abs().lt(1e-9).double().mean().item() for a in allowed) > 1e-3


def test_projections_are_those_of_the_voxels() -> None:
    """Exact line integrals against Joseph's projection of voxels; the longest chord touches the cavity."""
    phantom = tibia(0, **SMALL, cortical=0.768, marrow=0.054, fluid=0.081)
    geometry = ConeBeam.short_scan(**MICROSCOPE, views=5, detector=FlatDetector((6, 96), 0.009))
    grid = Grid((20, 180, 180), 0.0015)
    exact = phantom.project(geometry)
    voxels = XRayTransform(geometry, grid)(phantom.voxelize(grid))
    assert (exact - voxels).abs().mean() < 0.002 * exact.max()
    assert exact.max().item() == pytest.approx(0.768 * 2 * math.sqrt(0.125**2 - 0.065**2), rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(outer=(0.1, 0.0)), "outer must be positive and finite, got 0.1, 0.0"),
        (dict(outer=(0.1, 0.1), wall=0.095), "wall must be less than 0.9 of the smaller semi-axis 0.1 mm, got 0.095"),
        (dict(height=math.inf), "height must be positive and finite, got inf"),
        (dict(height=2.0), "height must be at most the smaller semi-axis 0.5 mm, got 2.0 mm"),
        (dict(canal_radius=(0.004, 0.002)), r"canal_radius must be \(smallest, largest\), got \(0.004, 0.002\)"),
        (dict(lacuna_semi_axes=((1, 1, 2), (1, 1, 1))), r"lacuna_semi_axes must be \(smallest, largest\)"),
        (dict(lacuna_semi_axes=((1, 1), (1, 1))), r"lacuna_semi_axes\[0\] must be 3 lengths in mm, got \(1, 1\)"),
        (dict(lacunae=-1, canals=0), "lacunae must not be negative, got -1"),
        (dict(canals=1, canal_radius=(0.2, 0.2)), "only 0 of 1 canals fit without overlap"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tibia(0, **arguments)
