from __future__ import annotations

import pytest
import torch

from sinograd.geometry import Grid
from sinograd.phantoms import chest

GRID = Grid((3, 96, 136), (8.0, 2.6, 2.6))


def test_same_seed_same_chest() -> None:
    first, again, other = chest(3), chest(3), chest(4)
    assert torch.equal(first.center, again.center) and torch.equal(first.value, again.value)
    assert not torch.equal(first.center, other.center)


@pytest.mark.parametrize("seed", [*range(5), 5019])  # the first walls of 5019 have no room for a rib
def test_every_point_has_the_attenuation_of_one_tissue(seed: int) -> None:
    volume = chest(seed).voxelize(GRID, supersampling=1, dtype=torch.float64)
    values = 1000 * (volume / 0.0193 - 1)
    known = torch.zeros_like(values, dtype=torch.bool)
    for low, high in ((-1000, -1000), (-850, -850), (-100, -100), (0, 200), (200, 200), (700, 700)):
        here = (values >= low - 6) & (values <= high + 6)
        assert here.double().mean() > 2e-4, (low, high)
        known |= here
    assert known.all(), values[~known].unique()


def test_the_nodules_are_the_last_ellipsoids() -> None:
    plain, full = chest(5, nodules=0, vessels=0), chest(5, nodules=7, vessels=4)
    assert len(full) == len(plain) + 11
    nodules = full[-7:]
    assert nodules.semi_axes.min() > 4 and nodules.semi_axes.max() <= 9 and nodules.center[:, 2].abs().max() < 40
    contrast = 1000 * nodules.value / 0.0193
    assert contrast.min() >= 850 and contrast.max() <= 910
    assert (nodules.center[:, 0] < 0).sum() == 3


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="water must be a positive attenuation"):
        chest(0, water=-1)
    with pytest.raises(ValueError, match="nodules must not be negative, got -1"):
        chest(0, nodules=-1)
