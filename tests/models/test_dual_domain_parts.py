"""What `DualDomainBilateral` is made of: modules in any iterable, and errors that name the argument."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

import sinograd as sg
from sinograd import layers, models

FILTER = layers.BilateralFilter2d()
WRONG: dict[str, tuple[Any, str]] = {
    "a module by itself": (
        FILTER,
        r"projection_filters: expected several modules, got a BilateralFilter2d: put it into a",
    ),
    "a number": (3, "projection_filters: expected several modules, got a int"),
    "a class among them": (
        [FILTER, layers.BilateralFilter2d],
        "projection_filters: expected modules, got a type among",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_other_parts_are_refused(name: str) -> None:
    parts, words = WRONG[name]
    with pytest.raises(TypeError, match=words):
        models.DualDomainBilateral(parts, [])
    with pytest.raises(TypeError, match=words.replace("projection", "image")):
        models.DualDomainBilateral([], parts)


def test_any_iterable_of_modules_will_do() -> None:
    several = nn.Sequential(FILTER, layers.BilateralFilter2d())
    for parts in (several, list(several), tuple(several), nn.ModuleList(several), iter(several)):
        assert len(models.DualDomainBilateral(parts, ()).projection_filters) == 2


def test_a_geometry_is_expected() -> None:
    with pytest.raises(TypeError, match="geometry: expected a geometry, got a str"):
        models.DualDomainBilateral([], [FILTER]).over("fan", sg.Grid((4, 4), 1.0))  # pyright: ignore[reportArgumentType]
