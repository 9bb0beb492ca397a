"""The YAML of the package: one strict loader, one dumper.

Strict: a key that is given twice is an error, and 1e-3 is a number (YAML 1.1 takes it for text). PyYAML's C part is
used where it is installed: geometries given by vectors are long texts.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import yaml

from sinograd.config.regular_files import read_text
from sinograd.config.shown import shown
from sinograd.errors import FormatError

MAX_VALUES = 1_000_000  # those of 60,000 views given by vectors
MAX_DEPTH = 200  # levels of lists and mappings; the C part would overflow its stack at some 10,000
_EXPONENT = re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$")
_TAG = "tag:yaml.org,2002:"
_FLOAT, _INT, _MERGE = f"{_TAG}float", f"{_TAG}int", f"{_TAG}merge"
_POINT = re.compile(r"[-+]?[0-9]+\.[0-9]*([eE][-+][0-9]+)?")  # most of what long files hold
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,15})")
_MOST_BITS = 1000  # of a whole number: it is still a float


class TextSource(Protocol):
    """A file with text: a `Path`, or a resource of a package."""

    def read_text(self, encoding: str | None = None) -> str:
        """The whole text."""
        ...


def load_yaml(content: str | TextSource, source: str = "", check: Callable[[yaml.Node], None] | None = None) -> Any:
    """Plain YAML to mappings, lists, numbers and text; dates stay text.

    Args:
        content: the text itself, or a file (a path, not its name).
        source: what error messages call the text; by default the file's name.
        check: is given the nodes, as they are written, before they become values.

    Raises:
        FormatError: no YAML, a key given twice, lists nested without end, more values than a description has (those
            that aliases repeat count each time), or no UTF-8 text; names source and line.
        FileError: the file is a pipe, a socket or a device.
        OSError: the file cannot be read.
    """
    source = source or ("the text" if isinstance(content, str) else str(content))
    try:
        if isinstance(content, Path):
            content = read_text(content)
        text = content if isinstance(content, str) else content.read_text(encoding="utf-8")
        with _no_collection():
            return _loaded(text, check)
    except (FormatError, OSError):
        raise
    except Exception as error:  # PyYAML meets values that do not fit their tags with whatever they lead to
        words = str(error) if isinstance(error, yaml.YAMLError | ValueError) else f"{type(error).__name__}: {error}"
        reason = " ".join(words.replace('in "<unicode string>", ', "at ").split())
        raise FormatError(f"{source} is not a YAML file: {reason[:400]}") from error


def _loaded(text: str, check: Callable[[yaml.Node], None] | None) -> Any:
    _check_size(text)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if check is not None and node is not None:
            check(node)
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without garbage collection, which would look through a million nodes again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def dump_yaml(record: Any) -> str:
    """The YAML text of mappings, lists, numbers and text, in their order; short lists stand on one line."""
    return yaml.dump(record, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, list | dict | set):
                break  # PyYAML refuses it
            if key in seen:
                raise _wrong(f"key {shown(key)} is given twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def resolve(self, kind: type[yaml.Node], value: str, implicit: Any) -> Any:
        if kind is yaml.ScalarNode and implicit[0]:
            if _POINT.fullmatch(value):
                return _FLOAT
            if _WHOLE.fullmatch(value):
                return _INT
        return super().resolve(kind, value, implicit)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if isinstance(node, yaml.ScalarNode):
            if node.tag == _FLOAT and _POINT.fullmatch(node.value):
                return float(node.value)
            if node.tag == _INT and _WHOLE.fullmatch(node.value):
                return int(node.value)
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:
            kind = node.tag.removeprefix("tag:yaml.org,2002:")
            raise _wrong(f"{shown(node.value, 40)} is no {kind}: {error}", node) from error

    def whole_number(self, node: yaml.ScalarNode) -> int:
        value: int = self.construct_yaml_int(node)
        if value.bit_length() > _MOST_BITS:
            raise _wrong("a number of too many digits", node)
        return value

    def refused(self, node: yaml.Node) -> Any:
        raise _wrong(f"values with the tag {node.tag.replace('tag:yaml.org,2002:', '!!')} are not read", node)


def _wrong(words: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, words, node.start_mark)


_Loader.add_constructor(f"{_TAG}int", _Loader.whole_number)
_Loader.add_constructor(f"{_TAG}timestamp", _Loader.construct_yaml_str)
for _name in ("binary", "omap", "pairs", "set"):
    _Loader.add_constructor(f"{_TAG}{_name}", _Loader.refused)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:
        return True


for _class in (_Loader, _Dumper):  # the dumper puts text that looks like such a number in quotes
    _class.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+.0123456789"))


def _check_size(text: str) -> None:
    """YAMLError for lists and mappings that are nested deeper than MAX_DEPTH, hold themselves, or hold more than
    MAX_VALUES values, those of aliases counted each time."""
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            total += sizes.get(event.anchor, 1)
            if any(anchor == event.anchor for anchor, _ in opened):
                raise yaml.YAMLError(f"&{event.anchor} holds itself at line {event.start_mark.line + 1}")
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, total))
            total += 1
            if len(opened) > MAX_DEPTH:
                line = event.start_mark.line + 1
                raise yaml.YAMLError(f"it is nested more than {MAX_DEPTH} levels deep at line {line}")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        if total > MAX_VALUES:
            raise yaml.YAMLError(f"it holds more than {MAX_VALUES:,} values at line {event.start_mark.line + 1}")
