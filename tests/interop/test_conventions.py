"""The converted numbers, put into each toolkit's own formulas, give sinograd's rays.

The formulas are those of the toolkits' sources or papers, written out here point by point; the vectors of the
conversions take no part in them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from interop.scans import CONES, CURVED, FLAT_2D, PARALLEL_3D, grid_of
from sinograd.geometry import ConeBeam, FlatDetector, Geometry, Grid
from sinograd.interop import read_rtk, to_astra, to_leap, to_pyronn, to_tigre

SOME = {name: CONES[name] for name in ("circle", "offset", "displaced", "helix", "wobbling")}


def every(cases: dict[str, Geometry]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("geometry", cases.values(), ids=cases.keys())


def tigre_point(geo: Any, view: int, u: int, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Source and pixel in voxels from the volume's corner: computeDeltas_Siddon and the head of its kernel."""

    def of(name: str, width: int) -> np.ndarray:
        value = np.asarray(getattr(geo, name), dtype=float)
        rows = value[:, None] if width == 1 and value.ndim == 1 else value
        return np.broadcast_to(rows, (len(geo.angles), width))[view]

    rows, columns = geo.nDetector
    height, width = geo.dDetector
    dso, dsd = of("DSO", 1)[0], of("DSD", 1)[0]
    yaw, pitch, roll = of("rotDetector", 3)
    pixel_v = rows - row - 1  # the kernel counts from the top
    point = np.array([0.0, width * (u - columns / 2 + 0.5), height * (rows / 2 - 0.5 - pixel_v)])
    cr, sr, cp, sp, cy, sy = (f(a) for a in (roll, pitch, yaw) for f in (math.cos, math.sin))
    roll_pitch_yaw = np.array(
        [
            [cr * cp, cr * sp * sy - sr * cy, cr * sp * cy + sr * sy],
            [sr * cp, sr * sp * sy + cr * cy, sr * sp * cy - cr * sy],
            [-sp, cp * sy, cp * cy],
        ]
    )
    point = roll_pitch_yaw @ point
    point[0] -= dsd - dso
    point[1] += of("offDetector", 2)[1]
    point[2] += of("offDetector", 2)[0]
    source = np.array([dso, 0.0, 0.0])
    alpha = geo.angles[view]
    c, s = math.cos(alpha), math.sin(alpha)
    rotated = []
    for p in (source, point):
        turned = np.array([c * p[0] - s * p[1], s * p[0] + c * p[1], p[2]])
        turned -= of("offOrigin", 3)[::-1]
        turned += geo.sVoxel[::-1] / 2
        turned /= geo.dVoxel[::-1]
        shift = of("COR", 1)[0] * np.array([-s, c, 0.0]) / geo.dVoxel[::-1]
        rotated.append(turned + shift)
    return rotated[0], rotated[1]


@every(SOME)
def test_tigre(geometry: Geometry) -> None:
    grid = grid_of(geometry)
    geo = to_tigre(geometry, grid)
    pixels, sources = geometry.pixel_positions().numpy(), geometry.vectors[:, 0].numpy()
    corner = grid.corners().amin(0).numpy()
    spacing = np.array(grid.spacing[::-1])
    for view in (0, geometry.views - 1):
        for row, column in ((0, 0), (4, 2), (1, 6)):
            source, point = tigre_point(geo, view, column, row)
            np.testing.assert_allclose(source * spacing + corner, sources[view], atol=1e-9)
            np.testing.assert_allclose(point * spacing + corner, pixels[view, row, column], atol=1e-9)


@every(PARALLEL_3D)
def test_tigre_parallel(geometry: Geometry) -> None:
    """computeDeltas_Siddon_parallel: source and pixel of an element, the gantry turned and displaced by COR."""
    grid = grid_of(geometry)
    geo = to_tigre(geometry, grid)
    assert geo.mode == "parallel" and not geo.offDetector.any() and max(grid.size) < geo.DSO
    cor = np.broadcast_to(geo.COR, geometry.views)
    off_origin = np.broadcast_to(geo.offOrigin, (geometry.views, 3))
    origins, directions = geometry.rays()
    for view, row, column in ((0, 0, 0), (3, 4, 6)):
        alpha = geo.angles[view]
        y = geo.dDetector[1] * (column - 3.5 + 0.5) + cor[view]
        z = geo.dDetector[0] * (row - 2.5 + 0.5)
        ends = []
        for x in (geo.DSO, geo.DSO - geo.DSD):
            turned = [math.cos(alpha) * x - math.sin(alpha) * y, math.sin(alpha) * x + math.cos(alpha) * y, z]
            ends.append(np.array(turned) - off_origin[view][::-1] + np.array(grid.center))
        along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
        np.testing.assert_allclose(along, directions[view, row, column].numpy(), atol=1e-12)
        apart = np.cross(origins[view, row, column].numpy() - ends[0], along)
        np.testing.assert_allclose(apart, 0, atol=1e-9)


