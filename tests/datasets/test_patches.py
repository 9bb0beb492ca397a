"""Random patches: where they come from, how often, and what they become."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sinograd.datasets import PairedVolume, Patches


def _numbered(slices: int, height: int = 6, width: int = 6, start: int = 0) -> torch.Tensor:
    """Every voxel has a number of its own."""
    return torch.arange(slices * height * width, dtype=torch.float32).reshape(slices, height, width) + start


def _pair(volume: torch.Tensor, patient: str = "p", target: bool = True, realisations: int = 1) -> PairedVolume:
    inputs = tuple(volume + 0.1 * i for i in range(realisations))
    return PairedVolume(patient, patient, inputs, volume + 0.5 if target else None, "none")


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=30)
@given(
    height=st.integers(1, 6),
    width=st.integers(1, 5),
    augment=st.booleans(),
    seed=st.integers(0, 99),
    count=st.integers(1, 4),
)
def test_input_and_target_are_the_same_place(height: int, width: int, augment: bool, seed: int, count: int) -> None:
    patches = Patches([_pair(_numbered(3, 6, 5))], (height, width), per_batch=count, augment=augment)
    inputs, targets = patches.batch(_generator(seed))
    assert inputs.shape == targets.shape == (count, 1, height, width)
    assert inputs.dtype == torch.float32
    assert torch.equal(targets, inputs + 0.5)
    # neighbours in the patch are neighbours in the volume
    for axis, size in ((-2, height), (-1, width)):
        steps = inputs.diff(dim=axis).abs()
        assert size == 1 or bool(((steps == 1) | (steps == 5)).all())


def test_the_same_generator_gives_the_same_patches() -> None:
    patches = Patches([_pair(_numbered(4))], 3, per_batch=8)
    first, _ = patches.batch(_generator(1))
    again, _ = Patches([_pair(_numbered(4))], 3, per_batch=8, cache_bytes=0).batch(_generator(1))
    other, _ = patches.batch(_generator(2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_each_patient_or_each_slice_is_drawn_equally_often() -> None:
    volumes = {"many": _numbered(9), "few": _numbered(1, start=10_000), "more": _numbered(2, start=20_000)}
    pairs = [_pair(volume, name) for name, volume in volumes.items()]
    for weights, expected in (("patient", (1 / 3, 1 / 3, 1 / 3)), ("slice", (9 / 12, 1 / 12, 2 / 12))):
        patches = Patches(pairs, 6, per_batch=1500, weights=weights, augment=False)  # pyright: ignore[reportArgumentType]
        inputs, _ = patches.batch(_generator())
        owner = (inputs[:, 0, 0, 0] / 10_000).long()
        shares = torch.bincount(owner, minlength=3) / 1500
        # five standard deviations of a binomial share
        assert (shares - torch.tensor(expected)).abs().max() < 5 * 0.5 / 1500**0.5
    assert patches.slices == 12 and patches.patients == ("many", "few", "more")


def test_volumes_of_one_patient_share_its_weight() -> None:
    pairs = [_pair(_numbered(2), "a"), _pair(_numbered(6, start=10_000), "a"), _pair(_numbered(1, start=20_000), "b")]
    inputs, _ = Patches(pairs, 6, per_batch=1200, augment=False).batch(_generator())
    shares = torch.bincount((inputs[:, 0, 0, 0] / 10_000).long(), minlength=3) / 1200
    assert (shares - torch.tensor([1 / 8, 3 / 8, 1 / 2])).abs().max() < 5 * 0.5 / 1200**0.5


def test_all_symmetries_are_drawn() -> None:
    image = _numbered(1, 3, 3)
    inputs, _ = Patches([_pair(image)], 3, per_batch=400).batch(_generator())
    found = Counter(tuple(patch.flatten().tolist()) for patch in inputs)
    square = {
        tuple(torch.rot90(flipped, k, (-2, -1)).flatten().tolist())
        for k in range(4)
        for flipped in (image, image.flip(-1))
    }
    assert set(found) == square and min(found.values()) > 400 / 8 / 2
    inputs, _ = Patches([_pair(_numbered(1, 3, 4))], (3, 4), per_batch=100).batch(_generator())
    assert len({tuple(patch.flatten().tolist()) for patch in inputs}) == 4


def test_all_ordered_pairs_of_realisations_are_drawn() -> None:
    count = 4
    patches = Patches([_pair(_numbered(1), target=False, realisations=count)], 6, per_batch=2400, augment=False)
    inputs, targets = patches.batch(_generator())
    drawn = ((inputs - _numbered(1)) * 10).round()[:, 0, 0, 0], ((targets - _numbered(1)) * 10).round()[:, 0, 0, 0]
    found = Counter(zip(*(part.long().tolist() for part in drawn), strict=True))
    assert set(found) == {(i, j) for i in range(count) for j in range(count) if i != j}
    assert max(found.values()) - min(found.values()) < 10 * (2400 / 12) ** 0.5


def test_realisations_with_a_target_and_a_volume_alone() -> None:
    patches = Patches([_pair(_numbered(1), realisations=3)], 6, per_batch=60, augment=False)
    inputs, targets = patches.batch(_generator())
    assert torch.equal(targets, (_numbered(1) + 0.5).expand_as(targets))
    assert len(set(inputs[:, 0, 0, 0].tolist())) == 3
    inputs, targets = Patches([_pair(_numbered(1), target=False)], 4, per_batch=5).batch(_generator())
    assert torch.equal(inputs, targets)


def test_padding_becomes_air_in_both_and_whole_patches_of_it_are_rare() -> None:
    noisy, clean = torch.full((1, 20, 20), 40.0), torch.full((1, 20, 20), 50.0)
    noisy[0, :16], clean[0, :15] = -2000, -2000
    pair = PairedVolume("a", "a", (noisy,), clean, "HU")
    inputs, targets = Patches([pair], 4, per_batch=100, pad=-2000, augment=False).batch(_generator())
    assert set(inputs.unique().tolist()) == {-1000, 40} and set(targets.unique().tolist()) == {-1000, 50}
    assert torch.equal(inputs == -1000, targets == -1000)
    share = (inputs == -1000).float().mean((1, 2, 3))
    assert (share <= 0.8).float().mean() > 0.9
    nothing = PairedVolume("a", "a", (noisy[:, :4],), None, "HU")
    inputs, _ = Patches([nothing], 4, per_batch=2, pad=-2000).batch(_generator())
    assert bool((inputs == -1000).all())


class _Counted:
    """A volume of blocks that counts what is read."""

    dtype = torch.float32

    def __init__(self, slices: int, block: int) -> None:
        self.shape, self.block = (slices, 8, 8), block
        self.reads: list[tuple[int, int]] = []

    def read(self, first: int, end: int) -> torch.Tensor:
        self.reads.append((first, end))
        return torch.zeros(end - first, 8, 8)


def test_the_cache_reads_blocks_once_and_stays_within_its_bytes() -> None:
    source = _Counted(10, 4)
    pair = PairedVolume("a", "a", (source,), None, "none")
    patches = Patches([pair], 8, per_batch=50)
    patches.batch(_generator())
    assert sorted(source.reads) == [(0, 4), (4, 8), (8, 10)]
    assert patches.cache.held == 10 * 8 * 8 * 4
    small = Patches([pair], 8, per_batch=1, cache_bytes=5 * 8 * 8 * 4)
    for seed in range(30):
        small.batch(_generator(seed))
        assert small.cache.held <= 5 * 8 * 8 * 4
    assert Patches([pair], 8, per_batch=4, cache_bytes=0).batch(_generator())[0].shape == (4, 1, 8, 8)


def test_values_that_are_no_numbers() -> None:
    class Broken(_Counted):
        def read(self, first: int, end: int) -> torch.Tensor:
            return torch.full((end - first, 8, 8), float("inf"))

    pair = PairedVolume("L067", "a", (Broken(3, 1),), None, "none")
    with pytest.raises(ValueError, match=r"L067: input: expected finite values, got 64 NaN or infinite \(slice \d\)"):
        Patches([pair], 4, per_batch=1).batch(_generator())


@pytest.mark.parametrize(
    ("pairs", "options", "message"),
    [
        ([], {}, "pairs: expected at least one"),
        ([_pair(_numbered(1))], {"size": 7}, "patches of 7 x 7 do not fit into the slices of p, 6 x 6"),
        ([_pair(_numbered(1))], {"size": 0}, "size and per_batch must be positive"),
        ([_pair(_numbered(1))], {"per_batch": 0}, "size and per_batch must be positive"),
        ([_pair(_numbered(1))], {"weights": "volume"}, "weights must be patient or slice, got 'volume'"),
        ([_pair(_numbered(1))], {"pad": -2000.0}, "p is in no unit"),
        ([_pair(_numbered(1))], {"cache_bytes": -1}, "cache_bytes must not be negative"),
        ([_pair(_numbered(1)), _pair(_numbered(1), "q", False)], {}, "p has a target, q has no target: one kind"),
        (
            [_pair(_numbered(1), "p", False, 2), _pair(_numbered(1), "q", False)],
            {},
            "p has realisations without a target, q has no target",
        ),
        (
            [_pair(_numbered(1)), PairedVolume("q", "q", (_numbered(1),), None, "HU")],
            {},
            "p is in no unit, q in HU: one unit for all",
        ),
    ],
)
def test_bad_arguments(pairs: list[PairedVolume], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Patches(pairs, **{"size": 4, "per_batch": 2, **options})


def test_other_things_than_pairs() -> None:
    with pytest.raises(TypeError, match="expected PairedVolumes, got a Tensor"):
        Patches([torch.zeros(3)], 4, per_batch=1)  # pyright: ignore[reportArgumentType]
