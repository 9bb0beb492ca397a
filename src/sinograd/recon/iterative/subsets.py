"""Which views make a subset, and in which order the subsets take their turn."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence

import torch

from sinograd.errors import InputError, InputTypeError

ORDERS = ("golden", "distance", "random", "sequential")


def interleaved(views: int, subsets: int) -> list[list[int]]:
    """Every `subsets`-th view, starting from each of the first: all subsets see all directions."""
    try:
        count = operator.index(subsets)
    except TypeError:
        raise InputTypeError(f"subsets: expected a whole number or lists of views, got {subsets!r}") from None
    if not 1 <= count <= views:
        raise InputError(f"subsets: expected from 1 to the number of views {views}, got {count}")
    return [list(range(first, views, count)) for first in range(count)]


def given_subsets(views: int, subsets: Sequence[Sequence[int]]) -> list[list[int]]:
    """Lists of view numbers, each view in exactly one of them."""
    lists = [[operator.index(view) for view in subset] for subset in subsets]
    if sorted(view for subset in lists for view in subset) != list(range(views)):
        raise InputError(f"subsets: expected each of the {views} views in exactly one list")
    return lists


def orders(subsets: int, order: str, generator: torch.Generator | None) -> Iterator[list[int]]:
    """The order of the subsets in each iteration, without end.

    "golden": steps of the golden section of all subsets (T. Kohler, IEEE Nuclear Science Symposium, 2004).
    "distance": always the subset that lies farthest from those before, recent ones counting more (after K. Mueller,
    R. Yagel, J. F. Cornhill, IEEE Transactions on Medical Imaging 16(6), 1997).
    "random": drawn anew in each iteration. "sequential": as they come.

    Raises:
        ValueError: another order.
    """
    if order not in ORDERS:
        raise InputError(f"order: expected one of {', '.join(ORDERS)}, got {order!r}")
    if order == "random":
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        while True:
            yield torch.randperm(subsets, generator=generator, device=generator.device).tolist()
    fixed = {"golden": _golden, "distance": _distance, "sequential": lambda n: list(range(n))}[order](subsets)
    while True:
        yield fixed


def _golden(count: int) -> list[int]:
    """Multiples of the golden section, each taken to the nearest subset that is still free."""
    free, section, chosen = list(range(count)), (math.sqrt(5) - 1) / 2, []
    for i in range(count):
        wanted = count * (i * section % 1)
        nearest = min(free, key=lambda k: min(abs(k - wanted), count - abs(k - wanted)))
        free.remove(nearest)
        chosen.append(nearest)
    return chosen


def _distance(count: int) -> list[int]:
    """Greedy: the least crowded place on the circle of subsets, where older neighbours crowd less."""
    position = torch.arange(count, dtype=torch.float64)
    crowd, chosen, latest = torch.zeros(count, dtype=torch.float64), [], 0
    for _ in range(count):
        chosen.append(latest)
        apart = (position - latest).abs()
        apart = torch.minimum(apart, count - apart) * 2 / count
        crowd = crowd * 0.9 + (1 - apart) ** 2
        crowd[latest] = math.inf
        latest = int(crowd.argmin())
    return chosen
