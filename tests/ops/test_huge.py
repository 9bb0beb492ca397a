"""More than 2^31 elements: offsets beyond 32 bits, in memory that is given only where something is written."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sinograd import Backprojection, ConeBeam, FanBeam, FlatDetector, Grid, ParallelBeam, XRayTransform
from sinograd.ops import backproject, backproject_adjoint
from sinograd.ops.dispatch import Call
from sinograd.testing.operator_contract import noise

CPU = torch.device("cpu")
MANY = 2**31


def lazy_zeros(*shape: int) -> Tensor:
    """Zeros that take no memory until they are written (torch.zeros writes them)."""
    return torch.from_numpy(np.zeros(shape, np.float32))


def test_slice() -> None:
    """Rays through the last corner of a large slice, and through a slice that is no more than that corner."""
    side, corner = 46400, (4, 300)
    middle = side / 2
    geometry = FanBeam.from_vectors(
        sources=[[-3.0 * side, middle - 2]],
        centers=[[3.0 * side, middle - 2]],
        u=[[0.0, 0.9]],
        detector=FlatDetector(7, 0.9),
    )
    large = XRayTransform(geometry, Grid((side, side)))
    small = XRayTransform(geometry, Grid(corner, 1.0, (middle - corner[1] / 2, middle - corner[0] / 2)))
    image, part = lazy_zeros(side, side), noise(corner, 0, torch.float32, CPU)
    assert image.numel() > MANY
    image[-corner[0] :, -corner[1] :] = part
    projection = large(image)
    torch.testing.assert_close(projection, small(part), rtol=0, atol=1e-4)
    del image
    back = lazy_zeros(side, side)
    call = Call(geometry.vectors, True, (7,), (side, side), (1.0, 1.0), (0.0, 0.0))
    call.add("joseph_adjoint", projection, back)
    torch.testing.assert_close(back[-corner[0] :, -corner[1] :], small.T(projection), rtol=0, atol=1e-4)


def test_projections() -> None:
    """One voxel reads the last view of a long scan."""
    views, size = 8200, 512
    projections = lazy_zeros(views, size, size)
    assert projections.numel() > MANY
    last = projections[-1, size // 2 - 1 : size // 2 + 1, size // 2 - 1 : size // 2 + 1]
    last.copy_(noise((2, 2), 0, torch.float32, CPU))
    geometry = ParallelBeam(torch.zeros(views, dtype=torch.float64), FlatDetector((size, size), 0.01))
    voxel = Backprojection(geometry, Grid((1, 1, 1), 0.01), "none")(projections)
    assert voxel.item() == pytest.approx(last.mean().item(), rel=1e-6)


def test_too_large_a_detector() -> None:
    """Some kernels' offsets within one view have 32 bits: said before anything is allocated."""
    geometry = ConeBeam.circular(
        source_to_origin=1000,
        source_to_detector=1500,
        angles=[0.1],
        detector=FlatDetector((46400, 46400), 0.01),
    )
    where = geometry.vectors, True
    place = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match=r"geometry.*2\^31 pixels.*46400"):
        backproject_adjoint(torch.zeros(1, 1, 1), *where, (46400, 46400), *place)
    with pytest.raises(ValueError, match=r"geometry.*2\^31 pixels.*46400"):
        backproject(torch.zeros(1).expand(1, 46400, 46400), *where, (1, 1, 1), *place)
