"""The order in which image files were taken, from the numbers in their names.

Names are read as texts and numbers. A number may have decimals (0.25 or 0,25; 2.5e+01) and a sign (+7, -60, n60, p60);
what looks like either is one only where all names agree with it: the hyphen of scan-1, scan-2 ... is none, nor is the
dot of 2024.1, 2024.2 ... 2024.10. The number that orders the images is the first of these that there is:

1. a whole number without a sign, different in every name and evenly growing: the index
2. an angle (in degrees) that pairs every name with one view of the geometry, whatever the order of its views
3. a whole number without a sign, different in every name, of which few are missing
4. any number that is different in every name
5. all numbers, from left to right

A number that its name calls an angle (tilt_12, 012deg) is no index. A ScanWarning says how files were ordered where two
such numbers disagree, where the angles in the names do not follow the geometry, or where numbers of varying length are
compared from left to right.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from sinograd.errors import InputError, ScanWarning
from sinograd.io.storage.tiff import natural_order

_MINUS, _PLUS = ("-", "\u2212", "\u2013", "n", "m", "neg", "minus"), ("+", "p", "pos", "plus")
SIGN_WORDS = frozenset(word for word in (*_MINUS, *_PLUS) if word.isalpha())
_SIGN = r"(?:(?<![^\W\d_])(?:neg|minus|pos|plus|[nmp])|[-+\u2212\u2013])"
_ANGLE_BEFORE = re.compile(r"(?:ang|angle|angles|theta|tilt|rot|rotation|phi|omega|(?<!\d)(?<!\d[ _])deg)[\W_]*$")
_ANGLE_AFTER = re.compile(r"\s*_?(?:deg|degree|degrees|°)(?![a-z])")
_EXPONENT = re.compile(r"(?<![a-z\d.])\d+(?:\.\d+)?e[+-]\d{1,2}(?!\d)")
_DENSE = 2  # an index of at most so many numbers an image

# How numbers with decimals are written, in the order in which they are tried: with a point or a comma, not at all, and
# in other signs.
_DECIMALS = (r"[.,]", "", r"[_p-]")


@dataclass(frozen=True)
class _Number:
    """A number as it stands in a name."""

    value: Fraction
    sign: str
    glued: bool
    decimals: bool
    width: int
    angle: bool


@dataclass(frozen=True)
class _Field:
    """The numbers at one place of all names."""

    values: tuple[Fraction, ...]
    plain: bool
    """Whole, and without signs."""
    angle: bool
    width: int | None
    """Digits, where all have as many."""
    unsure: bool = False
    """Whether the hyphen before them may be a sign or not."""

    @property
    def order(self) -> np.ndarray:
        return np.array(sorted(range(len(self.values)), key=self.values.__getitem__))

    @property
    def unique(self) -> bool:
        return len(set(self.values)) == len(self.values)

    @property
    def steps(self) -> set[Fraction]:
        ordered = sorted(self.values)
        return {second - first for first, second in pairwise(ordered)}

    @property
    def is_index(self) -> bool:
        return self.plain and not self.angle and self.unique and len(self.steps) == 1

    @property
    def is_dense(self) -> bool:
        reach = max(self.values) - min(self.values)
        return self.plain and not self.angle and self.unique and reach < _DENSE * len(self.values)


def ordered_files(files: Sequence[Path], degrees: np.ndarray | None = None, *, warn: bool = True) -> list[Path]:
    """Files in the order in which they were taken, by their names.

    Args:
        files: images of one kind.
        degrees: the angle of each view of the geometry; only used where there are as many as files.
        warn: whether a ScanWarning says that the order is doubtful.
    """
    files = natural_order(files)
    if len(files) < 2:
        return files
    names = _without_exponents([_stem(file) for file in files])
    readings = _readings(names)
    angles = degrees if degrees is not None and len(degrees) == len(files) else None
    order, doubt = _order(readings, names, angles)
    result = files if order is None else [files[i] for i in order]
    if doubt and warn:
        shown = ", ".join(file.name for file in result[:3])
        warnings.warn(
            f"{files[0].parent}: {doubt}: {shown} ... {result[-1].name}; number the images in their names, or list "
            "them under `projections` of scan.yaml, if that is not the order in which they were taken",
            ScanWarning,
            stacklevel=3,
        )
    return result


def without_strays(files: Sequence[Path], views: int, advice: str) -> list[Path]:
    """Files without those named in another way than the rest, where the rest are as many as the views.

    A ScanWarning names what is left out. InputError, which names them, where files and views differ in number and some
    are named unlike the rest.
    """
    if len(files) == views or len(files) < 3:
        return list(files)
    forms = Counter(_form(file) for file in files)
    form, count = forms.most_common(1)[0]
    strays = [file for file in files if _form(file) != form]
    if not strays or 2 * count <= len(files):
        return list(files)
    rest = [file for file in files if _form(file) == form]
    names = ", ".join(file.name for file in strays[:5]) + (f" and {len(strays) - 5} more" if len(strays) > 5 else "")
    text = (
        f"{files[0].parent}: {names} {'is' if len(strays) == 1 else 'are'} named unlike the other {count} images "
        f"({rest[0].name} ... {rest[-1].name})"
    )
    if count != views:
        raise InputError(f"{text}, and the geometry has {views} views for {len(files)} images: {advice}")
    warnings.warn(f"{text} and left out; the geometry has {views} views ({advice})", ScanWarning, stacklevel=3)
    return rest


def missing_numbers(files: Sequence[Path]) -> list[int]:
    """Numbers that an index skips: those of images that are missing. Empty where the names have no index."""
    names = [_stem(file) for file in files]
    for fields in _readings(names):
        for field in reversed(fields):
            if len(field.values) > 1 and field.is_dense and 1 in field.steps:
                there = {int(value) for value in field.values}
                return [number for number in range(min(there), max(there)) if number not in there]
    return []


def _order(readings: list[list[_Field]], names: list[str], angles: np.ndarray | None) -> tuple[np.ndarray | None, str]:
    """The order by the rules above, and what is doubtful in it; None: as the names are sorted."""
    for fields in readings:
        indices = [field for field in fields if field.is_index]
        if indices:
            best = [field for field in indices if field.steps == {1}] or indices
            return _one_of(best[::-1], "two numbers of the names count the images; sorted by the last one")
    separated = [field for field in _fields(names, _DECIMALS[2]) or [] if not field.plain]
    if angles is not None:
        for field in [field for fields in [*readings, separated] for field in fields if field.unique]:
            order, doubt = _paired(field, angles)
            if order is not None:
                return order, doubt
    for fields in readings:
        dense = [field for field in fields if field.is_dense]
        if dense:
            return _one_of(dense[::-1], "two numbers of the names count the images; sorted by the last one")
        unique = [field for field in fields if field.unique]
        if unique:
            order, doubt = _one_of(unique, "several numbers of the names could order the images; sorted by the first")
            return order, doubt or _against_geometry(unique[0], angles)
    even = [field for field in separated if field.unique and len(field.steps) == 1]
    if even:
        return even[0].order, ""
    return None, _left_to_right(readings, names)


def _one_of(fields: list[_Field], words: str) -> tuple[np.ndarray, str]:
    """The order of the first field, and `words` where that of another one differs."""
    order = fields[0].order
    if any(not np.array_equal(order, field.order) for field in fields[1:]):
        return order, words
    if fields[0].unsure:
        return order, "hyphens before the numbers of the names may be signs; sorted as if they were none"
    return order, ""


def _paired(field: _Field, angles: np.ndarray) -> tuple[np.ndarray | None, str]:
    """The order in which the field's numbers are the geometry's angles; None where they are not."""
    values = np.array([float(value) for value in field.values])
    gaps = np.diff(np.sort(values))
    tolerance = min(0.51 * 10.0 ** -_decimals(field), 0.49 * float(gaps.min()))
    orders = [order for sign in (1, -1) if (order := _matched(sign * values, angles, tolerance)) is not None]
    if not orders:
        return None, ""
    if len(orders) == 2 and not np.array_equal(orders[0], orders[1]) and not np.array_equal(orders[0], field.order):
        return orders[0], "the angles in the names fit the geometry either way; each image is the view of its angle"
    return orders[0], ""


def _matched(values: np.ndarray, angles: np.ndarray, tolerance: float) -> np.ndarray | None:
    """For each view the place of its angle in `values`; None unless that pairs all of them."""
    for turn in (None, 360.0):
        own, their = (values, angles) if turn is None else (values % turn, angles % turn)
        by_value = np.argsort(own, kind="stable")
        row = own[by_value]
        places = by_value
        if turn is not None:  # 359.99 is beside 0
            row = np.concatenate([row[-1:] - turn, row, row[:1] + turn])
            places = np.concatenate([by_value[-1:], by_value, by_value[:1]])
        right = np.searchsorted(row, their).clip(1, len(row) - 1)
        near = np.where(their - row[right - 1] <= row[right] - their, right - 1, right)
        order = places[near]
        if np.abs(row[near] - their).max() <= tolerance + 1e-9 and len(np.unique(order)) == len(values):
            return order
    return None


def _against_geometry(field: _Field, angles: np.ndarray | None) -> str:
    """Words where the numbers are angles that do not change from view to view as the geometry's do."""
    if angles is None or (field.plain and not field.angle):
        return ""
    values = np.sort([float(value) for value in field.values])
    if any(np.abs((sign * angles - values) - (sign * angles - values)[0]).max() < 0.51 for sign in (1, -1)):
        return ""
    return "the angles in the names do not follow those of the geometry; sorted by the angle"


