"""The functions `backproject`, `backproject_adjoint` and, for blocks of views, `add_backprojection`."""

from __future__ import annotations

import pytest
import torch

from sinograd import Backprojection, ConeBeam, FlatDetector, Grid, full_scan
from sinograd.ops import add_backprojection, backproject, backproject_adjoint
from sinograd.testing.operator_contract import distance

GEOMETRY = ConeBeam.circular(
    source_to_origin=30, source_to_detector=50, angles=full_scan(7), detector=FlatDetector((5, 6), 1.7)
)
GRID = Grid((4, 5, 6))
VECTORS = GEOMETRY.vectors
PLACE = GRID.spacing, GRID.center
VOLUME, PROJECTIONS = torch.ones(4, 5, 6), torch.ones(7, 5, 6)


@pytest.mark.parametrize("block", [1, 2, 3, 7])
@pytest.mark.parametrize("weighting", ["none", "fan", "fdk", "ratio"])
def test_blocks_of_views_add_up(weighting: str, block: int) -> None:
    projections = torch.randn(2, 7, 5, 6, dtype=torch.float64)
    volume = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    expected = volume + Backprojection(GEOMETRY, GRID, weighting)(projections)
    for start in range(0, 7, block):
        part = slice(start, start + block)
        add_backprojection(volume, projections[:, part], VECTORS[part], True, *PLACE, weighting)
    assert distance(volume, expected) <= 1e-14


def test_blocks_of_views_with_rows_that_run_down() -> None:
    """Such views are turned over inside, and are still only added."""
    geometry = ConeBeam.circular(
        source_to_origin=30,
        source_to_detector=50,
        angles=full_scan(7),
        detector=FlatDetector((5, 6), 1.7),
        in_plane_rotation=torch.pi,
    )
    projections, volume = torch.randn(7, 5, 6), torch.randn(4, 5, 6)
    expected = volume + Backprojection(geometry, GRID)(projections)
    add_backprojection(volume, projections, geometry.vectors, True, *PLACE)
    assert distance(volume, expected) <= 1e-6


def test_target_that_is_not_contiguous() -> None:
    """Nothing could be added in place to a copy."""
    with pytest.raises(ValueError, match=r"volume.*contiguous"):
        add_backprojection(torch.zeros(6, 5, 4).permute(2, 1, 0), PROJECTIONS, VECTORS, True, *PLACE)


def test_target_of_another_dtype() -> None:
    with pytest.raises(TypeError, match=r"volume.*float32.*float64|projections.*float64.*float32"):
        add_backprojection(VOLUME.clone(), PROJECTIONS.double(), VECTORS, True, *PLACE)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float16, torch.bfloat16], ids=str)
def test_dtypes(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match=r"projections.*float32 or float64"):
        backproject(PROJECTIONS.to(dtype), VECTORS, True, GRID.shape, *PLACE)
    with pytest.raises(TypeError, match=r"volume.*float32 or float64"):
        backproject_adjoint(VOLUME.to(dtype), VECTORS, True, (5, 6), *PLACE)


def test_vectors_are_float64() -> None:
    """Seven digits do not place a detector."""
    with pytest.raises(TypeError, match=r"vectors.*float64.*float32"):
        backproject(PROJECTIONS, VECTORS.float(), True, GRID.shape, *PLACE)
    with pytest.raises(TypeError, match=r"vectors.*float64.*float32"):
        backproject_adjoint(VOLUME, VECTORS.float(), True, (5, 6), *PLACE)


def test_projections_that_do_not_fit_the_vectors() -> None:
    with pytest.raises(ValueError, match=r"projections.*views 7 != 3"):
        backproject(PROJECTIONS[:3], VECTORS, True, GRID.shape, *PLACE)


def test_weighting_and_path() -> None:
    for name, choice in (("weighting", ("hann",)), ("path", ("none", "fast"))):
        with pytest.raises(ValueError, match=f"{name}.*{choice[-1]}"):
            backproject(PROJECTIONS, VECTORS, True, GRID.shape, *PLACE, *choice)
        with pytest.raises(ValueError, match=f"{name}.*{choice[-1]}"):
            backproject_adjoint(VOLUME, VECTORS, True, (5, 6), *PLACE, *choice)


def test_on_the_meta_device() -> None:
    """Shapes without data, as tracing and memory planning ask for them."""
    vectors = VECTORS.to("meta")
    assert backproject(PROJECTIONS.to("meta"), vectors, True, GRID.shape, *PLACE).shape == (4, 5, 6)
    assert backproject_adjoint(VOLUME.to("meta"), vectors, True, (5, 6), *PLACE).shape == (7, 5, 6)
