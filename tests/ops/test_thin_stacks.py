"""Single slices and stacks of few in float32 by the general kernels, whose vectors run along x or y there.

Truth: the float64 kernels, which take voxel by voxel and are held against the textbook elsewhere.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sinograd import ConeBeam, FlatDetector, Geometry, Grid, ParallelBeam, full_scan
from sinograd.ops import backproject, backproject_adjoint
from sinograd.ops.native import native
from sinograd.testing.operator_contract import noise

SETS = native().instruction_sets()
CPU = torch.device("cpu")


@st.composite
def scans(draw: Any) -> tuple[Geometry, Grid]:
    detector = FlatDetector(
        (draw(st.integers(1, 40)), draw(st.integers(1, 70))),
        (draw(st.floats(0.2, 4.0)), draw(st.floats(0.2, 4.0))),
        (draw(st.floats(-6, 6)), draw(st.floats(-6, 6))),
    )
    turns = {"tilt": draw(st.floats(-0.6, 0.6)), "in_plane_rotation": draw(st.floats(-3.2, 3.2))}
    angles = draw(st.lists(st.floats(-4, 4), min_size=1, max_size=5))
    grid = Grid(
        (draw(st.integers(1, 20)), draw(st.integers(1, 90)), draw(st.integers(1, 90))),
        tuple(draw(st.floats(0.1, 1.0)) for _ in range(3)),
        tuple(draw(st.floats(-9, 9)) for _ in range(3)),
    )
    if draw(st.booleans()):
        return ParallelBeam(angles, detector, **turns), grid
    distances = {"source_to_origin": draw(st.floats(110, 400)), "source_to_detector": 500.0}
    return ConeBeam.circular(angles=angles, detector=detector, **distances, **turns), grid


def both_ways(geometry: Geometry, grid: Grid, weighting: str, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    beam, place = (geometry.vectors, geometry.divergent), (grid.spacing, grid.center)
    y, x = (noise(shape, 3, torch.float32, CPU).to(dtype) for shape in (geometry.projection_shape, grid.shape))
    volume = backproject(y, *beam, grid.shape, *place, weighting, "general")
    return volume, backproject_adjoint(x, *beam, geometry.detector.shape, *place, weighting, "general")


@settings(max_examples=150)
@given(scan=scans(), weighting=st.sampled_from(("none", "fan", "fdk", "ratio")), name=st.sampled_from(SETS))
def test_they_agree_with_float64(scan: tuple[Geometry, Grid], weighting: str, name: str) -> None:
    geometry, grid = scan
    weighting = weighting if geometry.divergent else "none"
    exact = both_ways(geometry, grid, weighting, torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SINOGRAD_SIMD", name)
        found = both_ways(geometry, grid, weighting, torch.float32)
    beam, place = (geometry.vectors, geometry.divergent), (grid.spacing, grid.center)
    y, x = (noise(shape, 3, torch.float32, CPU).double() for shape in (geometry.projection_shape, grid.shape))
    sums = backproject(y.abs(), *beam, grid.shape, *place, weighting, "general")
    # weights of float32 are rounded to 2^-24: at the detector's edge, where all are small, that counts
    assert (found[0] - exact[0]).abs().max() <= 2e-6 * sums.max() + 2**-23 * y.abs().max()
    # <A y, x> = <y, A.T x>
    forward, backward = (found[0].double() * x).sum(), (y * found[1].double()).sum()
    assert (forward - backward).abs() <= 1e-6 * (sums * x.abs()).sum() + 1e-30


@pytest.mark.parametrize(
    "shape", [(1, 70, 530), (3, 530, 70), (1, 5, 40), (1, 40, 5), (1, 1, 33), (1, 33, 1), (1, 1, 1)]
)
@pytest.mark.parametrize("tilt", [0.0, 0.1])
def test_bits(shape: tuple[int, int, int], tilt: float) -> None:
    """At any number of threads; and AVX2 and AVX-512 differ by rounding. Lines of more voxels than a block has."""
    detector = FlatDetector((12, 60), (1.5, 1.5))
    places = {"source_to_origin": 400, "source_to_detector": 600, "tilt": tilt}
    geometry = ConeBeam.circular(angles=full_scan(29), detector=detector, **places)
    grid = Grid(shape, (0.7, 0.2, 0.2), (0.4, 2.0, 3.0))
    threads, found = torch.get_num_threads(), {}
    try:
        for name in SETS:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("SINOGRAD_SIMD", name)
                for count in (1, 2, 5):
                    torch.set_num_threads(count)
                    volume = both_ways(geometry, grid, "fdk", torch.float32)[0]
                    assert torch.equal(found.setdefault(name, volume), volume)
    finally:
        torch.set_num_threads(threads)
    scale = float(found[SETS[0]].abs().max())
    assert scale > 0
    for volume in found.values():
        torch.testing.assert_close(volume, found[SETS[0]], rtol=0, atol=2e-6 * scale)


@pytest.mark.parametrize("height", [0.0, 95.0])
@pytest.mark.parametrize("name", SETS)
def test_places_on_wide_detectors(name: str, height: float) -> None:
    """Places are as exact far from the first column as near it, whatever number of rows neighbouring voxels meet."""
    places = {"source_to_origin": 200, "source_to_detector": 300}
    geometry = ConeBeam.circular(angles=[0.1, 0.9], detector=FlatDetector((1200, 3000), (0.25, 0.1)), **places)
    grid = Grid((1, 24, 600), (0.1, 0.1, 0.1), (3.0, 5.0, height))
    y = noise(geometry.projection_shape, 3, torch.float32, CPU)
    call = (geometry.vectors, geometry.divergent, grid.shape, grid.spacing, grid.center, "fdk", "general")
    exact = backproject(y.double(), *call)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SINOGRAD_SIMD", name)
        found = backproject(y, *call)
    assert float((exact != 0).double().mean()) > 0.5
    assert (found - exact).norm() <= 8e-7 * exact.norm()  # float32 places would be off by 1e-4


def test_slices_are_those_of_a_tall_volume() -> None:
    """Where vectors run along z."""
    detector = FlatDetector((60, 50), (1.0, 1.0))
    geometry = ConeBeam.circular(
        angles=full_scan(40), detector=detector, source_to_origin=100, source_to_detector=160, tilt=math.radians(3)
    )
    beam, y = (geometry.vectors, geometry.divergent), noise(geometry.projection_shape, 4, torch.float32, CPU)
    tall = Grid((130, 30, 40), (0.25, 0.7, 0.8), (0.1, -0.4, 0.3))
    whole = backproject(y, *beam, tall.shape, tall.spacing, tall.center, "fdk", "general")
    for index in (0, 60, 129):
        center = (*tall.center[:2], float(tall.axes()[0][index]))
        alone = backproject(y, *beam, (1, 30, 40), tall.spacing, center, "fdk", "general")
        torch.testing.assert_close(alone[0], whole[index], rtol=0, atol=2e-6 * float(whole.abs().max()))
