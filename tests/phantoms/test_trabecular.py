"""Connected trabecular bone: what its parameters say is measured on the object."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

import sinograd as sg
from sinograd.errors import InputError
from sinograd.phantoms import trabecular
from sinograd.phantoms.trabecular import Trabecular

SPACING = 0.05
GRID = sg.Grid((100, 100, 100), SPACING)


@functools.cache
def small(seed: int = 1, **options: Any) -> Trabecular:
    return trabecular(seed, **{"diameter": 5.0, "height": 5.0, **options})


def masks(phantom: Trabecular, grid: sg.Grid = GRID) -> tuple[np.ndarray, np.ndarray]:
    """Bone, and the cylinder."""
    values = phantom.voxelize(grid, supersampling=1)
    return (values > 0.07).numpy(), (values > 0).numpy()


def mean_chord(bone: np.ndarray, axis: int) -> float:
    """Mean length of the marrow's chords along an axis, in voxels."""
    changes = np.count_nonzero(np.diff(bone.astype(np.int8), axis=axis) == 1)
    return np.count_nonzero(~bone) / changes


@pytest.mark.parametrize("fraction", [0.1, 0.17, 0.3])
def test_amount_and_connection(fraction: float) -> None:
    """BV/TV as asked; nearly all bone is one piece, and so is the marrow."""
    bone, inside = masks(small(bone_fraction=fraction))
    assert bone.sum() / inside.sum() == pytest.approx(fraction, abs=0.01)
    for part, least in ((bone, 0.97), (inside & ~bone, 0.97)):
        labels, _ = ndimage.label(part, np.ones((3, 3, 3)))
        assert np.bincount(labels.ravel())[1:].max() / part.sum() > least


def test_thickness() -> None:
    """The largest balls of plates have their thickness: twice the distance at the ridges of the distance map."""
    phantom = small(plates=1.0, thickness=0.25, variation=0.0, bone_fraction=0.2)
    bone, _ = masks(phantom, sg.Grid((120, 120, 120), 0.025))
    distance = ndimage.distance_transform_edt(bone)
    ridge = bone & (distance == ndimage.maximum_filter(distance, 3))
    assert 2 * np.median(distance[ridge]) * 0.025 - 0.025 == pytest.approx(0.25, rel=0.1)


def test_elongation() -> None:
    """Spaces are longer along z, and equally wide across it."""
    bone, _ = masks(small(elongation=2.5))
    bone = bone[:, 15:85, 15:85]
    z, y, x = (mean_chord(bone, axis) for axis in range(3))
    assert z > 1.5 * max(x, y)
    even, _ = masks(small())
    lengths = [mean_chord(even[:, 15:85, 15:85], axis) for axis in range(3)]
    assert max(lengths) < 1.3 * min(lengths)


def test_points_and_grids_agree() -> None:
    """The fast sums on grids and the plain ones at points say the same of all voxels but those on a surface."""
    phantom, grid = small(), sg.Grid((7, 9, 11), 0.13, (0.2, -0.1, 0.4))
    z, y, x = torch.meshgrid(*grid.axes(), indexing="ij")
    points = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
    expected = phantom.in_bone(points).reshape(grid.shape)
    drawn = phantom.voxelize(grid, supersampling=1) > 0.07
    assert (drawn != expected).sum() <= 1
    assert expected.any() and not expected.all()


def test_seeds_and_sizes() -> None:
    """The same seed gives the same object at any voxel size; voxels are means of the points in them."""
    phantom, grid = small(), sg.Grid((6, 8, 8), 0.12)
    fine = trabecular(1, diameter=5.0, height=5.0).voxelize(sg.Grid((18, 24, 24), 0.04), supersampling=1)
    means = fine.unflatten(2, (-1, 3)).unflatten(1, (-1, 3)).unflatten(0, (-1, 3)).mean((1, 3, 5))
    torch.testing.assert_close(phantom.voxelize(grid, supersampling=3), means)
    assert not torch.equal(small(2).voxelize(grid), phantom.voxelize(grid))
    flat = phantom.voxelize(sg.Grid((24, 24), 0.04), supersampling=1)
    middle = phantom.voxelize(sg.Grid((1, 24, 24), (0.04, 0.04, 0.04)), supersampling=1)[0]
    assert torch.equal(flat, middle)
    torch.testing.assert_close(phantom.scaled(2.0).voxelize(sg.Grid((6, 8, 8), 0.24)), phantom.voxelize(grid))


