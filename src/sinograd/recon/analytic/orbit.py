"""What filtered backprojection needs to know of an orbit, all of it taken from the per-view vectors."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry.vectors import detector_points, horizontal_ends, index_offsets
from sinograd.ops.kernel_views import is_curved

# Every view is weighted and backprojected where it is, so that a sway of the orbit displaces nothing. What it costs:
# - Distances to the axis that vary: weights are those of a circle about the axis. Off by 1 % of the amplitude for an
#   orbit 4 % off the axis, a spread of 8 %. Relative spread up to which nothing is said, and that is not refused.
SILENT_SPREAD, LARGEST_SPREAD = 0.02, 0.1
# - Heights that vary: rows are filtered in planes that lie off the orbit's middle by height x radius / distance at the
#   edge of the field of view. Rows up to which nothing is said; shares of the detector's height and of the distance to
#   the axis that are not refused.
SILENT_ROWS, LARGEST_CLIMB, LARGEST_TILT = 1.0, 0.5, 0.11
# - A curved detector that is not centred on the source: columns subtend other angles than the filter takes them for,
#   an error of the amplitude of this share.
SILENT_FOCUS, LARGEST_FOCUS = 0.002, 0.02
# - Parallel rays out of the plane: rows that a ray climbs from the axis to the edge of the field of view.
LARGEST_ROWS = 0.5


class UndefinedGeometryError(InputError):
    """A geometry for which filtered backprojection is not defined.

    Args:
        reason: words that follow the name of what is not defined: "needs ...", "is defined for ...".
        name: of that.
        advice: what takes the geometry.
    """

    def __init__(self, reason: str, name: str = "filtered backprojection", advice: str = "") -> None:
        super().__init__(f"geometry: {name} {reason}{advice}")
        self.reason = reason


@contextmanager
def defined_for(name: str, advice: str = "") -> Iterator[None]:
    """Inside, an `UndefinedGeometryError` says that `name` is what is not defined, and what is."""
    try:
        yield
    except UndefinedGeometryError as error:
        raise UndefinedGeometryError(error.reason, name, advice) from None


# Up to this share of the largest, values that are meant to be equal differ by rounding.
ROUNDING = 5e-12

PROBES = 5  # columns that are compared among views


@dataclass(frozen=True)
class Orbit:
    """A circular orbit (or the directions of a parallel beam) and the in-plane rays of its detector columns.

    Attributes:
        angles: [views], rad: source angle a, with the source at R (sin a, -cos a).
        fan: [views, columns], rad: angle of each column's ray from the ray through the axis, positive along +u; for
            parallel beams the signed distance of the ray to the axis, mm.
        numerator: [views, columns]: the ray's distance weight before the division by the ray's length, mm^2;
            R cos(gamma) times the horizontal source-pixel distance. Ones for parallel beams.
        horizontal: [views, columns], mm: horizontal source-pixel distance; ones for parallel beams.
        heights: [views, rows], mm: pixel heights above the source; zeros for parallel beams.
        scale: [views]: what remains of the distance weighting beside the kernel's.
        weighting: the weighting of the backprojection kernel.
        divergent: fan or cone beam.
        distance: [views, columns], mm: signed distance of each column's in-plane ray to the axis.
        edges: [views, 2]: fan coordinates of both ends of the detector's middle row, the lower one first.
        deviations: what differs from a circle enough to be said, and what it costs.
    """

    angles: Tensor
    fan: Tensor
    numerator: Tensor
    horizontal: Tensor
    heights: Tensor
    scale: Tensor
    weighting: str
    divergent: bool
    distance: Tensor
    edges: Tensor
    deviations: tuple[str, ...] = ()


def circular_orbit(
    vectors: Tensor, detector: tuple[int, int], divergent: bool, helical: bool = False, ends: Tensor | None = None
) -> Orbit:
    """The orbit of the views of an upright detector ([views, 4 or 5, 3]) of (rows, columns).

    Args:
        ends: [views, 2, 3], mm: ends of the middle row of the real detector, where this one is virtual.

    Raises:
        UndefinedGeometryError: filtered backprojection is not defined: the orbit is no circle about z (a helix,
            arbitrary vectors), or a curved detector is not centred on the source.
    """
    orbit = orbit_rays(vectors, detector, divergent, ends)
    if not divergent:
        _check_plane(vectors, orbit)
        return orbit
    deviations = (
        _radius_deviation(vectors[:, 0]),
        _height_deviation(vectors, detector[0], orbit, helical),
        _focus_deviation(vectors, orbit),
    )
    return dataclasses.replace(orbit, deviations=tuple(text for text in deviations if text))


def orbit_rays(vectors: Tensor, detector: tuple[int, int], divergent: bool, ends: Tensor | None = None) -> Orbit:
    """`circular_orbit` of an orbit that was checked, with any detector."""
    ends = horizontal_ends(vectors, detector) if ends is None else ends
    return (_divergent_orbit if divergent else _parallel_orbit)(vectors, detector, ends)


def check_axis_seen(orbit: Orbit) -> None:
    """Raise UndefinedGeometryError where the axis falls beside the detector in any view."""
    fan = once(orbit.fan)
    low, high = (extreme.expand(len(orbit.fan)) for extreme in (fan.amin(1), fan.amax(1)))
    beside = (low >= 0) | (high <= 0)
    if bool(beside.any()):
        view = int(beside.nonzero()[0])
        raise UndefinedGeometryError(
            "needs the rotation axis on the detector in every view; "
            f"it lies beside it in {int(beside.sum())} of {len(beside)} views, the first of them view {view}"
        )


def _divergent_orbit(vectors: Tensor, detector: tuple[int, int], ends: Tensor) -> Orbit:
    source, centre, u = vectors[:, 0], vectors[:, 1], vectors[:, 2]
    distance = source[:, :2].norm(dim=1)  # source to axis
    inward = -source[:, :2] / distance[:, None]
    across = torch.stack([inward[:, 1], -inward[:, 0]], 1)  # +u of a detector that faces the axis
    depth, aside = (_middle_row(vectors, detector[1], source, axis) for axis in (inward, across))
    shape, radius = (len(vectors), detector[1]), once(distance[:, None])
    horizontal = (depth.square() + aside.square()).sqrt()
    fan = _arctan2(*torch.broadcast_tensors(aside, depth))
    to_ends = (ends - source[:, None])[..., :2]
    edges = _arctan2((to_ends * across[:, None]).sum(2), (to_ends * inward[:, None]).sum(2)).sort(1).values
    rows = torch.arange(detector[0], dtype=torch.float64) - (detector[0] - 1) / 2
    heights = (centre - source)[:, 2:] + rows * vectors[:, 3, 2:]
    if is_curved(vectors):
        weighting, scale = "fan", 1 / distance**2
    else:
        normal = torch.stack([u[:, 1], -u[:, 0]], 1) / u[:, :2].norm(dim=1, keepdim=True)
        isocentre = (-source[:, :2] * normal).sum(1)  # depth of the isocentre along the detector's normal
        plane = ((centre - source)[:, :2] * normal).sum(1)
        weighting, scale = "fdk", (plane / isocentre**2).abs()
    return Orbit(
        angles=torch.atan2(source[:, 0], -source[:, 1]),
        fan=fan.expand(shape),
        numerator=(radius * depth).expand(shape),
        horizontal=horizontal.expand(shape),
        heights=heights,
        scale=scale,
        weighting=weighting,
        divergent=True,
        distance=(radius * fan.sin()).expand(shape),
        edges=edges,
    )


def _arctan2(y: Tensor, x: Tensor) -> Tensor:
    """By NumPy where no gradient is asked for, as the bits of torch's depend on the number of threads."""
    if y.requires_grad or x.requires_grad:
        return torch.atan2(y, x)
    return torch.from_numpy(np.arctan2(y.numpy(), x.numpy()))


