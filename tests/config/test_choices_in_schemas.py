"""Schemas that registries and constructors give. Truth: the values written down here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from sinograd.config.schema import AT_LEAST_ONE, Choice, OneOf, from_plain, to_plain
from sinograd.config.signature import arguments, options_of, schema_of
from sinograd.errors import ConfigError, InputError
from sinograd.registry import Registry


class Box:
    def __init__(
        self,
        width: Annotated[int, AT_LEAST_ONE],
        depth: float = 2,
        names: list[str] = ["a"],  # noqa: B006
        *rest: int,
        **more: int,
    ) -> None:
        pass


def plain() -> None:
    pass


SHAPES: Registry[Any] = Registry("shape")
SHAPES.add("box", Box)
SHAPES.add("point", plain)
SHAPES.add("broken", "no_such_package:Shape")


def schema(name: str) -> type:
    return schema_of(name, SHAPES.load(name))


LONG, SHORT = Choice(SHAPES.names, schema), Choice(SHAPES.names, schema, short=True)


@dataclass(frozen=True)
class Scene:
    shape: Annotated[Any, LONG]
    short: Annotated[Any, SHORT] = "point"
    kind: Annotated[str, OneOf(SHAPES)] | None = None


def test_arguments_become_fields() -> None:
    """Types, conditions and defaults are the constructor's; a default that can be changed is not shared."""
    assert list(arguments(Box)) == ["width", "depth", "names"]
    kind = schema_of("box", Box)
    one, other = kind(width=3), kind(width=3)
    assert to_plain(one) == {"name": "box", "width": 3, "depth": 2, "names": ["a"]}
    assert options_of(one) == {"width": 3, "depth": 2, "names": ["a"]} and one == other
    assert one.names is not other.names
    assert to_plain(schema_of("point", plain)()) == {"name": "point"}
    assert list(options_of(schema_of("box", Box, without=("depth",))(width=1))) == ["width", "names"]

    @dataclass(frozen=True)
    class Base:
        depth: int = 1

    with pytest.raises(InputError, match="box: its argument depth has a name that configurations use"):
        schema_of("box", Box, base=Base)


def test_choices() -> None:
    """A mapping with a name; where it may be short, the name alone, which is the value of what has no options."""
    scene = from_plain(Scene, {"shape": {"name": "point"}, "short": {"name": "point"}, "kind": "box"})
    assert (to_plain(scene.shape), scene.short, scene.kind) == ({"name": "point"}, "point", "box")
    SHAPES.add("line", plain)
    try:
        assert from_plain(Scene, {"shape": {"name": "line"}, "short": "line", "kind": "line"}).short == "line"
    finally:
        SHAPES.remove("line")


BAD: dict[str, dict[str, Any]] = {
    "shape: missing, expected a mapping with name: box, point or broken": {},
    "shape: expected a mapping with name: box, point or broken, got 'point'": {"shape": "point"},
    "shape.name: missing, expected box, point or broken": {"shape": {"width": 2}},
    "shape.name: expected box, point or broken, got 'ball'": {"shape": {"name": "ball"}},
    "shape.name: expected box, point or broken, got [1]": {"shape": {"name": [1]}},
    "shape.name: broken cannot be used: 'broken' cannot be imported from 'no_such_package:Shape': "
    "No module named 'no_such_package'": {"shape": {"name": "broken"}},
    "shape.width: expected a whole number of at least 1, got 0": {"shape": {"name": "box", "width": 0}},
    "shape.widht: unknown key (did you mean width?)": {"shape": {"name": "box", "widht": 1}},
    "short: expected box, point or broken, got 'ball'": {"shape": {"name": "point"}, "short": "ball"},
    "short: expected box, point or broken, or a mapping with such a name, got 3": {
        "shape": {"name": "point"},
        "short": 3,
    },
    "short.width: missing, expected a whole number": {"shape": {"name": "point"}, "short": "box"},
    "kind: expected one of box, point or broken or null, got 'ball'": {"shape": {"name": "point"}, "kind": "ball"},
}


@pytest.mark.parametrize("words", BAD)
def test_errors_name_the_key(words: str) -> None:
    with pytest.raises(ConfigError, match="^" + re.escape(words)):
        from_plain(Scene, BAD[words])
