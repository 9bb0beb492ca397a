"""The report on missing rays. Truth: which lines a scan meets, counted by hand."""

from __future__ import annotations

import math
import re
import warnings

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd import recon

DISTANCES = dict(source_to_origin=300.0, source_to_detector=450.0)
LINE = sg.FlatDetector(101, 2.0)
FAN = 2 * math.atan(101 / 450)


def degrees(first: float, last: float, count: int) -> Tensor:
    return torch.deg2rad(torch.linspace(first, last, count, dtype=torch.float64))


def fan(angles: Tensor, offset: float = 0.0) -> sg.FanBeam:
    detector = sg.FlatDetector(101, 2.0, offset=offset)
    return sg.FanBeam.circular(**DISTANCES, angles=angles, detector=detector)


COMPLETE = {
    "full": fan(sg.full_scan(180)),
    "inclusive": fan(degrees(0, 360, 181)),
    "400 degrees": fan(degrees(0, 400, 201)),
    "short": sg.FanBeam.short_scan(**DISTANCES, views=120, detector=LINE),
    "short, anywhere": sg.FanBeam.short_scan(**DISTANCES, views=120, detector=LINE, start=5.0),
    "half fan": fan(sg.full_scan(180), offset=70.0),
    "half fan, other side": fan(sg.full_scan(180), offset=-70.0),
    "small gap, measured from the other side": fan(degrees(0, 330, 166)),
    "parallel, half a turn": sg.ParallelBeam(degrees(0, 179, 180), LINE),
    "parallel, inclusive": sg.ParallelBeam(degrees(0, 180, 181), LINE),
    "parallel, a full turn, offset": sg.ParallelBeam(sg.full_scan(180), sg.FlatDetector(101, 2.0, offset=70.0)),
    "cone": sg.ConeBeam.short_scan(**DISTANCES, views=120, detector=sg.FlatDetector((5, 101), 2.0)),
    "a few views": fan(sg.full_scan(8)),
}


@pytest.mark.parametrize("name", COMPLETE)
def test_complete_scans_do_not_warn(name: str) -> None:
    """Warnings are errors here."""
    geometry = COMPLETE[name]
    found = sg.coverage(geometry)
    assert found.complete
    assert found.missing < 1e-3
    assert found.directions_deg == ()
    reconstruct(geometry)


def reconstruct(geometry: sg.Geometry) -> Tensor:
    grid = sg.Grid((4,) * geometry.ndim, 10.0)
    run = sg.fdk if isinstance(geometry, sg.ConeBeam) else sg.fbp
    return run(torch.rand(geometry.projection_shape), geometry, grid)  # type: ignore[arg-type]


@pytest.mark.parametrize("views", [16, 80, 144, 180, 240, 720])
def test_half_a_turn_misses_nothing(views: int) -> None:
    """The ray at the very end of the scan is its own conjugate's first, wherever the report samples."""
    found = sg.coverage(sg.ParallelBeam(sg.full_scan(2 * views)[:views], LINE))
    assert found.missing == 0
    assert found.directions_deg == ()


def test_parallel_120_degrees() -> None:
    """Rays at the gantry angle a run along a + 90 degrees: those from 30 to 90 are missing, a third."""
    found = sg.coverage(sg.ParallelBeam(degrees(0, 120, 121), LINE))
    assert not found.complete
    assert found.missing == pytest.approx(59 / 180, abs=2e-3)  # each view stands for its degree
    assert found.directions_deg == ((pytest.approx(31, abs=1.01), pytest.approx(90, abs=1.01)),)
    assert found.gaps_deg == ((pytest.approx(120.5), pytest.approx(359.5)),)
    assert found.arc_deg == pytest.approx(121)


def test_missing_directions_join_across_180() -> None:
    found = sg.coverage(sg.ParallelBeam(degrees(-60, 60, 121), LINE))
    assert found.directions_deg == ((pytest.approx(-30, abs=1.01), pytest.approx(30, abs=1.01)),)


def test_parallel_with_two_gaps() -> None:
    angles = torch.cat([degrees(0, 40, 41), degrees(70, 110, 41), degrees(150, 179, 30)])
    found = sg.coverage(sg.ParallelBeam(angles, LINE))
    assert found.missing == pytest.approx((29 + 39) / 180, abs=2e-3)
    near = [(pytest.approx(low, abs=1.01), pytest.approx(high, abs=1.01)) for low, high in [(20, 60), (130, 160)]]
    assert sorted(found.directions_deg) == near


