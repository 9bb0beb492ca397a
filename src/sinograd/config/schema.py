"""Plain data (YAML's mappings, lists, numbers, text) to dataclasses and back, strictly.

The dataclasses are the schema: field types are bool, int, float, str, Path, Literal, None, tuple, dict, other
dataclasses and unions of these. Dataclasses in a union are told apart by their first field, a Literal of one value
(such as `name`).
`Annotated[type, Check(...)]` adds a condition, `Annotated[str, OneOf(registry)]` a name out of a registry, and
`Annotated[base, Choice(...)]` a mapping whose keys depend on its `name`. An error names the key path, the expected and
the actual value.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sinograd.config.near_keys import near_keys
from sinograd.config.own_code import path_of
from sinograd.config.shown import shown
from sinograd.errors import ConfigError, InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """A condition on a value: `expected` completes "expected ..."."""

    expected: str
    holds: Callable[[Any], bool]


@dataclass(frozen=True, eq=False)
class OneOf:
    """A text that is one of the names of a registry, as they are when it is read."""

    names: Iterable[str]

    @property
    def expected(self) -> str:
        """Completes "expected ..."."""
        return f"one of {_one_of(self.names)}"

    def holds(self, value: object) -> bool:
        """Whether it is one of the names."""
        return value in tuple(self.names)


@dataclass(frozen=True)
class Usual:
    """Of a union of dataclasses that are told apart by `name`: the one that is meant where there is none."""

    name: str


@dataclass(frozen=True)
class Choice:
    """One of several things by its `name`, in a mapping whose other keys are the options of that thing.

    Attributes:
        names: the choices of now.
        schema: a name to its dataclass, whose first field is `name`; raises InputError or ImportError where it
            cannot be had.
        short: the name alone stands for the mapping with all defaults, and is the value where there are no options.
    """

    names: Callable[[], Iterable[str]]
    schema: Callable[[str], type]
    short: bool = False

    @property
    def expected(self) -> str:
        """Completes "expected ..."."""
        names = _one_of(self.names())
        return f"{names}, or a mapping with such a name" if self.short else f"a mapping with name: {names}"


POSITIVE = Check("a positive number", lambda value: value > 0)
NOT_NEGATIVE = Check("a number that is not negative", lambda value: value >= 0)
AT_LEAST_ONE = Check("a whole number of at least 1", lambda value: value >= 1)


def from_plain(kind: type[T], data: object, where: str = "") -> T:
    """The dataclass `kind` from a mapping; raises ConfigError. `where` is the key path so far."""
    return _read(kind, data, where)


def to_plain(value: object) -> Any:
    """Mappings, lists, numbers and text, as `from_plain` reads them; every field is written out.

    Fields whose metadata have plain=False are left out: they hold what exists in memory alone. Functions and modules,
    such as a loss of one's own, are named: {name: own, path: "module:function"}.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and not callable(value):
        written = [f.name for f in dataclasses.fields(value) if f.metadata.get("plain", True)]
        return {name: to_plain(getattr(value, name)) for name in written}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_plain(item) for item in value]
    if callable(value):
        return {"name": "own", "path": path_of(value), "options": {}}
    return str(value) if isinstance(value, Path) else value


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Key paths at which two plain values differ, each with both values."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        keys = [*one, *(key for key in other if key not in one)]
        return [line for key in keys for line in differences(one.get(key), other.get(key), _join(where, key))]
    return [] if one == other else [f"{where or 'the whole'}: {one!r} and {other!r}"]


def _read(kind: Any, data: object, where: str) -> Any:
    checks: list[Check | OneOf] = []
    while typing.get_origin(kind) is typing.Annotated:
        kind, *more = typing.get_args(kind)
        for item in more:
            if isinstance(item, Choice):
                return _read_choice(item, data, where)
            if isinstance(item, Usual) and isinstance(data, Mapping) and "name" not in data:
                data = {"name": item.name, **data}
        checks += [item for item in more if isinstance(item, Check | OneOf)]
    value = _read_bare(kind, data, where)
    for check in checks:
        if value is not None and not check.holds(value):
            raise _error(where, check.expected, data)
    return value


def _read_bare(kind: Any, data: object, where: str) -> Any:
    origin, members = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return data
    if origin in (typing.Union, types.UnionType):
        return _read_union(members, data, where)
    if origin is tuple:
        return _read_tuple(kind, members, data, where)
    if origin is dict:
        if not isinstance(data, Mapping):
            raise _error(where, in_words(kind), data)
        return {_read(members[0], key, where): _read(members[1], item, _join(where, key)) for key, item in data.items()}
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(typing.cast(type, kind), data, where)
    if _is_scalar(kind, origin, members, data):
        return float(typing.cast(float, data)) if kind is float else Path(str(data)) if kind is Path else data
    raise _error(where, in_words(kind), data)


_LARGEST = sys.float_info.max


def _is_scalar(kind: Any, origin: Any, members: tuple[Any, ...], data: object) -> bool:
    if origin is typing.Literal:
        return any(data == member and type(data) is type(member) for member in members)
    if kind is types.NoneType:
        return data is None
    if kind is float:
        return isinstance(data, int | float) and not isinstance(data, bool) and abs(data) <= _LARGEST
    if kind is int:
        return isinstance(data, int) and not isinstance(data, bool)
    if kind is Path:
        return isinstance(data, Path) or (isinstance(data, str) and data != "")
    return isinstance(data, kind)


