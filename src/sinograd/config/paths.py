"""Paths that callers give."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sinograd.errors import InputTypeError


def checked_path(path: Any, name: str = "path") -> Path:
    """The path; InputTypeError for what is no text and no path."""
    if not isinstance(path, str | os.PathLike) or isinstance(os.fspath(path), bytes):
        raise InputTypeError(f"{name} must be a path, as text or pathlib.Path, got {type(path).__name__}")
    return Path(path)
