"""Random patches of slices, or of volumes, for training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from sinograd.data.units import AIR, unit_text
from sinograd.data.volume import Volume
from sinograd.datasets.block_cache import BlockCache
from sinograd.datasets.pairs import PairedVolume, check_finite
from sinograd.errors import InputError, InputTypeError

_MOST_PADDING = 0.8  # of a patch; others are drawn again
_DRAWS = 20


class Patches(IterableDataset[tuple[Tensor, Tensor]]):
    """Random patches of paired volumes, or of their slices, the same place in input and target.

    It iterates over single patches without end, for a `torch.utils.data.DataLoader`, which puts `batch_size` of them
    together; `torch.manual_seed` before the loop makes them the same again, in every process others. `batch` draws
    batches from a generator of your own.

    Args:
        pairs: with the same unit; with a target each, or each without one.
        size: height and width of a patch in voxels, one number for both; of patches of volumes depth, height, width.
        per_batch: patches in a batch.
        step: patches start at multiples of so many voxels, one number or one for each axis of `size`.
        per_place: of each place in a batch, the patches of so many different realisations.
        pad: value that stands for "nothing measured here" (-2000 in HU). Where input or target is at or below it,
            both become air (-1000 HU, 0 1/mm), so that nothing is to be learnt there; patches with more than 80 % of
            it are drawn again, up to 20 times. None: values are taken as they are.
        weights: "patient": each patient is drawn equally often, however many slices it has, as ldct-benchmark does
            (weight 1 / slices); "slice": each slice.
        augment: turn and flip patches at random, each of the 8 symmetries of the square equally often (of the 4 of
            the rectangle where height and width differ); those of volumes upside down as well, so 16 (8).
        cache_bytes: memory for slices that were read. One block of slices is kept in any case: a slice, or as many
            as a packed file or a simulation gives at once.

    Raises:
        TypeError, ValueError: naming argument or volume: no pairs, different units, some targets missing, slices
            smaller than a patch, realisations without a target in some pairs only, wrong numbers.
    """

    def __init__(
        self,
        pairs: Sequence[PairedVolume],
        size: int | tuple[int, ...],
        *,
        per_batch: int,
        step: int | tuple[int, ...] = 1,
        per_place: int = 1,
        pad: float | None = None,
        weights: Literal["patient", "slice"] = "patient",
        augment: bool = True,
        cache_bytes: int = 1 << 30,
    ) -> None:
        self.pairs = tuple(pairs)
        self.size = (size, size) if isinstance(size, int) else tuple(int(n) for n in size)
        self.step = (step,) * len(self.size) if isinstance(step, int) else tuple(int(n) for n in step)
        self.per_place = per_place
        self.per_batch, self.pad, self.weights, self.augment = per_batch, pad, weights, augment
        self._check()
        self.cache = BlockCache(cache_bytes)
        self._patients: dict[str, list[PairedVolume]] = {}
        for pair in self.pairs:
            self._patients.setdefault(pair.patient, []).append(pair)

    @property
    def slices(self) -> int:
        """How many slices there are."""
        return sum(pair.shape[0] for pair in self.pairs)

    @property
    def patients(self) -> tuple[str, ...]:
        """Whose they are."""
        return tuple(self._patients)

    @torch.no_grad()
    def batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The next random patches, drawn from a CPU generator: inputs and targets, float32 [per_batch, 1, (d,) h, w].

        Of N realisations with a target, each is drawn equally often. Without a target, inputs and targets are two
        different realisations, all N (N - 1) ordered pairs equally often; of a single volume both are the same patch,
        for schemes that make their own targets.
        """
        inputs = torch.empty(self.per_batch, 1, *self.size)
        targets = torch.empty_like(inputs)
        for index in range(0, self.per_batch, self.per_place):
            for offset, (one, other) in enumerate(self._place(generator)):
                inputs[index + offset, 0], targets[index + offset, 0] = one, other
        return inputs, targets

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Input and target, float32 [1, (d,) h, w], one patch after the other."""
        worker = torch.utils.data.get_worker_info()
        seed = int(torch.randint(1 << 62, ())) if worker is None else worker.seed
        generator = torch.Generator().manual_seed(seed)
        while True:
            with torch.no_grad():  # not around `yield`, where it would hold in the loop, too
                drawn = self._place(generator)
            for one, other in drawn:
                yield one[None].clone(), other[None].clone()

    def _place(self, generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
        """Inputs and targets at one place, of `per_place` realisations."""
        found: list[tuple[Tensor, Tensor]] = []
        for left in reversed(range(_DRAWS)):
            pair, first = self._draw_slices(generator)
            starts = [
                step * _below((count - n) // step + 1, generator)
                for count, n, step in zip(pair.shape[1:], self.size[-2:], self.step[-2:], strict=True)
            ]
            cut = tuple(slice(start, start + n) for start, n in zip(starts, self.size[-2:], strict=True))
            found = [
                self._read(pair, noisy, clean, first, cut)
                for noisy, clean in _draw_sources(pair, self.per_place, generator)
            ]
            if self.pad is None:
                break
            nothing = [(one <= self.pad) | (other <= self.pad) for one, other in found]
            if left == 0 or nothing[0].float().mean() <= _MOST_PADDING:
                air = AIR[pair.unit]
                found = [
                    (one.masked_fill(empty, air), other.masked_fill(empty, air))
                    for (one, other), empty in zip(found, nothing, strict=True)
                ]
                break
        return [self._turned(one, other, generator) if self.augment else (one, other) for one, other in found]

    def _read(
        self, pair: PairedVolume, noisy: Volume, clean: Volume, first: int, cut: tuple[slice, ...]
    ) -> tuple[Tensor, Tensor]:
        one = self._part(noisy, first, f"{pair.name}: input", cut)
        return one, one if clean is noisy else self._part(clean, first, f"{pair.name}: target", cut)

    def _part(self, volume: Volume, first: int, name: str, cut: tuple[slice, ...]) -> Tensor:
        """A patch that starts in slice `first`."""
        if len(self.size) == 2:
            return self._slice(volume, first, name)[cut]
        return torch.stack([self._slice(volume, first + i, name)[cut] for i in range(self.size[0])])

    def _slice(self, volume: Volume, index: int, name: str) -> Tensor:
        """One slice [Y, X], read with the others of its block."""
        size = volume.block
        start = index // size * size

        def read() -> tuple[Tensor]:
            slices = volume.read(start, min(start + size, volume.shape[0]))
            check_finite(slices, name, start)
            return (slices,)

        return self.cache.get(volume, start, read)[0][index - start]

    def _draw_slices(self, generator: torch.Generator) -> tuple[PairedVolume, int]:
        """A volume and the first slice of a patch of it."""
        held: Sequence[PairedVolume] = self.pairs
        if self.weights == "patient":
            name = list(self._patients)[_below(len(self._patients), generator)]
            held = self._patients[name]
        number = _below(sum(map(self._starts, held)), generator)
        for pair in held:
            if number < self._starts(pair):
                return pair, number * (self.step[0] if len(self.size) == 3 else 1)
            number -= self._starts(pair)
        raise AssertionError("a slice beyond the last volume")

    def _starts(self, pair: PairedVolume) -> int:
        """In how many slices a patch can start."""
        return pair.shape[0] if len(self.size) == 2 else (pair.shape[0] - self.size[0]) // self.step[0] + 1

    def _turned(self, one: Tensor, other: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        quarters = 1 if self.size[-2] == self.size[-1] else 2
        turn = quarters * _below(4 // quarters, generator)
        flip = (-1,) if _below(2, generator) else ()
        if len(self.size) == 3 and _below(2, generator):
            flip = (*flip, 0)
        return torch.rot90(one, turn, (-2, -1)).flip(flip), torch.rot90(other, turn, (-2, -1)).flip(flip)

    def _check(self) -> None:
        if not self.pairs:
            raise InputError("pairs: expected at least one paired volume, got none")
        for pair in self.pairs:
            if not isinstance(pair, PairedVolume):
                raise InputTypeError(f"pairs: expected PairedVolumes, got a {type(pair).__name__}")
        if len(self.size) not in (2, 3):
            raise InputError(f"size: expected one number, two or three, got {self.size}")
        if min(self.size) < 1 or self.per_batch < 1:
            raise InputError(f"size and per_batch must be positive, got {self.size} and {self.per_batch}")
        if len(self.step) != len(self.size) or min(self.step) < 1:
            raise InputError(f"step: expected a positive number, or {len(self.size)}, got {self.step}")
        self._check_repetitions()
        if self.weights not in ("patient", "slice"):
            raise InputError(f"weights must be patient or slice, got {self.weights!r}")
        first = self.pairs[0]
        for pair in self.pairs:
            if pair.unit != first.unit:
                units = unit_text(first.unit), unit_text(pair.unit)
                raise InputError(f"pairs: {first.name} is in {units[0]}, {pair.name} in {units[1]}: one unit for all")
            kinds = [_kind(first), _kind(pair)]
            if kinds[0] != kinds[1]:
                raise InputError(f"pairs: {first.name} has {kinds[0]}, {pair.name} has {kinds[1]}: one kind for all")
            have = pair.shape[-len(self.size) :]
            if any(n > count for n, count in zip(self.size, have, strict=True)):
                whole = "the slices of " if len(self.size) == 2 else ""
                sizes = [" x ".join(map(str, shape)) for shape in (self.size, have)]
                raise InputError(f"size: patches of {sizes[0]} do not fit into {whole}{pair.name}, {sizes[1]}")
        if self.pad is not None and first.unit not in AIR:
            units = ", ".join(AIR)
            raise InputError(f"pad: only for volumes in {units}, {first.name} is in {unit_text(first.unit)}")

    def _check_repetitions(self) -> None:
        if self.per_place < 1 or self.per_batch % self.per_place:
            expected = f"a number that divides per_batch, {self.per_batch}"
            raise InputError(f"per_place: expected {expected}, got {self.per_place}")
        if self.per_place == 1:
            return
        for pair in self.pairs:
            if pair.target is None or len(pair.inputs) < self.per_place:
                have = f"{len(pair.inputs)} and {'no' if pair.target is None else 'a'} target"
                raise InputError(
                    f"per_place: expected a target and at least {self.per_place} realisations of each volume, "
                    f"{pair.name} has {have}"
                )


def _kind(pair: PairedVolume) -> str:
    if pair.target is not None:
        return "a target"
    return "no target" if len(pair.inputs) == 1 else "realisations without a target"


def _draw_sources(pair: PairedVolume, number: int, generator: torch.Generator) -> list[tuple[Volume, Volume]]:
    """`number` different realisations, each with what it is compared to."""
    count = len(pair.inputs)
    if number > 1:
        assert pair.target is not None
        order = torch.randperm(count, generator=generator)[:number].tolist()
        return [(pair.inputs[i], pair.target) for i in order]
    first = _below(count, generator)
    if pair.target is not None:
        return [(pair.inputs[first], pair.target)]
    if count == 1:
        return [(pair.inputs[0], pair.inputs[0])]
    second = _below(count - 1, generator)
    return [(pair.inputs[first], pair.inputs[second + (second >= first)])]


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator)) if count > 1 else 0
