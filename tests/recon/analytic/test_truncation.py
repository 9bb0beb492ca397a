"""Objects larger than the field of view: attenuation inside it, against the truth."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck

import sinograd as sg
from sinograd.recon.analytic.ramp import filter_rows
from sinograd.recon.analytic.truncation import _last_of_three, extend_rows

COLUMNS, VALUE = 120, 0.02
ORBIT = {"source_to_origin": 360.0, "source_to_detector": 540.0}


def scan(kind: str, columns: int = COLUMNS) -> sg.Geometry:
    flat = sg.FlatDetector(columns, 1.5, offset=54.0 if "half" in kind else 0.0)
    if kind == "parallel":
        return sg.ParallelBeam(torch.arange(180) * math.pi / 180, sg.FlatDetector(columns, 1.0))
    if kind == "short":
        return sg.FanBeam.short_scan(**ORBIT, views=180, detector=flat)
    if kind == "curved":
        flat = sg.CurvedDetector(columns, 1.5)
    return sg.FanBeam.circular(**ORBIT, angles=sg.full_scan(180), detector=flat)


def ellipse(radius: float) -> sg.Ellipsoids:
    """An ellipse off the axis with inserts that stay in the field of view."""
    body = sg.Ellipsoids([VALUE], [[radius, 0.8 * radius, 1.0]], [[0.06 * radius, -0.04 * radius, 0.0]], rotation=[0.4])
    inserts = sg.Ellipsoids([0.01, -0.01], [[9.0, 5.0, 1.0], [6.0, 6.0, 1.0]], [[15.0, 10.0, 0.0], [-20.0, 5.0, 0.0]])
    return body + inserts


def errors(geometry: sg.Geometry, thing: sg.Ellipsoids, truncation: str) -> torch.Tensor:
    """Relative errors in the inner 85 % of the field of view, from a smooth window."""
    width = geometry.field_of_view
    grid = sg.Grid((61, 61), width / 61)
    y, x = grid.axes()
    inside = (y[:, None] ** 2 + x**2) < (0.85 * width / 2) ** 2
    image = sg.fbp(thing.project(geometry, dtype=torch.float64), geometry, grid, window="hann", truncation=truncation)
    return (image - thing.voxelize(grid, supersampling=4, dtype=torch.float64))[inside] / VALUE


@pytest.mark.parametrize("kind", ["parallel", "full", "short", "curved", "half"])
@pytest.mark.parametrize("larger", [1.15, 1.5])
def test_attenuation_inside_an_object_that_is_larger(kind: str, larger: float) -> None:
    geometry = scan(kind)
    thing = ellipse(larger * geometry.field_of_view / 2)
    before, after = errors(geometry, thing, "none"), errors(geometry, thing, "ellipse")
    assert before.median() > 0.01  # cupping: too high everywhere, most at the rim
    assert before.mean() > before.median()
    assert abs(float(after.mean())) < 0.01 and abs(float(after.median())) < 0.01


def test_uneven_objects_are_far_better_than_without() -> None:
    geometry = scan("short")
    width = 1.5 * geometry.field_of_view / 2
    parts = sg.Ellipsoids(
        [VALUE, 0.03, VALUE],
        [[0.7 * width, 0.5 * width, 1.0], [0.5 * width, 0.4 * width, 1.0], [0.3 * width, 0.4 * width, 1.0]],
        [[0.6 * width, 0.0, 0.0], [-0.7 * width, 0.3 * width, 0.0], [0.0, -0.8 * width, 0.0]],
    )
    before, after = errors(geometry, parts, "none"), errors(geometry, parts, "ellipse")
    assert before.median() > 0.2
    assert after.square().mean() < 0.05 * before.square().mean()
    assert abs(float(after.median())) < 0.05


def test_an_object_inside_the_field_of_view_stays_as_it_is() -> None:
    for kind in ("parallel", "short", "half"):
        geometry = scan(kind)
        thing = ellipse(0.8 * geometry.field_of_view / 2)
        p = thing.project(geometry, dtype=torch.float64)
        grid = geometry.default_grid((40, 40))
        with_it = sg.fbp(p, geometry, grid, truncation="ellipse")
        assert (with_it - sg.fbp(p, geometry, grid)).abs().max() < 1e-9


def test_cone_beam_of_a_long_wide_object() -> None:
    geometry = sg.ConeBeam.short_scan(**ORBIT, views=120, detector=sg.FlatDetector((10, 80), 2.0))
    thing = sg.Ellipsoids([VALUE], [[70.0, 60.0, 1e4]], [[3.0, -2.0, 0.0]])
    grid = sg.Grid((3, 31, 31), 1.2)
    p = thing.project(geometry)
    inside = (grid.axes()[1][:, None] ** 2 + grid.axes()[2] ** 2) < 18**2
    plain = sg.fdk(p, geometry, grid, window="hann")[:, inside].mean() / VALUE - 1
    better = sg.fdk(p, geometry, grid, window="hann", truncation="ellipse")
    assert plain > 0.05
    assert (better[:, inside].mean() / VALUE - 1).abs() < 0.005
    layer = sg.FDK(geometry, grid, window="hann", truncation="ellipse")
    assert torch.equal(layer(p), better)


def test_a_row_is_continued_by_the_ellipse_it_is_part_of() -> None:
    distance = torch.arange(-150, 150, dtype=torch.float64)[None] + 0.5
    exact = (0.04**2 * (110**2 - (distance - 15) ** 2)).clamp_min(0).sqrt()[:, None]
    row = exact[..., 100:200]
    full = extend_rows(row, distance, (100, 100))
    assert torch.allclose(full, exact, atol=2e-3)
    assert torch.allclose(extend_rows(row, distance[:, 100:], (0, 100)), exact[..., 100:], atol=2e-3)
    assert torch.allclose(extend_rows(row.flip(-1), -distance.flip(-1), (100, 100)), exact.flip(-1), atol=2e-3)
    zero = extend_rows(torch.zeros(1, 1, 100, dtype=torch.float64), distance, (100, 100))
    assert not zero.any()


def test_continuations_end_and_stay_bounded() -> None:
    """Rows that rise towards the edge, are flat, noisy or negative."""
    distance = torch.arange(-150, 150, dtype=torch.float64)[None]
    x = torch.linspace(0, 1, 100, dtype=torch.float64)
    for row in (x, 0 * x + 1, x**4, 1 + x, -x, torch.rand(100, dtype=torch.float64), (x > 0.5).double()):
        full = extend_rows(row[None, None], distance, (100, 100))[0, 0]
        assert torch.isfinite(full).all() and (full[:100] >= 0).all() and (full[200:] >= 0).all()
        assert full.max() <= 1.5 * row.clamp_min(0).max() + 1e-9
        assert full[-1].abs() < 0.05 and full[0].abs() < 0.05


def test_elimination() -> None:
    x, weights = torch.randn(2, 3, 9, dtype=torch.float64), torch.rand(2, 3, 9, dtype=torch.float64)
    moments = torch.stack([(weights * x**k).sum(-1) for k in range(5)], dim=-1)
    matrix = torch.stack([moments[..., i : i + 3] for i in range(3)], dim=-2) + 1e-9 * torch.eye(3)
    right = torch.randn(2, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(_last_of_three(moments, right), torch.linalg.solve(matrix, right)[..., 2:])
    assert _last_of_three(torch.zeros(1, 5), torch.zeros(1, 3)) == 0


@pytest.mark.filterwarnings("ignore::sinograd.errors.CoverageWarning")  # three views
def test_gradients() -> None:
    geometry = sg.FanBeam.circular(**ORBIT, angles=sg.full_scan(3, 0.2), detector=sg.FlatDetector(12, 4.0))
    grid = sg.Grid((3, 4), 6.0)
    p = (1 + 0.1 * torch.rand(3, 12, dtype=torch.float64)).requires_grad_()
    assert gradcheck(lambda p: sg.fbp(p, geometry, grid, truncation="ellipse"), (p,))
    with torch.no_grad():
        plain = sg.fbp(p, geometry, grid, truncation="ellipse")
    assert torch.allclose(plain, sg.fbp(p, geometry, grid, truncation="ellipse"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_of_rows_of_any_size_are_finite(dtype: torch.dtype) -> None:
    """Tilted detectors are read at their edges with weights that are next to nothing."""
    geometry = sg.FanBeam.circular(**ORBIT, angles=sg.full_scan(12), detector=sg.FlatDetector(24, 1.5))
    sizes = torch.logspace(-30, 3, 12, dtype=torch.float64).to(dtype)[:, None]
    rows = (sizes * torch.rand(12, 24, dtype=dtype)).requires_grad_()
    image = sg.fbp(rows, geometry, sg.Grid((8, 8), 4.0), truncation="ellipse")
    (gradient,) = torch.autograd.grad(image.sum(), rows)
    assert gradient.isfinite().all() and gradient.abs().amax(1).gt(0).all()


def test_part_of_a_filtered_row_is_that_part() -> None:
    rows, taps = torch.rand(2, 30, dtype=torch.float64), torch.rand(59, dtype=torch.float64)
    expected = torch.stack(
        [torch.nn.functional.conv1d(r[None, None], taps.flip(0)[None, None], padding=29)[0, 0] for r in rows]
    )
    assert torch.allclose(filter_rows(rows, taps), expected)
    assert torch.allclose(filter_rows(rows, taps, (7, 19)), expected[:, 7:19])
    assert torch.allclose(filter_rows(rows, taps[20:39], (25, 30)), filter_rows(rows, taps[20:39])[:, 25:])


def test_an_unknown_way() -> None:
    with pytest.raises(ValueError, match="truncation: expected one of none, ellipse, got 'mirror'"):
        sg.fbp(torch.zeros(180, COLUMNS), scan("parallel"), truncation="mirror")
