"""Scans that the conversions are tested with."""

from __future__ import annotations

import math

import torch

from sinograd.geometry import (
    ConeBeam,
    CurvedDetector,
    FanBeam,
    FlatDetector,
    Geometry,
    Grid,
    ParallelBeam,
    full_scan,
    load_geometry,
)

AREA = FlatDetector((5, 7), (1.5, 2.0), offset=(3.0, -4.0))
GRID = Grid((4, 5, 6), (2.0, 3.0, 2.5), (1.0, -2.0, 3.0))
SLICE = Grid((5, 6), 2.0, (1.0, -2.0))
TURN = full_scan(7, 0.3)
ORBIT = {"source_to_origin": 100.0, "source_to_detector": 150.0, "angles": TURN}


def wobbling(views: int = 6, scale: float = 1.0) -> ConeBeam:
    """Right-handed views from anywhere about the grid, no two alike."""
    generator = torch.Generator().manual_seed(3)
    frame = torch.linalg.qr(torch.randn(views, 3, 3, generator=generator, dtype=torch.float64)).Q
    u, v = frame[:, 0], frame[:, 1]
    n = torch.linalg.cross(u, v)
    shift = torch.randn(2, views, 3, generator=generator, dtype=torch.float64)
    sources, centers = (100 * n + 5 * shift[0]) * scale, (-50 * n + 5 * shift[1]) * scale
    detector = FlatDetector((5, 7), (1.5 * scale, 2.0 * scale))
    return ConeBeam.from_vectors(
        sources=sources, centers=centers, u=2 * scale * u, v=1.5 * scale * v, detector=detector
    )


CONES: dict[str, Geometry] = {
    "circle": ConeBeam.circular(**ORBIT, detector=FlatDetector((5, 7), (1.5, 2.0))),
    "offset": ConeBeam.circular(**ORBIT, detector=AREA, axis_offset=1.5),
    "displaced": ConeBeam.circular(
        **ORBIT,
        detector=AREA,
        axis_offset=TURN,
        source_offset=(2.0, -3.0),
        tilt=0.1,
        yaw=-0.2,
        in_plane_rotation=0.3,
        shifts=torch.stack([TURN, -TURN], 1),
    ),
    "helix": ConeBeam.helical(**ORBIT, detector=AREA, pitch=12.0, z_start=-4.0),
    "short": ConeBeam.short_scan(source_to_origin=100, source_to_detector=150, views=9, detector=AREA),
    "c-arm": load_geometry("c-arm")[::20],
    "wobbling": wobbling(),
    "micrometres": wobbling(scale=1e-3),
    "one view": wobbling(1),
    "two views": wobbling(2),
    "three views": wobbling(3),
}
PARALLEL_3D: dict[str, Geometry] = {
    "parallel": ParallelBeam(TURN, FlatDetector((5, 7), (1.5, 2.0))),
    "parallel offset": ParallelBeam(TURN, AREA, axis_offset=1.5),
    "parallel shifted": ParallelBeam(TURN, AREA, shifts=torch.stack([TURN, -TURN], 1)),
}
FLAT_2D: dict[str, Geometry] = {
    "fan": FanBeam.circular(**ORBIT, detector=FlatDetector(7, 2.0)),
    "fan offset": FanBeam.circular(**ORBIT, detector=FlatDetector(7, 2.0, offset=3.0), axis_offset=-1.5),
    "fan displaced": FanBeam.circular(**ORBIT, detector=FlatDetector(7, 2.0), source_offset=TURN, shifts=-TURN),
    "parallel 2-D": ParallelBeam(TURN, FlatDetector(7, 2.0)),
    "parallel 2-D offset": ParallelBeam(TURN, FlatDetector(7, 2.0, offset=3.0), axis_offset=TURN),
}
CURVED = ConeBeam.circular(**ORBIT, detector=CurvedDetector((5, 7), 2.0, offset=(3.0, -4.0)), axis_offset=1.5)


def grid_of(geometry: Geometry) -> Grid:
    """A grid off the middle, as small as the geometry's source allows."""
    if geometry.ndim == 2:
        return SLICE
    small = geometry.detector.column_spacing / 2
    return Grid(GRID.shape, [s * small for s in GRID.spacing], [c * small for c in GRID.center])


def same_vectors(ours: Geometry, other: Geometry, moved: torch.Tensor | float = 0.0) -> None:
    """The same vectors to 1e-12 of the scan's size, `other` having been moved by `moved` mm, and the same elements."""
    a, b = ours.vectors, other.vectors
    assert type(ours) is type(other) and a.shape == b.shape
    assert ours.detector.shape == other.detector.shape
    for one, two in zip(ours.detector.spacing, other.detector.spacing, strict=True):
        assert math.isclose(one, two, rel_tol=1e-12)
    positions = [0, 1] if ours.divergent else [1]
    b[:, positions] -= moved
    size = a[:, :2].norm(dim=2).amax() + max(ours.detector.size)
    assert float((a - b)[:, positions].norm(dim=2).max()) <= 1e-12 * size
    steps = (a - b)[:, 2:4].norm(dim=2) / a[:, 2:4].norm(dim=2)
    assert float(steps.max()) <= 1e-12
    if not ours.divergent:
        assert float((a - b)[:, 0].norm(dim=1).max()) <= 1e-12
