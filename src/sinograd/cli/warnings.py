"""Warnings of sinograd as lines on stderr."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from sinograd.cli.errors import as_options
from sinograd.config.shown import printable
from sinograd.errors import SinogradWarning
from sinograd.workflows.report import print_beside_bars

_shown: list[dict[str, str]] = []  # of the command that runs


def shown_warnings() -> list[dict[str, str]]:
    """The warnings of the command so far: kind, message and, where there are any, details."""
    return list(_shown)


@contextmanager
def warning_lines() -> Iterator[None]:
    """Inside, warnings of the package become lines on stderr, once each.

    Other warnings, which are about the program, are shown as Python shows them.
    """
    shown: set[str] = set()
    _shown.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("always", SinogradWarning)
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
            text = str(message)
            if not issubclass(category, SinogradWarning):
                others(message, category, *where)
            elif text not in shown:
                shown.add(text)
                words = printable(" ".join(as_options(text).split()))
                details = getattr(message, "details", "")
                record = {"kind": category.__name__, "message": words} | ({"details": details} if details else {})
                _shown.append(record)
                line = f"warning: {words}"
                if not print_beside_bars(line, "yellow"):
                    typer.secho(line, fg="yellow", err=True)

        warnings.showwarning = show
        yield
