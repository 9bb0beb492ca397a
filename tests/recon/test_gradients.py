"""`fdk` and `fbp` as differentiable functions: gradcheck and gradgradcheck in float64, end to end.

Most checks go through the layers, which make their plan once; that they are the functions is tested beside them.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

import sinograd as sg

# Scans of a few views keep the checks quick; they measure few of the rays, as they should say.
pytestmark = pytest.mark.filterwarnings("ignore::sinograd.errors.CoverageWarning")

CIRCLE = dict(source_to_origin=60.0, source_to_detector=90.0)
VOLUME = sg.Grid((3, 2, 3), (5.0, 8.0, 7.0), center=(1.0, -1.0, 2.0))
IMAGE = sg.Grid((3, 4), 6.0, center=(1.0, -1.0))
FLAT, CURVED = sg.FlatDetector, sg.CurvedDetector


def cone(detector: sg.FlatDetector | sg.CurvedDetector, **more: float) -> sg.ConeBeam:
    return sg.ConeBeam.circular(**CIRCLE, angles=sg.full_scan(3, start=0.2), detector=detector, **more)


def fan(detector: sg.FlatDetector | sg.CurvedDetector) -> sg.FanBeam:
    return sg.FanBeam.circular(**CIRCLE, angles=sg.full_scan(3, start=0.2), detector=detector)


SCANS: dict[str, sg.Geometry] = {
    "cone": cone(FLAT((2, 5), 8.0)),
    "cone, curved": cone(CURVED((2, 5), 8.0)),
    "cone, half fan": cone(FLAT((2, 4), 8.0, offset=(0.0, 8.0))),
    "cone, half fan, curved": cone(CURVED((2, 4), 8.0, offset=(0.0, -8.0))),
    "cone, turned": cone(FLAT((2, 4), 8.0), tilt=0.1, in_plane_rotation=0.05),
    "fan": fan(FLAT(6, 8.0)),
    "fan, short": sg.FanBeam.short_scan(**CIRCLE, views=5, detector=FLAT(5, 8.0)),
    "fan, half": fan(FLAT(5, 8.0, offset=12.0)),
    "fan, curved": fan(CURVED(6, 8.0)),
    "parallel": sg.ParallelBeam(sg.full_scan(8)[:4], FLAT(6, 4.0)),
    "parallel, 3-D": sg.ParallelBeam(sg.full_scan(6)[:3], FLAT((2, 5), 5.0)),
}


def grid_for(geometry: sg.Geometry) -> sg.Grid:
    return VOLUME if geometry.ndim == 3 else IMAGE


def run(projections: Tensor, geometry: sg.Geometry, **more: object) -> Tensor:
    function = sg.fdk if isinstance(geometry, sg.ConeBeam) else sg.fbp
    return function(projections, geometry, grid_for(geometry), **more)  # type: ignore[arg-type]


def make_layer(geometry: sg.Geometry, **more: object) -> sg.FDK | sg.FBP:
    kind = sg.FDK if isinstance(geometry, sg.ConeBeam) else sg.FBP
    return kind(geometry, grid_for(geometry), **more).double()  # type: ignore[arg-type]


def layer(geometry: sg.Geometry) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The reconstruction as a function of projections, taps and weights."""
    module = make_layer(geometry, trainable=("taps", "weights"))

    def reconstruct(projections: Tensor, taps: Tensor, weights: Tensor) -> Tensor:
        return functional_call(module, {"taps": taps, "weights": weights}, (projections,))

    return reconstruct


def inputs(geometry: sg.Geometry, *batch: int) -> list[Tensor]:
    """Projections, 5 taps and weights, all of which want gradients."""
    shapes = [(*batch, *geometry.projection_shape), (5,), make_layer(geometry).weights.shape]
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("name", SCANS)
def test_gradients_in_projections_taps_and_weights(name: str) -> None:
    function, tensors = layer(SCANS[name]), inputs(SCANS[name])
    assert function(*tensors).abs().max() > 1e-3
    assert gradcheck(function, tensors)
    assert gradgradcheck(function, tensors)


@pytest.mark.parametrize("name", ["cone, half fan", "fan"])
def test_gradients_of_a_batch(name: str) -> None:
    function, tensors = layer(SCANS[name]), inputs(SCANS[name], 2)
    assert gradcheck(function, tensors)
    assert gradgradcheck(function, tensors)


@pytest.mark.parametrize("name", ["cone", "fan, half"])
def test_gradients_of_the_functions(name: str) -> None:
    """With the window's taps and the coverage's weights, and with given ones."""
    projections, taps, weights = inputs(SCANS[name])
    assert gradcheck(lambda p: run(p, SCANS[name], window="hann"), projections)
    assert gradcheck(lambda t, w: run(projections.detach(), SCANS[name], taps=t, weights=w), (taps, weights))
    assert gradgradcheck(lambda p: run(p, SCANS[name]), projections, fast_mode=True)


def test_one_gradient_at_a_time() -> None:
    """What does not ask for a gradient gets none, and the others' do not change."""
    function, tensors = layer(SCANS["cone"]), inputs(SCANS["cone"])
    target = torch.randn(VOLUME.shape, dtype=torch.float64)
    everything = torch.autograd.grad((function(*tensors) * target).sum(), tensors)
    for i in range(3):
        alone = [t.detach().requires_grad_(i == k) for k, t in enumerate(tensors)]
        (function(*alone) * target).sum().backward()
        assert torch.allclose(alone[i].grad, everything[i])  # type: ignore[arg-type]
        assert [t.grad is None for t in alone] == [k != i for k in range(3)]


def test_training_the_taps_finds_the_ramp() -> None:
    """From no filter at all, by least squares against Ram-Lak's image: the gradient points where it should."""
    geometry = sg.ParallelBeam(sg.full_scan(24)[:12], FLAT(9, 4.0))
    grid = sg.Grid((10, 10), 4.0)
    layer = sg.FBP(geometry, grid, trainable="taps").double()
    ramp = layer.taps.detach().clone()
    sinograms = torch.randn(8, 12, 9, dtype=torch.float64)
    wanted = layer(sinograms).detach()
    torch.nn.init.zeros_(layer.taps)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = (layer(sinograms) - wanted).square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    assert torch.allclose(layer.taps, ramp, atol=1e-3)
