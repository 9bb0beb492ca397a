"""Operators in slabs give what they give at once, with a small budget on the CPU standing for a small card."""

from __future__ import annotations

import pytest
import torch

import sinograd as sg
from sinograd.ops.linear_operator import LinearOperator
from sinograd.ops.slab_plan import COPIES, memory_of, needed_rows_of_slab, plan_slabs
from sinograd.ops.slabs import InSlabs
from sinograd.ops.transfers import one_ahead

GRID = sg.Grid((18, 12, 14), (1.0, 1.3, 1.2), (1.0, -2.0, 3.0))
PIXELS = sg.FlatDetector((26, 24), (1.5, 1.4), offset=(2.0, 1.0))
ORBIT = {"source_to_origin": 60, "source_to_detector": 90, "angles": sg.full_scan(9, 0.1)}
SCANS: dict[str, sg.Geometry] = {
    "circle": sg.ConeBeam.circular(**ORBIT, detector=PIXELS),
    "tilted": sg.ConeBeam.circular(**ORBIT, detector=PIXELS, tilt=0.2, in_plane_rotation=0.3),
    "helix": sg.ConeBeam.helical(**ORBIT, detector=sg.FlatDetector((12, 24), (1.5, 1.4)), pitch=15.0),
    "curved": sg.ConeBeam.circular(**ORBIT, detector=sg.CurvedDetector((26, 24), 1.4)),
    "curved about another point": sg.ConeBeam.circular(**ORBIT, detector=sg.CurvedDetector((26, 24), 1.4, radius=70)),
    "curved, tilted": sg.ConeBeam.circular(**ORBIT, detector=sg.CurvedDetector((26, 24), 1.4), tilt=0.2),
    "parallel": sg.ParallelBeam(sg.full_scan(9), PIXELS),
}
SMALL = 25_000  # bytes; 1041 numbers of float32 for a slab, as many for projections


def operators(geometry: sg.Geometry) -> list[LinearOperator]:
    weighting = "fdk" if geometry.divergent else "none"
    return [sg.XRayTransform(geometry, GRID), sg.Backprojection(geometry, GRID, weighting=weighting)]


@pytest.mark.parametrize("name", SCANS)
def test_same_result(name: str, device: torch.device) -> None:
    """Forward and adjoint of both operators, batched, in float64, where only the positions' rounding is left."""
    for operator in operators(SCANS[name]):
        slabs = InSlabs(operator, device, memory=4 * SMALL)
        plan = slabs.plan(8, 2)
        assert len(plan.slabs) >= 3 and plan.views < operator.geometry.views
        for ours, whole in ((slabs, operator), (slabs.T, operator.T)):
            x = torch.randn(2, *whole.domain_shape, dtype=torch.float64)
            expected = whole(x)
            assert ours.domain_shape == whole.domain_shape and ours.range_shape == whole.range_shape
            assert float((ours(x) - expected).abs().max()) < 1e-6 * float(expected.abs().max())


def test_float32_is_the_same_to_rounding_and_adjoint(device: torch.device) -> None:
    operator = sg.XRayTransform(SCANS["circle"], GRID)
    slabs = InSlabs(operator, device, memory=SMALL)
    x, y = torch.randn(GRID.shape), torch.randn(operator.range_shape)
    projected = slabs(x)
    torch.testing.assert_close(projected, operator(x), rtol=1e-4, atol=1e-4)
    left, right = (projected.double() * y).sum(), (x.double() * slabs.T(y)).sum()
    assert abs(left - right) < 1e-5 * (projected.double() * y).norm()


@pytest.mark.parametrize("index", [0, 1], ids=["projection", "backprojection"])
def test_gradients(index: int) -> None:
    slabs = InSlabs(operators(SCANS["helix"])[index], "cpu", memory=2 * SMALL)
    x = torch.randn(slabs.domain_shape, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(slabs.range_shape, dtype=torch.float64)
    slabs(x).backward(weights)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, slabs.T(weights))


