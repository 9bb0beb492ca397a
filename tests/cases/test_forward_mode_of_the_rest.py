"""`torch.func` within `torch.compile`, and of filters, equations, repairs and losses, against finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import grad, jacfwd, jacrev, jvp, vmap

import sinograd as sg
from sinograd.losses import mse
from sinograd.metrics import psnr, ssim
from sinograd.morphometry import bmd_map
from sinograd.preparation import negative_logarithm, paganin, remove_stripes, repair
from sinograd.recon import cgls, fista_tv, lsqr, regularized_least_squares, sirt
from sinograd.recon.iterative import tv_denoise

DOUBLE = torch.float64
GEOMETRY = sg.FanBeam.circular(
    source_to_origin=100.0, source_to_detector=200.0, angles=sg.full_scan(9), detector=sg.FlatDetector(8, 4.0)
)
GRID = sg.Grid((4, 4), 4.0)
A = sg.XRayTransform(GEOMETRY, GRID)
FBP = sg.FBP(GEOMETRY, GRID)
CONE = sg.ConeBeam.circular(
    source_to_origin=100.0, source_to_detector=200.0, angles=sg.full_scan(3), detector=sg.FlatDetector((3, 4), 4.0)
)
FULL_CONE = sg.ConeBeam.circular(
    source_to_origin=100.0, source_to_detector=200.0, angles=sg.full_scan(9), detector=sg.FlatDetector((3, 4), 4.0)
)
BOX = sg.Grid((3, 4, 4), 4.0)
HELIX = sg.ConeBeam.helical(
    source_to_origin=200.0,
    source_to_detector=300.0,
    angles=torch.arange(40) * math.tau / 16,
    pitch=6.0,
    detector=sg.FlatDetector((4, 5), 7.0),
)
SLAB = sg.Grid((1, 3, 3), 4.0)
Function = Callable[[Tensor], Tensor]


def values(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


P, IMAGE, OTHER = values(9, 8), values(4, 4, seed=1), values(12, 12, seed=4)
MASK = torch.zeros(5, 6, dtype=torch.bool)
MASK[0, 0] = MASK[2, 3] = True
SIGMAS = torch.tensor([0.7, 0.8], dtype=DOUBLE), torch.tensor(0.3, dtype=DOUBLE)
FUNCTIONS: dict[str, tuple[Function, Tensor]] = {
    "taps": (lambda taps: sg.fbp(P, GEOMETRY, GRID, taps=taps), FBP.taps),
    "weights": (lambda weights: sg.fbp(P, GEOMETRY, GRID, weights=weights), FBP.weights),
    "equations, projections": (lambda p: regularized_least_squares(A, p, IMAGE, 5.0, iterations=60), P),
    "equations, prior": (lambda x: regularized_least_squares(A, P, x, 5.0, iterations=60), IMAGE),
    "equations, weight": (lambda w: regularized_least_squares(A, P, IMAGE, w, iterations=60), 5 + values(1)),
    "repair": (lambda images: repair(images, MASK), values(2, 5, 6)),
    "psnr": (lambda x: psnr(x, OTHER, data_range=1.0), values(12, 12)),
    "ssim": (lambda x: ssim(x, OTHER, data_range=1.0), values(12, 12)),
    "footprint": (sg.XRayTransform(CONE, BOX, model="footprint"), values(3, 4, 4)),
    "paganin": (
        lambda x: paganin(x + 0.1, pixel_mm=0.1, distance_mm=10.0, energy=20.0, delta_beta=100.0),
        values(4, 5),
    ),
    "mse": (lambda x: mse(x, IMAGE, scale=2.0), values(4, 4, seed=2)),
    "rebin": (
        lambda p: torch.cat([scan.projections for _, scan in sg.rebin(sg.Scan(p, HELIX), [7.0, 8.0])], -2),
        values(40, 4, 5),
    ),
    "a layer made within": (lambda p: sg.FBP(GEOMETRY, GRID)(p), P),
    "an FDK layer made within": (lambda p: sg.FDK(FULL_CONE, BOX)(p), values(9, 3, 4)),
    "a helical layer made within": (lambda p: sg.HelicalFBP(HELIX, SLAB)(p), values(40, 4, 5)),
    "bmd_map": (lambda x: bmd_map(x, (1.0, 1.0, 1.0), diameter=3.0), values(5, 5, 5)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_of_every_mode(name: str) -> None:
    function, x = FUNCTIONS[name]
    tangent = values(*x.shape, seed=3) - 0.5
    expected = (function(x + 1e-5 * tangent) - function(x - 1e-5 * tangent)) / 2e-5
    close = {"rtol": 1e-6, "atol": 1e-7 * float(expected.abs().max())}
    torch.testing.assert_close(jvp(function, (x,), (tangent,))[1], expected, **close)
    jacobian = jacrev(function)(x)
    torch.testing.assert_close((jacobian * tangent).flatten(expected.ndim).sum(-1), expected, **close)
    torch.testing.assert_close(jacfwd(function)(x), jacobian)

    def energy(x: Tensor) -> Tensor:
        return function(x).square().sum()

    slope = (grad(energy)(x + 1e-5 * tangent) - grad(energy)(x - 1e-5 * tangent)) / 2e-5
    rounding = 1e-5 * float(slope.abs().max())
    torch.testing.assert_close(jvp(grad(energy), (x,), (tangent,))[1], slope, rtol=1e-5, atol=rounding)
    if name not in ("equations, weight", "paganin", "bmd_map"):
        pairs = torch.stack([x, 2 * x]).expand(3, 2, *x.shape)
        torch.testing.assert_close(vmap(vmap(function))(pairs)[2, 1], function(2 * x))


def test_functions_that_look_at_values_say_so() -> None:
    light = values(5, 6) + 0.1
    for function, x in (
        FUNCTIONS["equations, weight"],
        (lambda t: negative_logarithm(t)[0], light),
        (lambda t: paganin(t, pixel_mm=0.1, distance_mm=10.0, energy=20.0, delta_beta=100.0), light),
        (remove_stripes, values(32, 3, 32)),
    ):
        with pytest.raises(sg.errors.UnsupportedError, match=r"torch\.vmap: expected a function that does not look"):
            vmap(function)(torch.stack([x, x]))


def test_no_derivative_is_lost_without_a_word() -> None:
    """By arguments of geometries, and by algorithms that have none."""

    def projected(offset: Tensor) -> Tensor:
        detector = sg.FlatDetector(8, 4.0)
        orbit = {"source_to_origin": 100.0, "source_to_detector": 200.0, "angles": sg.full_scan(9)}
        return sg.XRayTransform(sg.FanBeam.circular(**orbit, detector=detector, axis_offset=offset), GRID)(IMAGE)

    one = torch.tensor(0.3, dtype=DOUBLE)
    with pytest.raises(sg.errors.InputError, match=r"^axis_offset has a tangent of forward mode"):
        jvp(projected, (one,), (one,))
    with forward_ad.dual_level(), pytest.raises(sg.errors.InputError, match=r"^axis_offset has a tangent"):
        projected(forward_ad.make_dual(one, one))
    with pytest.raises(sg.errors.InputError, match=r"^axis_offset has a tangent"):  # of the outer level
        jvp(lambda o: grad(lambda x: (x * projected(o)).sum())(one), (one,), (one,))
    for algorithm in (sirt, cgls, lsqr, fista_tv):
        with pytest.raises(sg.errors.UnsupportedError, match=r"^projections: iterative algorithms have no derivatives"):
            jvp(lambda p, run=algorithm: run(A, p, iterations=2).image, (P,), (P,))
    with pytest.raises(sg.errors.UnsupportedError, match=r"^image: tv_denoise has no derivatives"):
        grad(lambda x: tv_denoise(x, 0.1).sum())(IMAGE)


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (A, IMAGE),
        pytest.param(lambda p: sg.fbp(p, GEOMETRY, GRID), P, marks=pytest.mark.slow),
        (lambda x: sg.ops.bilateral_filter(x, *SIGMAS, window=(3, 3)), IMAGE),
    ],
    ids=["projection", "fbp", "bilateral"],
)
def test_within_compiled_functions(function: Function, x: Tensor) -> None:
    tangent = values(*x.shape, seed=3)
    expected = jvp(function, (x,), (tangent,))[1]
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(
        torch.compile(lambda x, t: jvp(function, (x,), (t,))[1], backend="aot_eager")(x, tangent), expected
    )
    torch.testing.assert_close(jvp(torch.compile(function, backend="aot_eager"), (x,), (tangent,))[1], expected)
    energy = grad(lambda x: function(x).square().sum())
    torch.testing.assert_close(torch.compile(energy, backend="aot_eager")(x), energy(x))
