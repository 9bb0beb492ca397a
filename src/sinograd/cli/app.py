"""The typer application. Modules of commands are imported when a command is invoked or its help is shown."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sinograd.cli.errors import BAD_INPUT, reported_code, say
from sinograd.cli.help import Command, list_help
from sinograd.cli.near_options import is_unknown_option, unknown_option
from sinograd.files.inputs import inputs
from sinograd.interrupts import raised_as_interrupts

# Each is a function in the module of its name.
GROUPS = {
    "For scanners": {
        "info": "Show what a scan, a volume or a trained model holds.",
        "reconstruct": "Reconstruct a scan: FDK, filtered backprojection or an iterative algorithm.",
        "batch": "Reconstruct many scans, with one table of results.",
        "calibrate": "Find the geometry of a scan from its own projections: axis, tilt, turns, distances.",
        "view": "Look at volumes or a scan in a browser.",
        "tune": "Find centre, tilt, filter and more with sliders.",
        "convert": "Convert a scan or a volume between formats.",
        "simulate": "Simulate a scan: a measured one at a lower dose, or one of a phantom.",
    },
    "For denoisers": {
        "pairs": "Make low-dose pairs of measured scans, to train and evaluate on.",
        "train": "Train a denoiser: bilateral filters or a network.",
        "denoise": "Denoise a volume with a trained model, or a scan with a dual-domain one.",
        "evaluate": "Compare denoisers: SSIM, PSNR, RMSE, noise, time and memory.",
        "invariance": "Show what denoisers ignore: images that they take for the same.",
    },
    "For bone": {
        "bone": "Measure bone: BMD, BV/TV, TMD, thickness, surface, connectivity, anisotropy, and maps.",
    },
    "First steps": {
        "demo": "Simulate, reconstruct and compare a bone with the truth.",
        "doctor": "Check the installation, and a few numbers.",
    },
}
COMMANDS = {name: line for group in GROUPS.values() for name, line in group.items()}

# Newer typers bring click along, older ones import it.
_UsageError: Any = typer.BadParameter.__base__
_NAMED = re.compile(r"^Invalid value for (?:'[^']*' / )*'([^']*)': ")  # the last of an option's names


class _Modules(Mapping[str, Any]):
    """The commands by name, each imported when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        function: Any = getattr(importlib.import_module(f"sinograd.cli.{name}"), name)
        function.refresh()
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(name, cls=Command)(function)
        return typer.main.get_command(single)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Commands(TyperGroup):
    """Commands that are imported late; usage errors end with one line, as all others do, instead of typer's box."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.commands: Any = _Modules()

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command."""
        return self.commands.get(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help, from the lines of GROUPS: no command is imported for it."""
        formatter.write(list_help(ctx, self.help or "", GROUPS))

    def main(self, *args: Any, standalone_mode: bool = True, **options: Any) -> Any:
        """Run a command; with `standalone_mode`, exit with its code."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **options)
        try:
            with raised_as_interrupts(), inputs():
                code = super().main(*args, standalone_mode=False, **options)
        except (SystemExit, BrokenPipeError):
            raise
        except _UsageError as error:
            # Without any argument the help is shown, which is no error to name.
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()
            else:
                command = "sinograd" if error.ctx is None else error.ctx.command_path
                known = not is_unknown_option(error)
                message = error.format_message().replace("Value error, ", "") if known else unknown_option(error)
                message = _NAMED.sub(r"\1: ", message.rstrip("."))
                say(f"error: {message} ({command} --help lists the options)")
            sys.exit(BAD_INPUT)
        except (Exception, KeyboardInterrupt) as error:
            sys.exit(reported_code(error))
        sys.exit(code or 0)


app = typer.Typer(
    cls=_Commands,
    name="sinograd",
    help="Reconstruct x-ray CT and microscopy scans. Lengths in mm, attenuation in 1/mm.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(requested: bool) -> None:
    if requested:
        from sinograd import __version__

        typer.echo(f"sinograd {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    pass
