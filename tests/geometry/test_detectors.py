from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinograd.geometry import CurvedDetector, Detector, FlatDetector


def test_line_detector() -> None:
    """A 1-D detector has one row, no height and a number as offset."""
    detector = FlatDetector(560, 0.2, offset=-3)
    assert (detector.shape, detector.rows, detector.columns, detector.ndim) == ((560,), 1, 560, 1)
    assert (detector.row_spacing, detector.column_spacing) == (1.0, 0.2)
    assert (detector.offset, detector.row_offset, detector.column_offset) == (-3.0, 0.0, -3.0)
    assert detector.size == (112.0,)
    assert FlatDetector((560,), 0.2, -3) == detector


def test_area_detector() -> None:
    """Array order (row, column) for shape, spacing, size and offset."""
    detector = FlatDetector((64, 736), (1.5, 2.0), offset=(3, 4))
    assert (detector.rows, detector.columns, detector.ndim) == (64, 736, 2)
    assert (detector.row_spacing, detector.column_spacing) == (1.5, 2.0)
    assert (detector.row_offset, detector.column_offset) == (3.0, 4.0)
    assert detector.size == (96.0, 1472.0)
    assert FlatDetector((2, 3), 1).offset == (0.0, 0.0)


def test_flat_and_curved_differ() -> None:
    """Equality needs the same kind and the same numbers."""
    assert FlatDetector(8, 1.0) != CurvedDetector(8, 1.0)
    assert CurvedDetector(8, 1.0, radius=100) != CurvedDetector(8, 1.0)
    assert CurvedDetector(8, 1.0, radius=100).equals(CurvedDetector(8, 1, 100.0))
    assert CurvedDetector(8, 1.0).radius is None


spacings = st.floats(1e-5, 10)
offsets = st.floats(-100, 100)


@st.composite
def detectors(draw: st.DrawFn) -> Detector:
    flat, line = draw(st.booleans()), draw(st.booleans())
    columns = draw(st.integers(1, 50))
    shape = columns if line else (draw(st.integers(1, 50)), columns)
    spacing = draw(spacings) if line or draw(st.booleans()) else (draw(spacings), draw(spacings))
    offset = draw(offsets) if line else draw(st.just(0) | st.tuples(offsets, offsets))
    if flat:
        return FlatDetector(shape, spacing, offset)
    return CurvedDetector(shape, spacing, draw(st.none() | st.floats(500, 2000)), offset)


@given(detectors())
def test_repr_and_dict_give_the_detector_back(detector: Detector) -> None:
    """Evaluating the printed call, and from_dict(to_dict), are the identity."""
    names = {"FlatDetector": FlatDetector, "CurvedDetector": CurvedDetector}
    assert eval(repr(detector), names) == detector
    assert Detector.from_dict(detector.to_dict()) == detector


def test_repr_is_short() -> None:
    """Prints as the call a person would write."""
    assert repr(FlatDetector(560, 0.2)) == "FlatDetector(shape=560, spacing=0.2)"
    assert repr(FlatDetector((2, 3), (1, 2), (0, 4))) == "FlatDetector(shape=(2, 3), spacing=(1, 2), offset=(0, 4))"
    assert repr(CurvedDetector((2, 3), 1, 50)) == "CurvedDetector(shape=(2, 3), spacing=1, radius=50)"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: FlatDetector(0, 1.0), ValueError, "FlatDetector shape must be at least 1, got 0"),
        (
            lambda: FlatDetector(2.5, 1.0),
            TypeError,
            r"FlatDetector shape must be an integer, got 2.5 \(float\)",
        ),
        (
            lambda: FlatDetector((2, 3, 4), 1.0),
            ValueError,
            r"must be a number of columns or \(rows, columns\)",
        ),
        (lambda: FlatDetector(True, 1.0), TypeError, "got True"),
        (lambda: FlatDetector(8, 0.0), ValueError, "FlatDetector spacing must be positive, got 0"),
        (lambda: FlatDetector(8, (1, 1)), ValueError, "FlatDetector spacing must be one number or 1"),
        (lambda: FlatDetector(8, 1, (0, 1)), TypeError, "FlatDetector offset must be a number"),
        (
            lambda: FlatDetector((8, 8), 1, 3),
            ValueError,
            r"offset must be a pair \(row, column\) in mm .* got 3",
        ),
        (lambda: FlatDetector((8, 8), 1, (0, 1, 2)), ValueError, "got 3 numbers"),
        (
            lambda: FlatDetector((8, 8), 1, (0, float("inf"))),
            ValueError,
            "offset column must be finite, got inf",
        ),
        (
            lambda: CurvedDetector(8, 1, radius=-5),
            ValueError,
            "CurvedDetector radius must be positive, got -5",
        ),
        (
            lambda: CurvedDetector(100, 1, radius=20),
            ValueError,
            "100 mm .* radius 20 mm, cover a half circle",
        ),
        (
            lambda: Detector.from_dict({"kind": "round"}),
            ValueError,
            "must be one of flat, curved, got 'round'",
        ),
        (
            lambda: Detector.from_dict({"shape": 8, "spacing": 1, "radius": 5}),
            ValueError,
            "unknown flat detector key radius; allowed: shape, spacing, kind, offset",
        ),
        (lambda: Detector.from_dict({"kind": "flat", "shape": 8}), ValueError, "flat detector lacks spacing"),
    ],
)
def test_bad_input_is_named(make, error: type[Exception], message: str) -> None:
    """Errors name the argument, what was expected and what came."""
    with pytest.raises(error, match=message):
        make()
