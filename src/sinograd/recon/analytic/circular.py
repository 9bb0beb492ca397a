"""What filtered backprojection needs to know of a circular (or parallel) scan, made once: `circular_scan`."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import UnsupportedError
from sinograd.geometry import Geometry
from sinograd.geometry.motion import move
from sinograd.geometry.vectors import slid
from sinograd.ops.kernel_views import is_curved
from sinograd.recon.analytic.angular import AngularSampling, angular_sampling, balanced, sampled_all_round
from sinograd.recon.analytic.coverage import TOLERATED, missing_share, scan_sampling
from sinograd.recon.analytic.orbit import (
    Orbit,
    UndefinedGeometryError,
    check_axis_seen,
    circular_orbit,
    once,
    orbit_rays,
)
from sinograd.recon.analytic.ramp import ramp_taps
from sinograd.recon.analytic.redundancy import redundancy_weights
from sinograd.recon.analytic.truncation import check_truncation
from sinograd.recon.analytic.virtual_detector import VirtualDetector, upright_detector

# Rad from the axis to which rows of a curved detector are continued at most.
WIDEST_FAN = 1.2

# Share by which the columns' spacing may differ among views: each is weighted by its own, and filtered with one window.
LARGEST_SPACING_SPREAD = 0.01


@dataclass(frozen=True)
class CircularScan:
    """Everything about a scan that depends neither on its projections nor on the grid.

    Attributes:
        ndim: of the geometry, 2 or 3.
        detector: the upright detector that is filtered.
        orbit: the scan's circle.
        sampling: which source angles were measured.
        weights: redundancy weights, [views, columns].
        rays: what else rows are weighted with, with the columns by which they are continued.
        padding: columns of zeros before and after each row that make the detector symmetric about the axis.
        vectors: those of the upright detector with the padding, [views, 4 or 5, 3].
        tap_spacing: mm between columns, and the radius of a curved detector.
        continued: how rows go on beyond the detector before they are filtered; None: as zeros.
    """

    ndim: int
    detector: VirtualDetector
    orbit: Orbit
    sampling: AngularSampling
    weights: Tensor
    rays: RayWeights
    padding: tuple[int, int]
    vectors: Tensor
    tap_spacing: tuple[float | Tensor, float | Tensor | None]
    continued: Continuation | None = None

    @property
    def views(self) -> int:
        """Number of views."""
        return len(self.vectors)

    @property
    def columns(self) -> int:
        """Columns of a padded row, which is backprojected."""
        return self.orbit.fan.shape[1] + sum(self.padding)

    @property
    def filtered_columns(self) -> int:
        """Columns of a row as it is filtered: padded, or continued."""
        return self.columns if self.continued is None else self.orbit.fan.shape[1] + sum(self.continued.extension)

    @property
    def kept_columns(self) -> tuple[int, int]:
        """First and last column, excluded, of those that are filtered, which are backprojected."""
        first = 0 if self.continued is None else self.continued.extension[0] - self.padding[0]
        return first, first + self.columns

    def default_taps(self, window: str, cutoff: float) -> Tensor:
        """Ramp taps for a padded (and continued) row, [2 columns - 1], float64."""
        spacing, radius = self.tap_spacing
        return ramp_taps(self.filtered_columns, spacing, window, cutoff, radius)

    def of_moving_object(self, motion: Tensor, divergent: bool) -> CircularScan:
        """The same of an object that moves by [views, 6 or 3].

        Rows are weighted and filtered as they were measured, and backprojected from where the object saw them; views
        count by the angles between them that the object saw.
        """
        moved = move(self.vectors, motion if torch.is_grad_enabled() else motion.detach(), divergent)
        x, y = moved[:, 0, 0], moved[:, 0, 1]
        angles = torch.atan2(x, -y) if divergent else torch.atan2(-x, y)
        seen, measured = (
            angular_sampling(every, not divergent, self.sampling.bearable).steps
            for every in (angles, self.orbit.angles)
        )
        per_column = self.rays.per_column * torch.where(measured > 0, seen / measured, 1.0)[:, None]
        return dataclasses.replace(
            self,
            vectors=moved,
            detector=dataclasses.replace(self.detector, all_rows=True),
            rays=dataclasses.replace(self.rays, per_column=per_column),
        )

    def of_rows(self, rows: tuple[int, int]) -> CircularScan:
        """The same for rows (first, end) of the upright detector, which are weighted and filtered to the same bits."""
        first, end = rows
        heights = self.rays.heights_squared[:, first:end]
        return dataclasses.replace(
            self,
            detector=self.detector.of_rows(rows),
            rays=dataclasses.replace(self.rays, heights_squared=heights),
            vectors=slid(self.vectors, (first + end - self.detector.shape[0]) / 2, 0.0),
        )


@dataclass(frozen=True)
class RayWeights:
    """Weights of rays beside the redundancy: per_column / (horizontal_squared + heights_squared)^(1/2).

    float64; one entry in the place of [views] where all views have the same.

    Attributes:
        per_column: [views or 1, columns].
        horizontal_squared: [views or 1, columns], mm^2.
        heights_squared: [views or 1, rows], mm^2.
        divergent: whether there is a length to divide by.
    """

    per_column: Tensor
    horizontal_squared: Tensor
    heights_squared: Tensor
    divergent: bool

    @classmethod
    def of(cls, orbit: Orbit, steps: Tensor) -> RayWeights:
        """Those of an orbit's rays, with steps [views] in rad."""
        per_column = once(orbit.numerator) * once((steps * orbit.scale)[:, None])
        return cls(once(per_column), once(orbit.horizontal) ** 2, once(orbit.heights) ** 2, orbit.divergent)


