from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sinograd.geometry import Grid


def test_numbers_of_a_volume() -> None:
    """Hand-computed centres and corners: array order for shape and spacing, world order for positions."""
    grid = Grid((2, 3, 4), spacing=(1.0, 2.0, 0.5), center=(10, 20, 30))
    z, y, x = grid.axes()
    assert z.tolist() == [29.5, 30.5]
    assert y.tolist() == [18.0, 20.0, 22.0]
    assert x.tolist() == [9.25, 9.75, 10.25, 10.75]
    assert grid.size == (2.0, 6.0, 2.0)
    assert grid.ndim == 3
    corners = grid.corners()
    assert corners.shape == (8, 3)
    assert corners.amin(0).tolist() == [9.0, 17.0, 29.0]
    assert corners.amax(0).tolist() == [11.0, 23.0, 31.0]


def test_numbers_of_an_image() -> None:
    """A 2-D grid lies in z = 0 and has world (x, y) centres."""
    grid = Grid([2, 4], center=(1, 0))
    assert grid.spacing == (1.0, 1.0)
    assert sorted(grid.corners().tolist()) == [[-1, -1, 0], [-1, 1, 0], [3, -1, 0], [3, 1, 0]]
    assert grid.axes()[1].dtype == torch.float64


shapes = st.lists(st.integers(1, 9), min_size=2, max_size=3)
numbers = st.floats(1e-6, 1e4)


@given(shape=shapes, data=st.data())
def test_middle_of_axes_is_center_and_spacing_is_their_step(shape: list[int], data: st.DataObject) -> None:
    """From the convention (i - (n - 1) / 2) * spacing + center, without indices."""
    n = len(shape)
    spacing = data.draw(st.lists(numbers, min_size=n, max_size=n))
    center = data.draw(st.lists(st.floats(-1e3, 1e3), min_size=n, max_size=n))
    grid = Grid(shape, spacing, center)
    for axis, step, middle in zip(grid.axes(), spacing, reversed(center), strict=True):
        assert axis.mean().item() == pytest.approx(middle, abs=1e-9)
        if len(axis) > 1:
            assert torch.allclose(axis.diff(), torch.tensor(step, dtype=torch.float64), atol=1e-9)


@given(shape=shapes, data=st.data())
def test_repr_and_dict_give_the_grid_back(shape: list[int], data: st.DataObject) -> None:
    """Evaluating the printed call, and from_dict(to_dict), are the identity."""
    n = len(shape)
    spacing = data.draw(numbers | st.lists(numbers, min_size=n, max_size=n))
    center = data.draw(st.none() | st.lists(st.floats(-1e3, 1e3), min_size=n, max_size=n))
    grid = Grid(shape, spacing, center)
    assert eval(repr(grid), {"Grid": Grid}) == grid
    assert Grid.from_dict(grid.to_dict()) == grid


def test_repr_is_short() -> None:
    """Prints as the call a person would write."""
    assert repr(Grid((8, 8), 0.5)) == "Grid(shape=(8, 8), spacing=0.5)"
    assert repr(Grid((1, 2, 3), (1, 1, 2), (0, 0, 5))) == "Grid(shape=(1, 2, 3), spacing=(1, 1, 2), center=(0, 0, 5))"


def test_equals_forgives_rounding_only() -> None:
    """Equal to 1e-12 of the size; a part in a million is different."""
    grid = Grid((4, 4), 0.1, (0.3, 0.0))
    assert grid.equals(Grid((4, 4), 0.1 * (1 + 1e-14), (0.1 + 0.2, 1e-15)))
    assert not grid.equals(Grid((4, 4), 0.1 * (1 + 1e-6), (0.3, 0.0)))
    assert not grid.equals(Grid((4, 4), 0.1, (0.3, 1e-6)))
    assert not grid.equals(Grid((4, 5), 0.1, (0.3, 0.0)))
    assert not grid.equals("grid")


def test_is_immutable() -> None:
    """Setting an attribute raises."""
    with pytest.raises(AttributeError):
        Grid((4, 4)).shape = (5, 5)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"shape": 4}, TypeError, r"Grid shape must be \(z, y, x\) or \(y, x\), got 4 \(int\)"),
        ({"shape": "12"}, TypeError, "Grid shape must be"),
        ({"shape": (4,)}, ValueError, r"got 1 numbers: \(4,\)"),
        ({"shape": (4, 0)}, ValueError, r"Grid shape\[1\] must be at least 1, got 0"),
        ({"shape": (4, 4.0)}, TypeError, r"Grid shape\[1\] must be an integer, got 4.0 \(float\)"),
        ({"shape": (True, 4)}, TypeError, r"Grid shape\[0\] must be an integer, got True"),
        ({"shape": (4, 4), "spacing": -1}, ValueError, "Grid spacing must be positive, got -1"),
        ({"shape": (4, 4), "spacing": float("nan")}, ValueError, "Grid spacing must be finite, got nan"),
        ({"shape": (4, 4), "spacing": (1, 1, 1)}, ValueError, "Grid spacing must be one number or 2"),
        ({"shape": (4, 4), "spacing": True}, TypeError, "Grid spacing must be a number, got True"),
        (
            {"shape": (4, 4), "center": (0, 0, 0)},
            ValueError,
            r"Grid center must be \(x, y\) for shape \(4, 4\)",
        ),
        ({"shape": (4, 4), "center": (0, "a")}, TypeError, "Grid center y must be a number, got 'a'"),
    ],
)
def test_bad_input_is_named(arguments: dict, error: type[Exception], message: str) -> None:
    """Errors name the argument, what was expected and what came."""
    with pytest.raises(error, match=message):
        Grid(**arguments)


def test_from_dict_names_wrong_keys() -> None:
    """Unknown and missing keys raise with the allowed ones."""
    with pytest.raises(ValueError, match="unknown grid key voxel; allowed: shape, spacing, center"):
        Grid.from_dict({"shape": [2, 2], "voxel": 1})
    with pytest.raises(ValueError, match="grid lacks shape"):
        Grid.from_dict({"spacing": 1})
