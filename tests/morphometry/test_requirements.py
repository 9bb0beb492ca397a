"""What bone morphometry has to reach, with reference loops of this page's own."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd import morphometry as bone
from sinograd.errors import InputError, UnitError
from sinograd.networks import NNSP

SPACING = (0.34, 0.172, 0.172)


def plus(share: float) -> float:
    """Equation 4 with epsilon 1e-4."""
    return 1e-4 * math.log1p(math.exp(share / 1e-4 - 1)) + 1e-4 if share < 0.05 else share - 1e-4 + 1e-4


def looped(values: np.ndarray, spacing: tuple[float, float, float], diameter: float, threshold: float) -> np.ndarray:
    """BMD, BV/TV, TMD and SD [4, Z, Y, X], voxel by voxel and neighbour by neighbour."""
    shape = values.shape
    found = np.empty((4, *shape))
    for at in itertools.product(*map(range, shape)):
        inside = []
        for other in itertools.product(*map(range, shape)):
            squared = sum(((a - b) * s) ** 2 for a, b, s in zip(at, other, spacing, strict=True))
            if squared <= (diameter / 2) ** 2 * (1 + 1e-9):
                inside.append(values[other])
        some = np.array(inside)
        soft = np.array([1 / (1 + math.exp((threshold - v) / 10.0)) for v in some])
        mean, share = some.mean(), soft.mean()
        found[:, *at] = mean, share, (soft * some).mean() / plus(share), some.std(ddof=1)
    return found


@pytest.mark.parametrize(("spacing", "diameter"), [(SPACING, 1.5), ((0.5, 1.0, 2.0), 3.0), ((1.0, 1.0, 1.0), 3.0)])
def test_maps_are_those_of_a_loop(spacing: tuple[float, float, float], diameter: float) -> None:
    """To 1e-10 in float64, border included."""
    values = np.random.default_rng(5).normal(200, 120, (7, 10, 11))
    expected = looped(values, spacing, diameter, 225.0)
    tensor = torch.from_numpy(values)
    found = [
        bone.bmd_map(tensor, spacing, diameter),
        bone.bvtv_map(tensor, spacing, diameter, 225.0),
        bone.tmd_map(tensor, spacing, diameter, 225.0),
        bone.sd_map(tensor, spacing, diameter),
    ]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-10, atol=1e-10)
    box = bone.ball(spacing, diameter).shape
    z, y, x = (slice(n // 2, m - n // 2) for n, m in zip(box, values.shape, strict=True))
    np.testing.assert_allclose(
        bone.sd_map(tensor, spacing, diameter, valid=True).numpy(), expected[3, z, y, x], rtol=1e-10
    )


def test_published_neighbourhoods() -> None:
    boxes = {4.3: (13, 25, 25), 2.924: (9, 17, 17), 1.548: (5, 9, 9), 0.516: (1, 3, 3)}
    for diameter, shape in boxes.items():
        assert tuple(bone.ball(SPACING, diameter).shape) == shape
    assert int(bone.ball(SPACING, 0.516).sum()) == 9


def test_gradients_of_maps_and_losses() -> None:
    """Against differences."""
    drawn = torch.Generator().manual_seed(3)
    values = (225 + 8 * torch.randn(4, 5, 5, generator=drawn, dtype=torch.float64)).requires_grad_(True)
    for name, rest in (("bmd_map", ()), ("bvtv_map", (225.0,)), ("tmd_map", (225.0,)), ("sd_map", ())):

        def function(v: torch.Tensor, name: str = name, rest: tuple[float, ...] = rest) -> torch.Tensor:
            return getattr(bone, name)(v, SPACING, 0.9, *rest)

        assert torch.autograd.gradcheck(function, (values,))
    big = (225 + 40 * torch.randn(1, 13, 25, 25, generator=drawn, dtype=torch.float64)).requires_grad_(True)
    target = big.detach() + 20 + 30 * torch.randn(big.shape, generator=drawn, dtype=torch.float64)
    for kind in (bone.NNSPLoss, bone.NNBMDLoss):
        loss = kind().normalised([(target + 90 * torch.randn(big.shape, generator=drawn, dtype=torch.float64), target)])
        (gradient,) = torch.autograd.grad(loss(big, target), big)
        direction = torch.randn(big.shape, generator=drawn, dtype=torch.float64)
        with torch.no_grad():
            change = (loss(big + 1e-4 * direction, target) - loss(big - 1e-4 * direction, target)) / 2e-4
        assert float((gradient * direction).sum()) == pytest.approx(float(change), rel=1e-6)


def solid(kind: str, spacing: tuple[float, float, float], size: float, width: float) -> tuple[np.ndarray, float]:
    """A mask in a cube of `size` mm, and the true share of it."""
    axes = [(np.arange(round(size / s)) + 0.5) * s - size / 2 for s in spacing]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    if kind == "sphere":
        return z**2 + y**2 + x**2 < (width / 2) ** 2, math.pi / 6 * (width / size) ** 3
    if kind == "rod":
        return y**2 + x**2 < (width / 2) ** 2, math.pi / 4 * (width / size) ** 2
    return abs(x) < width / 2, width / size


@pytest.mark.parametrize("kind", ["sphere", "rod", "plate"])
@pytest.mark.parametrize("spacing", [(0.1, 0.1, 0.1), (0.2, 0.1, 0.1)])
def test_solids(kind: str, spacing: tuple[float, float, float]) -> None:
    """BV/TV within its discretisation error, TMD and BMD that of the densities."""
    mask, share = solid(kind, spacing, 4.0, 2.4)
    values = np.where(mask, 700.0, 40.0)
    assert bone.bvtv(values, 225) == pytest.approx(share, rel=0.02)
    assert bone.tmd(values, 225) == pytest.approx(700)
    assert bone.bmd(values) == pytest.approx(40 + 660 * share, rel=0.02)
    assert bone.bvtv(values, 225) == pytest.approx(mask.mean())


@pytest.mark.parametrize("voxels", [7, 8])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), SPACING])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thickness_of_plates(voxels: int, spacing: tuple[float, float, float], axis: int) -> None:
    """Within half a voxel; NaN outside; a plate the volume cuts across is as thick as before."""
    mask = np.zeros((20, 20, 20), bool)
    np.moveaxis(mask, axis, 0)[5 : 5 + voxels] = True
    found = bone.thickness(mask, spacing).numpy()
    assert np.isnan(found[~mask]).all() and not np.isnan(found[mask]).any()
    assert abs(np.nanmean(found) - voxels * spacing[axis]) < spacing[axis] / 2
    part = tuple(slice(None) if k == axis else slice(0, 6) for k in range(3))
    np.testing.assert_allclose(bone.thickness(mask[part], spacing).numpy(), found[part], rtol=1e-6)
    assert found.shape == mask.shape


@pytest.mark.parametrize("angle", [20.0, 45.0])
def test_thickness_of_slanted_plates_and_of_rods(angle: float) -> None:
    """Slanted plates within 0.75 voxels, as their own steps are; rods lose up to 1.3 voxels, as the manual says."""
    y, x = (np.arange(48) - 23.5 for _ in range(2))
    along = math.cos(math.radians(angle)) * x + math.sin(math.radians(angle)) * y[:, None]
    plate = np.broadcast_to(abs(along) < 5, (12, 48, 48))
    middle = bone.thickness(plate, 1.0).numpy()[:, 14:-14, 14:-14]
    assert abs(np.nanmean(middle) - 10) < 0.75
    rod = np.broadcast_to((x**2 + y[:, None] ** 2) < 100, (12, 48, 48))
    assert 18.7 <= np.nanmean(bone.thickness(rod, 1.0).numpy()) <= 20.0


def test_euler_numbers() -> None:
    """Ball 1, torus 0, shell 2, two balls 2, two linked tori 0; of any spacing, since it is a count."""
    axis = np.arange(40) - 19.5
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    distance = np.sqrt(z**2 + y**2 + x**2)
    torus = (np.sqrt(x**2 + y**2) - 11) ** 2 + z**2 < 16
    balls = (x - 9) ** 2 + y**2 + z**2 < 36
    for mask, expected in (
        (distance < 12, 1),
        (torus, 0),
        ((distance < 14) & (distance > 7), 2),
        (balls | balls[:, :, ::-1], 2),
    ):
        assert bone.euler_number(mask) == expected


def test_anisotropy() -> None:
    """Plates above 0.9; packed spheres below 0.05."""
    plates = np.zeros((60, 60, 60), bool)
    plates[:, :, ::10] = plates[:, :, 1::10] = plates[:, :, 2::10] = True
    assert bone.degree_of_anisotropy(plates, 1.0) > 0.9
    assert bone.degree_of_anisotropy(plates[:30], (2.0, 1.0, 1.0)) > 0.9
    drawn = np.random.default_rng(0)
    axis = np.arange(110)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    spheres = np.zeros((110, 110, 110), bool)
    centres: list[np.ndarray] = []
    while len(centres) < 90:
        one = drawn.uniform(10, 100, 3)
        if all(np.linalg.norm(one - other) > 17 for other in centres):
            centres.append(one)
            spheres |= (z - one[0]) ** 2 + (y - one[1]) ** 2 + (x - one[2]) ** 2 < 64
    assert bone.degree_of_anisotropy(spheres, 1.0) < 0.05


def test_agreement_by_hand() -> None:
    """Sums in loops; the published accuracy error takes s^2 / (N - 1) off instead of s^2 / N."""
    drawn = np.random.default_rng(2)
    truth = drawn.normal(50, 12, 30)
    estimates = 0.8 * truth + 14 + drawn.normal(0, 3, (3, 30))
    n, patches = estimates.shape
    means = [sum(estimates[r][p] for r in range(n)) / n for p in range(patches)]
    squares = sum((means[p] - truth[p]) ** 2 for p in range(patches)) / patches
    noise = sum(sum((estimates[r][p] - means[p]) ** 2 for r in range(n)) / (n - 1) for p in range(patches)) / patches
    assert bone.accuracy_error(estimates, truth) == pytest.approx(math.sqrt(squares - noise / n))
    assert bone.accuracy_error(estimates, truth, published=True) == pytest.approx(math.sqrt(squares - noise / (n - 1)))
    spread = sum(np.var(estimates[r], ddof=1) for r in range(n)) / n
    precision = math.sqrt(noise * np.var(truth, ddof=1) / spread)
    assert bone.precision_error(estimates, truth) == pytest.approx(precision)
    # Less contrast alone does not help.
    assert bone.precision_error(0.1 * estimates, truth) == pytest.approx(precision)
    r = np.corrcoef(estimates.ravel(), np.tile(truth, n))[0, 1]
    count = n * patches
    assert bone.adjusted_r2(estimates, truth) == pytest.approx(1 - (1 - r**2) * (count - 1) / (count - 2))
    rmse = math.sqrt(np.mean((estimates - truth) ** 2))
    natural = 20 * (math.log(3 * np.std(truth, ddof=1)) - math.log(rmse))
    assert bone.psnr_natural(estimates, truth) == pytest.approx(natural)
    assert bone.psnr_decibels(estimates, truth) == pytest.approx(natural / math.log(10))


VALUES = np.where(np.arange(13 * 25 * 25).reshape(13, 25, 25) % 3 == 0, 500.0, 50.0)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: bone.bmd_map(VALUES, None, 1.0), InputError, "spacing: missing"),
        (lambda: bone.bmd_map(VALUES, SPACING, 9.0), InputError, "larger than the volume of 13 x 25 x 25"),
        (lambda: bone.bvtv_map(VALUES, SPACING, 1.0, 900.0), InputError, "threshold"),
        (lambda: bone.tmd(VALUES, 20.0), InputError, "threshold"),
        (lambda: bone.bmd_map(VALUES, SPACING, 1.0, mask=np.ones((2, 2, 2), bool)), InputError, "mask"),
        (lambda: bone.bmd_map(volume("HU"), None, 1.0), UnitError, "mg/cm"),
        (lambda: bone.tmd(volume(None), 225.0), UnitError, "mg/cm"),
        (lambda: bone.analyse(volume("1/mm"), 225.0), UnitError, "mg/cm"),
        (lambda: bone.analyse(volume("mg/cm3"), 225.0, mask=volume("1", 0.2)), InputError, "another grid"),
        (lambda: bone.analyse(volume("mg/cm3"), 900.0), InputError, "threshold"),
        (lambda: NNSP()(torch.zeros(1, 1, 8, 17, 17)), InputError, "expected at least 9 x 17 x 17"),
    ],
)
def test_bad_input(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def volume(unit: str | None, spacing: float = 0.1) -> sg.Volume:
    values = torch.from_numpy(VALUES if unit != "1" else (VALUES > 225).astype(np.float64))
    return sg.Volume(values, sg.Grid(values.shape, spacing), unit)


def test_empty_regions_are_not_zero() -> None:
    """NaN with a count, not zero."""
    values = np.full((9, 20, 20), 50.0)
    values[:, :, :4] = 600.0
    found = bone.tmd_map(values, 0.1, 0.5, 225.0)
    assert bool(torch.isnan(found[:, :, 10:]).all()) and not bool(torch.isnan(found[:, :, :4]).any())
    given = sg.Volume(torch.from_numpy(values), sg.Grid(values.shape, 0.1), "mg/cm3")
    region = torch.zeros(values.shape, dtype=torch.bool)
    region[:, :, 10:] = True
    kept: dict[str, bone.BoneMap] = {}
    analysis = bone.analyse(given, 225.0, diameter=0.5, mask=region, receive=lambda m: kept.update({m.name: m}))
    assert math.isnan(analysis["TMD"]) and math.isnan(analysis["Tb.Th"]) and analysis["BV/TV"] == 0
    assert analysis.empty["tmd"] == int(region.sum()) == kept["tmd"].empty
