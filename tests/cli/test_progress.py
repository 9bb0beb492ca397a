"""Progress bars on a terminal. Truth: what a text stream that calls itself a terminal received."""

from __future__ import annotations

import io
import sys

import pytest

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
