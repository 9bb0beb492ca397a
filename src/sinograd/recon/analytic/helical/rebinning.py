"""Rebinning of fan views to a cone-parallel lattice, from the true position of the source in each view.

Every view is read at the distances of the lattice along its rows, then views are interpolated at each distance in the
directions in which they were really measured there: a focal spot that flies along the columns needs nothing else. Rows
stay what they are. Both steps are Lagrange's polynomials through four samples, so that structures of a few columns
keep their amplitude; where directions nearly coincide, the straight line between two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sinograd.geometry.vectors import CENTER, CURVATURE, SOURCE, U, V
from sinograd.recon.analytic.helical.fan_rays import FanRays, fan_rays
from sinograd.recon.analytic.helical.helix import Helix
from sinograd.recon.analytic.helical.lattice import CHUNK, Lattice, lattice_of

# Directions closer than this share of the typical step are not put through one polynomial.
CLOSEST = 0.2
TAPS = 4


@dataclass(frozen=True, eq=False)
class Rebinning:
    """Rebinning of the views of one height of the focal spot.

    Attributes:
        helix: the scan.
        views: their numbers in the order of the helix, ascending.
        lattice: what they are rebinned to.
    """

    helix: Helix
    views: Tensor
    lattice: Lattice

    @classmethod
    def of(cls, helix: Helix, number: int) -> Rebinning:
        """That of the height `number` of the focal spot."""
        views = helix.heights[number]
        return cls(helix, views, lattice_of(helix, views, number))

    @cached_property
    def _ends(self) -> tuple[Tensor, Tensor]:
        """Each view's smallest and largest direction, at its outermost distances; rounded outwards."""
        edges, parts = self.lattice.distances[[0, -1]], []
        for own in self.views.split(CHUNK):
            theta = fan_rays(self.helix.vectors[own], self.helix.angles[own], self.helix.shape, edges).theta
            parts.append(torch.stack([theta.amin(1), theta.amax(1)]))
        low, high = torch.cat(parts, dim=1)
        return low, high

    def sources(self, first: int, end: int) -> Tensor:
        """Views of the helix, as numbers, that the views first to end - 1 of the lattice are made of."""
        low, high = self._ends
        directions = self.lattice.directions(first, end)
        before = int((high < directions[0]).sum()) - TAPS
        after = int((low <= directions[-1]).sum()) + TAPS
        return self.views[max(0, before) : after]

    def rays(self, own: Tensor) -> FanRays:
        """The rays of views `own` (numbers) at the distances of the lattice."""
        return fan_rays(self.helix.vectors[own], self.helix.angles[own], self.helix.shape, self.lattice.distances)

    def apply(self, projections: Tensor, own: Tensor, first: int, end: int) -> tuple[Tensor, Tensor]:
        """Views first to end - 1 of the lattice, and where their rays run.

        Args:
            projections: [views, rows, columns] of the views `own`, which `sources` names.
            own: their numbers.

        Returns:
            [views, rows, distances], and float64 [views, distances, 4]: distance from the source to the point nearest
            to the axis, rows of the detector per unit of slope, height of the source, row at its height.
        """
        rays = self.rays(own)
        index, weights = _nodes(rays.theta, self.lattice.directions(first, end))
        mixed = _along_views(_along_rows(projections, self._patterns(own), rays.column), index, weights)
        numbers = torch.stack(
            [
                rays.source,
                rays.detector / self.helix.vectors[own, V, 2][:, None],
                rays.height[:, None].expand_as(rays.source),
                rays.row[:, None].expand_as(rays.source),
            ],
            dim=2,
        )
        return mixed.transpose(1, 2).contiguous(), _along_views(numbers, index, weights)

    def _patterns(self, own: Tensor) -> Tensor:
        """[views]: the same number for views whose rays lie the same way in the plane, seen from their gantry angle."""
        vectors, angles = self.helix.vectors[own], self.helix.angles[own]
        cosine, sine = angles.cos()[:, None], angles.sin()[:, None]
        chosen = [SOURCE, CENTER, U] + ([CURVATURE] if vectors.shape[1] > CURVATURE else [])
        x, y = vectors[:, chosen, 0], vectors[:, chosen, 1]
        frame = torch.cat([cosine * x + sine * y, cosine * y - sine * x], dim=1)
        return torch.unique((frame / (1e-6 * self.lattice.spacing)).round(), dim=0, return_inverse=True)[1]