@every(SOME)
def test_pyronn(geometry: Geometry) -> None:
    """cone_projector_3D: source -M^-1 p and ray M^-1 (column, row, 1), less the origin, over the spacing; then index 0
    is the centre of the first voxel."""
    grid = grid_of(geometry)
    given = to_pyronn(geometry, grid)
    first = np.array([axis[0].item() for axis in reversed(grid.axes())])
    np.testing.assert_allclose(given["volume_origin"][::-1], first)
    origins, directions = geometry.rays()
    for view, row, column in ((0, 0, 0), (geometry.views - 1, 4, 6)):
        matrix = given["projection_matrices"][view]
        inverse = np.linalg.inv(matrix[:, :3])
        ray = inverse @ np.array([column, row, 1.0])
        np.testing.assert_allclose(-inverse @ matrix[:, 3], origins[view, row, column].numpy(), atol=1e-9)
        np.testing.assert_allclose(ray / np.linalg.norm(ray), directions[view, row, column].numpy(), atol=1e-12)


def test_pyronn_multiplier() -> None:
    """GeometryCone3D of PYRO-NN: projection_multiplier and distances of a circle."""
    geometry = CONES["circle"]
    given = to_pyronn(geometry, grid_of(geometry))
    assert given["source_isocenter_distance"] == pytest.approx(100.0, rel=1e-12)
    assert given["source_detector_distance"] == pytest.approx(150.0, rel=1e-12)
    assert given["projection_multiplier"] == pytest.approx(100 * 150 * 2.0 * math.pi / 7, rel=1e-12)
    assert given["detector_origin"].tolist() == [-3.0, -6.0]


@every({**SOME, "fan": FLAT_2D["fan"], "parallel": PARALLEL_3D["parallel"]})
def test_astra(geometry: Geometry) -> None:
    """ASTRA's definition of vectors: pixel (row, column) at d + (column - middle) u + (row - middle) v."""
    given, _ = to_astra(geometry, grid_of(geometry), "vectors")
    vectors = given["Vectors"]
    width = 3 if geometry.ndim == 3 else 2
    first, middle, u, *v = (vectors[:, i : i + width] for i in range(0, vectors.shape[1], width))
    pixels = geometry.pixel_positions().numpy()[..., :width]
    for view, row, column in ((0, 0, 0), (2, 4, 6)):
        expected = middle[view] + (column - 3) * u[view] + ((row - 2) * v[0][view] if v else 0)
        got = pixels[view, row, column] if v else pixels[view, column]
        np.testing.assert_allclose(got, expected, atol=1e-9)
    if geometry.divergent:
        np.testing.assert_allclose(first, geometry.vectors[:, 0, :width].numpy())


def test_astra_circles() -> None:
    """`geom_2vec` of ASTRA, written out: what it makes of "cone" are the vectors of the same scan."""
    geometry = CONES["circle"]
    short, _ = to_astra(geometry, grid_of(geometry))
    long, _ = to_astra(geometry, grid_of(geometry), "vectors")
    rows = []
    for angle in short["ProjectionAngles"]:
        sine, cosine = math.sin(angle), math.cos(angle)
        source, beyond = short["DistanceOriginSource"], short["DistanceOriginDetector"]
        width, height = short["DetectorSpacingX"], short["DetectorSpacingY"]
        row = [sine * source, -cosine * source, 0, -sine * beyond, cosine * beyond, 0]
        rows.append([*row, cosine * width, sine * width, 0, 0, 0, height])
    np.testing.assert_allclose(long["Vectors"], rows, atol=1e-12)
    straight, _ = to_astra(PARALLEL_3D["parallel"], grid_of(geometry), "vectors")
    angles = PARALLEL_3D["parallel"].angles.numpy()
    np.testing.assert_allclose(straight["Vectors"][:, 0], np.sin(angles), atol=1e-12)
    np.testing.assert_allclose(straight["Vectors"][:, 1], -np.cos(angles), atol=1e-12)


