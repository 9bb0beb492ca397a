"""How `fdk` and `fbp` may be called: batches, layouts, blocks of views, progress, units of length.

Truth: one plain call, or the same scan in another unit.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.phantoms import shepp_logan_3d
from sinograd.recon.analytic import view_blocks as blocks
from sinograd.recon.analytic import view_filter
from sinograd.recon.analytic.filtered_backprojection import FilteredBackprojection

CIRCLE = dict(source_to_origin=300.0, source_to_detector=450.0, angles=sg.full_scan(24))
VOLUME = sg.Grid((6, 16, 18), (9.0, 6.0, 6.0))
IMAGE = sg.Grid((16, 18), 6.0)
SCANS: dict[str, sg.Geometry] = {
    "cone": sg.ConeBeam.circular(**CIRCLE, detector=sg.FlatDetector((8, 24), 8.0)),
    "cone, half fan": sg.ConeBeam.circular(**CIRCLE, detector=sg.FlatDetector((8, 24), 8.0, offset=(4.0, 48.0))),
    "cone, curved": sg.ConeBeam.circular(**CIRCLE, detector=sg.CurvedDetector((8, 24), 8.0, offset=(0.0, 48.0))),
    "cone, turned": sg.ConeBeam.circular(**CIRCLE, detector=sg.FlatDetector((8, 24), 8.0), tilt=0.1),
    "fan": sg.FanBeam.circular(**CIRCLE, detector=sg.FlatDetector(24, 8.0)),
    "fan, curved": sg.FanBeam.circular(**CIRCLE, detector=sg.CurvedDetector(24, 8.0)),
    "parallel": sg.ParallelBeam(sg.full_scan(24), sg.FlatDetector(24, 6.0)),
    "parallel, 3-D": sg.ParallelBeam(sg.full_scan(24), sg.FlatDetector((8, 24), 6.0)),
}
# Weights that differ from view to view: of pixels, of columns.
UNEVEN: dict[str, sg.Geometry] = {
    "cone, shaken": sg.ConeBeam.circular(
        **CIRCLE, detector=sg.FlatDetector((8, 24), 8.0), shifts=torch.linspace(-2, 2, 48).view(24, 2).sin()
    ),
    "cone, short": sg.ConeBeam.short_scan(
        source_to_origin=300.0, source_to_detector=450.0, views=24, detector=sg.FlatDetector((8, 24), 8.0)
    ),
}
EVERY_SCAN = pytest.mark.parametrize("name", SCANS)


def run(projections: Tensor, geometry: sg.Geometry, **more: Any) -> Tensor:
    function = sg.fdk if isinstance(geometry, sg.ConeBeam) else sg.fbp
    return function(projections, geometry, VOLUME if geometry.ndim == 3 else IMAGE, **more)  # type: ignore[arg-type]


def noise(geometry: sg.Geometry, *batch: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*batch, *geometry.projection_shape, dtype=dtype)


@EVERY_SCAN
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_batch_is_a_loop(name: str, dtype: torch.dtype) -> None:
    geometry = SCANS[name]
    projections = noise(geometry, 2, 3, dtype=dtype)
    together = run(projections, geometry)
    assert together.dtype == dtype
    assert together.shape == (2, 3, *(VOLUME if geometry.ndim == 3 else IMAGE).shape)
    for i in range(2):
        for j in range(3):
            alone = run(projections[i, j], geometry)
            assert (together[i, j] - alone).abs().max() <= 1e-6 * alone.abs().max()


@EVERY_SCAN
def test_float32_agrees_with_float64(name: str) -> None:
    geometry = SCANS[name]
    projections = noise(geometry, dtype=torch.float64)
    exact = run(projections, geometry)
    rough = run(projections.float(), geometry)
    assert (rough - exact).norm() < 3e-6 * exact.norm()


@EVERY_SCAN
def test_layout_does_not_matter(name: str) -> None:
    geometry = SCANS[name]
    plain = noise(geometry, 2)
    expected = run(plain, geometry)
    reversed_axes = plain.permute(*reversed(range(plain.ndim))).contiguous().permute(*reversed(range(plain.ndim)))
    wide = torch.zeros(*plain.shape[:-1], 2 * plain.shape[-1])
    wide[..., ::2] = plain
    for same in (reversed_axes, wide[..., ::2], plain[:1].expand(3, *plain.shape[1:])):
        assert not same.is_contiguous()
        found = run(same, geometry)
        assert torch.allclose(found[0], expected[0], rtol=0, atol=1e-6 * expected.abs().max().item())
        assert found.is_contiguous()


def small_blocks(monkeypatch: pytest.MonkeyPatch, views: int, strip_bytes: int = 1) -> None:
    """Backproject `views` at a time."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    monkeypatch.setattr(blocks, "BLOCK_VIEWS", views)
    monkeypatch.setattr(view_filter, "STRIP_BYTES", strip_bytes)