@dataclass(frozen=True)
class Continuation:
    """Columns that rows are continued by: how many before and after (those of the padding among them), and the orbit of
    the rows with them."""

    extension: tuple[int, int]
    orbit: Orbit


def circular_scan(geometry: Geometry, truncation: str = "none") -> CircularScan:
    """The scan of a geometry.

    Raises:
        UndefinedGeometryError: filtered backprojection is not defined for the geometry, or the detector does not see
            the axis.
        InputError: an unknown way to continue rows.
        UnsupportedError: the geometry requires gradients, and its detector is curved or its rows are continued.
    """
    recipe = geometry.moving_recipe
    if recipe is not None and recipe.motion is not None:
        still = circular_scan(dataclasses.replace(recipe, motion=None).geometry(), truncation)
        return still.of_moving_object(torch.as_tensor(recipe.motion), geometry.divergent)
    detector = upright_detector(geometry)
    vectors = detector.vectors.detach()
    orbit = circular_orbit(
        vectors, detector.shape, geometry.divergent, geometry.scan == "helical", detector.ends.detach()
    )
    sampling = scan_sampling(orbit)
    check_axis_seen(orbit)
    padding = _symmetric_padding(vectors, orbit)
    spacing = vectors[:, 2].norm(dim=1)
    if float(spacing.max() - spacing.min()) > LARGEST_SPACING_SPREAD * float(spacing.max()):
        raise UndefinedGeometryError("needs the same column spacing in every view")
    radius = _radii(vectors).mean() if is_curved(vectors) else None
    check_truncation(truncation)
    continued = None if truncation == "none" else _continue(vectors, detector.shape, orbit, padding)
    arcs = _arcs(orbit, sampling) if _measures_all(orbit, sampling) else sampling.steps
    scan = CircularScan(
        ndim=geometry.ndim,
        detector=detector,
        orbit=orbit,
        sampling=sampling,
        weights=redundancy_weights(orbit, sampling),
        rays=RayWeights.of(orbit if continued is None else continued.orbit, arcs * _closeness(vectors, spacing[0])),
        padding=padding,
        vectors=_pad_vectors(vectors, padding),
        tap_spacing=(
            float(spacing[0]),
            None if radius is None else float(radius),
        ),  # of other spacings taps are the same, by the share that rays weigh
        continued=continued,
    )
    return _followed(scan, detector.vectors) if detector.vectors.requires_grad else scan


