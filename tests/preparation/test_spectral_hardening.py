"""Beam hardening. Truth: attenuation at one energy, of objects whose rays are known exactly in a beam of many."""

from __future__ import annotations

from pathlib import Path

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
    segmented_polynomial,
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
    assert bend(found, chords) < 0.4 * bend(p, chords)


def bend(line_integrals: Tensor, chords: Tensor) -> float:
    """Standard deviation of line integrals per mm, as a share of their mean."""
    ratio = (line_integrals.double() / chords)[chords > 20]
    return float(ratio.std() / ratio.mean())


HOLES = [[20.0, 15.0, 500.0], [12.0, 12.0, 500.0], [15.0, 25.0, 500.0]]
PLACES = [[40.0, 10.0, 0.0], [-30.0, -40.0, 0.0], [-45.0, 30.0, 0.0]]
HOLED = MaterialPhantom({"water": WATER.parts["water"] + Ellipsoids([-1.0] * 3, HOLES, PLACES)})


@pytest.mark.parametrize(("find", "degrees"), [(flat_polynomial, (2, 3)), (segmented_polynomial, (2, 3))])
@pytest.mark.parametrize("thing", [WATER, HOLED], ids=["water", "holes"])
@pytest.mark.parametrize("photons", [1e5, 1e4])
def test_noise_is_no_hardening(thing: MaterialPhantom, find, degrees, photons: float, spectrum: Spectrum) -> None:
    """Polynomials of noisy scans make exact line integrals proportional to length: noise was cut down instead, by a
    polynomial that takes the object away (deviations of up to 8.8 %, five times those of the hardening)."""
    p, chords = thing.project(GEOMETRY, spectrum=spectrum), thing.lengths(GEOMETRY)[0]
    noisy = sg.physics.add_photon_noise(p, photons, generator=torch.Generator().manual_seed(0))
    for degree in degrees:
        found = find(noisy, GEOMETRY, GRID, degree=degree)
        assert found[0] == 1.0
        assert bend(correct_beam_hardening(p, found), chords) < 0.4 * bend(p, chords)  # 1.6 and 1.8 %


def test_polynomials_that_take_the_object_away_are_told(spectrum: Spectrum) -> None:
    """A round object is consistent whatever is done to it."""
    p = WATER.project(GEOMETRY, spectrum=spectrum)
    with pytest.warns(PreparationWarning, match=r"has a slope of -[0-9.]+ at a line integral of"):
        consistent_polynomial(p, GEOMETRY, GRID, degree=2)


def test_lengths_of_real_acrylic(shared_data: Path) -> None:
    """From 24 to 56 mm a disc of acrylic loses a sixth of its attenuation per mm, and nothing after the correction."""
    scan = sg.read(shared_data / "htc2022" / "tb_549views.mat")
    lines = torch.as_tensor(scan.projections[:]).float()
    grid = sg.Grid((256, 256), scan.geometry.field_of_view / 256)
    with pytest.warns(sg.errors.CoverageWarning, match="degrees missing"):
        found = segmented_polynomial(lines, scan.geometry, grid)
        image = sg.fbp(lines, scan.geometry, grid, window="hann")
    lengths = sg.XRayTransform(scan.geometry, grid)((image > 0.5 * image.max()).float())
    thin, thick = ((lengths > low) & (lengths < high) for low, high in ((22, 26), (54, 58)))

    def drop(values: Tensor) -> float:
        per_mm = [float(values[rays].sum() / lengths[rays].sum()) for rays in (thin, thick)]
        return 1 - per_mm[1] / per_mm[0]

    assert drop(lines) > 0.1
    assert abs(drop(correct_beam_hardening(lines, found))) < 0.1 * drop(lines)


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
        (lambda s: flat_polynomial(torch.ones(180, 201), GEOMETRY, GRID, mask=torch.ones(128, 128)), InputTypeError,
        "mask: expected a bool"), (lambda s: flat_polynomial(torch.zeros(180, 201), GEOMETRY, GRID,
        mask=torch.ones(128, 128) > 0), InputError, "powers are zero"), (lambda s: consistent_polynomial(torch.zeros(
        180, 201), GEOMETRY, GRID), InputError, "powers are zero"),
        (lambda s: segmented_polynomial(torch.ones(180, 201), GEOMETRY, GRID, passes=0), InputError, "passes"),
        (lambda s: segmented_polynomial(torch.zeros(180, 201), GEOMETRY, GRID), InputError, "the slice has none"),
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
