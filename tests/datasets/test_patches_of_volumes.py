"""Random patches of volumes: places, symmetries, realisations."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from sinograd.datasets import PairedVolume, Patches
from sinograd.errors import InputError

SHAPE = (9, 8, 10)


def numbered(start: float = 0.0, shape: tuple[int, ...] = SHAPE) -> Tensor:
    """Every voxel has a number of its own."""
    count = shape[0] * shape[1] * shape[2]
    return torch.arange(count, dtype=torch.float32).reshape(shape) + start


def pair(realisations: int = 1, target: bool = True) -> PairedVolume:
    inputs = tuple(numbered(1000.0 * (i + 1)) for i in range(realisations))
    return PairedVolume("bone", "bone", inputs, numbered() if target else None, "1")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def first_voxel(patch: Tensor) -> tuple[int, ...]:
    """Where the smallest number of a patch lies in the volume."""
    return tuple(int(i) for i in torch.unravel_index(patch.min().long(), SHAPE))


def test_places_lie_on_the_grid_and_all_are_drawn() -> None:
    """Steps of 2, 3 and 4 voxels, the last patch inside."""
    patches = Patches([pair()], (3, 4, 4), per_batch=64, step=(2, 3, 4), augment=False)
    inputs, targets = patches.batch(generator())
    assert inputs.shape == targets.shape == (64, 1, 3, 4, 4)
    assert torch.equal(inputs, targets + 1000)
    for target in targets[:, 0]:
        z, y, x = first_voxel(target)
        assert torch.equal(target, numbered()[z : z + 3, y : y + 4, x : x + 4])
    places = {first_voxel(target) for target in targets[:, 0]}
    assert places == set(itertools.product((0, 2, 4, 6), (0, 3), (0, 4)))


def test_sixteen_symmetries() -> None:
    """Eight in the plane, times upside down; input and target alike."""
    patches = Patches([pair()], (9, 8, 8), per_batch=400, step=(1, 1, 4))
    inputs, targets = patches.batch(generator())
    assert torch.equal(inputs, targets + 1000)
    whole = numbered()[:, :, :8]
    expected = [torch.rot90(whole, turn, (1, 2)).flip(flip) for turn in range(4) for flip in ((), (2,), (0,), (0, 2))]
    counts = [int((targets[:, 0] == one).all(dim=(1, 2, 3)).sum()) for one in expected]
    assert sum(counts) == 400 and min(counts) >= 10


def test_realisations_at_each_place() -> None:
    """Four of nine, all different, with the target of their place."""
    patches = Patches([pair(9)], (3, 4, 4), per_batch=12, per_place=4, augment=False)
    inputs, targets = patches.batch(generator(3))
    noise = ((inputs - targets)[:, 0, 0, 0, 0] / 1000).long().reshape(3, 4)
    assert all(len(set(row.tolist())) == 4 for row in noise)
    assert noise.min() >= 1 and noise.max() <= 9
    for place in targets.reshape(3, 4, 3, 4, 4):
        assert torch.equal(place, place[:1].expand_as(place))


def test_images_are_drawn_as_before() -> None:
    """The numbers of draws, and so the patches, of images do not change with what volumes need."""
    inputs, _ = Patches([pair(2)], 4, per_batch=3).batch(generator(7))
    assert inputs.shape == (3, 1, 4, 4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": (10, 4, 4)}, "size: patches of 10 x 4 x 4 do not fit into bone, 9 x 8 x 10"),
        ({"size": (3, 4, 4), "step": (1, 2)}, "step: expected a positive number, or 3, got"),
        ({"size": (3, 4, 4), "step": 0}, "step: expected a positive number"),
        ({"size": (3, 4, 4, 4)}, "size: expected one number, two or three"),
        ({"size": (3, 4, 4), "per_place": 3}, "per_place: expected a number that divides per_batch, 4, got 3"),
        ({"size": (3, 4, 4), "per_place": 2}, "per_place: expected a target and at least 2 realisations .* has 1 and"),
    ],
)
def test_bad_options(options: dict[str, object], words: str) -> None:
    """One error that names the argument."""
    with pytest.raises(InputError, match=words):
        Patches([pair()], per_batch=4, **options)  # type: ignore[arg-type]