def integrated(phantom: Trabecular, geometry: sg.ParallelBeam, step: float = 0.008) -> Tensor:
    """Line integrals of a view by summing values at points along each pixel's centre ray."""
    source, center, u, v = geometry.vectors[0]
    direction = source / torch.linalg.vector_norm(source)
    rows, columns = geometry.detector.shape
    along = torch.arange(-2.2, 2.2, step, dtype=torch.float64)
    result = torch.zeros(rows, columns)
    for row in range(rows):
        for column in range(columns):
            pixel = center + (row - (rows - 1) / 2) * v + (column - (columns - 1) / 2) * u
            foot = pixel - (pixel @ direction) * direction
            points = foot + along[:, None] * direction
            disc = (points[:, :2].square().sum(1) <= (phantom.size[0] / 2) ** 2) & (
                points[:, 2].abs() <= phantom.size[1] / 2
            )
            values = torch.where(phantom.in_bone(points), phantom.bone, phantom.marrow) * disc
            result[row, column] = values.sum() * step
    return result


def test_projections() -> None:
    """Means over a pixel of line integrals that are summed point by point, to 2 %."""
    phantom = trabecular(3, diameter=4.0, height=3.0, bone_fraction=0.2)
    coarse = sg.FlatDetector(shape=(2, 3), spacing=0.4)
    geometry = sg.ParallelBeam(angles=[0.3], detector=coarse)
    fine = sg.ParallelBeam(angles=[0.3], detector=sg.FlatDetector(shape=(8, 12), spacing=0.1))
    expected = integrated(phantom, fine).unflatten(1, (3, 4)).unflatten(0, (2, 4)).mean((1, 3))
    projected = phantom.project(geometry, voxel=0.04, rays=4)
    assert projected.shape == (1, 2, 3)
    torch.testing.assert_close(projected[0], expected, rtol=0.02, atol=0.0)


def test_projections_of_slabs_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cone beams cross the borders of slabs."""
    from sinograd.phantoms import fine_projection

    phantom = small(bone_fraction=0.2)
    geometry = sg.ConeBeam.circular(
        source_to_origin=20, source_to_detector=30, angles=sg.full_scan(3), detector=sg.FlatDetector((24, 24), 0.4)
    )
    whole = phantom.project(geometry, voxel=0.1, rays=1)
    monkeypatch.setattr(fine_projection, "_SLAB_VOXELS", 7 * 50 * 50)
    torch.testing.assert_close(phantom.project(geometry, voxel=0.1, rays=1), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bone_fraction": 0.9}, "bone_fraction: expected a number from 0.02 to 0.5, got 0.9"),
        ({"thickness": 0.0}, "thickness"),
        ({"thickness": -1.0}, "thickness: expected a positive number"),
        ({"plates": 0.2}, "plates: expected a number from 0.5 to 1"),
        ({"variation": math.nan}, "variation"),
        ({"diameter": math.inf}, "diameter: expected a positive number"),
        ({"bone": math.nan}, "bone: expected an attenuation"),
    ],
)
def test_bad_numbers(options: dict[str, float], words: str) -> None:
    """One error that names the argument."""
    with pytest.raises(InputError, match=words):
        small(**options)


def test_bad_rays() -> None:
    """Of a projection."""
    geometry = sg.ParallelBeam(angles=[0.0], detector=sg.FlatDetector((2, 2), 1.0))
    with pytest.raises(InputError, match="rays: expected at least 1, got 0"):
        small().project(geometry, rays=0)
    with pytest.raises(InputError, match="voxel: expected a positive number of mm"):
        small().project(geometry, voxel=0.0)
