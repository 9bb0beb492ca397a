"""What the user sees when a command cannot go on: one line, and an exit code."""

from __future__ import annotations

import functools
import re
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import typer

from sinograd import __version__
from sinograd.config.shown import printable
from sinograd.errors import SinogradError, Stopped
from sinograd.interrupts import deferred, received

BAD_INPUT = 2
INTERNAL = 70  # EX_SOFTWARE of sysexits.h
_LONGEST = 4000  # characters of a line
_NAMES_FIRST = re.compile(r"^\w+(?:, \w+)*(?=: | must | requires )")

P = ParamSpec("P")

# Newer typers bring click along, older ones import it.
_ClickException: Any = typer.BadParameter.__mro__[2]


def reported(command: Callable[P, None]) -> Callable[P, None]:
    """Bad input ends the command with one line on stderr and exit code 2, Ctrl-C with 130, SIGTERM with 143.

    Warnings of the package become lines. Other errors are bugs: one line, and a file with the traceback.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from sinograd.cli.warnings import warning_lines
        from sinograd.workflows.job import enough_memory

        try:
            with warning_lines(), enough_memory():
                command(*args, **kwargs)
        except (BrokenPipeError, typer.Exit, typer.Abort, _ClickException):
            raise  # of a pipe: whoever read the output has enough; typer ends the command quietly
        except (Exception, KeyboardInterrupt) as error:
            raise typer.Exit(reported_code(error)) from None

    return run


def reported_code(error: BaseException) -> int:
    """Say in one line why the command ends; its exit code.

    Whatever comes of an interrupt that a library turned into an error of its own is an interrupt.
    """
    with deferred():
        if isinstance(error, Stopped | KeyboardInterrupt | typer.Abort):
            say(f"interrupted {as_options(str(error)) if isinstance(error, Stopped) else ''}".rstrip())
            return 128 + (received() or signal.SIGINT)
        if isinstance(error, SinogradError | OSError):
            say(f"error: {as_options(_message(error))}")
            return BAD_INPUT
        if received() is not None:
            say("interrupted")
            return 128 + (received() or signal.SIGINT)
        say(f"internal error, a bug: {type(error).__name__}: {error} ({_saved_traceback(error)})")
        return INTERNAL


def _saved_traceback(error: BaseException) -> str:
    """Where the traceback lies: a file that only this user can read."""
    lines = [f"sinograd {__version__}, Python {sys.version.split()[0]}, {sys.platform}\n", f"{sys.argv}\n"]
    lines += traceback.format_exception(error)
    try:
        path = Path(tempfile.mkdtemp(prefix="sinograd-")) / "traceback.txt"
        path.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")
    except OSError as problem:
        return f"its traceback could not be saved: {problem.strerror}"
    return f"please report it with {path}"


def say(text: str) -> None:
    """One line on stderr, whatever line breaks and control characters `text` has, and however long it is."""
    line = printable(" ".join(text.split()))
    typer.echo(f"sinograd: {line if len(line) <= _LONGEST else f'{line[:_LONGEST]} ...'}", err=True)


def as_options(text: str) -> str:
    """A message of the library in the words of the running command.

    Arguments in backquotes become options where the command has them: `force=True` is --force, `device='cpu'` is
    --device cpu, `center_picture` is --center-picture. So do those that a message begins with: "dead, hot: expected".
    What is no option of the command stays as it is.
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

    first = _NAMES_FIRST.match(text)
    if first and all(name in parameters for name in first[0].split(", ")):
        text = ", ".join(f"`{name}`" for name in first[0].split(", ")) + text[first.end() :]
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
