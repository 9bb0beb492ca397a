"""The Scan: what it holds, what it checks and what it prints. Truth: the arrays it was made from."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from sinograd.data import Scan
from sinograd.errors import SinogradError


def test_load_gives_float32_of_the_views_asked_for(cone_scan: Scan) -> None:
    stored = np.arange(120, dtype=">u2").reshape(6, 4, 5)
    scan = dataclasses.replace(cone_scan, projections=stored)
    everything = torch.arange(120, dtype=torch.float32).reshape(6, 4, 5)
    assert scan.load().dtype == torch.float32
    torch.testing.assert_close(scan.load(), everything, rtol=0, atol=0)
    torch.testing.assert_close(scan.load(slice(1, 5, 2)), everything[1:5:2], rtol=0, atol=0)
    torch.testing.assert_close(scan.load(slice(None, None, -1)), everything.flip(0), rtol=0, atol=0)
    torch.testing.assert_close(scan.load([4, 0]), everything[[4, 0]], rtol=0, atol=0)
    torch.testing.assert_close(scan.load(2), everything[2], rtol=0, atol=0)
    assert scan.load(dtype=torch.float64).dtype == torch.float64


@pytest.mark.parametrize(
    "views",
    [
        "a",
        1.5,
        None,
        True,
        [1.5],
        ["a"],
        [None],
        np.array([0.5]),
        torch.tensor([1.5]),
        slice("a", None),
        slice(0, 3, 0),
    ],
    ids=str,
)
def test_views_that_are_none_are_type_errors(cone_scan: Scan, views: object) -> None:
    """In the scan and in its geometry; numbers beyond the scan are index errors."""
    for use in (cone_scan.load, cone_scan.__getitem__, cone_scan.geometry.__getitem__):
        with pytest.raises(SinogradError, match=r"views? (is|are) chosen by|view index") as caught:
            use(views)  # pyright: ignore[reportArgumentType]
        assert isinstance(caught.value, TypeError)
        for beyond in (6, -7, [0, 6]):
            with pytest.raises(SinogradError, match="out of range for 6 views") as caught:
                use(beyond)
            assert isinstance(caught.value, IndexError)


def test_views_are_numbers_of_any_kind(cone_scan: Scan) -> None:
    everything = cone_scan.load()
    mask = np.array([True, False, False, False, True, False])
    for views in ([0, 4], np.array([0, -2]), torch.tensor([0, 4]), mask, torch.from_numpy(mask), (0, 4)):
        torch.testing.assert_close(cone_scan.load(views), everything[[0, 4]], rtol=0, atol=0)
        torch.testing.assert_close(cone_scan[views].load(), everything[[0, 4]], rtol=0, atol=0)
    for view in (np.int64(4), torch.tensor(4), -2):
        torch.testing.assert_close(cone_scan.load(view), everything[4], rtol=0, atol=0)


def test_load_of_read_only_memory_is_a_copy(cone_scan: Scan) -> None:
    stored = np.zeros((6, 4, 5), np.float32)
    stored.flags.writeable = False
    dataclasses.replace(cone_scan, projections=stored).load().add_(1)
    assert not stored.any()


def test_validate_returns_the_scan_and_tells_progress(cone_scan: Scan) -> None:
    steps: list[tuple[int, int]] = []
    assert cone_scan.validate(lambda done, total: steps.append((done, total))) is cone_scan
    assert steps[-1] == (6, 6)


def test_validate_names_shapes(cone_scan: Scan) -> None:
    wrong = dataclasses.replace(cone_scan, projections=torch.zeros(6, 4, 7))
    with pytest.raises(ValueError, match=r"projections \[6, 4, 7\] .* \[6, 4, 5\]: columns 7 != 5"):
        wrong.validate()
    flat = dataclasses.replace(cone_scan, projections=torch.zeros(6, 5))
    with pytest.raises(ValueError, match=r"expects projections \[views, rows, columns\] = \[6, 4, 5\], got 2"):
        flat.validate()
    empty = dataclasses.replace(cone_scan, projections=torch.zeros(0, 4, 5))
    with pytest.raises(ValueError, match=r"the scan is empty: projections \[0, 4, 5\]"):
        empty.validate()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_validate_finds_numbers_that_are_not_finite(cone_scan: Scan, value: float) -> None:
    projections = torch.zeros(6, 4, 5)
    projections[3, 1, 2] = projections[4, 0, 0] = value
    with pytest.raises(ValueError, match="got 2 NaN or infinite values, the first at view 3, row 1, column 2"):
        dataclasses.replace(cone_scan, projections=projections).validate()


def test_validate_goes_block_by_block(fan_scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinograd.data.scan._CHECKED_BYTES", 2 * 9 * 4)
    steps: list[int] = []
    fan_scan.validate(lambda done, total: steps.append(done))
    assert steps == [2, 4, 6, 7]
    projections = torch.zeros(7, 9)
    projections[5, 8] = math.nan
    with pytest.raises(ValueError, match="got 1 NaN or infinite value, the first at view 5, column 8"):
        dataclasses.replace(fan_scan, projections=projections).validate()


def test_repr_fits_a_screen(cone_scan: Scan) -> None:
    scan = dataclasses.replace(cone_scan, metadata={f"key {i}": "x" * 500 for i in range(100)})
    lines = repr(scan).splitlines()
    assert len(lines) <= 24
    assert "6 views, 4 rows, 5 columns; line integrals; float32" in lines[1]
    assert "ConeBeam.circular(" in lines[2] and "full_scan(6)" in lines[2]
    assert "86 more" in lines[-1]


@pytest.mark.parametrize(("name", "value"), [("projections", [[0.0]]), ("geometry", "cone"), ("grid", (4, 5, 6))])
def test_arguments_of_other_types(cone_scan: Scan, name: str, value: object) -> None:
    with pytest.raises(TypeError, match=rf"{name} must be .*, got {type(value).__name__}"):
        dataclasses.replace(cone_scan, **{name: value})
