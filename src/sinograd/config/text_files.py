"""Small text files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from sinograd.config.regular_files import special_kind
from sinograd.errors import ExistingFileError, FileError, MissingFileError
from sinograd.files.commit import settle
from sinograd.files.exchange import rename_new
from sinograd.files.inputs import check_output
from sinograd.files.temporary import make_file, remove, temporary_path
from sinograd.interrupts import deferred


def write_text(text: str, path: str | os.PathLike[str], force: bool = False) -> None:
    """Write a UTF-8 text file; it appears under its name when it is whole.

    Raises:
        ExistingFileError: the file exists and `force` is not set.
        MissingFileError: its folder does not exist.
        OSError: the disk is full, say; nothing is left behind under the final name.
    """
    path = Path(path)
    kind = special_kind(path)
    if kind is not None:
        raise FileError(f"{path} is {kind}, expected a file")
    if os.path.lexists(path) and not force:
        raise ExistingFileError(f"{path} exists; give force=True to overwrite it")
    if not path.parent.is_dir():
        raise MissingFileError(f"folder {path.parent} does not exist")
    check_output(path)
    settle(path.parent, clean=True)
    part = temporary_path(path)
    try:
        make_file(part)
        part.write_text(text, encoding="utf-8")
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        with deferred():
            if force:
                os.replace(part, path)
            else:
                rename_new(part, path)
    except FileExistsError:
        raise ExistingFileError(f"{path} exists; give force=True to overwrite it") from None
    finally:
        with deferred():
            remove(part)
