"""Hierarchical backprojection: each step against what it stands for, all of them against the direct sum."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import sinograd as sg


def bump(views: int, columns: int, width: float, place: tuple[float, float]) -> Tensor:
    """Rows that a Gaussian spot of 3 mm at (x, y) makes."""
    turn = torch.arange(views, dtype=torch.float64)[:, None] * (math.pi / views)
    along = (torch.arange(columns, dtype=torch.float64) - (columns - 1) / 2) * width
    return torch.exp(-(((along - place[0] * turn.cos() - place[1] * turn.sin()) / 3.0) ** 2) / 2)


def test_a_part_is_seen_from_its_middle(load) -> None:
    rows = bump(90, 101, 1.0, (14.0, -9.0))
    moved = load("hierarchy").moved(rows[None], (12.0, -6.0), 1.0, 60)[0]
    assert torch.allclose(moved, bump(90, 60, 1.0, (2.0, -3.0)), atol=2e-3)
    outside = load("hierarchy").moved(torch.ones(4, 20), (40.0, 0.0), 1.0, 20)
    assert float(outside[0].abs().max()) == 0 and float(outside[2].min()) == pytest.approx(1)


def test_half_of_the_views_keep_what_is_below_half_of_the_band(load) -> None:
    """Twice as much in each, beyond 180 degrees seen from the other side."""
    rows = bump(192, 61, 1.0, (4.0, 3.0))
    assert torch.allclose(load("hierarchy").every_other_view(rows), 2 * rows[::2], atol=2e-3)
    fast = torch.ones(64, 9, dtype=torch.float64)
    fast[1::2] = -1  # the highest frequency in angle would be seen as a constant
    assert float(load("hierarchy").every_other_view(fast).abs().max()) < 0.01


def test_columns_between_columns(load) -> None:
    fine = load("hierarchy").finer(bump(12, 61, 1.0, (4.0, 3.0)).float())
    assert torch.allclose(fine, bump(12, 121, 0.5, (4.0, 3.0)).float(), atol=2e-3)


def test_the_sum_of_the_levels_is_the_direct_one(load) -> None:
    rows = bump(192, 257, 0.5, (20.0, -13.0)).float()
    hierarchy = load("hierarchy").Hierarchy
    angles = torch.arange(192, dtype=torch.float64) * (math.pi / 192)
    geometry = sg.ParallelBeam(angles, sg.FlatDetector(257, 0.5))
    direct = sg.Backprojection(geometry, sg.Grid((128, 128), 0.8))(rows)
    assert torch.equal(hierarchy(0.5, 0)(rows, 128, 0.8), direct)
    for levels, whole in ((1, 0), (2, 0), (3, 0), (3, 1)):
        image = hierarchy(0.5, levels, whole)(rows, 128, 0.8)
        assert float((image - direct).norm() / direct.norm()) < 0.004 * levels


def test_the_table(load, tmp_path: Path, capfd: Any) -> None:
    pytest.importorskip("finufft")
    load("hierarchical").main(size=[64], levels=2, repeat=1, output=tmp_path / "out.json")
    assert "first level whole" in capfd.readouterr().out
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert [(row["columns"], row["levels"]) for row in rows[2:]] == [
        (1, 0),
        (1, 1),
        (1, 2),
        (2, 0),
        (2, 1),
        (2, 2),
        (2, 2),
    ]
    assert rows[2]["difference"] < 1e-5  # no levels: what `fbp` gives
    assert all(row["rmse"] < 0.1 and row["views"] == 96 for row in rows)
