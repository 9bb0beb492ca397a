"""Writes the table of scan formats in docs/howto/formats.md from the registry: `python docs/format_table.py`.

It stands between `<!-- scans -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sinograd.choices import SCAN_FORMATS
from sinograd.registry import Entry

PAGE = Path(__file__).resolve().parent / "howto" / "formats.md"


def filled(text: str) -> str:
    """The page with its table made anew."""
    block = "\n".join(("<!-- scans -->", *table(), "<!-- end -->"))
    return re.sub(r"<!-- scans -->.*?<!-- end -->", lambda _: block, text, flags=re.DOTALL)


def table() -> Iterator[str]:
    """One row a format."""
    yield "| format | names | written | conventions |"
    yield "| --- | --- | --- | --- |"
    for entry in SCAN_FORMATS.entries():
        suffixes, writes = entry.about["suffixes"], entry.about.get("writes")
        written = _names(writes) if isinstance(writes, tuple) else "yes" if writes else "no"
        yield f"| {entry.help} | {_names(suffixes)} | {written} | `help({_module(entry)})` |"


def _names(suffixes: tuple[str, ...]) -> str:
    return ", ".join(f"`{suffix}`" if suffix else "a folder" for suffix in suffixes)


def _module(entry: Entry) -> str:
    """Where the conventions of a format are documented: its module, or the package of modules that reads it."""
    return str(entry.target).partition(":")[0].removesuffix(".scan")


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
