"""All measures of a volume. Truth: the functions of each, and a lattice of plates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd import morphometry as bone
from sinograd.errors import InputError, UnitError
from sinograd.morphometry import analysis
from sinograd.morphometry.analysis import BoneMap, analyse

SPACING = (0.34, 0.172, 0.172)


def textured(unit: str = "mg/cm3") -> sg.Volume:
    drawn = torch.Generator().manual_seed(0)
    values = 120 + 200 * torch.randn(22, 30, 28, generator=drawn)
    return sg.Volume(values, sg.Grid((22, 30, 28), SPACING, (1.0, 2.0, 3.0)), unit)


@pytest.mark.parametrize("masked", [False, True])
def test_numbers_and_maps_are_those_of_the_functions(masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In slabs as in one piece."""
    volume = textured()
    mask = None
    if masked:
        mask = torch.zeros(volume.shape, dtype=torch.uint8)
        mask[3:18, 5:25, 4:20] = 1
    maps: dict[str, BoneMap] = {}
    steps: list[tuple[int, int]] = []
    monkeypatch.setattr(analysis, "_SLAB_VOXELS", 1)
    found = analyse(
        volume,
        225,
        diameter=1.2,
        mask=mask,
        receive=lambda made: maps.update({made.name: made}),
        progress=lambda done, total: steps.append((done, total)),
    )
    values, solid = volume.values, volume.values >= 225
    assert found["BMD"] == pytest.approx(float(bone.bmd(values, mask=mask)), rel=1e-6)
    assert found["BV/TV"] == pytest.approx(float(bone.bvtv(values, 225, mask=mask)), rel=1e-12)
    assert found["TMD"] == pytest.approx(float(bone.tmd(values, 225, mask=mask)), rel=1e-6)
    assert found["BS"] == pytest.approx(bone.surface_area(solid, SPACING, region=mask))
    assert found["Conn.D"] == pytest.approx(bone.connectivity_density(solid, SPACING, region=mask))
    assert found["DA"] == pytest.approx(bone.degree_of_anisotropy(solid, SPACING, region=mask))
    inside = torch.ones_like(solid) if mask is None else mask.bool()
    for symbol, phase in (("Tb.Th", solid), ("Tb.Sp", ~solid)):
        local = bone.thickness(phase, SPACING)
        assert found[symbol] == pytest.approx(float(local[phase & inside].mean()), rel=1e-5)
    expected = {
        "bmd": bone.bmd_map(values, SPACING, 1.2, mask=mask),
        "bvtv": bone.bvtv_map(values, SPACING, 1.2, 225, mask=mask),
        "tmd": bone.tmd_map(values, SPACING, 1.2, 225, mask=mask),
        "sd": bone.sd_map(values, SPACING, 1.2, mask=mask),
    }
    assert list(maps) == ["thickness", "separation", *expected] and steps == [(i, 8) for i in range(1, 9)]
    for name, values_of in expected.items():
        torch.testing.assert_close(maps[name].values, values_of, rtol=1e-4, atol=1e-3, equal_nan=True)
    assert found.empty == dict.fromkeys(maps, 0)


def test_a_lattice_of_plates() -> None:
    """Plates of 3 in 10 voxels: all is known. Half of it has no bone, where TMD is no number, with its count."""
    values = torch.zeros(20, 40, 20)
    values[:, torch.arange(40) % 10 < 3] = 600.0
    volume = sg.Volume(values, sg.Grid((20, 40, 20), 0.1), "mg/cm3")
    mask = torch.zeros(20, 40, 20)
    mask[:, 10:30] = 1
    found = analyse(volume, 225, mask=mask)
    wanted = {"BMD": 180, "BV/TV": 0.3, "TMD": 600, "Tb.Th": 0.3, "Tb.Sp": 0.7, "TV": 8, "BV": 2.4, "DA": 1}
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-5)
    assert found["BS"] == pytest.approx(3 * 4, rel=1e-6) and found["Tb.Th.SD"] == pytest.approx(0, abs=1e-6)
    empty = torch.zeros(20, 40, 20)
    empty[:, :20] = values[:, :20]
    half = analyse(sg.Volume(empty, volume.grid, "mg/cm3"), 225, diameter=0.5, largest_mm=1.0)
    rows = [y for y in range(40) if min(abs(y - np.array([0, 1, 2, 10, 11, 12]))) > 2]
    assert half.empty["tmd"] == 20 * 20 * len(rows) and half.empty["bmd"] == 0
    assert half.capped > 0


def test_regions_without_bone() -> None:
    volume = textured()
    mask = (volume.values < 225).to(torch.uint8)
    found = analyse(volume, 225, mask=mask)
    assert found["BV/TV"] == 0 and all(math.isnan(found[name]) for name in ("TMD", "Tb.Th", "BS/BV"))
    assert found["Tb.Sp"] > 0


def test_bad_input() -> None:
    volume = textured()
    other = sg.Volume(torch.ones(volume.shape), sg.Grid(volume.shape, SPACING, (1.0, 2.0, 3.1)), "1")
    infinite = volume.values.clone()
    infinite[3, 4, 5] = math.inf
    for call, words in (
        (lambda: analyse(textured("HU"), 225), "bone morphometry needs mg/cm³, and the volume is in HU"),
        (lambda: analyse(volume, 1e5), "threshold 100000 mg/cm3 is outside the data"),
        (lambda: analyse(volume, 225, mask=other), "mask is on another grid than the volume"),
        (lambda: analyse(volume, 225, mask=torch.ones(3, 3, 3)), "mask .* is on another grid than the volume"),
        (lambda: analyse(volume, 225, mask=torch.zeros(volume.shape)), "mask: expected some voxels inside, got none"),
        (lambda: analyse(volume, 225, diameter=9.0), "larger than the volume"),
        (lambda: analyse(volume.with_values(infinite), 225), "got 1 NaN or infinite ones, the first in slice 3"),
        (lambda: analyse(volume, 225, largest_mm=0), "largest_mm must be positive"),
        (lambda: analyse(volume.values, 225), "volume: expected a Volume, got Tensor"),  # pyright: ignore
    ):
        with pytest.raises((InputError, UnitError, TypeError), match=words):
            call()
    close = sg.Volume(
        torch.ones(volume.shape), sg.Grid(volume.shape, [s * (1 + 1e-6) for s in SPACING], (1, 2, 3)), "1"
    )
    assert analyse(volume, 225, mask=close)["TV"] > 0