@pytest.mark.parametrize("name", SCANS | UNEVEN)
@pytest.mark.parametrize(("views", "strip_bytes"), [(1, 1), (7, 1), (7, 1 << 12), (24, 1), (100, 1 << 40)])
def test_blocks_of_views_do_not_show(name: str, views: int, strip_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = (SCANS | UNEVEN)[name]
    projections = noise(geometry, 2)
    expected = run(projections, geometry)
    small_blocks(monkeypatch, views, strip_bytes)
    assert (run(projections, geometry) - expected).abs().max() <= 1e-6 * expected.abs().max()


@pytest.mark.parametrize("name", SCANS | UNEVEN)
def test_asking_for_gradients_changes_nothing(name: str) -> None:
    geometry = (SCANS | UNEVEN)[name]
    projections = noise(geometry, 2)
    expected = run(projections, geometry)
    found = run(projections.clone().requires_grad_(), geometry)
    assert found.requires_grad
    assert (found.detach() - expected).abs().max() <= 2e-6 * expected.abs().max()
    with torch.no_grad():
        assert torch.equal(run(projections.clone().requires_grad_(), geometry), expected)
    with torch.inference_mode():
        assert torch.equal(run(projections, geometry), expected)


@EVERY_SCAN
def test_the_input_is_left_alone(name: str) -> None:
    projections = noise(SCANS[name])
    before = projections.clone()
    first = run(projections, SCANS[name])
    assert torch.equal(projections, before)
    assert torch.equal(run(projections, SCANS[name]), first)


def test_what_all_views_share_is_weighted_once() -> None:
    """Circular scans: one weight a pixel; other parts where redundancy or rays differ among views."""
    kinds = {}
    for name, geometry in (SCANS | UNEVEN).items():
        whole = FilteredBackprojection.of(geometry, VOLUME if geometry.ndim == 3 else IMAGE, window="hann")
        found = view_filter.ViewFilter.of(whole.scan, whole.taps, whole.weights, torch.empty(0))
        kinds[name] = (found.per_pixel is not None, 0 if found.per_column is None else len(found.per_column))
    assert kinds["cone"] == kinds["cone, half fan"] == kinds["cone, curved"] == kinds["fan"] == (True, 0)
    assert kinds["cone, turned"] == (True, 0) and kinds["parallel"] == (False, 1)
    assert kinds["cone, short"] == (True, 24) and kinds["cone, shaken"][0] is False


def test_an_empty_batch() -> None:
    assert run(torch.zeros(0, 24, 8, 24), SCANS["cone"]).shape == (0, *VOLUME.shape)


def test_progress_counts_the_views(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = SCANS["cone"]
    calls: list[tuple[int, int]] = []
    small_blocks(monkeypatch, 7)
    run(noise(geometry), geometry, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(7, 24), (14, 24), (21, 24), (24, 24)]
    calls.clear()
    run(noise(geometry).requires_grad_(), geometry, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (24, 24)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_the_callback_can_stop_it(stop: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch, 1)
    calls: list[int] = []

    def progress(done: int, total: int) -> None:
        calls.append(done)
        if done == 3:
            raise stop

    with pytest.raises(stop):
        run(noise(SCANS["cone"]), SCANS["cone"], progress=progress)
    assert calls == [1, 2, 3]


@EVERY_SCAN
@pytest.mark.parametrize("scale", [1e3, 1e-3], ids=["metres", "micrometres"])
def test_the_unit_of_length_does_not_matter(name: str, scale: float) -> None:
    """Attenuation x length stays: the same projections of an object as large and as thin."""
    phantom = shepp_logan_3d(55.0)
    plain = SCANS[name]
    geometry, grid = scaled(plain, scale), VOLUME if plain.ndim == 3 else IMAGE
    larger = sg.Grid(grid.shape, tuple(s * scale for s in grid.spacing))
    projections = phantom.project(plain)
    assert torch.allclose(phantom.scaled(scale, keep_line_integrals=True).project(geometry), projections, atol=1e-4)
    function = sg.fdk if isinstance(plain, sg.ConeBeam) else sg.fbp
    expected = function(projections, plain, grid)  # type: ignore[arg-type]
    found = scale * function(projections, geometry, larger)  # type: ignore[arg-type]
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    there, here = sg.coverage(geometry), sg.coverage(plain)
    assert there.complete_radius == pytest.approx(scale * here.complete_radius, rel=1e-5)
    assert there.radius == pytest.approx(scale * here.radius, rel=1e-5)
    assert dataclasses.replace(there, complete_radius=here.complete_radius, radius=here.radius) == here


def scaled(geometry: sg.Geometry, scale: float) -> sg.Geometry:
    detector = geometry.detector
    offset = detector.offset
    moved = tuple(o * scale for o in offset) if isinstance(offset, tuple) else offset * scale
    bigger = type(detector)(detector.shape, tuple(s * scale for s in detector.spacing), offset=moved)
    if isinstance(geometry, sg.ParallelBeam):
        return sg.ParallelBeam(sg.full_scan(24), bigger)  # type: ignore[arg-type]
    tilt = {"tilt": 0.1} if geometry.equals(SCANS["cone, turned"]) else {}
    return type(geometry).circular(  # type: ignore[attr-defined]
        source_to_origin=300.0 * scale,
        source_to_detector=450.0 * scale,
        angles=sg.full_scan(24),
        detector=bigger,
        **tilt,
    )


def test_mirrored_detectors() -> None:
    """Columns that run the other way, rows that run downwards: the same rays in another order."""
    geometry = SCANS["cone, half fan"]
    source, centre, u, v = geometry.vectors.unbind(1)
    projections = noise(geometry)
    expected = run(projections, geometry)
    detector = sg.FlatDetector((8, 24), 8.0)
    for sign_u, sign_v in ((-1, 1), (1, -1), (-1, -1)):
        mirrored = sg.ConeBeam.from_vectors(
            sources=source, centers=centre, u=sign_u * u, v=sign_v * v, detector=detector
        )
        flips = [axis for axis, sign in ((2, sign_u), (1, sign_v)) if sign < 0]
        found = run(projections.flip(flips), mirrored)
        assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_detector_in_front_of_the_axis() -> None:
    """Only the rays matter, not where along them the detector stands."""
    detector = sg.FlatDetector((8, 24), 4.0)
    behind = sg.ConeBeam.circular(
        source_to_origin=300.0, source_to_detector=450.0, angles=sg.full_scan(24), detector=detector
    )
    source, centre, u, v = behind.vectors.unbind(1)
    near = sg.ConeBeam.from_vectors(sources=source, centers=(source + centre) / 2, u=u, v=v, detector=detector)
    projections = noise(near)
    found, expected = run(projections, near), run(projections, SCANS["cone"])
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
