"""Unrolled networks. Truth: gradcheck, the algorithms they unroll, dense solutions, a loss that falls."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.func import functional_call

import sinograd as sg
from sinograd.layers import Unrolled
from sinograd.recon import operator_norm, pnp_proximal_gradient

GEOMETRY = sg.FanBeam.circular(
    source_to_origin=60, source_to_detector=90, angles=sg.full_scan(3), detector=sg.FlatDetector(5, 8.0)
)
OPERATOR = sg.XRayTransform(GEOMETRY, sg.Grid((3, 4), 6.0))


class Smooth(nn.Module):
    """Nonlinear, with a weight."""

    def __init__(self, weight: float = 0.3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x) + self.weight * (x.roll(1, -1) - x)


def call(network: Unrolled) -> tuple[Any, list[Tensor]]:
    """The network as a function of its parameters, and these in float64."""
    names, values = zip(*network.named_parameters(), strict=True)
    copies = [value.detach().double().requires_grad_() for value in values]
    return lambda p, *v: functional_call(network, dict(zip(names, v, strict=True)), (p,)), copies


@pytest.mark.parametrize("fit", ["gradient", "solve"])
def test_gradients_through_five_steps(fit: str) -> None:
    """In projections, every step and every denoiser's parameters."""
    network = Unrolled(OPERATOR, [Smooth(0.1 * k) for k in range(5)], fit=fit, inner_iterations=30).double()
    function, values = call(network)
    assert len(values) == 6
    p = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert gradcheck(function, [p, *values], fast_mode=fit == "solve")


def test_gradients_of_bilateral_sigmas_through_five_steps() -> None:
    """Steps, spatial and range sigmas, of one filter for all steps."""
    denoiser = sg.BilateralFilter2d(sigma_spatial=0.8, sigma_range=0.5, window=3)
    network = Unrolled(OPERATOR, denoiser, 5).double()
    function, values = call(network)
    assert [tuple(value.shape) for value in values] == [(5,), (2,), ()]
    p = OPERATOR(torch.rand(3, 4, dtype=torch.float64)).requires_grad_()
    assert gradcheck(function, [p, *values], fast_mode=True)


@pytest.mark.parametrize("fit", ["gradient", "solve"])
def test_recomputing_changes_nothing(fit: str) -> None:
    p = torch.randn(2, 3, 5)
    results = []
    for recompute in (True, False):
        network = Unrolled(OPERATOR, Smooth(), 4, fit=fit, recompute=recompute)
        image = network(p)
        image.square().sum().backward()
        results.append([image.detach(), *[value.grad for value in network.parameters()]])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_recomputing_keeps_images_only() -> None:
    """Elements that autograd saves during the forward pass: one image an iteration."""
    kept = {}
    for recompute in (True, False):
        network = Unrolled(OPERATOR, Smooth(), 6, recompute=recompute)
        total = 0

        def pack(tensor: Tensor) -> Tensor:
            nonlocal total
            total += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            network(torch.randn(3, 5))
        kept[recompute] = total
    assert kept[True] <= 6 * (12 + 15) < 0.7 * kept[False]  # an operator keeps nothing itself


@pytest.mark.filterwarnings("ignore::sinograd.errors.CoverageWarning")  # three views are enough here
def test_it_is_plug_and_play() -> None:
    p = torch.randn(2, 3, 5, dtype=torch.float64)
    denoiser = Smooth().double()
    norm = operator_norm(OPERATOR, dtype=torch.float64) * 1.02**0.5
    network = Unrolled(OPERATOR, denoiser, 7, norm=norm).double()
    with torch.no_grad():
        unrolled = network(p)
    expected = pnp_proximal_gradient(OPERATOR, p, denoiser, iterations=7, accelerate=False)
    torch.testing.assert_close(unrolled, expected.image, rtol=1e-6, atol=1e-9)
    assert str(network).startswith("Unrolled(\n  iterations=7, fit='gradient', recompute=True")


