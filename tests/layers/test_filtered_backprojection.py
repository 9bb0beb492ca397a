"""`FDK` and `FBP`: the functions of `sinograd.recon` with parameters."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

import sinograd as sg

CIRCLE = dict(source_to_origin=300.0, source_to_detector=450.0, angles=sg.full_scan(12))
VOLUME, IMAGE = sg.Grid((4, 8, 10), 10.0), sg.Grid((8, 10), 10.0)
SCANS: dict[str, sg.Geometry] = {
    "cone": sg.ConeBeam.circular(**CIRCLE, detector=sg.FlatDetector((6, 14), 14.0)),
    "cone, half fan": sg.ConeBeam.circular(**CIRCLE, detector=sg.FlatDetector((6, 14), 14.0, offset=(0.0, 42.0))),
    "cone, curved": sg.ConeBeam.circular(**CIRCLE, detector=sg.CurvedDetector((6, 14), 14.0)),
    "fan": sg.FanBeam.circular(**CIRCLE, detector=sg.FlatDetector(14, 14.0)),
    "parallel": sg.ParallelBeam(sg.full_scan(12), sg.FlatDetector(14, 10.0)),
    "parallel, 3-D": sg.ParallelBeam(sg.full_scan(12), sg.FlatDetector((6, 14), 10.0)),
}
EVERY_SCAN = pytest.mark.parametrize("name", SCANS)


def layer(name: str, **more: Any) -> sg.FDK | sg.FBP:
    geometry = SCANS[name]
    kind = sg.FDK if isinstance(geometry, sg.ConeBeam) else sg.FBP
    return kind(geometry, VOLUME if geometry.ndim == 3 else IMAGE, **more)  # type: ignore[arg-type]


def run(projections: Tensor, name: str, **more: Any) -> Tensor:
    geometry = SCANS[name]
    function = sg.fdk if isinstance(geometry, sg.ConeBeam) else sg.fbp
    return function(projections, geometry, VOLUME if geometry.ndim == 3 else IMAGE, **more)  # type: ignore[arg-type]


def noise(name: str, *batch: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*batch, *SCANS[name].projection_shape, dtype=dtype)


@EVERY_SCAN
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("filter_", [{}, {"window": "hann", "cutoff": 0.8}])
def test_the_layer_is_the_function(name: str, dtype: torch.dtype, filter_: dict[str, Any]) -> None:
    projections = noise(name, 2, dtype=dtype)
    assert torch.equal(layer(name, **filter_)(projections), run(projections, name, **filter_))


@EVERY_SCAN
def test_trainable_parameters_start_as_the_function(name: str) -> None:
    module = layer(name, trainable=("taps", "weights"))
    projections = noise(name)
    expected = run(projections, name)
    assert torch.allclose(module(projections), expected, atol=1e-6 * expected.abs().max().item(), rtol=1e-5)
    exact = layer(name, trainable=("taps", "weights")).double()
    with torch.no_grad():
        module.taps.mul_(2)  # type: ignore[operator]
    assert torch.allclose(module(projections), 2 * expected, atol=1e-5 * expected.abs().max().item(), rtol=1e-5)
    assert exact(projections.double()).dtype == torch.float64


def test_default_grid() -> None:
    geometry = SCANS["cone"]
    module = sg.FDK(geometry)  # type: ignore[arg-type]
    assert module.grid.equals(geometry.default_grid())
    assert module(noise("cone")).shape == geometry.default_grid().shape


def test_parameters_are_what_was_asked_for() -> None:
    assert list(layer("cone").parameters()) == []
    assert layer("cone").state_dict() == {}
    for trainable in (("taps",), ("weights",), ("taps", "weights"), ["weights"]):
        module = layer("cone", trainable=trainable)
        assert sorted(dict(module.named_parameters())) == sorted(trainable)
        assert sorted(module.state_dict()) == sorted(trainable)
    assert dict(layer("cone", trainable="taps").named_parameters())["taps"].shape == (27,)
    assert layer("cone", trainable="weights").weights.shape == (12, 14)
    # the short side of a half fan is filtered, too
    assert layer("cone, half fan", trainable="taps").taps.shape == (2 * (14 + 6) - 1,)
    assert layer("cone, half fan", trainable="weights").weights.shape == (12, 14)


def test_state_round_trip() -> None:
    trained = layer("fan", trainable=("taps", "weights"))
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(torch.rand_like(parameter))
    file = io.BytesIO()
    torch.save(trained.state_dict(), file)
    file.seek(0)
    fresh = layer("fan", trainable=("taps", "weights"))
    fresh.load_state_dict(torch.load(file, weights_only=True))
    projections = noise("fan")
    assert torch.equal(fresh(projections), trained(projections))
    assert not torch.equal(fresh(projections), layer("fan")(projections))


@EVERY_SCAN
def test_casts_lose_nothing(name: str) -> None:
    """Fixed taps and weights stay float64 through half precision and back; trained ones follow."""
    projections = noise(name, dtype=torch.float64)
    expected = layer(name)(projections)
    assert torch.equal(layer(name).half().float().double()(projections), expected)
    assert torch.equal(layer(name).to(torch.float32)(projections), expected)
    module = layer(name, trainable="taps").to(torch.float32)
    assert module.taps.dtype == torch.float32
    assert module.weights.dtype == torch.float64
    assert module.double().taps.dtype == torch.float64
    assert isinstance(module.taps, torch.nn.Parameter)


@EVERY_SCAN
@pytest.mark.parametrize("made", ["layer", "reconstruction"])
def test_the_weights_of_one_view_can_be_changed(name: str, made: str) -> None:
    """Also of scans whose views are all alike, of which one row of weights is computed."""
    geometry, grid = SCANS[name], VOLUME if SCANS[name].ndim == 3 else IMAGE
    own = layer(name) if made == "layer" else sg.recon.FilteredBackprojection.of(geometry, grid)
    projections = noise(name, dtype=torch.float64)
    without = projections.clone()
    without[3] = 0
    expected = run(without, name)
    before = own.weights.clone()
    own.weights[3] = 0
    assert torch.equal(own.weights[4:], before[4:])
    assert torch.equal(own.weights[:3], before[:3])
    result = own(projections) if isinstance(own, torch.nn.Module) else own.volume(projections)
    assert torch.allclose(result, expected, atol=1e-12 * expected.abs().max().item(), rtol=0)
    own.weights.mul_(0)
    assert not own.weights.any()


def test_copies() -> None:
    module = layer("cone", trainable="taps")
    projections = noise("cone")
    for same in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(same(projections), module(projections))
        assert same.taps is not module.taps
        assert same.geometry.equals(module.geometry)


def test_the_optimiser_lowers_the_loss() -> None:
    module = layer("fan", trainable=("taps", "weights"))
    projections, wanted = noise("fan", 4), torch.randn(4, *IMAGE.shape) * 0.01
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = (module(projections) - wanted).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_between_other_layers() -> None:
    """Gradients reach what comes before, and a network around it works as one module."""
    before, after = torch.nn.Conv2d(1, 1, 3, padding=1), torch.nn.Conv2d(1, 1, 3, padding=1)
    network = torch.nn.Sequential(before, layer("fan", trainable="weights"), after)
    network(noise("fan", 2, 1)).square().sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0
    assert sorted(network.state_dict()) == ["0.bias", "0.weight", "1.weights", "2.bias", "2.weight"]


def test_gradients_in_the_parameters() -> None:
    module = layer("fan", trainable=("taps", "weights")).double()
    projections = noise("fan", dtype=torch.float64)

    def reconstruct(*parameters: Tensor) -> Tensor:
        values = dict(zip(("taps", "weights"), parameters, strict=True))
        return torch.func.functional_call(module, values, (projections,))

    assert gradcheck(reconstruct, tuple(module.parameters()), fast_mode=True)


def test_progress() -> None:
    calls: list[tuple[int, int]] = []
    layer("cone")(noise("cone"), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (12, 12)


def test_it_prints_what_it_is() -> None:
    text = repr(layer("fan", window="hann", cutoff=0.5, trainable="taps"))
    for part in ("FBP(", "FanBeam.circular(", "Grid(shape=(8, 10)", "window='hann'", "cutoff=0.5", "('taps',)"):
        assert part in text
    assert "trainable" not in repr(layer("cone"))


def test_missing_rays_warn_once_when_it_is_made() -> None:
    geometry = sg.ParallelBeam(sg.full_scan(12)[:4], sg.FlatDetector(14, 10.0))
    with pytest.warns(sg.CoverageWarning):
        module = sg.FBP(geometry, IMAGE)
    module(torch.rand(4, 14))  # warnings are errors here
