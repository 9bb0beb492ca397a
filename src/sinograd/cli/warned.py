"""Warnings of sinograd as lines on stderr."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def told_warnings(told: list[str]) -> Iterator[None]:
    """Inside, warnings about the scan become lines on stderr, once each, and are added to `told`.

    Other warnings, which are about the program, are shown as Python shows them.
    """
    from sinograd.io import ScanWarning
    from sinograd.preparation import PreparationWarning
    from sinograd.recon import ConvergenceWarning, CoverageWarning

    ours = (ConvergenceWarning, CoverageWarning, PreparationWarning, ScanWarning)
    with warnings.catch_warnings(record=True) as caught:
        for category in ours:
            warnings.simplefilter("always", category)
        try:
            yield
        finally:
            for warning in caught:
                if issubclass(warning.category, ours):
                    warn(str(warning.message), told)
    for warning in caught:
        if not issubclass(warning.category, ours):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def warn(text: str, told: list[str] | None = None) -> None:
    """One line on stderr, and no second one of those in `told`."""
    told = [] if told is None else told
    if text not in told:
        told.append(text)
        typer.secho(f"warning: {text}", fg="yellow", err=True)
