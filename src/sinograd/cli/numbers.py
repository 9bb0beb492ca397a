"""Options that take numbers with commas between them."""

from __future__ import annotations

from typing import TypeVar

import typer

T = TypeVar("T", int, float)


def numbers(text: str | None, kind: type[T], option: str) -> tuple[T, ...] | None:
    """The numbers of an option's text; None stays None."""
    if text is None:
        return None
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"expected numbers with commas between them, got {text!r}", param_hint=option
        ) from None
