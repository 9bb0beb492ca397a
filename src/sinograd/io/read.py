"""`read`: a scan file in, a Scan out, whatever the format."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

from sinograd.io import fips, hdf5
from sinograd.io.scan import Scan

# One module a format. Each has NAME, SUFFIXES, matches(path, head) and read(path) -> Scan; `head` is how the
# file starts (HEAD_BYTES bytes, or all of it). The first that matches reads the file.
FORMATS: tuple[ModuleType, ...] = (hdf5, fips)
HEAD_BYTES = 1024


def read(path: str | os.PathLike[str]) -> Scan:
    """Read a scan; the format is recognised by content.

    Projections may stay in the file until they are used (`Scan.load`). Formats: sinograd's own HDF5 (`.h5`),
    FIPS / Helsinki `.mat`.

    Raises FileNotFoundError for a missing file, IsADirectoryError for a folder that is not a scan, and
    ValueError for an unknown format or a truncated or contradictory file; the message names the file and what
    was expected.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, and no known scan format is one. Known: {known_formats()}")
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise ValueError(f"{path} is empty (0 bytes)")
    for module in FORMATS:
        if module.matches(path, head):
            return module.read(path)
    raise ValueError(_unknown(path, head))


def known_formats() -> str:
    """The formats `read` knows, for messages: name and suffixes."""
    return "; ".join(f"{module.NAME} ({', '.join(module.SUFFIXES)})" for module in FORMATS)


def _unknown(path: Path, head: bytes) -> str:
    named = [module.NAME for module in FORMATS if path.suffix.lower() in module.SUFFIXES]
    if named:
        return (
            f"{path} is not a {named[0]} file, or is damaged: it starts with {head[:16]!r}. "
            f"Known formats: {known_formats()}"
        )
    return f"{path} is in no known scan format (it starts with {head[:16]!r}). Known formats: {known_formats()}"
