"""A real fan-beam scan with gaps: the disc of the Helsinki Tomography Challenge 2022, 70 mm across.

The file joins limited-angle wedges, 549 views over 27 to 334 degrees; 19 and 15 degrees are missing in between. What
is missing between 165 and 184 degrees is missing from the other side, too. Truth: the disc is round, of one material,
lies where its shadow's edges say, and its holes and its surroundings are empty.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

import sinograd as sg
from sinograd.data import Scan
from sinograd.io import read
from sinograd.recon.analytic.angular import angular_sampling

RADIUS = 35.0  # mm


@pytest.fixture(scope="module")
def scan(shared_data: Path) -> Scan:
    return read(shared_data / "htc2022" / "tb_549views.mat")


@pytest.fixture(scope="module")
def image(scan: Scan) -> Tensor:
    with pytest.warns(sg.CoverageWarning):
        return sg.fbp(scan.load(), scan.geometry, scan.grid)


@dataclass(frozen=True)
class Shadow:
    """The disc as its outline in the projections tells: no reconstruction, only the source's positions."""

    x: float
    y: float
    radius: float

    def distance(self, grid: sg.Grid) -> Tensor:
        """mm of every pixel from the disc's centre."""
        y, x = torch.meshgrid(*grid.axes(), indexing="ij")
        return torch.hypot(x - self.x, y - self.y)

    def direction(self, grid: sg.Grid) -> Tensor:
        """rad of every pixel about the disc's centre."""
        y, x = torch.meshgrid(*grid.axes(), indexing="ij")
        return torch.atan2(y - self.y, x - self.x)


@pytest.fixture(scope="module")
def shadow(scan: Scan) -> Shadow:
    sinogram, geometry = scan.load(dtype=torch.float64).numpy(), scan.geometry
    a = geometry.angles.numpy()  # type: ignore[union-attr]
    sod, sdd = geometry.source_to_origin, geometry.source_to_detector  # type: ignore[attr-defined]
    inside = sinogram > 0.1
    first = inside.argmax(1)
    last = sinogram.shape[1] - 1 - inside[:, ::-1].argmax(1)
    low, high = (np.arctan((i - (sinogram.shape[1] - 1) / 2) * 0.2 / sdd) for i in (first - 0.5, last + 0.5))
    # the ray through the centre halves the angle between the edges; it meets (x, y) at t / (sod + s) = tan gamma
    tangent = np.tan((low + high) / 2)
    rows = np.stack([np.cos(a) + tangent * np.sin(a), np.sin(a) - tangent * np.cos(a)], 1)
    (x, y), *_ = np.linalg.lstsq(rows, sod * tangent, rcond=None)
    distance = np.hypot(x - sod * np.sin(a), y + sod * np.cos(a))
    return Shadow(x, y, float(np.median(distance * np.sin((high - low) / 2))))


def solid(image: Tensor) -> np.ndarray:
    """The largest connected part above half of the material's value."""
    parts, count = ndimage.label(image.numpy() > 0.5 * image.quantile(0.9).item())
    sizes = ndimage.sum_labels(np.ones(image.shape), parts, np.arange(1, count + 1))
    return parts == 1 + int(np.argmax(sizes))


def test_the_warning_names_the_gaps(scan: Scan) -> None:
    with pytest.warns(
        sg.CoverageWarning,
        match=r"184 to 254, 269 to 334 degrees, 19 degrees missing around 175 ",
    ) as caught:
        sg.fbp(scan.load(), scan.geometry, sg.Grid((4, 4), 1.0))
    assert isinstance(caught[0].message, sg.CoverageWarning)
    assert "gaps at 165.2 to 183.8 (18.5), 254.2 to 268.8 (14.5)" in caught[0].message.details
    found = sg.coverage(scan.geometry)
    assert found.arc_deg == pytest.approx(549 / 2)
    # the central ray runs at 90 degrees to the gantry's angle; the fan is 11.5 degrees wide
    ((low, high),) = found.directions_deg
    assert low == pytest.approx(165.25 + 90 - 180 - 5.8, abs=1.1)
    assert high == pytest.approx(183.75 + 90 - 180 + 5.8, abs=1.1)
    assert found.missing == pytest.approx(18.5 / 180, abs=0.005)


def test_the_disc_is_where_its_shadow_is(image: Tensor, scan: Scan, shadow: Shadow) -> None:
    filled = ndimage.binary_fill_holes(solid(image))
    assert filled is not None
    pixel = scan.grid.spacing[0]  # type: ignore[union-attr]
    row, column = ndimage.center_of_mass(filled)
    assert (column - 255.5) * pixel == pytest.approx(shadow.x, abs=0.1)
    assert (row - 255.5) * pixel == pytest.approx(shadow.y, abs=0.1)
    assert shadow.y < -1  # far enough from the middle to tell up from down
    assert math.sqrt(filled.sum() / math.pi) * pixel == pytest.approx(shadow.radius, abs=0.1)
    assert shadow.radius == pytest.approx(RADIUS, abs=0.2)


