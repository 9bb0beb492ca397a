"""What Katsevich's formula needs to know of a helix with one focal position: `exact_scan`."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.geometry import Geometry
from sinograd.geometry.vectors import CENTER, CURVATURE, SOURCE, U, V
from sinograd.ops.kernel_views import is_curved
from sinograd.recon.analytic.helical.fan_rays import column_distances
from sinograd.recon.analytic.helical.helix import Helix, helix_of
from sinograd.recon.analytic.orbit import UndefinedGeometryError

# Shares of a column by which the source may move against the detector, and of a step by which steps may differ.
STILL, EVEN = 1e-3, 1e-3


@dataclass(frozen=True, eq=False)
class ExactScan:
    """A helix of a detector that is flat, at right angles to the central ray, or curved about the source.

    Attributes:
        helix: the scan; its columns run along +u as its angles grow.
        mirrored: whether the geometry's columns run the other way.
        curved: which of the two.
        distance: from the source to the detector along the central ray, mm (D).
        columns: fan angles of the columns in rad (curved), or u in mm (flat), [columns].
        heights: of the rows above the source, on the detector, mm (w), [rows].
        step: rad between views.
    """

    helix: Helix
    mirrored: bool
    curved: bool
    distance: float
    columns: Tensor
    heights: Tensor
    step: float

    @property
    def fan_angles(self) -> Tensor:
        """[columns], rad."""
        return self.columns if self.curved else torch.atan(self.columns / self.distance)

    @property
    def scale(self) -> float:
        """D P / (2 pi R), mm on the detector per rad, with the sign of the pitch."""
        return self.distance * self.helix.pitch / (2 * math.pi * self.helix.radius)

    def middles(self) -> Tensor:
        """Vectors [views - 1, 4 or 5, 3] half a step after each view but the last."""
        half = self.step / 2
        vectors = self.helix.vectors[:-1].clone()
        x, y = vectors[..., 0].clone(), vectors[..., 1].clone()
        vectors[..., 0] = math.cos(half) * x - math.sin(half) * y
        vectors[..., 1] = math.sin(half) * x + math.cos(half) * y
        places = [SOURCE, CENTER] + ([CURVATURE] if self.curved else [])
        vectors[:, places, 2] += self.helix.pitch * half / (2 * math.pi)
        return vectors


def exact_scan(geometry: Geometry) -> ExactScan:
    """The scan of a geometry.

    Raises:
        UndefinedGeometryError: no helix, a focal spot that flies, uneven steps, another detector.
    """
    helix = helix_of(geometry)
    _check_still(helix)
    steps = helix.angles.diff()
    if float((steps - steps.mean()).abs().max()) > EVEN * float(steps.mean()):
        raise UndefinedGeometryError(
            f"needs equal steps; they run from {math.degrees(float(steps.min())):.6g} to "
            f"{math.degrees(float(steps.max())):.6g} degrees"
        )
    if min(helix.shape) < 2:
        raise UndefinedGeometryError(f"needs two rows and two columns or more, got {helix.shape}")
    theta, _, length = column_distances(helix.vectors[:1], helix.angles[:1], helix.shape[1])
    source = helix.vectors[0, SOURCE]
    fan = torch.atan2(source[0], -source[1]) - theta[0]
    fan = torch.remainder(fan + math.pi, 2 * math.pi) - math.pi
    mirrored = bool(fan[-1] < fan[0])
    curved = is_curved(helix.vectors)
    columns = fan if curved else fan.tan()
    spacing = float((columns[-1] - columns[0]) / (len(columns) - 1))
    even = columns[0] + spacing * torch.arange(len(columns), dtype=torch.float64)
    if float((columns - even).abs().max()) > STILL * abs(spacing):
        raise UndefinedGeometryError(
            "needs a flat detector at right angles to the line from the source to the axis, or one that is curved "
            "about the source"
        )
    if mirrored:
        even, turned = even.flip(0), helix.vectors.clone()
        turned[:, U] *= -1
        helix = dataclasses.replace(helix, vectors=turned)
    distance = float(length[0].mean()) if curved else float(helix.vectors[0, U].norm()) / abs(spacing)
    rows = torch.arange(helix.shape[0], dtype=torch.float64) - (helix.shape[0] - 1) / 2
    heights = float(helix.vectors[0, CENTER, 2] - source[2]) + rows * float(helix.vectors[0, V, 2])
    return ExactScan(
        helix, mirrored, curved, distance, even if curved else even * distance, heights, float(steps.mean())
    )


def _check_still(helix: Helix) -> None:
    """One focal position: the source stays where it is, seen from the detector."""
    vectors, angles = helix.vectors, helix.angles
    off = vectors[:, SOURCE] - vectors[:, CENTER]
    cosine, sine = angles.cos(), angles.sin()
    seen = torch.stack([cosine * off[:, 0] + sine * off[:, 1], cosine * off[:, 1] - sine * off[:, 0], off[:, 2]], dim=1)
    moved = float((seen - seen.median(0).values).abs().max())
    if moved > STILL * float(vectors[0, U].norm()):
        raise UndefinedGeometryError(
            f"needs one focal position; the source moves by up to {moved:.3g} mm against the detector: reconstruct the "
            "views of each position by themselves, geometry[0::n] to geometry[n - 1::n], and average their volumes"
        )