def _followed(scan: CircularScan, vectors: Tensor) -> CircularScan:
    """The scan with weights and vectors that follow those of the upright detector; what is reported stays."""
    if scan.continued is not None:
        what = 'truncation other than "none"'
        raise UnsupportedError(f"geometry: filtered backprojection with {what} passes no gradients to it yet")
    orbit = orbit_rays(vectors, scan.detector.shape, scan.orbit.divergent, scan.detector.ends)
    if scan.sampling.closed:
        sampling = sampled_all_round(orbit.angles)
    else:
        sampling = angular_sampling(orbit.angles, not orbit.divergent, scan.sampling.bearable)
    spacing, radius = scan.tap_spacing
    if radius is not None:  # else taps are the reciprocal of the spacing, which the closeness is a share of
        spacing = vectors[0, 2].norm()
    closeness = _closeness(vectors, spacing)
    arcs = _arcs(orbit, sampling) if _measures_all(scan.orbit, scan.sampling) else sampling.steps
    return dataclasses.replace(
        scan,
        weights=redundancy_weights(orbit, sampling),
        rays=RayWeights.of(orbit, arcs * closeness),
        tap_spacing=(spacing, None if radius is None else _radii(vectors).mean()),
        vectors=_pad_vectors(vectors, scan.padding),
    )


def _radii(vectors: Tensor) -> Tensor:
    """Of curved detectors, mm, [views]."""
    return (vectors[:, 1] - vectors[:, 4]).norm(dim=1)


def _closeness(vectors: Tensor, spacing: float | Tensor) -> Tensor:
    """Of the columns of each view, beside those that the taps are for: in mm, on curved detectors in angle, [views]."""
    closeness = spacing / vectors[:, 2].norm(dim=1)
    if not is_curved(vectors):
        return closeness
    radii = _radii(vectors)
    return closeness * radii / radii.mean()


def _measures_all(orbit: Orbit, sampling: AngularSampling) -> bool:
    """Whether a divergent beam measures all rays, so that its arcs are balanced."""
    return orbit.divergent and missing_share(orbit, sampling) <= TOLERATED


def _arcs(orbit: Orbit, sampling: AngularSampling) -> Tensor:
    """What each view stands for, rad, [views], balanced by the weights of the rays through the axis."""
    axis = dataclasses.replace(orbit, fan=torch.zeros_like(orbit.fan[:, :1]))
    return balanced(sampling.steps, orbit.angles, redundancy_weights(axis, sampling)[:, 0])


def _symmetric_padding(vectors: Tensor, orbit: Orbit) -> tuple[int, int]:
    """Columns to add before and after each row so that it reaches as far on both sides of the axis."""
    columns = orbit.fan.shape[1]
    first, last = float(orbit.fan[:, 0].median()), float(orbit.fan[:, -1].median())
    if orbit.divergent and not is_curved(vectors):
        first, last = math.tan(first), math.tan(last)
    if columns == 1 or first == last:
        return 0, 0
    step = abs(last - first) / (columns - 1)
    missing = round((abs(last) - abs(first)) / step)
    # fewer than two columns are not worth a copy
    return (max(missing, 0), max(-missing, 0)) if abs(missing) > 1 else (0, 0)


def _continue(vectors: Tensor, shape: tuple[int, int], orbit: Orbit, padding: tuple[int, int]) -> Continuation:
    """As many columns as the padded row has on each side, in the place of zeros where the row is padded. Fewer where a
    curved detector would reach round the object.

    Where the short side of an offset detector sees what its long side sees from the other direction, its weights have
    fallen to zero, and so have those of the continuation.
    """
    columns = orbit.fan.shape[1]
    most = columns + sum(padding)
    if orbit.divergent and is_curved(vectors):
        step = float((orbit.fan[:, -1] - orbit.fan[:, 0]).abs().max()) / max(columns - 1, 1)
        most = min(most, max(1, int((WIDEST_FAN - float(orbit.fan.abs().max())) / step)))
    extension = (max(most, padding[0]), max(most, padding[1]))
    wide = slid(vectors, 0.0, (extension[1] - extension[0]) / 2)
    return Continuation(extension, orbit_rays(wide, (shape[0], columns + sum(extension)), orbit.divergent))


def _pad_vectors(vectors: Tensor, padding: tuple[int, int]) -> Tensor:
    """The vectors of the padded detector: its middle moves along the rows."""
    shift = (padding[1] - padding[0]) / 2
    return vectors if shift == 0 else slid(vectors, 0.0, shift)
