"""Numbers with a decimal point or comma. Truth: what a reader of the text sees."""

from __future__ import annotations

import pytest

from sinograd.io.storage.decimals import as_number, number_rows


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.5", 1.5), ("-1,5", -1.5), ("+07,25", 7.25), (",5", 0.5), ("3", 3), ("3,", 3), ("1,5e-3", 0.0015), (" 2 ", 2)],
)
def test_numbers(text: str, number: float) -> None:
    assert as_number(text) == number


@pytest.mark.parametrize("text", ["", "x", "1.234,5", "1,2,3", "1 2", "nan", "inf", "1e999", "0x10", "1_000", "-"])
def test_texts_that_are_no_numbers(text: str) -> None:
    assert as_number(text) is None


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("1: 0.250", [1, 0.25]),
        ("1:\t0,250", [1, 0.25]),
        ("1;0,25", [1, 0.25]),
        ("1\t0,25\t12:30:01", [1, 0.25]),
        ("1,0.25", [1, 0.25]),
        ("1, 0.25, x", [1, 0.25]),
        ("12 -0,5", [12, -0.5]),
        ("1;0,25;", [1, 0.25]),
    ],
)
def test_rows(line: str, row: list[float]) -> None:
    assert number_rows(["angles of the scan", line, ""], 2) == [row]
