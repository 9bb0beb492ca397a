"""What the user sees when a command cannot go on: one line, and an exit code."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import typer

from sinograd.cli.warnings import warning_lines

BAD_INPUT = 2
INTERRUPTED = 130
_PACKAGE = Path(__file__).parents[1]

P = ParamSpec("P")


def reported(command: Callable[P, None]) -> Callable[P, None]:
    """Bad input ends the command with one line on stderr and exit code 2, an interrupt with 130.

    Errors that sinograd did not raise itself are bugs and keep their traceback.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with warning_lines():
                command(*args, **kwargs)
        except BrokenPipeError:
            raise  # whoever read the output has enough; typer ends the command quietly
        except KeyboardInterrupt as interrupt:
            say("interrupted" + "".join(f" {note}" for note in interrupt.args))
            raise typer.Exit(INTERRUPTED) from None
        except (OSError, ValueError, NotImplementedError, MemoryError, RuntimeError) as error:
            message = _message(error)
            if message is None:
                raise
            say(f"error: {message}")
            raise typer.Exit(BAD_INPUT) from None

    return run


def say(text: str) -> None:
    """One line on stderr, whatever line breaks `text` has."""
    typer.echo(f"sinograd: {' '.join(text.split())}", err=True)


def _message(error: Exception) -> str | None:
    """The line for an error that the user can act on, None for a bug."""
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return "not enough memory for this scan and grid: fewer or larger voxels (--shape, --voxel-mm) need less"
    if isinstance(error, OSError):
        if error.filename is not None and error.strerror:
            return f"{error.filename}: {error.strerror}"
        return error.strerror or str(error)
    if isinstance(error, RuntimeError) and not isinstance(error, NotImplementedError):
        return None
    last = traceback.extract_tb(error.__traceback__)[-1]
    return str(error) if _PACKAGE in Path(last.filename).parents else None
