"""What the user sees when a command cannot go on: one line, and an exit code."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, ParamSpec

import typer

from sinograd.config.shown import printable
from sinograd.errors import SinogradError, Stopped

BAD_INPUT = 2
INTERRUPTED = 130
_LONGEST = 4000  # characters of a line

P = ParamSpec("P")


def reported(command: Callable[P, None]) -> Callable[P, None]:
    """Bad input ends the command with one line on stderr and exit code 2, an interrupt with 130.

    Warnings of the package become lines. Other errors are bugs and keep their traceback.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from sinograd.cli.warnings import warning_lines
        from sinograd.workflows.job import enough_memory

        try:
            with warning_lines(), enough_memory():
                command(*args, **kwargs)
        except BrokenPipeError:
            raise  # whoever read the output has enough; typer ends the command quietly
        except Stopped as stopped:
            say(f"interrupted {as_options(str(stopped))}".rstrip())
            raise typer.Exit(INTERRUPTED) from None
        except KeyboardInterrupt:
            say("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except (SinogradError, OSError) as error:
            say(f"error: {as_options(_message(error))}")
            raise typer.Exit(BAD_INPUT) from None

    return run


def say(text: str) -> None:
    """One line on stderr, whatever line breaks and control characters `text` has, and however long it is."""
    line = printable(" ".join(text.split()))
    typer.echo(f"sinograd: {line if len(line) <= _LONGEST else f'{line[:_LONGEST]} ...'}", err=True)


def as_options(text: str) -> str:
    """A message of the library in the words of the running command.

    Arguments in backquotes become options where the command has them: `force=True` is --force, `device='cpu'` is
    --device cpu, `center_picture` is --center-picture. What is no option of the command stays as it is.
    """
    parameters = {parameter.name: parameter for parameter in _parameters()}

    def option(match: re.Match[str]) -> str:
        name, value = match[1], match[2]
        parameter = parameters.get(name) or parameters.get(f"{name}_")
        if parameter is None:
            return match[0]
        if parameter.param_type_name == "argument":
            return parameter.metavar or name.upper()
        if value == "False" and parameter.secondary_opts:
            return parameter.secondary_opts[0]
        if value is None or parameter.is_flag:
            return parameter.opts[0]
        return f"{parameter.opts[0]} {value.strip(chr(34) + chr(39))}"

    return re.sub(r"`(\w+)(?:=([^`]*))?`", option, text)


def _parameters() -> list[Any]:
    """Those of the command that runs; none outside of one."""
    try:
        from typer._click.globals import get_current_context  # newer typers bring click along
    except ImportError:
        from click import get_current_context
    context = get_current_context(silent=True)
    return [] if context is None else context.command.params


def _message(error: Exception) -> str:
    if isinstance(error, OSError):
        if error.filename is not None and error.strerror:
            return f"{error.filename}: {error.strerror}"
        return error.strerror or str(error)
    return str(error)
