"""Scan descriptions in the INI style of Windows programs: sections in brackets, `name = value` lines."""

from __future__ import annotations

from pathlib import Path

from sinograd.config.regular_files import check_regular
from sinograd.config.shown import shown
from sinograd.errors import InputError
from sinograd.files.inputs import noted
from sinograd.io.storage.decimals import as_number

MAX_BYTES = 16 << 20
_REQUIRED = object()


class Ini:
    """The sections of an INI file; names of sections and keys are found whatever their case.

    Text is UTF-8 or, where it is not, Latin-1. Errors are ValueErrors that name the file, the section and the key.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        check_regular(path)
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} has {path.stat().st_size:,} bytes; a text of at most {MAX_BYTES:,} is expected")
        content = noted(path).read_bytes()
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
        self._sections: dict[str, dict[str, str]] = {}
        section: dict[str, str] = {}
        for line in (raw.strip() for raw in text.splitlines()):
            if line.startswith("[") and line.endswith("]"):
                section = self._sections.setdefault(line[1:-1].strip().casefold(), {})
            elif "=" in line and not line.startswith((";", "#")):
                key, value = line.split("=", 1)
                section.setdefault(key.strip().casefold(), value.strip())

    def __contains__(self, section: str) -> bool:
        return section.casefold() in self._sections

    def text(self, section: str, key: str, default: str | None = None) -> str | None:
        """The value of a key; `default` where it is missing or empty."""
        return self._sections.get(section.casefold(), {}).get(key.casefold()) or default

    def number(self, section: str, key: str, default: object = _REQUIRED) -> float:
        """A finite number; where it is missing `default`, or ValueError without one."""
        text = self.text(section, key)
        if text is None:
            if default is _REQUIRED:
                raise InputError(f"{self.path}: [{section}] has no {key}")
            assert isinstance(default, int | float)
            return float(default)
        number = as_number(text)
        if number is None:
            raise InputError(f"{self.path}: [{section}] {key} must be a number, got {shown(text)}")
        return number

    def positive(self, section: str, key: str, default: object = _REQUIRED) -> float:
        """A number above 0."""
        number = self.number(section, key, default)
        if number <= 0:
            raise InputError(f"{self.path}: [{section}] {key} must be positive, got {number:g}")
        return number

    def count(self, section: str, key: str) -> int:
        """A whole number of at least 1."""
        number = self.number(section, key)
        if number < 1 or number != int(number):
            raise InputError(f"{self.path}: [{section}] {key} must be a whole number of at least 1, got {number:g}")
        return int(number)
