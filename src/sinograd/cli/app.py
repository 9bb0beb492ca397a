"""The typer application: the commands and what they share."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sinograd.cli.convert import convert
from sinograd.cli.demo import demo
from sinograd.cli.denoise import denoise
from sinograd.cli.doctor import doctor
from sinograd.cli.errors import BAD_INPUT, say
from sinograd.cli.evaluate import evaluate
from sinograd.cli.info import info
from sinograd.cli.reconstruct import reconstruct
from sinograd.cli.simulate import simulate
from sinograd.cli.train import train

# Newer typers bring click along, older ones import it.
_UsageError: Any = typer.BadParameter.__base__


class _Commands(TyperGroup):
    """Usage errors end with one line, as all others do, instead of typer's box."""

    def main(self, *args: Any, standalone_mode: bool = True, **options: Any) -> Any:
        """Run a command; with `standalone_mode`, exit with its code."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **options)
        try:
            code = super().main(*args, standalone_mode=False, **options)
        except _UsageError as error:
            # Without any argument the help is shown, which is no error to name.
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()
            else:
                command = "sinograd" if error.ctx is None else error.ctx.command_path
                message = error.format_message().replace("Value error, ", "").rstrip(".")
                say(f"error: {message} ({command} --help lists the options)")
            sys.exit(BAD_INPUT)
        sys.exit(code or 0)


app = typer.Typer(
    cls=_Commands,
    name="sinograd",
    help="Reconstruct x-ray CT and microscopy scans. Lengths in mm, attenuation in 1/mm.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        from sinograd.data import software_version

        typer.echo(f"sinograd {software_version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    pass


for command in (reconstruct, info, convert, simulate, train, denoise, evaluate, demo, doctor):
    app.command()(command)
