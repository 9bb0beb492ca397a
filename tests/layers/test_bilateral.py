"""Bilateral filters as layers: what they compute, what is trained, and when the window changes."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

import sinograd as sg
from sinograd.layers import bilateral as module
from sinograd.ops import bilateral_filter, joint_bilateral_filter

PLAIN = {3: sg.BilateralFilter3d, 2: sg.BilateralFilter2d}
JOINT = {3: sg.JointBilateralFilter3d, 2: sg.JointBilateralFilter2d}
EVERY_LAYER = pytest.mark.parametrize(
    ("kind", "ndim"),
    [(kind, ndim) for kinds in (PLAIN, JOINT) for ndim, kind in kinds.items()],
    ids=lambda value: getattr(value, "__name__", None),
)


def inputs(kind: Any, *shape: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """What the layer's forward takes."""
    return [torch.rand(*(shape or (2, 3, 6, 20)), dtype=dtype) for _ in range(2 if kind in JOINT.values() else 1)]


@EVERY_LAYER
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_layer_is_the_function(kind: Any, ndim: int, dtype: torch.dtype) -> None:
    layer = kind(0.8, 0.3, input_scale=2.5)
    function = joint_bilateral_filter if kind in JOINT.values() else bilateral_filter
    x = inputs(kind, dtype=dtype)
    sigma_range = torch.tensor(0.3) * torch.tensor(2.5)
    assert torch.equal(layer(*x), function(*x, torch.full((ndim,), 0.8), sigma_range))
    assert layer(*x).dtype == dtype
    fixed = kind([0.5, 0.7, 0.9][-ndim:], 0.3, window=7)
    assert torch.equal(fixed(*x), function(*x, torch.tensor([0.5, 0.7, 0.9][-ndim:]), torch.tensor(0.3), window=7))


@EVERY_LAYER
def test_starts_as_in_the_paper(kind: Any, ndim: int) -> None:
    layer = kind()
    assert torch.equal(layer.sigma_spatial, torch.full((ndim,), 0.5))
    assert torch.equal(layer.sigma_range, torch.tensor(0.01))
    assert sum(parameter.numel() for parameter in layer.parameters()) == ndim + 1
    assert layer.current_window() == (5,) * ndim


@pytest.mark.parametrize("scale", [1.0, 0.05, 4096.0, 1e-6])
def test_the_input_scale_makes_units_irrelevant(scale: float) -> None:
    """Data and scale multiplied alike: same gradients of the parameters, so the same training."""
    x = torch.rand(1, 4, 8, 20, dtype=torch.float64)
    layer, other = sg.BilateralFilter3d(0.6, 0.1).double(), sg.BilateralFilter3d(0.6, 0.1, input_scale=scale).double()
    result, scaled = layer(x), other(x * scale)
    assert torch.allclose(scaled, result * scale, rtol=1e-6)
    (result - x.mean()).square().mean().backward()
    (scaled / scale - x.mean()).square().mean().backward()
    for one, two in zip(layer.parameters(), other.parameters(), strict=True):
        assert torch.allclose(one.grad, two.grad, rtol=1e-5)


def test_gradcheck_of_parameters() -> None:
    """At 1.0, five standard deviations are just five voxels: the checked steps must not widen the window."""
    for kind, start in ((sg.BilateralFilter3d, (1.0, 0.6, 1.4)), (sg.JointBilateralFilter3d, (1.0, 0.05, 0.5))):
        layer = kind(start, 0.3, input_scale=2.0).double()
        x = [t.requires_grad_() for t in inputs(kind, 2, 3, 4, 5, dtype=torch.float64)]
        names, raw = zip(*layer.named_parameters(), strict=True)

        def run(*tensors: Tensor, layer: nn.Module = layer, names: Any = names, count: int = len(raw)) -> Tensor:
            return functional_call(layer, dict(zip(names, tensors[:count], strict=True)), tensors[count:])

        assert torch.autograd.gradcheck(run, (*raw, *x), fast_mode=True)
        assert torch.autograd.gradcheck(lambda *raw, x=x, run=run: run(*raw, *x), raw)


