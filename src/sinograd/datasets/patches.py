"""Random patches of slices for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from sinograd.data.units import AIR, unit_text
from sinograd.data.volume import Volume
from sinograd.datasets.block_cache import BlockCache
from sinograd.datasets.pairs import PairedVolume, check_finite
from sinograd.errors import InputError, InputTypeError

_MOST_PADDING = 0.8  # of a patch; others are drawn again
_DRAWS = 20


class Patches:
    """Random patches of the slices of paired volumes, the same place in input and target.

    Args:
        pairs: with the same unit; with a target each, or each without one.
        size: height and width of a patch in voxels, one number for both.
        per_batch: patches in a batch.
        pad: value that stands for "nothing measured here" (-2000 in HU). Where input or target is at or below it,
            both become air (-1000 HU, 0 1/mm), so that nothing is to be learnt there; patches with more than 80 % of
            it are drawn again, up to 20 times. None: values are taken as they are.
        weights: "patient": each patient is drawn equally often, however many slices it has, as ldct-benchmark does
            (weight 1 / slices); "slice": each slice.
        augment: turn and flip patches at random, each of the 8 symmetries of the square equally often (of the 4 of
            the rectangle where height and width differ).
        cache_bytes: memory for slices that were read. One block of slices is kept in any case: a slice, or as many
            as a packed file or a simulation gives at once.

    Raises:
        TypeError, ValueError: naming argument or volume: no pairs, different units, some targets missing, slices
            smaller than a patch, realisations without a target in some pairs only, wrong numbers.
    """

    def __init__(
        self,
        pairs: Sequence[PairedVolume],
        size: int | tuple[int, int],
        *,
        per_batch: int,
        pad: float | None = None,
        weights: Literal["patient", "slice"] = "patient",
        augment: bool = True,
        cache_bytes: int = 1 << 30,
    ) -> None:
        self.pairs = tuple(pairs)
        self.size = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        self.per_batch, self.pad, self.weights, self.augment = per_batch, pad, weights, augment
        self._check()
        self.cache = BlockCache(cache_bytes)
        self._patients: dict[str, list[PairedVolume]] = {}
        for pair in self.pairs:
            self._patients.setdefault(pair.patient, []).append(pair)
        self._all = {name: sum(pair.shape[0] for pair in held) for name, held in self._patients.items()}

    @property
    def slices(self) -> int:
        """How many slices there are."""
        return sum(self._all.values())

    @property
    def patients(self) -> tuple[str, ...]:
        """Whose they are."""
        return tuple(self._patients)

    @torch.no_grad()
    def batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The next random patches, drawn from a CPU generator: inputs and targets, float32 [per_batch, 1, h, w].

        Of N realisations with a target, each is drawn equally often. Without a target, inputs and targets are two
        different realisations, all N (N - 1) ordered pairs equally often; of a single volume both are the same patch,
        for schemes that make their own targets.
        """
        inputs = torch.empty(self.per_batch, 1, *self.size)
        targets = torch.empty_like(inputs)
        for index in range(self.per_batch):
            inputs[index, 0], targets[index, 0] = self._patch(generator)
        return inputs, targets

    def _patch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        for left in reversed(range(_DRAWS)):
            pair, number = self._draw_slice(generator)
            height, width = self.size
            top = _below(pair.shape[1] - height + 1, generator)
            side = _below(pair.shape[2] - width + 1, generator)
            noisy, clean = _draw_sources(pair, generator)
            cut = (slice(top, top + height), slice(side, side + width))
            one = self._slice(noisy, number, f"{pair.name}: input")[cut]
            other = one if clean is noisy else self._slice(clean, number, f"{pair.name}: target")[cut]
            if self.pad is None:
                break
            nothing = (one <= self.pad) | (other <= self.pad)
            if left == 0 or nothing.float().mean() <= _MOST_PADDING:
                one, other = (part.masked_fill(nothing, AIR[pair.unit]) for part in (one, other))
                break
        return self._turned(one, other, generator) if self.augment else (one, other)  # pyright: ignore

    def _slice(self, volume: Volume, index: int, name: str) -> Tensor:
        """One slice [Y, X], read with the others of its block."""
        size = volume.block
        start = index // size * size

        def read() -> tuple[Tensor]:
            slices = volume.read(start, min(start + size, volume.shape[0]))
            check_finite(slices, name, start)
            return (slices,)

        return self.cache.get(volume, start, read)[0][index - start]

    def _draw_slice(self, generator: torch.Generator) -> tuple[PairedVolume, int]:
        held: Sequence[PairedVolume] = self.pairs
        if self.weights == "patient":
            name = list(self._patients)[_below(len(self._patients), generator)]
            held = self._patients[name]
        number = _below(sum(pair.shape[0] for pair in held), generator)
        for pair in held:
            if number < pair.shape[0]:
                return pair, number
            number -= pair.shape[0]
        raise AssertionError("a slice beyond the last volume")

    def _turned(self, one: Tensor, other: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        quarters = 1 if self.size[0] == self.size[1] else 2
        turn = quarters * _below(4 // quarters, generator)
        flip = (-1,) if _below(2, generator) else ()
        return torch.rot90(one, turn, (-2, -1)).flip(flip), torch.rot90(other, turn, (-2, -1)).flip(flip)

    def _check(self) -> None:
        if not self.pairs:
            raise InputError("pairs: expected at least one paired volume, got none")
        for pair in self.pairs:
            if not isinstance(pair, PairedVolume):
                raise InputTypeError(f"pairs: expected PairedVolumes, got a {type(pair).__name__}")
        if min(self.size) < 1 or self.per_batch < 1:
            raise InputError(f"size and per_batch must be positive, got {self.size} and {self.per_batch}")
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
            if pair.shape[1] < self.size[0] or pair.shape[2] < self.size[1]:
                raise InputError(
                    f"size: patches of {self.size[0]} x {self.size[1]} do not fit into the slices of {pair.name}, "
                    f"{pair.shape[1]} x {pair.shape[2]}"
                )
        if self.pad is not None and first.unit not in AIR:
            units = ", ".join(AIR)
            raise InputError(f"pad: only for volumes in {units}, {first.name} is in {unit_text(first.unit)}")


def _kind(pair: PairedVolume) -> str:
    if pair.target is not None:
        return "a target"
    return "no target" if len(pair.inputs) == 1 else "realisations without a target"


def _draw_sources(pair: PairedVolume, generator: torch.Generator) -> tuple[Volume, Volume]:
    count = len(pair.inputs)
    first = _below(count, generator)
    if pair.target is not None:
        return pair.inputs[first], pair.target
    if count == 1:
        return pair.inputs[0], pair.inputs[0]
    second = _below(count - 1, generator)
    return pair.inputs[first], pair.inputs[second + (second >= first)]


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator)) if count > 1 else 0
