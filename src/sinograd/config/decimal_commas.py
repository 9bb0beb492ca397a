"""Numbers with decimal commas in YAML files of lengths and angles: `spacing: 0,25` is the number 0.25.

YAML itself takes 0,25 for text, and in a list or mapping in brackets for two entries: `[0,5]` is 0 and 5. A text is
read as the number that it is where it can be only one; what could be one number or two is an error that names the key.
In brackets that are whole numbers with a comma and no space between them, unless the list holds decimal points, or
three or more evenly spaced numbers (as angles are: 0,1,2,3).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import pairwise
from typing import Any

import yaml

from sinograd.config.shown import shown
from sinograd.config.yaml import TextSource, load_yaml
from sinograd.errors import FormatError

_NUMERAL = re.compile(r"[-+]?[\d.,]*\d[\d.,]*([eE][-+]?\d+)?")
_DECIMAL = re.compile(r"[-+]?(\d+,\d*|,\d+)([eE][-+]?\d+)?")
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_WHOLE, _FRACTION = re.compile(r"[-+]?\d+"), re.compile(r"\d+([eE][-+]?\d+)?")
_COUNTS = ("shape", "views")
_TEXTS = ("projections", "metadata", "provenance", "digests")


def load_numbers(source: TextSource, texts: Collection[str] = _TEXTS) -> Any:
    """As `load_yaml`, for a file of lengths and angles: numbers with decimal commas are read as numbers.

    texts: keys of the whole whose values stay as they are.

    Raises:
        FormatError: as `load_yaml`, and for a comma that may be a decimal sign or not; names file, line and key.
    """
    seen: set[int] = set()
    data = load_yaml(source, check=lambda node: _check(str(source), node, seen, texts))
    return _with_points(str(source), data, "", texts)


def _with_points(source: str, value: Any, key: str, texts: Collection[str] = (), clear: bool = False) -> Any:
    """A value whose texts that are numbers with a decimal comma are those numbers.

    clear: others of its list can be nothing else, so that 1,250 is 1.25 and not 1250.
    """
    if isinstance(value, dict):
        return {
            name: entry if name in texts else _with_points(source, entry, f"{key}.{name}" if key else str(name))
            for name, entry in value.items()
        }
    if isinstance(value, list):
        clear = any(isinstance(entry, str) and _is_decimal(entry) for entry in value)
        return [_with_points(source, entry, key, (), clear) for entry in value]
    if not isinstance(value, str) or "," not in value or not _NUMERAL.fullmatch(value):
        return value
    if not _is_decimal(value) and not (clear and _DECIMAL.fullmatch(value)):
        raise FormatError(
            f"{source}: {key}: {shown(value, 40)} can be several numbers: write a decimal number as 0.5, with a point, "
            "and no comma between thousands"
        )
    return float(value.replace(",", "."))


def _is_decimal(text: str) -> bool:
    return _DECIMAL.fullmatch(text) is not None and not _THOUSANDS.fullmatch(text)


def _check(source: str, node: yaml.Node, seen: set[int], texts: Collection[str] = (), key: str = "") -> None:
    """FormatError for the first entries in brackets that may be parts of one number. seen: nodes that were checked."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        last = ""
        for name, value in node.value:
            word = name.value if isinstance(name, yaml.ScalarNode) else ""
            if node.flow_style and last and _is_missing(value) and _FRACTION.fullmatch(word):
                raise _unclear(source, name, last, f"the comma before {word[:20]}")
            if word not in texts:
                last = f"{key}.{word}" if key else word
                _check(source, value, seen, (), last)
    elif isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            _check(source, entry, seen, (), key)
        if key.rpartition(".")[2] not in _COUNTS and node.flow_style and _is_unclear(node.value, key):
            first, last_entry = node.value[0], node.value[-1]
            raise _unclear(source, first, key, f"a list from {first.value[:20]} to {last_entry.value[:20]}")


def _is_unclear(entries: list[yaml.Node], key: str) -> bool:
    """Whether commas in a list in brackets may be decimal signs."""
    if not all(isinstance(entry, yaml.ScalarNode) and _NUMBER.fullmatch(entry.value) for entry in entries):
        return False
    pairs = list(pairwise(entries))
    joined = [_gap(one, two) == 1 for one, two in pairs]
    if not any(
        tight and _WHOLE.fullmatch(one.value) and _FRACTION.fullmatch(two.value)
        for tight, (one, two) in zip(joined, pairs, strict=True)
    ):
        return False
    if not all(tight or _gap(one, two) is None for tight, (one, two) in zip(joined, pairs, strict=True)):
        return True
    if not all(_WHOLE.fullmatch(entry.value) for entry in entries):
        return False
    steps = {int(two.value) - int(one.value) for one, two in pairs}
    vector = len(entries) == 3 and not key.endswith("angles_deg")
    return not (len(entries) > 2 and len(steps) == 1) and not vector


def _is_missing(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == ""


def _gap(one: yaml.Node, two: yaml.Node) -> int | None:
    """Characters between two entries of a line; None where they are on two lines."""
    end, start = one.end_mark, two.start_mark
    return start.column - end.column if start.line == end.line else None


def _unclear(source: str, node: yaml.Node, key: str, words: str) -> FormatError:
    return FormatError(
        f"{source}, line {node.start_mark.line + 1}: {key}: {words} can be one number or two: write a decimal number "
        "as 0.5, with a point, and a space after each comma between numbers"
    )
