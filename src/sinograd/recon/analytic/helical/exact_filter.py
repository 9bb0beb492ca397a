"""The filter of Katsevich's formula: derivative along the helix, and Hilbert transforms along kappa lines.

F. Noo, J. Pack, D. Heuscher, "Exact helical reconstruction using native cone-beam geometries", Physics in Medicine and
Biology 48(23), 2003, sections 3 and 4, on A. Katsevich, "Theoretically exact filtered backprojection-type inversion
algorithm for spiral CT", SIAM Journal on Applied Mathematics 62(6), 2002. A kappa line is where the plane through the
source and the sources at psi and 2 psi further along the helix meets the detector.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.recon.analytic.helical.exact_scan import ExactScan
from sinograd.recon.analytic.helical.tam_danielson import window_weights
from sinograd.recon.analytic.ramp import check_window, filter_rows, window_response

# Kappa lines for each row of the detector, and angles psi for each kappa line at which lines are looked up.
LINES_PER_ROW, FINER = 2, 16


@dataclass(frozen=True, eq=False)
class ExactFilter:
    """Filters views; everything that does not depend on them is computed once.

    Attributes:
        scan: the helix.
        psi: angles of the kappa lines, [lines].
        taps: of the Hilbert transform, from middles of columns to columns.
        forward: rows (fractions) of the kappa lines at the middles of columns, [lines, columns - 1].
        back: lines (fractions) on which the pixels lie, [rows, columns].
        weights: of pixels: the Tam-Danielson window, with the scale of the backprojection.
    """

    scan: ExactScan
    psi: Tensor
    taps: Tensor
    forward: Tensor
    back: Tensor
    weights: Tensor

    @classmethod
    def of(cls, scan: ExactScan, window: str, cutoff: float) -> ExactFilter:
        """The filter of a scan, with a window as in `fdk`."""
        limit = math.pi / 2 + float(scan.fan_angles.abs().max())
        lines = 2 * LINES_PER_ROW * (scan.helix.shape[0] // 2) + 1
        psi = torch.linspace(-limit, limit, lines, dtype=torch.float64)
        middles = (scan.columns[1:] + scan.columns[:-1]) / 2
        spacing = float(scan.heights[1] - scan.heights[0])
        forward = (_kappa(scan, middles, psi[:, None]) - scan.heights[0]) / spacing
        scale = scan.step / (2 * math.pi * scan.helix.radius)
        taps = _hilbert_taps(scan, window, cutoff)
        return cls(scan, psi, taps, forward, _lines_of_pixels(scan, psi), scale * window_weights(scan))

    def apply(self, projections: Tensor) -> Tensor:
        """[views - 1, rows, columns] half a step after each of [views, rows, columns] but the last."""
        derived = self._lengths(self._derivative(projections))
        lines = _along_dimension(derived, self.forward)
        padded = torch.nn.functional.pad(lines, (0, 1))
        filtered = filter_rows(padded, self.taps.to(padded))
        return _along_dimension(filtered, self.back) * self.weights.to(filtered)

    def _derivative(self, g: Tensor) -> Tensor:
        """Along the helix at a constant direction of the ray, at middles of views and columns."""
        scan = self.scan
        spacing = float(scan.columns[1] - scan.columns[0])
        by_view, by_column = g.diff(dim=0), g.diff(dim=2)
        turned = (by_view[..., 1:] + by_view[..., :-1]) / (2 * scan.step)
        across = (by_column[1:] + by_column[:-1]) / (2 * spacing)
        if scan.curved:
            return turned + across
        u = ((scan.columns[1:] + scan.columns[:-1]) / 2).to(g)
        means = (g[1:] + g[:-1]) / 2
        means = (means[..., 1:] + means[..., :-1]) / 2
        (up,) = torch.gradient(means, spacing=float(scan.heights[1] - scan.heights[0]), dim=1)
        w, distance = scan.heights.to(g)[:, None], scan.distance
        return turned + across * (distance + u.square() / distance) + up * (u * w / distance)

    def _lengths(self, values: Tensor) -> Tensor:
        scan = self.scan
        squares = scan.distance**2 + scan.heights[:, None].square()
        if not scan.curved:
            squares = squares + ((scan.columns[1:] + scan.columns[:-1]) / 2).square()
        return values * (scan.distance * squares.rsqrt()).to(values)


def _kappa(scan: ExactScan, columns: Tensor, psi: Tensor) -> Tensor:
    """Heights w of the kappa lines psi at columns (rad or mm); equations 46 and 54 of the paper."""
    quotient = torch.where(psi == 0, 1.0, psi / torch.where(psi == 0, 1.0, psi.tan()))
    if scan.curved:
        return scan.scale * (psi * columns.cos() + quotient * columns.sin())
    return scan.scale * (psi + quotient * columns / scan.distance)


def _lines_of_pixels(scan: ExactScan, psi: Tensor) -> Tensor:
    """[rows, columns]: the line of the smallest |psi| through each pixel, as a fraction of an index."""
    limit, middle = float(psi[-1]), (len(psi) - 1) / 2
    fine = torch.linspace(0, limit, FINER * len(psi), dtype=torch.float64)
    step = float(fine[1])
    sign = math.copysign(1.0, scan.scale)
    heights = (sign * scan.heights).expand(len(scan.columns), -1).contiguous()
    at_zero = sign * _kappa(scan, scan.columns, torch.zeros(1, dtype=torch.float64))[:, None]
    result = torch.zeros_like(heights)
    for side in (1.0, -1.0):
        reached = (side * sign * _kappa(scan, scan.columns[:, None], side * fine)).cummax(dim=1).values
        wanted = (side * heights).contiguous()
        after = torch.searchsorted(reached, wanted).clamp(1, len(fine) - 1)
        low, high = reached.gather(1, after - 1), reached.gather(1, after)
        share = ((wanted - low) / (high - low).clamp_min(1e-300)).clamp(0, 1)
        angle = side * step * (after - 1 + share)
        result = torch.where((side * heights >= side * at_zero), angle, result)
    return (result / (limit / middle) + middle).T.contiguous()


def _hilbert_taps(scan: ExactScan, window: str, cutoff: float) -> Tensor:
    """Taps [2 columns - 1] from middles of columns (number j, at j + 1/2) to columns."""
    check_window(window)
    count = len(scan.columns)
    offset = torch.arange(-(count - 1), count, dtype=torch.float64) - 0.5
    frequency = (torch.arange(4096, dtype=torch.float64) + 0.5) / 8192
    response = window_response(frequency, window, cutoff)
    if window == "ram-lak" and cutoff == 1:
        taps = 1 / (math.pi * offset)
    else:
        taps = 2 / 8192 * (torch.sin(2 * math.pi * offset[:, None] * frequency) * response).sum(1)
    if scan.curved:
        angle = offset * float(scan.columns[1] - scan.columns[0])
        taps = taps * angle / angle.sin()
    return taps


def _along_dimension(values: Tensor, places: Tensor) -> Tensor:
    """[views, n, columns] of [views, m, columns] at places [n, columns] along the middle axis; beyond, the last."""
    places = places.clamp(0, values.shape[1] - 1)
    below = places.floor().clamp(max=values.shape[1] - 2)
    index = below.long().to(values.device).expand(len(values), -1, -1)
    share = (places - below).to(values)
    low, high = values.gather(1, index), values.gather(1, index + 1)
    return low + share * (high - low)
