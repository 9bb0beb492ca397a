"""The typer application: the commands and what they share."""

from __future__ import annotations

from typing import Annotated

import typer

from sinograd.cli.demo import demo
from sinograd.cli.doctor import doctor
from sinograd.cli.info import info
from sinograd.cli.reconstruct import reconstruct

app = typer.Typer(
    name="sinograd",
    help="Reconstruct x-ray CT and microscopy scans. Lengths in mm, attenuation in 1/mm.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        from sinograd.io import software_version

        typer.echo(f"sinograd {software_version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    pass


for command in (reconstruct, info, demo, doctor):
    app.command()(command)
