"""The functions `joseph` and `joseph_adjoint`: what they say of arguments that do not fit."""

from __future__ import annotations

import pytest
import torch

from sinograd import ConeBeam, CurvedDetector, FlatDetector, XRayTransform, full_scan
from sinograd.ops import backproject, joseph, joseph_adjoint

VECTORS = ConeBeam.circular(
    source_to_origin=30, source_to_detector=50, angles=full_scan(3), detector=FlatDetector((5, 6), 1.7)
).vectors
PLACE = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
VOLUME, PROJECTIONS = torch.ones(4, 5, 6), torch.ones(3, 5, 6)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float16, torch.bfloat16], ids=str)
def test_dtypes(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match=r"volume.*float32 or float64"):
        joseph(VOLUME.to(dtype), VECTORS, True, (5, 6), *PLACE)
    with pytest.raises(TypeError, match=r"projections.*float32 or float64"):
        joseph_adjoint(PROJECTIONS.to(dtype), VECTORS, True, (4, 5, 6), *PLACE)


def test_vectors_are_float64() -> None:
    """Seven digits do not place a detector."""
    with pytest.raises(TypeError, match=r"vectors.*float64.*float32"):
        joseph(VOLUME, VECTORS.float(), True, (5, 6), *PLACE)
    with pytest.raises(TypeError, match=r"vectors.*float64.*float32"):
        joseph_adjoint(PROJECTIONS, VECTORS.float(), True, (4, 5, 6), *PLACE)


def test_projections_that_do_not_fit_the_vectors() -> None:
    with pytest.raises(ValueError, match=r"projections.*views 3 != 2"):
        joseph_adjoint(PROJECTIONS[:2], VECTORS, True, (4, 5, 6), *PLACE)


def test_a_curved_detector_in_a_parallel_beam() -> None:
    curved = ConeBeam.circular(
        source_to_origin=30, source_to_detector=50, angles=full_scan(3), detector=CurvedDetector((5, 6), 1.7)
    ).vectors
    message = r"vectors: a parallel beam has a flat detector, .* got those of a curved one"
    for path in ("auto", "axial", "general"):
        with pytest.raises(ValueError, match=message):
            joseph(VOLUME, curved, False, (5, 6), *PLACE, path)
        with pytest.raises(ValueError, match=message):
            backproject(PROJECTIONS, curved, False, (4, 5, 6), *PLACE, "none", path)


def test_path() -> None:
    with pytest.raises(ValueError, match=r"path.*auto, axial, general.*'fast'"):
        joseph(VOLUME, VECTORS, True, (5, 6), *PLACE, "fast")
    with pytest.raises(ValueError, match=r"path.*auto, axial, general.*'fast'"):
        joseph_adjoint(PROJECTIONS, VECTORS, True, (4, 5, 6), *PLACE, "fast")


def test_on_the_meta_device() -> None:
    """Shapes without data, as tracing and memory planning ask for them."""
    assert joseph(VOLUME.to("meta"), VECTORS.to("meta"), True, (5, 6), *PLACE).shape == (3, 5, 6)
    assert joseph_adjoint(PROJECTIONS.to("meta"), VECTORS.to("meta"), True, (4, 5, 6), *PLACE).shape == (4, 5, 6)


def test_vmap() -> None:
    """Loops over the batch, as torch does for every operator without a rule of its own."""
    geometry = ConeBeam.circular(
        source_to_origin=30, source_to_detector=50, angles=full_scan(3), detector=FlatDetector((5, 6), 1.7)
    )
    operator = XRayTransform(geometry, geometry.default_grid((4, 5, 6)))
    x = torch.randn(2, 4, 5, 6)
    assert torch.equal(torch.vmap(operator)(x), operator(x))
