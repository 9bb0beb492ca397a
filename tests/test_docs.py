"""The documentation against the code: every example runs, every command parses, every page is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prose import blocks, check_command_lines

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks((DOCS / page).read_text(), "python")])
def test_python_examples(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's examples in order, as one program, as they stand."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for example in blocks((DOCS / page).read_text(encoding="utf-8"), "python"):
        exec(compile(example, page, "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_command_lines_parse(page: str) -> None:
    check_command_lines((DOCS / page).read_text(encoding="utf-8"))


def test_every_page_is_in_the_menu(project_root: Path) -> None:
    menu = (project_root / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page for page in PAGES if f" {page}\n" not in menu] == []
