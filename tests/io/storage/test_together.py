"""Outputs of one job that take their names together. Truth: the file system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sinograd.errors import ExistingFileError, WritingStopped
from sinograd.io.storage.atomic import replacing, replacing_files, replacing_folder
from sinograd.io.storage.together import together

OLD = {"a.h5": "old", "b.npy": "old", "b.yaml": "old", "c/1": "old"}
NEW = {"a.h5": "new", "b.npy": "new", "b.yaml": "new", "c/2": "new"}


def write(folder: Path, force: bool) -> None:
    """All three kinds of output."""
    with replacing(folder / "a.h5", force=force) as made:
        made.write_text("new")
    with replacing_files(folder, ["b.npy", "b.yaml"], force=force) as made:
        (made / "b.npy").write_text("new")
        (made / "b.yaml").write_text("new")
    with replacing_folder(folder / "c", ours=lambda _: True, force=force) as made:
        (made / "2").write_text("new")


def contents(folder: Path) -> dict[str, str]:
    """All files, unfinished ones too."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=[OLD, {}], ids=["over old files", "new"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    for name, text in request.param.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_all_at_the_end(folder: Path) -> None:
    before = contents(folder)
    with together():
        write(folder, force=bool(before))
        assert {name: text for name, text in contents(folder).items() if ".sinograd-" not in name} == before
    assert contents(folder) == NEW


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_none_after_an_error(folder: Path, error: BaseException) -> None:
    before = contents(folder)
    with pytest.raises(type(error)), together():
        write(folder, force=bool(before))
        raise error
    assert contents(folder) == before
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_block_in_another_one_ends_with_it(tmp_path: Path) -> None:
    with together():
        with together(), replacing(tmp_path / "a") as made:
            made.write_text("new")
        assert not (tmp_path / "a").exists()
    assert contents(tmp_path) == {"a": "new"}


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(ExistingFileError, match=r"b\.npy already exists"), together():
        write(tmp_path, force=False)
        (tmp_path / "b.npy").write_text("theirs")
    assert contents(tmp_path) == {"b.npy": "theirs"}


def test_an_error_of_the_system_is_one_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with pytest.raises(WritingStopped, match=r"writing .*a\.h5 stopped: Input/output error"), together():
        write(tmp_path, force=False)
        monkeypatch.setattr(os, "rename", failing)
    monkeypatch.undo()
    assert contents(tmp_path) == {}
