"""What every format of files offers, scans' and volumes' alike, and how the one of a path is found.

A format is one class, entered in `sinograd.choices` with its suffixes, whether it writes, and the optional package
that it needs. Formats compete by content, files as well as folders: the first that matches reads the path, so special
formats are entered before general ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from sinograd.config.regular_files import check_regular
from sinograd.errors import FileError, FormatError, InputError, MissingFileError, UnsupportedError
from sinograd.files.commit import settle
from sinograd.io.storage.optional import check_extra
from sinograd.registry import Entry, Registry

HEAD_BYTES = 1024
_OTHERS = (".png", ".jpg", ".jpeg", ".html", ".csv", ".txt", ".json", ".gz", ".zip", ".vti", ".vtk", ".stl")
_FOLDERS: ContextVar[bool] = ContextVar("folders_written", default=False)


@contextmanager
def folders_written(folders: bool = True) -> Iterator[None]:
    """Inside, a name to write with a suffix of no format, denoised.final, is that of a folder, as is one without."""
    token = _FOLDERS.set(folders)
    try:
        yield
    finally:
        _FOLDERS.reset(token)


def is_known_suffix(suffix: str) -> bool:
    """Whether a suffix, in lower case, belongs to a format of scans or volumes, or to pictures and tables."""
    from sinograd.choices import SCAN_FORMATS, VOLUME_FORMATS

    entries = (*SCAN_FORMATS.entries(), *VOLUME_FORMATS.entries())
    return suffix in _OTHERS or any(suffix in suffixes_of(entry) for entry in entries)


def names_folder(path: Path) -> bool:
    """Whether a name to write is that of a folder: it has no suffix, or one that is none, as denoised_v1.2 has."""
    suffix = path.suffix.lower()
    return not suffix or (not is_known_suffix(suffix) and (_FOLDERS.get() or suffix[1].isdigit()))


class Format:
    """One format of files. It has no state and is made without arguments.

    Attributes:
        holds: "scan" or "volume".
    """

    holds: ClassVar[str]

    def matches(self, path: Path, head: bytes) -> bool:
        """Whether a path is in this format, by content, and holds what this format reads.

        `head` is how the file starts (HEAD_BYTES, or all of it), b"" for a folder. An InputError counts as no match.
        """
        raise UnsupportedError(f"{type(self).__name__} does not say what it matches")


@dataclass(frozen=True)
class Choice:
    """A format and its entry."""

    entry: Entry[Any]
    format: Any

    @property
    def name(self) -> str:
        """The format for messages."""
        return self.entry.help or self.entry.name


def find_format(registry: Registry[Any], path: Path) -> Choice:
    """The format that reads a path: the first that matches by content, or else the first of its suffix.

    That of the suffix cannot read the path either, and says why.

    Raises:
        MissingFileError: there is no such path.
        FormatError: no format is like that; lists the known ones.
        InputError: the format needs a package that is not installed.
    """
    by_name = [entry for entry in registry.entries() if path_suffix(registry, path) in suffixes_of(entry)]
    for entry in by_name[:1]:
        _check_package(entry, path)
    check_exists(path)
    head = file_head(path)
    entry = first_match(registry, path, head)
    if entry is not None:
        return loaded(entry, path)
    for entry in by_name:
        if may_be(entry, path):
            return loaded(entry, path)
    if by_name:
        kind = "folder" if path.is_dir() else "file"
        raise FormatError(f"cannot read the {_holds(registry)} {path}: it is a {kind}, which its name does not tell")
    start = "" if path.is_dir() else f" (it starts with {head[:16]!r})"
    raise FormatError(
        f"{path} is in no known format of {_holds(registry)}s{start}. Known formats: {known_formats(registry)}"
    )


def check_exists(path: Path) -> None:
    """MissingFileError unless there is such a path; what a process was naming when it died gets its names first."""
    settle(path.parent)
    if not path.exists():
        raise MissingFileError(f"{path} does not exist")


def matching_format(registry: Registry[Any], path: Path) -> Choice | None:
    """The first format that matches an existing path by content; None where none does."""
    try:
        entry = first_match(registry, path, file_head(path))
    except InputError:
        return None
    return None if entry is None else loaded(entry, path)


def writing_format(registry: Registry[Any], path: Path, name: str | None = None) -> Choice:
    """The format that a path is written in: that of its suffix, or the named one where the suffix fits.

    Raises InputError for an unknown suffix or name, a format that is only read, or a package that is missing.
    """
    suffix = "" if names_folder(path) else path_suffix(registry, path)
    entries = [entry for entry in registry.entries() if writing_suffixes(entry)]
    if name is not None:
        if name not in [entry.name for entry in entries]:
            raise InputError(f"format must be one of {', '.join(entry.name for entry in entries)}, got {name!r}")
        entries = [entry for entry in entries if entry.name == name]
    for entry in entries:
        if suffix in writing_suffixes(entry):
            return loaded(entry, path)
    form = "" if name is None else f" as {name}"
    raise InputError(f"cannot write the {_holds(registry)} {path}{form}: its name must {_endings(entries)}")


def known_formats(registry: Registry[Any], *, writes: bool = False) -> str:
    """The formats for messages, those that write where `writes` says so: name and suffixes of each."""
    entries = [entry for entry in registry.entries() if writing_suffixes(entry) or not writes]
    return "; ".join(
        entry.help + (f" ({', '.join(named)})" if (named := [s for s in suffixes_of(entry) if s]) else "")
        for entry in entries
    )


def format_table(registry: Registry[Any]) -> str:
    """The formats as a table in Markdown, for the documentation: name, what is read, what is written, entry."""
    lines = ["| format | read | written | name |", "| --- | --- | --- | --- |"]
    for entry in registry.entries():
        read = [f"`{suffix}`" for suffix in suffixes_of(entry) if suffix]
        read += ["a folder"] * (entry.about.get("folder", False) is not False)
        written = [f"`{suffix}`" if suffix else "a folder" for suffix in writing_suffixes(entry)]
        lines.append(f"| {entry.help} | {', '.join(read)} | {', '.join(written)} | `{entry.name}` |")
    return "\n".join(lines) + "\n"


def suffixes_of(entry: Entry[Any]) -> tuple[str, ...]:
    """The suffixes of the names of a format; none where it states none, and is known by its content alone."""
    return tuple(entry.about.get("suffixes", ()))


def writing_suffixes(entry: Entry[Any]) -> tuple[str, ...]:
    """The suffixes of the names that a format writes; none where it only reads."""
    writes = entry.about.get("writes")
    return suffixes_of(entry) if writes is True else tuple(writes or ())


def may_be(entry: Entry[Any], path: Path) -> bool:
    """Whether a format's files, or folders, are what an existing path is."""
    return entry.about.get("folder", False) in (None, path.is_dir())