def _parallel_orbit(vectors: Tensor, detector: tuple[int, int], ends: Tensor) -> Orbit:
    direction = vectors[:, 0]
    across = torch.stack([direction[:, 1], -direction[:, 0]], 1)
    shape = (len(vectors), detector[1])
    fan = _middle_row(vectors, detector[1], torch.zeros_like(direction), across).expand(shape)
    edges = (ends[..., :2] * across[:, None]).sum(2).sort(1).values
    ones = torch.ones(1, detector[1], dtype=torch.float64).expand(shape)
    # rays that meet the detector at an angle lie closer together than its columns
    closeness = (across * vectors[:, 2, :2]).sum(1).abs() / vectors[:, 2, :2].norm(dim=1)
    return Orbit(
        angles=torch.atan2(-direction[:, 0], direction[:, 1]),
        fan=fan,
        numerator=ones,
        horizontal=ones,
        heights=torch.zeros(len(vectors), detector[0], dtype=torch.float64),
        scale=1 / closeness,
        weighting="none",
        divergent=False,
        distance=fan,
        edges=edges,
    )


def _check_plane(vectors: Tensor, orbit: Orbit) -> None:
    """Raise UndefinedGeometryError where parallel rays leave the plane of a row on their way through the object."""
    direction = vectors[:, 0]
    climb = float((direction[:, 2] / direction[:, :2].norm(dim=1)).abs().max() * orbit.fan.abs().max())
    if climb > LARGEST_ROWS * float(vectors[:, 3].norm(dim=1).min()):
        raise UndefinedGeometryError(
            f"needs rays at right angles to the rotation axis; they climb {climb:g} mm across the field of view"
        )


