from __future__ import annotations

import math

import pytest
import torch

from sinograd.geometry import FlatDetector, Grid, ParallelBeam
from sinograd.phantoms import shepp_logan_2d, shepp_logan_3d


def test_values_of_the_modified_phantom() -> None:
    """Toft's contrast: outside 0, skull 1, brain 0.2, ventricles 0, and 0.3 in the tumours."""
    image = shepp_logan_2d(100.0).voxelize(Grid((201, 201)), supersampling=1)
    at = {(x, y): round(image[y + 100, x + 100].item(), 6) for x, y in [(0, 95), (0, 90), (0, 0), (22, 0), (0, 35)]}
    assert at == {(0, 95): 0.0, (0, 90): 1.0, (0, 0): 0.2, (22, 0): 0.0, (0, 35): 0.3}


def test_middle_slice_in_three_dimensions_is_the_phantom_in_two() -> None:
    """The first four ellipses are the cut at z = 0; the solid phantom lowers the fifth."""
    flat, solid = shepp_logan_2d(50.0)[:4], shepp_logan_3d(50.0)[:4]
    grid = Grid((64, 64), 2.0)
    assert torch.equal(flat.voxelize(grid), solid.voxelize(grid))


def test_line_integral_along_the_y_axis() -> None:
    """By hand: the ray meets skull and brain on their axes, one ellipsoid off-centre in z and one detail."""
    ray = ParallelBeam([0.0], FlatDetector((1, 1), 1.0))
    expected = 2 * (0.92 - 0.8 * 0.874 + 0.1 * 0.25 * math.sqrt(1 - (0.15 / 0.41) ** 2) + 0.1 * 0.023)
    assert shepp_logan_3d(80.0, 0.02).project(ray).item() == pytest.approx(80 * 0.02 * expected, rel=1e-6)


def test_original_contrast() -> None:
    """Shepp and Logan 1974: skull 2, brain 1.02, ventricles 1."""
    flat = shepp_logan_2d(100.0, variant="original").voxelize(Grid((201, 201)), supersampling=1)
    assert flat[190, 100].item() == pytest.approx(2.0)
    assert flat[100, 100].item() == pytest.approx(1.02)
    assert flat[100, 122].item() == pytest.approx(1.0)


def test_kak_slaney_and_its_mirror_image_rtk() -> None:
    """RTK's y axis is our z and its z axis our -y, so its copy of the book's table is mirrored in y."""
    grid = Grid((16, 64, 64), (12.0, 4.0, 4.0))
    book = shepp_logan_3d(116.0, variant="kak-slaney").voxelize(grid)
    rtk = shepp_logan_3d(116.0, variant="rtk").voxelize(grid)
    assert torch.allclose(rtk, book.flip(1), atol=1e-6)
    assert not torch.allclose(rtk, book)
    assert book.max().item() == pytest.approx(2.0)


def test_radius_and_value_scale() -> None:
    grid, large = Grid((16, 16, 16), 0.12), Grid((16, 16, 16), 12.0)
    assert torch.allclose(shepp_logan_3d(100.0, 0.02).voxelize(large), 0.02 * shepp_logan_3d().voxelize(grid))


def test_unknown_variants() -> None:
    with pytest.raises(ValueError, match='variant must be "modified", "kak-slaney" or "rtk"'):
        shepp_logan_3d(variant="toft")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match='variant must be "modified" or "original"'):
        shepp_logan_2d(variant="toft")  # pyright: ignore[reportArgumentType]
