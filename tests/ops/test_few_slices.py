"""Stacks of few slices of scans with upright detectors, whose vectors run along x, have the bits of tall ones.

Truth: the same slices of a tall stack, whose vectors run along z and which is held against the textbook elsewhere.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sinograd import ConeBeam, CurvedDetector, FlatDetector, Geometry, Grid, ParallelBeam, full_scan
from sinograd.ops.backprojection import add_backprojection
from sinograd.ops.native import native
from sinograd.ops.projection_tables import Portion
from sinograd.testing.operator_contract import noise

SETS = native().instruction_sets()
TALL = 25  # slices of which vectors run along z, however few


@st.composite
def scans(draw: Any) -> tuple[Geometry, Grid]:
    """Steps along z below, about and above one and two rows; voxels beside and beyond the detector."""
    shape, offset = (
        (draw(st.integers(1, 30)), draw(st.integers(1, 40))),
        (draw(st.floats(-6, 6)), draw(st.floats(-6, 6))),
    )
    spacing = (draw(st.floats(0.3, 3.0)), draw(st.floats(0.3, 3.0)))
    grid = Grid(
        (draw(st.integers(TALL, TALL + 20)), draw(st.integers(1, 6)), draw(st.integers(1, 40))),
        (draw(st.floats(0.05, 5.0)), draw(st.floats(0.1, 3.0)), draw(st.floats(0.1, 1.5))),
        (draw(st.floats(-9, 9)), draw(st.floats(-9, 9)), draw(st.floats(-9, 9))),
    )
    angles = draw(st.lists(st.floats(-4, 4), min_size=1, max_size=30))
    kind = draw(st.sampled_from(("parallel", "flat", "curved")))
    if kind == "parallel":
        return ParallelBeam(angles, FlatDetector(shape, spacing, offset)), grid
    detector = FlatDetector(shape, spacing, offset) if kind == "flat" else CurvedDetector(shape, spacing, offset=offset)
    distances = {"source_to_origin": draw(st.floats(110, 400)), "source_to_detector": 500.0}
    return ConeBeam.circular(angles=angles, detector=detector, **distances), grid


def slices_of(
    geometry: Geometry, grid: Grid, weighting: str, name: str, span: slice
) -> tuple[torch.Tensor, torch.Tensor]:
    """These slices, from a call for them alone and from one for all; added to a volume that is not zero."""
    cpu = torch.device("cpu")
    y, x = noise(geometry.projection_shape, 5, torch.float32, cpu), noise(grid.shape, 6, torch.float32, cpu)
    alone, whole = x[span].clone(), x.clone()
    place = (geometry.vectors, geometry.divergent, grid.spacing, grid.center, weighting, "axial")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SINOGRAD_SIMD", name)
        add_backprojection(whole, y, *place)
        add_backprojection(alone, y, *place, part=Portion(span.start, grid.shape[0]))
    return alone, whole[span]


@settings(max_examples=200)
@given(
    scan=scans(),
    weighting=st.sampled_from(("none", "fdk", "ratio")),
    name=st.sampled_from(SETS),
    first=st.integers(0, TALL - 1),
    count=st.integers(1, 21),
)
def test_bits_of_a_tall_stack(scan: tuple[Geometry, Grid], weighting: str, name: str, first: int, count: int) -> None:
    geometry, grid = scan
    span = slice(first, min(first + count, grid.shape[0]))
    alone, whole = slices_of(geometry, grid, weighting if geometry.divergent else "none", name, span)
    assert torch.equal(alone, whole)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("spacing", [0.4, 1.0, 2.7])
def test_bits_at_any_number_of_threads(name: str, spacing: float) -> None:
    detector = FlatDetector((40, 64), (1.5, 1.5))
    geometry = ConeBeam.circular(angles=full_scan(50), detector=detector, source_to_origin=400, source_to_detector=600)
    grid = Grid((40, 19, 50), (spacing, 1.0, 0.9))
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            alone, whole = slices_of(geometry, grid, "fdk", name, slice(13, 20))
            assert torch.equal(alone, whole) and float(whole.abs().max()) > 1
    finally:
        torch.set_num_threads(threads)
