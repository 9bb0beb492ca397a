"""Text files appear whole. Truth: the text."""

from __future__ import annotations

from pathlib import Path

import pytest

from sinograd.config.text_files import write_text


def test_text_files_are_whole_or_not_there(tmp_path: Path) -> None:
    write_text("Knöchel\n", tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "Knöchel\n"
    with pytest.raises(FileExistsError, match=r"a\.txt exists; give force=True"):
        write_text("", tmp_path / "a.txt")
    write_text("new", tmp_path / "a.txt", force=True)
    with pytest.raises(FileNotFoundError, match=r"folder .* does not exist"):
        write_text("", tmp_path / "none" / "a.txt")
    with pytest.raises(UnicodeEncodeError):
        write_text("\ud800", tmp_path / "b.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "new"