@every({"circle": CONES["circle"], "offset": CONES["offset"], "curved": CURVED})
def test_leap(geometry: Geometry) -> None:
    """The rays of LEAP's paper (arXiv 2307.05801), from R theta - tau theta_p along -theta + s theta_p + t z, with
    theta a quarter turn behind phi; on a curved detector s is an angle, a column atan(pixelWidth / sdd) of it."""
    grid = Grid((4, 5, 5), 1.0)
    calls = to_leap(geometry, grid)
    given = calls["set_conebeam"]
    origins, directions = geometry.rays()
    for view, row, column in ((0, 0, 0), (3, 4, 6)):
        phi = math.radians(given["phis"][view]) - math.pi / 2
        theta, across = np.array([math.cos(phi), math.sin(phi), 0]), np.array([-math.sin(phi), math.cos(phi), 0])
        s = (column - given["centerCol"]) * given["pixelWidth"] / given["sdd"]
        t = (row - given["centerRow"]) * given["pixelHeight"] / given["sdd"]
        if "set_curvedDetector" in calls:
            s = (column - given["centerCol"]) * math.atan(given["pixelWidth"] / given["sdd"])
            ray = -math.cos(s) * theta + math.sin(s) * across + np.array([0, 0, t])
        else:
            ray = -theta + s * across + np.array([0, 0, t])
        source = given["sod"] * theta - given["tau"] * across
        np.testing.assert_allclose(origins[view, row, column].numpy(), source, atol=1e-9)
        np.testing.assert_allclose(directions[view, row, column].numpy(), ray / np.linalg.norm(ray), atol=1e-12)


# Written by RTK 2.7.0 itself: AddProjection(1000, 1500, 10, 3, 4, 5, 6, 1, 2), shortened to one projection.
RTK_FILE = """<?xml version="1.0"?>
<!DOCTYPE RTKGEOMETRY>
<RTKThreeDCircularGeometry version="3">
    <SourceToIsocenterDistance>1000</SourceToIsocenterDistance>
    <SourceToDetectorDistance>1500</SourceToDetectorDistance>
  <Projection>
    <GantryAngle>10</GantryAngle>
    <SourceOffsetX>1</SourceOffsetX>
    <SourceOffsetY>2</SourceOffsetY>
    <ProjectionOffsetX>3</ProjectionOffsetX>
    <ProjectionOffsetY>4</ProjectionOffsetY>
    <InPlaneAngle>6</InPlaneAngle>
    <OutOfPlaneAngle>5</OutOfPlaneAngle>
    <Matrix>
        -1471.83825342724   -156.021739874876    243.625475750509                3500
         131.487394949912   -1485.93184746755   -157.231070882861                5000
        0.172987393925089 -0.0871557427476582   0.981060262190407               -1000
    </Matrix>
  </Projection>
</RTKThreeDCircularGeometry>
"""


def test_a_file_that_rtk_wrote(tmp_path: Path) -> None:
    """RTK's matrix takes the position of every pixel, in RTK's world, to its place on the image."""
    path = tmp_path / "geometry.xml"
    path.write_text(RTK_FILE)
    detector = FlatDetector((5, 7), (1.5, 2.0))
    geometry = read_rtk(path, detector)
    assert isinstance(geometry, ConeBeam)
    numbers = RTK_FILE.split("<Matrix>")[1].split("</Matrix>")[0].split()
    matrix = torch.tensor([float(number) for number in numbers], dtype=torch.float64).reshape(3, 4)
    x, y, z = geometry.pixel_positions()[0].unbind(-1)
    column, row, w = torch.einsum("ij,rcj->irc", matrix, torch.stack([x, z, -y, torch.ones_like(x)], -1))
    places = torch.arange(7.0, dtype=torch.float64) * 2 - 6, torch.arange(5.0, dtype=torch.float64)[:, None] * 1.5 - 3
    torch.testing.assert_close(column / w, places[0].expand(5, 7), rtol=0, atol=1e-9)
    torch.testing.assert_close(row / w, places[1].expand(5, 7), rtol=0, atol=1e-9)
    source = geometry.vectors[0, 0]
    ours = torch.stack([source[0], source[2], -source[1], torch.ones(())]).double()
    torch.testing.assert_close(matrix @ ours, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-8)
