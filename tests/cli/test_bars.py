"""Histograms as text."""

from __future__ import annotations

import io
import sys

import pytest

from sinograd.cli.bars import bars


def test_bars_are_square_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert bars([0, 1, 16, 64]) == "| \u2581\u2584\u2588|"
    assert bars([]) == "||" and bars([0, 0]) == "|  |"


def test_without_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert bars([0, 1, 16, 64]) == "| .=%|"
