"""FDK on a device, whole or in slabs, is FDK. A small budget on the CPU stands for a small card."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.ops import InSlabs
from sinograd.recon.analytic import view_blocks as blocks
from sinograd.recon.analytic import view_filter
from sinograd.recon.analytic.filtered_backprojection import FilteredBackprojection
from sinograd.recon.analytic.slabs import Part

GRID = sg.Grid((20, 16, 18), 1.5, (0.5, -1.0, 1.0))
AREA = sg.FlatDetector((36, 30), 1.8, offset=(1.0, 2.0))
ORBIT: dict[str, Any] = dict(source_to_origin=100, source_to_detector=150, angles=sg.full_scan(24))
SCAN = sg.ConeBeam.circular(**ORBIT, detector=AREA)
SCANS: dict[str, sg.Geometry] = {
    "circle": SCAN,
    "half fan": sg.ConeBeam.circular(**ORBIT, detector=sg.FlatDetector((36, 30), 1.8, offset=(1.0, 14.0))),
    "curved": sg.ConeBeam.circular(**ORBIT, detector=sg.CurvedDetector((36, 30), 1.8)),
    "parallel": sg.ParallelBeam(sg.full_scan(24), sg.FlatDetector((36, 30), 1.2)),
}


def parts(memory: int, geometry: sg.Geometry = SCAN, grid: sg.Grid = GRID, element: int = 16) -> list[Part]:
    return FilteredBackprojection.of(geometry, grid).parts(memory, element, on_gpu=False)


def measured(geometry: sg.Geometry = SCAN) -> Tensor:
    """Two sets of projections, float64."""
    one = sg.shepp_logan_3d(radius=12).project(geometry, dtype=torch.float64)
    return torch.stack([one, 0.5 * one.flip(-1)])


def run(projections: Tensor, geometry: sg.Geometry, **more: Any) -> Tensor:
    function = sg.fbp if isinstance(geometry, sg.ParallelBeam) else sg.fdk
    return function(projections, geometry, GRID, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "truncation"), [*((name, "none") for name in SCANS), ("curved", "ellipse")])
def test_same_result(name: str, truncation: str, device: torch.device) -> None:
    geometry, options = SCANS[name], {"window": "hann", "truncation": truncation}
    projections = measured(geometry)
    expected = run(projections, geometry, **options)
    for memory in (150_000, 10**8):
        result = run(projections, geometry, device=device, memory=memory, **options)
        assert result.device.type == "cpu"
        assert float((result - expected).abs().max()) < 1e-6 * float(expected.abs().max())
    assert len(parts(150_000, geometry)) >= 2


def test_a_turned_detector_up_to_its_interpolation(device: torch.device) -> None:
    geometry = sg.ConeBeam.circular(**ORBIT, detector=AREA, tilt=0.03)
    projections = measured(geometry)
    expected = sg.fdk(projections, geometry, GRID, window="hann")
    result = sg.fdk(projections, geometry, GRID, window="hann", device=device, memory=150_000)
    assert len(parts(150_000, geometry)) >= 2
    assert float((result - expected).norm()) < 0.02 * float(expected.norm())


def test_the_fewest_slabs_that_fit() -> None:
    """Whole with much memory; more slabs the less there is, of about equal thickness, from fewer rows."""
    counts = [len(parts(memory)) for memory in (10**8, 200_000, 100_000, 60_000)]
    assert counts[0] == 1 and counts == sorted(counts) and counts[-1] > counts[1] > 1
    whole, some = parts(10**8)[0], parts(60_000)
    assert whole.rows == (0, 36) and (whole.slab.first, whole.slab.last, whole.block) == (0, 20, 24)
    assert (some[0].slab.first, some[-1].slab.last) == (0, 20)
    assert all(one.slab.last == next_.slab.first for one, next_ in pairwise(some))
    thickness = [part.slab.last - part.slab.first for part in some]
    assert max(thickness) - min(thickness) <= 1
    rows = [part.rows[1] - part.rows[0] for part in some if part.rows is not None]
    assert len(rows) == len(some) and max(rows) < 36


def test_a_part_stays_within_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices, a block of views as it is copied, the next one, filtered and in the kernels' layout, and transforms."""
    memory, held = 150_000, []
    original = view_filter.ViewFilter.__call__

    def watched(self: Any, projections: Tensor, part: slice) -> Tensor:
        held.append(projections.nbytes)
        return original(self, projections, part)

    monkeypatch.setattr(view_filter.ViewFilter, "__call__", watched)
    found = sg.fdk(measured(), SCAN, GRID, device="cpu", memory=memory)
    thickest = max(part.slab.last - part.slab.first for part in parts(memory))
    assert found.nbytes * thickest / 20 + (5 + 4 * 2) * max(held) <= memory
    assert len(held) > 24 / 3 * len(parts(memory))  # blocks of a few views


