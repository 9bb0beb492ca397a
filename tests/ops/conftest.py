"""The scans that every operator between volumes and projections is tested on, small enough for a reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch

from sinograd import (
    ConeBeam,
    CurvedDetector,
    FanBeam,
    FlatDetector,
    Geometry,
    Grid,
    ParallelBeam,
    full_scan,
)

GRID = Grid((6, 8, 7), 1.0)
SLICE = Grid((8, 7), 1.0)
AREA = FlatDetector((7, 9), (1.7, 1.6))
LINE = FlatDetector(11, 1.5)
BENT = FlatDetector(11, math.hypot(0.3, 1.4))
DIAGONAL = FlatDetector(11, math.sqrt(2))
ARC = CurvedDetector((7, 9), (1.7, 1.6))
SLID_ARC = CurvedDetector((7, 9), (1.7, 1.6), radius=30.0, offset=(0.8, -1.1))
CIRCLE: dict[str, Any] = dict(source_to_origin=30.0, source_to_detector=50.0)
SHORT: dict[str, Any] = dict(source_to_origin=30.0, source_to_detector=50.0, views=5, start=0.3)


class Scan(NamedTuple):
    """A geometry and a grid: what an operator is made of."""

    geometry: Geometry
    grid: Grid


def cone(detector: FlatDetector | CurvedDetector = AREA, grid: Grid = GRID, views: int = 5, **options: Any) -> Scan:
    angles = full_scan(views, start=0.1)
    return Scan(ConeBeam.circular(**{**CIRCLE, "angles": angles, "detector": detector, **options}), grid)


def halfway(scan: Scan) -> Scan:
    """The scan with its detector at half the distance from the source."""
    sources, centers, u, v = scan.geometry.vectors.unbind(1)
    detector = scan.geometry.detector
    moved = ConeBeam.from_vectors(sources=sources, centers=(sources + centers) / 2, u=u, v=v, detector=detector)
    return Scan(moved, scan.grid)


def fan(detector: FlatDetector | CurvedDetector = LINE, grid: Grid = SLICE, **options: Any) -> Scan:
    return Scan(
        FanBeam.circular(**{**CIRCLE, "angles": full_scan(7, start=0.1), "detector": detector, **options}),
        grid,
    )


def parallel(detector: FlatDetector, grid: Grid, **options: Any) -> Scan:
    return Scan(ParallelBeam(full_scan(7, start=0.1), detector, **options), grid)


def given_rays(directions: list[list[float]], u: list[float], v: list[float]) -> Scan:
    """Parallel rays along the directions on to a detector about the isocentre."""
    views = len(directions)
    u_step, v_step = torch.tensor(u, dtype=torch.float64), torch.tensor(v, dtype=torch.float64)
    detector = FlatDetector((7, 9), (v_step.norm().item(), u_step.norm().item()))
    geometry = ParallelBeam.from_vectors(
        directions=directions,
        centers=[[0.2, -0.1, 0.3]] * views,
        u=[u] * views,
        v=[v] * views,
        detector=detector,
    )
    return Scan(geometry, GRID)


def calibrated(flip_columns: bool, flip_rows: bool | str) -> Scan:
    """A circular scan by its projection matrices, pixels counted from the other side where flipped."""
    geometry = cone(views=4).geometry
    assert isinstance(geometry, ConeBeam)
    matrices = geometry.to_matrices()
    if flip_columns:
        matrices[:, 0] = (AREA.columns - 1) * matrices[:, 2] - matrices[:, 0]
    if flip_rows:
        some = slice(0, None, 2) if flip_rows == "some" else slice(None)
        matrices[some, 1] = (AREA.rows - 1) * matrices[some, 2] - matrices[some, 1]
    return Scan(ConeBeam.from_matrices(matrices, AREA), GRID)


def helix(detector: FlatDetector | CurvedDetector, grid: Grid, pitch: float) -> Scan:
    angles = torch.linspace(0.1, 0.1 + 5 * math.pi, 8, dtype=torch.float64)
    return Scan(ConeBeam.helical(**CIRCLE, angles=angles, detector=detector, pitch=pitch), grid)


SCANS: dict[str, Scan] = {
    # two-dimensional
    "parallel 2-D": parallel(LINE, SLICE),
    "parallel 2-D, offsets": parallel(
        FlatDetector(8, 0.9, offset=0.4), Grid((9, 6), (0.8, 1.3), (0.6, -1.1)), axis_offset=0.7
    ),
    "fan": fan(),
    "fan, curved": fan(CurvedDetector(11, 1.5)),
    "fan, curved about another point": fan(CurvedDetector(11, 1.5, radius=30.0, offset=1.2)),
    "fan, short scan": Scan(FanBeam.short_scan(**SHORT, detector=LINE), SLICE),
    "fan, offsets": fan(FlatDetector(10, 1.1, offset=-2.0), axis_offset=0.6, source_offset=0.8),
    "fan, fine pixels": fan(FlatDetector(60, 0.3), Grid((3, 4), 2.0)),
    "fan, coarse pixels": fan(FlatDetector(2, 12.0), Grid((16, 15), 0.5)),
    "fan, one of each": Scan(FanBeam.circular(**CIRCLE, angles=[0.4], detector=FlatDetector(1, 3.0)), Grid((1, 1))),
    "fan, by vectors": Scan(
        FanBeam.from_vectors(sources=[[-25.0, 4.0]], centers=[[20.0, 1.0]], u=[[0.3, -1.4]], detector=BENT), SLICE
    ),
    "parallel 2-D, diagonal rays": Scan(
        ParallelBeam.from_vectors(
            directions=[[1.0, 1.0], [-1.0, 1.0]],
            centers=[[0.2, 0.1]] * 2,
            u=[[1.0, -1.0], [1.0, 1.0]],
            detector=DIAGONAL,
        ),
        SLICE,
    ),
    # parallel rays in space
    "parallel": parallel(AREA, GRID),
    "parallel, offset": parallel(FlatDetector((6, 8), 1.0, offset=(0.7, -1.2)), GRID, axis_offset=-0.4),
    "parallel, climbing rays": given_rays([[0.3, 0.9, 0.4], [-0.8, 0.6, -0.5]], [1.1, 0.2, 0.0], [0.0, 0.0, 1.2]),
    "parallel, diagonal rays": given_rays([[1.0, -1.0, 0.0], [1.0, 0.0, 1.0]], [0.9, 0.9, 0.0], [0.0, 0.0, 1.2]),
    "parallel, steep rays": given_rays([[0.3, 0.1, 1.0], [-0.2, 0.4, -0.9]], [1.1, 0.2, 0.0], [-0.2, 1.1, 0.1]),
    "parallel, tilted": parallel(AREA, GRID, tilt=0.2),
    "parallel, in-plane rotation": parallel(AREA, GRID, in_plane_rotation=0.3),
    # cone beams, detector rows parallel to the axis
    "cone": cone(),
    "cone, curved": cone(ARC),
    "cone, curved about another point": cone(SLID_ARC),
    "cone, short scan": Scan(ConeBeam.short_scan(**SHORT, detector=AREA), GRID),
    "cone, short scan, curved": Scan(ConeBeam.short_scan(**SHORT, detector=ARC), GRID),
    "helix": helix(AREA, Grid((12, 6, 7)), pitch=6.0),
    "helix, curved": helix(ARC, Grid((12, 6, 7)), pitch=-5.0),
    "cone, detector offset": cone(FlatDetector((6, 8), (1.7, 1.6), offset=(1.3, -2.9))),
    "cone, axis offset": cone(axis_offset=1.3),
    "cone, source offset": cone(source_offset=(0.9, -1.4)),
    "cone, source offset, curved": cone(ARC, source_offset=(0.9, -1.4), axis_offset=0.7),
    "cone, shifts": cone(shifts=[[0.3, -0.2], [-0.4, 0.6], [0.0, 0.5], [0.8, 0.1], [-0.7, -0.3]]),
    "cone, yawed": cone(yaw=0.2),
    "cone, detector before the object": halfway(cone(FlatDetector((7, 9), 0.8), source_to_detector=40.0)),
    # cone beams, detectors in any position
    "cone, tilted": cone(tilt=0.15),
    "cone, in-plane rotation": cone(in_plane_rotation=-0.2),
    "cone, turned every way": cone(tilt=0.1, yaw=-0.15, in_plane_rotation=0.2, source_offset=(0.5, 0.4)),
    "cone, on its side": cone(in_plane_rotation=math.pi / 2),
    "cone, steep rays": cone(FlatDetector((9, 5), 6.0), Grid((9, 4, 4)), source_to_origin=6.0, source_to_detector=15.0),
    # cone beams, curved detectors in any position
    "cone, curved, turned every way": cone(
        SLID_ARC, tilt=0.1, yaw=-0.15, in_plane_rotation=0.2, source_offset=(0.5, 0.4)
    ),
    "cone, curved, on its side": cone(ARC, in_plane_rotation=math.pi / 2),
    "cone, curved, coarse pixels": cone(CurvedDetector((3, 3), 8.0), Grid((20, 9, 10), 0.5), tilt=-0.2),
    "cone, curved, steep rays": cone(
        CurvedDetector((9, 5), 6.0), Grid((9, 4, 4)), source_to_origin=6.0, source_to_detector=15.0
    ),
    # projection matrices
    "matrices": calibrated(False, False),
    "matrices, rows down": calibrated(False, True),
    "matrices, columns backwards": calibrated(True, False),
    "matrices, both reversed": calibrated(True, True),
    "matrices, rows down in some views": calibrated(False, "some"),
    # grids and detectors of all sizes
    "voxels of three sizes": cone(grid=Grid((9, 5, 7), (0.6, 1.9, 1.2), (1.5, -2.0, 0.8))),
    "voxels of three sizes, tilted": cone(grid=Grid((9, 5, 7), (0.6, 1.9, 1.2), (1.5, -2.0, 0.8)), tilt=0.1),
    "coarse pixels": cone(FlatDetector((3, 3), 8.0), Grid((20, 9, 10), 0.5)),
    "coarse rows, fine columns": cone(FlatDetector((3, 30), (5.0, 0.5)), Grid((33, 4, 4), (0.2, 1.0, 1.0))),
    "fine pixels": cone(FlatDetector((40, 45), 0.4), Grid((3, 3, 4), 2.0)),
    "fine rows": cone(FlatDetector((70, 5), (0.4, 2.0)), Grid((8, 4, 4), (2.0, 1.0, 1.0))),
    "detector smaller than the object": cone(FlatDetector((3, 4), 1.0)),
    "detector larger than the object": cone(FlatDetector((17, 20), 2.0), Grid((3, 4, 3))),
    "grid half outside": cone(grid=Grid((6, 8, 7), 1.0, (4.0, 3.0, 5.0))),
    "one slice": cone(grid=Grid((1, 8, 7))),
    "one column of voxels": cone(grid=Grid((9, 1, 1))),
    "one voxel": cone(grid=Grid((1, 1, 1), 3.0, (0.3, 0.2, -0.4)), views=4),
    "one row": cone(FlatDetector((1, 9), 1.6)),
    "one column": cone(FlatDetector((9, 1), 1.6)),
    "one pixel, one view": cone(FlatDetector((1, 1), 1.6), views=1),
    "one of each, tilted": cone(FlatDetector((1, 1), 1.6), Grid((1, 1, 1), 3.0), views=1, tilt=0.1),
}

# One of each kind of kernel, for checks that try every entry or take long.
TINY_SCANS: dict[str, Scan] = {
    "parallel 2-D": Scan(ParallelBeam([0.2, 1.9], FlatDetector(4, 1.0)), Grid((3, 3))),
    "fan, curved": Scan(FanBeam.circular(**CIRCLE, angles=[0.2, 1.9], detector=CurvedDetector(4, 1.6)), Grid((3, 2))),
    "cone": cone(FlatDetector((3, 4), 1.6), Grid((2, 3, 3)), views=2),
    "cone, curved": cone(CurvedDetector((3, 4), 1.6), Grid((3, 3, 2)), views=2),
    "cone, tilted": cone(FlatDetector((3, 4), 1.6), Grid((2, 3, 3)), views=2, tilt=0.2),
    "cone, curved, tilted": cone(CurvedDetector((3, 4), 1.6), Grid((3, 3, 2)), views=2, tilt=0.2),
    "cone, rows down": cone(FlatDetector((3, 4), 1.6), Grid((2, 3, 3)), views=2, in_plane_rotation=math.pi),
}

# More of everything than a kernel takes in one go.
WIDE_AREA, WIDE_GRID = FlatDetector((6, 35), (0.9, 0.5)), Grid((7, 18, 33), (0.5, 0.3, 0.3))
WIDE_LINE, WIDE_SLICE = FlatDetector(45, 1.1), Grid((21, 37), 0.8)
LARGE_SCANS: dict[str, Scan] = {
    "parallel 2-D": Scan(ParallelBeam(full_scan(37, start=0.1), FlatDetector(45, 0.7)), WIDE_SLICE),
    "fan": fan(WIDE_LINE, WIDE_SLICE, angles=full_scan(37, start=0.1)),
    "fan, curved": fan(CurvedDetector(45, 1.1), WIDE_SLICE, angles=full_scan(37, start=0.1)),
    "cone": cone(WIDE_AREA, WIDE_GRID, views=26),
    "cone, curved": cone(CurvedDetector((6, 35), (0.9, 0.5)), WIDE_GRID, views=26),
    "cone, tilted": cone(WIDE_AREA, WIDE_GRID, views=26, tilt=0.1),
    "cone, curved, tilted": cone(CurvedDetector((6, 35), (0.9, 0.5)), WIDE_GRID, views=26, tilt=0.1),
}

FAR = Grid((3, 4, 5), 1.0, (0.0, 0.0, 60.0))

# Nothing of the grid is seen.
BLIND_SCANS: dict[str, Scan] = {
    "parallel 2-D": Scan(ParallelBeam([0.1, 0.2], LINE), Grid((3, 4), 1.0, (30.0, 0.0))),
    "fan": Scan(FanBeam.circular(**CIRCLE, angles=[0.1], detector=LINE), Grid((3, 4), 1.0, (60.0, 0.0))),
    "parallel": parallel(AREA, FAR),
    "parallel, tilted": parallel(AREA, FAR, tilt=0.2),
    "cone": cone(grid=FAR),
    "cone, curved": cone(ARC, grid=FAR),
    "cone, tilted": cone(grid=FAR, tilt=0.2),
    "cone, curved, tilted": cone(ARC, grid=FAR, tilt=0.2),
    "cone, beside the beam": cone(grid=Grid((3, 4, 5), 1.0, (60.0, 0.0, 0.0)), angles=[0.1]),
    "cone, a million kilometres above": cone(grid=Grid((3, 4, 5), 1.0, (0.0, 0.0, 1e12))),
}


SETS = {
    "case": {**SCANS, **{f"large {label}": scan for label, scan in LARGE_SCANS.items()}},
    "tiny_case": TINY_SCANS,
    "large_case": LARGE_SCANS,
    "blind_case": BLIND_SCANS,
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So little work goes faster alone, above all on a busy machine; tests of threads ask for more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def every_case() -> list[Scan]:
    """All of the above at once."""
    return [*SETS["case"].values()]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives `case`, `tiny_case` ...; a test class may say by `accepts` which geometries it is about, and by `labels`
    which cases of a set it takes. One with `cases` of its own takes none of these."""
    if getattr(metafunc.cls, "cases", None):
        return
    accepts: Callable[[Geometry], bool] = getattr(metafunc.cls, "accepts", lambda geometry: True)
    labels: dict[str, tuple[str, ...]] = getattr(metafunc.cls, "labels", {})
    for name, scans in SETS.items():
        if name in metafunc.fixturenames:
            chosen = {label: scans[label] for label in labels.get(name, scans)}
            kept = [pytest.param(scan, id=label) for label, scan in chosen.items() if accepts(scan.geometry)]
            metafunc.parametrize(name, kept)
