"""Random ellipsoids that do not overlap: what the seeded phantoms are filled with."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import TypeVar

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry.checks import scalar
from sinograd.phantoms.ellipsoids import Ellipsoids
from sinograd.phantoms.placement import apart

_ROUNDS = 100  # of candidates before giving up
_BATCH = 1000  # candidates tested at once
_TRIES = 10  # of things that only fit together
T = TypeVar("T")


def seeded(seed: int | torch.Generator) -> torch.Generator:
    """The CPU generator itself, or a new one with this seed."""
    return seed if isinstance(seed, torch.Generator) else torch.Generator("cpu").manual_seed(_whole(seed))


def uniform(shape: int | tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Float64 numbers from [low, high)."""
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64, device="cpu")


def normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal float64 numbers."""
    return torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")


def between(low: tuple[float, ...], high: tuple[float, ...], n: int, generator: torch.Generator) -> Tensor:
    """A number n of triples, each entry drawn between those of `low` and `high`: [n, 3]."""
    ends = torch.tensor([low, high], dtype=torch.float64, device="cpu")
    return ends[0] + (ends[1] - ends[0]) * uniform((n, len(low)), 0.0, 1.0, generator)


def frames(third: Tensor, first: Tensor) -> Tensor:
    """Rotations [n, 3, 3]: the last column along `third`, the first as near to `first` as that allows."""
    z = third / torch.linalg.vector_norm(third, dim=-1, keepdim=True)
    x = first - (first * z).sum(-1, keepdim=True) * z
    x = x / torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return torch.stack([x, torch.linalg.cross(z, x), z], dim=-1)


def pack(
    name: str,
    count: int,
    draw: Callable[[int], Ellipsoids],
    allowed: Callable[[Ellipsoids], Tensor],
    placed: Ellipsoids,
) -> Ellipsoids:
    """`placed` and `count` more from draw(n), by rejection: each is allowed where it is and overlaps no other.

    Raises ValueError, calling them `name`, for a negative count or when they do not fit.
    """
    if count < 0:
        raise InputError(f"{name} must not be negative, got {count}")
    goal = len(placed) + count
    for _ in range(_ROUNDS):
        if len(placed) == goal:
            break
        batch = draw(min(2 * (goal - len(placed)) + 16, _BATCH))
        batch = batch[allowed(batch)]
        placed = placed + batch[_fitting(batch, placed)][: goal - len(placed)]
    if len(placed) < goal:
        raise InputError(
            f"only {count - (goal - len(placed))} of {count} {name} fit without overlap: ask for fewer or smaller ones"
        )
    return placed


def drawn_until_it_fits(draw: Callable[[], T]) -> T:
    """What `draw` packs; again where its first parts left no room for later ones. InputError where they never do."""
    for _ in range(_TRIES - 1):
        try:
            return draw()
        except InputError:
            continue
    return draw()


def _fitting(batch: Ellipsoids, placed: Ellipsoids) -> Tensor:
    """Indices of those in `batch` that overlap none of `placed` and no earlier fitting one."""
    others = placed + batch
    reach = batch.semi_axes.amax(dim=1)[:, None] + others.semi_axes.amax(dim=1)
    near = torch.cdist(batch.center, others.center, compute_mode="donot_use_mm_for_euclid_dist") <= reach
    near = near.tril(len(placed) - 1)  # pair each with those before it
    i, j = near.nonzero(as_tuple=True)
    clash = torch.zeros_like(near)
    clash[i, j] = ~apart(batch[i], others[j])
    free = torch.ones(len(others), dtype=torch.bool, device="cpu")
    for k in range(len(batch)):
        free[len(placed) + k] = not bool((clash[k] & free).any())
    return free[len(placed) :].nonzero()[:, 0]


def _whole(seed: object) -> int:
    """A seed of Python, NumPy or torch; other things are an error of torch's generator."""
    value = scalar(seed)
    return int(value) if isinstance(value, Integral) else value  # pyright: ignore[reportReturnType]
