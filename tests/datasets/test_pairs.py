"""Paired volumes: what fits together, and what is in another unit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from placed import placed
from sinograd.data import Volume, VolumeSource
from sinograd.datasets import PairedVolume, check_unit
from sinograd.errors import UnitError


def _pair(**options: Any) -> PairedVolume:
    volume = torch.randn(3, 4, 5) * 100
    given = {"name": "a", "patient": "p", "inputs": (volume,), "target": volume, "unit": "HU"}
    return PairedVolume(**{**given, **options})


def test_a_tensor_is_read_as_float32() -> None:
    volume = torch.arange(60, dtype=torch.int16).reshape(3, 4, 5)
    source = placed(volume, 0.5)
    assert source.shape == (3, 4, 5) and source.spacing == (0.5, 0.5, 0.5)
    assert torch.equal(source.read(1, 3), volume[1:].float())
    assert _pair(inputs=(volume[0],), target=None).shape == (1, 4, 5)
    floats = torch.randn(3, 4, 5)
    pair = _pair(inputs=(floats,), target=placed(floats, 0.5))
    assert isinstance(pair.inputs[0], Volume) and isinstance(pair.inputs[0].source, VolumeSource)
    assert pair.target is not None
    for held in (pair.inputs[0], pair.target):
        assert held.read(1, 2).data_ptr() == floats[1].data_ptr()


def test_shape_and_spacing_of_a_pair() -> None:
    known = placed(torch.randn(3, 4, 5), (2.0, 1.0, 1.0))
    pair = _pair(target=known)
    assert pair.shape == (3, 4, 5) and pair.spacing == (2.0, 1.0, 1.0)
    assert _pair().spacing is None
    assert _pair(target=None).target is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": ()}, "a: inputs must be a tuple of at least one volume"),
        ({"unit": "mm"}, "a: unit must be one of 1/mm, HU, mg/cm3, 1, 1/pixel, got 'mm'"),
        ({"target": torch.zeros(3, 4, 6)}, "a: target has 3 x 4 x 6 voxels, the input 3 x 4 x 5"),
        (
            {"inputs": (torch.zeros(3, 4, 5), torch.zeros(2, 4, 5))},
            "a: input 1 has 2 x 4 x 5 voxels",
        ),
        (
            {
                "inputs": (placed(torch.zeros(3, 4, 5), (1, 0.7, 0.7)),),
                "target": placed(torch.zeros(3, 4, 5), (3, 0.7, 0.7)),
            },
            "a: target has voxels of 3 x 0.7 x 0.7 mm, the input of 1 x 0.7 x 0.7 mm",
        ),
    ],
)
def test_what_is_no_pair(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _pair(**options)


@pytest.mark.parametrize(
    ("volume", "error", "message"),
    [
        (torch.zeros(3), ValueError, r"must be \[Z, Y, X\] or \[Y, X\] and not empty, got \[3\]"),
        (torch.zeros(0, 2, 2), ValueError, "not empty"),
        (torch.full((2, 2), float("nan")), ValueError, "got 4 NaN or infinite ones among 4"),
        ([[1.0]], TypeError, "real numbers, got list"),
        (torch.zeros(2, 2, dtype=torch.complex64), TypeError, "got complex64"),
    ],
)
def test_what_is_no_volume(volume: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        _pair(inputs=(volume,), target=None)


def test_other_arguments_of_a_tensor() -> None:
    with pytest.raises(ValueError, match=r"spacing.*must be positive"):
        placed(torch.zeros(2, 2, 2), (1.0, 0.0, 1.0))
    with pytest.raises(IndexError, match="slices 1 to 3 asked for, it has 2"):
        _pair(inputs=(torch.zeros(2, 2, 2),), target=None).inputs[0].read(1, 3)


def test_attenuation_against_hounsfield_units() -> None:
    hounsfield = torch.randn(3, 8, 8) * 30
    attenuation = 0.02 + 0.002 * torch.randn(3, 8, 8)
    for unit, volume in (("HU", hounsfield), ("1/mm", attenuation), ("none", attenuation), ("none", hounsfield)):
        pair = _pair(inputs=(volume,), target=volume, unit=unit)
        assert check_unit(pair) is pair
    wrong = _pair(inputs=(hounsfield,), target=attenuation)
    with pytest.raises(
        ValueError, match=r"the unit is HU, but the target's values in slice 1 .*: attenuation in 1/mm\?"
    ):
        check_unit(wrong)
    wrong = _pair(inputs=(hounsfield - 1000,), target=None, unit="1/mm")
    with pytest.raises(ValueError, match=r"the unit is 1/mm, but the input's values .*: HU or another unit\?"):
        check_unit(wrong)
    assert check_unit(_pair(target=torch.zeros(3, 4, 5)))  # one value tells nothing


def test_volumes_say_their_own_unit() -> None:
    """One that is not known becomes the pair's, another one is an error; none is 1, as 0.1 called it."""
    values = torch.randn(3, 4, 5) * 100
    pair = _pair(inputs=(placed(values, 1.0),), target=placed(values, 1.0, "HU"))
    assert pair.inputs[0].unit == "HU" == pair.unit
    assert _pair(unit="none").unit == "1" == _pair(unit="none").inputs[0].unit
    with pytest.raises(UnitError, match=r"`unit='HU'`, but the volume is in 1/mm; volume\.to\('HU'\) converts it"):
        _pair(target=placed(values, 1.0, "1/mm"))
