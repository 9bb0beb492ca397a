"""Surface, connectivity and anisotropy. Truth: solids, and scikit-image's Euler numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.measure import euler_number as theirs

from morphometry_solids import plate, positions
from sinograd.errors import InputError
from sinograd.morphometry import connectivity_density, degree_of_anisotropy, euler_number, surface_area
from sinograd.morphometry import surface as surfaces

SPACINGS = [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)]


@pytest.mark.parametrize("spacing", SPACINGS)
def test_areas(spacing: tuple[float, float, float]) -> None:
    """A sphere and a rod to 3 %, plates along the axes exactly, slanted ones to 3 %."""
    z, y, x = positions(36, spacing)
    depth, side = z.shape[0] * spacing[0], y.shape[1] * spacing[1]
    assert surface_area(z**2 + y**2 + x**2 < 12.0**2, spacing) == pytest.approx(4 * math.pi * 144, rel=0.03)
    assert surface_area(y**2 + x**2 < 10.0**2, spacing) == pytest.approx(20 * math.pi * depth, rel=0.03)
    assert surface_area(abs(z) < 4, spacing) == pytest.approx(2 * side * side, rel=1e-9)
    slanted = abs(0.8 * y + 0.6 * x) < 1.5
    inner = (abs(y) < 10) & (abs(x) < 10)
    length = 2 * 20 / 0.8  # of both lines 0.8 y + 0.6 x = +-1.5 within the inner square
    assert surface_area(slanted, spacing, region=inner) == pytest.approx(length * depth, rel=0.05)
    assert surface_area(np.ones((4, 4, 4), bool), spacing) == 0


def test_areas_in_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    z, y, x = positions(24, (1.0, 1.0, 1.0))
    mask = (z**2 + y**2 + x**2 < 81) | (x > 9)
    whole = surface_area(mask, 1.0)
    monkeypatch.setattr(surfaces, "_SLAB_VOXELS", 1)
    assert surface_area(mask, 1.0) == pytest.approx(whole, rel=1e-4)


def test_euler_numbers() -> None:
    """A ball 1, a torus 0, a shell 2; voxels that touch in a corner are one piece; and any others."""
    z, y, x = positions(30, (1.0, 1.0, 1.0))
    lengths = np.sqrt(z**2 + y**2 + x**2)
    assert euler_number(lengths < 10) == 1
    assert euler_number((np.hypot(y, x) - 8) ** 2 + z**2 < 9) == 0
    assert euler_number((lengths < 12) & (lengths > 7)) == 2
    corners = np.zeros((3, 3, 3), bool)
    corners[0, 0, 0] = corners[1, 1, 1] = True
    assert euler_number(corners) == 1 and euler_number(np.zeros((2, 2, 2), bool)) == 0
    for seed in range(4):
        mask = np.random.default_rng(seed).random((35, 7, 6)) < 0.1 + 0.2 * seed
        assert euler_number(mask) == theirs(mask, connectivity=3)


def test_edges() -> None:
    """A structure and its mirror image are one: the corrected numbers add up. A lattice has its own density."""
    mask = np.random.default_rng(5).random((20, 8, 9)) < 0.4
    assert euler_number(np.concatenate([mask[::-1], mask]), corrected=True) == 2 * euler_number(mask, corrected=True)
    assert euler_number(np.ones((5, 6, 7), bool), corrected=True) == 0  # space without an edge
    # Rods along three axes that meet in a node every 6 voxels: 1 - 3 a node, whatever piece is cut out.
    line = np.arange(24) % 6 == 2
    z, y, x = np.meshgrid(line, line, line, indexing="ij")
    lattice = (z & y) | (z & x) | (y & x)
    assert euler_number(lattice, corrected=True) == -2 * 4**3
    assert connectivity_density(lattice, 0.5) == pytest.approx((1 + 2 * 64) / 12**3)
    region = np.zeros_like(lattice)
    region[5:17, 5:17, 5:17] = True
    assert connectivity_density(lattice, 0.5, region=region) == pytest.approx((1 + 2 * 8) / 6**3)
    assert euler_number(lattice, region=region) == euler_number(lattice[5:17, 5:17, 5:17])


@pytest.mark.parametrize("spacing", SPACINGS)
def test_anisotropy(spacing: tuple[float, float, float]) -> None:
    """Parallel plates above 0.9, along an axis and slanted; rods above 0.9; packed spheres below 0.05."""
    z, y, x = positions(48, spacing)
    assert degree_of_anisotropy((y + 96) % 8 < 3, spacing) > 0.99
    assert degree_of_anisotropy((0.6 * z + 0.8 * x + 96) % 8 < 3, spacing) > 0.9
    assert degree_of_anisotropy((0.37 * z + 0.8 * x + 0.47 * y + 96) % 6 < 3, spacing) > 0.9
    assert degree_of_anisotropy(y**2 + x**2 < 100, spacing) > 0.9
    spheres = sum(((axis + 96) % 16 - 8) ** 2 for axis in (z, y, x)) < 6.0**2
    assert degree_of_anisotropy(spheres, spacing) < 0.05
    assert math.isnan(degree_of_anisotropy(np.zeros((4, 4, 4), bool), spacing))


def test_bad_input() -> None:
    mask = plate(0, 3, (8, 8, 8))
    for call, words in (
        (lambda: surface_area(mask, None), "spacing: missing"),
        (lambda: surface_area(mask, 1.0, region=mask[1:]), r"region \[7, 8, 8\] is on another grid than the volume"),
        (lambda: euler_number(mask[0]), r"mask: expected \[Z, Y, X\]"),
        (lambda: degree_of_anisotropy(mask * 0.5, 1.0), "mask: expected true and false, or 0 and 1"),
        (lambda: connectivity_density(mask, 0.0), "spacing must be positive"),
    ):
        with pytest.raises((InputError, TypeError), match=words):
            call()
    assert math.isnan(connectivity_density(mask, 1.0, region=np.zeros((8, 8, 8), bool)))