def test_solving_is_the_dense_solution() -> None:
    m = OPERATOR(torch.eye(12, dtype=torch.float64).reshape(12, 3, 4)).reshape(12, 15).T
    p = torch.randn(3, 5, dtype=torch.float64)
    network = Unrolled(OPERATOR, nn.Identity(), 2, fit="solve", step=0.1, inner_iterations=40).double()
    weight = 0.1 * float(network.norm) ** 2
    x = torch.zeros(12, dtype=torch.float64)
    for _ in range(2):
        x = torch.linalg.solve(m.T @ m + weight * torch.eye(12, dtype=torch.float64), m.T @ p.flatten() + weight * x)
    # steps are kept in float32 until the module is cast
    torch.testing.assert_close(network(p).flatten(), x, rtol=1e-6, atol=1e-9)


def test_training_from_fbp() -> None:
    grid = sg.Grid((24, 24), 4.0)
    geometry = sg.FanBeam.circular(
        source_to_origin=300, source_to_detector=450, angles=sg.full_scan(12), detector=sg.FlatDetector(30, 6.0)
    )
    phantom = sg.shepp_logan_2d(radius=40, value=1.0)
    truth, p = phantom.voxelize(grid), phantom.project(geometry)
    denoisers = [nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(3)]
    for denoiser in denoisers:
        nn.init.dirac_(denoiser.weight)
    network = Unrolled(sg.XRayTransform(geometry, grid), denoisers, start=sg.FBP(geometry, grid, trainable="taps"))
    groups = ["start.taps"], ["steps", *(f"denoisers.{k}.weight" for k in range(3))]
    rates = (1e-5, 5e-3)
    optimizer = torch.optim.Adam(
        [
            {"params": [network.get_parameter(name) for name in names], "lr": rate}
            for names, rate in zip(groups, rates, strict=True)
        ]
    )
    losses = []
    batch = torch.stack([p, 2 * p])[:, None]
    for _ in range(15):
        loss = (network(batch) - torch.stack([truth, 2 * truth])[:, None]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    assert all(value.grad is not None and value.grad.any() for value in network.parameters())
    again = Unrolled(sg.XRayTransform(geometry, grid), denoisers, start=sg.FBP(geometry, grid, trainable="taps"))
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again(batch), network(batch))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((nn.Identity(), 0), {}, ValueError, "iterations"),
        (([nn.Identity()] * 2, 3), {}, ValueError, "expected one denoiser or 3, got 2"),
        (([],), {}, TypeError, "denoisers"),
        ((lambda x: x, 3), {}, TypeError, "denoisers"),
        ((nn.Identity(), 2), {"fit": "guess"}, ValueError, "fit: expected one of gradient, solve, got 'guess'"),
        ((nn.Identity(), 2), {"norm": 0.0}, ValueError, "norm"),
    ],
)
def test_bad_input(arguments: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Unrolled(OPERATOR, *arguments, **options)

    class Nameless:
        def __call__(self, x: Tensor) -> Tensor:
            return x

        T = staticmethod(lambda y: y)

    with pytest.raises(ValueError, match="Nameless to tell its domain_shape"):
        Unrolled(Nameless(), nn.Identity(), 2)


@pytest.mark.parametrize("fit", ["gradient", "solve"])
def test_torch_func(fit: str) -> None:
    """Against finite differences, recomputed or not, in projections and parameters."""
    network = Unrolled(OPERATOR, Smooth(), 2, fit=fit, inner_iterations=30).double()
    generator = torch.Generator().manual_seed(0)
    p, t = (torch.randn(3, 5, dtype=torch.float64, generator=generator) for _ in range(2))
    expected = (network(p + 1e-6 * t) - network(p - 1e-6 * t)).detach() / 2e-6
    torch.testing.assert_close(torch.func.jvp(network, (p,), (t,))[1], expected, rtol=1e-6, atol=1e-8)
    for jacobian in (torch.func.jacrev(network)(p), torch.func.jacfwd(network)(p)):
        torch.testing.assert_close((jacobian * t).sum((-2, -1)), expected, rtol=1e-6, atol=1e-8)
    function, values = call(network)
    gradients = torch.func.grad(lambda *v: function(p, *v).square().sum(), argnums=(0, 1))(*values)
    wanted = torch.autograd.grad(function(p, *values).square().sum(), values)
    torch.testing.assert_close(gradients, wanted)
    several = torch.stack([p, t])
    torch.testing.assert_close(torch.vmap(network)(several), network(several))
