"""Progress bars on a terminal. Truth: what a text stream that calls itself a terminal received."""

from __future__ import annotations

import io
import re
import sys
import warnings

import pytest

import sinograd as sg
from sinograd.cli.warnings import warning_lines
from sinograd.workflows.durations import duration_text, time_text
from sinograd.workflows.report import Position, opened_report


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bars_and_position(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with opened_report("bar") as bars:
        progress = Position(bars)
        assert str(progress) == "while starting"
        advance = progress.stage("reconstructing", 24)
        advance(7, 24)
        assert str(progress) == "while reconstructing, after 7 of 24 views"
        advance(24, 24)
        iterate = progress.stage("reconstructing", 0, "iterations")
        iterate(3, 50, ", residual 0.01234")
        assert str(progress) == "while reconstructing, after 3 of 50 iterations"
        progress.stage("writing", 0)
        assert str(progress) == "while writing"
    text = terminal.getvalue()
    assert "0:00:" not in text
    assert "3/50 iterations, residual 0.01234" in text
    assert "reconstructing" in text and "24/24 views" in text and "writing" in text


def test_nothing_is_drawn_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, report in ((io.StringIO(), "bar"), (Terminal(), None)):
        monkeypatch.setattr(sys, "stderr", stream)
        with opened_report(report) as opened:
            progress = Position(opened)
            progress.stage("reading", 3)(3, 3)
            assert str(progress) == "while reading, after 3 of 3 views"
        assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (8.4, "8 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (3725, "1 h 02 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_elapsed_and_left_are_two_things() -> None:
    assert time_text(8, 120, 360) == "8 s, 16 s left"
    assert time_text(8, 0, 360) == time_text(8, 360, 360) == time_text(8, 3, None) == "8 s"


def test_a_warning_during_a_bar_is_a_whole_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than the terminal is wide, and with what rich takes for markup."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    text = "rows [bold] 3 to 5 are saturated " * 8
    with warning_lines(), opened_report("bar") as bars:
        bars.stage("reconstructing", 24)(7, 24)
        warnings.warn(sg.errors.ScanWarning(text.strip()), stacklevel=1)
        bars.stage("writing", 0)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert f"warning: {text.strip()}\n" in plain.replace("\r", "")


def test_a_line_every_few_seconds_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, clock = io.StringIO(), iter(range(0, 1000, 2))
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("sinograd.workflows.progress_lines.time.monotonic", lambda: float(next(clock)))
    with opened_report("bar") as bars:
        advance = bars.stage("reconstructing", 24)
        for done in range(1, 13):
            advance(2 * done, 24, ", residual 0.1")
        with warning_lines():
            warnings.warn(sg.errors.ScanWarning("rows are saturated"), stacklevel=1)
    lines = stream.getvalue().splitlines()
    assert re.fullmatch(r"reconstructing: \d+/24 views, residual 0.1, \d+ %, \d+ s, \d+ s left", lines[0])
    assert 3 <= len(lines) <= 12
    assert lines[-1] == "warning: rows are saturated"
