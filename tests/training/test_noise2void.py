"""Blind spots. Truth: counting, and expected shares by hand."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from sinograd.training import blind_spots

SHAPE = (7, 9, 11)


def places(indices: Tensor) -> Tensor:
    """[n, 3]"""
    return torch.stack(torch.unravel_index(indices, SHAPE), 1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("fraction", [0.001, 0.01, 0.3, 0.5])
def test_as_many_voxels_as_asked_for_and_no_other(fraction: float) -> None:
    volume = torch.arange(7.0 * 9 * 11).reshape(SHAPE)  # each voxel holds its own index
    perturbed, chosen = blind_spots(volume, fraction, generator=generator())
    assert len(chosen) == len(chosen.unique()) == max(1, round(fraction * volume.numel()))
    assert torch.equal((perturbed != volume).reshape(-1).nonzero()[:, 0], chosen)
    assert volume[0, 0, 1] == 1  # the input is left alone


def test_values_come_from_the_neighbourhood_and_never_from_the_voxel_itself() -> None:
    volume = torch.arange(7.0 * 9 * 11).reshape(SHAPE)
    for width, half in ((3, 1), (5, 2)):
        reached = torch.zeros(3, dtype=torch.int64)
        for seed in range(20):
            perturbed, chosen = blind_spots(volume, 0.3, width, generator=generator(seed))
            distance = (places(perturbed.reshape(-1)[chosen].long()) - places(chosen)).abs()
            assert (distance.amax(1) >= 1).all() and (distance <= half).all()
            reached = torch.maximum(reached, distance.amax(0))
        assert reached.tolist() == [half] * 3


def test_every_neighbour_has_the_same_chance() -> None:
    """Also at a corner, where the box is cut off: 26 neighbours inside, 7 at the corner of a 3^3 box."""
    volume = torch.arange(27.0).reshape(3, 3, 3)
    counts = torch.zeros(27, 27)
    for seed in range(6000):
        perturbed, chosen = blind_spots(volume, 0.2, 3, generator=generator(seed))
        counts[chosen, perturbed.reshape(-1)[chosen].long()] += 1
    for voxel, neighbours in ((13, 26), (0, 7)):
        near = counts[voxel][counts[voxel] > 0]
        assert len(near) == neighbours
        expected = counts[voxel].sum() / neighbours
        chi_squared = ((near - expected) ** 2 / expected).sum()
        assert chi_squared < neighbours - 1 + 4 * (2 * (neighbours - 1)) ** 0.5


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5])
def test_no_replaced_value_is_seen_elsewhere(fraction: float) -> None:
    """What the loss compares with stands nowhere in what the model gets."""
    volume = torch.arange(7.0 * 9 * 11).reshape(SHAPE)
    for seed in range(20):
        perturbed, chosen = blind_spots(volume, fraction, 3, generator=generator(seed))
        assert not torch.isin(volume.reshape(-1)[chosen], perturbed).any()


def test_voxels_without_an_untouched_neighbour_stay() -> None:
    """Of two voxels one can be replaced; with half of three in a row, either end by the middle or the middle by one."""
    volume = torch.arange(4.0).reshape(1, 4)
    for seed in range(30):
        perturbed, chosen = blind_spots(volume, 0.5, 3, dimensions=2, generator=generator(seed))
        assert 1 <= len(chosen) <= 2
        assert torch.equal((perturbed != volume).reshape(-1).nonzero()[:, 0], chosen)


def test_every_voxel_is_chosen_as_often() -> None:
    counts = torch.zeros(4 * 5 * 6)
    for seed in range(1500):
        counts[blind_spots(torch.rand(4, 5, 6), 0.1, generator=generator(seed))[1]] += 1
    expected = 1500 * 0.1
    assert ((counts - expected) ** 2 / expected).sum() < 119 + 4 * (2 * 119) ** 0.5


def test_images_keep_their_values_apart() -> None:
    """With two dimensions a voxel takes a value from its own slice."""
    volume = torch.arange(7.0)[:, None, None].expand(SHAPE).contiguous()
    assert torch.equal(blind_spots(volume, 0.5, dimensions=2, generator=generator())[0], volume)
    assert not torch.equal(blind_spots(volume, 0.5, dimensions=3, generator=generator())[0], volume)
    batch = torch.arange(4.0)[:, None, None, None].expand(4, 5, 6, 7).contiguous()
    assert torch.equal(blind_spots(batch, 0.5, generator=generator())[0], batch)


def test_the_generator_decides() -> None:
    volume = torch.rand(SHAPE)
    same = [blind_spots(volume, generator=generator(seed)) for seed in (1, 1, 2)]
    assert torch.equal(same[0][0], same[1][0]) and torch.equal(same[0][1], same[1][1])
    assert not torch.equal(same[0][1], same[2][1])


def test_bad_input() -> None:
    for fraction, width in itertools.chain(((f, 5) for f in (0.0, -1.0, 0.6, 1.5)), ((0.1, w) for w in (1, 4))):
        with pytest.raises(ValueError, match="expected"):
            blind_spots(torch.rand(SHAPE), fraction, width, generator=generator())
    with pytest.raises(ValueError, match="at least two voxels"):
        blind_spots(torch.rand(1, 1, 1), generator=generator())
