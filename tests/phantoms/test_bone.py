from __future__ import annotations

import pytest
import torch

from sinograd.geometry import Grid
from sinograd.phantoms import bone

FEW = dict(plates=6, rods=30, canals=6, lacunae=40)


def test_same_seed_same_bone() -> None:
    first, again, other = bone(3, **FEW), bone(3, **FEW), bone(4, **FEW)
    assert torch.equal(first.center, again.center) and torch.equal(first.rotation, again.rotation)
    assert not torch.equal(first.center, other.center)
    generator = torch.Generator().manual_seed(3)
    assert torch.equal(bone(generator, **FEW).center, first.center)
    assert not torch.equal(bone(generator, **FEW).center, first.center)


def test_counts_and_values() -> None:
    phantom = bone(0, **FEW)
    values = phantom.value.tolist()
    assert len(values) == 2 + sum(FEW.values())
    assert values[:2] == pytest.approx([0.128, 0.023 - 0.128])
    assert values[2:38] == pytest.approx([0.120 - 0.023] * 36)
    assert values[38:] == pytest.approx([0.027 - 0.128] * 46)


def test_every_point_has_one_of_the_attenuations() -> None:
    """No overlap doubles bone or makes it negative: with point samples only five values appear."""
    volume = bone(1, rods=150, lacunae=400).voxelize(Grid((64, 64, 64), 5 / 64), supersampling=1, dtype=torch.float64)
    allowed = torch.tensor([0.0, 0.023, 0.027, 0.120, 0.128], dtype=torch.float64)
    assert (volume[..., None] - allowed).abs().amin(dim=-1).max() < 1e-12
    share = [(volume - a).abs().lt(1e-9).double().mean().item() for a in allowed]
    assert min(share) > 1e-4  # all of them do appear


def test_pores_lie_in_the_cortex() -> None:
    """Points of the surface of every canal and lacuna are in the outer ellipsoid and out of the cavity."""
    phantom = bone(2, **FEW)
    pores = phantom[38:]
    points = torch.nn.functional.normalize(torch.randn(300, 3, dtype=torch.float64), dim=1)
    points = pores.center[:, None] + (points * pores.semi_axes[:, None]) @ pores.rotation.mT
    level = [(((points - phantom.center[i]) @ phantom.rotation[i] / phantom.semi_axes[i]) ** 2).sum(-1) for i in (0, 1)]
    assert level[0].max() < 1
    assert level[1].min() > 1


def test_fits_the_cylinder_of_its_size() -> None:
    phantom = bone(5, size=2.0, **FEW)
    lower, upper = phantom.bounds()
    assert torch.cat([lower, upper])[:, 2].abs().max() < 1.0
    outline = phantom.voxelize(Grid((64, 64, 64), 2.2 / 64))
    a = (torch.arange(64) - 31.5) * 2.2 / 64
    assert outline[:, (a[:, None] ** 2 + a**2) > 1.0].abs().max() == 0


def test_size_scales_the_shape_and_not_the_attenuation() -> None:
    small, large = bone(6, size=1.0, **FEW), bone(6, size=5.0, **FEW)
    assert torch.allclose(small.scaled(5.0).center, large.center, atol=1e-12)
    assert torch.allclose(small.scaled(5.0).semi_axes, large.semi_axes, atol=1e-12)
    assert torch.equal(small.value, large.value)


def test_lengths_are_what_was_asked_for() -> None:
    phantom = bone(7, **FEW, cortical_thickness=0.5, trabecular_thickness=0.1, lacuna_semi_axes=(0.01, 0.02, 0.03))
    assert torch.allclose(phantom.semi_axes[0] - phantom.semi_axes[1], torch.full((3,), 0.5, dtype=torch.float64))
    rods, lacunae = phantom.semi_axes[8:38], phantom.semi_axes[44:]
    assert rods[:, 0].mean().item() == pytest.approx(0.05, rel=0.1)
    assert lacunae.mean(dim=0).tolist() == pytest.approx([0.01, 0.02, 0.03], rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(size=0.0), "size must be positive, got 0"),
        (dict(cortical_thickness=2.0), "cortical_thickness must be at most 0.21 size, got 2.0 of 5.0 mm"),
        (dict(lacuna_semi_axes=(0.1, 0.2)), "lacuna_semi_axes must be three lengths"),
        (dict(rods=-1), "rods must not be negative, got -1"),
        (dict(lacunae=3, lacuna_semi_axes=(0.5, 0.5, 0.5)), "only 0 of 3 lacunae fit without overlap"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bone(0, **{**dict(plates=0, rods=0, canals=0, lacunae=0), **arguments})
