"""The documentation against the code: every example runs, every command parses, every name and page exists."""

from __future__ import annotations

import importlib
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sinograd as sg
from prose import blocks, check_command_lines, dotted_names
from sinograd import choices
from sinograd.geometry.files import scanner_names
from sinograd.registry import Registry

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
PROSE = [
    *(f"docs/{page}" for page in PAGES),
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md", "experiments/README.md"),
]
REGISTRIES = [registry for registry in vars(choices).values() if isinstance(registry, Registry)]
# The groups of entry points that other packages use; some are no modules.
GROUPS = {registry.group for registry in REGISTRIES} - {None}


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """What an example registers is gone after it."""
    before = [(registry, registry._entries) for registry in REGISTRIES]
    yield
    for registry, entries in before:
        registry._entries = entries


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if not page.startswith("howto/") and blocks((DOCS / page).read_text(), "python")],
)
def test_python_examples(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's examples in order, as one program, as they stand; `test_page_examples.py` runs those of the how-tos."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for example in blocks((DOCS / page).read_text(encoding="utf-8"), "python"):
        exec(compile(example, page, "exec"), names)


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith("howto/")])
def test_command_lines_parse(page: str) -> None:
    """Those of the how-tos are run, by `test_page_examples.py`."""
    check_command_lines((DOCS / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PROSE)
def test_names_exist(page: str) -> None:
    """Every `sinograd.x.y` and every `sg.x`, but those that the changelog says are gone."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if page == "CHANGELOG.md":
        text = re.sub(r"^\| `sinograd\.[\w.]+` (?=\|)", "", text, flags=re.MULTILINE)
    for name in dotted_names(text) - GROUPS:
        assert resolves(name), name
    for name in set(re.findall(r"(?<![\w.])sg\.(\w+)", text)):
        assert hasattr(sg, name), name


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def test_docstrings_have_sections_that_read(caplog: pytest.LogCaptureFixture) -> None:
    """As the API pages read them. Truth: griffe's parser, which says what it cannot read."""
    griffe = pytest.importorskip("griffe")
    package = griffe.load("sinograd", search_paths=[ROOT / "src"], docstring_parser=griffe.Parser.google)
    options = {"warn_unknown_params": False, "warn_missing_types": False}
    waiting = [package]
    while waiting:
        item = waiting.pop()
        waiting += [member for member in item.members.values() if not member.is_alias]
        if item.docstring is not None:
            item.docstring.parse(griffe.Parser.google, **options)
    assert [record.getMessage() for record in caplog.records] == []


def test_every_page_is_in_the_menu(project_root: Path) -> None:
    menu = (project_root / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page for page in PAGES if f" {page}\n" not in menu] == []


def test_home_lists_every_howto() -> None:
    links = re.findall(r"\]\((howto/[^)]+)\)", (DOCS / "index.md").read_text(encoding="utf-8"))
    assert sorted(set(links)) == [page for page in PAGES if page.startswith("howto/")]


def test_the_scanners_are_those_of_the_package() -> None:
    text = (DOCS / "concepts" / "geometries.md").read_text(encoding="utf-8")
    table = text.split("| name | scanner |")[1].split("\n\n")[0]
    assert sorted(re.findall(r"^\| `([^`]+)`", table, flags=re.MULTILINE)) == scanner_names()


@pytest.mark.parametrize(
    ("registry", "page"),
    [
        (choices.WINDOWS, "howto/reconstruct.md"),
        (choices.NETWORKS, "howto/networks.md"),
        (choices.LOSSES, "howto/networks.md"),
    ],
    ids=lambda value: value.kind if isinstance(value, Registry) else None,
)
def test_every_choice_is_documented(registry: Registry[Any], page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert [name for name in registry if not re.search(rf"(?<![\w-]){name}(?![\w-])", text)] == []


def test_the_state_of_the_gpu_code_stands_in_one_place() -> None:
    """Only docs/gpu.md says what has run on a GPU; the README's table and the roadmap point there."""
    for page in PROSE:
        text = (ROOT / page).read_text(encoding="utf-8")
        if page not in ("docs/gpu.md", "CHANGELOG.md"):
            for line in re.findall(r".*(?:not yet run on|not run on|has run on) a (?:GPU|card).*", text):
                assert "gpu.md" in line, (page, line)


# The old dialect: docs/contributing/style.md says what to write instead, and quotes it.
DIALECT = ("gone on with", "what was asked for", "when asked for", "where it is not there", "stay what they are")


@pytest.mark.parametrize("page", [page for page in PROSE if page != "docs/contributing/style.md"])
def test_plain_english(page: str) -> None:
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    assert [words for words in DIALECT if words in text] == []


def test_the_drawing_of_the_layers(tmp_path: Path) -> None:
    """It shows the layers that import-linter checks, and every package: `python docs/draw_architecture.py` draws it."""
    script = runpy.run_path(str(DOCS / "draw_architecture.py"))
    script["main"](tmp_path / "architecture.svg")
    drawing = (tmp_path / "architecture.svg").read_text(encoding="utf-8")
    assert drawing == (DOCS / "architecture.svg").read_text(encoding="utf-8")
    packages = {path.parent.name for path in (ROOT / "src" / "sinograd").glob("*/__init__.py")}
    assert packages - set(re.findall(r">(\w+)[:<]", drawing)) == set()
