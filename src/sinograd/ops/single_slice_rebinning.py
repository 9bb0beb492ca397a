"""Single-slice rebinning: the fan-beam projections of one slice from cone-beam views that pass it.

F. Noo, M. Defrise, R. Clackdoyle, Single-slice rebinning method for helical cone-beam CT, Phys. Med. Biol. 44, 561
(1999): a ray of the slice z is taken from the cone-beam ray of the same view and column that meets the slice where it
passes the rotation axis closest, and its integral is scaled by the cosine of the angle between the two. Every ray
starts at the focal spot of its view, and rows are interpolated after scaling, so that objects that do not vary along z
are exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import ConeBeam, CurvedDetector, Detector, FanBeam, FlatDetector, checks
from sinograd.geometry.vectors import detector_points, index_offsets
from sinograd.ops.linear_operator import LinearOperator

BLOCK = 128  # views looked at together
_KEPT = 40
_UPRIGHT = 1e-6  # rows that the detector may lean or climb in all


@dataclass(frozen=True)
class SlicePasses:
    """Which views of a cone-beam scan see which slices.

    Attributes:
        low, high: [views], mm: the slices whose every ray lies on the detector of a view.
        step: radians from view to view.
        turn, short: how many views are a turn, and half a turn plus the fan.
    """

    low: Tensor
    high: Tensor
    step: float
    turn: int
    short: int

    @classmethod
    def of(cls, geometry: ConeBeam) -> SlicePasses:
        """The passes of a scan; InputError for a beam or detector that is not rebinned."""
        tables, low, high, fan = RayTables(geometry), [], [], 0.0
        half, step = geometry.detector.rows / 2, _step(geometry)
        for block in range(len(tables)):
            rays = tables[block]
            ends = [((end - rays.at_zero) / rays.of_z) for end in (-half, half)]
            low.append(torch.minimum(*ends).amax(1))
            high.append(torch.maximum(*ends).amin(1))
            fan = max(fan, rays.fan)
        turn = max(1, round(2 * math.pi / step))
        short = math.ceil((math.pi + 2 * fan) / step) + 1
        return cls(torch.cat(low), torch.cat(high), step, turn, short)

    def views(self, z: float) -> range:
        """The views of a slice: a turn where they suffice, else at least half a turn plus the fan.

        Raises:
            InputError: too few views see the slice; says which slices the scan supports.
        """
        seen = ((self.low <= z) & (z <= self.high)).numpy()
        edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(np.int8)))
        runs = [range(first, end) for first, end in zip(edges[::2], edges[1::2], strict=True)]
        longest = max(runs, key=len, default=range(0))
        if len(longest) >= self.turn:
            first = longest.start + (len(longest) - self.turn) // 2
            return range(first, first + self.turn)
        if len(longest) >= self.short:
            return longest
        found, needed = (math.degrees(count * self.step) for count in (len(longest), self.short))
        raise InputError(
            f"z: the slice at {z:g} mm is seen by {len(longest)} views in a row ({found:.4g} degrees), expected at "
            f"least {self.short} ({needed:.4g} degrees); {self._advice()}"
        )

    def supported(self) -> tuple[float, float] | None:
        """The lowest and the highest slice that enough views see; None where there is none."""
        if len(self.low) < self.short:
            return None
        low = self.low.unfold(0, self.short, 1).amax(1)
        high = self.high.unfold(0, self.short, 1).amin(1)
        seen = low <= high
        return (float(low[seen].min()), float(high[seen].max())) if bool(seen.any()) else None

    def _advice(self) -> str:
        found = self.supported()
        if found is not None:
            return f"the scan supports slices from {found[0]:.4g} to {found[1]:.4g} mm"
        if len(self.low) < self.short:
            return f"the scan has {len(self.low)} views in all"
        middle = len(self.low) // 2
        height = float(self.high[middle] - self.low[middle])
        rise = float((self.low[-1] - self.low[0]).abs()) / max(1, len(self.low) - 1)
        return (
            f"the pitch, {rise * self.turn:.4g} mm a turn, is too large for a view that sees {height:.4g} mm of the "
            f"axis: at most {height * self.turn / self.short:.4g} mm"
        )


class SingleSliceRebinning(LinearOperator):
    """Cone-beam projections [..., views, rows, columns] -> fan-beam projections [..., views of the slice, columns].

    A linear operator with its exact adjoint `A.T`; differentiable to any order.

    Args:
        geometry: a cone beam whose detector rows run along z: helical, circular or of vectors.
        z: mm, of the slice.
        passes: those of the geometry, where many slices are made.

    Attributes:
        views: those of the scan that are used, a range.
        fan: the geometry of the result, a `FanBeam` with the focal spot of each view.

    Raises:
        TypeError, ValueError: another beam, a tilted detector, or a slice that too few views see.
    """

    def __init__(
        self,
        geometry: ConeBeam,
        z: float,
        passes: SlicePasses | None = None,
        tables: RayTables | None = None,
    ) -> None:
        self.z = checks.number(z, "z")
        views = (SlicePasses.of(geometry) if passes is None else passes).views(self.z)
        super().__init__(geometry.projection_shape, (len(views), geometry.columns))
        self.views = views
        self.fan = fan_beam(geometry, views)
        self._first, *self._weights = (RayTables(geometry) if tables is None else tables).interpolation(views, self.z)

    def of_views(self, block: Tensor, start: int) -> Tensor:
        """The same of consecutive ones of `views` alone: [..., n, rows, columns] of views start to start + n - 1."""
        chosen = slice(start - self.views.start, start - self.views.start + block.shape[-3])
        first, second = self._rows(block, chosen)
        low, high = (weights[chosen].to(block) for weights in self._weights)
        return block.gather(-2, first).squeeze(-2) * low + block.gather(-2, second).squeeze(-2) * high

    def _apply_operator(self, x: Tensor) -> Tensor:
        return self.of_views(x[..., self.views.start : self.views.stop, :, :], self.views.start)

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        first, second = self._rows(y[..., None, :], slice(None))
        low, high = (weights.to(y) for weights in self._weights)
        block = y.new_zeros(*y.shape[:-1], *self.domain_shape[-2:])
        block = block.scatter_add(-2, first, (y * low).unsqueeze(-2)).scatter_add(-2, second, (y * high).unsqueeze(-2))
        before, after = self.views.start, self.domain_shape[0] - self.views.stop
        return torch.nn.functional.pad(block, (0, 0, 0, 0, before, after))

    def _rows(self, like: Tensor, views: slice) -> tuple[Tensor, Tensor]:
        """Both rows of each ray, [..., views, 1, columns]."""
        first = self._first[views].to(like.device)[:, None].expand(*like.shape[:-2], 1, like.shape[-1])
        return first, (first + 1).clamp(max=self.domain_shape[-2] - 1)


def fan_beam(geometry: ConeBeam, views: range) -> FanBeam:
    """The fan beam of some views: their focal spots and columns in the plane."""
    chosen = [*views]
    part, old = geometry[chosen], geometry.detector
    arguments = part._arguments
    offset = torch.as_tensor(arguments.get("source_offset", 0.0), dtype=torch.float64)
    outward = bool(offset.ndim and offset.shape[-1] == 3 and offset[..., 2].any())
    if part.scan == "vectors" or outward or arguments["yaw"] or arguments["motion"] is not None:
        source, center, u = (part.vectors[:, row, :2] for row in range(3))
        line: FlatDetector | CurvedDetector = FlatDetector(old.columns, old.column_spacing)
        if isinstance(old, CurvedDetector):
            radius = float((part.vectors[:, 1] - part.vectors[:, 4])[:, :2].norm(dim=1).median())
            line = CurvedDetector(old.columns, old.column_spacing, radius=radius)
        return FanBeam.from_vectors(sources=source, centers=center, u=u, detector=line)
    line = FlatDetector(old.columns, old.column_spacing, old.column_offset)
    if isinstance(old, CurvedDetector):
        line = CurvedDetector(old.columns, old.column_spacing, old.radius, old.column_offset)
    shifts, moved = arguments["shifts"], arguments["source_offset"]
    return FanBeam.circular(
        source_to_origin=arguments["source_to_origin"],
        source_to_detector=arguments["source_to_detector"],
        angles=arguments["angles"],
        detector=line,
        axis_offset=arguments["axis_offset"],
        source_offset=moved[:, 1] if isinstance(moved, Tensor) else moved[1],
        shifts=None if shifts is None else shifts[:, 1],
    )


@dataclass(frozen=True)
class RayTable:
    """The rays of some views, [views, columns] each, from the middle row of the detector.

    Attributes:
        at_zero, of_z: the row, counted from the middle, whose ray passes the axis closest at the height z is
            at_zero + of_z z.
        slope, slope_step: of the ray to the middle row against the plane, and by how much the next row's is larger.
        fan: the largest angle to the ray through the axis.
    """

    at_zero: Tensor
    of_z: Tensor
    slope: Tensor
    slope_step: Tensor
    fan: float

    @classmethod
    def of(cls, vectors: Tensor, detector: Detector, dtype: torch.dtype) -> RayTable:
        """From the vectors of the views; InputError for a tilted detector or rays beside the axis."""
        lean = float(vectors[:, 3, :2].norm(dim=1).max()) * detector.rows / detector.row_spacing
        climb = float(vectors[:, 2, 2].abs().max()) * detector.columns / detector.row_spacing
        if max(lean, climb) > _UPRIGHT:
            raise InputError(
                "geometry: single-slice rebinning needs detector rows along z, this one is tilted or turned"
            )
        pixels = detector_points(vectors, index_offsets(1), index_offsets(detector.columns))[:, 0]
        source, step = vectors[:, 0].unsqueeze(-1), vectors[:, 3, 2:]
        x, y, rise = (pixels - vectors[:, None, 0]).unbind(-1)
        square = x * x + y * y
        foot = -(source[:, 0] * x + source[:, 1] * y) / square  # share of the way at which the axis is closest
        if bool((foot <= 0).any()):
            raise InputError("geometry: rays that leave the source away from the rotation axis cannot be rebinned")
        length, of_z = square.sqrt_(), 1 / (foot * step)
        across = (source[:, 0] * y - source[:, 1] * x).abs_() / (length * source[:, :2].norm(dim=1))
        fan = math.asin(min(1.0, float(across.max())))
        slopes = (rise / length).to(dtype), (step / length).to(dtype)
        return cls(-source[:, 2] * of_z - rise / step, of_z, *slopes, fan)


class RayTables:
    """The rays of a scan in blocks of views, of which the last few are kept; weights are of `dtype`."""

    def __init__(self, geometry: ConeBeam, dtype: torch.dtype = torch.float64) -> None:
        if not isinstance(geometry, ConeBeam):
            raise InputTypeError(f"geometry: expected a ConeBeam, got {type(geometry).__name__}")
        self._vectors, self._detector = geometry.vectors, geometry.detector
        self._dtype = dtype
        self._kept: dict[int, RayTable] = {}

    def __len__(self) -> int:
        return math.ceil(len(self._vectors) / BLOCK)

    def __getitem__(self, block: int) -> RayTable:
        if block not in self._kept:
            if len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[block] = RayTable.of(
                self._vectors[block * BLOCK : (block + 1) * BLOCK], self._detector, self._dtype
            )
        return self._kept[block]

    def interpolation(self, views: range, z: float) -> tuple[Tensor, Tensor, Tensor]:
        """The lower row of each ray, and the weights of it and the next, each [views, columns]."""
        rows, parts = self._detector.rows, []
        for block, chosen in blocks_of(views):
            table = self[block]
            row = (table.of_z[chosen] * z).add_(table.at_zero[chosen]).add_((rows - 1) / 2).clamp_(0, rows - 1)
            first = row.floor().clamp_(max=max(0, rows - 2))
            share, steps = row.sub_(first).to(self._dtype), table.slope_step[chosen]
            slope = (first - (rows - 1) / 2).to(self._dtype).mul_(steps).add_(table.slope[chosen])
            after = slope + steps
            # the cosine of an angle of which this is the tangent
            low, high = (tangent.square_().add_(1).rsqrt_() for tangent in (slope, after))
            parts.append((first.long(), low.mul_(1 - share), high.mul_(share)))
        first, low, high = (torch.cat(pieces) for pieces in zip(*parts, strict=True))
        return first, low, high


def blocks_of(views: range) -> Iterator[tuple[int, slice]]:
    """The blocks of BLOCK views that a range lies in, and which views of each."""
    for block in range(views.start // BLOCK, (views.stop - 1) // BLOCK + 1):
        first = block * BLOCK
        yield block, slice(max(views.start, first) - first, min(views.stop, first + BLOCK) - first)


def _step(geometry: ConeBeam) -> float:
    """Radians from view to view, by how the detector turns."""
    u = geometry.vectors[:, 2]
    turns = torch.atan2(u[:, 1], u[:, 0]).diff() / (2 * math.pi)
    steps = 2 * math.pi * (turns - turns.round()).abs()
    usual = float(steps.quantile(0.5)) if len(steps) else 2 * math.pi
    if usual == 0:
        raise InputError("geometry: the detector does not turn from view to view")
    return usual
