"""Tilted, turned and matrix-given detectors, resampled to ones whose rows run parallel to the rotation axis.

Each view gets a virtual plane through its detector's centre, upright, with horizontal rows of columns and the
detector's own spacings, large enough to hold the image of the detector's outline. A virtual element reads the
detector where its ray meets it (bilinear); rays keep their line integrals, so nothing else changes.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.geometry import Geometry
from sinograd.ops.kernel_views import is_axial, is_curved, projection_matrices
from sinograd.recon.analytic.orbit import UndefinedGeometryError

# Most a virtual detector may outgrow the real one, in elements of either axis.
GROWTH = 4.0


@dataclass(frozen=True)
class VirtualDetector:
    """Upright detectors in place of a geometry's own.

    Attributes:
        vectors: [views, 4 or 5, 3], those of the upright detectors.
        shape: (rows, columns) of the upright detectors.
        homographies: [views, 3, 3]: (column, row, 1) of an upright detector to those of the real one, homogeneous;
            None where the real ones are upright already.
        real_shape: (rows, columns) of the real detector.
        rows: first and end of the rows of the upright detector that are read; all of `shape` if None.
        real_rows: first and end of the rows of the real detector that projections have; all if None.
    """

    vectors: Tensor
    shape: tuple[int, int]
    homographies: Tensor | None
    real_shape: tuple[int, int]
    rows: tuple[int, int] | None = None
    real_rows: tuple[int, int] | None = None

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
        image = points @ self.homographies.transpose(1, 2)
        at = image[..., 1] / image[..., 2]
        first, end = math.floor(float(at.min())), math.floor(float(at.max())) + 2
        return max(0, min(first, self.real_shape[0] - 1)), max(1, min(end, self.real_shape[0]))

    def read(self, projections: Tensor, part: slice) -> Tensor:
        """Views `part` [..., views, rows, columns] of the real detector, as the upright one would have seen them."""
        if self.homographies is None:
            return projections
        views = [self._read_view(projections[..., i, :, :], h) for i, h in enumerate(self.homographies[part])]
        return torch.stack(views, dim=-3)

    def _read_view(self, image: Tensor, homography: Tensor) -> Tensor:
        """[..., rows, columns] of the real detector at the elements of the upright one; zero outside."""
        rows, columns = self.real_shape
        first, end = self.rows or (0, self.shape[0])
        above = self.real_rows[0] if self.real_rows is not None else 0
        # as numbers, the homography needs no copy to the image's device
        (h00, h01, h02), (h10, h11, h12), (h20, h21, h22) = homography.tolist()
        steps = (
            torch.arange(*span, dtype=torch.float64, device=image.device) for span in ((first, end), (0, self.shape[1]))
        )
        j, i = torch.meshgrid(*steps, indexing="ij")
        w = h20 * i + h21 * j + h22
        column, row = (h00 * i + h01 * j + h02) / w, (h10 * i + h11 * j + h12) / w
        pixels = image.flatten(-2)
        result = image.new_zeros((*image.shape[:-2], *j.shape))
        for offset_row in (0, 1):
            for offset_column in (0, 1):
                r, c = row.floor() + offset_row, column.floor() + offset_column
                outside = (r < 0) | (r >= rows) | (c < 0) | (c >= columns)
                weight = ((1 - (row - r).abs()) * (1 - (column - c).abs())).masked_fill(outside, 0.0)
                index = (r.sub(above).clamp(0, image.shape[-2] - 1) * columns + c.clamp(0, columns - 1)).long()
                result = result + pixels[..., index] * weight.to(image)
        return result


def upright_detector(geometry: Geometry) -> VirtualDetector:
    """The virtual detectors of a geometry, or its own if they are upright.

    Raises:
        UndefinedGeometryError: rays steeper than 45 degrees, or a turn so large that the virtual detector would
            outgrow the real one more than four times.
    """
    vectors, shape = geometry.vectors, (geometry.rows, geometry.columns)
    if geometry.ndim == 2 or is_axial(vectors, geometry.divergent, shape):
        return VirtualDetector(vectors, shape, None, shape)
    if is_curved(vectors):
        raise UndefinedGeometryError(
            "needs a curved detector's axis to be parallel to the rotation axis, and no ray steeper than 45 degrees"
        )
    virtual, new_shape = _upright(vectors, geometry.divergent, shape)
    if not is_axial(virtual, geometry.divergent, new_shape):
        raise UndefinedGeometryError("needs rays less than 45 degrees from the plane of the orbit")
    real = projection_matrices(vectors, geometry.divergent, shape)
    first = virtual[:, 1] - (new_shape[1] - 1) / 2 * virtual[:, 2] - (new_shape[0] - 1) / 2 * virtual[:, 3]
    to_world = torch.zeros(len(vectors), 4, 3, dtype=torch.float64)
    to_world[:, :3] = torch.stack([virtual[:, 2], virtual[:, 3], first], dim=2)
    to_world[:, 3, 2] = 1
    return VirtualDetector(virtual, new_shape, real @ to_world, shape)


def _upright(vectors: Tensor, divergent: bool, shape: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
    source, centre, u, v = vectors.unbind(1)
    normal = torch.linalg.cross(u, v)
    flat = normal[:, :2].norm(dim=1, keepdim=True)
    if bool((flat[:, 0] < 0.5 * normal.norm(dim=1)).any()):
        raise UndefinedGeometryError("needs a detector that stands upright to within 60 degrees")
    upright = torch.cat([normal[:, :2] / flat, torch.zeros_like(flat)], 1)
    across = torch.stack([-upright[:, 1], upright[:, 0], torch.zeros(len(vectors), dtype=torch.float64)], 1)
    # rows along z, columns the way they ran: +u x +v stays on the side where it was
    step_u, step_v = float(u.norm(dim=1).median()), float(v.norm(dim=1).median())
    virtual = torch.stack([source, centre, step_u * across, torch.zeros_like(u)], 1)
    virtual[:, 3, 2] = step_v
    columns, rows = _outline(vectors, virtual, divergent, shape)
    new_shape = tuple(
        2 * math.ceil(extent) + 1 if n % 2 else 2 * math.ceil(extent + 0.5)
        for extent, n in ((rows, shape[0]), (columns, shape[1]))
    )
    if new_shape[0] > GROWTH * shape[0] + 2 or new_shape[1] > GROWTH * shape[1] + 2:
        raise UndefinedGeometryError(f"would need a virtual detector of {new_shape} for one of {shape}: turned too far")
    return virtual, (new_shape[0], new_shape[1])


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
