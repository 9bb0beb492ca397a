"""Local thickness. Truth: plates, rods and spheres; every sphere tried at every voxel of small structures."""

from __future__ import annotations

import importlib
import itertools
import math

import numpy as np
import pytest
import torch

from morphometry_solids import plate, positions
from sinograd.errors import InputError
from sinograd.morphometry import thickness

SPACINGS = [(1.0, 1.0, 1.0), (0.34, 0.172, 0.172), (0.5, 2.0, 1.0)]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("voxels", [1, 2, 3, 7, 8])
def test_plates(spacing: tuple[float, float, float], voxels: int) -> None:
    """Of n voxels, odd or even, across any axis: n voxels thick everywhere, to the very border of the volume."""
    for axis in range(3):
        mask = plate(axis, voxels, (16, 17, 18))
        found = thickness(mask, spacing).numpy()
        assert np.array_equal(np.isnan(found), ~mask)
        np.testing.assert_allclose(found[mask], voxels * spacing[axis], rtol=1e-6)


def test_what_the_volume_cuts_does_not_end_there() -> None:
    """Half of a plate of 8, cut in its middle: 8. Any part cut out of a plate and a rod along the cut: as before."""
    whole = plate(0, 8, (24, 12, 12))
    np.testing.assert_allclose(thickness(whole[12:], 1.0).numpy()[:4], 8, rtol=1e-6)
    np.testing.assert_allclose(thickness(whole[:, :5, 3:9], 1.0).numpy()[8:16], 8, rtol=1e-6)
    rod = np.zeros((30, 11, 11), bool)
    rod[:, 3:8, 3:8] = True
    found = thickness(rod, 1.0).numpy()
    np.testing.assert_allclose(found[:, 5, 5], 5, rtol=1e-6)
    np.testing.assert_array_equal(found[10:13], thickness(rod[10:13], 1.0).numpy())


@pytest.mark.parametrize("spacing", SPACINGS[:2])
def test_rods_and_spheres(spacing: tuple[float, float, float]) -> None:
    """Their diameter, but for what the steps of the voxels take: at most 1.5 sides of the longest voxel."""
    z, y, x = positions(28 * max(spacing), spacing)
    diameter = 16 * max(spacing)
    for squares in (y**2 + x**2, z**2 + y**2 + x**2):
        found = thickness(squares < diameter**2 / 4, spacing).numpy()
        assert diameter - 1.5 * max(spacing) < np.nanmax(found) < diameter + 0.5 * max(spacing)


def direct(mask: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """The definition: all points half a voxel apart as centres, each as far from the surface as it is.

    The surface is where the mask, interpolated between voxel centres, is at most one half.
    """
    padded = np.pad(mask, 1, mode="edge").astype(float)
    points = list(itertools.product(*(range(2 * n + 1) for n in mask.shape)))
    where = np.array(points) / 2 * spacing
    inside = np.empty(len(points))
    for i, point in enumerate(points):
        # Fine point k lies at voxel (k - 1) / 2 of the mask, (k + 1) / 2 of the padded one.
        low, high = ([(k + 1 + up) // 2 for k in point] for up in (0, 1))
        corners = itertools.product(*zip(low, high, strict=True))
        inside[i] = np.mean([padded[corner] for corner in corners])
    outside = where[inside <= 0.5]
    centres = where[inside > 0.5]
    radii = np.sqrt(((centres[:, None] - outside) ** 2).sum(-1)).min(1)
    result = np.full(mask.shape, np.nan)
    for voxel in zip(*np.nonzero(mask), strict=True):
        lengths = np.sqrt((((np.array(voxel) + 0.5) * spacing - centres) ** 2).sum(1))
        result[voxel] = 2 * radii[lengths < radii * (1 - 1e-6)].max()
    return result


@pytest.mark.parametrize(("side", "dense"), [(56, 35.0), (3, 35.0), (56, 0.0)])
def test_every_sphere_that_fits(side: int, dense: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random structures, in one tile and in many, painted and filled: what the definition gives, voxel by voxel."""
    module = importlib.import_module("sinograd.morphometry.thickness")
    monkeypatch.setattr(module, "_SIDE", side)
    monkeypatch.setattr(module, "_DENSE", dense)
    drawn = np.random.default_rng(4)
    for spacing, share in zip(SPACINGS, (0.6, 0.85, 0.95), strict=True):
        mask = drawn.random((7, 8, 9)) < share
        np.testing.assert_allclose(thickness(mask, spacing).numpy(), direct(mask, spacing), rtol=1e-5)


def test_the_largest_that_is_looked_for() -> None:
    mask = plate(1, 9, (6, 40, 6))
    capped = thickness(~mask, 1.0, largest=6.0).numpy()
    np.testing.assert_allclose(capped[~mask], 6, rtol=1e-6)
    np.testing.assert_allclose(thickness(np.ones((3, 4, 5), bool), 1.0, largest=2.0).numpy(), 2)
    np.testing.assert_allclose(thickness(mask, 1.0, largest=30.0).numpy()[mask], 9, rtol=1e-6)


def test_masks_and_bad_input() -> None:
    mask = plate(0, 3, (8, 8, 8))
    expected = thickness(mask, 1.0)
    for other in (torch.from_numpy(mask), mask.astype(np.uint8), mask.astype(np.float32)):
        assert torch.equal(torch.nan_to_num(thickness(other, (1, 1, 1))), torch.nan_to_num(expected))
    assert bool(torch.isnan(thickness(np.zeros((3, 3, 3), bool), 1.0)).all())
    seen: list[tuple[int, int]] = []
    thickness(mask, 1.0, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 1)]
    for arguments, words in (
        ((np.ones((3, 3, 3), bool), 1.0), "mask: expected some voxels outside, all are inside: there is no surface"),
        ((mask, None), "spacing: missing"),
        ((mask, math.nan), "spacing must be finite"),
        ((mask[0], 1.0), r"mask: expected \[Z, Y, X\] with some elements, got shape \[8, 8\]"),
        ((mask * 2, 1.0), "mask: expected true and false, or 0 and 1, got 192 other values"),
        (([1, 0], 1.0), "mask: expected a tensor, an array or a Volume, got list"),
    ):
        with pytest.raises((InputError, TypeError), match=words):
            thickness(*arguments)  # pyright: ignore
