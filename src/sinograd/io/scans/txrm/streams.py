"""The values of an XRM file, by stream: numbers, arrays and texts as they are stored."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from sinograd.errors import InputError, ScanWarning
from sinograd.io.storage.ole import CompoundFile

_LARGEST = 1 << 26  # bytes of a stream that holds no image


class Streams:
    """An XRM file's streams; `file` is the compound file behind them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = CompoundFile(path)

    def integer(self, name: str) -> int | None:
        """The first int32 of a stream, None where there is none."""
        values = self._values(name, "<i4")
        return int(values[0]) if len(values) else None

    def number(self, name: str) -> float | None:
        """The first float32 of a stream, None where there is none or it is not finite."""
        values = self.numbers(name)
        return float(values[0]) if len(values) and np.isfinite(values[0]) else None

    def numbers(self, name: str) -> np.ndarray:
        """All float32 values of a stream as float64; empty where there is none."""
        with np.errstate(invalid="ignore"):  # signalling NaNs
            return self._values(name, "<f4").astype(np.float64)

    def text(self, name: str, place: int = 0, width: int | None = None) -> str:
        """A text up to its first NUL, of the `place`-th of entries of `width` bytes; "" where there is none.

        What follows the NUL is not initialised in these files.
        """
        content = self._bytes(name)
        if width is not None:
            content = content[place * width : (place + 1) * width]
        text = content.split(b"\0", 1)[0].decode("latin-1")
        return "".join(c for c in text if c.isprintable()).strip()

    def warn(self, message: str) -> None:
        """A ScanWarning that names the file."""
        warnings.warn(f"{self.path}: {message}", ScanWarning, stacklevel=3)

    def error(self, message: str) -> ValueError:
        """A ValueError that names the file."""
        return InputError(f"{self.path}: {message}")

    def _values(self, name: str, dtype: str) -> np.ndarray:
        content = self._bytes(name)
        return np.frombuffer(content[: len(content) // 4 * 4], dtype)

    def _bytes(self, name: str) -> bytes:
        size = self.file.size(name)
        if size is not None and size > _LARGEST:
            raise self.error(f"{name} has {size:,} bytes, expected at most {_LARGEST:,}")
        return bytes(self.file.read(name) or b"")
