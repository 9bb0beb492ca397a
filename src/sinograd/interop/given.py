"""Entries of another toolkit's description, with errors that name them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def entry(description: Mapping[str, Any], key: str, what: str) -> Any:
    """The entry; ValueError where it is missing."""
    if not isinstance(description, Mapping):
        raise TypeError(f"{what} must be a mapping, got {type(description).__name__}")
    if key not in description:
        raise ValueError(f"{what} lacks {key}; it has {', '.join(map(str, description)) or 'nothing'}")
    return description[key]
