"""Entries of another toolkit's description, with errors that name them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sinograd.errors import InputError, InputTypeError


def entry(description: Mapping[str, Any], key: str, what: str) -> Any:
    """The entry; ValueError where it is missing."""
    if not isinstance(description, Mapping):
        raise InputTypeError(f"{what} must be a mapping, got {type(description).__name__}")
    if key not in description:
        raise InputError(f"{what} lacks {key}; it has {', '.join(map(str, description)) or 'nothing'}")
    return description[key]
