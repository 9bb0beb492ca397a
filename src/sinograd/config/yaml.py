"""The YAML of the package: one strict loader, one dumper.

Strict: a key that is given twice is an error, and 1e-3 is a number (YAML 1.1 takes it for text). PyYAML's C part is
used where it is installed: geometries given by vectors are long texts.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

import yaml

from sinograd.errors import FormatError
from sinograd.files.inputs import reading

MAX_DEPTH = 200  # levels of lists and mappings; the C part would overflow its stack at some 10,000
_EXPONENT = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
_FLOAT, _MERGE = "tag:yaml.org,2002:float", "tag:yaml.org,2002:merge"


class TextSource(Protocol):
    """A file with text: a `Path`, or a resource of a package."""

    def read_text(self, encoding: str | None = None) -> str:
        """The whole text."""
        ...


def load_yaml(content: str | TextSource, source: str = "") -> Any:
    """Plain YAML to mappings, lists, numbers and text.

    Args:
        content: the text itself, or a file (a path, not its name).
        source: what error messages call the text; by default the file's name.

    Raises:
        FormatError: no YAML, a key given twice, lists nested without end, or no UTF-8 text; names source and line.
        OSError: the file cannot be read.
    """
    source = source or ("the text" if isinstance(content, str) else str(content))
    try:
        text = content if isinstance(content, str) else reading(content).read_text(encoding="utf-8")
        _check_depth(text)
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).replace('in "<unicode string>", ', "at ").split())
        raise FormatError(f"{source} is not a YAML file: {reason}") from error


def dump_yaml(record: Any) -> str:
    """The YAML text of mappings, lists, numbers and text, in their order; short lists stand on one line."""
    return yaml.dump(record, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, list | dict | set):
                break  # PyYAML refuses it
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:
        return True


for _class in (_Loader, _Dumper):  # the dumper puts text that looks like such a number in quotes
    _class.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+.0123456789"))


def _check_depth(text: str) -> None:
    """YAMLError for lists and mappings that are nested deeper than MAX_DEPTH."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1
                raise yaml.YAMLError(f"it is nested more than {MAX_DEPTH} levels deep at line {line}")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
