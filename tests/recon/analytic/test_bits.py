"""The bits of a filtered backprojection depend on scan, grid and options alone. Truth: one thread, at once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.recon import FilteredBackprojection
from sinograd.recon.analytic import view_blocks as blocks
from sinograd.recon.analytic import view_filter
from sinograd.recon.analytic.needed_rows import upright_rows
from sinograd.recon.analytic.view_filter import ViewFilter

VIEWS = 61
CIRCLE: dict[str, Any] = dict(source_to_origin=500.0, source_to_detector=750.0)
ANGLES = sg.full_scan(VIEWS)
SCANS: dict[str, sg.Geometry] = {
    "cone": sg.ConeBeam.circular(**CIRCLE, angles=ANGLES, detector=sg.FlatDetector((21, 333), 1.2)),
    "half fan": sg.ConeBeam.circular(
        **CIRCLE, angles=ANGLES, detector=sg.FlatDetector((21, 333), 1.2, offset=(0.0, 100.0))
    ),
    "turned": sg.ConeBeam.circular(**CIRCLE, angles=ANGLES, detector=sg.FlatDetector((21, 333), 1.2), yaw=0.1),
    "tilted": sg.ConeBeam.circular(**CIRCLE, angles=ANGLES, detector=sg.FlatDetector((21, 333), 1.2), tilt=0.03),
    "short scan, curved": sg.ConeBeam.short_scan(
        **CIRCLE, views=VIEWS, detector=sg.CurvedDetector((21, 333), 1.2, offset=(2.0, 3.0))
    ),
    "fan": sg.FanBeam.circular(**CIRCLE, angles=ANGLES, detector=sg.FlatDetector(333, 1.2)),
    "fan, wide": sg.FanBeam.circular(**CIRCLE, angles=ANGLES, detector=sg.FlatDetector(5001, 0.08)),
    "fan, narrow": sg.FanBeam.circular(**CIRCLE, angles=ANGLES, detector=sg.FlatDetector(7, 50.0)),
    "parallel": sg.ParallelBeam(sg.full_scan(VIEWS), sg.FlatDetector((21, 333), 0.9)),
}
EVERY_SCAN = pytest.mark.parametrize(
    ("name", "truncation"),
    [*((name, "none") for name in SCANS), *((name, "ellipse") for name in SCANS if "wide" not in name)],
)


def grid_of(geometry: sg.Geometry) -> sg.Grid:
    return sg.Grid((11, 40, 37), (1.1, 2.3, 2.3), (1.0, -2.0, 0.7)) if geometry.ndim == 3 else sg.Grid((80, 73), 2.3)


def prepared(name: str, truncation: str = "none") -> FilteredBackprojection:
    geometry = SCANS[name]
    return FilteredBackprojection.of(
        geometry, grid_of(geometry), window="hann", cutoff=0.9, truncation=truncation, warn=False
    )


def measured(geometry: sg.Geometry, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(geometry.projection_shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


@pytest.fixture(autouse=True)
def groups_of_25(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three groups of views, whose last is not whole."""
    monkeypatch.setattr(blocks, "GROUP_VIEWS", 25)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@EVERY_SCAN
def test_threads(name: str, truncation: str) -> None:
    geometry = SCANS[name]
    projections = measured(geometry)
    expected = prepared(name, truncation).volume(projections)
    for threads in (2, 3):
        torch.set_num_threads(threads)
        whole = prepared(name, truncation)
        assert torch.equal(whole.volume(projections), expected)


