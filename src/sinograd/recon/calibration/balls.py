"""Calibration with a phantom of balls whose positions are known: detection, association, least squares.

Where the balls stand in the scan need not be known: the phantom's pose is found with the geometry. Residuals are those
of the centres of shadows, so that standard errors are those of ordinary least squares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import CalibrationError, InputError, InputTypeError
from sinograd.geometry import ConeBeam, Geometry, checks
from sinograd.geometry import vectors as surface
from sinograd.geometry.learned import changed, check_learnable, pixel_scale, start_value
from sinograd.geometry.motion import rotations
from sinograd.ops.arguments import check_projections
from sinograd.recon.calibration.result import Calibrated

SEARCHED_TURNS = 72  # of the phantom about the axis, for a first pose

NEAREST = (20.0, 10.0, 6.0, 4.0, 3.0, 2.0, 1.0, 1.0)
"""Pixels within which a shadow belongs to a ball, from one association to the next."""

FIRST_POSES = 8  # that are refined

WIDEST = 1.4  # times the median area, of a shadow of one ball

LEAST_SHADOWS = 3  # for each number that is found


def find_balls(projections: Any, threshold: float = 0.5) -> list[Tensor]:
    """Centres of the shadows of balls.

    Args:
        projections: line integrals [views, rows, columns] of balls alone (what holds them must be fainter).
        threshold: share of the largest line integral above which an element belongs to a shadow.

    Returns:
        For each view the (row, column) of the shadows' centres of mass, [shadows, 2], counted from the first element;
        shadows at the detector's edges and those of balls behind each other, which are larger, are left out.
    """
    from scipy import ndimage

    images = np.asarray(
        projections.detach().cpu() if isinstance(projections, Tensor) else projections, dtype=np.float64
    )
    if images.ndim != 3:
        raise InputError(f"projections: expected [views, rows, columns], got {list(images.shape)}")
    if not 0 < threshold < 1:
        raise InputError(f"threshold: expected a share between 0 and 1, got {threshold}")
    level = threshold * float(np.percentile(images.max(axis=(1, 2)), 50))
    labelled = [_labels(image > level) for image in images]
    areas = [np.bincount(labels.ravel(), minlength=2)[1:] for labels in labelled]
    largest = WIDEST * float(np.median(np.concatenate(areas))) if any(labels.any() for labels in labelled) else 0.0
    centers = []
    for image, labels, area in zip(images, labelled, areas, strict=True):
        at_edge = {*labels[0], *labels[-1], *labels[:, 0], *labels[:, -1]}
        chosen = [n for n, size in enumerate(area, 1) if n not in at_edge and 0 < size <= largest]
        # a shadow's rim is below the threshold: the mass of the whole neighbourhood counts
        wide = ndimage.grey_dilation(labels, size=(3, 3))
        found = ndimage.center_of_mass(image * (wide > 0), wide, chosen) if chosen else []
        centers.append(torch.tensor(np.array(found, dtype=np.float64).reshape(-1, 2)))
    return centers


def _labels(inside: np.ndarray) -> np.ndarray:
    """Connected parts, numbered from 1."""
    from scipy import ndimage

    labels: Any = ndimage.label(inside)
    return labels[0]


@dataclass(frozen=True, eq=False)
class _Seen:
    """Shadows of all views, as places from the detector's middle: views [n] and (row, column) [n, 2]."""

    views: Tensor
    places: Tensor