def test_a_fan_over_half_a_turn_misses_what_the_fan_would_have_added() -> None:
    """Both ends of a line at gamma lie in the gap for 2 |gamma| of 2 pi: FAN / (4 pi) on average over the fan."""
    found = sg.coverage(fan(degrees(0.25, 179.75, 360)))
    assert found.missing == pytest.approx(FAN / (4 * math.pi), rel=0.05)
    (low, high), *more = found.directions_deg
    half = math.degrees(FAN / 2)
    assert not more
    assert low == pytest.approx(90 - half, abs=1.6)
    assert high == pytest.approx(90 + half, abs=1.6)


def test_gaps_are_numbered_within_a_turn() -> None:
    """Also where the arc before the gap begins beyond 0."""
    kept = torch.cat([degrees(0, 100, 51), degrees(150, 358, 105)])
    assert sg.coverage(fan(kept)).gaps_deg == ((pytest.approx(101), pytest.approx(149)),)


def test_half_fan_needs_a_full_turn() -> None:
    geometry = fan(degrees(0, 205, 206), offset=70.0)
    assert sg.coverage(geometry).missing > 0.1
    with pytest.warns(sg.CoverageWarning, match=r"154 degrees missing around 283 \(34 % of the rays\)"):
        sg.FBP(geometry, sg.Grid((4, 4), 20.0))


def test_two_views_are_warned_of() -> None:
    with pytest.warns(sg.CoverageWarning):
        reconstructed = reconstruct(fan(degrees(0, 60, 2)))
    assert torch.isfinite(reconstructed).all()


ONE_DIRECTION = [degrees(33, 33, 1), degrees(33, 33, 7), degrees(0, 360, 2), degrees(10, 190, 2), degrees(0, 720, 5)]


@pytest.mark.parametrize("angles", ONE_DIRECTION)
@pytest.mark.parametrize("kind", ["parallel 2-D", "parallel", "fan", "cone", "vectors"])
def test_views_of_one_direction_hold_no_volume(angles: Tensor, kind: str) -> None:
    """An error of every function and layer that reconstructs, whatever the algorithm, before it works."""
    distances = {"source_to_origin": 500.0, "source_to_detector": 1000.0}
    area, line = sg.FlatDetector((4, 24), 4.0), sg.FlatDetector(24, 4.0)
    cone = sg.ConeBeam.circular(**distances, angles=angles, detector=area)
    geometry = {
        "parallel 2-D": sg.ParallelBeam(angles, line),
        "parallel": sg.ParallelBeam(angles, area),
        "fan": sg.FanBeam.circular(**distances, angles=angles, detector=line),
        "cone": cone,
        "vectors": sg.ConeBeam.from_dict(cone.to_dict())[:],
    }[kind]
    grid = sg.Grid((6, 6) if geometry.ndim == 2 else (3, 6, 6), 4.0)
    p, A = torch.rand(geometry.projection_shape), sg.XRayTransform(geometry, grid)
    direct, layer = (sg.fdk, sg.FDK) if isinstance(geometry, sg.ConeBeam) else (sg.fbp, sg.FBP)
    for make in (
        lambda: direct(p, geometry, grid),  # type: ignore[arg-type]
        lambda: layer(geometry, grid),  # type: ignore[arg-type]
        lambda: sg.recon.FilteredBackprojection.of(geometry, grid),
        lambda: sg.recon.sirt(A, p, iterations=1),
        lambda: sg.recon.os_sart(A, p, iterations=1),
        lambda: sg.recon.cgls(A, p, iterations=1),
        lambda: sg.recon.lsqr(A, p, iterations=1),
        lambda: sg.reconstruct(sg.Scan(p, geometry, grid=grid)),
    ):
        with pytest.raises(sg.errors.InputError, match=r"expected views from 2 distinct directions or more"):
            make()
    assert sg.coverage(geometry).missing > 0.5


