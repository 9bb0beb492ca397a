"""What tests read in Markdown: code blocks and command lines."""

from __future__ import annotations

import re
import shlex
from typing import Any

import typer

from sinograd.cli.app import app


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """Lines of the shell blocks, and the code within sentences."""
    lines = [line for block in blocks(text, "sh") for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return lines + re.findall(r"`([^`\n]+)`", prose)


def check_command_lines(text: str) -> int:
    """Check names and options of `sinograd ...` lines without running them; return how many there were."""
    known: dict[str, Any] = typer.main.get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    lines = [line for line in commands(text) if re.match(r"(\.venv/bin/)?sinograd\s", line)]
    for line in lines:
        _, command, *arguments = shlex.split(line, comments=True)
        if "--help" in arguments:
            assert arguments == ["--help"] and command in known, line
        elif arguments or command == "doctor":
            known[command].make_context(command, arguments)
        else:
            assert command in known, line
    return len(lines)


def dotted_names(text: str) -> set[str]:
    """Every `sinograd.x.y` in a text; not those in paths, nor the targets of entries (`module:attribute`)."""
    return set(re.findall(r"(?<![\w./-])sinograd(?:\.[A-Za-z_]\w*)+(?!\w|:\w)", text))
