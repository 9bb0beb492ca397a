"""The schema of a thing that is built by a constructor: its arguments, their types and defaults.

So the options of a network or a loss are stated once, in its constructor. Types are those of `config.schema`
(`Annotated[int, Check(...)]` among them); conditions may as well be checked by the constructor itself.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Collection
from typing import Any, Literal

from sinograd.errors import InputError


def arguments(build: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The arguments of a class's constructor or of a function, those of `*args` and `**kwargs` left out."""
    function = build.__init__ if isinstance(build, type) else build
    parameters = list(inspect.signature(function).parameters.values())[1 if isinstance(build, type) else 0 :]
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {parameter.name: parameter for parameter in parameters if parameter.kind not in several}


def schema_of(
    name: str,
    build: Callable[..., Any],
    *,
    base: type | None = None,
    without: Collection[str] = (),
) -> type:
    """A frozen dataclass with the field `name`, those of `base`, and one for each argument of `build`.

    Args:
        name: the only value of the field `name`.
        build: a class or function with named arguments; those without an annotation take any value.
        base: a dataclass to derive from, whose fields come before those of the arguments.
        without: arguments that are no options, such as `generator`.

    Raises:
        InputError: an argument has the name of one of the fields of `base`.
    """
    taken = {"name"} if base is None else {"name", *(field.name for field in dataclasses.fields(base))}
    function = build.__init__ if isinstance(build, type) else build
    types = typing.get_type_hints(function, include_extras=True)
    fields: list[tuple[str, Any, Any]] = [("name", Literal[name], dataclasses.field(default=name))]
    for key, argument in arguments(build).items():
        if key in without:
            continue
        if key in taken:
            raise InputError(f"{name}: its argument {key} has a name that configurations use for something else")
        fields.append((key, types.get(key, Any), _field(argument.default)))
    return dataclasses.make_dataclass(
        f"{getattr(build, '__name__', name)}Options",
        fields,
        bases=() if base is None else (base,),
        frozen=True,
        kw_only=True,
        namespace={"__doc__": f"The options of {name}.", "__module__": __name__},
    )


def options_of(config: Any, base: type | None = None) -> dict[str, Any]:
    """The arguments that a dataclass of `schema_of` holds."""
    others = {"name"} if base is None else {"name", *(field.name for field in dataclasses.fields(base))}
    return {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name not in others}


def _field(default: Any) -> Any:
    if default is inspect.Parameter.empty:
        return dataclasses.field()
    if type(default).__hash__ is None:  # lists and the like, which dataclasses refuse as defaults
        return dataclasses.field(default_factory=lambda: type(default)(default))
    return dataclasses.field(default=default)