def calibrate_from_balls(
    projections: Any,
    geometry: ConeBeam,
    balls: Any,
    *,
    learn: Sequence[str] = ("axis_offset", "in_plane_rotation", "tilt", "source_to_detector"),
    threshold: float = 0.5,
) -> Calibrated:
    """Finds arguments of a geometry from a scan of balls.

    Args:
        projections: line integrals [views, rows, columns].
        geometry: a cone beam that is given by arguments, from which the search starts.
        balls: centres of the balls in the phantom's own coordinates, mm, [balls, 3], about its middle; at least four,
            not in a plane. They fix the scale, so that source_to_origin can be learnt, too.
        learn: names of arguments, as for `LearnedGeometry`, that are one number for all views.
        threshold: see `find_balls`.

    Returns:
        As `calibrate`; `before` and `after` are root mean squares of distances between shadows and images of balls, in
        pixels. The standard errors are those of least squares.

    Raises:
        TypeError, ValueError: wrong arguments.
        CalibrationError: too few shadows, or none that fit the balls; or two arguments that do the same.
    """
    if not isinstance(geometry, ConeBeam):
        raise InputTypeError(f"geometry: expected a ConeBeam, got {type(geometry).__name__}")
    if geometry.scan == "vectors":
        raise InputError("geometry: expected one that is given by arguments, got vectors")
    still = geometry[:]
    names = check_learnable(still, learn)
    points = checks.values(balls, "balls", ("balls", 3))
    if len(points) < 4:
        raise InputError(f"balls: expected at least 4, got {len(points)}")
    data = projections if isinstance(projections, Tensor) else torch.as_tensor(projections)
    check_projections(data, still)
    fit = _BallFit(still, names, points, _seen(find_balls(data, threshold), still))
    theta, before, after, spread = fit.run()
    values = {name: float(value) for name, value in fit.values(theta).items()}
    errors = {name: float(spread[i]) * float(fit.scales[i]) for i, name in enumerate(names)}
    found = changed(still, {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()})
    return Calibrated(found, values, errors, {}, "balls", before, after, True)


