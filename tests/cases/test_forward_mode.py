"""Forward-mode derivatives: the tangent of a linear function at t is the function of t; else finite differences."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

import sinograd as sg

GRID, FLAT_GRID = sg.Grid((4, 12, 12), 1.0), sg.Grid((12, 12), 1.0)
CONE = sg.ConeBeam.circular(
    source_to_origin=60, source_to_detector=90, angles=sg.full_scan(24), detector=sg.FlatDetector((6, 24), 1.0)
)
FAN = sg.FanBeam.circular(
    source_to_origin=60, source_to_detector=90, angles=sg.full_scan(40), detector=sg.FlatDetector(28, 1.0)
)
SHIFTS = torch.full((24, 2), 0.3)
PROJECTOR = sg.XRayTransform(CONE, GRID)

LINEAR: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "XRayTransform": (PROJECTOR, GRID.shape),
    "XRayTransform.T": (PROJECTOR.T, CONE.projection_shape),
    "Backprojection": (sg.Backprojection(CONE, GRID), CONE.projection_shape),
    "fdk": (lambda p: sg.fdk(p, CONE, GRID), CONE.projection_shape),
    "FDK": (sg.FDK(CONE, GRID).double(), CONE.projection_shape),
    "FDK, trainable": (sg.FDK(CONE, GRID, trainable=("taps", "weights")).double(), CONE.projection_shape),
    "fbp": (lambda p: sg.fbp(p, FAN, FLAT_GRID), FAN.projection_shape),
    "InSlabs": (sg.ops.InSlabs(PROJECTOR, device="cpu", memory=100_000), GRID.shape),
    "shift_projections": (lambda p: sg.preparation.shift_projections(p, SHIFTS), CONE.projection_shape),
}
EVERY = pytest.mark.parametrize("name", LINEAR)


def numbers(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def error(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).detach().norm() / expected.detach().norm())


def dual(function: Callable[[Tensor], Tensor], x: Tensor, t: Tensor) -> Tensor:
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(function(forward_ad.make_dual(x, t))).tangent
    assert tangent is not None
    return tangent


@EVERY
def test_tangents_of_linear_functions(name: str) -> None:
    function, shape = LINEAR[name]
    x, t = numbers(shape, 0), numbers(shape, 1)
    expected = function(t)
    assert error(torch.func.jvp(function, (x,), (t,))[1], expected) <= 1e-12
    assert error(dual(function, x, t), expected) <= 1e-12


@EVERY
def test_nested(name: str) -> None:
    """Of |A x|^2: its second derivative along t twice, and its gradient's along t, which gradients confirm."""
    function, shape = LINEAR[name]
    x, t = numbers(shape, 0), numbers(shape, 1)

    def loss(x: Tensor) -> Tensor:
        return function(x).square().sum()

    along = lambda x: torch.func.jvp(loss, (x,), (t,))[1]  # noqa: E731
    expected = 2 * function(t).square().sum()
    assert torch.func.jvp(along, (x,), (t,))[1].item() == pytest.approx(expected.item(), rel=1e-12)
    leaf = t.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    assert error(torch.func.grad(loss)(t), gradient) <= 1e-12
    assert error(torch.func.jvp(torch.func.grad(loss), (x,), (t,))[1], gradient) <= 1e-12


@EVERY
def test_batches(name: str) -> None:
    function, shape = LINEAR[name]
    x = numbers((*shape, 2), 0)

    def gradient(x: Tensor) -> Tensor:
        return torch.func.grad(lambda x: function(x).square().sum())(x)

    each = [x[..., 0], x[..., 1]]
    assert error(torch.vmap(function, -1)(x), torch.stack([function(one) for one in each])) <= 1e-12
    assert error(torch.vmap(gradient, -1)(x), torch.stack([gradient(one) for one in each])) <= 1e-12


def test_jacobians_of_a_projection_are_its_matrix() -> None:
    grid = sg.Grid((3, 4), 1.0)
    projector = sg.XRayTransform(FAN[:5], grid)
    x = numbers(grid.shape, 0)
    matrix = projector(torch.eye(12, dtype=torch.float64).reshape(12, 3, 4)).movedim(0, -1).unflatten(-1, (3, 4))
    assert error(torch.func.jacfwd(projector)(x), matrix) <= 1e-13
    assert error(torch.func.jacrev(projector)(x), matrix) <= 1e-13
    hessian = torch.func.hessian(lambda x: projector(x).square().sum())(x).reshape(12, 12)
    flat = matrix.reshape(-1, 12)
    assert error(hessian, 2 * flat.T @ flat) <= 1e-12