@EVERY_SCAN
@pytest.mark.parametrize(("views", "strip_bytes"), [(1, 1), (7, 1 << 14), (1000, 1 << 30)])
def test_blocks_of_views(
    name: str, truncation: str, views: int, strip_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many views are backprojected, and rows weighted, at a time; with as many threads as there may be."""
    whole, projections = prepared(name, truncation), measured(SCANS[name])
    expected = whole.volume(projections)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    monkeypatch.setattr(blocks, "BLOCK_VIEWS", views)
    monkeypatch.setattr(view_filter, "STRIP_BYTES", strip_bytes)
    torch.set_num_threads(3)
    assert torch.equal(whole.volume(projections), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", SCANS)
def test_interrupted_anywhere(name: str, dtype: torch.dtype) -> None:
    """A run that goes on from what it reports to hold, after any block."""
    whole, projections = prepared(name), measured(SCANS[name], dtype)
    expected = whole.volume(projections)
    for stop in (1, 24, 25, 26, 49, 50, 60, VIEWS):
        volume, kept = torch.zeros(whole.volume_shape(projections), dtype=dtype), []

        def interrupt(done: int, total: int, volume: Tensor = volume, kept: list[Any] = kept, stop: int = stop) -> None:
            if done >= stop:
                kept.append((volume.clone(), whole.held(done)))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            whole.add(volume, projections, progress=interrupt, block=1)
        volume, held = kept[0]
        assert held <= stop and held >= stop - 24
        torch.set_num_threads(2)
        assert torch.equal(whole.add(volume, projections, range(held, VIEWS)), expected)
        torch.set_num_threads(1)


@pytest.mark.parametrize("name", SCANS)
def test_groups_in_different_places(name: str) -> None:
    """Each group alone, from its own projections; the sums added in order."""
    whole, projections = prepared(name), measured(SCANS[name])
    assert whole.groups == (range(0, 25), range(25, 50), range(50, 61))
    total = projections.new_zeros(whole.volume_shape(projections))
    for group in whole.groups:
        part = projections[group.start : group.stop].clone()
        total += whole.add(torch.zeros_like(total), part, group, block=9)
    assert torch.equal(total, whole.volume(projections))


@pytest.mark.parametrize("name", SCANS)
def test_batches(name: str) -> None:
    """A problem of a batch, and the problem alone."""
    whole, projections = prepared(name, "ellipse"), measured(SCANS[name])
    several = torch.stack([0.3 * projections, projections, projections.flip(0)])
    torch.set_num_threads(2)
    assert torch.equal(whole.volume(several)[1], whole.volume(projections))


@EVERY_SCAN
def test_rows_of_a_slab_are_filtered_alike(name: str, truncation: str) -> None:
    """The rows that some slices need, from the real detector's rows that these are read from."""
    whole = prepared(name, truncation)
    if whole.grid.ndim == 2:
        pytest.skip("one slice")
    projections = measured(SCANS[name])
    expected = ViewFilter.of(whole.scan, whole.taps, whole.weights, projections)(projections, slice(0, VIEWS))
    z = [float(position) for position in whole.grid.axes()[0]]
    for first, last in pairwise((0, 1, 5, 11)):
        grid = sg.Grid((last - first, 40, 37), (1.1, 2.3, 2.3), (1.0, -2.0, (z[first] + z[last - 1]) / 2))
        rows = upright_rows(whole.scan.detector, whole.geometry.divergent, grid)
        assert rows is not None
        slab, real = whole.slab((first, last), rows), whole.scan.detector.real_rows_of(rows)
        assert rows[1] - rows[0] < 21 and real[1] - real[0] <= 21
        torch.set_num_threads(1 + last % 3)
        part = projections[:, real[0] : real[1]]
        filtered = ViewFilter.of(slab.scan, whole.taps, whole.weights, part)(part, slice(0, VIEWS))
        assert torch.equal(filtered, expected[:, rows[0] : rows[1]])


@pytest.mark.parametrize("name", [name for name, geometry in SCANS.items() if geometry.ndim == 3])
def test_slabs_along_z(name: str) -> None:
    """The same bits in any slabs, as the kernels take the places of voxels from the whole volume."""
    for dtype in (torch.float32, torch.float64):
        whole, projections = prepared(name), measured(SCANS[name], dtype)
        expected = whole.volume(projections)
        for memory in (10**7, 600_000, 450_000, 330_000):
            assert torch.equal(whole.on("cpu", memory).volume(projections), expected)
        assert len(whole.parts(330_000, 8, on_gpu=False)) > 2


def test_views_are_checked() -> None:
    whole = prepared("cone")
    volume, projections = torch.zeros(whole.grid.shape), measured(SCANS["cone"])
    for views in (slice(0, 10, 2), range(3, 200), range(-1, 4)):
        with pytest.raises(ValueError, match="views: expected some of 0 to 60 without steps, got"):
            whole.add(volume, projections, views)
    assert torch.equal(whole.add(volume, projections, slice(5, 5)), torch.zeros(whole.grid.shape))