class _BallFit:
    """The unknowns are scaled arguments, then the phantom's shift (mm) and rotation vector (radians)."""

    def __init__(self, geometry: Geometry, names: tuple[str, ...], points: Tensor, seen: _Seen) -> None:
        self.geometry, self.names, self.points, self.seen = geometry, names, points, seen
        self.first = torch.stack([start_value(geometry, name) for name in names])
        self.scales = torch.stack([pixel_scale(geometry, name, start_value(geometry, name)) for name in names])
        unknowns = len(names) + 6
        if len(seen.views) < LEAST_SHADOWS * unknowns:
            raise CalibrationError(f"found {len(seen.views)} shadows of balls, too few for {unknowns} numbers")

    def values(self, unknowns: Tensor) -> dict[str, Tensor]:
        """The arguments, mm and radians."""
        count = len(self.names)
        return dict(zip(self.names, self.first + self.scales * unknowns[:count], strict=True))

    def images(self, unknowns: Tensor) -> Tensor:
        """(row, column) of each ball in each view, [views, balls, 2]."""
        moved = changed(self.geometry, self.values(unknowns))
        vectors = surface.of_geometry(moved)
        pose = unknowns[len(self.names) :]
        world = self.points @ rotations(pose[None, 3:])[0].T + pose[:3]
        return surface.images(vectors, world, True)

    def run(self) -> tuple[Tensor, float, float, Tensor]:
        """Unknowns, root mean square distances before and after, and standard errors of the unknowns."""
        fits = [fit for start in self._first_poses() if (fit := self._refined(start)) is not None]
        if not fits:
            raise CalibrationError(
                f"no pose brings enough of the {len(self.seen.views)} shadows within {NEAREST[-1]:g} pixel of where "
                "balls should be: check the balls' positions and the geometry"
            )
        unknowns, jacobian, residuals = max(fits, key=lambda fit: (len(fit[2]), -float(fit[2].square().mean())))
        normal = jacobian.T @ jacobian
        if float(torch.linalg.cond(normal)) > 1e14:
            what = ", ".join(self.names)
            raise CalibrationError(f"learn: two of {what} do the same, or the balls lie in a plane")
        free = max(1, len(residuals) - len(unknowns))
        spread = (torch.linalg.inv(normal).diagonal() * residuals.square().sum() / free).sqrt()
        start = torch.cat([torch.zeros(len(self.names), dtype=torch.float64), unknowns[len(self.names) :]])
        before, _ = self._linear(start, *self._associated(start, NEAREST[0]))
        sizes = [float(values.square().mean().mul(2).sqrt()) for values in (before, residuals)]
        return unknowns, sizes[0], sizes[1], spread

    def _refined(self, unknowns: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
        """Unknowns, derivatives and distances after association and least squares in turn; None for too few shadows."""
        jacobian = residuals = torch.zeros(0, dtype=torch.float64)
        for limit in NEAREST:
            ball, near = self._associated(unknowns, limit)
            if int(near.sum()) < LEAST_SHADOWS * len(unknowns):
                return None
            for _ in range(2):
                residuals, jacobian = self._linear(unknowns, ball, near)
                unknowns = unknowns + torch.linalg.lstsq(jacobian, -residuals[:, None]).solution[:, 0]
        return unknowns, jacobian, residuals

    def _first_poses(self) -> list[Tensor]:
        """The turns about the axis, of either way up, at which images of balls lie nearest to shadows."""
        trials = []
        for turned_over in (0.0, math.pi):
            over = rotations(torch.tensor([[turned_over, 0.0, 0.0]], dtype=torch.float64))[0]
            for step in range(SEARCHED_TURNS):
                about = rotations(torch.tensor([[0.0, 0.0, 2 * math.pi * step / SEARCHED_TURNS]], dtype=torch.float64))[
                    0
                ]
                trial = torch.zeros(len(self.names) + 6, dtype=torch.float64)
                trial[-3:] = _rotation_vector(about @ over)
                trials.append((float(self._distances(trial).min(1).values.clamp(max=3 * NEAREST[0]).mean()), trial))
        return [trial for _, trial in sorted(trials, key=lambda pair: pair[0])[:FIRST_POSES]]

    def _distances(self, unknowns: Tensor) -> Tensor:
        """Of each shadow to the image of each ball, pixels [shadows, balls]."""
        images = self.images(unknowns).detach()[self.seen.views]
        return (images - self.seen.places[:, None]).norm(dim=2)

    def _associated(self, unknowns: Tensor, limit: float) -> tuple[Tensor, Tensor]:
        """The ball of each shadow, each at most once a view, and whether it is near enough."""
        from scipy.optimize import linear_sum_assignment

        distances = self._distances(unknowns)
        ball, near = torch.zeros(len(distances), dtype=torch.int64), torch.zeros(len(distances), dtype=torch.bool)
        for view in self.seen.views.unique():
            shadows = (self.seen.views == view).nonzero()[:, 0]
            rows, columns = linear_sum_assignment(distances[shadows].clamp(max=limit).numpy())
            ball[shadows[rows]] = torch.from_numpy(columns)
            near[shadows[rows]] = distances[shadows[rows], torch.from_numpy(columns)] < limit
        return ball, near

    def _linear(self, unknowns: Tensor, ball: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
        """Distances of shadows from images of their balls, [2 n], and their derivatives [2 n, unknowns]."""
        views, chosen = self.seen.views[near], ball[near]

        def residuals(at: Tensor) -> Tensor:
            return (self.images(at)[views, chosen] - self.seen.places[near]).flatten()

        columns = []
        for index in range(len(unknowns)):
            move = torch.zeros_like(unknowns)
            move[index] = 1e-4
            columns.append((residuals(unknowns + move) - residuals(unknowns - move)) / 2e-4)
        return residuals(unknowns), torch.stack(columns, 1)


def _seen(centers: list[Tensor], geometry: Geometry) -> _Seen:
    views = torch.cat([torch.full((len(places),), view, dtype=torch.int64) for view, places in enumerate(centers)])
    middle = torch.tensor([(geometry.rows - 1) / 2, (geometry.columns - 1) / 2], dtype=torch.float64)
    return _Seen(views, torch.cat(centers) - middle)


def _rotation_vector(matrix: Tensor) -> Tensor:
    from scipy.spatial.transform import Rotation

    return torch.from_numpy(Rotation.from_matrix(matrix.numpy()).as_rotvec())
