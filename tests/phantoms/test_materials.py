"""Phantoms of materials. Truth: the same phantoms with the attenuations of NIST's tables as arguments."""

from __future__ import annotations

import pytest
import torch

from sinograd.errors import InputError
from sinograd.geometry import FlatDetector, ParallelBeam
from sinograd.phantoms import bone, tibia
from sinograd.phantoms.catalogue import facts, made, made_of_materials
from sinograd.phantoms.known_materials import of_arguments
from sinograd.physics import Spectrum, attenuation

pytest.importorskip("xraydb", reason="needs the extra spectra")


def few_rays(width: float) -> ParallelBeam:
    return ParallelBeam([0.3, 1.9], FlatDetector((8, 64), width / 64))


def test_the_tibia_at_one_energy_is_the_one_with_these_attenuations() -> None:
    found = made_of_materials("tibia", 3, 1.3)
    mu = {name: attenuation(name, 40.0) for name in ("bone", "adipose", "water")}
    expected = tibia(3, height=0.15, cortical=mu["bone"], marrow=mu["adipose"], fluid=mu["water"])
    scan = few_rays(1.4)
    assert torch.allclose(found.at(40.0).project(scan), expected.project(scan), atol=1e-5)


def test_the_bone_too() -> None:
    few = dict(size=1.0, plates=6, rods=30, canals=4, lacunae=20)
    found = of_arguments(bone, facts("bone")["materials"], 0, **few)
    mu = {name: attenuation(name, 60.0) for name in ("bone", "adipose", "water")}
    values = dict(cortical=mu["bone"], trabecular=0.94 * mu["bone"], marrow=mu["adipose"], fluid=mu["water"])
    scan = few_rays(1.0)
    assert torch.allclose(found.at(60.0).project(scan), bone(0, **few, **values).project(scan), atol=1e-5)


def test_the_defaults_of_the_tibia_are_these_materials_at_40_kev() -> None:
    """Its attenuations were taken from NIST's tables by hand."""
    assert attenuation("bone", 40.0) == pytest.approx(0.128, rel=0.01)
    assert attenuation("adipose", 40.0) == pytest.approx(0.023, rel=0.02)
    assert attenuation("water", 40.0) == pytest.approx(0.027, rel=0.01)


def test_a_phantom_without_materials_says_which_have_some() -> None:
    with pytest.raises(InputError, match=r"shepp-logan has no materials; .*tibia.* have"):
        made_of_materials("shepp-logan", 0, 200.0)


@pytest.mark.parametrize("name", ["abdomen", "abdomen-implant"])
def test_the_abdomen_of_materials_is_that_of_attenuations_at_70_kev(name: str) -> None:
    """Along the same rays; metals as their tables say, which round differently."""
    geometry = ParallelBeam(torch.tensor([0.3, 1.2]), FlatDetector(61, 5.0))
    expected = made(name, 2, 340.0).project(geometry, dtype=torch.float64)
    found = made_of_materials(name, 2, 340.0).at(70.0).project(geometry, dtype=torch.float64)
    assert float((found - expected).abs().max()) < 0.02 * float(expected.max())
    spectrum = Spectrum([50.0, 90.0], [1.0, 1.0])
    assert bool((made_of_materials(name, 2, 340.0).project(geometry, spectrum=spectrum) > -1e-6).all())
