"""CUDA sources put together into one text."""

from __future__ import annotations

from pathlib import Path

import pytest

from sinograd.ops.cuda import source
from sinograd.ops.cuda.source import assemble, kernel_folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of sources to write into."""
    for name in ("cuda", "include"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(source, "kernel_folder", lambda: tmp_path)
    assemble.cache_clear()
    (tmp_path / "cuda" / "prelude.h").write_text("#pragma once\nusing int64_t = long long;\n")
    yield tmp_path
    assemble.cache_clear()


def test_headers_come_once_and_in_order(folder: Path) -> None:
    (folder / "include" / "a.h").write_text('#pragma once\n#include <cmath>\n#include "b.h"\nint a;\n')
    (folder / "include" / "b.h").write_text("#pragma once\nint b;\n")
    (folder / "cuda" / "k.cu").write_text(
        '// k\n#include "b.h"\n #  include "a.h"  // again\n#include "prelude.h"\nint k;\n'
    )
    lines = [line for line in assemble("k.cu").splitlines() if line and not line.startswith("#line")]
    assert lines == ["using int64_t = long long;", "// k", "int b;", "int a;", "int k;"]


def test_line_numbers_are_those_of_the_files(folder: Path) -> None:
    (folder / "include" / "a.h").write_text("#pragma once\nint a;\n")
    (folder / "cuda" / "k.cu").write_text('\n#include "a.h"\nint k;\n')
    file, number, found = "", 0, {}
    for line in assemble("k.cu").splitlines():
        if line.startswith("#line"):
            _, text, file = line.split()
            number = int(text)
        else:
            found[line] = (file, number)
            number += 1
    assert found["int a;"] == ('"a.h"', 2)
    assert found["int k;"] == ('"k.cu"', 3)


def test_a_missing_header_is_named(folder: Path) -> None:
    (folder / "cuda" / "k.cu").write_text('#include "nowhere.h"\n')
    with pytest.raises(FileNotFoundError, match=r"nowhere\.h: expected it in"):
        assemble("k.cu")


def test_real_sources_are_found(project_root: Path) -> None:
    assert (kernel_folder() / "cuda" / "bilateral.cu").is_file()
    text = assemble("bilateral.cu")
    assert "#include" not in text
    assert text.count("struct PulledBack") == 1
