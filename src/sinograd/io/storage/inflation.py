"""How large packed bytes become, found out before a library unpacks them to their end.

A megabyte can be a gigabyte of zeros, and most libraries unpack a block to its end, whatever size it should have. What
is too small for harm passes; the size of others is read from their headers where these are certain (zstd, Blosc, LZ4),
else they are unpacked here up to the size that they should have.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from sinograd.errors import FormatError

HARMLESS = 1 << 27  # bytes that any block may become
_STEP = 1 << 20
_RATIOS = {"deflate": 1032, "lz4": 255, "blosc": 1 << 16, "zstd": 1 << 15, "bz2": 1 << 21, "lzma": 1 << 14}
_ZSTD, _ZSTD_BLOCK = b"\x28\xb5\x2f\xfd", 128 << 10  # bytes a block becomes at most: RFC 8878, section 3.1.1.2.4
_SKIPPED = range(0x184D2A50, 0x184D2A60)


def check_inflation(packed: bytes, method: str, most: int, where: str) -> None:
    """FormatError, which starts with `where`, where packed bytes become more than `most` (and than what is harmless).

    method: "deflate" (zlib or gzip), "bz2", "lzma", "zstd", "blosc" or "lz4" (behind its size).
    """
    most = max(most, HARMLESS)
    if len(packed) * _RATIOS[method] <= most:
        return
    if not _fits(packed, method, most):
        raise FormatError(f"{where}: {len(packed):,} packed bytes inflate to more than {most:,}")


def _fits(packed: bytes, method: str, most: int) -> bool:
    if method == "zstd":
        return _largest_of_zstd(packed) <= most
    if method == "blosc":
        return int.from_bytes(packed[4:8], "little") <= most
    if method == "lz4":
        return int.from_bytes(packed[:4], "little") <= most
    starts: dict[str, Callable[[], Any]] = {
        "deflate": lambda: zlib.decompressobj(47),
        "bz2": bz2.BZ2Decompressor,
        "lzma": lzma.LZMADecompressor,
    }
    size = 0
    try:
        for part in _parts(packed, starts[method]):
            size += part
            if size > most:
                return False
    except (zlib.error, OSError, EOFError, lzma.LZMAError):
        pass  # damaged from here on: what unpacks it says so
    return True


def _parts(packed: bytes, start: Callable[[], Any]) -> Iterator[int]:
    """Sizes of what packed streams behind each other become, piece by piece."""
    rest = packed
    while rest:
        stream, block = start(), rest
        while not stream.eof:
            part = stream.decompress(block, _STEP)
            yield len(part)
            block = getattr(stream, "unconsumed_tail", b"")
            if not part and not block and getattr(stream, "needs_input", True):
                return
        rest = stream.unused_data.lstrip(b"\0")


def _largest_of_zstd(packed: bytes) -> int:
    """The most bytes that frames become: no block becomes more than 128 KB. RFC 8878, section 3.1."""
    total, largest, at = 0, 0, 0
    while at + 4 <= len(packed):
        if int.from_bytes(packed[at : at + 4], "little") in _SKIPPED:
            at += 8 + int.from_bytes(packed[at + 4 : at + 8], "little")
            continue
        if packed[at : at + 4] != _ZSTD or at + 5 >= len(packed):
            break
        flags = packed[at + 4]
        single, width = flags >> 5 & 1, (1, 2, 4, 8)[flags >> 6]
        at += 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
        if single or width > 1:
            largest = max(largest, int.from_bytes(packed[at : at + width], "little"))  # is allocated at once
            at += width
        last = 0
        while not last and at + 3 <= len(packed):
            head = int.from_bytes(packed[at : at + 3], "little")
            last, kind, size = head & 1, head >> 1 & 3, head >> 3
            total += size if kind < 2 else _ZSTD_BLOCK
            at += 3 + (1 if kind == 1 else size)
        at += 4 * (flags >> 2 & 1)
    return max(total, largest)