def test_the_disc_has_twelve_empty_openings(image: Tensor) -> None:
    """Polygons with clean edges: doubled edges would close or split them."""
    disc = solid(image)
    holes = ndimage.binary_fill_holes(disc) & ~disc  # type: ignore[operator]
    inner = ndimage.binary_erosion(holes, iterations=4)
    _, count = ndimage.label(inner)
    assert count == 12
    material = image[torch.from_numpy(ndimage.binary_erosion(disc, iterations=4))]
    assert material.mean().item() == pytest.approx(0.0315, abs=0.002)
    assert material.std() < 0.16 * material.mean()
    assert image[torch.from_numpy(inner)].mean() < 0.12 * material.mean()


def test_the_outer_edge_is_sharp(image: Tensor, scan: Scan, shadow: Shadow) -> None:
    """From 80 % to 20 % of the rim within three pixels of the middle of the edge, wherever the rays are there."""
    assert scan.grid is not None
    distance = shadow.distance(scan.grid) - shadow.radius
    steep = shadow.direction(scan.grid).sin().abs() > 0.7  # tangents seen in the directions that were measured
    pixel = scan.grid.spacing[0]
    rim = image[steep & ((distance + 3).abs() < 1)].mean()
    assert image[steep & ((distance + 3 * pixel).abs() < pixel / 2)].mean() > 0.8 * rim
    assert image[steep & ((distance - 3 * pixel).abs() < pixel / 2)].mean() < 0.2 * rim


def test_the_image_projects_to_the_scan_only_the_right_way_round(scan: Scan) -> None:
    """Turned the other way, which a fan's magnification tells, or off centre by three pixels, views disagree."""
    geometry, sinogram = scan.geometry, scan.load()
    grid = sg.Grid((256, 256), 2 * scan.grid.spacing[0])  # type: ignore[union-attr]

    def residual(angles: Tensor, offset: float = 0.0) -> float:
        fan = sg.FanBeam.circular(
            source_to_origin=geometry.source_to_origin,  # type: ignore[attr-defined]
            source_to_detector=geometry.source_to_detector,  # type: ignore[attr-defined]
            angles=angles,
            detector=sg.FlatDetector(560, 0.2, offset=offset),
        )[::3]
        with pytest.warns(sg.CoverageWarning):
            reconstruction = sg.fbp(sinogram[::3], fan, grid)
        return ((sg.XRayTransform(fan, grid)(reconstruction) - sinogram[::3]).norm() / sinogram[::3].norm()).item()

    assert geometry.angles is not None
    right = residual(geometry.angles)
    assert right < 0.1
    assert residual(-geometry.angles) > 1.1 * right
    for offset in (-0.6, 0.6):
        assert residual(geometry.angles, offset) > 1.1 * right


def test_gaps_leave_less_than_with_naive_weights(image: Tensor, scan: Scan, shadow: Shadow) -> None:
    """Every view as long as every other and every ray half: what a full scan would want."""
    assert scan.grid is not None
    assert scan.geometry.angles is not None
    steps = angular_sampling(scan.geometry.angles).steps
    uniform = (math.pi / 549 / steps)[:, None].expand(-1, 560)
    with pytest.warns(sg.CoverageWarning):
        naive = sg.fbp(scan.load(), scan.geometry, scan.grid, weights=uniform)
    distance, direction = shadow.distance(scan.grid), shadow.direction(scan.grid)
    y, x = torch.meshgrid(*scan.grid.axes(), indexing="ij")
    around = (distance > RADIUS + 0.5) & (torch.hypot(x, y) < 37.9)
    rim = (distance > 30.5) & (distance < 33)  # solid all round

    def unevenness(picture: Tensor) -> tuple[float, float]:
        """Around the disc, RMS; in the rim, standard deviation over 5-degree sectors; both of the rim's mean."""
        sector = ((direction + math.pi) / (2 * math.pi) * 72).long().clamp(max=71)
        means = torch.stack([picture[rim & (sector == k)].mean() for k in range(72)])
        return (picture[around].square().mean().sqrt() / means.mean()).item(), (means.std() / means.mean()).item()

    (outside, along_rim), (naive_outside, naive_rim) = unevenness(image), unevenness(naive)
    assert outside < 0.75 * naive_outside
    assert along_rim < 0.7 * naive_rim
    assert outside < 0.19
    assert along_rim < 0.11


def test_a_wedge_as_published_warns_and_stays_finite(shared_data: Path) -> None:
    scan = read(shared_data / "htc2022" / "tb_30deg_original.mat")
    with pytest.warns(sg.CoverageWarning, match=r"from 42 to 72 degrees, 161 degrees missing around 153") as caught:
        wedge = sg.fbp(scan.load(), scan.geometry, scan.grid)
    assert torch.isfinite(wedge).all()
    assert isinstance(caught[0].message, sg.CoverageWarning)
    assert re.search(r"16\.9 % of the rays .* source angles 30\.5 deg", caught[0].message.details)
