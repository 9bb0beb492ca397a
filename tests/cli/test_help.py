"""The help of every command: its width, its words, and examples that the command takes."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from sinograd.cli.app import COMMANDS, GROUPS, _Modules
from sinograd.cli.examples import EXAMPLES

ALL = ("", *COMMANDS)


def _help(sinograd: Any, monkeypatch: pytest.MonkeyPatch, name: str, columns: int | None = None) -> str:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", str(columns))
    done = sinograd(*name.split(), "--help")
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("name", ALL)
def test_it_is_as_wide_as_the_terminal(sinograd: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    widths = {columns: _help(sinograd, monkeypatch, name, columns).splitlines() for columns in (60, 100, 500)}
    widths[80] = _help(sinograd, monkeypatch, name).splitlines()
    for columns, lines in widths.items():
        assert max(map(len, lines)) <= min(columns, 120)
    if name not in ("", "doctor"):
        assert len(widths[60]) > len(widths[80]) > len(widths[500]) and max(map(len, widths[500])) > 90


@pytest.mark.parametrize("name", ALL)
def test_it_has_no_words_of_the_framework(sinograd: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text = _help(sinograd, monkeypatch, name)
    assert not re.search(r"[<>{}\u2500-\u257f\x1b]|\[default|\[required|COMMAND \[ARGS|None|StrEnum|Path\b", text)
    assert text.startswith(f"Usage: sinograd {name}".rstrip())
    assert f"\n  --help{' ' * 2}" in text.replace("--help ", "--help  ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_one_group(sinograd: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    lines = _help(sinograd, monkeypatch, name, 120).splitlines()
    titles = [line for line in lines if re.match(r"[A-Z].*:$", line)]
    assert len(titles) == len(set(titles)) and titles[-2:] == ["Other:", "Examples:"]
    listed = [line for line in lines if re.match(r"  (-|\S+/)", line)]
    for parameter in _Modules()[name].params:
        assert parameter.metavar or parameter.is_flag
        for flag in parameter.opts if parameter.param_type_name == "option" else ():
            assert sum(flag in re.split(r"[ ,/]+", line.split("  ")[1]) for line in listed) == 1, flag
    assert len(listed) < 15 or len(titles) > 4


@pytest.mark.parametrize("name", COMMANDS)
def test_a_required_option_is_in_the_usage(sinograd: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    usage = _help(sinograd, monkeypatch, name, 120).splitlines()[0]
    needed = [one.opts[0] for one in _Modules()[name].params if one.required and one.param_type_name == "option"]
    assert all(f" {flag} " in usage for flag in needed)


@pytest.mark.parametrize("name", ALL)
def test_the_command_takes_its_examples(sinograd: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text = _help(sinograd, monkeypatch, name)
    shown = " ".join(text.replace("\\\n", " ").split())
    examples = EXAMPLES[name]
    assert 2 <= len(examples) <= 3 and text.index("Examples:") > text.index("--help")
    for line, what in examples:
        assert f"{what}: {line}" in shown
        program, command, *arguments = shlex.split(line)
        assert program == "sinograd" and (command == name or not name)
        assert _Modules()[command].make_context(command, arguments).params


def test_the_list_has_groups_of_commands(sinograd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = _help(sinograd, monkeypatch, "", 120)
    places = [text.index(f"\n{title}:\n") for title in (*GROUPS, "Options", "Examples")]
    assert places == sorted(places)
    for title, commands in GROUPS.items():
        block = text.split(f"\n{title}:\n")[1].split("\n\n")[0]
        assert [line.split()[0] for line in block.splitlines()] == list(commands)


def test_choices_and_defaults_are_told(sinograd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(_help(sinograd, monkeypatch, "reconstruct").split())
    assert "One of ram-lak, shepp-logan, cosine, lanczos, hamming, hann, blackman. Default: ram-lak." in text
    assert "Default: --repair." in text and "Default: 1e-05." in text
