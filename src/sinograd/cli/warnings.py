"""Warnings of sinograd as lines on stderr."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from sinograd.errors import SinogradWarning


@contextmanager
def shown_warnings(shown: list[str]) -> Iterator[None]:
    """Inside, warnings of the package become lines on stderr, once each, and are added to `shown`.

    Other warnings, which are about the program, are shown as Python shows them.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SinogradWarning)
        try:
            yield
        finally:
            for warning in caught:
                if issubclass(warning.category, SinogradWarning):
                    warn(str(warning.message), shown)
    for warning in caught:
        if not issubclass(warning.category, SinogradWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def warn(text: str, shown: list[str] | None = None) -> None:
    """One line on stderr, and no second one of those in `shown`."""
    shown = [] if shown is None else shown
    if text not in shown:
        shown.append(text)
        typer.secho(f"warning: {text}", fg="yellow", err=True)
