"""Slices on a grid of their own have the bits that they have in a whole volume."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import sinograd as sg
from sinograd.ops.projection_tables import WHOLE, Portion

DETECTOR = sg.FlatDetector((26, 30), (1.0, 1.1))
PLACES = {"source_to_origin": 200.0, "source_to_detector": 300.0, "detector": DETECTOR}
SCANS: dict[str, sg.Geometry] = {
    "cone": sg.ConeBeam.circular(angles=sg.full_scan(40), **PLACES),
    "tilted": sg.ConeBeam.circular(angles=sg.full_scan(40), tilt=0.03, **PLACES),
    "short": sg.ConeBeam.circular(
        angles=torch.arange(50) * 0.09,
        source_to_origin=200.0,
        source_to_detector=300.0,
        detector=sg.CurvedDetector((26, 30), (1.0, 1.1)),
    ),
    "parallel": sg.ParallelBeam(torch.arange(40) * torch.pi / 40, DETECTOR),
}


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("slices", "spacing", "middle"), [(16, 0.9, 0.0), (15, 0.7, 1.3), (16, 0.37, -2.234567)])
def test_bits(scan: str, dtype: torch.dtype, slices: int, spacing: float, middle: float) -> None:
    geometry = SCANS[scan]
    projections = torch.rand(geometry.projection_shape, generator=torch.Generator().manual_seed(1), dtype=dtype)

    def volume(first: int, end: int) -> torch.Tensor:
        z = middle + ((first + end) / 2 - slices / 2) * spacing
        reconstruct: Callable[..., torch.Tensor] = sg.fdk if geometry.divergent else sg.fbp
        return reconstruct(projections, geometry, sg.Grid((end - first, 12, 13), (spacing, 1.5, 1.5), (0.3, 0.0, z)))

    whole = volume(0, slices)
    assert whole.abs().max() > 0
    for first, end in ((0, 5), (4, 5), (5, 12), (11, slices)):
        assert torch.equal(whole[first:end], volume(first, end)), (first, end)


@pytest.mark.parametrize(
    ("count", "center", "part", "middle", "expected"),
    [
        (5, 0.0, WHOLE, 0.0, (0, 5)),
        (4, 0.0, WHOLE, 0.5, (0, 5)),  # slices at -1.5, -0.5, 0.5 and 1.5 of the spacing
        (3, 10.0, WHOLE, 0.0, (20, 23)),  # at 9 to 11
        (3, -10.25, WHOLE, -0.25, (0, 23)),
        (2, 0.0, Portion(2, 4), 0.5, (1, 3)),
        (4, 0.5 + 1e-12, WHOLE, 0.0, (1, 5)),
    ],
)
def test_anchor(count: int, center: float, part: Portion, middle: float, expected: tuple[int, int]) -> None:
    at, found = part.anchored(count, 2.0, 2 * center, torch.float32)
    assert (at, (found.first_slice, found.slices)) == (2 * middle, expected)
    at_first = at / 2 + found.first_slice - (found.slices - 1) / 2
    whole = part.slices or count
    assert at_first == pytest.approx(center + part.first_slice - (whole - 1) / 2, abs=1e-9)
