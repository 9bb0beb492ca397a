"""Options whose values are the names of a registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from sinograd.registry import Entry, Registry


def registry_option(
    registry: Registry[Any], help: str, *names: str, accepts: Callable[[Entry[Any]], bool] = lambda entry: True
) -> Any:
    """An option that takes the name of an entry; another name is an error that lists them.

    Plugins are imported when a value is checked; help lists the other names.

    Args:
        registry: the choices.
        help: the option's line of help.
        names: of the option, such as "--to"; by default the parameter's.
        accepts: which entries can be chosen.
    """

    def check(value: str | None) -> str | None:
        choices = [entry.name for entry in registry.entries() if accepts(entry)] if value is not None else []
        if value is not None and value not in choices:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(map(repr, choices))}.")
        return value

    listed = "|".join(entry.name for entry in registry.entries(plugins=False) if accepts(entry))
    return typer.Option(*names, metavar=f"[{listed}]", callback=check, help=help, show_default=False)