def test_subset(device: torch.device) -> None:
    operator = operators(SCANS["tilted"])[1]
    part = InSlabs(operator, device, memory=4 * SMALL).subset([0, 4, 5])
    y = torch.randn(part.domain_shape, dtype=torch.float64)
    torch.testing.assert_close(part(y), operator.subset([0, 4, 5])(y), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", SCANS)
def test_rows(name: str) -> None:
    """Rows beyond those of a slab see nothing of it; in a larger scan most rows are left out."""
    geometry = SCANS[name]
    operator = sg.XRayTransform(geometry, GRID)
    for first, last in ((0, 3), (9, 10), (15, 18)):
        rows = needed_rows_of_slab(geometry, GRID, first, last)
        volume = torch.zeros(GRID.shape, dtype=torch.float64)
        volume[first:last] = 1
        seen = (operator(volume) > 0).any(2)
        index = torch.arange(geometry.rows)
        assert not seen[(index < rows[:, :1]) | (index >= rows[:, 1:])].any()
        assert (rows[:, 1] - rows[:, 0]).float().mean() < 0.8 * geometry.rows


def test_the_plan_fits() -> None:
    """Parts, counted as often as they are held, stay below the budget; with much memory there is one slab."""
    geometry = SCANS["circle"]
    for memory in (SMALL, 2 * SMALL, 10**9):
        plan = plan_slabs(geometry, GRID, memory, 4)
        voxels = max(slab.last - slab.first for slab in plan.slabs) * 12 * 14
        spans = [piece for slab in plan.slabs for piece in plan.pieces(slab, geometry)]
        pixels = max((p.rows.stop - p.rows.start) * (p.views.stop - p.views.start) * 24 for p in spans)
        assert (voxels + pixels) * 4 * COPIES <= memory * 1.1
        assert [slab.first for slab in plan.slabs[1:]] == [slab.last for slab in plan.slabs[:-1]]
    assert len(plan.slabs) == 1 and plan.views == geometry.views
    # everything twice, and no more, makes slabs unnecessary, however unlike in size volume and projections are
    for grid in (GRID, sg.Grid((40, 12, 14), 0.5)):
        everything = 4 * (grid.shape[0] * 12 * 14 + 9 * 26 * 24)
        fits, less = (plan_slabs(geometry, grid, memory, 4) for memory in (2 * everything, 2 * everything - 1))
        assert len(fits.slabs) == 1 and fits.views == geometry.views
        assert len(less.slabs) > 1 or less.views < geometry.views
    # a slab needs fewer rows than all
    thin = plan_slabs(geometry, GRID, SMALL, 4)
    read = sum(int((slab.rows[:, 1] - slab.rows[:, 0]).sum()) for slab in thin.slabs)
    assert read < 0.7 * len(thin.slabs) * geometry.views * geometry.rows


def test_what_torch_keeps_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"mem_get_info": (100, 1000), "memory_reserved": 700, "memory_allocated": 200}
    for name, value in known.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert memory_of(torch.device("cuda"), None) == 480
    assert memory_of(torch.device("cuda"), 50) == 50


def test_bad_input() -> None:
    operator = sg.XRayTransform(SCANS["circle"], GRID)
    with pytest.raises(ValueError, match="memory: 1,000 bytes are too few; a slice of 12 x 14 voxels and a view"):
        InSlabs(operator, "cpu", memory=1000)(torch.zeros(GRID.shape))
    with pytest.raises(ValueError, match="memory: expected a number of bytes for the device cpu"):
        InSlabs(operator, "cpu")(torch.zeros(GRID.shape))
    with pytest.raises(ValueError, match="expected a positive number of bytes, got -1"):
        InSlabs(operator, "cpu", memory=-1)(torch.zeros(GRID.shape))
    with pytest.raises(TypeError, match=r"expected a number of bytes, got '2 GB'"):
        InSlabs(operator, "cpu", memory="2 GB")(torch.zeros(GRID.shape))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected an XRayTransform or a Backprojection, got Adjoint"):
        InSlabs(operator.T)  # type: ignore[arg-type]
    flat = sg.XRayTransform(sg.ParallelBeam([0.0], sg.FlatDetector(9, 1.0)), sg.Grid((4, 4)))
    with pytest.raises(ValueError, match="expected a 3-D one"):
        InSlabs(flat)
    with pytest.raises(ValueError, match="does not match volume"):
        InSlabs(operator, "cpu", memory=SMALL)(torch.zeros(3, 4, 5))


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before anything is copied, whether the memory is given or not."""
    operator = sg.XRayTransform(SCANS["circle"], GRID)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for memory in (None, SMALL):
        for built, remedy in ((None, "this torch is a build for the CPU"), ("13.0", "nvidia-smi tells")):
            monkeypatch.setattr(torch.version, "cuda", built)
            with pytest.raises(ValueError, match=f"device: expected .* 'cuda', and torch sees no GPU: {remedy}"):
                InSlabs(operator, memory=memory)(torch.zeros(GRID.shape))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match=r"device: expected .* cuda:0 to cuda:1, got 'cuda:2'"):
        InSlabs(operator, "cuda:2", memory=SMALL)(torch.zeros(GRID.shape))


def test_a_subset_leaves_the_whole_as_it_is() -> None:
    slabs = InSlabs(sg.XRayTransform(SCANS["circle"], GRID), "cpu", memory=SMALL)
    part = slabs.subset([1, 4])
    assert (slabs.operator.geometry.views, part.operator.geometry.views) == (9, 2)  # type: ignore[attr-defined]
    assert part.range_shape == (2, 26, 24) and slabs.range_shape == (9, 26, 24)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_one_part_is_on_its_way_ahead(count: int) -> None:
    events: list[str] = []
    for part in one_ahead(range(count), lambda part: (events.append(f"start {part}"), part)[1]):
        events.append(f"use {part}")
    uses = [f"use {part}" for part in range(count)]
    assert [event for event in events if event.startswith("use")] == uses
    for part in range(count):
        assert events.index(f"start {part}") < events.index(f"use {max(0, part - 1)}")
