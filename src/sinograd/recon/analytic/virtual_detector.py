"""Tilted, turned and matrix-given detectors, resampled to ones whose rows run parallel to the rotation axis.

Each view gets a virtual plane through its detector's centre, upright, with horizontal rows of columns and the
detector's own spacings, large enough to hold the image of the detector's outline. A virtual element reads the
detector where its ray meets it (cubic convolution); rays keep their line integrals, so nothing else changes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sinograd.geometry import Geometry
from sinograd.geometry.vectors import horizontal_ends
from sinograd.ops.derivatives import recorded
from sinograd.ops.kernel_views import is_axial, is_curved, projection_matrices
from sinograd.recon.analytic.orbit import UndefinedGeometryError

# Most a virtual detector may outgrow the real one, in elements of either axis.
GROWTH = 4.0

# Elements that are read together, of several views where these are small.
TOGETHER = 1 << 16

# Bands of so many elements whose places and weights (12 MB each) are kept for the next views.
KEPT_BANDS = 4

# Elements of a band whose taps (8 MB in float32) the kernels take at a time.
TAPS_TOGETHER = 1 << 17

# Elements from which interpolation reads: as far beyond its last ones, a detector is not yet zero.
REACH = 2.0

# Elements by which detectors that are turned alike may differ from view to view.
ALIKE = 1e-8


@dataclass(frozen=True)
class Taps:
    """Where elements of upright rows lie on the real detector.

    Attributes:
        rows: first and end of them, of those that are read.
        places: [2, elements, 4], int32: four rows (of those that are held) and four columns of the real detector.
        factors: [2, elements, 4]: what they count.
    """

    rows: tuple[int, int]
    places: Tensor
    factors: Tensor


@dataclass(frozen=True)
class VirtualDetector:
    """Upright detectors in place of a geometry's own.

    Attributes:
        vectors: [views, 4 or 5, 3], those of the upright detectors.
        shape: (rows, columns) of the upright detectors.
        homographies: [views, 3, 3]: (column, row, 1) of an upright detector to those of the real one, homogeneous;
            None where the real ones are upright already.
        real_shape: (rows, columns) of the real detector.
        ends: [views, 2, 3], both ends of its middle row, or of its middle column where it is turned on its side.
        rows: first and end of the rows of the upright detector that are read; all of `shape` if None.
        real_rows: first and end of the rows of the real detector that projections have; all if None.
        all_rows: whether any slice may need any row, as of an object that moves.
    """

    vectors: Tensor
    shape: tuple[int, int]
    homographies: Tensor | None
    real_shape: tuple[int, int]
    ends: Tensor
    rows: tuple[int, int] | None = None
    real_rows: tuple[int, int] | None = None
    all_rows: bool = False
    _kept: dict[Any, tuple[Tensor, Tensor]] = field(init=False, default_factory=dict, repr=False, compare=False)
    _kept_shared: dict[Any, Taps] = field(init=False, default_factory=dict, repr=False, compare=False)

    @property
    def row_count(self) -> int:
        """Rows of the upright detector that are read."""
        first, end = self.rows or (0, self.shape[0])
        return end - first

    def of_rows(self, rows: tuple[int, int]) -> VirtualDetector:
        """The detector of which rows (first, end) are read, from projections of the real rows that they need."""
        return dataclasses.replace(self, rows=rows, real_rows=self.real_rows_of(rows))

    def real_rows_of(self, rows: tuple[int, int]) -> tuple[int, int]:
        """First row of the real detector and the one after the last that rows (first, end) are read from."""
        if self.homographies is None:
            return rows
        ends = [(column, row) for column in (0, self.shape[1] - 1) for row in (rows[0], rows[1] - 1)]
        points = torch.tensor([(*end, 1.0) for end in ends], dtype=torch.float64)
        image = points @ self.homographies.detach().transpose(1, 2)
        at = image[..., 1] / image[..., 2]
        first, end = math.floor(float(at.min())) - 1, math.floor(float(at.max())) + 3
        return max(0, min(first, self.real_shape[0] - 1)), max(1, min(end, self.real_shape[0]))

    def read(self, projections: Tensor, part: slice) -> Tensor:
        """Views `part` [..., views, rows, columns] of the real detector, as the upright one would have seen them."""
        if self.homographies is None:
            return projections
        homographies, step = self.homographies[part], self._views_together(projections)
        if _are_one(homographies) and projections.device.type == "cpu":
            return self._read_alike(projections, homographies[:1])
        starts = range(0, len(homographies), step)
        views = [self._read_views(projections[..., i : i + step, :, :], homographies[i : i + step]) for i in starts]
        return torch.cat(views, dim=-3)

    @property
    def turned_alike(self) -> bool:
        """Whether the real detectors are turned alike in all views, and need no gradients."""
        return self.homographies is not None and _are_one(self.homographies)

    def shared_taps(self, images: Tensor) -> Iterator[Taps]:
        """Of detectors that are turned alike: the taps of all rows that are read, band by band."""
        step = max(1, TAPS_TOGETHER // self.shape[1])
        for first in range(0, self.row_count, step):
            rows = (first, min(first + step, self.row_count))
            key = (rows, images.shape[-2], images.dtype)
            if (taps := self._kept_shared.get(key)) is None:
                taps = self._separate_taps(images, rows)
                if len(self._kept_shared) < KEPT_BANDS:
                    self._kept_shared[key] = taps
            yield taps

    def _separate_taps(self, images: Tensor, rows: tuple[int, int]) -> Taps:
        assert self.homographies is not None
        start = (self.rows or (0, 0))[0]
        above, held = self.real_rows[0] if self.real_rows is not None else 0, images.shape[-2]
        row, column = self._places(self.homographies[:1], images.device, (rows[0] + start, rows[1] + start))
        count, columns = self.real_shape
        neighbours = [
            _neighbours(row, (above, held, count), images.dtype),
            _neighbours(column, (0, columns, columns), images.dtype),
        ]
        places, factors = (
            torch.stack([torch.stack([four[number].flatten() for four in axis], 1) for axis in neighbours])
            for number in (0, 1)
        )
        return Taps(rows, places.int(), factors)

    def _views_together(self, projections: Tensor) -> int:
        """Views that are read at a time: many small ones on the CPU, where each operation costs time of its own."""
        return max(1, TOGETHER // (self.row_count * self.shape[1])) if projections.device.type == "cpu" else 1

    def _read_views(self, images: Tensor, homographies: Tensor) -> Tensor:
        """[..., views, rows, columns] of the real detector at the elements of the upright one; zero outside."""
        rows, columns = self.real_shape
        above = self.real_rows[0] if self.real_rows is not None else 0
        row, column = self._places(homographies, images.device)
        pixels, held = images.flatten(-3), images.shape[-2]
        first = torch.arange(len(homographies), device=images.device)[:, None, None] * (held * columns)
        lines = [
            (line * columns + first, weight) for line, weight in _neighbours(row, (above, held, rows), images.dtype)
        ]
        result = images.new_zeros((*images.shape[:-3], *row.shape))
        across = _neighbours(column, (0, columns, columns), images.dtype)
        for line, down in lines:
            for place, weight in across:
                result = torch.addcmul(result, pixels[..., line + place], down * weight)
        return result

    def _read_alike(self, images: Tensor, homography: Tensor) -> Tensor:
        """As `_read_views`, of detectors that are turned alike: places and weights are found once for all views."""
        views = images.flatten(-2).flatten(0, -2)
        pixels = views.T.clone(memory_format=torch.contiguous_format)  # [pixels, views]
        first, end = self.rows or (0, self.shape[0])
        step = max(1, TOGETHER // self.shape[1])
        bands = []
        for low in range(first, end, step):
            places, weights = self._kept_taps(homography, images, (low, min(low + step, end)))
            bands.append(_sums(pixels, places, weights).T)
        return torch.cat(bands, dim=1).reshape(*images.shape[:-2], end - first, self.shape[1])

    def _kept_taps(self, homography: Tensor, images: Tensor, rows: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """As `_taps`; those of a few bands of rows are found once, for all blocks of views."""
        key = (rows, images.shape[-2], images.dtype)
        if (taps := self._kept.get(key)) is None:
            taps = self._taps(homography, images, rows)
            if len(self._kept) < KEPT_BANDS:
                self._kept[key] = taps
        return taps

    def _taps(self, homography: Tensor, images: Tensor, rows: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Of rows (first, end) of the upright detector: pixels that are read, by their number, and their weights, both
        [elements, taps]."""
        count, columns = self.real_shape
        above = self.real_rows[0] if self.real_rows is not None else 0
        row, column = self._places(homography, images.device, rows)
        across = _neighbours(column, (0, columns, columns), images.dtype)
        taps = [
            ((line * columns + place).flatten(), (down * weight).flatten())
            for line, down in _neighbours(row, (above, images.shape[-2], count), images.dtype)
            for place, weight in across
        ]
        places, weights = zip(*taps, strict=True)
        return torch.stack(places, 1), torch.stack(weights, 1)

    def _places(
        self, homographies: Tensor, device: torch.device, rows: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Row and column on the real detector of the elements that are read, each [views, rows, columns]."""
        spans = (rows or self.rows or (0, self.shape[0]), (0, self.shape[1]))
        j, i = torch.meshgrid(*(torch.arange(*s, dtype=torch.float64, device=device) for s in spans), indexing="ij")
        if len(homographies) == 1 and not homographies.requires_grad:
            # as numbers, the homography needs no copy to the images' device
            (h00, h01, h02), (h10, h11, h12), (h20, h21, h22) = homographies[0].tolist()
            i, j = i[None], j[None]
        else:
            numbers = homographies[:, :, :, None, None].unbind(1)
            (h00, h01, h02), (h10, h11, h12), (h20, h21, h22) = (line.unbind(1) for line in numbers)
        w = h20 * i + h21 * j + h22
        return (h10 * i + h11 * j + h12) / w, (h00 * i + h01 * j + h02) / w


def _sums(pixels: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    """Of pixels [pixels, views] at places [elements, taps], weighted: [elements, views].

    Without derivatives in one pass over the pixels, with the same bits and in a tenth of the time.
    """
    if not recorded(pixels, weights):
        return torch.nn.functional.embedding_bag(places, pixels, mode="sum", per_sample_weights=weights)
    result = pixels.new_zeros((len(places), pixels.shape[1]))
    for place, weight in zip(places.unbind(1), weights.unbind(1), strict=True):
        result = torch.addcmul(result, pixels.index_select(0, place), weight[:, None])
    return result


def _neighbours(place: Tensor, held: tuple[int, int, int], dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """The four elements about each place: their number among those that are held, and their weight.

    held: number of the first that is held, how many are, and how many there are; weights of others are zero.
    """
    first, count, every = held
    before = place.detach().floor()
    found = []
    for k, weight in zip(range(-1, 3), cubic_weights(place - before), strict=True):
        at = before + k
        inside = weight.masked_fill((at < 0) | (at >= every), 0.0)
        found.append((at.sub_(first).clamp_(0, count - 1).long(), inside.to(dtype)))
    return found


def cubic_weights(t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of the elements -1, 0, 1 and 2 at the place t in [0, 1): cubic convolution.

    R. G. Keys, "Cubic convolution interpolation for digital image processing", IEEE Transactions on Acoustics, Speech,
    and Signal Processing 29(6), 1981, eq. 15 (a = -1/2). Its derivative is continuous, so that reconstructions follow
    a detector smoothly through places where elements coincide.
    """
    square = t * t
    cube = square * t
    return (
        -0.5 * cube + square - 0.5 * t,
        1.5 * cube - 2.5 * square + 1.0,
        -1.5 * cube + 2.0 * square + 0.5 * t,
        0.5 * cube - 0.5 * square,
    )


def upright_detector(geometry: Geometry) -> VirtualDetector:
    """The virtual detectors of a geometry, or its own if they are upright.

    Those of a geometry that requires gradients are always virtual, and follow its vectors.

    Raises:
        UndefinedGeometryError: rays steeper than 45 degrees, or a turn so large that the virtual detector would
            outgrow the real one more than four times.
    """
    vectors, shape = geometry.vectors, (geometry.rows, geometry.columns)
    moving = geometry.followed_vectors if torch.is_grad_enabled() else None
    if geometry.ndim == 2 or is_curved(vectors):
        if geometry.ndim == 3 and not is_axial(vectors, geometry.divergent, shape):
            raise UndefinedGeometryError(
                "needs a curved detector's axis to be parallel to the rotation axis, and no ray steeper than 45 degrees"
            )
        vectors = vectors if moving is None else moving
        return VirtualDetector(vectors, shape, None, shape, horizontal_ends(vectors, shape))
    if moving is None and is_axial(vectors, geometry.divergent, shape):
        return VirtualDetector(vectors, shape, None, shape, horizontal_ends(vectors, shape))
    spacing = geometry.detector.row_spacing, geometry.detector.column_spacing
    virtual = _upright(vectors, spacing)
    new_shape = _shape(vectors, virtual, geometry.divergent, shape)
    if not is_axial(virtual, geometry.divergent, new_shape):
        raise UndefinedGeometryError("needs rays less than 45 degrees from the plane of the orbit")
    if moving is not None:
        vectors, virtual = moving, _upright(moving, spacing)
    real = projection_matrices(vectors, geometry.divergent, shape)
    first = virtual[:, 1] - (new_shape[1] - 1) / 2 * virtual[:, 2] - (new_shape[0] - 1) / 2 * virtual[:, 3]
    last = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(len(vectors), 1, 3)
    to_world = torch.cat([torch.stack([virtual[:, 2], virtual[:, 3], first], dim=2), last], dim=1)
    homographies = real @ to_world
    if moving is None and _differ_by_rounding(homographies, new_shape):
        homographies = homographies[:1].expand_as(homographies)
    return VirtualDetector(virtual, new_shape, homographies, shape, horizontal_ends(vectors, shape))


def _differ_by_rounding(homographies: Tensor, shape: tuple[int, int]) -> bool:
    """Whether detectors are turned alike in all views: the corners of an upright one (rows, columns) tell."""
    corners = [(column, row, 1.0) for column in (0, shape[1] - 1) for row in (0, shape[0] - 1)]
    image = torch.tensor(corners, dtype=torch.float64) @ homographies.transpose(1, 2)
    places = image[..., :2] / image[..., 2:]
    return bool(((places - places[0]).abs() <= ALIKE).all())


def _are_one(homographies: Tensor) -> bool:
    """Whether they are one matrix for all views, without gradients."""
    return len(homographies) > 0 and homographies.stride(0) == 0 and not homographies.requires_grad


def _upright(vectors: Tensor, spacing: tuple[float, float]) -> Tensor:
    """The vectors of upright planes through the detectors' centres, with rows and columns `spacing` apart."""
    source, centre, u, v = vectors.unbind(1)
    normal = torch.linalg.cross(u, v)
    flat = normal[:, :2].norm(dim=1, keepdim=True)
    if bool((flat[:, 0] < 0.5 * normal.norm(dim=1)).any()):
        raise UndefinedGeometryError("needs a detector that stands upright to within 60 degrees")
    upright = normal[:, :2] / flat
    zeros = torch.zeros(len(vectors), dtype=torch.float64)
    # rows along z, columns the way they ran: +u x +v stays on the side where it was
    across = torch.stack([-upright[:, 1], upright[:, 0], zeros], 1)
    up = torch.tensor([0.0, 0.0, spacing[0]], dtype=torch.float64).expand(len(vectors), 3)
    return torch.stack([source, centre, spacing[1] * across, up], 1)


def _shape(vectors: Tensor, virtual: Tensor, divergent: bool, shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the virtual detector that hold all that the real one gives."""
    columns, rows = _outline(vectors, virtual, divergent, shape)
    new_rows, new_columns = (
        2 * math.ceil(extent + REACH) + 1 if n % 2 else 2 * math.ceil(extent + REACH + 0.5)
        for extent, n in ((rows, shape[0]), (columns, shape[1]))
    )
    if new_rows > GROWTH * shape[0] + 6 or new_columns > GROWTH * shape[1] + 6:
        sizes = f"{(new_rows, new_columns)} for one of {shape}"
        raise UndefinedGeometryError(f"would need a virtual detector of {sizes}: turned too far")
    return new_rows, new_columns


def _outline(vectors: Tensor, virtual: Tensor, divergent: bool, shape: tuple[int, int]) -> tuple[float, float]:
    """How far the corners' images reach from the middle, in virtual columns and rows."""
    _, centre, u, v = vectors.unbind(1)
    half = [(n - 1) / 2 for n in shape]
    matrices = projection_matrices(virtual, divergent, (1, 1))
    reach = torch.zeros(2, dtype=torch.float64)
    for sign_u in (-1, 1):
        for sign_v in (-1, 1):
            corner = centre + sign_u * half[1] * u + sign_v * half[0] * v
            image = (matrices[:, :, :3] @ corner[:, :, None])[:, :, 0] + matrices[:, :, 3]
            reach = torch.maximum(reach, (image[:, :2] / image[:, 2:]).abs().amax(0))
    return float(reach[0]), float(reach[1])
