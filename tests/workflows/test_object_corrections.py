"""Beam hardening by a spectrum and metal, as options of a reconstruction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg
from sinograd import phantoms, physics, preparation
from sinograd.errors import InputError, InputTypeError, PreparationWarning

pytest.importorskip("spekpy")
pytest.importorskip("xraydb")

FAN = sg.FanBeam.circular(
    source_to_origin=500.0, source_to_detector=1000.0, angles=sg.full_scan(90), detector=sg.FlatDetector(160, 3.2)
)
GRID = sg.Grid((96, 96), 2.4)
BODY = [110.0, 80.0, 99.0]
HOLES = [[0, 0, 0], [50, 0, 0], [-50, 0, 0]]


@pytest.fixture(scope="module")
def spectrum() -> physics.Spectrum:
    return physics.Spectrum.tube(120, "2.5 mm Al", bin_kev=8)


def _scan(spectrum: Any, inner: str, radius: float) -> sg.Scan:
    parts = [[radius, radius, 99.0]] * 2
    body = sg.Ellipsoids([1.0, -1.0, -1.0], [BODY, *parts], HOLES)
    phantom = phantoms.MaterialPhantom({"water": body, inner: sg.Ellipsoids([1.0, 1.0], parts, HOLES[1:])})
    return sg.Scan(phantom.project(FAN, spectrum=spectrum).clamp(max=8.0), FAN, grid=GRID)


@pytest.fixture(scope="module")
def ribs(spectrum: Any) -> sg.Scan:
    return _scan(spectrum, "bone", 14.0)


@pytest.fixture(scope="module")
def pins(spectrum: Any) -> sg.Scan:
    return _scan(spectrum, "iron", 6.0)


def test_one_material(ribs: sg.Scan, spectrum: Any) -> None:
    found = sg.reconstruct(ribs, spectrum=spectrum, energy=60.0)
    expected = preparation.correct_beam_hardening(ribs.load(), spectrum=spectrum, energy=60.0)
    assert torch.equal(found.values, sg.fbp(expected, FAN, GRID))


def test_two_materials(ribs: sg.Scan, spectrum: Any) -> None:
    found = sg.reconstruct(ribs, spectrum=spectrum, materials="water,bone", response="counting")
    expected = preparation.correct_two_materials(ribs.load(), FAN, GRID, spectrum=spectrum, detector="counting")
    assert torch.equal(found.values, sg.fbp(expected.line_integrals, FAN, GRID))


@pytest.mark.parametrize("method", ["linear", "normalized"])
def test_metal(pins: sg.Scan, method: str) -> None:
    found = sg.reconstruct(pins, metal=method)
    replaced = preparation.replace_metal(pins.load(), FAN, GRID, method=method)
    without = sg.fbp(replaced.line_integrals, FAN, GRID)
    assert torch.equal(found.values, replaced.with_metal(without, sg.fbp(pins.load(), FAN, GRID)))
    assert replaced.metal.any()


def test_metal_on_a_grid_of_its_own(pins: sg.Scan) -> None:
    found = sg.reconstruct(pins, metal="linear", shape=(40, 60), center_mm=(48.0, 0.0))
    whole = sg.reconstruct(pins, metal="linear")
    rows, columns = slice(28, 68), slice(38, 96)
    assert torch.allclose(found.values[:, :58], whole.values[rows, columns], atol=1e-6)


def test_hardening_and_metal_together(pins: sg.Scan, spectrum: Any) -> None:
    found = sg.reconstruct(pins, spectrum=spectrum, metal="normalized", metal_threshold=0.09)
    watery = preparation.correct_beam_hardening(pins.load(), spectrum=spectrum, energy=70.0)
    replaced = preparation.replace_metal(watery, FAN, GRID, threshold=0.09)
    without = sg.fbp(replaced.line_integrals, FAN, GRID)
    assert torch.equal(found.values, replaced.with_metal(without, sg.fbp(watery, FAN, GRID)))


def test_a_spectrum_in_memory_is_told_and_cannot_be_repeated(ribs: sg.Scan, spectrum: Any) -> None:
    options = sg.reconstruct(ribs, spectrum=spectrum).provenance["options"]
    assert "keV in the mean" in options["spectrum"]
    with pytest.raises(InputError, match="expected a tube voltage"):
        sg.reconstruct(ribs, **options)


def test_without_metal_it_warns(ribs: sg.Scan) -> None:
    with pytest.warns(PreparationWarning, match="no voxel is metal"):
        found = sg.reconstruct(ribs, metal="linear", metal_threshold=5.0)
    assert torch.equal(found.values, sg.fbp(ribs.load(), FAN, GRID))


def test_the_record_repeats_it(ribs: sg.Scan) -> None:
    found = sg.reconstruct(ribs, spectrum="120kV", filter="2.5 mm Al", materials=["water", "bone"])
    options = found.provenance["options"]
    assert options["spectrum"] == "120kV" and options["filter"] == "2.5 mm Al" and options["materials"] == "water,bone"
    assert torch.equal(sg.reconstruct(ribs, **options).values, found.values)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a filter alone": ({"filter": "1 mm Al"}, "`filter` needs a `spectrum`"),
    "two corrections": ({"spectrum": "80kV", "beam_hardening": "1,0.1"}, "one of them corrects"),
    "an unknown material": ({"spectrum": "80kV", "materials": "watr"}, "watr"),
    "the denser one first": ({"spectrum": "80kV", "materials": "bone,water"}, "denser one last"),
    "three materials": ({"materials": "water,bone,iron"}, "expected one, or two"),
    "no tube": ({"spectrum": "eighty"}, "expected a tube voltage"),
    "an unknown method": ({"metal": "nmar"}, "`metal` must be one of none, linear, normalized"),
    "a threshold alone": ({"metal_threshold": 0.1}, "`metal_threshold` is for metal"),
    "a threshold of 0": ({"metal": "linear", "metal_threshold": 0.0}, "above 0"),
    "an infinite threshold": ({"metal": "linear", "metal_threshold": float("inf")}, "`metal_threshold` must be finite"),
    "an energy beyond the tables": ({"spectrum": "80kV", "energy": 1e6}, "`energy` must be from 0.1 to 800 keV"),
    "an energy that is none": ({"spectrum": "80kV", "energy": float("nan")}, "`energy` must be"),
    "a number of kV": ({"spectrum": 80}, "`spectrum`: expected a Spectrum, a tube voltage"),
    "materials alone": ({"materials": "bone"}, "`materials` is for a `spectrum`"),
    "an energy alone": ({"energy": 60.0, "metal": "linear"}, "`energy` is for a `spectrum`"),
    "a response alone": ({"response": "counting"}, "`response` is for a `spectrum`"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_values_are_told_before_any_work(ribs: sg.Scan, name: str) -> None:
    arguments, words = WRONG[name]
    with pytest.raises((InputError, InputTypeError), match=words):
        sg.reconstruct(ribs, **arguments)


def test_slabs_are_refused(tmp_path: Path) -> None:
    cone = sg.ConeBeam.circular(
        source_to_origin=500.0,
        source_to_detector=1000.0,
        angles=sg.full_scan(8),
        detector=sg.FlatDetector((6, 24), 4.0),
    )
    scan = sg.Scan(torch.rand(cone.projection_shape), cone)
    with pytest.raises(InputError, match="all projections at once"):
        sg.reconstruct(scan, tmp_path / "v.h5", metal="linear", range=(0.0, 0.1))


def test_a_helix_is_refused() -> None:
    helix = sg.ConeBeam.helical(
        source_to_origin=500.0,
        source_to_detector=1000.0,
        angles=torch.linspace(0.0, 18.0, 72),
        detector=sg.FlatDetector((16, 24), 8.0),
        pitch=40.0,
    )
    with pytest.raises(InputError, match="this one is helical"):
        sg.reconstruct(sg.Scan(torch.rand(helix.projection_shape), helix), spectrum="120kV")


def test_unfiltered_tubes(ribs: sg.Scan) -> None:
    with pytest.warns(PreparationWarning, match="a filter in the spectrum"):
        found = sg.reconstruct(ribs, spectrum="120kV", materials="water,bone")
    assert bool(found.values.isfinite().all())


def test_lengths_have_to_be_known() -> None:
    beam = sg.ParallelBeam(sg.full_scan(30), sg.FlatDetector(32, 1.0))
    scan = sg.Scan(torch.rand(30, 32), beam, length_unit="pixel")
    with pytest.raises(InputError, match="pixel_mm"):
        sg.reconstruct(scan, metal="linear")


@pytest.mark.parametrize("wanted", [{"metal": "linear"}, {"materials": "water,iron"}])
def test_orbits_without_a_filtered_backprojection_are_told(wanted: dict[str, Any], spectrum: Any) -> None:
    """Also where an iterative algorithm is asked for: advice to take one says nothing."""
    cone = sg.ConeBeam.circular(
        source_to_origin=500.0,
        source_to_detector=1000.0,
        angles=sg.full_scan(8),
        detector=sg.FlatDetector((6, 24), 8.0),
    )
    turn = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]], dtype=torch.float64)
    tilted = cone.at(cone.vectors @ turn.T)
    options = {"algorithm": "sirt", "iterations": 1, "voxel_mm": 8.0, "shape": (20, 24, 24)}
    scan = sg.Scan(torch.rand(cone.projection_shape), tilted)
    with pytest.raises(InputError, match="look at a filtered backprojection, which is defined for a circular orbit"):
        sg.reconstruct(scan, **options, **wanted, spectrum=spectrum)
    assert sg.reconstruct(scan, **options, spectrum=spectrum).values.isfinite().all()
