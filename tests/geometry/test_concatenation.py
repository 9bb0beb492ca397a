"""`concatenate`. Truth: the vectors of the parts, which say all that kernels see, and projections of each part."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg

AREA, LINE = sg.FlatDetector((4, 6), (1.2, 1.0), offset=(0.3, -0.7)), sg.FlatDetector(7, 1.1)
ARC = sg.CurvedDetector((4, 6), (1.2, 1.0), offset=(0.3, -0.7))
AT: dict[str, Any] = dict(source_to_origin=50.0, source_to_detector=80.0)
ANGLES = sg.full_scan(5, start=0.3)


def cone(detector: sg.FlatDetector | sg.CurvedDetector = AREA, **options: Any) -> sg.ConeBeam:
    return sg.ConeBeam.circular(**{**AT, "angles": ANGLES, "detector": detector, **options})


def fan(**options: Any) -> sg.FanBeam:
    return sg.FanBeam.circular(**{**AT, "angles": ANGLES, "detector": LINE, **options})


def helix(**options: Any) -> sg.ConeBeam:
    angles = torch.linspace(0.1, 12.0, 9, dtype=torch.float64)
    return sg.ConeBeam.helical(**{**AT, "angles": angles, "detector": AREA, "pitch": 3.0, **options})


SHIFTS = [[0.1 * i, -0.2 * i] for i in range(5)]
SHORT = sg.ConeBeam.short_scan(**AT, views=4, detector=AREA)
# label: parts, and how the result is made
JOINED: dict[str, tuple[list[sg.Geometry], str]] = {
    "one": ([cone()], "circular"),
    "cones": ([cone(), cone(angles=[0.1, 0.2]), cone(angles=[4.0])], "circular"),
    "short scans": ([SHORT, SHORT], "circular"),
    "cones with equal turns": ([cone(tilt=0.1, yaw=0.2), cone(tilt=0.1, yaw=0.2)], "circular"),
    "cones, one with shifts": ([cone(), cone(shifts=SHIFTS)], "circular"),
    "cones on two axes": ([cone(axis_offset=0.4), cone(), cone(axis_offset=[0.1, 0.2, 0.3, 0.4, 0.5])], "circular"),
    "cones, the source moved": ([cone(source_offset=(0.2, 0.1)), cone(), cone(source_offset=SHIFTS)], "circular"),
    "cones, the source moved outward": (
        [cone(source_offset=(0.2, 0.1, 3.0)), cone(source_offset=SHIFTS), cone(source_offset=(0.2, 0.1))],
        "circular",
    ),
    "cones, the detector moved": (
        [cone(), cone(sg.FlatDetector((4, 6), (1.2, 1.0), offset=(0.0, 0.9)), shifts=SHIFTS)],
        "circular",
    ),
    "curved cones, the detector moved": (
        [cone(ARC), cone(sg.CurvedDetector((4, 6), (1.2, 1.0), offset=(0.0, 0.9)))],
        "circular",
    ),
    "cones of two distances": ([cone(), cone(source_to_origin=60.0), cone(source_to_detector=90.0)], "vectors"),
    "cones of two tilts": ([cone(tilt=0.1), cone()], "vectors"),
    "curved cones of two tilts": ([cone(ARC, tilt=0.1), cone(ARC, source_offset=(0.4, 0.9))], "vectors"),
    "a cone and vectors": ([cone(), sg.concatenate([cone(tilt=0.1), cone()])], "vectors"),
    "parts of a helix": ([helix()[:4], helix()[4:7], helix()[7:]], "helical"),
    "a helix twice": ([helix(), helix()], "helical"),
    "two helices": ([helix(), helix(z_start=1.0)], "vectors"),
    "a helix and a circle": ([helix(), cone()], "vectors"),
    "fans": ([fan(axis_offset=0.2), fan(shifts=[0.1, 0.2, 0.3, 0.4, 0.5])], "circular"),
    "fans of two distances": ([fan(), fan(source_to_origin=60.0)], "vectors"),
    "parallel": ([sg.ParallelBeam(ANGLES, AREA), sg.ParallelBeam([0.2], AREA, axis_offset=1.0)], "circular"),
    "parallel of two tilts": ([sg.ParallelBeam(ANGLES, AREA), sg.ParallelBeam([0.2], AREA, tilt=0.1)], "vectors"),
    "parallel 2-D": ([sg.ParallelBeam(ANGLES, LINE), sg.ParallelBeam([0.2], LINE)], "circular"),
    "parallel 2-D and vectors": (
        [
            sg.ParallelBeam(ANGLES, LINE),
            sg.ParallelBeam.from_vectors(directions=[[0.0, 2.0]], centers=[[0.1, 0.2]], u=[[1.1, 0.0]], detector=LINE),
        ],
        "vectors",
    ),
}


@pytest.fixture(params=JOINED)
def parts_and_scan(request: pytest.FixtureRequest) -> tuple[list[sg.Geometry], str]:
    return JOINED[request.param]


def test_views_one_after_the_other(parts_and_scan: tuple[list[sg.Geometry], str], tmp_path: Path) -> None:
    """Vectors, slices and a YAML file give the parts back, and the arguments make the same geometry anew."""
    parts, scan = parts_and_scan
    joined = sg.concatenate(parts)
    assert type(joined) is type(parts[0]) and joined.scan == scan
    assert torch.equal(joined.vectors, torch.cat([part.vectors for part in parts]))
    assert joined.projection_shape == (sum(part.views for part in parts), *parts[0].detector.shape)
    first = 0
    for part in parts:
        assert torch.equal(joined[first : first + part.views].vectors, part.vectors)
        first += part.views
    assert sg.Geometry.from_dict(joined.to_dict()).equals(joined)
    joined.save(tmp_path / "joined.yaml")
    assert sg.load_geometry(tmp_path / "joined.yaml").equals(joined)


def test_a_sliced_scan_joined_again_is_the_scan() -> None:
    for whole in (cone(axis_offset=0.3, tilt=0.1), helix(), fan(), sg.concatenate([cone(tilt=0.1), cone()])):
        again = sg.concatenate([whole[:2], whole[2:3], whole[3:]])
        assert again.scan == whole.scan and again.equals(whole)
        if whole.angles is not None:
            assert torch.equal(again.angles, whole.angles)


def test_projections_are_those_of_the_parts(parts_and_scan: tuple[list[sg.Geometry], str]) -> None:
    """To the rounding between kernels: a tilted view takes all of them to the general one."""
    parts, _ = parts_and_scan
    grid = sg.Grid((4, 5, 6)[-parts[0].ndim :])
    volume = torch.randn(grid.shape, dtype=torch.float64)
    projections = torch.cat([sg.XRayTransform(part, grid)(volume) for part in parts])
    difference = sg.XRayTransform(sg.concatenate(parts), grid)(volume) - projections
    assert float(difference.abs().max()) <= 1e-10 * float(projections.abs().max())


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="geometries: expected at least one"):
        sg.concatenate([])
    with pytest.raises(TypeError, match="geometries: expected several, in a list, got one ConeBeam"):
        sg.concatenate(cone())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"geometries\[1\]: expected a Geometry, got Grid"):
        sg.concatenate([cone(), sg.Grid((2, 3))])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"geometries\[1\]: expected a ConeBeam like geometries\[0\], got a FanBeam"):
        sg.concatenate([cone(), fan()])
    for detector, text in (
        (sg.FlatDetector((4, 5), (1.2, 1.0)), r"whose shape is \(4, 6\), got \(4, 5\)"),
        (sg.FlatDetector((4, 6), 1.0), r"whose spacing is \(1.2, 1.0\), got \(1.0, 1.0\)"),
        (ARC, "whose class is FlatDetector, got CurvedDetector"),
    ):
        with pytest.raises(ValueError, match=r"geometries\[2\]: expected the detector of geometries\[0\], " + text):
            sg.concatenate([cone(), cone(), cone(detector)])
    with pytest.raises(ValueError, match="whose radius is None, got 80"):
        sg.concatenate([cone(ARC), cone(sg.CurvedDetector((4, 6), (1.2, 1.0), radius=80.0))])


def test_curved_detectors_of_several_radii_keep_their_centres() -> None:
    """Which one detector cannot say."""
    parts = [cone(ARC, tilt=0.1), cone(ARC, source_to_detector=90.0, source_offset=(0.5, 0.5))]
    joined = sg.concatenate(parts)
    assert torch.equal(joined.vectors, torch.cat([part.vectors for part in parts]))
    assert sg.ConeBeam.from_dict(joined.to_dict()).equals(joined)


def test_full_turn_from_two_halves() -> None:
    """Half a turn after the other is a full turn, named so."""
    whole = cone(angles=sg.full_scan(8))
    joined = sg.concatenate([whole[:4], whole[4:]])
    assert repr(joined) == repr(whole) and "full_scan(8)" in repr(joined)
    assert math.isclose(joined.field_of_view, whole.field_of_view)
