"""`fdk` and `fbp` as differentiable functions: gradcheck and gradgradcheck in float64, end to end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import sinograd as sg

CIRCLE = dict(source_to_origin=60.0, source_to_detector=90.0)
VOLUME = sg.Grid((3, 3, 4), (5.0, 6.0, 6.0), center=(1.0, -1.0, 2.0))
IMAGE = sg.Grid((4, 3), 6.0, center=(1.0, -1.0))
FLAT, CURVED = sg.FlatDetector, sg.CurvedDetector


def cone(detector: sg.FlatDetector | sg.CurvedDetector, **more: float) -> sg.ConeBeam:
    return sg.ConeBeam.circular(**CIRCLE, angles=sg.full_scan(4, start=0.2), detector=detector, **more)


SCANS: dict[str, sg.Geometry] = {
    "cone": cone(FLAT((3, 6), 8.0)),
    "cone, curved": cone(CURVED((3, 6), 8.0)),
    "cone, half fan": cone(FLAT((3, 6), 8.0, offset=(0.0, 16.0))),
    "cone, half fan, curved": cone(CURVED((3, 6), 8.0, offset=(0.0, -16.0))),
    "cone, turned": cone(FLAT((3, 6), 8.0), tilt=0.1, in_plane_rotation=0.05),
    "fan": sg.FanBeam.circular(**CIRCLE, angles=sg.full_scan(4), detector=FLAT(7, 8.0)),
    "fan, short": sg.FanBeam.short_scan(**CIRCLE, views=5, detector=FLAT(7, 8.0)),
    "fan, half": sg.FanBeam.circular(**CIRCLE, angles=sg.full_scan(4), detector=FLAT(6, 8.0, offset=16.0)),
    "fan, curved": sg.FanBeam.circular(**CIRCLE, angles=sg.full_scan(4), detector=CURVED(7, 8.0)),
    "parallel": sg.ParallelBeam(sg.full_scan(8)[:4], FLAT(7, 4.0)),
    "parallel, 3-D": sg.ParallelBeam(sg.full_scan(8)[:4], FLAT((3, 6), 5.0)),
}


def reconstruction(geometry: sg.Geometry) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    run = sg.fdk if isinstance(geometry, sg.ConeBeam) else sg.fbp
    grid = VOLUME if geometry.ndim == 3 else IMAGE

    def reconstruct(projections: Tensor, taps: Tensor, weights: Tensor) -> Tensor:
        return run(projections, geometry, grid, taps=taps, weights=weights)  # type: ignore[arg-type]

    return reconstruct


def inputs(geometry: sg.Geometry, *batch: int, scale: float = 1.0) -> list[Tensor]:
    """Projections, 5 taps and weights, all of which want gradients; not too far from the reconstruction's size."""
    shapes = [(*batch, *geometry.projection_shape), (5,), (geometry.views, geometry.columns)]
    return [torch.randn(s, dtype=torch.float64).mul(scale).requires_grad_() for s in shapes]


@pytest.fixture(autouse=True)
def few_views(recwarn: pytest.WarningsRecorder) -> None:
    """Four views are enough for a gradient, not for a scan."""
    import warnings

    warnings.simplefilter("ignore", sg.CoverageWarning)


@pytest.mark.parametrize("name", SCANS)
def test_gradients_in_projections_taps_and_weights(name: str) -> None:
    function, tensors = reconstruction(SCANS[name]), inputs(SCANS[name])
    assert function(*tensors).abs().max() > 1e-3
    assert gradcheck(function, tensors)
    assert gradgradcheck(function, tensors)


def upright_weights(geometry: sg.Geometry) -> tuple[int, int]:
    return geometry.views, geometry.columns


@pytest.mark.parametrize("name", ["cone, half fan", "fan", "parallel, 3-D"])
def test_gradients_of_a_batch(name: str) -> None:
    function, tensors = reconstruction(SCANS[name]), inputs(SCANS[name], 2, 1)
    assert gradcheck(function, tensors)
    assert gradgradcheck(function, tensors, atol=1e-4)


@pytest.mark.parametrize("name", ["cone", "cone, half fan", "fan, curved", "parallel"])
def test_gradients_through_the_windows_taps(name: str) -> None:
    """The taps and weights that `fdk` makes by itself."""
    geometry = SCANS[name]
    run = sg.fdk if isinstance(geometry, sg.ConeBeam) else sg.fbp
    grid = VOLUME if geometry.ndim == 3 else IMAGE
    projections = torch.randn(geometry.projection_shape, dtype=torch.float64, requires_grad=True)

    def reconstruct(p: Tensor) -> Tensor:
        return run(p, geometry, grid, window="hann")  # type: ignore[arg-type]

    assert gradcheck(reconstruct, projections)
    assert gradgradcheck(reconstruct, projections)


def test_one_gradient_at_a_time() -> None:
    """What does not ask for a gradient gets none, and the others' do not change."""
    function, tensors = reconstruction(SCANS["cone"]), inputs(SCANS["cone"])
    target = torch.randn(VOLUME.shape, dtype=torch.float64)
    everything = torch.autograd.grad((function(*tensors) * target).sum(), tensors)
    for i in range(3):
        alone = [t.detach().requires_grad_(i == k) for k, t in enumerate(tensors)]
        (function(*alone) * target).sum().backward()
        assert torch.allclose(alone[i].grad, everything[i])  # type: ignore[arg-type]
        assert [t.grad is None for t in alone] == [k != i for k in range(3)]


def test_training_the_taps_finds_the_ramp() -> None:
    """From no filter at all, by least squares against Ram-Lak's image: the gradient points where it should."""
    geometry = sg.ParallelBeam(sg.full_scan(32)[:16], FLAT(15, 4.0))
    grid = sg.Grid((12, 12), 4.0)
    sinograms = torch.randn(8, 16, 15, dtype=torch.float64)
    wanted = sg.fbp(sinograms, geometry, grid)
    taps = torch.zeros(29, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([taps], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = (sg.fbp(sinograms, geometry, grid, taps=taps) - wanted).square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    assert torch.allclose(taps.detach(), sg.FBP(geometry, grid).taps, atol=1e-3)
