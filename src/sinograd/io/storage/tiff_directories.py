"""The chain of directories in a TIFF file (TIFF 6.0, section 2; BigTIFF), one a page.

It is followed before tifffile reads it. Directories may overlap, lead in a circle, or name millions of pages in few
bytes.
"""

from __future__ import annotations

import struct
from pathlib import Path

from sinograd.errors import FormatError

MOST_PAGES = 65_536  # of one file
_MOST_TAGS = 4_000_000  # of all pages
_PLAIN, _BIG = 42, 43


def check_directories(path: Path) -> int:
    """How many pages a file has; FormatError for a chain without end, one out of the file, or too many pages."""
    length = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        version = struct.unpack_from(f"{order}H", head, 2)[0] if order and len(head) >= 8 else 0
        if version not in (_PLAIN, _BIG) or (version == _BIG and len(head) < 16):
            raise FormatError(f"{path} is a truncated or damaged TIFF file: it starts with {head[:8]!r}")
        count_format, tag_bytes, offset_format = ("Q", 20, "Q") if version == _BIG else ("H", 12, "I")
        (place,) = struct.unpack_from(f"{order}{offset_format}", head, 8 if version == _BIG else 4)
        count_bytes, offset_bytes = struct.calcsize(f"<{count_format}"), struct.calcsize(f"<{offset_format}")
        seen: set[int] = set()
        tags = 0
        while place:
            if place in seen:
                raise FormatError(f"{path} is a damaged TIFF file: its pages lead in a circle at byte {place:,}")
            seen.add(place)
            file.seek(place if place < length else length)
            (count,) = struct.unpack(f"{order}{count_format}", file.read(count_bytes).ljust(count_bytes, b"\0"))
            end = place + count_bytes + count * tag_bytes
            tags += count
            if count == 0 or end > length:
                raise FormatError(f"{path} is a truncated or damaged TIFF file: page {len(seen) - 1} ends beyond it")
            if len(seen) > MOST_PAGES or tags > _MOST_TAGS:
                raise FormatError(f"{path} has more than {MOST_PAGES:,} pages or {_MOST_TAGS:,} tags, which are read")
            file.seek(end)
            (place,) = struct.unpack(f"{order}{offset_format}", file.read(offset_bytes).ljust(offset_bytes, b"\0"))
    if not seen:
        raise FormatError(f"{path} is a truncated or damaged TIFF file: it has no page")
    return len(seen)