def path_suffix(registry: Registry[Any], path: Path) -> str:
    """The longest suffix of a registry's formats that a name ends in; else its last suffix, in lower case."""
    name = path.name.lower()
    known = {suffix for entry in registry.entries() for suffix in suffixes_of(entry) if suffix}
    return max((suffix for suffix in known if name.endswith(suffix)), key=len, default=path.suffix.lower())


def file_head(path: Path) -> bytes:
    """How a file starts, b"" for a folder; FormatError for an empty file, FileError for one that cannot be read."""
    check_regular(path)
    if path.is_dir():
        return b""
    with open(path, "rb") as file:
        try:
            head = file.read(HEAD_BYTES)
        except OSError as error:  # which does not name the file
            raise FileError(f"{path} cannot be read: {error.strerror}") from error
    if not head:
        raise FormatError(f"{path} is empty (0 bytes)")
    return head


def first_match(registry: Registry[Any], path: Path, head: bytes) -> Entry[Any] | None:
    """The first entry whose format matches an existing path; `head` is how it starts (`file_head`)."""
    for entry in registry.entries():
        if not may_be(entry, path):
            continue
        form = entry.load()()
        try:
            if form.matches(path, head):
                return entry
        except InputError:
            continue
    return None


def loaded(entry: Entry[Any], path: Path) -> Choice:
    """An entry with its format; InputError where the package that it needs is not installed."""
    _check_package(entry, path)
    return Choice(entry, entry.load()())


def _check_package(entry: Entry[Any], path: Path) -> None:
    if entry.about.get("package"):
        check_extra(entry.about["package"], path)


def _endings(entries: list[Entry[Any]]) -> str:
    """What a name must be like: "end in .h5, .npy, or have no suffix (a folder of TIFF slices)"."""
    suffixes = list(dict.fromkeys(suffix for entry in entries for suffix in writing_suffixes(entry) if suffix))
    folders = [entry.help for entry in entries if "" in writing_suffixes(entry)]
    parts = [f"end in {', '.join(suffixes)}"] * bool(suffixes)
    return ", or ".join([*parts, *(f"have no suffix (a {folder})" for folder in folders)])


def _holds(registry: Registry[Any]) -> str:
    return str(registry.only.get("holds", "file"))
