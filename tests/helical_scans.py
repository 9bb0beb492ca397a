"""Small helical scans and objects for the tests of their reconstruction."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

import sinograd as sg

Panel = sg.FlatDetector | sg.CurvedDetector

ORBIT = dict(source_to_origin=595.0, source_to_detector=1085.6)
FAN = math.radians(50.0)
# A long object: an ellipse with two inserts that hardly depend on z, and where they are, (x, y, radius, value).
LONG = sg.Ellipsoids(
    [0.02, 0.01, -0.01],
    [[150.0, 120.0, 9000.0], [40.0, 40.0, 9000.0], [30.0, 20.0, 9000.0]],
    [[0.0, 0.0, 0.0], [60.0, 0.0, 0.0], [-60.0, 30.0, 0.0]],
)
REGIONS = ((60.0, 0.0, 30.0, 0.03), (-60.0, 30.0, 12.0, 0.01), (0.0, -60.0, 30.0, 0.02))


def detector(kind: str, rows: int, columns: int, row_spacing: float = 1.1, offset: float = 0.25) -> Panel:
    """A detector of 50 degrees, shifted by a share of a column."""
    distance = ORBIT["source_to_detector"]
    if kind == "curved":
        spacing = distance * FAN / columns
        return sg.CurvedDetector((rows, columns), (row_spacing, spacing), offset=(0.0, offset * spacing))
    spacing = 2 * distance * math.tan(FAN / 2) / columns
    return sg.FlatDetector((rows, columns), (row_spacing, spacing), offset=(0.0, offset * spacing))


def collimation(panel: Panel) -> float:
    """Height of a detector at the axis, mm."""
    return panel.rows * panel.row_spacing * ORBIT["source_to_origin"] / ORBIT["source_to_detector"]


def helix(panel: Panel, ratio: float, views: int, turns: float, clockwise: bool = False, **more: Any) -> sg.ConeBeam:
    """A helix about z = 0 of so many views a turn, its pitch as a ratio to the collimation."""
    angles = torch.arange(round(views * turns), dtype=torch.float64) * (2 * math.pi / views)
    pitch = ratio * collimation(panel)
    return sg.ConeBeam.helical(**ORBIT, angles=-angles if clockwise else angles, detector=panel, pitch=pitch, **more)


def disc(grid: sg.Grid, x: float, y: float, radius: float) -> Tensor:
    """[y, x]: the pixels within a radius of a place, mm."""
    columns, rows = (
        (torch.arange(grid.shape[axis]) - (grid.shape[axis] - 1) / 2) * grid.spacing[axis] for axis in (2, 1)
    )
    return (columns - x).square() + (rows[:, None] - y).square() < radius**2
