"""Digests of files in the YAML file beside them, so that no array is read with what describes another one.

    digests:
      scan.npy: {blake2b: 64 digits of the whole file, sample: 64 digits of 64 parts of it}

Arrays that are read at once are checked as a whole, those that stay on the disk by the sample. YAML files without
digests, written by hand or by versions below 0.2, describe whatever lies beside them. Where there are digests, the file
describes the arrays that they name and no other: NAME.npy is not read with what was written beside NAME.raw.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sinograd.config.shown import shown
from sinograd.config.yaml import load_yaml
from sinograd.errors import ExistingFileError, FormatError, InputError
from sinograd.files.commit import settle
from sinograd.files.folders import locked
from sinograd.files.inputs import check_output, own_state

T = TypeVar("T")

DIGESTS = "digests"
_BLOCK, _PARTS = 1 << 16, 64
_SHARING = (".npy", ".npz", ".raw", ".tif", ".tiff", ".mrc", ".st", ".ali")  # they have their geometry in NAME.yaml


def digests_of(files: Sequence[Path]) -> dict[str, dict[str, str]]:
    """The entry for files, by their names."""
    return {file.name: {"blake2b": _whole(file), "sample": _sample(file)} for file in files}


def check_described(entry: Any, sidecar: Path, array: Path) -> None:
    """FormatError where a YAML file was written with other arrays than this one.

    entry: of the YAML file; None: it says nothing.
    """
    if isinstance(entry, Mapping) and entry and array.name not in entry:
        raise FormatError(
            f"{sidecar} describes {shown(', '.join(map(str, entry)))}, not {array.name}: a YAML file belongs to one "
            f"array; give {array.name} another name and a YAML file of its own"
        )


def check_digests(entry: Any, sidecar: Path, files: Sequence[Path], *, whole: bool) -> None:
    """FormatError where a file is not the one that a YAML file was written with.

    entry: of the YAML file; None: it says nothing. whole: compare all of each file.
    """
    if entry is None:
        return
    if not isinstance(entry, Mapping) or not all(isinstance(digests, Mapping) for digests in entry.values()):
        raise FormatError(f"{sidecar}: {DIGESTS} must hold blake2b and sample of each file, got {entry!r:.80}")
    for file in files:
        digests = entry.get(file.name)
        if digests is None:
            continue
        key, made = ("blake2b", _whole) if whole and "blake2b" in digests else ("sample", _sample)
        if digests.get(key) in (None, made(file)):
            continue
        newer, older = (file, sidecar) if _changed(file) >= _changed(sidecar) else (sidecar, file)
        raise FormatError(
            f"{file} is not the array that {sidecar.name} describes: {newer.name} is newer than {older.name}. Write or "
            f"copy both again; if they do belong together, check geometry or spacing and remove `{DIGESTS}` from "
            f"{sidecar.name}"
        )


def check_sidecar(path: Path, *, force: bool) -> None:
    """ExistingFileError where NAME.yaml, which is to be written with the array `path`, describes another array.

    An array that is there already, and may not be replaced, is left to who writes.
    """
    sidecar = path.with_suffix(".yaml")
    if not sidecar.is_file() or (path.exists() and not force):
        return
    check_output(sidecar)
    with own_state():  # to look at the old output is not to read an input
        others = [name for name in _described(sidecar, path) if name != path.name and (path.parent / name).exists()]
    if others:
        raise ExistingFileError(
            f"cannot write {path}: {sidecar.name} describes {others[0]} and would no longer do so; choose another name"
        )


def _described(sidecar: Path, path: Path) -> list[str]:
    """The arrays that a YAML file is about: what its digests name, or without them what has its name."""
    try:
        record = load_yaml(sidecar)
    except (InputError, OSError):
        record = None
    entry = record.get(DIGESTS) if isinstance(record, Mapping) else None
    if isinstance(entry, Mapping) and entry:
        return [] if path.name in entry else [str(name) for name in entry if Path(str(name)).stem == path.stem]
    return [] if path.exists() else [path.with_suffix(suffix).name for suffix in _SHARING]


def read_together(path: Path, sidecar: Path, read: Callable[[], T]) -> T:
    """What `read` makes of an array and its YAML file, both of the same writing.

    It is called again where another process gives both their names in the meantime.
    """
    settle(path.parent)
    while True:
        before = _states(path, sidecar)
        try:
            result = read()
        except (InputError, OSError):
            with locked(path.parent):  # whoever is at it ends first
                after = _states(path, sidecar)
            if after == before:
                raise
            continue
        if _states(path, sidecar) == before:
            return result


def _states(*files: Path) -> list[tuple[int, ...] | None]:
    return [file_state(file) if file.exists() else None for file in files]


def file_state(path: Path) -> tuple[int, ...]:
    """What changes when a file is replaced or written to."""
    status = os.stat(path)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def check_unchanged(path: Path, state: tuple[int, ...]) -> None:
    """FormatError where a file that was opened before is another one by now."""
    if file_state(path) != state:
        raise FormatError(f"{path} changed since it was opened: open it again")


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns


def _whole(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def _sample(path: Path) -> str:
    """Of the size and of parts at equal distances; of small files of all of it."""
    size = path.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=32)
    step = max(_BLOCK, (size - _BLOCK) / (_PARTS - 1))
    with open(path, "rb") as file:
        for index in range(_PARTS):
            file.seek(min(int(index * step), size))
            digest.update(file.read(_BLOCK))
    return digest.hexdigest()
