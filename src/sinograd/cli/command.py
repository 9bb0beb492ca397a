"""`command`: a command from a plain function and a table of options.

Names and defaults are those of the function, or of the job of `sinograd.workflows` that the command runs: they are
stated once. The table says, by name, what typer parses and which line of help an option has.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from sinograd.cli.errors import reported
from sinograd.cli.number_options import Number
from sinograd.config.paths import checked_path
from sinograd.errors import InputError
from sinograd.registry import Registry

NO_FLAGS: tuple[str, ...] = ()
# Parameters of jobs that are Python objects: no options.
_OBJECTS = ("report", "client")
# Of every command whose table has it.
_ALLOW_OUTSIDE = inspect.Parameter("allow_outside", inspect.Parameter.KEYWORD_ONLY, default=False)


@dataclass(frozen=True)
class Choices:
    """The names of a registry, those of plugins too, which are not imported for that.

    before: choices that come before them.
    fact: only entries with this fact.
    """

    registry: Registry[Any]
    before: tuple[str, ...] = ()
    fact: str | None = None

    @property
    def late(self) -> bool:
        """Whether plugins have to be imported to know which names are choices."""
        return self.fact is not None or bool(self.registry.only)

    def names(self, plugins: bool = True) -> tuple[str, ...]:
        """All choices; with plugins=False those that are known without importing anything."""
        if not self.late:
            return (*self.before, *self.registry.names())
        entries = self.registry.entries(plugins=plugins)
        return (*self.before, *(e.name for e in entries if self.fact is None or e.about.get(self.fact)))

    def check(self, value: str | None) -> str | None:
        """The value, if it is a choice; a usage error that lists them otherwise."""
        names = () if value is None else self.names()
        if value is not None and value not in names:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(map(repr, names))}.")
        return value


@dataclass(frozen=True)
class Option:
    """How a command shows and parses one of its parameters.

    Attributes:
        kind: a type that typer knows, a tuple of choices, or `Choices`.
        help: one line; a function of it where that depends on what is registered.
        flags: the option's names; by default --name.
        metavar: what stands for its value.
        panel: the group of options in the help.
        argument: a positional argument.
        required: has no default on the command line.
        more: further arguments of `typer.Option`.
    """

    kind: Any
    help: str | Callable[[], str]
    flags: tuple[str, ...] = NO_FLAGS
    metavar: str | None = None
    panel: str | None = None
    argument: bool = False
    required: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)

    def parameter(self, name: str, default: Any) -> inspect.Parameter:
        """The parameter as typer reads it."""
        kind, default = self._kind(name, default)
        if default is None:
            kind = kind | None
        more = {"help": self.text(default), "metavar": self.metavar or _metavar(self.kind), "show_default": False}
        more |= {"rich_help_panel": self.panel, **self.more}
        if self.kind is Path:
            more["parser"] = _path
        if self.kind in (int, float):
            more["parser"] = Number(self.kind, more.pop("min", None), more.pop("max", None))
        if isinstance(self.kind, Choices) and self.kind.late:
            more["callback"] = self.kind.check
        flags = self.flags
        if self.kind is bool and "/" not in "".join(flags):
            flags, more["metavar"] = flags or (f"--{name.replace('_', '-')}",), ""
        info = typer.Argument(**more) if self.argument else typer.Option(*flags, **more)
        return inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
        )

    def text(self, default: Any) -> str:
        """What the help says: the line, the choices and the default."""
        text = self.help if isinstance(self.help, str) else self.help()
        names = self.kind.names(plugins=False) if isinstance(self.kind, Choices) else self.kind
        if isinstance(names, tuple):
            text += f" One of {', '.join(names)}."
        shown = _shown(default)
        if default is True:
            shown = next((flag for flag in "/".join(self.flags).split("/") if flag), "")
        return f"{text} Default: {shown}." if shown and "Default:" not in text else text

    def _kind(self, name: str, default: Any) -> tuple[Any, Any]:
        if self.required:
            default = inspect.Parameter.empty
        if isinstance(self.kind, Choices) and self.kind.late:
            return str, default
        if isinstance(self.kind, Choices | tuple):
            names = self.kind.names() if isinstance(self.kind, Choices) else self.kind
            kind: Any = StrEnum(name.title().replace("_", ""), {choice: choice for choice in names})
            return kind, default if default in (None, inspect.Parameter.empty) else kind(default)
        if default in (None, inspect.Parameter.empty):
            return self.kind, default
        if self.kind is str:
            return str, default if isinstance(default, str) else ",".join(map(str, _listed(default))) or None
        return self.kind, default


def _path(text: str | Path) -> Path:
    """A path of the command line; a usage error for a file's name with a slash at its end."""
    try:
        return checked_path(text, "the path")
    except InputError as error:
        raise typer.BadParameter(str(error)) from None


def command(
    options: Mapping[str, Option], job: Callable[..., Any] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator that makes a function a command.

    Args:
        options: of each parameter, by name. The annotations of the function itself are for its readers alone.
        job: a function whose parameters the command has, too, but those that are objects. What they are given comes as
            the function's first argument, a dictionary.

    The command's typer parameters are made by its `refresh()`, so that choices are those that are registered then.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function).parameters.values())
        outside = [_ALLOW_OUTSIDE] if _ALLOW_OUTSIDE.name in options else []
        jobs = [] if job is None else [p for p in inspect.signature(job).parameters.values() if p.name not in _OBJECTS]
        if job is not None:
            own = own[1:]

        def run(**values: Any) -> None:
            plain = {name: _plain(value) for name, value in values.items()}
            allow = bool(plain.pop(_ALLOW_OUTSIDE.name, False))
            with _data_may_name_any_file() if allow else nullcontext():
                if job is None:
                    function(**plain)
                else:
                    function({p.name: plain.pop(p.name) for p in jobs}, **plain)

        run.__name__, run.__doc__ = function.__name__, function.__doc__
        made: Any = reported(run)

        def refresh() -> None:
            parameters = [options[p.name].parameter(p.name, p.default) for p in (*jobs, *own, *outside)]
            made.__signature__ = inspect.Signature(parameters)
            made.__annotations__ = {p.name: p.annotation for p in parameters}

        made.refresh = refresh
        return made

    return decorate


def _data_may_name_any_file() -> AbstractContextManager[None]:
    from sinograd.io.storage.outside import outside_allowed

    return outside_allowed()


def _metavar(kind: Any) -> str:
    if isinstance(kind, Choices | tuple):
        return "NAME"
    return {Path: "FILE", int: "N", float: "X"}.get(kind, "TEXT")


def _shown(default: Any) -> str:
    """A default in words, "" for none."""
    if default is inspect.Parameter.empty or default is None or isinstance(default, bool):
        return ""
    return f"{default:g}" if isinstance(default, float) else str(_plain(default))


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _listed(value: Any) -> Any:
    return value if isinstance(value, tuple | list) else [value]
