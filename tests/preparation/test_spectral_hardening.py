"""Beam hardening. Truth: attenuation at one energy, of objects whose rays are known exactly in a beam of many."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.errors import InputError, InputTypeError, PreparationWarning
from sinograd.phantoms import Ellipsoids, MaterialPhantom
from sinograd.physics import SpectralBeam, Spectrum, attenuation
from sinograd.preparation import (
    BeamHardening,
    consistent_polynomial,
    correct_beam_hardening,
    correct_two_materials,
    flat_polynomial,
    spectral_polynomial,
)

pytest.importorskip("xraydb", reason="needs the extra spectra")

GEOMETRY = sg.FanBeam.circular(
    source_to_origin=600, source_to_detector=1000, angles=sg.full_scan(180), detector=sg.FlatDetector(201, 2.2)
)
GRID = sg.Grid((128, 128), 2.0)
WATER = MaterialPhantom({"water": Ellipsoids(1.0, [[100.0, 100.0, 500.0]])})
INSERTS = Ellipsoids([1.0, 1.0], [[12.0, 12.0, 500.0]] * 2, [[45.0, 0.0, 0.0], [-45.0, 0.0, 0.0]])
BONES = MaterialPhantom(
    {"water": WATER.parts["water"] + Ellipsoids(-INSERTS.value, INSERTS.semi_axes, INSERTS.center)} | {"bone": INSERTS}
)


@pytest.fixture(scope="module")
def spectrum() -> Spectrum:
    pytest.importorskip("spekpy", reason="needs the extra spectra")
    return Spectrum.tube(120, "2.5 mm Al", bin_kev=4.0)


def cupping(line_integrals: Tensor) -> float:
    """By how much the middle of a cylinder of 100 mm is below a ring at 85 mm, as a share of it."""
    image = sg.fbp(line_integrals, GEOMETRY, GRID, window="hann")
    x = torch.arange(128) * 2.0 - 127
    radius = (x[:, None] ** 2 + x**2).sqrt()
    middle, ring = image[radius < 20].mean(), image[(radius > 80) & (radius < 90)].mean()
    return float(1 - middle / ring)


def test_water_of_200_mm_at_120_kilovolts(spectrum: Spectrum) -> None:
    p = WATER.project(GEOMETRY, spectrum=spectrum)
    mono = WATER.at(70.0).project(GEOMETRY, dtype=torch.float32)
    assert cupping(p) > 0.03  # 3.5 %
    corrected = correct_beam_hardening(p, spectrum=spectrum, energy=70.0)
    assert abs(cupping(corrected)) < 0.005
    assert float((corrected - mono).abs().max()) < 0.002 * float(mono.max())
    found = correct_beam_hardening(p, flat_polynomial(p, GEOMETRY, GRID, degree=3))
    assert abs(cupping(found)) < 0.005


@pytest.mark.parametrize("kind", ["integrating", "counting"])
def test_polynomials_make_chords_proportional(kind: str, spectrum: Spectrum) -> None:
    lengths = torch.linspace(1, 300, 60, dtype=torch.float64)[None]
    measured = SpectralBeam(spectrum, ["pmma"], kind).line_integrals(lengths)
    found = correct_beam_hardening(measured, spectrum=spectrum, material="pmma", detector=kind, energy=60.0)
    assert found.numpy() == pytest.approx(attenuation("pmma", 60.0) * lengths[0].numpy(), rel=0.003)
    slope = spectral_polynomial(spectrum, "pmma", detector=kind)[0]
    assert slope == pytest.approx(1, abs=0.02)


def test_bone_in_water_after_two_passes(spectrum: Spectrum) -> None:
    energy = 70.0
    p = BONES.project(GEOMETRY, spectrum=spectrum)
    done = correct_two_materials(p, GEOMETRY, GRID, spectrum=spectrum, energy=energy)
    image = sg.fbp(done.line_integrals, GEOMETRY, GRID, window="hann")
    before = sg.fbp(correct_beam_hardening(p, spectrum=spectrum, energy=energy), GEOMETRY, GRID, window="hann")
    x = torch.arange(128) * 2.0 - 127
    y = x[:, None]
    bone = ((x.abs() - 45) ** 2 + y**2) < 8**2
    between = (x.abs() < 25) & (y.abs() < 8)  # where dark streaks are
    water = ((x**2 + y**2) < 90**2) & (((x.abs() - 45) ** 2 + y**2) > 20**2)
    for values, mask, truth in ((image, bone, "bone"), (image, between, "water"), (image, water, "water")):
        assert float(values[mask].mean()) == pytest.approx(attenuation(truth, energy), rel=0.01)
    truth = attenuation("water", energy)
    assert (image[between] - truth).square().mean() < 0.1 * (before[between] - truth).square().mean()


def test_consistency_finds_the_polynomial_of_an_object_that_is_not_round(spectrum: Spectrum) -> None:
    oval = MaterialPhantom({"water": Ellipsoids(1.0, [[110.0, 55.0, 500.0]])})
    p = oval.project(GEOMETRY, spectrum=spectrum)
    found = correct_beam_hardening(p, consistent_polynomial(p, GEOMETRY, GRID, degree=2))
    chords = oval.lengths(GEOMETRY)[0]
    inside = chords > 20

    def bend(values: Tensor) -> float:
        ratio = (values.double() / chords)[inside]
        return float(ratio.std() / ratio.mean())

    assert bend(found) < 0.4 * bend(p)


def test_gradients_and_training(spectrum: Spectrum) -> None:
    p = torch.rand(5, 7, dtype=torch.float64, requires_grad=True)
    layer = BeamHardening((1.0, 0.1, 0.0)).double()
    assert torch.autograd.gradcheck(lambda a, c: correct_beam_hardening(a, c), (p, layer.coefficients))
    assert layer(p).shape == p.shape
    geometry = sg.ParallelBeam(sg.full_scan(12), sg.FlatDetector(16, 1.0))
    lines = (Ellipsoids([0.05], [[5.0, 4.0, 9.0]]).project(geometry, dtype=torch.float64)).requires_grad_()
    done = correct_two_materials(lines, geometry, sg.Grid((8, 8), 2.0), spectrum=spectrum, passes=1, threshold=0.6)
    done.line_integrals.sum().backward()
    assert lines.grad is not None and bool(torch.isfinite(lines.grad).all())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: correct_beam_hardening(torch.ones(3)), InputError, "either coefficients"),
        (lambda s: correct_beam_hardening(torch.ones(3), (1.0,), spectrum=s), InputError, "either coefficients"),
        (lambda s: correct_beam_hardening(np.ones(3), spectrum=s), InputTypeError, "must be a tensor"),
        (lambda s: spectral_polynomial(s, "watr"), InputError, "did you mean water"),
        (lambda s: spectral_polynomial(s, energy=1e6), InputError, "keV"),
        (lambda s: spectral_polynomial(s, degree=0), InputError, "degree: expected"),
        (lambda s: spectral_polynomial(s, largest=-1), InputError, "largest: expected"),
        (lambda s: correct_two_materials(torch.ones(180, 201), GEOMETRY, GRID, spectrum=s, materials=("bone",
        "water")), InputError, "denser one second"), (lambda s: correct_two_materials(torch.ones(180, 201), GEOMETRY,
        GRID, spectrum=s, passes=0), InputError, "passes"), (lambda s: correct_two_materials(torch.ones(180, 20),
        GEOMETRY, GRID, spectrum=s), InputError, r"expected \[180, 201\]"), (lambda s: flat_polynomial(torch.ones(180,
        201), GEOMETRY, GRID, degree=1), InputError, "degree"), (lambda s: flat_polynomial(torch.ones(180, 201),
        GEOMETRY, GRID, mask=torch.zeros(128, 128) > 1), InputError, "mask"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(call, error: type[Exception], message: str, spectrum: Spectrum) -> None:
    with pytest.raises(error, match=message):
        call(spectrum)


def test_metal_everywhere_and_bad_fits_warn(spectrum: Spectrum) -> None:
    p = MaterialPhantom({"bone": Ellipsoids(1.0, [[60.0, 60.0, 500.0]])}).project(GEOMETRY, spectrum=spectrum)
    with pytest.warns(PreparationWarning, match="of the object's voxels were taken for the dense material"):
        correct_two_materials(p, GEOMETRY, GRID, spectrum=spectrum, passes=1)
    with pytest.warns(PreparationWarning, match="misses the beam hardening"):
        spectral_polynomial(spectrum, degree=1)
