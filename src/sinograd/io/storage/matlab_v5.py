"""MATLAB files of version 5 (MAT-File Format, The MathWorks, chapter 1): numbers, text, structs and cells.

Every size and count is held against the bytes that are there before it is used; variables inflate within a bound. So
damaged files, at which SciPy's reader (as of 1.17) can read past its memory, cost no more than whole ones. Objects,
function handles and sparse matrices are read as None.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sinograd.errors import FormatError

HEADER_BYTES = 128
LARGEST = 1 << 28  # bytes of one variable
_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_ENCODINGS = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_COMPLEX, _LOGICAL = 0x08, 0x02
_DEEPEST, _MOST = 32, 100_000  # levels, and matrices of one variable
_START = 4096  # bytes in which class, shape and name of a variable are


def load_version_5(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Those of the variables that the file holds; FormatError when it is truncated or damaged."""
    found: dict[str, Any] = {}
    with open(path, "rb") as file:
        for variable in _variables(path, file):
            if variable.name in names:
                found[variable.name] = variable.value()
    return found


def names_of_version_5(path: Path) -> list[str]:
    """Names of the variables; FormatError when the file is truncated or damaged."""
    with open(path, "rb") as file:
        return sorted(variable.name for variable in _variables(path, file) if variable.name)


class _Variable:
    """One variable of a file: its name is known, its value not yet read."""

    def __init__(self, path: Path, file: BinaryIO, order: str, size: int, packed: bool) -> None:
        self._path, self._file, self._order, self._size, self._packed = path, file, order, size, packed
        self._place = file.tell()
        start = self._content(_START)
        self.name = _Elements(path, order, start, whole=False).name()

    def value(self) -> Any:
        """Its value."""
        content = self._content(LARGEST + 1)
        if len(content) > LARGEST:
            raise FormatError(f"{self._path}: the variable {self.name} has more than {LARGEST:,} bytes, which are read")
        return _Elements(self._path, self._order, content).value()

    def _content(self, most: int) -> bytes:
        """Up to `most` bytes of the matrix, without its tag."""
        self._file.seek(self._place)
        if not self._packed:
            return self._file.read(min(self._size, most))
        inflate = zlib.decompressobj()
        try:
            content = inflate.decompress(self._file.read(self._size), most + 8)
        except zlib.error as error:
            raise _damaged(self._path, str(error)) from error
        kind, size = (int(word) for word in np.frombuffer(content[:8].ljust(8, b"\0"), f"{self._order}u4"))
        if kind != _MATRIX or (len(content) < most + 8 and len(content) - 8 < size):
            raise _damaged(self._path, f"a packed variable of {size:,} bytes inflates to {len(content):,}")
        return content[8 : 8 + size]


def _variables(path: Path, file: BinaryIO) -> Iterator[_Variable]:
    length = path.stat().st_size
    head = file.read(HEADER_BYTES)
    if len(head) < HEADER_BYTES or head[126:128] not in (b"IM", b"MI"):
        raise _damaged(path, f"its header has {len(head)} bytes and the mark {head[126:128]!r}")
    order = "<" if head[126:128] == b"IM" else ">"
    position = HEADER_BYTES
    while position < length:
        file.seek(position)
        kind, size = (int(word) for word in np.frombuffer(file.read(8).ljust(8, b"\0"), f"{order}u4"))
        position += 8 + size
        if position > length:
            raise FormatError(f"{path} is a truncated MATLAB file: it has {length:,} bytes, expected {position:,}")
        if kind in (_MATRIX, _COMPRESSED):
            yield _Variable(path, file, order, size, kind == _COMPRESSED)


