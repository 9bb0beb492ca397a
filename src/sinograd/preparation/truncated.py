"""Whether the object reaches beyond the detector, so that rows end in it, and what that costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sinograd.data.projections import Projections, load_views
from sinograd.geometry import Geometry
from sinograd.geometry.vectors import central_hit

# Groups of neighbouring views that are looked at, views of each, and bands of rows.
GROUPS, VIEWS, BANDS = 64, 4, 16

# Share of the columns at each edge that are averaged; an edge is in the object where its line integrals are so much of
# the largest and so many standard errors above the lowest, or where even the lowest ones are so large.
EDGE, TOUCHING, CERTAIN, NO_AIR, LEAST = 1 / 64, 0.1, 6.0, 0.25, 0.1

# Share of views and rows, and excess, from which a scan is truncated; contrast of a view that holds an object.
SHARE, EXCESS, CONTRAST = 0.02, 0.003, 0.05

# A detector that reaches to one side of the axis less than this share of the other side stands beside it on purpose.
BESIDE = 0.95


@dataclass(frozen=True)
class Truncation:
    """How much of a scan is truncated.

    share: of views and rows whose edge lies in the object. edge: line integrals there, as a share of the largest.
    excess: by how much the middle comes out too high, as a share of its value.
    """

    share: float
    edge: float
    excess: float

    @property
    def text(self) -> str:
        """The words of a warning."""
        return (
            f"the object reaches beyond the detector in {self.share:.0%} of the views and rows: line integrals at its "
            f"edge are {self.edge:.0%} of the largest, and values in the middle come out about {self.excess:.1%} too "
            "high; `truncation='ellipse'` continues the rows, so that they do not"
        )


def find_truncation(line_integrals: Projections, geometry: Geometry) -> Truncation | None:
    """Whether the rows of line integrals [views, (rows,) columns] end in the object; None where they end in air.

    Edges that opposite views measure farther out (a detector beside the axis, over a full turn) do not count. The
    excess is that of a uniform disc on the axis at its middle: with p = q p_0 at both edges of a row, where p_0 is the
    largest, the missing parts leave (2 / pi) (q / sqrt(1 - q^2) - arcsin q) of its value too much.
    """
    sides = _sides(geometry)
    columns = line_integrals.shape[-1]
    if not sides or columns < 8:
        return None
    profiles = _profiles(line_integrals)
    count = max(1, round(EDGE * columns))
    smooth = np.lib.stride_tricks.sliding_window_view(profiles, count, axis=-1).mean(-1)
    lowest, highest = smooth.min(-1), smooth.max(-1)
    largest = float(np.quantile(highest, 0.95))
    if not largest > 0:
        return None
    noise = 1.4826 / math.sqrt(2 * count) * np.median(np.abs(np.diff(profiles, axis=-1)), axis=-1)
    no_air = (lowest > max(NO_AIR * largest, LEAST)) & (highest - lowest > CONTRAST * highest)
    level = np.where(no_air, 0.0, lowest)
    shares = []
    for side in sides:
        above = smooth[..., side] - level
        touching = (above > TOUCHING * largest) & (above > CERTAIN * noise)
        shares.append(np.where(touching, above / np.maximum(highest - level, 1e-30), 0.0).clip(0, 0.95))
    at_edge = np.max(shares, axis=0)
    share = float((at_edge > 0).mean())
    excess = float(np.mean([2 / math.pi * (q / np.sqrt(1 - q**2) - np.arcsin(q)) for q in shares]))
    if share < SHARE or excess < EXCESS:
        return None
    return Truncation(share, float(np.median(at_edge[at_edge > 0])), excess)


def _profiles(line_integrals: Projections) -> np.ndarray:
    """Means over neighbouring views and bands of rows, float64 [groups, bands, columns]."""
    views, columns = line_integrals.shape[0], line_integrals.shape[-1]
    edges = np.linspace(0, views, min(views, GROUPS) + 1).round().astype(int)
    rest = []
    for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        chosen = load_views(line_integrals, slice(first, end, max(1, (end - first) // VIEWS)))
        images = chosen.detach().reshape(len(chosen), -1, columns).float()
        bands = torch.nn.functional.adaptive_avg_pool2d(images, (min(BANDS, images.shape[1]), columns))
        rest.append(bands.mean(0).double().numpy())
    return np.stack(rest)


def _sides(geometry: Geometry) -> list[int]:
    """Index (0 or -1) of the edges at which an object should not end."""
    vectors = geometry.vectors
    ray = vectors[:, 0] if not geometry.divergent else vectors[:, 1] - vectors[:, 0]
    steep = ray[:, 2].abs() > 0.2 * ray[:, :2].norm(dim=1)
    if bool(steep.any()) or geometry.views < 2:
        return []
    column = float(central_hit(vectors, geometry.divergent)[2].median())
    if not math.isfinite(column):
        return []
    before, after = geometry.columns / 2 + column, geometry.columns / 2 - column
    if not _full_turn(vectors) or min(before, after) > BESIDE * max(before, after):
        return [0, -1]
    return [0] if before > after else [-1]


def _full_turn(vectors: Tensor) -> bool:
    """Whether views stand all around: no gap between their directions is wider than 30 degrees or two steps."""
    angles = torch.atan2(vectors[:, 0, 1], vectors[:, 0, 0]).remainder(2 * math.pi).sort().values
    steps = torch.cat([angles.diff(), angles[:1] + 2 * math.pi - angles[-1:]])
    return float(steps.max()) < max(math.radians(30), 2 * 2 * math.pi / len(angles))