def test_the_warning_gives_the_numbers_and_points_at_the_call() -> None:
    geometry = sg.ParallelBeam(degrees(0, 120, 121), LINE)
    grid = sg.Grid((4, 4), 10.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sg.fbp(torch.rand(121, 101), geometry, grid)
        sg.FBP(geometry, grid)
    assert [w.category for w in caught] == [sg.CoverageWarning] * 2
    assert [w.filename for w in caught] == [__file__] * 2
    warning = caught[0].message
    assert isinstance(warning, sg.CoverageWarning)
    assert str(warning) == sg.coverage(geometry).summary
    assert str(warning) == (
        "views from 0 to 120 degrees, 59 degrees missing around 150 (33 % of the rays); "
        "structures along 30 to 90 degrees (from +x towards +y) will be smeared"
    )
    assert warning.details.startswith(str(sg.coverage(geometry)))
    for number in ("67.2 %", "121.0 deg", "120.5 to 359.5", "239.0"):
        assert number in warning.details
    assert re.search(r"directions 3[01]\.0 to (89|90|91)\.0 deg", warning.details)


def test_the_warning_stays_readable_with_many_gaps() -> None:
    """Six bursts: steps of 58 degrees are gaps, of 38 degrees (between nine bursts) a pattern that is borne."""
    angles = torch.cat([degrees(60 * i, 60 * i + 2, 5) for i in range(6)])
    with pytest.warns(sg.CoverageWarning) as caught:
        sg.FBP(sg.ParallelBeam(angles, LINE), sg.Grid((4, 4), 10.0))
    assert isinstance(caught[0].message, sg.CoverageWarning)
    assert len(str(caught[0].message)) < 400
    assert len(caught[0].message.details) < 600


def test_a_complete_scan_says_so() -> None:
    assert str(sg.coverage(COMPLETE["full"])) == (
        "100.0 % of the rays through the field of view were measured; source angles 360.0 deg"
    )


def test_an_off_centre_short_scan_is_complete_up_to_its_nearer_edge() -> None:
    """The half turn plus the fan of a detector in the middle; then it is moved by 5 of its 101 columns."""
    moved = fan(COMPLETE["short"].angles, offset=10.0)
    found = sg.coverage(moved)
    assert not found.complete
    nearer = (50.5 * 2 - 10) / DISTANCES["source_to_detector"]
    expected = DISTANCES["source_to_origin"] * nearer / (1 + nearer**2) ** 0.5
    assert found.complete_radius == pytest.approx(expected, rel=0.05)
    assert f"none within {found.complete_radius:.4g} mm of the axis" in str(found)
    half = found.complete_radius
    sg.FBP(moved, sg.Grid((4, 4), 0.49 * half))  # warnings are errors here
    for center in ((0.0, 0.0), (0.1 * half, 0.0), (0.0, -0.1 * half)):
        with pytest.warns(sg.CoverageWarning):
            sg.FBP(moved, sg.Grid((4, 4), (0.51 if center == (0, 0) else 0.49) * half, center=center))


def test_parallel_wedge_is_complete_nowhere() -> None:
    assert sg.coverage(sg.ParallelBeam(degrees(0, 120, 121), LINE)).complete_radius == 0


def test_coverage_needs_an_orbit() -> None:
    detector = sg.FlatDetector((5, 101), 2.0)
    helix = sg.ConeBeam.helical(**DISTANCES, angles=sg.full_scan(90), detector=detector, pitch=40.0)
    with pytest.raises(ValueError, match="geometry: coverage is defined for a circular orbit, not for a helix"):
        sg.coverage(helix)


@pytest.mark.parametrize("views", [1, 2, 3, 4])
def test_a_few_views_are_not_complete(views: int) -> None:
    """Two views 180 degrees apart were "100 % of the rays": no ray of another direction was."""
    found = sg.coverage(fan(sg.full_scan(views)))
    assert not found.complete
    assert found.missing > 0.2
    assert "100.0 %" not in str(found)
    assert found.largest_arc_deg == pytest.approx({1: 180, 2: 180, 3: 60, 4: 90}[views])
    assert ("all views look in the same direction" in str(found)) == (views < 3)
    assert ("all in one direction" in found.summary) == (views < 3)


@pytest.mark.parametrize(("views", "largest"), [(8, 45), (9, 20), (90, 4), (45, 4)])
def test_the_detail_that_the_views_bear(views: int, largest: float) -> None:
    """Directions count once from both sides, so an odd number has twice as many; an arc is angle times distance."""
    found = sg.coverage(fan(sg.full_scan(views)))
    assert found.complete
    assert found.largest_arc_deg == pytest.approx(largest)
    edge = 300 * math.sin(FAN / 2)
    assert found.radius == pytest.approx(edge, rel=1e-3)
    assert found.detail() == pytest.approx(math.radians(largest) * edge, rel=1e-3)
    assert found.detail(10.0) == pytest.approx(math.radians(largest) * 10)
    assert f"directions lie up to {largest:.1f} deg apart" in str(found)
    assert f"finer than {found.detail():.3g} mm" in str(found)


def test_the_largest_arc_of_uneven_views() -> None:
    found = sg.coverage(
        sg.ParallelBeam(torch.deg2rad(torch.tensor([0.0, 10, 31, 50, 70, 95, 110, 130, 150, 165])), LINE)
    )
    assert found.largest_arc_deg == pytest.approx(25)


def test_the_warning_says_from_where_streaks_run() -> None:
    moved = fan(COMPLETE["short"].angles, offset=10.0)
    radius = sg.coverage(moved).complete_radius
    with pytest.warns(sg.CoverageWarning, match=rf"smeared {radius:.3g} mm or more from the axis") as caught:
        sg.FBP(moved, sg.Grid((4, 4), radius))
    assert isinstance(caught[0].message, sg.CoverageWarning)
    expected = rf"amplitudes about .* % low .*from {radius:.4g} mm from the axis outwards"
    assert re.search(expected, caught[0].message.details)


def of_half_turn(low: float, high: float) -> sg.ParallelBeam:
    """Every degree of half a turn, but those between the two."""
    views = degrees(0, 179, 180)
    return sg.ParallelBeam(views[(views.rad2deg() < low + 0.5) | (views.rad2deg() > high - 0.5)], LINE)


WORDS = {
    "an inner gap": (of_half_turn(59, 90), "views from 0 to 59, 90 to 179 degrees, 30 degrees missing around 75"),
    "a gap of a half fan": (
        fan(torch.cat([degrees(0, 60, 61), degrees(90, 359, 270)]), offset=70.0),
        "views from 0 to 359 degrees, 29 degrees missing around 75",
    ),
    "across 0": (sg.ParallelBeam(degrees(-60, 60, 121), LINE), "from -60 to 60 degrees, 59 degrees missing around 90"),
    "a fan, half a turn": (fan(degrees(0.25, 179.75, 360)), "from 0 to 180 degrees, 25 degrees missing around 193"),
    "a fan, 120 degrees": (fan(degrees(0, 120, 121)), "from 0 to 120 degrees, 84 degrees missing around 163"),
    "a few": (fan(sg.full_scan(4)), "4 views from 0 to 270 degrees, up to 90 degrees apart, are too few"),
    "one": (fan(degrees(33, 33, 1)), "1 view at 33 degrees, all in one direction"),
    "two": (fan(degrees(0, 180, 2)), "2 views from 0 to 180 degrees, all in one direction"),
    "all": (fan(sg.full_scan(180)), "views from 0 to 358 degrees"),
    "a half turn that ends at 0": (sg.ParallelBeam(degrees(-180, 0, 181), LINE), "views from -180 to 0 degrees"),
    "a short scan across 0": (fan(degrees(200, 420, 221)), "views from -160 to 60 degrees"),
}


@pytest.mark.parametrize("name", WORDS)
def test_views_in_words(name: str) -> None:
    """A fan misses its own angle, 25.3 degrees, beside the half turn; views stand for their degree."""
    geometry, words = WORDS[name]
    assert words in sg.coverage(geometry).summary


@pytest.mark.parametrize("name", ["an inner gap", "a gap of a half fan", "across 0", "a fan, 120 degrees"])
def test_the_views_that_are_said_to_be_missing_complete_the_scan(name: str) -> None:
    geometry = WORDS[name][0]
    added = [torch.arange(low, high, 0.5) for low, high in sg.coverage(geometry).missing_views_deg]
    assert geometry.angles is not None
    views = torch.cat([geometry.angles, *(torch.deg2rad(part.double()) for part in added)])
    whole = sg.ParallelBeam(views, LINE) if not geometry.divergent else fan(views, geometry.detector.column_offset)
    assert sg.coverage(whole).missing < 0.01


@pytest.mark.parametrize("make", ["fbp", "fista_tv"])
def test_the_structures_that_are_said_to_smear_do(make: str) -> None:
    """A thin bar along the middle of the named directions, and one across: the first loses most of its contrast."""
    geometry, grid = sg.ParallelBeam(degrees(0, 120, 61), sg.FlatDetector(64, 1.0)), sg.Grid((64, 64), 1.0)
    (low, high) = sg.coverage(geometry).directions_deg[0]
    contrast = []
    for along in ((low + high) / 2, (low + high) / 2 + 90):
        turn = math.radians(along)
        y, x = torch.meshgrid(*grid.axes(), indexing="ij")
        across = (-math.sin(turn) * x + math.cos(turn) * y).abs()
        inside = (math.cos(turn) * x + math.sin(turn) * y).abs() < 20
        truth = (inside & (across < 1.5)).float()
        operator = sg.XRayTransform(geometry, grid)
        with pytest.warns(sg.CoverageWarning, match=rf"structures along {low:.0f} to {high:.0f} degrees"):
            if make == "fbp":
                image = sg.fbp(operator(truth), geometry, grid)
            else:
                image = recon.fista_tv(operator, operator(truth), iterations=20, strength=0.1).image
        beside = inside & (across > 4) & (across < 8)
        contrast.append(float(image[truth > 0].mean() - image[beside].mean()))
    assert contrast[0] < 0.6 * contrast[1], contrast


def test_a_complete_half_turn_has_no_gaps() -> None:
    assert "gaps" not in str(sg.coverage(sg.ParallelBeam(degrees(-180, 0, 181), LINE)))
    assert "gaps at 0.5 to 239.5 (239.0) deg" in str(sg.coverage(sg.ParallelBeam(degrees(-120, 0, 121), LINE)))