def _left_to_right(readings: list[list[_Field]], names: list[str]) -> str:
    """Words where the names' numbers are compared one after the other, unless they are of one length or nested."""
    if not readings:
        return "the names differ in how many numbers they hold; sorted from left to right"
    if not any(readings) and len({len(name) for name in names}) > 1:
        return "the names hold no numbers that differ; sorted by the alphabet"
    if any(_is_listed(fields) for fields in readings):
        return ""
    return "no number of the names is different in every image; sorted by all of them, from left to right"


def _is_listed(fields: list[_Field]) -> bool:
    """Whether all numbers have as many digits in every name, or the last one counts within the ones before."""
    if all(field.width is not None for field in fields):
        return True
    groups: dict[tuple[Fraction, ...], list[Fraction]] = {}
    for row in zip(*(field.values for field in fields), strict=True):
        groups.setdefault(row[:-1], []).append(row[-1])
    return fields[-1].plain and all(
        len(set(group)) == len(group) and max(group) - min(group) == len(group) - 1 for group in groups.values()
    )


def _readings(names: list[str]) -> list[list[_Field]]:
    """The numbers of the names with decimals; without, where those leave no number that is different in every name."""
    decimal, whole = (_fields(names, marks) for marks in _DECIMALS[:2])
    if decimal is not None and any(field.unique for field in decimal):
        return [decimal]
    return [fields for fields in (decimal, whole) if fields is not None]


