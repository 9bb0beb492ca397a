"""Libraries of others that come along: pinned by hash, with their licences. Truth: the table beside them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest


@pytest.fixture
def folder(project_root: Path) -> Path:
    return project_root / "src" / "sinograd" / "view" / "static" / "vendor"


def test_files_are_those_that_were_pinned(folder: Path) -> None:
    text = (folder / "README.txt").read_text()
    pinned = dict(re.findall(r"^([0-9a-f]{64})  (\S+)$", text, flags=re.M))
    pinned = {name: digest for digest, name in pinned.items()}
    others = {file.name for file in folder.iterdir() if file.suffix in (".js", ".css")}
    assert set(pinned) == others
    for name, digest in pinned.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
        assert re.search(rf"^{re.escape(name)} +\S+ +[\d.]+ +(MIT|BSD-2-Clause) ", text, flags=re.M)


def test_their_licences_come_along(folder: Path) -> None:
    assert "MIT License" in (folder / "uPlot-LICENSE.txt").read_text()
    text = (folder / "niivue-LICENSES.txt").read_text()
    assert text.count("=== ") == 10 and text.count("Copyright") >= 9


def test_pages_ask_for_these_versions(folder: Path) -> None:
    names = {file.name for file in folder.iterdir()}
    for page in [*folder.parent.glob("*.html"), *folder.parent.glob("*.js")]:
        assert set(re.findall(r"/static/vendor/([\w.-]+)", page.read_text())) <= names, page
