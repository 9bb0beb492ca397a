"""A part of a study: some methods, some seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from sinograd.errors import ConfigError
from study.config import Study

T = TypeVar("T")


def only(study: Study, names: Sequence[str], seeds: int | None = None) -> Study:
    """The part of a study with some of its methods (all where none are named) and the first of its seeds.

    Comparisons are those between the methods. What trains variants of a method (sizes, depth, starts) is left out where
    methods are named, and has as many seeds else.
    """
    known = [method.name for method in study.methods]
    for name in names:
        if name not in known:
            raise ConfigError(f"methods: no {name!r}, expected some of {', '.join(known)}")
    if seeds is not None and seeds > len(study.seeds):
        raise ConfigError(f"seeds: expected at most {len(study.seeds)}, got {seeds}")
    held = {"low-dose", *(names or known)}
    implant = study.implant

    def variants(part: T | None) -> T | None:
        return None if names or part is None else replace(part, seeds=part.seeds[:seeds])  # type: ignore[attr-defined,type-var]

    return replace(
        study,
        methods=tuple(method for method in study.methods if method.name in held),
        seeds=study.seeds[:seeds],
        comparisons=tuple(pair for pair in study.comparisons if held.issuperset(pair)),
        headline=tuple(pair for pair in study.headline if held.issuperset(pair)),
        sizes=variants(study.sizes),
        depth=variants(study.depth),
        starts=variants(study.starts),
        implant=implant and replace(implant, methods=tuple(name for name in implant.methods if name in held)),
    )


def left_out(study: Study, whole: Study) -> list[str]:
    """What a part has not, in words for its tables."""
    run = {method.name for method in study.methods}
    words = [method.title for method in whole.methods if method.name not in run]
    words += [f"seed {seed}" for seed in whole.seeds if seed not in study.seeds]
    parts = {"sizes": "amounts of training data", "depth": "depth", "starts": "start values"}
    return words + [text for name, text in parts.items() if getattr(whole, name) and not getattr(study, name)]