def _read_union(members: tuple[Any, ...], data: object, where: str) -> Any:
    tagged = [(_tag_of(member), member) for member in members if dataclasses.is_dataclass(member)]
    if not tagged:
        return _first_that_reads(members, data, where)
    if data is None and types.NoneType in members:
        return None
    (key, _), only = tagged[0]
    if len(tagged) == 1 and key is None:
        return _read(only, data, where)
    named = {tag: member for (_, tag), member in tagged}
    if not isinstance(data, Mapping):
        raise _error(where, f"a mapping with {key}: {_one_of(named)}", data)
    if key not in data:
        raise ConfigError(f"{_join(where, key)}: missing, expected {_one_of(named)}")
    if data[key] not in list(named):
        raise _error(_join(where, key), _one_of(named), data[key])
    return _read(named[data[key]], data, where)


def _read_choice(choice: Choice, data: object, where: str) -> Any:
    names = tuple(choice.names())
    if choice.short and isinstance(data, str):
        if data not in names:
            raise _error(where, _one_of(names), data)
        data, key = {"name": data}, where
    else:
        key = _join(where, "name")
    if not isinstance(data, Mapping):
        raise _error(where, choice.expected, data)
    if "name" not in data:
        raise ConfigError(f"{key}: missing, expected {_one_of(names)}")
    name = data["name"]
    if name not in names:
        raise _error(key, _one_of(names), name)
    try:
        kind = choice.schema(name)
    except (InputError, ImportError, AttributeError) as error:
        raise ConfigError(f"{key}: {name} cannot be used: {error}") from error
    value = _read(kind, data, where)
    return name if choice.short and len(dataclasses.fields(kind)) == 1 else value


def _first_that_reads(members: tuple[Any, ...], data: object, where: str) -> Any:
    """The value as the first member that takes it; the error of the only one that could have."""
    deeper: list[ConfigError] = []
    for member in members:
        try:
            return _read(member, data, where)
        except ConfigError as error:
            if isinstance(data, Mapping | list | tuple) and not str(error).startswith(f"{where}: "):
                deeper.append(error)
    if len(deeper) == 1:
        raise deeper[0]
    raise _error(where, " or ".join(in_words(member) for member in members), data)


def _read_tuple(kind: Any, members: tuple[Any, ...], data: object, where: str) -> tuple[Any, ...]:
    if not isinstance(data, list | tuple):
        raise _error(where, in_words(kind), data)
    if len(members) == 2 and members[1] is Ellipsis:
        return tuple(_read(members[0], item, f"{where}[{i}]") for i, item in enumerate(data))
    if len(data) != len(members):
        raise _error(where, in_words(kind), data)
    pairs = enumerate(zip(members, data, strict=True))
    return tuple(_read(member, held, f"{where}[{i}]") for i, (member, held) in pairs)


def _read_dataclass(kind: type, data: object, where: str) -> Any:
    fields = {f.name: f for f in dataclasses.fields(kind)}
    if not isinstance(data, Mapping):
        raise _error(where, f"a mapping of the keys {', '.join(fields)}", data)
    for key in data:
        if key not in fields:
            close = near_keys(key, fields)
            hint = f" (did you mean {' or '.join(close)}?)" if close else ""
            raise ConfigError(f"{_join(where, key)}: unknown key{hint}, expected some of {', '.join(fields)}")
    hints = typing.get_type_hints(kind, include_extras=True)
    values = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _read(hints[name], data[name], _join(where, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{_join(where, name)}: missing, expected {in_words(hints[name])}")
    return kind(**values)


def in_words(kind: Any) -> str:
    """A type of a schema, such as a field's, in the words of the errors: "a whole number of at least 1"."""
    origin, members = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        conditions = (item.expected for item in members if isinstance(item, Check | OneOf | Choice))
        return next(conditions, in_words(members[0]))
    if origin is typing.Literal:
        return _one_of(members)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(in_words(member) for member in members)
    if origin is tuple:
        count = "" if members[-1] is Ellipsis else f"{len(members)} of "
        return f"a list of {count}{_plural(in_words(members[0]))}"
    if origin is dict:
        return f"a mapping of names to {_plural(in_words(members[1]))}"
    if dataclasses.is_dataclass(kind):
        return f"a mapping of the keys {', '.join(f.name for f in dataclasses.fields(kind))}"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "the path of a file"}
    return words.get(kind, "null")


def _plural(text: str) -> str:
    article, _, noun = text.partition(" ")
    return f"{noun}s" if article == "a" and " " not in noun else f"entries: {text}"


def _one_of(values: Any) -> str:
    texts = [str(value) for value in values]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"


def _tag_of(kind: Any) -> tuple[str | None, Any]:
    """The tag of a dataclass in a union: name and value of its first field if that is a Literal of one value,
    else None and the class itself."""
    first = dataclasses.fields(kind)[0].name
    hint = typing.get_type_hints(kind)[first]
    values = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
    return (first, values[0]) if len(values) == 1 else (None, kind)


def _join(where: str, key: object) -> str:
    text = str(key) if isinstance(key, str) else shown(key)
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return f"{where}.{text}" if where else text


def _error(where: str, expected: str, data: object) -> ConfigError:
    return ConfigError(f"{where or 'the configuration'}: expected {expected}, got {shown(data, 60)}")
