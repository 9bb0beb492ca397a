"""The examples of a page, run in its order: `python docs/page_examples.py docs/howto/reconstruct.md FOLDER`.

A page is one session in one folder: Python blocks share their names, shell blocks and commands in the text run after
them, and a block of YAML whose first line is a comment with a file's name, such as `# three-filters.yaml`, is written
to that file.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_FENCE = r"^```(?P<language>\w*)\n(?P<block>.*?)^```$"
_CODE = r"`(?P<code>[^`\n]+)`"
_NAMED = re.compile(r"# (?P<name>\S+\.\w+)\n")


@dataclass(frozen=True)
class Example:
    """One step of a page.

    Attributes:
        kind: "python", "command" (of sinograd), "shell" (any other) or "file".
        text: the program, the command line, or what the file holds.
        name: of the file.
    """

    kind: str
    text: str
    name: str = ""


def examples(page: str) -> Iterator[Example]:
    """Those of a page of Markdown, in order.

    Commands within sentences count if they have arguments. Blocks of other languages, `text` for one, are none.
    """
    for match in re.finditer(f"{_FENCE}|{_CODE}", page, flags=re.DOTALL | re.MULTILINE):
        language, block, code = match["language"], match["block"], match["code"]
        if language == "python":
            yield Example("python", block)
        elif language == "yaml" and (named := _NAMED.match(block)):
            yield Example("file", block, named["name"])
        elif language == "sh":
            for line in block.replace("\\\n", " ").splitlines():
                if line.strip() and not line.startswith("#"):
                    yield _command(line)
        elif code is not None and re.match(r"(sinograd [a-z]+|torchrun|make|pip install) ", code):
            yield _command(code)


def _command(line: str) -> Example:
    program = line.split()[0]
    return Example("command" if program.split("/")[-1] == "sinograd" else "shell", line)


@dataclass
class Session:
    """Runs examples one after the other in the current folder.

    Attributes:
        names: those of the Python blocks.
        printed: what the last example printed, on stdout and stderr, in order.
    """

    names: dict[str, Any] = field(default_factory=dict)
    printed: str = ""

    def run(self, example: Example) -> None:
        """Raises what the program raises; RuntimeError with the output of a command that fails."""
        if example.kind == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(example.text, "the page", "exec"), self.names)
        elif example.kind == "file":
            path = Path(example.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(example.text, encoding="utf-8")
        elif example.kind == "command":
            self.command(example.text)
        else:
            raise ValueError(f"no command of sinograd: {example.text}")

    def command(self, line: str) -> None:
        """Run a command line of sinograd in this process."""
        from typer.testing import CliRunner

        from sinograd.cli.app import app

        result = CliRunner().invoke(app, shlex.split(line, comments=True)[1:], prog_name="sinograd")
        self.printed = result.output
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        if result.exit_code:
            raise RuntimeError(f"{line}\n{result.output}")


def main(page: str, folder: str) -> None:
    """Run the examples of a page in a folder, and print each with its output."""
    text = Path(page).read_text(encoding="utf-8")
    Path(folder).mkdir(parents=True, exist_ok=True)
    session = Session()
    with contextlib.chdir(folder):
        for example in examples(text):
            print(f"$ {example.text.strip()}", flush=True)
            if example.kind != "shell":
                session.run(example)
                print(session.printed if example.kind == "command" else "", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
