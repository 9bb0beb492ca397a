"""Lengths in words. Truth: the SI prefixes."""

from __future__ import annotations

import pytest

from sinograd.data.lengths import length_text, length_unit, lengths_in


@pytest.mark.parametrize(
    ("millimetres", "text"),
    [
        (0.0, "0 mm"),
        (6.5e-5, "65 nm"),
        (9.999e-4, "999.9 nm"),
        (0.001, "1 um"),
        (0.00065, "650 nm"),
        (0.0123456, "12.35 um"),
        (0.099, "99 um"),
        (0.1, "100 um"),
        (0.9999, "999.9 um"),
        (0.99996, "1 mm"),
        (0.9999999999, "1 mm"),
        (1.0, "1 mm"),
        (9999.0, "9999 mm"),
        (-0.05, "-50 um"),
        (1536.0, "1536 mm"),
        (50_000.0, "50 m"),
        ((2.0, 0.05), "2 x 0.05 mm"),
        ((0.002, 0.001, 0.001), "2 x 1 x 1 um"),
    ],
)
def test_the_unit_that_fits(millimetres: float, text: str) -> None:
    assert length_text(millimetres) == text


def test_sign_digits_and_separator() -> None:
    assert length_text(0.00123456, digits=3, sign="+") == "+1.23 um"
    assert length_text([1.0, 2.0], between=", ") == "1, 2 mm"
    assert length_unit([0.0, float("inf")]) == ("mm", 1.0)


@pytest.mark.parametrize("exponent", range(-6, 4))
def test_numbers_run_from_1_to_under_1000(exponent: int) -> None:
    """From 1 nm to 1 m, in the unit and in words of four digits."""
    for mantissa in (1.0, 3.14159, 9.9994, 9.99951):
        if exponent < 3 or mantissa == 1.0:
            number, unit = length_text(mantissa * 10.0**exponent).split()
            assert 1 <= float(number) < 1000 or (unit == "mm" and float(number) == 1000), (number, unit)


def test_lengths_in_pixels() -> None:
    assert length_text((2.0, 0.5), unit="pixel") == "2 x 0.5 pixels" and length_text(1.0, unit="pixel") == "1 pixel"
    with lengths_in("pixel"):
        assert length_text(0.0005) == "0.0005 pixels" and length_unit(3.0) == ("pixels", 1.0)
    assert length_text(0.0005) == "500 nm"
