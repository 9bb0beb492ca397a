"""Tables as text, and files that are replaced whole."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sinograd.evaluation.paired import Summary
from sinograd.io.storage.atomic import replacing


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def plus_minus(summary: Summary | None, digits: int) -> str:
    """Mean and standard deviation; "" where there is none."""
    if summary is None or not math.isfinite(summary.mean):
        return ""
    std = "" if math.isnan(summary.std) else f" ± {summary.std:.{digits}f}"
    return f"{summary.mean:.{digits}f}{std}"


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Rows of the same keys; replaces the file."""
    with replacing(path, force=True) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def write_text(path: Path, text: str) -> None:
    """Replaces the file."""
    with replacing(path, force=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
