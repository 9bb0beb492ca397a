"""A check of HDF5 files for damage at which the HDF5 library would not return.

Texts of variable length lie in global heaps (HDF5 file format specification, III.E): collections of objects,
each with its index and size. The library (as of 2.0) walks from object to object by these sizes, and goes
round for ever at a step of 0.
"""

from __future__ import annotations

import mmap
import os
import time
from functools import lru_cache
from pathlib import Path

from sinograd.errors import InputError

_SIGNATURE = b"GCOL\x01\0\0\0"
_HEADER, _OBJECT = 16, 16
_SMALLEST = 4096  # bytes of a collection
_SEARCHED = 16 << 20  # bytes at either end of a file, where its descriptions are
_PIECE = 1 << 20  # bytes that are mapped at a time
_TICK = 2_000_000_000  # ns: the coarsest clock of a file system


def check_heaps(path: Path) -> None:
    """InputError when a global heap in the first or last 16 MB of a file has no end.

    A file is searched again only where it changed; one that changed just now could do so again in the same tick.
    """
    status = os.stat(path)
    settled = time.time_ns() - status.st_mtime_ns > _TICK
    search = _search if settled else _search.__wrapped__
    search(os.fspath(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _search(path: str, length: int, changed: int) -> None:
    """Raises as `check_heaps`; the cache holds files that passed, by path, length and time of their last change."""
    with open(path, "rb") as file:
        if length < _SMALLEST:
            return
        for start, stop in ((0, _SEARCHED), (max(_SEARCHED, length - _SEARCHED), length)):
            for begin in range(start, min(stop, length), _PIECE):
                end = min(begin + _PIECE + len(_SIGNATURE) - 1, stop, length)
                _search_part(path, file.fileno(), (begin, end), length)


def _search_part(path: str, file: int, part: tuple[int, int], length: int) -> None:
    """As `_search`, of collections that begin in a part of the file; no more is mapped than they need."""
    begin, end = part[0] // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY, part[1]
    while True:
        with mmap.mmap(file, end - begin, access=mmap.ACCESS_READ, offset=begin) as content:
            needed = end
            place = content.find(_SIGNATURE, part[0] - begin, part[1] - begin)
            while place >= 0:
                size = int.from_bytes(content[place + 8 : place + 16], "little")
                if end < begin + place + size <= length:
                    needed = max(needed, begin + place + size)
                elif not _ends(content, place):
                    raise InputError(
                        f"{path} is a truncated or damaged HDF5 file: the heap at byte {begin + place} has no end"
                    )
                place = content.find(_SIGNATURE, place + 1, part[1] - begin)
        if needed == end:
            return
        end = needed


def _ends(content: mmap.mmap, place: int) -> bool:
    """Whether the walk through the collection at `place` ends."""
    size = int.from_bytes(content[place + 8 : place + 16], "little")
    if size < _SMALLEST or place + size > len(content):
        return True  # the library refuses it
    at, end = place + _HEADER, place + size
    while at + _OBJECT <= end:
        index = int.from_bytes(content[at : at + 2], "little")
        count = int.from_bytes(content[at + 8 : at + 16], "little")
        step = (_OBJECT + -(-count // 8) * 8 if index else count) % (1 << 64)  # as the library counts
        if step == 0:
            return False
        at += step
    return True
