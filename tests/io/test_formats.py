"""What the registry of formats says, and what is made from it. Truth: the documentation, and formats made here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sinograd.choices import FORMAT_FACTS, SCAN_FORMATS
from sinograd.errors import FileError
from sinograd.io.formats import file_head, format_table, path_suffix, writing_format, writing_suffixes
from sinograd.registry import Registry


def test_the_table_of_the_documentation_is_that_of_the_registry(project_root: Path) -> None:
    page = (project_root / "docs" / "howto" / "formats.md").read_text(encoding="utf-8")
    assert format_table(SCAN_FORMATS) in page


def test_the_first_format_that_writes_a_suffix_is_chosen() -> None:
    class Format:
        pass

    formats: Registry[object] = Registry("scan format", facts=FORMAT_FACTS, only={"holds": "scan"})
    formats.add("reader", Format, "Reader", suffixes=(".a", ".b"))
    formats.add("some", Format, "Some", suffixes=(".a", ".b.gz"), writes=(".b.gz",))
    formats.add("all", Format, "All", suffixes=(".a", ""), writes=True)
    assert [writing_suffixes(entry) for entry in formats.entries()] == [(), (".b.gz",), (".a", "")]
    assert path_suffix(formats, Path("x/Y.B.GZ")) == ".b.gz" and path_suffix(formats, Path("x.c")) == ".c"
    for name, choice in (("x.a", "all"), ("x.b.gz", "some"), ("x", "all")):
        assert writing_format(formats, Path(name)).entry.name == choice
    for name, format, words in (
        ("x.b", None, r"cannot write the scan x\.b: its name must end in \.b\.gz, \.a, or have no suffix \(a All\)"),
        ("x.a", "some", r"cannot write the scan x\.a as some: its name must end in \.b\.gz$"),
        ("x.a", "reader", "format must be one of some, all, got 'reader'"),
    ):
        with pytest.raises(ValueError, match=words):
            writing_format(formats, Path(name), format)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that can be opened and not be read")
def test_a_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(FileError, match="/proc/self/mem cannot be read: Input/output error"):
        file_head(Path("/proc/self/mem"))