def test_factor_and_filter_have_tangents() -> None:
    x, factor = numbers(GRID.shape, 0), torch.tensor(2.0, dtype=torch.float64)
    tangent = torch.func.jvp(lambda factor: (factor * PROJECTOR)(x), (factor,), (factor,))[1]
    assert error(tangent, 2 * PROJECTOR(x)) <= 1e-12

    layer, p = LINEAR["FDK, trainable"][0], numbers(CONE.projection_shape, 1)
    assert isinstance(layer, sg.FDK)
    parameters = {name: value.detach() for name, value in layer.named_parameters()}

    def apply(parameters: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(layer, parameters, (p,))

    steps = {name: value * numbers((*value.shape,), 2) for name, value in parameters.items()}
    moved = [apply({name: value + h * steps[name] for name, value in parameters.items()}) for h in (1e-6, -1e-6)]
    assert error(torch.func.jvp(apply, (parameters,), (steps,))[1], (moved[0] - moved[1]) / 2e-6) <= 1e-8


def filters() -> dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]]:
    x, guide = numbers((3, 5, 6), 0), numbers((3, 5, 6), 1)
    sigmas = torch.tensor([0.7, 0.9, 0.8], dtype=torch.float64), torch.tensor(0.4, dtype=torch.float64)

    def plain(x: Tensor, spatial: Tensor, of_range: Tensor) -> Tensor:
        return sg.ops.bilateral_filter(x, spatial, of_range, window=(3, 5, 3))

    def joint(x: Tensor, guide: Tensor, spatial: Tensor, of_range: Tensor) -> Tensor:
        return sg.ops.joint_bilateral_filter(x, guide, spatial, of_range, window=(3, 5, 3))

    return {"plain": (plain, (x, *sigmas)), "joint": (joint, (x, guide, *sigmas))}


@pytest.mark.parametrize("name", ["plain", "joint"])
def test_bilateral_filter(name: str) -> None:
    """Tangents by the input, the guide and every sigma; of gradients, too; against finite differences."""
    function, arguments = filters()[name]
    steps = tuple(numbers((*one.shape,), 5 + i) for i, one in enumerate(arguments))

    def moved(function: Callable[..., Tensor], h: float) -> Tensor:
        return function(*(one + h * step for one, step in zip(arguments, steps, strict=True)))

    def gradient(*arguments: Tensor) -> Tensor:
        parts = torch.func.grad(lambda *a: function(*a).sin().sum(), tuple(range(len(arguments))))(*arguments)
        return torch.cat([part.flatten() for part in parts])

    def along(*arguments: Tensor) -> Tensor:
        return torch.func.jvp(function, arguments, steps)[1]

    for one, tolerance in ((function, 1e-8), (gradient, 1e-7), (along, 1e-7)):
        expected = (moved(one, 1e-6) - moved(one, -1e-6)) / 2e-6
        assert error(torch.func.jvp(one, arguments, steps)[1], expected) <= tolerance
    forward = torch.func.jacfwd(function, len(arguments) - 2)(*arguments)
    assert error(torch.func.jacrev(function, len(arguments) - 2)(*arguments), forward) <= 1e-12


@pytest.mark.parametrize("name", ["plain", "joint"])
def test_batches_of_bilateral_filters(name: str) -> None:
    """Each image with sigmas of its own, or with shared ones; per-image gradients of shared sigmas stay apart."""
    function, arguments = filters()[name]
    batch = [torch.stack([one, 1.1 * one]) for one in arguments]
    each = [function(*(one[i] for one in batch)) for i in range(2)]
    assert error(torch.vmap(function)(*batch), torch.stack(each)) <= 1e-13
    dims = (0, *[None] * (len(arguments) - 1))
    per_image = torch.func.grad(lambda *a: function(*a).square().sum(), len(arguments) - 1)
    actual = torch.vmap(per_image, dims)(batch[0], *arguments[1:])
    expected = torch.stack([per_image(one, *arguments[1:]) for one in batch[0]])
    assert error(actual, expected) <= 1e-13


def test_layer_and_its_parameters() -> None:
    layer, x = sg.BilateralFilter2d(0.6, 0.3).double(), numbers((6, 7), 0)
    assert error(dual(layer, x, x), torch.autograd.functional.jvp(layer, x, x)[1]) <= 1e-12
    parameters = {name: value.detach() for name, value in layer.named_parameters()}
    steps = {name: torch.ones_like(value) for name, value in parameters.items()}

    def apply(parameters: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(layer, parameters, (x,))

    moved = [apply({name: value + h for name, value in parameters.items()}) for h in (1e-6, -1e-6)]
    assert error(torch.func.jvp(apply, (parameters,), (steps,))[1], (moved[0] - moved[1]) / 2e-6) <= 1e-8


def test_rings() -> None:
    """Weights of columns have derivatives, too: what counted them as constants was 5 % off."""
    p = 0.02 * (numbers((64, 3, 30), 0) + numbers((1, 3, 30), 1))
    t = 1e-3 * numbers((64, 3, 30), 2)
    function = sg.preparation.remove_rings
    expected = (function(p + 1e-5 * t) - function(p - 1e-5 * t)) / 2e-5
    assert float((expected - t).abs().max()) > 1e-6
    for tangent in (torch.func.jvp(function, (p,), (t,))[1], dual(function, p, t)):
        assert error(tangent - t, expected - t) <= 1e-5
    probe = numbers((64, 3, 30), 3)
    gradient = torch.func.vjp(function, p)[1](probe)[0]
    assert float((gradient * t).sum()) == pytest.approx(float((probe * expected).sum()), rel=1e-7)
    with pytest.raises(NotImplementedError, match="vmap"):
        torch.vmap(function)(torch.stack([p, p]))
