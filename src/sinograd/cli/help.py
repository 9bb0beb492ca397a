"""The help of the commands: usage, groups of options, examples; plain text as wide as the terminal, up to a limit."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from typer.core import TyperCommand

from sinograd.choices import DEFAULT_STRIPE_METHOD, STRIPE_METHODS
from sinograd.cli.examples import EXAMPLES

WIDEST = 120
_NARROWEST = 40
OPTIONS = "Options"  # the group of options that name none
OUTPUT = "Output"
OTHER = "Other"
_LAST = (OUTPUT, OTHER)

# Options whose value may be left out: the value then, and those that there are; any other word is another argument.
OPTIONAL_VALUES = {"--rings": (DEFAULT_STRIPE_METHOD, STRIPE_METHODS)}

Rows = list[tuple[str, str]]


class Command(TyperCommand):
    """A command whose help is `command_help`, and whose options with optional values may stand without one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, with the default after an option of `OPTIONAL_VALUES` that no value of it follows."""
        return super().parse_args(ctx, with_values(args))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        formatter.write(command_help(self, ctx))


def with_values(args: list[str]) -> list[str]:
    """The arguments, with values for those options of `OPTIONAL_VALUES` that stand without one."""
    found: list[str] = []
    for place, word in enumerate(args):
        found.append(word)
        if word in OPTIONAL_VALUES and args[:place].count("--") == 0:
            default, values = OPTIONAL_VALUES[word]
            if place + 1 == len(args) or args[place + 1] not in ("none", *values.names()):
                found.append(default)
    return found


def width() -> int:
    """Columns of the terminal, 80 in a pipe, at most `WIDEST`."""
    return max(_NARROWEST, min(WIDEST, shutil.get_terminal_size((80, 24)).columns))


def command_help(command: Any, ctx: Any) -> str:
    """Usage, what the command does, its arguments, its options in their groups, and examples."""
    parameters = [one for one in command.get_params(ctx) if not getattr(one, "hidden", False)]
    arguments = [one for one in parameters if one.param_type_name == "argument"]
    groups: dict[str, Rows] = {"Arguments": [(_value(one), _text(one)) for one in arguments], OPTIONS: []}
    for one in parameters:
        if one.param_type_name != "argument":
            panel = OTHER if one.name == "help" else getattr(one, "rich_help_panel", None) or OPTIONS
            groups.setdefault(panel, []).append((_flags(one), _text(one)))
    groups |= {title: groups.pop(title, []) for title in _LAST}
    usage = [ctx.command_path, *(_value(one) for one in arguments)]
    usage += [f"{one.opts[0]} {_value(one)}" for one in parameters if one.required and one not in arguments]
    return _page(" ".join([*usage, "[OPTIONS]"]), command.help or "", groups, EXAMPLES.get(command.name, ()))


def list_help(ctx: Any, about: str, groups: Mapping[str, Mapping[str, str]]) -> str:
    """The commands in their groups, with a line each, and the options of `sinograd` itself."""
    of_list = [(_flags(one), _text(one)) for one in ctx.command.get_params(ctx)]
    rows: dict[str, Rows] = {title: list(commands.items()) for title, commands in groups.items()}
    page = _page(f"{ctx.command_path} COMMAND [OPTIONS]", about, rows | {OPTIONS: of_list}, EXAMPLES[""])
    more = f"{ctx.command_path} COMMAND --help lists the options of a command, with examples."
    return "\n".join([page, *_wrapped(more, width()), ""])


def _page(usage: str, about: str, groups: Mapping[str, Rows], examples: Iterable[tuple[str, str]]) -> str:
    columns = width()
    lines = _wrapped(f"Usage: {usage}", columns, "       ")
    for paragraph in about.split("\n\n"):
        lines += ["", *_wrapped(" ".join(paragraph.split()), columns)]
    named = {title: rows for title, rows in groups.items() if rows}
    # Values that are longer have their text below.
    longest = max((len(left) for rows in named.values() for left, _ in rows), default=0)
    indent = min(longest, columns * 2 // 5) + 4
    for title, rows in named.items():
        lines += ["", f"{title}:"]
        for left, text in rows:
            lines += _row(left, text, indent, columns)
    texts = list(examples)
    if texts:
        lines += ["", "Examples:"]
        for line, what in texts:
            lines += [*_wrapped(f"  {what}:", columns, "  "), *_wrapped(f"    {line}", columns - 2, "      ", " \\")]
    return "\n".join(lines) + "\n"


def _row(left: str, text: str, indent: int, columns: int) -> list[str]:
    space = " " * indent
    if len(left) + 4 <= indent:
        return _wrapped(f"{f'  {left}':<{indent}}{text}", columns, space)
    return [*_wrapped(f"  {left}", columns, "      "), *_wrapped(f"{space}{text}", columns, space)]


def _wrapped(text: str, columns: int, indent: str = "", more: str = "") -> list[str]:
    """Lines of at most so many columns, whole words; `more` ends those that go on."""
    lines = textwrap.wrap(text, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [f"{line}{more}" for line in lines[:-1]] + lines[-1:]


def _flags(option: Any) -> str:
    """The names of an option and what stands for its value: "-o, --output FILE", "--repair/--no-repair"."""
    names = ", ".join(sorted(option.opts, key=len))
    if option.secondary_opts:
        return "/".join([names, *option.secondary_opts])
    return names if option.is_flag else f"{names} {_value(option)}"


def _value(parameter: Any) -> str:
    return parameter.metavar or parameter.name.upper()


def _text(parameter: Any) -> str:
    text = "Show this help and stop." if parameter.name == "help" else parameter.help or ""
    return f"{text} Required." if parameter.required and parameter.param_type_name != "argument" else text
