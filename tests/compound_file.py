"""A writer of OLE2 compound files for tests, after [MS-CFB] 2.1 to 2.9 and from no reader's code.

Nested storages, FAT, mini FAT, DIFAT, red-black trees of siblings; versions 3 (sectors of 512 bytes) and
4 (4096 bytes). tests/io/test_compound.py holds it against olefile.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

END, FREE, FAT_SECTOR, DIFAT_SECTOR, NONE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0xFFFFFFFC, 0xFFFFFFFF
MINI, CUTOFF, IN_HEADER = 64, 4096, 109


@dataclass(frozen=True)
class Later:
    """A stream whose bytes are made when they are written: a large file needs little memory."""

    size: int
    make: Callable[[], bytes]


Content = bytes | Later


@dataclass
class _Entry:
    """A directory entry; `kids` of a storage by name."""

    name: str
    kind: int  # 1 storage, 2 stream, 5 root
    content: Content = b""
    kids: dict[str, _Entry] = field(default_factory=dict)
    number: int = 0
    left: int = NONE
    right: int = NONE
    child: int = NONE
    black: bool = True
    start: int = END
    size: int = 0


def write_compound(
    path: Path,
    streams: Mapping[str, Content],
    *,
    version: int = 4,
    scattered: bool = False,
    empty: tuple[str, ...] = (),
) -> None:
    """Write the streams, named "storage/storage/stream".

    scattered: no sector of a stream follows the one before it. empty: storages without streams.
    """
    sector = {3: 512, 4: 4096}[version]
    entries = _directory(streams, empty)
    large = [e for e in entries if e.kind == 2 and e.size >= CUTOFF]
    small = [e for e in entries if e.kind == 2 and 0 < e.size < CUTOFF]

    mini_fat, mini_stream = _mini(small)
    fat: list[int] = []
    chunks: list[tuple[_Entry | bytes, list[int]]] = []
    for entry in large:
        chunks.append((entry, _allocate(fat, -(-entry.size // sector), scattered)))
        entry.start = chunks[-1][1][0]
    root = entries[0]
    if mini_stream:
        chunks.append((mini_stream, _allocate(fat, -(-len(mini_stream) // sector), scattered)))
        root.start, root.size = chunks[-1][1][0], len(mini_stream)
    packed = struct.pack(f"<{len(mini_fat)}I", *mini_fat)
    mini_start = END
    if packed:
        chunks.append((packed, _allocate(fat, -(-len(packed) // sector), scattered)))
        mini_start = chunks[-1][1][0]
    directory = b"".join(_packed(entry) for entry in entries)
    chunks.append((directory, _allocate(fat, -(-len(directory) // sector), scattered)))
    directory_sectors = chunks[-1][1]
    fat_sectors, difat_sectors = _allocate_fat(fat, sector)

    with open(path, "wb") as file:
        header = _header(version, directory_sectors, fat_sectors, difat_sectors, mini_start, -(-len(packed) // sector))
        file.write(header.ljust(sector, b"\0"))
        for content, places in chunks:
            _put(file, _bytes(content), places, sector, b"\0" if content is not directory else _packed(None))
        _put(file, struct.pack(f"<{len(fat)}I", *fat), fat_sectors, sector, struct.pack("<I", FREE))
        beyond = fat_sectors[IN_HEADER:]
        per = sector // 4 - 1
        for i, place in enumerate(difat_sectors):
            part = beyond[i * per : (i + 1) * per]
            part = part + [FREE] * (per - len(part))
            following = difat_sectors[i + 1] if i + 1 < len(difat_sectors) else END
            _put(file, struct.pack(f"<{per + 1}I", *part, following), [place], sector, b"\0")
        file.truncate(sector * (len(fat) + 1))


def _directory(streams: Mapping[str, Content], empty: tuple[str, ...]) -> list[_Entry]:
    """All entries, root first, with numbers and sibling trees."""
    root = _Entry("Root Entry", 5)

    def storage(names: list[str]) -> _Entry:
        place = root
        for name in names:
            place = place.kids.setdefault(name, _Entry(name, 1))
        return place

    for path, content in streams.items():
        *folders, name = path.split("/")
        size = content.size if isinstance(content, Later) else len(content)
        storage(folders).kids[name] = _Entry(name, 2, content, size=size)
    for path in empty:
        storage(path.split("/"))

    entries: list[_Entry] = []

    def number(entry: _Entry) -> None:
        entry.number = len(entries)
        entries.append(entry)
        for kid in entry.kids.values():
            number(kid)

    number(root)
    for entry in entries:
        # [MS-CFB] 2.6.4: shorter names first, then upper-case order of the UTF-16 units.
        kids = sorted(entry.kids.values(), key=lambda e: (len(e.name.encode("utf-16-le")), e.name.upper()))
        if kids:
            entry.child = _tree(kids, 0, len(kids).bit_length() - 1)
    return entries


def _tree(kids: list[_Entry], depth: int, deepest: int) -> int:
    """A balanced tree; its deepest level is red, all else black, which makes a valid red-black tree."""
    if not kids:
        return NONE
    middle = len(kids) // 2
    top = kids[middle]
    top.left = _tree(kids[:middle], depth + 1, deepest)
    top.right = _tree(kids[middle + 1 :], depth + 1, deepest)
    top.black = depth == 0 or depth < deepest
    return top.number


def _mini(small: list[_Entry]) -> tuple[list[int], bytes]:
    fat: list[int] = []
    stream = bytearray()
    for entry in small:
        count = -(-entry.size // MINI)
        entry.start = len(fat)
        fat += [*range(len(fat) + 1, len(fat) + count), END]
        stream += _bytes(entry).ljust(count * MINI, b"\xaa")  # what follows a stream's end means nothing
    return fat, bytes(stream)


def _allocate(fat: list[int], count: int, scattered: bool) -> list[int]:
    """Take `count` sectors and chain them; scattered: last to first."""
    places = list(range(len(fat), len(fat) + count))
    fat += [FREE] * count
    if scattered:
        places.reverse()
    for here, following in zip(places, [*places[1:], END], strict=True):
        fat[here] = following
    return places


def _allocate_fat(fat: list[int], sector: int) -> tuple[list[int], list[int]]:
    """Sectors for the FAT itself and for the list of those that the header has no room for."""
    count, listed = 0, 0
    while True:
        needed = -(-(len(fat) + count + listed) * 4 // sector)
        lists = -(-max(0, needed - IN_HEADER) // (sector // 4 - 1))
        if (needed, lists) == (count, listed):
            break
        count, listed = needed, lists
    first = len(fat)
    fat += [FAT_SECTOR] * count + [DIFAT_SECTOR] * listed
    return list(range(first, first + count)), list(range(first + count, first + count + listed))


def _header(
    version: int, directory: list[int], fat: list[int], difat: list[int], mini_start: int, mini_count: int
) -> bytes:
    """[MS-CFB] 2.2."""
    listed = fat[:IN_HEADER] + [FREE] * (IN_HEADER - len(fat))
    return struct.pack(
        f"<8s16sHHHHH6sIIIIIIIII{IN_HEADER}I",
        bytes.fromhex("d0cf11e0a1b11ae1"),
        bytes(16),
        0x3E,
        version,
        0xFFFE,
        {3: 9, 4: 12}[version],
        6,
        bytes(6),
        len(directory) if version == 4 else 0,
        len(fat),
        directory[0],
        0,
        CUTOFF,
        mini_start,
        mini_count,
        difat[0] if difat else END,
        len(difat),
        *listed,
    )


def _packed(entry: _Entry | None) -> bytes:
    """[MS-CFB] 2.6.1; None: an unused entry."""
    if entry is None:
        return struct.pack("<64sHBBIII16sIQQIQ", b"", 0, 0, 0, NONE, NONE, NONE, b"", 0, 0, 0, 0, 0)
    name = entry.name.encode("utf-16-le") + b"\0\0"
    assert len(name) <= 64, entry.name
    start = 0 if entry.kind == 1 else entry.start
    size = 0 if entry.kind == 1 else entry.size
    links = (entry.left, entry.right, entry.child)
    return struct.pack(
        "<64sHBBIII16sIQQIQ", name, len(name), entry.kind, entry.black, *links, b"", 0, 0, 0, start, size
    )


def _bytes(content: _Entry | Content) -> bytes:
    if isinstance(content, _Entry):
        content = content.content
    return content.make() if isinstance(content, Later) else content


def _put(file: object, content: bytes, places: list[int], sector: int, padding: bytes) -> None:
    """Write content to its sectors, the last one filled up with `padding`."""
    room = len(places) * sector
    content += padding * ((room - len(content)) // len(padding))
    content = content.ljust(room, b"\0")
    for start, count in _runs(places):
        file.seek((places[start] + 1) * sector)  # type: ignore[attr-defined]
        file.write(content[start * sector : (start + count) * sector])  # type: ignore[attr-defined]


def _runs(places: list[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for i in range(1, len(places) + 1):
        if i == len(places) or places[i] != places[i - 1] + 1:
            yield start, i - start
            start = i
