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


@contextmanager
def warning_lines() -> Iterator[None]:
    """Inside, warnings of the package become lines on stderr, once each.

    Other warnings, which are about the program, are shown as Python shows them.
    """
    shown: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", SinogradWarning)
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
            text = str(message)
            if not issubclass(category, SinogradWarning):
                others(message, category, *where)
            elif text not in shown:
                shown.add(text)
                typer.secho(f"warning: {printable(' '.join(as_options(text).split()))}", fg="yellow", err=True)

        warnings.showwarning = show
        yield
