"""Backprojection that filters again in the backward pass. Truth: the one that keeps everything."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import sinograd as sg
from sinograd.recon.analytic.filtered_backprojection import FilteredBackprojection
from sinograd.recon.analytic.recomputed import Recomputed

CIRCLE = dict(source_to_origin=300.0, source_to_detector=450.0)
SCANS: dict[str, sg.Geometry] = {
    "cone": sg.ConeBeam.circular(**CIRCLE, angles=sg.full_scan(13), detector=sg.FlatDetector((6, 14), 14.0)),
    "half fan": sg.ConeBeam.circular(
        **CIRCLE, angles=sg.full_scan(13), detector=sg.FlatDetector((6, 14), 14.0, offset=(0.0, 42.0))
    ),
    "short scan, curved": sg.ConeBeam.short_scan(**CIRCLE, views=13, detector=sg.CurvedDetector((6, 14), 14.0)),
    "tilted": sg.ConeBeam.circular(
        **CIRCLE, angles=sg.full_scan(13), detector=sg.FlatDetector((6, 14), 14.0), tilt=0.03
    ),
    "fan": sg.FanBeam.circular(**CIRCLE, angles=sg.full_scan(13), detector=sg.FlatDetector(14, 14.0)),
    "parallel": sg.ParallelBeam(sg.full_scan(13), sg.FlatDetector((6, 14), 10.0)),
}


def layer(name: str, recompute: bool, trainable: tuple[str, ...] = (), truncation: str = "none") -> sg.FDK | sg.FBP:
    geometry = SCANS[name]
    kind = sg.FDK if isinstance(geometry, sg.ConeBeam) else sg.FBP
    grid = sg.Grid((3, 7, 8) if geometry.ndim == 3 else (7, 8), 12.0)
    options = {"trainable": trainable, "truncation": truncation, "recompute": recompute}
    return kind(geometry, grid, **options).double()  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def three_views_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FilteredBackprojection, "recomputed", lambda self: Recomputed(self, block=3))


@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize("trainable", [(), ("taps", "weights")])
@pytest.mark.parametrize("truncation", ["none", "ellipse"])
def test_volume_and_gradients_are_the_same(name: str, trainable: tuple[str, ...], truncation: str) -> None:
    geometry = SCANS[name]
    projections = torch.randn(2, *geometry.projection_shape, dtype=torch.float64)
    results = []
    for recompute in (False, True):
        module = layer(name, recompute, trainable, truncation)
        x = projections.clone().requires_grad_()
        volume = module(x)
        (volume * torch.linspace(-1, 1, volume.numel(), dtype=torch.float64).reshape(volume.shape)).sum().backward()
        results.append([volume.detach(), x.grad, *(parameter.grad for parameter in module.parameters())])
    for kept, again in zip(*results, strict=True):
        torch.testing.assert_close(again, kept, rtol=1e-12, atol=1e-12 * float(kept.abs().max()))


def test_gradients_of_any_order() -> None:
    module = layer("cone", True, ("weights",))
    x = torch.randn(SCANS["cone"].projection_shape, dtype=torch.float64, requires_grad=True)
    assert gradcheck(module, x, fast_mode=True)
    assert gradgradcheck(module, x, fast_mode=True)


def test_without_gradients_nothing_changes() -> None:
    x = torch.randn(SCANS["cone"].projection_shape)
    with torch.no_grad():
        assert torch.equal(layer("cone", True)(x), layer("cone", False)(x))
    done: list[tuple[int, int]] = []
    layer("cone", True)(x.requires_grad_(), lambda *report: done.append(report))
    assert done[-1] == (13, 13)


def test_wrong_shapes_are_told_as_ever() -> None:
    with pytest.raises(ValueError, match="columns 14 != 9"):
        layer("cone", True)(torch.randn(13, 6, 9, requires_grad=True))


def test_less_is_kept() -> None:
    """Bytes that the graph holds."""
    geometry = sg.ConeBeam.circular(**CIRCLE, angles=sg.full_scan(60), detector=sg.FlatDetector((20, 40), 5.0))
    grid, kept = sg.Grid((3, 7, 8), 12.0), []
    x = torch.randn(geometry.projection_shape, requires_grad=True)
    for recompute in (False, True):
        held = 0

        def count(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal held
            held += tensor.nbytes
            return tensor

        module = sg.FDK(geometry, grid, recompute=recompute)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            module(x)
        kept.append(held)
    assert kept[0] > 2 * x.nbytes
    assert kept[1] < 1.2 * x.nbytes  # which is memory of x itself
