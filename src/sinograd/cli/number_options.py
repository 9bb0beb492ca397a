"""Numbers of the command line, with errors in the command's own words."""

from __future__ import annotations

from dataclasses import dataclass

import typer


@dataclass(frozen=True)
class Number:
    """Parses a number; a usage error that says what is expected and what was given otherwise.

    Attributes:
        kind: int or float.
        min, max: bounds, which are allowed themselves.
    """

    kind: type[int] | type[float]
    min: float | None = None
    max: float | None = None

    def __call__(self, text: str | float) -> float:
        """The number of a text, of a configuration or of a default."""
        try:
            value = self.kind(text)
        except (TypeError, ValueError, OverflowError):
            raise typer.BadParameter(self._expected(text)) from None
        if isinstance(text, bool) or (not isinstance(text, str) and value != text and text == text):  # cut off, not NaN
            raise typer.BadParameter(self._expected(text))
        if (self.min is not None and value < self.min) or (self.max is not None and value > self.max):
            raise typer.BadParameter(self._expected(text))
        return value

    def _expected(self, text: str | float) -> str:
        number = "a whole number" if self.kind is int else "a number"
        if self.min is not None and self.max is not None:
            bounds = f" from {self.min:g} to {self.max:g}"
        else:
            bounds = f" of at least {self.min:g}" if self.min is not None else ""
            bounds += f" of at most {self.max:g}" if self.max is not None else ""
        return f"expected {number}{bounds}, got {text!r:.80}"