def _fields(names: list[str], marks: str) -> list[_Field] | None:
    """The numbers of all names that differ, place by place; None where names have differing numbers of them."""
    rows = [_numbers(name, marks) for name in names]
    if any(len(row) != len(rows[0]) for row in rows):
        return None
    fields = [_field(list(column)) for column in zip(*rows, strict=True)]
    return [field for field in fields if len(set(field.values)) > 1]


def _field(numbers: list[_Number]) -> _Field:
    signed, unsure = _is_signed(numbers)
    values = tuple(-n.value if signed and n.sign in _MINUS else n.value for n in numbers)
    widths = {n.width for n in numbers}
    plain = not signed and not any(n.decimals for n in numbers)
    angle = any(n.angle for n in numbers)
    return _Field(values, plain, angle, widths.pop() if len(widths) == 1 and not signed else None, unsure)


def _is_signed(numbers: list[_Number]) -> tuple[bool, bool]:
    """Whether what stands before the numbers are signs, and whether that is doubtful."""
    minus = [n for n in numbers if n.sign in _MINUS]
    others = [n for n in numbers if n.sign not in _MINUS]
    if not minus:
        return False, False
    letters = any(n.sign.isalpha() for n in minus)
    if others:
        return not letters or all(n.sign in _PLUS or not n.glued for n in others), False
    if letters or any(n.glued for n in numbers):
        return False, False
    values = sorted(n.value for n in numbers)  # all of them are name_-12
    counts = values[0] in (0, 1) and all(b - a == 1 for a, b in pairwise(values))
    return not counts, counts


def _numbers(name: str, marks: str) -> list[_Number]:
    """The numbers of a name; two that one of the marks joins are a number with decimals."""
    found = []
    for match in re.finditer(rf"({_SIGN})?(?<!\d)(\d+(?:{marks}\d+)*)" if marks else rf"({_SIGN})?(?<!\d)(\d+)", name):
        parts = re.findall(r"\d+", match[2])
        joined = [parts] if len(parts) == 2 else [[part] for part in parts]
        sign, start = match[1] or "", match.start()
        glued = start > 0 and name[start - 1].isalnum()
        angle = bool(_ANGLE_BEFORE.search(name[:start]) or _ANGLE_AFTER.match(name[match.end() :]))
        for whole, *part in joined:
            digits = whole + "".join(part)
            value = Fraction(int(digits), 10 ** (len(digits) - len(whole)))
            found.append(_Number(value, sign, glued, bool(part), len(digits), angle))
            sign, glued = "", True
    return found


def _without_exponents(names: list[str]) -> list[str]:
    """Names with 2.5e+01 as 25, where all of them hold such a number."""
    if not all(_EXPONENT.search(name) for name in names):
        return names
    return [_EXPONENT.sub(lambda match: format(Decimal(match[0]), "f"), name) for name in names]


def _decimals(field: _Field) -> int:
    """Digits behind the point that the field's values need."""
    return next(k for k in range(20) if k == 19 or all((v * 10**k).denominator == 1 for v in field.values))


def _stem(file: Path) -> str:
    return file.name[: -len(file.suffix)].casefold()


def _form(file: Path) -> str:
    """The name without its numbers, and their signs and decimals."""
    return re.sub(rf"{_SIGN}?\d+(?:[.,]\d+)?", "#", _stem(file))
