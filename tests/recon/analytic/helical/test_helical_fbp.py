"""Weighted filtered backprojection of helical scans. Truth: analytic objects, and torch's own derivatives."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import sinograd as sg
from helical_scans import LONG, ORBIT, REGIONS, collimation, detector, disc, helix
from sinograd.errors import CoverageWarning, InputError, InputTypeError, TruncationWarning
from sinograd.recon.analytic.helical.helix import helix_of

GRID = sg.Grid((5, 56, 56), (4.0, 4.0, 4.0))


def scan(kind: str = "curved", ratio: float = 1.0, views: int = 216, turns: float = 4.0, **more: Any) -> sg.ConeBeam:
    return helix(detector(kind, 16, 184, row_spacing=2.2), ratio, views, turns, **more)


def amplitudes(volume: Tensor, grid: sg.Grid = GRID) -> tuple[list[float], list[float]]:
    """Deviation of the mean of each region of `LONG` from its value, and range of its means along z, as shares."""
    means, ranges = [], []
    for x, y, radius, value in REGIONS:
        along_z = volume[:, disc(grid, x, y, radius)].mean(1)
        means.append(float(along_z.mean()) / value - 1)
        ranges.append(float(along_z.max() - along_z.min()) / value)
    return means, ranges


@pytest.mark.parametrize("kind", ["curved", "flat"])
@pytest.mark.parametrize(("ratio", "more"), [(1.0, {}), (-1.0, {}), (1.0, {"clockwise": True}), (0.6, {}), (-1.35, {})])
def test_amplitudes_of_a_long_object(kind: str, ratio: float, more: dict[str, Any]) -> None:
    geometry = scan(kind, ratio, **more)
    # smoothed, as so few views leave streaks
    volume = sg.helical_fbp(LONG.project(geometry), geometry, GRID, window="hann")
    means, ranges = amplitudes(volume)
    assert max(map(abs, means)) < 0.005 and max(ranges) < 0.003


def test_vectors_in_any_order_are_a_helix() -> None:
    helical = scan()
    source, centre, u, v = scan("flat").vectors.unbind(1)
    flat = sg.ConeBeam.from_vectors(
        sources=source, centers=centre, u=u, v=v, detector=sg.FlatDetector((16, 184), (2.2, float(u.norm(dim=1)[0])))
    )
    expected = sg.helical_fbp(LONG.project(scan("flat")), scan("flat"), GRID)
    assert torch.allclose(sg.helical_fbp(LONG.project(flat), flat, GRID), expected, atol=1e-7)
    backwards = helical[torch.arange(helical.views - 1, -1, -1)]
    same = sg.helical_fbp(LONG.project(backwards), backwards, GRID)
    assert torch.allclose(same, sg.helical_fbp(LONG.project(helical), helical, GRID), atol=1e-7)


def test_slabs_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = scan(ratio=-0.7)
    projections = LONG.project(geometry)
    grid = sg.Grid((9, 10, 10), (4.0, 20.0, 20.0))
    expected = sg.helical_fbp(projections, geometry, grid)
    reports: list[tuple[int, int]] = []
    monkeypatch.setattr("sinograd.recon.analytic.helical.z_slabs.BUFFER_BYTES", 1)
    result = sg.helical_fbp(projections, geometry, grid, progress=lambda *done: reports.append(done))
    assert torch.allclose(result, expected, atol=1e-7) and len(reports) > 9
    assert reports == sorted(reports) and reports[-1][0] == reports[-1][1]


PANEL = detector("curved", 2, 6, row_spacing=28.0)
TINY = helix(PANEL, 0.9, 12, 1.5)
SMALL = sg.Grid((2, 3, 2), (10.0, 60.0, 40.0))


def tiny(**more: Any) -> sg.HelicalFBP:
    offsets = torch.zeros(18, 2, dtype=torch.float64)
    offsets[::2, 0], offsets[1::4, 1] = 3.0, 2.0
    geometry = helix(PANEL, 0.9, 12, 1.5, source_offset=offsets) if more else TINY
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CoverageWarning)
        return sg.HelicalFBP(geometry, SMALL)


@pytest.mark.parametrize("flying", [False, True])
@pytest.mark.parametrize("fast", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_gradients_of_any_order(flying: bool, fast: bool) -> None:
    layer = tiny(flying=True) if flying else tiny()
    projections = torch.rand(18, 2, 6, dtype=torch.float64, requires_grad=True)
    assert gradcheck(layer, projections, fast_mode=fast) and gradgradcheck(layer, projections, fast_mode=fast)


def test_the_adjoint_and_batches() -> None:
    layer = tiny(flying=True)
    x = torch.randn(3, 18, 2, 6, dtype=torch.float64, requires_grad=True)
    y = torch.randn(3, *SMALL.shape, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(layer(x), x, y)
    assert torch.allclose((layer(x.detach()) * y).sum(), (x * gradient).sum())
    assert torch.allclose(layer(x)[1], layer(x[1]))


def test_the_layer_is_the_function() -> None:
    layer, projections = tiny(), torch.rand(18, 2, 6)
    assert list(layer.parameters()) == [] and "helical" in repr(layer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CoverageWarning)
        assert torch.equal(layer(projections), sg.helical_fbp(projections, TINY, SMALL))


def test_reconstruct_chooses_it() -> None:
    geometry = scan("flat")
    projections = LONG.project(geometry)
    volume = sg.reconstruct(sg.Scan(projections, geometry), shape=(5, 56, 56), voxel_mm=4.0)
    assert volume.provenance["algorithm"] == "helical FBP"
    expected = sg.helical_fbp(projections, geometry, GRID)
    assert torch.equal(volume.values, expected)
    for more, text in ({"truncation": "ellipse"}, "`truncation='ellipse'`"), ({"algorithm": "fdk"}, "FDK is defined"):
        with pytest.raises(InputError, match=re.escape(text)):
            sg.reconstruct(sg.Scan(projections, geometry), shape=(5, 56, 56), voxel_mm=4.0, **more)  # type: ignore[arg-type]


def refused(geometry: Any, *texts: str, kind: type[Exception] = InputError) -> None:
    with pytest.raises(kind) as raised:
        sg.helical_fbp(torch.zeros(geometry.projection_shape), geometry, GRID)
    for text in texts:
        assert text in str(raised.value)


def test_what_is_no_helix() -> None:
    panel = detector("flat", 16, 92)
    circle = sg.ConeBeam.circular(**ORBIT, angles=sg.full_scan(60), detector=panel)
    refused(circle, "helical FBP needs a helix; the source stays at one height")
    refused(scan(turns=0.5), "half a turn and the fan's angle", "cover 178.3")
    refused(scan()[::150], "at least 8 views, got 6")
    refused(scan()[::90], "10 views a turn or more, got one every 150 degrees")
    kept = torch.tensor([*range(100), *range(110, 864)])
    refused(scan()[kept], "1 of 853 steps", "18.33", "after view 99")
    twice = torch.tensor([*range(100), *range(90, 864)])
    refused(scan()[twice], "1 of 873 steps repeat")
    tilted = sg.ConeBeam.helical(
        **ORBIT, angles=torch.arange(60) * 0.2, detector=panel, pitch=10.0, in_plane_rotation=0.1
    )
    refused(tilted, "rows are parallel to the rotation axis")
    fan = sg.FanBeam.circular(**ORBIT, angles=sg.full_scan(60), detector=sg.FlatDetector(10, 1.0))
    with pytest.raises(InputTypeError, match="expected a helical ConeBeam, got FanBeam"):
        sg.helical_fbp(torch.zeros(60, 10), fan, sg.Grid((10, 10), 1.0))  # type: ignore[arg-type]
    bad = torch.zeros(scan().projection_shape)
    bad[300, 4, 20] = torch.nan
    with pytest.raises(InputError, match=r"NaN or infinity in .* rows, rebinned from views"):
        sg.helical_fbp(bad, scan(), GRID)


def test_slices_beyond_the_helix_are_named() -> None:
    geometry = scan()
    with pytest.warns(CoverageWarning, match=r"supports z from (-\d+\.\d+) to (\d+\.\d+) mm within") as caught:
        sg.HelicalFBP(geometry, sg.Grid((60, 56, 56), 4.0))
    low, high = map(float, re.findall(r"from (-\S+) to (\S+) mm within", str(caught[0].message))[0])
    grid = sg.Grid((60, 56, 56), 4.0)
    z = (torch.arange(60) - 29.5) * 4.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CoverageWarning)
        volume = sg.helical_fbp(LONG.project(geometry), geometry, grid)
    means = volume[:, disc(grid, 0.0, 0.0, 100.0)].mean(1)
    inside = (z > low) & (z < high)
    middle = means[inside].mean()
    assert float((means[inside] / middle - 1).abs().max()) < 0.003
    # the first slices on either side that lack views are lower: the range is not too narrow by more than a row
    assert float(means[(z < low - 6)].max()) < 0.995 * middle and float(means[z > high + 6].max()) < 0.995 * middle


def test_a_pitch_that_is_too_large() -> None:
    """At the largest pitch, rays and their opposites reach as far as the source climbs between them."""
    panel = detector("curved", 16, 92, row_spacing=2.2)
    geometry = helix(panel, 1.9, 144, 8.0)
    with pytest.warns(CoverageWarning, match="is too large") as caught:
        sg.HelicalFBP(geometry, GRID)
    text = next(str(w.message) for w in caught if "too large" in str(w.message))
    assert f"pitch of {1.9 * collimation(panel):.4g} mm a turn (1.9 of the collimation)" in text
    largest = float(re.findall(r"largest pitch there is \S+ mm \((\S+)\)", text)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sg.HelicalFBP(helix(panel, largest - 0.02, 144, 8.0), GRID)


def test_the_number_of_threads_does_not_matter() -> None:
    geometry, threads, results = helix(detector("curved", 6, 140), 0.9, 60, 2.0), torch.get_num_threads(), []
    projections = torch.rand(geometry.projection_shape, requires_grad=True)
    layer = sg.HelicalFBP(geometry, sg.Grid((1, 30, 30), 4.0))
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            volume = layer(projections)
            results.append((volume, *torch.autograd.grad(volume.square().sum(), projections)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_a_truncated_patient_is_said() -> None:
    geometry = helix(detector("curved", 6, 64), 0.9, 60, 2.0)
    wide = sg.Ellipsoids(0.02, (300.0, 200.0, 4000.0))
    with pytest.warns(TruncationWarning, match=r"\d"):
        sg.reconstruct(sg.Scan(wide.project(geometry), geometry), shape=(1, 16, 16), voxel_mm=8.0)


@pytest.mark.parametrize("noise", [0.0, 0.002])
def test_heights_of_the_focal_spot_are_told_apart(noise: float) -> None:
    """Also where a file rounds them; the second positions are those of the odd views."""
    offsets = torch.randn(120, 2, dtype=torch.float64) * noise
    offsets[1::2, 0] += 0.6
    found = helix_of(helix(detector("curved", 6, 64), 0.9, 60, 2.0, source_offset=offsets))
    assert [views.tolist() for views in found.heights] == [[*range(0, 120, 2)], [*range(1, 120, 2)]]
    assert found.pitch == pytest.approx(0.9 * collimation(detector("curved", 6, 64)))
