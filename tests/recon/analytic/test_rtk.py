"""RTK's own test of its FDK (test/rtkfdktest.cxx), by RTK's own rule (test/rtkTest.h, CheckImageQuality).

Source to axis 600 mm, to detector 1200 mm, 180 views, 128^2 pixels of 4 mm, 128^3 voxels of 2 mm, the Shepp-Logan
phantom of Kak & Slaney at scale 116 sampled at voxel centres. The reconstruction is set to zero outside the field of
view (rtkFieldOfViewImageFilter) and compared over the whole volume: mean absolute error below 0.03, and PSNR with
reference 2 above 26 dB. RTK's x, y, z axes are our x, z, -y, so that its offsets (x, y) = (20, 15) are (row, column)
= (15, 20) here: the source offset moves the source parallel to the detector, the projection offset the detector.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.phantoms import shepp_logan_3d

GRID = sg.Grid((128, 128, 128), 2.0)
OFFSET = (15.0, 20.0)


@pytest.mark.parametrize(
    ("source", "detector"),
    [(OFFSET, (0.0, 0.0)), ((0.0, 0.0), OFFSET), (OFFSET, OFFSET)],
    ids=["source", "detector", "both"],
)
def test_rtk_fdk(source: tuple[float, float], detector: tuple[float, float]) -> None:
    geometry = sg.ConeBeam.circular(
        source_to_origin=600,
        source_to_detector=1200,
        angles=sg.full_scan(180),
        detector=sg.FlatDetector((128, 128), 4.0, offset=detector),
        source_offset=source,
    )
    phantom = shepp_logan_3d(116, variant="rtk")
    reconstruction = sg.fdk(phantom.project(geometry), geometry, GRID)
    seen = field_of_view(source, detector)
    assert 0.45 < seen.double().mean() < 0.65

    centres = phantom.voxelize(GRID, supersampling=1)
    error = (torch.where(seen, reconstruction, 0.0) - centres).double()
    assert error.abs().mean() < 0.03
    assert psnr(error) > 26

    # over the seen voxels alone, half of the volume, and against their means
    error = (reconstruction - phantom.voxelize(GRID, supersampling=4))[seen].double()
    assert error.abs().mean() < 0.031
    assert psnr(error) > 30


def psnr(error: Tensor) -> float:
    return 20 * math.log10(2) - 10 * error.square().mean().log10().item()


def field_of_view(source: tuple[float, float], detector: tuple[float, float]) -> Tensor:
    """The voxels whose image lies on the detector in every view.

    About the axis the scan has no preferred direction, so that they fill a cylinder out to the nearer edge ray, cut
    by the cones that the lowest and the highest row sweep.
    """
    edges = [detector[1] - 256, detector[1] + 256]
    # the ray from (source, -600) to (edge, 600) passes the axis at this distance
    radius = min(600 * abs(e + source[1]) / math.hypot(1200, e - source[1]) for e in edges)
    z, y, x = torch.meshgrid(*GRID.axes(), indexing="ij")
    distance = torch.hypot(x, y)
    # nearest to the source, where the magnification is largest, and farthest from it, where it is smallest
    heights = [source[0] + (z - source[0]) * 1200 / depth for depth in (600 - distance, 600 + distance)]
    inside = [(height - detector[0]).abs() <= 256 for height in heights]
    return (distance <= radius) & inside[0] & inside[1]
