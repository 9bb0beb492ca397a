"""The Tam-Danielson window: the part of the detector between the turns of the helix before and after.

K. C. Tam, US patent 5,390,112, 1995; P. E. Danielsson, P. Edholm, M. Eriksson, M. Magnusson-Seger, "Towards exact
reconstruction for helical cone-beam scanning of long objects", Fully 3-D, 1997. Here with w = z on the detector, D and
R the distances from the source to detector and axis, P the pitch: on a curved detector

    w = D P / (2 pi R) (+-pi / 2 - alpha) / cos(alpha),

on a flat one that divided by cos(alpha).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sinograd.recon.analytic.helical.exact_scan import ExactScan
from sinograd.recon.analytic.orbit import UndefinedGeometryError


def window_edges(scan: ExactScan) -> tuple[Tensor, Tensor]:
    """Lower and upper edge, mm above the source on the detector, [columns] each."""
    edges = [scan.scale * _shape(scan, side) for side in (-1.0, 1.0)]
    return torch.minimum(*edges), torch.maximum(*edges)


def _shape(scan: ExactScan, side: float) -> Tensor:
    fan = scan.fan_angles
    return (side * math.pi / 2 - fan) / fan.cos() ** (1 if scan.curved else 2)


def largest_pitch(scan: ExactScan) -> float:
    """Mm of table feed per turn, without sign, at which the window just fits on the detector."""
    above = float(scan.heights[-1] / _shape(scan, 1.0).max())
    below = float(-scan.heights[0] / -_shape(scan, -1.0).min())
    return max(0.0, min(above, below)) * 2 * math.pi * scan.helix.radius / scan.distance


def check_window(scan: ExactScan) -> None:
    """Raise UndefinedGeometryError unless the whole window is on the detector."""
    largest = largest_pitch(scan)
    if abs(scan.helix.pitch) > largest:
        low, high = window_edges(scan)
        raise UndefinedGeometryError(
            f"needs the whole Tam-Danielson window on the detector; it reaches from {float(low.min()):.4g} to "
            f"{float(high.max()):.4g} mm, the middles of the outer rows from {float(scan.heights[0]):.4g} to "
            f"{float(scan.heights[-1]):.4g} mm: the largest pitch is {largest:.4g} mm, got "
            f"{abs(scan.helix.pitch):.4g} mm"
        )


def window_weights(scan: ExactScan) -> Tensor:
    """[rows, columns]: the share of each row's height that lies in the window."""
    low, high = window_edges(scan)
    half = float(scan.heights[1] - scan.heights[0]) / 2
    bottom, top = (scan.heights - half)[:, None], (scan.heights + half)[:, None]
    return ((torch.minimum(top, high) - torch.maximum(bottom, low)) / (2 * half)).clamp(0, 1)