class TestWindow:
    def test_follows_the_parameter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its values are read once after each change, however often the layer runs."""
        reads: list[Tensor] = []
        original = module.bilateral_window
        monkeypatch.setattr(module, "bilateral_window", lambda sigma: reads.append(sigma) or original(sigma))
        layer = sg.BilateralFilter3d(0.99, 0.1)
        optimiser = torch.optim.Adam(sg.bilateral_parameter_groups(layer, spatial=0.1))
        x = torch.rand(3, 4, 5)
        for steps in (1, 2):
            for _ in range(3):
                layer(x)
            assert len(reads) == steps
            layer.raw_sigma_spatial.grad = torch.tensor([-1.0, 1.0, 1.0])
            layer.raw_sigma_range.grad = torch.tensor(0.0)
            optimiser.step()
        assert layer.current_window() == (7, 5, 5)

    @pytest.mark.parametrize("how", ["in place", "data", "state", "parameter", "copy"])
    def test_sees_every_kind_of_change(self, how: str) -> None:
        layer, wide = sg.BilateralFilter2d(), sg.BilateralFilter2d(2.0)
        assert layer.current_window() == (5, 5)
        if how == "in place":
            with torch.no_grad():
                layer.raw_sigma_spatial.fill_(2.0)
        elif how == "data":
            layer.raw_sigma_spatial.data = torch.tensor([2.0, 2.0])
        elif how == "state":
            layer.load_state_dict(wide.state_dict())
        elif how == "parameter":
            layer.raw_sigma_spatial = nn.Parameter(torch.tensor([2.0, 2.0]))
        else:
            layer = copy.deepcopy(layer)
            layer.raw_sigma_spatial.data.add_(1.5)
            layer = copy.deepcopy(layer)
        assert layer.current_window() == (11, 11)

    def test_in_inference_mode(self) -> None:
        with torch.inference_mode():
            layer = sg.BilateralFilter2d(0.5, 0.1)
            layer(torch.rand(5, 6))
            layer.raw_sigma_spatial.fill_(2.0)
            assert layer.current_window() == (11, 11)

    def test_given(self) -> None:
        assert sg.BilateralFilter3d(3.0, window=5).current_window() == (5, 5, 5)
        assert sg.BilateralFilter3d(3.0, window=(1, 3, 7)).current_window() == (1, 3, 7)


class TestTraining:
    def test_parameter_groups(self) -> None:
        shared = sg.BilateralFilter3d()
        network = nn.Sequential(shared, nn.Conv3d(1, 1, 1), nn.Sequential(sg.BilateralFilter3d(), shared))
        spatial, of_range, others = sg.bilateral_parameter_groups(network)
        assert (spatial["lr"], of_range["lr"], others["lr"]) == (0.01, 0.005, 1e-3)
        assert [p.shape for p in others["params"]] == [(1, 1, 1, 1, 1), (1,)]
        assert [p.shape for p in spatial["params"]] == [(3,), (3,)]
        assert [p.shape for p in of_range["params"]] == [(), ()]
        assert spatial["params"][0] is shared.raw_sigma_spatial
        assert [group["lr"] for group in sg.bilateral_parameter_groups(shared, 0.1, range=0.2)] == [0.1, 0.2]
        torch.optim.Adam(sg.bilateral_parameter_groups(network))

    def test_parameter_groups_of_nothing(self) -> None:
        with pytest.raises(ValueError, match="module: expected bilateral filters in it, got Linear without any"):
            sg.bilateral_parameter_groups(nn.Linear(2, 2))

    def test_the_optimiser_sees_the_sigmas_themselves(self) -> None:
        """A step of plain gradient descent moves sigma by rate x dL/dsigma, as in the paper."""
        layer = sg.BilateralFilter3d(0.5, 0.05)
        x = torch.rand(4, 8, 20)
        sigmas = [torch.full((3,), 0.5, requires_grad=True), torch.tensor(0.05, requires_grad=True)]
        bilateral_filter(x, *sigmas).square().mean().backward()
        layer(x).square().mean().backward()
        torch.optim.SGD(sg.bilateral_parameter_groups(layer, 0.1, 0.01)).step()
        assert torch.allclose(layer.sigma_spatial, 0.5 - 0.1 * sigmas[0].grad)
        assert torch.allclose(layer.sigma_range, 0.05 - 0.01 * sigmas[1].grad)

    def test_no_step_makes_a_sigma_negative(self) -> None:
        layer = sg.BilateralFilter3d()
        optimiser = torch.optim.SGD(sg.bilateral_parameter_groups(layer, 0.5, 0.5))
        x = torch.rand(3, 4, 20)
        for _ in range(5):
            for parameter in layer.parameters():
                parameter.grad = torch.ones_like(parameter)
            optimiser.step()
            assert (layer.sigma_spatial > 0).all()
            assert layer.sigma_range > 0
            assert layer(x).isfinite().all()
            layer(x).sum().backward()
            assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())
        assert torch.equal(layer(x), x)

    def test_a_nan_parameter_is_told(self) -> None:
        layer = sg.BilateralFilter2d()
        layer.raw_sigma_range.data.fill_(torch.nan)
        with pytest.raises(ValueError, match="sigma_range: expected a positive, finite value, got nan"):
            layer(torch.rand(4, 5))

    def test_learns_to_denoise(self) -> None:
        clean = torch.zeros(1, 6, 24, 24)
        clean[..., 8:16, 8:16] = 1.0
        noisy = clean + 0.1 * torch.randn(clean.shape)
        network = nn.Sequential(sg.BilateralFilter3d(0.5, 0.1), sg.BilateralFilter3d(0.5, 0.1))
        optimiser = torch.optim.Adam(sg.bilateral_parameter_groups(network, 0.05, 0.02))
        losses = []
        for _ in range(40):
            optimiser.zero_grad()
            loss = (network(noisy) - clean).square().mean()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert losses[-1] < 0.1 * (noisy - clean).square().mean()
        assert losses[-1] < 0.3 * losses[0]

    def test_projection_domain_sigmas_through_fdk(self) -> None:
        """The gradient that reaches a filter in front of the reconstruction, against finite differences."""
        geometry = sg.ConeBeam.circular(
            source_to_origin=300.0,
            source_to_detector=450.0,
            angles=sg.full_scan(12),
            detector=sg.FlatDetector((6, 14), 14.0),
        )
        grid = sg.Grid((4, 8, 10), 10.0)
        scale = 10.0
        network = nn.Sequential(
            sg.BilateralFilter3d((0.7, 0.5, 0.6), 0.05, input_scale=scale),
            sg.FDK(geometry, grid),
            sg.BilateralFilter3d(0.6, 0.2, input_scale=0.05),
        ).double()
        projections = torch.rand(geometry.projection_shape, dtype=torch.float64) * scale
        wanted = 0.03 * torch.rand(grid.shape, dtype=torch.float64)

        def loss() -> Tensor:
            return (network(projections) - wanted).square().mean()

        loss().backward()
        with torch.no_grad():
            for parameter in network.parameters():
                for element, gradient in zip(parameter.view(-1), parameter.grad.view(-1), strict=True):
                    values, step = [], 1e-5 * element.item()
                    for move in (step, -2 * step, step):
                        element += move
                        values.append(loss())
                    numeric = (values[0] - values[1]) / (2 * step)
                    assert gradient != 0
                    assert abs(numeric - gradient) <= 1e-4 * abs(gradient)


class TestModule:
    def test_state_round_trip(self) -> None:
        trained = sg.BilateralFilter3d((0.3, 0.04, 1.7), 0.002, input_scale=0.05)
        file = io.BytesIO()
        torch.save(trained.state_dict(), file)
        file.seek(0)
        fresh = sg.BilateralFilter3d()
        fresh.load_state_dict(torch.load(file, weights_only=True))
        x = 0.05 * torch.rand(3, 4, 20)
        assert torch.equal(fresh(x), trained(x))
        assert torch.allclose(fresh.sigma_spatial, torch.tensor([0.3, 0.04, 1.7]))
        assert torch.allclose(fresh.sigma_range, torch.tensor(0.002))
        assert fresh.input_scale.item() == pytest.approx(0.05)

    @EVERY_LAYER
    def test_copies(self, kind: Any, ndim: int) -> None:
        layer = kind(0.7, 0.2)
        x = inputs(kind)
        layer(*x)
        for same in (copy.copy(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert torch.equal(same(*x), layer(*x))
            assert repr(same) == repr(layer)

    def test_repr(self) -> None:
        layer = sg.BilateralFilter3d((0.5, 0.6, 0.7), 0.02, input_scale=4096, window=5)
        assert repr(layer) == (
            "BilateralFilter3d(sigma_spatial=(0.5, 0.6, 0.7), sigma_range=0.02, input_scale=4096, window=(5, 5, 5))"
        )
        assert "window" not in repr(sg.BilateralFilter2d())

    def test_compiles(self) -> None:
        """Whole where the window is given, in parts where it follows the sigmas."""
        torch._dynamo.reset()
        for window, whole in ((5, True), (None, False)):
            layer = sg.BilateralFilter2d(0.7, 0.2, window=window)
            x = torch.rand(4, 20)
            compiled = torch.compile(layer, fullgraph=whole, backend="aot_eager")
            assert torch.equal(compiled(x), layer(x))
            (gradient,) = torch.autograd.grad(compiled(x).square().sum(), layer.raw_sigma_range)
            (expected,) = torch.autograd.grad(layer(x).square().sum(), layer.raw_sigma_range)
            assert torch.equal(gradient, expected)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"sigma_spatial": 0.0}, r"sigma_spatial: expected positive, finite values"),
            ({"sigma_spatial": (0.5, -1.0, 0.5)}, r"sigma_spatial: expected positive, finite values"),
            ({"sigma_spatial": (0.5, 0.5)}, r"sigma_spatial: expected one value or 3, got \[0.5, 0.5\]"),
            ({"sigma_range": -0.1}, r"sigma_range: expected a positive, finite value, got -0.1"),
            ({"input_scale": 0.0}, r"input_scale: expected a positive, finite number, got 0.0"),
            ({"input_scale": float("nan")}, r"input_scale: expected a positive, finite number, got nan"),
            ({"window": 4}, r"window: expected odd, positive widths"),
            ({"window": (5, 5)}, r"window: expected one width or 3"),
        ],
    )
    def test_bad_arguments(self, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            sg.BilateralFilter3d(**arguments)

    def test_bad_input(self) -> None:
        with pytest.raises(ValueError, match=r"x: expected at least 3 dimensions, got shape \[4, 5\]"):
            sg.BilateralFilter3d()(torch.zeros(4, 5))
        with pytest.raises(ValueError, match=r"guide \[3, 4, 6\] does not match x \[3, 4, 5\]"):
            sg.JointBilateralFilter3d()(torch.zeros(3, 4, 5), torch.zeros(3, 4, 6))