class _Elements:
    """The elements of a matrix, one after the other."""

    def __init__(
        self, path: Path, order: str, content: bytes | memoryview, depth: int = 0, left: list[int] | None = None,
        *, whole: bool = True,
    ) -> None:  # fmt: skip
        self._path, self._order, self._content = path, order, memoryview(content)
        self._depth, self._left, self._whole, self._at = depth, [_MOST] if left is None else left, whole, 0
        self._left[0] -= 1
        if depth > _DEEPEST or self._left[0] < 0:
            raise _damaged(path, f"more than {_DEEPEST} levels or {_MOST:,} matrices in a variable")

    def name(self) -> str:
        """The matrix's name; "" for one without content."""
        return self._head()[3] if len(self._content) else ""

    def value(self) -> Any:
        """The matrix as Python's and NumPy's."""
        if not len(self._content):
            return np.empty(0)
        kind, flags, shape, _ = self._head()
        if kind == _CHAR:
            return self._text(shape)
        if kind == _CELL:
            return _simple([self._inner() for _ in range(self._count(shape))])
        if kind == _STRUCT:
            return self._struct(shape)
        if kind not in _CLASSES:
            return None
        real = self._numbers(shape, _CLASSES[kind])
        values = real + 1j * self._numbers(shape, _CLASSES[kind]) if flags & _COMPLEX else real
        values = np.squeeze(values.astype(bool) if flags & _LOGICAL else values)
        return values.item() if values.ndim == 0 else values

    def _head(self) -> tuple[int, int, tuple[int, ...], str]:
        """Class, flags, shape and name."""
        flags = self._array()
        shape = tuple(int(n) for n in self._array())
        name = self._array().tobytes().decode("latin-1")
        if len(flags) < 1 or len(shape) < 2 or min(shape) < 0:
            raise _damaged(self._path, f"a matrix of shape {list(shape)[:8]}")
        return int(flags[0]) & 0xFF, int(flags[0]) >> 8 & 0xFF, shape, name

    def _struct(self, shape: tuple[int, ...]) -> Any:
        width = self._array()
        texts = self._array().tobytes()
        step = int(width[0]) if len(width) else 0
        if step < 1 or len(texts) % step:
            raise _damaged(self._path, f"names of {step} bytes in {len(texts)}")
        names = [
            texts[i : i + step].split(b"\0", 1)[0].decode("latin-1") for i in range(0, len(texts), step)
        ]  # fmt: skip
        count = self._count(shape, max(1, len(names)))
        records = [{name: self._inner() for name in names} for _ in range(count)]
        return records[0] if count == 1 else records

    def _inner(self) -> Any:
        kind, content = self._next()
        if kind != _MATRIX:
            raise _damaged(self._path, f"an element of type {kind}, expected a matrix")
        return _Elements(self._path, self._order, content, self._depth + 1, self._left).value()

    def _count(self, shape: tuple[int, ...], each: int = 1) -> int:
        """How many matrices follow, as many as there is room for."""
        count = math.prod(shape)
        if count * each * 8 > len(self._content):
            raise _damaged(self._path, f"{count:,} matrices in {len(self._content):,} bytes")
        return count

    def _numbers(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        values = self._array()
        if len(values) != math.prod(shape):
            raise _damaged(self._path, f"{len(values):,} numbers for the shape {list(shape)[:8]}")
        with np.errstate(invalid="ignore", over="ignore"):
            return np.ascontiguousarray(values.reshape(shape, order="F").astype(dtype))

    def _text(self, shape: tuple[int, ...]) -> Any:
        kind, content = self._next()
        raw = bytes(content)
        if kind in _ENCODINGS:
            order = "" if kind == 16 else "-le" if self._order == "<" else "-be"
            text = raw.decode(_ENCODINGS[kind] + order, errors="replace")
        else:
            text = "".join(map(chr, self._values(kind, raw).astype(np.uint16).tolist()))
        if len(shape) != 2 or shape[0] <= 1 or len(text) != math.prod(shape):
            return text.rstrip()
        return ["".join(row).rstrip() for row in np.array(list(text)).reshape(shape, order="F")]

    def _array(self) -> np.ndarray:
        kind, content = self._next()
        return self._values(kind, content)

    def _values(self, kind: int, content: bytes | memoryview) -> np.ndarray:
        if kind not in _TYPES:
            raise _damaged(self._path, f"numbers of the unknown type {kind}")
        dtype = np.dtype(self._order + _TYPES[kind])
        if len(content) % dtype.itemsize:
            raise _damaged(self._path, f"{len(content)} bytes are no whole numbers of type {kind}")
        return np.frombuffer(content, dtype)

    def _next(self) -> tuple[int, memoryview]:
        """Type and bytes of the next element; small ones have both in their tag."""
        tag = bytes(self._content[self._at : self._at + 8])
        if len(tag) < 8:
            raise _damaged(self._path, "a matrix ends within its elements")
        kind, size = (int(word) for word in np.frombuffer(tag, f"{self._order}u4"))
        start = self._at + 8
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, self._at + 4
            if size > 4:
                raise _damaged(self._path, f"a small element of {size} bytes")
            self._at += 8
        else:
            if start + size > len(self._content):
                raise _damaged(self._path, f"an element of {size:,} bytes in a matrix of {len(self._content):,}")
            self._at = min(len(self._content), start + -(-size // 8) * 8)
        return kind, self._content[start : start + size]


def _simple(values: list[Any]) -> Any:
    """A cell of numbers as an array, others as a list."""
    return np.array(values) if values and all(type(value) in (int, float) for value in values) else values


def _damaged(path: Path, why: str) -> FormatError:
    return FormatError(f"{path} is a truncated or damaged MATLAB file: {why}")
