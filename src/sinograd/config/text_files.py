"""Small text files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from sinograd.config.regular_files import check_regular
from sinograd.errors import ExistingFileError, MissingFileError


def write_text(text: str, path: str | os.PathLike[str], force: bool = False) -> None:
    """Write a UTF-8 text file; it appears under its name when it is whole.

    Raises:
        ExistingFileError: the file exists and `force` is not set.
        MissingFileError: its folder does not exist.
        OSError: the disk is full, say; nothing is left behind under the final name.
    """
    path = Path(path)
    check_regular(path)
    if path.exists() and not force:
        raise ExistingFileError(f"{path} exists; give force=True to overwrite it")
    if not path.parent.is_dir():
        raise MissingFileError(f"folder {path.parent} does not exist")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
