"""Tilted, turned and matrix-given detectors, resampled to ones whose rows run parallel to the rotation axis.

Each view gets a virtual plane through its detector's centre, upright, with horizontal rows of columns and the
detector's own spacings, large enough to hold the image of the detector's outline. A virtual element reads the
detector where its ray meets it (bilinear); rays keep their line integrals, so nothing else changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import Geometry
from sinograd.ops.kernel_views import is_axial, is_curved, projection_matrices

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
    """

    vectors: Tensor
    shape: tuple[int, int]
    homographies: Tensor | None
    real_shape: tuple[int, int]

    def read(self, projections: Tensor, part: slice) -> Tensor:
        """Views `part` [..., views, rows, columns] of the real detector, as the upright one would have seen them."""
        if self.homographies is None:
            return projections
        views = [
            _read_view(projections[..., i, :, :], homography, self.shape)
            for i, homography in enumerate(self.homographies[part])
        ]
        return torch.stack(views, dim=-3)


def upright_detector(geometry: Geometry, algorithm: str) -> VirtualDetector:
    """The virtual detectors of a geometry, or its own if they are upright.

    Raises:
        ValueError: rays steeper than 45 degrees, or a turn so large that the virtual detector would outgrow the real
            one more than four times.
    """
    vectors, shape = geometry.vectors, (geometry.rows, geometry.columns)
    if geometry.ndim == 2 or is_axial(vectors, geometry.divergent, shape):
        return VirtualDetector(vectors, shape, None, shape)
    if is_curved(vectors):
        raise InputError(
            f"geometry: {algorithm} needs a curved detector's axis to be parallel to the rotation axis, and no ray "
            "steeper than 45 degrees"
        )
    virtual, new_shape = _upright(vectors, geometry.divergent, shape, algorithm)
    if not is_axial(virtual, geometry.divergent, new_shape):
        raise InputError(f"geometry: {algorithm} needs rays less than 45 degrees from the plane of the orbit")
    real = projection_matrices(vectors, geometry.divergent, shape)
    first = virtual[:, 1] - (new_shape[1] - 1) / 2 * virtual[:, 2] - (new_shape[0] - 1) / 2 * virtual[:, 3]
    to_world = torch.zeros(len(vectors), 4, 3, dtype=torch.float64)
    to_world[:, :3] = torch.stack([virtual[:, 2], virtual[:, 3], first], dim=2)
    to_world[:, 3, 2] = 1
    return VirtualDetector(virtual, new_shape, real @ to_world, shape)


def _upright(
    vectors: Tensor, divergent: bool, shape: tuple[int, int], algorithm: str
) -> tuple[Tensor, tuple[int, int]]:
    source, centre, u, v = vectors.unbind(1)
    normal = torch.linalg.cross(u, v)
    flat = normal[:, :2].norm(dim=1, keepdim=True)
    if bool((flat[:, 0] < 0.5 * normal.norm(dim=1)).any()):
        raise InputError(f"geometry: {algorithm} needs a detector that stands upright to within 60 degrees")
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
        raise InputError(
            f"geometry: {algorithm} would need a virtual detector of {new_shape} for one of {shape}: turned too far"
        )
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


def _read_view(image: Tensor, homography: Tensor, shape: tuple[int, int]) -> Tensor:
    """[..., rows, columns] of the real detector at the elements of the virtual one; zero outside."""
    rows, columns = image.shape[-2:]
    # as numbers, the homography needs no copy to the image's device
    (h00, h01, h02), (h10, h11, h12), (h20, h21, h22) = homography.tolist()
    steps = (torch.arange(n, dtype=torch.float64, device=image.device) for n in shape)
    j, i = torch.meshgrid(*steps, indexing="ij")
    w = h20 * i + h21 * j + h22
    column, row = (h00 * i + h01 * j + h02) / w, (h10 * i + h11 * j + h12) / w
    pixels = image.flatten(-2)
    result = image.new_zeros((*image.shape[:-2], *shape))
    for offset_row in (0, 1):
        for offset_column in (0, 1):
            r, c = row.floor() + offset_row, column.floor() + offset_column
            outside = (r < 0) | (r >= rows) | (c < 0) | (c >= columns)
            weight = ((1 - (row - r).abs()) * (1 - (column - c).abs())).masked_fill(outside, 0.0)
            index = (r.clamp(0, rows - 1) * columns + c.clamp(0, columns - 1)).long()
            result = result + pixels[..., index] * weight.to(image)
    return result
