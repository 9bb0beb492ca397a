"""A part of a study: some methods, some seeds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sinograd.errors import ConfigError
from study.config import Method, Study
from study.methods import deeper, sized, started

VARIANTS = {"sizes": "amounts of training data", "depth": "depth", "starts": "start values"}


def only(study: Study, names: Sequence[str], seeds: int | None = None, extras: Collection[str] = ()) -> Study:
    """The part of a study with some of its methods (all where none are named) and the first of its seeds.

    Comparisons are those between the methods. What trains variants of a method (sizes, depth, starts) is left out where
    methods are named, but for `extras`, and has as many seeds.
    """
    known = [method.name for method in study.methods]
    for name in names:
        if name not in known:
            raise ConfigError(f"methods: no {name!r}, expected some of {', '.join(known)}")
    if seeds is not None and seeds > len(study.seeds):
        raise ConfigError(f"seeds: expected at most {len(study.seeds)}, got {seeds}")
    held = {"low-dose", *(names or known)}
    implant = study.implant

    def variants_of(name: str) -> Any:
        part: Any = getattr(study, name)
        if part is None or (names and name not in extras):
            return None
        return replace(part, seeds=part.seeds[:seeds])

    return replace(
        study,
        methods=tuple(method for method in study.methods if method.name in held),
        seeds=study.seeds[:seeds],
        comparisons=tuple(pair for pair in study.comparisons if held.issuperset(pair)),
        headline=tuple(pair for pair in study.headline if held.issuperset(pair)),
        implant=implant and replace(implant, methods=tuple(name for name in implant.methods if name in held)),
        **{name: variants_of(name) for name in VARIANTS},
    )


def variants(study: Study) -> dict[str, tuple[list[Method], Sequence[int]]]:
    """What a study trains beside its methods: variants of these, and their seeds, by the names of `VARIANTS`."""
    found: dict[str, tuple[list[Method], Sequence[int]]] = {}
    if (sizes := study.sizes) is not None:
        found["sizes"] = [sized(study, like, n) for like in sizes.methods for n in sizes.counts], sizes.seeds
    if (depth := study.depth) is not None:
        found["depth"] = [deeper(study, depth.like, filters) for filters in depth.filters], depth.seeds
    if (starts := study.starts) is not None:
        found["starts"] = [started(study, starts.like, *sigmas) for sigmas in starts.sigmas], starts.seeds
    return found


def part_with(whole: Study, names: Collection[str], seeds: int) -> Study:
    """The part of a study whose methods and variants are among `names`."""
    methods = [method.name for method in whole.methods if method.name in names]
    extras = [name for name, (made, _) in variants(whole).items() if all(method.name in names for method in made)]
    return only(whole, methods, seeds, extras)


def left_out(study: Study, whole: Study) -> list[str]:
    """What a part has not, in words for its tables."""
    run = {method.name for method in study.methods}
    words = [method.title for method in whole.methods if method.name not in run]
    words += [f"seed {seed}" for seed in whole.seeds if seed not in study.seeds]
    return words + [text for name, text in VARIANTS.items() if getattr(whole, name) and not getattr(study, name)]
