"""Angles in a text file: `angles_deg: angles.txt` in a geometry's YAML file.

The file holds numbers in degrees, one a line or several with spaces, tabs, commas or semicolons between them. What
follows #, %, ! or // in a line is a comment. "0,25" is 0.25 where commas can only be decimal signs: where each line is
one such word, there are no decimal points, and the angles are evenly spaced so, and are not with two numbers a line.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.config.shown import shown
from sinograd.errors import FormatError, MissingFileError, ScanWarning
from sinograd.files.inputs import noted

MAX_BYTES, MOST_ANGLES = 16 << 20, 1_000_000
_COMMENT = re.compile(r"(#|%|!|//).*")
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eEdD][-+]?\d+)?")
_COMMA = re.compile(r"[-+]?\d+,\d+")
_EVEN = 0.01  # of a step
_MANY = 50
_LONGEST_NAME = 1000


def read_angles(path: Path) -> list[float]:
    """The angles of a text file, in its unit, degrees; at least one.

    Raises:
        MissingFileError: there is no such file.
        FormatError: no text, no numbers, or words that are none; names file and line.

    Warns:
        ScanWarning: many angles that span pi or 2 pi, as radians would.
    """
    lines = _lines(path)
    words = [(number, word) for number, text in lines for word in re.split(r"[\s;]+", text) if word]
    if len(words) > MOST_ANGLES:
        raise FormatError(f"{path} holds {len(words):,} words, at most {MOST_ANGLES:,} angles are read")
    if _has_decimal_commas(path, words):
        words = [(number, word.replace(",", ".")) for number, word in words]
    angles = []
    for number, word in words:
        for part in word.split(","):
            if part:
                angles.append(_angle(path, number, part))
    if not angles:
        raise FormatError(f"{path} holds no angles: expected numbers in degrees, one a line")
    span = max(angles) - min(angles)
    if len(angles) > _MANY and any(math.isclose(span, turn, rel_tol=0.01) for turn in (math.pi, 2 * math.pi)):
        warnings.warn(
            f"{path}: {len(angles)} angles span {span:.5g}, as radians would: taken as degrees",
            ScanWarning,
            stacklevel=4,
        )
    return angles


def with_angles_of_file(data: Mapping[str, Any], source: Path) -> dict[str, Any]:
    """A geometry's mapping whose `angles_deg`, if it is the name of a file, are the angles in it.

    The file lies in the folder of `source`, the YAML file that names it, or below.
    """
    name = data.get("angles_deg")
    if not isinstance(name, str):
        return dict(data)
    if len(name) > _LONGEST_NAME or "\n" in name or (_NUMBER.match(name.split(",")[0].strip()) and "," in name):
        raise FormatError(
            f"{source}: angles_deg must be a list of numbers, as in [0, 1, 2], or the name of a text file, got "
            f"the text {shown(name)}"
        )
    folder = source.parent.resolve()
    path = (folder / name).resolve() if "\0" not in name else folder
    if not path.is_relative_to(folder) or path == folder:
        raise FormatError(f"{source}: angles_deg must name a text file in the folder of this file, got {name!r:.80}")
    return {**data, "angles_deg": read_angles(source.parent / name)}


def _lines(path: Path) -> list[tuple[int, str]]:
    """The lines with something in them, without comments, and their numbers."""
    if not path.exists():
        raise MissingFileError(f"the file of angles {path} does not exist")
    if not path.is_file():
        raise FormatError(f"{path} must be a text file of angles, it is none")
    if path.stat().st_size > MAX_BYTES:
        raise FormatError(f"{path} has {path.stat().st_size:,} bytes, a file of angles at most {MAX_BYTES:,}")
    try:
        text = noted(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError(f"{path} is no text: expected angles in degrees, one a line") from None
    lines = [(number, _COMMENT.sub("", line).strip()) for number, line in enumerate(text.splitlines(), 1)]
    return [(number, line) for number, line in lines if line]


def _angle(path: Path, line: int, word: str) -> float:
    number = float(re.sub("[dD]", "e", word)) if _NUMBER.fullmatch(word) else math.nan
    if not math.isfinite(number):
        raise FormatError(
            f"{path}, line {line}: expected an angle in degrees, got {word!r:.40} (comments start with #)"
        )
    return number


def _has_decimal_commas(path: Path, words: list[tuple[int, str]]) -> bool:
    """Whether the commas are decimal signs; FormatError where that is open."""
    if len(words) < 2 or len({line for line, _ in words}) < len(words):
        return False
    if not all(_COMMA.fullmatch(word) or word.lstrip("+-").isdecimal() for _, word in words):
        return False
    pairs = [word.split(",") for _, word in words if "," in word]
    if not pairs:
        return False
    one = _is_even([float(word.replace(",", ".")) for _, word in words])
    two = _is_even([float(part) for _, word in words for part in word.split(",")])
    if one == two:
        raise FormatError(
            f"{path}, line {words[0][0]}: {words[0][1]!r} can be one number or two: write decimal points, or a space "
            "after commas between numbers"
        )
    return one


def _is_even(values: list[float]) -> bool:
    steps = np.diff(values)
    return len(steps) < 2 or bool((np.abs(steps - np.median(steps)) <= _EVEN * abs(np.median(steps)) + 1e-12).all())