def test_what_the_detector_does_not_see_is_zero() -> None:
    tall = sg.Grid((60, 16, 18), 1.5)
    projections = measured()[0]
    result = sg.fdk(projections, SCAN, tall, device="cpu", memory=60_000)
    found = parts(60_000, grid=tall, element=8)
    assert found[0].rows is None and found[-1].rows is None and found[len(found) // 2].rows is not None
    assert torch.allclose(result, sg.fdk(projections, SCAN, tall), atol=1e-9)


def test_progress_counts_the_views_of_each_slab() -> None:
    calls: list[tuple[int, int]] = []
    sg.fdk(measured(), SCAN, GRID, device="cpu", memory=150_000, progress=lambda *now: calls.append(now))
    count = len(parts(150_000))
    assert calls[-1] == (24 * count, 24 * count) and {total for _, total in calls} == {24 * count}
    assert [done for done, _ in calls] == sorted({done for done, _ in calls}) and len(calls) > count


def test_the_missing_rays_are_told_once() -> None:
    short, calls = SCAN[:10], []
    with pytest.warns(sg.CoverageWarning) as told:
        sg.fdk(
            torch.zeros(short.projection_shape),
            short,
            GRID,
            device="cpu",
            memory=50_000,
            progress=lambda *now: calls.append(now),
        )
    assert len(told) == 1 and calls[-1][1] > 10  # several slabs


def test_gradients_where_everything_fits(device: torch.device) -> None:
    results = []
    for options in ({}, {"device": device, "memory": 10**8}):
        x = measured().requires_grad_()
        taps = FilteredBackprojection.of(SCAN, GRID, window="hann").taps.requires_grad_()
        volume = sg.fdk(x, SCAN, GRID, taps=taps, **options)
        volume.square().sum().backward()
        results.append((volume.detach(), x.grad, taps.grad))
    for expected, actual in zip(*results, strict=True):
        assert actual.device.type == "cpu"
        torch.testing.assert_close(actual, expected)
    with pytest.raises(ValueError, match=r"gradients need all of it on cpu at once, .* bytes, and 150,000 may be used"):
        sg.fdk(measured().requires_grad_(), SCAN, GRID, device="cpu", memory=150_000)


def test_an_empty_batch() -> None:
    assert sg.fdk(torch.zeros(0, 24, 36, 30), SCAN, GRID, device="cpu", memory=10**6).shape == (0, *GRID.shape)


def test_without_memory_the_cpu_computes_the_whole() -> None:
    projections = measured()
    assert torch.equal(sg.fdk(projections, SCAN, GRID, device="cpu"), sg.fdk(projections, SCAN, GRID))


def test_blocks_are_larger_for_large_volumes_on_a_gpu() -> None:
    """In bytes, whatever the type of the numbers."""
    view = 4 << 20
    assert blocks.block_views(0, view, on_gpu=True) == 240  # 1 GiB, in 24s
    assert blocks.block_views(32 << 30, view, on_gpu=True) == 1008  # 4 GiB
    assert blocks.block_views(32 << 30, view, on_gpu=False) == 24


def test_bad_input() -> None:
    projections = torch.zeros(SCAN.projection_shape)
    with pytest.raises(ValueError, match="memory: 1,000 bytes are too few; a slice of 16 x 18 voxels"):
        sg.fdk(projections, SCAN, GRID, device="cpu", memory=1000)
    with pytest.raises(TypeError, match="fdk takes a ConeBeam"):
        sg.fdk(projections, sg.ParallelBeam([0.0], SCAN.detector), GRID, device="cpu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="memory: expected it together with device"):
        sg.fdk(projections, SCAN, GRID, memory=10**9)
    with pytest.raises(ValueError, match=r"geometry\.projection_shape .* does not match projections"):
        sg.fdk(projections[1:], SCAN, GRID, device="cpu")
    with pytest.raises(ValueError, match=r"device: expected cpu, cuda or cuda:1 [.]{3}, got 'gpu'"):
        sg.fdk(projections, SCAN, GRID, device="gpu")
    with pytest.raises(
        ValueError, match=r"device: expected cpu, cuda or cuda:1 [.]{3}, got 'meta': there are no kernels"
    ):
        sg.fdk(projections, SCAN, GRID, device="meta")
    projections[3, 4, 5] = torch.nan
    with pytest.raises(ValueError, match="got NaN or infinity in 1 rows of views 0 to"):
        sg.fdk(projections, SCAN, GRID, device="cpu", memory=10**8)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu() -> None:
    projections = torch.zeros(SCAN.projection_shape)
    for call in (
        lambda: sg.fdk(projections, SCAN, GRID, device="cuda"),
        lambda: InSlabs(sg.XRayTransform(SCAN, GRID))(torch.zeros(GRID.shape)),
    ):
        with pytest.raises(ValueError, match="device: expected one that is here, got 'cuda', and torch sees no GPU: "):
            call()
