"""Local maps. Truth: a loop over voxels, written from the equations; counts of the paper; finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.errors import InputError, UnitError
from sinograd.morphometry import ball, bmd_map, bvtv_map, sd_map, tmd_map
from sinograd.morphometry import neighbourhood_means as means

PUBLISHED = (0.340, 0.172, 0.172)
SPACING, DIAMETER, THRESHOLD = (0.34, 0.172, 0.2), 1.3, 225.0


def volume(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    drawn = torch.Generator().manual_seed(len(shape))
    return (600 * torch.rand(shape, generator=drawn, dtype=torch.float64)).to(dtype)


@pytest.mark.parametrize(
    ("diameter", "box"), [(4.3, (13, 25, 25)), (2.924, (9, 17, 17)), (1.548, (5, 9, 9)), (0.516, (1, 3, 3))]
)
def test_the_published_neighbourhoods(diameter: float, box: tuple[int, ...]) -> None:
    """Paper 001, section 2.3: 25 x 25 x 13, 17 x 17 x 9, 9 x 9 x 5 and 3 x 3 x 1 voxels; all nine of the last."""
    found = ball(PUBLISHED, diameter)
    assert tuple(found.shape) == box
    offsets = np.indices(box) - (np.array(box) // 2)[:, None, None, None]
    lengths = np.sqrt(((offsets * np.array(PUBLISHED)[:, None, None, None]) ** 2).sum(0))
    assert np.array_equal(found.numpy(), lengths <= diameter / 2)
    assert box != (1, 3, 3) or bool(found.all())


def test_a_centre_on_the_sphere_belongs_to_it() -> None:
    """3 x 0.1 is 0.30000000000000004."""
    assert tuple(ball(0.1, 0.6).shape) == (7, 7, 7)
    assert ball(0.1, 0.01).tolist() == [[[True]]]


def looped(values: Tensor, parameter: Callable[[np.ndarray], float], mask: Tensor | None = None) -> np.ndarray:
    """The parameter of the voxels within DIAMETER / 2 of each voxel, one after the other."""
    array = values.numpy()
    inside = np.ones(array.shape, bool) if mask is None else mask.numpy()
    where = np.indices(array.shape).reshape(3, -1).T * np.array(SPACING)
    result = np.full(array.size, np.nan)
    for i, position in enumerate(where):
        near = ((where - position) ** 2).sum(1) <= (DIAMETER / 2) ** 2
        if inside.ravel()[i]:
            result[i] = parameter(array.ravel()[near & inside.ravel()])
    return result.reshape(array.shape)


def share(v: np.ndarray) -> float:
    return float((1 / (1 + np.exp((THRESHOLD - v) / 10))).mean())


def tissue(v: np.ndarray) -> float:
    soft = 1 / (1 + np.exp((THRESHOLD - v) / 10))
    floored = 1e-4 * np.logaddexp(0, soft.mean() / 1e-4 - 1) + 1e-4
    return float((soft * v).mean() / floored)


MAPS: dict[str, tuple[Callable[..., Tensor], Callable[[np.ndarray], float]]] = {
    "bmd": (lambda v, **o: bmd_map(v, SPACING, DIAMETER, **o), lambda v: float(v.mean())),
    "bvtv": (lambda v, **o: bvtv_map(v, SPACING, DIAMETER, THRESHOLD, **o), share),
    "tmd": (lambda v, **o: tmd_map(v, SPACING, DIAMETER, THRESHOLD, **o), tissue),
    "sd": (lambda v, **o: sd_map(v, SPACING, DIAMETER, **o), lambda v: float(v.std(ddof=1)) if v.size > 1 else np.nan),
}


@pytest.mark.parametrize("name", MAPS)
def test_maps_are_those_of_the_direct_loop(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equations 6 to 9 to 1e-10, at the border too; in one block and many, of a batch, in a mask, the valid part."""
    compute, parameter = MAPS[name]
    values = volume(7, 11, 9)
    truth = looped(values, parameter)
    np.testing.assert_allclose(compute(values).numpy(), truth, rtol=0, atol=1e-10)
    np.testing.assert_allclose(compute(values, valid=True).numpy(), truth[1:-1, 3:-3, 3:-3], rtol=0, atol=1e-10)
    mask = volume(7, 11, 9) > 250
    mask[2:5, 3:8] = True
    np.testing.assert_allclose(compute(values, mask=mask).numpy(), looped(values, parameter, mask), rtol=0, atol=1e-10)
    assert compute(values.float()).dtype == torch.float32
    np.testing.assert_allclose(compute(values.float()).numpy(), truth, rtol=2e-4)
    monkeypatch.setattr(means, "_BLOCK_BYTES", 1)
    batch = torch.stack([values, values.flip(0)])[:, None]
    np.testing.assert_allclose(compute(batch)[1, 0].flip(0).numpy(), truth, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", MAPS)
def test_gradients(name: str) -> None:
    """First and second derivatives, backwards and forwards."""
    values = volume(4, 8, 7).requires_grad_()
    mask = volume(4, 8, 7) > 100
    for options in ({}, {"valid": True}, {"mask": mask}):
        inside = ~torch.isnan(MAPS[name][0](values.detach(), **options))
        function = lambda v, o=options, i=inside: MAPS[name][0](v, **o)[i]  # noqa: E731
        assert torch.autograd.gradcheck(function, values, check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(MAPS[name][0], values, fast_mode=True)


def test_extremes_have_numbers_and_gradients() -> None:
    """Where nothing is near the threshold, and where nothing varies: no exponential overflows, no root is of noise."""
    values = torch.zeros(5, 9, 9)
    values[:, :, 5:] = 1e5
    values.requires_grad_()
    found = {name: compute(values) for name, (compute, _) in MAPS.items()}
    assert [float(f) for f in found["bvtv"].detach().aminmax()] == pytest.approx([0, 1], abs=1e-6)
    assert bool(torch.isnan(found["tmd"][:, :, 0]).all()) and float(found["tmd"][2, 4, 8].detach()) > 0.99e5
    assert float(found["sd"][2, 4, 1].detach()) == 0
    sum(torch.nansum(part) for part in found.values()).backward()  # pyright: ignore
    assert values.grad is not None and bool(torch.isfinite(values.grad).all())


def test_deviations_of_large_values_in_float32() -> None:
    """The variance is not the difference of two squares of about 1e8."""
    noise = torch.randn(6, 12, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    exact = sd_map(noise, SPACING, DIAMETER)
    np.testing.assert_allclose(sd_map((noise + 1e4).float(), SPACING, DIAMETER).numpy(), exact.numpy(), rtol=1e-2)


def test_volumes_say_their_spacing_and_unit() -> None:
    values = volume(5, 9, 9)
    grid = sg.Grid(tuple(values.shape), SPACING)
    calibrated = sg.Volume(values, grid, "mg/cm3")
    assert torch.equal(bmd_map(calibrated, None, DIAMETER), bmd_map(values, SPACING, DIAMETER))
    assert torch.equal(bmd_map(values.numpy(), SPACING, DIAMETER), bmd_map(values, SPACING, DIAMETER))
    with pytest.raises(UnitError, match="bone morphometry needs mg/cm³, and the volume is in HU"):
        bmd_map(calibrated.with_unit("HU"), None, DIAMETER)
    with pytest.raises(UnitError, match="the unit of the volume is not known"):
        bmd_map(calibrated.with_unit(None), None, DIAMETER)
    with pytest.raises(InputError, match=r"spacing .* is another one than the volume's"):
        bmd_map(calibrated, 0.172, DIAMETER)


BAD: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "spacing": (lambda v: bmd_map(v, None, 1.0), "spacing: missing; expected mm per voxel"),
    "negative": (lambda v: bmd_map(v, (1, -1, 1), 1.0), r"spacing\[1\] must be positive, got -1"),
    "two": (lambda v: bmd_map(v, (1.0, 1.0), 1.0), "spacing must be one number or 3"),
    "diameter": (lambda v: sd_map(v, 1.0, 0.0), "diameter must be positive, got 0"),
    "larger": (
        lambda v: bmd_map(v, 1.0, 9.0),
        "diameter 9 mm is a neighbourhood of 9 x 9 x 9 voxels, larger than the volume of 5 x 9 x 9",
    ),
    "huge": (lambda v: bmd_map(v, 1e-6, 1e6), "larger than the volume"),
    "single": (lambda v: sd_map(v, 1.0, 1.0), "a standard deviation needs a sphere of at least 2 voxels, it has 1"),
    "above": (lambda v: tmd_map(v, 1.0, 3.0, 700.0), "threshold 700 mg/cm3 is outside the data, "),
    "below": (lambda v: bvtv_map(v, 1.0, 3.0, -1.0), "threshold -1 mg/cm3 is outside the data, "),
    "nan": (lambda v: bvtv_map(v, 1.0, 3.0, math.nan), "threshold must be finite, got nan"),
    "softness": (lambda v: bvtv_map(v, 1.0, 3.0, 225.0, 0.0), "softness must be positive, got 0"),
    "mask": (
        lambda v: bmd_map(v, 1.0, 3.0, mask=torch.ones(5, 9, 8)),
        r"mask \[5, 9, 8\] is on another grid than the volume \[5, 9, 9\]",
    ),
    "labels": (lambda v: bmd_map(v, 1.0, 3.0, mask=v), "mask: expected true and false, or 0 and 1, got 405 other"),
    "values": (lambda v: bmd_map(v / 0, 1.0, 3.0), "values: expected finite values, got 405 NaN or infinite ones"),
    "integers": (lambda v: bmd_map(v.int(), 1.0, 3.0), "values: expected floating-point numbers in mg/cm3, got int32"),
    "flat": (lambda v: bmd_map(v[0], 1.0, 3.0), r"values: expected \[..., Z, Y, X\] with some elements, got"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    call, words = BAD[case]
    with pytest.raises((InputError, TypeError), match=words):
        call(volume(5, 9, 9))