def _radius_deviation(source: Tensor) -> str:
    """What distances to the axis that vary cost; UndefinedGeometryError where that is too much."""
    distance = source[:, :2].norm(dim=1)
    low, middle, high = float(distance.min()), float(distance.median()), float(distance.max())
    spread = (high - low) / middle if middle > 0 else math.inf
    if spread > LARGEST_SPREAD:
        raise UndefinedGeometryError(
            f"is defined for a circular orbit about z: the source's distance to the axis runs "
            f"from {low:g} to {high:g} mm"
        )
    if spread <= SILENT_SPREAD:
        return ""
    return (
        f"the source's distance to the axis runs from {low:g} to {high:g} mm, and views are weighted as on a circle: "
        f"values may be off by up to about {100 * spread / 4:.1f} %"
    )


def _height_deviation(vectors: Tensor, rows: int, orbit: Orbit, helical: bool) -> str:
    """What heights of the source that vary cost; UndefinedGeometryError for a helix and where that is too much."""
    height, source_to_axis = vectors[:, 0, 2], float(vectors[:, 0, :2].norm(dim=1).median())
    climb = float(height.max() - height.min())
    if climb == 0:
        return ""
    pitch = float(vectors[:, 3].norm(dim=1).median()) * source_to_axis / float(orbit.horizontal.median())
    displaced = climb / 2 * float(orbit.distance.abs().max()) / source_to_axis
    small = displaced <= SILENT_ROWS * pitch
    one_way = bool((height.diff() >= 0).all() or (height.diff() <= 0).all())
    if helical or (one_way and not small):
        raise UndefinedGeometryError(
            f"is defined for a circular orbit, not for a helix: the source moves {climb:g} mm along z"
        )
    if climb > LARGEST_TILT * source_to_axis or (climb > LARGEST_CLIMB * rows * pitch and not small):
        raise UndefinedGeometryError(
            f"is defined for a circular orbit, not for one that moves up and down by {climb:g} mm along z"
        )
    if small:
        return ""
    return (
        f"the source moves {climb:g} mm along z, and rows are filtered as on a circle: what lies at the edge of the "
        f"field of view is blurred by up to {displaced:.3g} mm along z"
    )


def _focus_deviation(vectors: Tensor, orbit: Orbit) -> str:
    """What a curved detector costs that is not centred on the source; UndefinedGeometryError where that is too much."""
    if not is_curved(vectors):
        return ""
    source, centre, curvature = vectors[:, 0], vectors[:, 1], vectors[:, 4]
    outward = (centre - curvature)[:, :2]
    radius = outward.norm(dim=1)
    off = (curvature - source)[:, :2]
    radial = (off * outward).sum(1).abs() / radius
    across = (off.square().sum(1) - radial.square()).clamp_min(0).sqrt()
    cost = float(((radial + across * orbit.fan.abs().max().sin()) / radius).max())
    if cost > LARGEST_FOCUS:
        raise UndefinedGeometryError(
            "needs a curved detector whose centre of curvature is the source: its radius "
            f"{float(radius[0]):g} mm is not the source's distance to it"
        )
    if cost <= SILENT_FOCUS:
        return ""
    return (
        f"the curved detector's centre lies up to {float(off.norm(dim=1).max()):.3g} mm beside the source: values may "
        f"be off by up to {100 * cost:.1f} %"
    )


def _middle_row(vectors: Tensor, columns: int, origin: Tensor, axis: Tensor) -> Tensor:
    """How far the columns of the middle row lie from an origin [views, 3] along a horizontal axis [views, 2],
    [views, columns]; [1, columns] where all views have the same up to rounding."""
    offsets = index_offsets(columns)
    # a line is told by two of its columns, an arc by three
    some = offsets[torch.linspace(0, columns - 1, min(columns, PROBES)).long()]
    count = len(once(_along(vectors, some, origin, axis)))
    return _along(vectors[:count], offsets, origin[:count], axis[:count])


def _along(vectors: Tensor, offsets: Tensor, origin: Tensor, axis: Tensor) -> Tensor:
    """`_middle_row` of the columns at these offsets."""
    if is_curved(vectors):
        places = detector_points(vectors, index_offsets(1), offsets)[:, 0] - origin[:, None]
        return (places[..., :2] * axis[:, None]).sum(2)
    middle = ((vectors[:, 1] - origin)[:, :2] * axis).sum(1)
    return torch.addcmul(middle[:, None], (vectors[:, 2, :2] * axis).sum(1)[:, None], offsets)


def is_shared(values: Tensor) -> bool:
    """Whether all views [views, ...] have the memory of one."""
    return len(values) == 1 or (len(values) > 0 and values.stride(0) == 0)


def once(values: Tensor) -> Tensor:
    """[1, n]: the values of the first view where all views have these up to rounding; else [views, n], as they are."""
    if values.requires_grad or values.numel() == 0:
        return values
    if is_shared(values):
        return values[:1]
    return values if (values - values[:1]).abs().max() > ROUNDING * values.abs().max() else values[:1]
