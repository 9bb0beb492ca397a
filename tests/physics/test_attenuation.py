"""Attenuation and spectra. Truth: NIST's tables, closed forms, spekpy's own integration, IEC 61267."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from sinograd.errors import FormatError, InputError, MissingFileError
from sinograd.physics import Material, Spectrum, attenuation

pytest.importorskip("xraydb", reason="needs the extra spectra")


@pytest.mark.parametrize(
    ("material", "density", "nist"),
    [
        # Hubbell and Seltzer, NISTIR 5632: cm^2/g at 60, 80, 100 keV; water and bone as in public copies.
        ("water", 1.0, (0.2059, 0.1837, 0.1707)),
        ("bone", 1.92, (0.3148, 0.2229, 0.1855)),
        ("air", 1.205e-3, (0.1875, 0.1662, 0.1541)),
        ("Al", 2.699, (0.2778, 0.2018, 0.1704)),
        ("Cu", 8.96, (1.593, 0.7630, 0.4584)),
        ("Fe", 7.874, (1.205, 0.5952, 0.3717)),
        ("Ti", 4.54, (0.7661, 0.4052, 0.2721)),
        ("PMMA", 1.19, (0.1924, 0.1751, 0.1641)),
        ("soft tissue", 1.06, (0.2048, 0.1823, 0.1693)),
    ],
)
def test_attenuation_is_that_of_nist(material: str, density: float, nist: tuple[float, ...]) -> None:
    found = attenuation(material, [60.0, 80.0, 100.0])
    assert found == pytest.approx(np.array(nist) * density / 10, rel=0.01)


@pytest.mark.parametrize(
    ("material", "density", "expected"),
    [
        ("water", 1.0, (0.809727, 0.268293, 0.205901, 0.183685, 0.170753, 0.150550)),
        ("Al", 2.699, (3.441870, 0.568389, 0.277810, 0.201776, 0.170417, 0.137845)),
        ("Fe", 7.874, (25.683023, 3.628878, 1.204934, 0.595229, 0.371724, 0.196442)),
        ("Cu", 8.96, (33.799688, 4.861230, 1.592579, 0.763002, 0.458474, 0.221704)),
        ("W", 19.3, (65.720505, 10.667850, 3.712621, 7.809237, 4.436626, 1.581253)),
        ("PMMA", 1.19, (0.571415, 0.235043, 0.192408, 0.175143, 0.164109, 0.145650)),
        ("CsI", 4.51, (26.858859, 22.969593, 7.921182, 3.677084, 2.035351, 0.729113)),
    ],
)
def test_attenuation_is_that_of_xraylib(material: str, density: float, expected: tuple[float, ...]) -> None:
    """CS_Total_CP of xraylib 4.3.0 (T. Schoonjans et al., Spectrochimica Acta B 66, 2011), cm^2/g."""
    found = attenuation(material, [20.0, 40.0, 60.0, 80.0, 100.0, 150.0], density)
    assert found == pytest.approx(np.array(expected) * density / 10, rel=0.001)


def test_formulas_symbols_tensors_and_numbers() -> None:
    assert attenuation("H2O", 60, density=1.0) == pytest.approx(attenuation("water", 60.0), rel=1e-3)
    assert attenuation("Aluminum", 60) == attenuation("Al", 60) == attenuation("aluminium", 60)
    assert attenuation("water", torch.tensor([[60.0, 80.0]])).shape == (1, 2)
    assert attenuation("water", 60, density=0.5) == pytest.approx(attenuation("water", 60) / 2)
    half = Material("half", {"H": 1.0, "O": 1.0}, 2.0)
    each = [attenuation(Material("part", {symbol: 1.0}, 2.0), 50) for symbol in "HO"]
    assert attenuation(half, 50) == pytest.approx(sum(each) / 2)
    assert attenuation("Zr", 50) > attenuation("Ti", 50)  # an element that has no name here, with its density


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attenuation("watr", 60), r"unknown material 'watr'.*did you mean water\?"),
        (lambda: attenuation("qqq", 60), "unknown material 'qqq'; materials are .*bone"),
        (lambda: attenuation("CaCO3", 60), "density is missing"),
        (lambda: attenuation("water", 0.05), "energies must be from 0.1 to 800 keV.*got 0.05"),
        (lambda: attenuation("water", 60000.0), "keV, not eV"),
        (lambda: attenuation("water", math.nan), "energies must be"),
        (lambda: attenuation("water", 60, density=-1), "density of water must be positive"),
        (lambda: Material("x", {"Xx": 1.0}, 1.0), "unknown element 'Xx'"),
        (lambda: Material("x", {}, 1.0), "expected masses by element"),
        (lambda: Spectrum([10, 20], [1, 2, 3]), "as many of each"),
        (lambda: Spectrum([20, 10], [1, 2]), "must rise"),
        (lambda: Spectrum([10, 20], [0, 0]), "not all zero"),
        (lambda: Spectrum([10, 20], [1, -1]), "not negative"),
        (lambda: Spectrum([10, 20], [1, 2]).filtered("Al", -1), "mm must not be negative"),
        (lambda: Spectrum([10, 20], [1, 2]).filtered("lead", 1e6), "leave no photons"),
        (lambda: Spectrum([0.5, 20], [1, 2]).half_value_layers(), "at least 1 keV"),
    ],
)
def test_what_cannot_be_is_refused(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_one_energy_has_equal_half_value_layers_of_log_2_by_attenuation() -> None:
    first, second = Spectrum.monochromatic(60.0).half_value_layers()
    assert first == pytest.approx(math.log(2) / attenuation("Al", 60.0))
    assert second == pytest.approx(first)


def test_filters_means_and_totals() -> None:
    spectrum = Spectrum([40.0, 80.0], [3.0, 1.0])
    assert spectrum.mean_energy == pytest.approx(50.0)
    assert spectrum.scaled(1e5).photons == pytest.approx([75_000, 25_000])
    behind = spectrum.filtered("Al", 2.0)
    assert behind.photons == pytest.approx(spectrum.photons * np.exp(-2 * attenuation("Al", [40.0, 80.0])))
    with pytest.raises(ValueError, match="read-only"):
        spectrum.photons[0] = 2


def test_csv(tmp_path: Path) -> None:
    file = tmp_path / "spectrum.csv"
    file.write_text("# made by hand\nkeV,photons\n40,3\n80,1\n")
    assert Spectrum.from_csv(file).mean_energy == pytest.approx(50.0)
    file.write_text("40;3\n80;1\n")
    assert Spectrum.from_csv(file).total == 4
    for text, message in (("40,3\n80,x\n", "two numbers"), ("", "two numbers"), ("80,1\n40,1\n", "must rise")):
        file.write_text(text)
        with pytest.raises(FormatError, match=message):
            Spectrum.from_csv(file)
    with pytest.raises(MissingFileError, match=r"no spectrum at .*none\.csv: expected a \.csv file"):
        Spectrum.from_csv(tmp_path / "none.csv")
