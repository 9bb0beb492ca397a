"""Options of a command in a YAML file, or taken from the volume that an earlier run wrote."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from sinograd.config.near_keys import did_you_mean
from sinograd.config.shown import some
from sinograd.errors import FormatError

# What a volume's record may not decide: which files are read beside the scan, and which are written.
_NOT_OF_DATA = ("allow_outside", "force", "output", "preview", "page", "page_3d", "center_picture")


def load_config(context: typer.Context, parameter: Any, path: Path | None) -> Path | None:
    """Callback of `--config`: its entries become the defaults of the other options.

    Raises typer.BadParameter naming the file for an unreadable one, an unknown option or a value of a wrong kind.
    """
    if path is None or context.resilient_parsing:
        return path
    known = {p.name: p for p in context.command.params if p.name not in ("config", "help")}
    entries = _from_volume(path, known) if path.suffix.lower() not in (".yaml", ".yml") else _from_yaml(path)
    unknown = [str(name) for name in entries if name not in known]
    if unknown:
        raise typer.BadParameter(
            f"{path}: unknown option{'s' if len(unknown) > 1 else ''} {some(unknown)}; known: {', '.join(known)}"
            f"{did_you_mean(unknown, known)}"
        )
    context.default_map = {name: _text(path, name, value) for name, value in entries.items() if value is not None}
    return path


def _from_yaml(path: Path) -> dict[str, Any]:
    from sinograd.config.yaml import load_yaml

    try:
        entries = load_yaml(path)
    except OSError as error:
        reason = f"{path}: {error.strerror}" if error.strerror else str(error)
        raise typer.BadParameter(reason) from None
    except FormatError as error:
        raise typer.BadParameter(str(error)) from None
    if entries is None:
        return {}
    if not isinstance(entries, dict):
        raise typer.BadParameter(f"{path} must hold lines like 'window: hann', got a {type(entries).__name__}")
    # A dash in a name is as good as an underscore, as on the command line.
    return {str(name).replace("-", "_"): value for name, value in entries.items()}


def _from_volume(path: Path, known: Iterable[str]) -> dict[str, Any]:
    from sinograd.io import open_volume

    try:
        provenance = open_volume(path).provenance
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{error} (--config takes a .yaml file or a volume that sinograd wrote)") from None
    options = provenance.get("options")
    if provenance.get("command") != "sinograd reconstruct" or not isinstance(options, dict):
        raise typer.BadParameter(f"{path} does not say how it was reconstructed")
    return {name: value for name, value in options.items() if name in known and name not in _NOT_OF_DATA}


def _text(path: Path, name: str, value: Any) -> Any:
    """A value as the command line would have it: lists with commas."""
    if isinstance(value, list):
        if not all(isinstance(entry, str | int | float) for entry in value):
            raise typer.BadParameter(f"{path}: {name} must be a list of numbers or words, got {value!r}")
        return ",".join(str(entry) for entry in value)
    if not isinstance(value, str | int | float | bool):
        raise typer.BadParameter(f"{path}: {name} must be a number, a word or a list, got {value!r}")
    return value