def _along_rows(projections: Tensor, patterns: Tensor, columns: Tensor) -> Tensor:
    """[views, distances, rows] of [views, rows, columns] at the columns [views, distances] of each pattern."""
    views, rows, count = projections.shape
    index = columns.new_empty(*columns.shape, TAPS, dtype=torch.int64)
    weights = columns.new_empty(*columns.shape, TAPS)
    for pattern in range(int(patterns.max()) + 1):
        chosen = (patterns == pattern).nonzero().flatten()
        at = columns[chosen[0]]
        nodes = (at.floor() - 1).clamp(0, count - TAPS)[:, None] + torch.arange(TAPS, dtype=torch.float64)
        index[chosen], weights[chosen] = nodes.long(), _lagrange(nodes, at)
    index += count * torch.arange(views)[:, None, None]
    table = projections.transpose(1, 2).reshape(-1, rows)  # the rows of a column are one line of memory
    return _mixed(table, index, weights)


def _mixed(table: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """[a, b, width]: sums of four rows of a table [n, width], at index [a, b, 4], with weights [a, b, 4]."""
    shape = index.shape[:2]
    index, weights = index.reshape(-1, TAPS).to(table.device), weights.reshape(-1, TAPS).to(table)
    mixed = torch.nn.functional.embedding_bag(index, table, mode="sum", per_sample_weights=weights)
    return mixed.view(*shape, -1)


def _nodes(theta: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """First of four views around each direction, int64 [directions, distances], and their weights [..., 4].

    theta: [views, distances], where every direction lies between two.
    """
    count = len(theta)
    ascending, order = theta.sort(dim=0)
    if not bool((order == torch.arange(count)[:, None]).all()):
        return _nodes_of_unordered(ascending, order, directions)
    index, weights = _between(ascending, directions)
    return index[..., None] + torch.arange(TAPS), weights


def _nodes_of_unordered(ascending: Tensor, order: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    index, weights = _between(ascending, directions)
    four = index[..., None] + torch.arange(TAPS)
    return order[four, torch.arange(order.shape[1])[:, None]], weights


def _between(ascending: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    count = len(ascending)
    nodes = ascending.T.contiguous()
    wanted = directions.expand(len(nodes), -1).contiguous()
    below = torch.searchsorted(nodes, wanted, right=True) - 1
    start = (below - 1).clamp(0, count - TAPS)
    four = nodes.gather(1, (start[..., None] + torch.arange(TAPS)).flatten(1)).view(*start.shape, TAPS)
    weights = _lagrange(four, wanted)
    steps = four.diff(dim=2)
    close = (steps < CLOSEST * float(ascending.diff(dim=0).median())).any(2)
    if bool(close.any()):
        at = (below - start).clamp(0, TAPS - 2)[..., None]
        left, right = four.gather(2, at), four.gather(2, at + 1)
        share = ((wanted[..., None] - left) / (right - left).clamp_min(1e-300)).clamp(0, 1)
        line = torch.zeros_like(weights).scatter_(2, at, 1 - share).scatter_(2, at + 1, share)
        weights = torch.where(close[..., None], line, weights)
    return start.T, weights.transpose(0, 1)


def _along_views(values: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """[directions, distances, n] of [views, distances, n]."""
    _, distances, width = values.shape
    return _mixed(values.reshape(-1, width), index * distances + torch.arange(distances)[:, None], weights)


def _lagrange(nodes: Tensor, at: Tensor) -> Tensor:
    """Weights [..., 4] of the values at nodes [..., 4] in the polynomial through them, at positions [...]."""
    weights = torch.ones_like(nodes)
    for i in range(TAPS):
        for j in range(TAPS):
            if i != j:
                weights[..., i] *= (at - nodes[..., j]) / (nodes[..., i] - nodes[..., j])
    return weights
