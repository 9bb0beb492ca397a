"""Numbers in texts of programs that write the decimal sign of their country: "0.25" or "0,25"."""

from __future__ import annotations

import math
import re

DECIMAL = r"[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?"


def as_number(text: str) -> float | None:
    """The finite number that a text is, with a decimal point or comma; None for any other text."""
    if re.fullmatch(DECIMAL, text.strip()) is None:
        return None
    number = float(text.strip().replace(",", "."))
    return number if math.isfinite(number) else None


def number_rows(lines: list[str], columns: int) -> list[list[float]]:
    """The first numbers of each line that begins with so many; other lines are left out.

    Numbers are separated by spaces, tabs, colons or semicolons, and where no line would hold enough of them, by commas.
    A comma between digits is else a decimal sign.
    """
    for separators in (r"[\s:;]+", r"\s*,\s*|[\s:;]+"):
        found = []
        for line in lines:
            parts = [part for part in re.split(separators, line.strip().rstrip(",;")) if part]
            numbers = [as_number(part.rstrip(",")) for part in parts[:columns]]
            if len(numbers) == columns and None not in numbers:
                found.append(numbers)
        if found:
            return found
    return []
