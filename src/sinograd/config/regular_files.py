"""Inputs that are files: what blocks or never ends when it is opened is refused before."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sinograd.errors import FileError, FormatError, MissingFileError
from sinograd.files.inputs import noted

LARGEST_TEXT = 64 << 20  # bytes

_KINDS = {
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def special_kind(path: str | os.PathLike[str]) -> str | None:
    """What a path is that is neither a file nor a folder, in words; None for these, and where nothing is."""
    try:
        return _KINDS.get(stat.S_IFMT(os.stat(path).st_mode))
    except (OSError, ValueError):
        return None


def check_regular(path: str | os.PathLike[str]) -> None:
    """FileError for a named pipe, a socket or a device; nothing is opened. The file counts as one that is read."""
    noted(path)
    kind = special_kind(path)
    if kind is not None:
        raise FileError(f"{Path(path)} is {kind}, expected a file")


def check_file(path: str | os.PathLike[str], missing: str) -> None:
    """As `check_regular`; MissingFileError, which says what is `missing` ("no jobs file at jobs.yaml"), for no file."""
    check_regular(path)
    if not Path(path).is_file():
        raise MissingFileError(f"{missing}: it is a folder" if Path(path).is_dir() else missing)


def read_text(path: Path) -> str:
    """The UTF-8 text of a file.

    Raises:
        FileError: it is a pipe, a socket or a device. FormatError: it has more than 64 MB.
        UnicodeDecodeError: it is no UTF-8 text. OSError: it cannot be read.
    """
    check_regular(path)
    size = path.stat().st_size
    if size > LARGEST_TEXT:
        raise FormatError(f"{path} has {size:,} bytes; a text of at most {LARGEST_TEXT:,} is expected")
    return path.read_text(encoding="utf-8")
