"""Paths in HDF5 files, followed link by link.

HDF5 opens whatever files a file names: in external links, as the sources of virtual data sets, as raw storage. Here
the first two are followed only within the folder of the file (`sinograd.io.storage.outside`), and raw storage, which
can name any bytes of the machine, never. Names are checked before HDF5 sees them: it looks for a missing file in the
working folder, too, and opening a pipe would not return.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.config.regular_files import special_kind
from sinograd.files.inputs import noted
from sinograd.io.storage.hdf5.heaps import check_heaps
from sinograd.io.storage.outside import LinkError, check_inside

if TYPE_CHECKING:
    import h5py

MOST_LINKS = 40
MOST_SOURCES = 100_000  # parts of a virtual data set


def find(file: h5py.Group, name: str, path: Path, followed: int = 0) -> h5py.Group | h5py.Dataset | None:
    """What lies at a path of an open file; None where nothing does.

    Args:
        path: of the file.
        followed: links that led here.

    Raises:
        OutsideError: a link, or a source of a virtual data set, that is a file outside the folder.
        LinkError: raw storage in another file, links without end, a linked file that is missing.
    """
    import h5py
    from h5py import h5l  # pyright: ignore[reportAttributeAccessIssue]

    at: Any = file
    parts = _parts(name)
    while parts:
        part = parts.pop(0).encode()
        if not isinstance(at, h5py.Group) or not at.id.links.exists(part):
            return None
        kind = at.id.links.get_info(part).type
        if kind == h5l.TYPE_HARD:
            at = at[part]
            continue
        followed += 1
        if followed > MOST_LINKS:
            raise LinkError(f"{path}: /{name} leads through more than {MOST_LINKS} links")
        target = at.id.links.get_val(part)
        if kind == h5l.TYPE_SOFT:
            text = _text(target)
            parts = _parts(text) + parts
            at = at.file["/"] if text.startswith("/") else at
        elif kind == h5l.TYPE_EXTERNAL:
            other = _named_file(path, _text(target[0]), f"the link /{name}")
            if not _exists(other, _text(target[1]), followed):
                return None
            at, path = at[part], other
        else:
            raise LinkError(f"{path}: /{name} is a link of an unknown kind")
    if isinstance(at, h5py.Dataset):
        check_storage(at, name, path, followed)
    return at if isinstance(at, h5py.Group | h5py.Dataset) else None


def source_files(dataset: h5py.Dataset, name: str, path: Path) -> dict[Path, list[str]]:
    """The files that a virtual data set takes its values from, with the data sets; checked as by `find`."""
    plan = dataset.id.get_create_plist()
    count = plan.get_virtual_count()
    if count > MOST_SOURCES:
        raise LinkError(f"{path}: /{name} is made of {count:,} parts, at most {MOST_SOURCES:,} are read")
    found: dict[tuple[str, str], None] = {}
    for index in range(count):
        found[_text(plan.get_virtual_filename(index)), _text(plan.get_virtual_dsetname(index))] = None
    files: dict[Path, list[str]] = {}
    for file, source in found:
        if "%" in file or "%" in source:
            raise LinkError(f"{path}: /{name} takes its values from files by a pattern ({file}), which is not read")
        other = path if file == "." else _named_file(path, file, f"a source of /{name}")
        files.setdefault(other, []).append(source)
    return files


def check_storage(dataset: h5py.Dataset, name: str, path: Path, followed: int = 0) -> None:
    """LinkError for raw storage elsewhere, and for virtual data sets whose sources may not be read."""
    if dataset.external:
        raise LinkError(f"{path}: the numbers of /{name} lie in another file as raw bytes, which are not read")
    if not dataset.is_virtual:
        return
    for other, sources in source_files(dataset, name, path).items():
        for source in sources:
            if followed >= MOST_LINKS or not _exists(other, source, followed + 4):
                raise LinkError(f"{path}: /{name} takes its values from /{source.strip('/')} of {other}, not there")


def _exists(path: Path, name: str, followed: int) -> bool:
    import h5py

    check_heaps(path)
    with h5py.File(path, "r") as file:
        return find(file, name, path, followed) is not None


def _named_file(path: Path, name: str, what: str) -> Path:
    """The file that a file names, which exists and may be read."""
    if not name or "\0" in name:
        raise LinkError(f"{path}: {what} names no file")
    named = path.parent / name
    beside = path.parent / named.name
    if Path(name).is_absolute() and not named.exists() and beside.exists():
        named = beside  # as HDF5 does
    check_inside(named, path, what)
    kind = special_kind(named)
    if kind is not None:
        raise LinkError(f"{path}: {what} is in {name}, {kind}, expected a file")
    if not named.is_file():
        raise LinkError(f"{path}: {what} is in {name}, which does not exist")
    return noted(named)


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def _text(name: bytes | str) -> str:
    return name.decode("utf-8", errors="surrogateescape") if isinstance(name, bytes) else name
