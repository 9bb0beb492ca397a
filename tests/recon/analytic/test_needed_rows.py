"""Rows that a grid needs. Truth: the reconstruction from all rows; a voxel's row by hand."""

from __future__ import annotations

import pytest
import torch

import sinograd as sg
from sinograd.geometry import detector_region
from sinograd.recon.analytic.needed_rows import needed_rows

ORBIT = {"source_to_origin": 100.0, "source_to_detector": 150.0, "angles": sg.full_scan(16)}
FLAT = sg.FlatDetector((40, 24), 3.0)
SCANS: dict[str, sg.Geometry] = {
    "cone": sg.ConeBeam.circular(**ORBIT, detector=FLAT),
    "cone, shifted": sg.ConeBeam.circular(
        **ORBIT, detector=sg.FlatDetector((40, 24), 3.0, (5.0, 1.0)), source_offset=(4.0, 0.0), yaw=0.05
    ),
    "cone, curved": sg.ConeBeam.circular(**ORBIT, detector=sg.CurvedDetector((40, 24), 3.0)),
    "short scan": sg.ConeBeam.short_scan(source_to_origin=100.0, source_to_detector=150.0, views=16, detector=FLAT),
    "parallel": sg.ParallelBeam(sg.full_scan(16), sg.FlatDetector((40, 24), 2.0)),
    "tilted": sg.ConeBeam.circular(**ORBIT, detector=FLAT, tilt=0.03, in_plane_rotation=0.04),
}
GRID = sg.Grid((3, 12, 14), 2.0, (3.0, -4.0, 15.0))


def run(projections: torch.Tensor, geometry: sg.Geometry) -> torch.Tensor:
    function = sg.fdk if isinstance(geometry, sg.ConeBeam) else sg.fbp
    return function(projections, geometry, GRID)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SCANS)
@pytest.mark.filterwarnings("ignore::sinograd.recon.CoverageWarning")
def test_the_other_rows_do_not_matter(name: str) -> None:
    """Neither when they are left away nor when they hold anything; and one row less does matter."""
    geometry = SCANS[name]
    projections = torch.randn(geometry.projection_shape, dtype=torch.float64)
    first, end = needed_rows(geometry, GRID)
    assert 0 < first < end < 40 and end - first < 25
    expected = run(projections, geometry)
    other = projections.clone()
    other[:, :first], other[:, end:] = 1e3, -1e3
    torch.testing.assert_close(run(other, geometry), expected, rtol=0, atol=1e-12)
    for row in (first, end - 1):
        other = projections.clone()
        other[:, row] += 1e3
        assert (run(other, geometry) - expected).abs().max() > 1e-3
    if name != "tilted":  # resampled from another middle
        part = run(projections[:, first:end], detector_region(geometry, (first, end)))
        torch.testing.assert_close(part, expected, rtol=0, atol=1e-12)


def test_the_margin_ends_with_the_detector() -> None:
    geometry = SCANS["cone"]
    first, end = needed_rows(geometry, GRID)
    assert needed_rows(geometry, GRID, 4) == (first - 4, end + 4)
    assert needed_rows(geometry, GRID, 1000) == (0, 40)
    # by hand: the mid-plane is on the middle of 40 rows
    flat = sg.Grid((1, 12, 14), 2.0)
    assert needed_rows(geometry, flat) == (19, 21)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"sees nothing of it: it would be on rows \d+ to \d+, there are rows 0 to 39"):
        needed_rows(SCANS["cone"], sg.Grid((3, 4, 4), 1.0, (0.0, 0.0, 80.0)))
    with pytest.raises(ValueError, match="margin: expected 0 or more rows, got -1"):
        needed_rows(SCANS["cone"], GRID, -1)
    fan = sg.FanBeam.circular(**ORBIT, detector=sg.FlatDetector(24, 3.0))
    assert needed_rows(fan, sg.Grid((8, 8), 1.0)) == (0, 1)
