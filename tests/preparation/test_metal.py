"""Metal. Truth: the object at one energy, whose scan in a beam of many with few photons is known exactly."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.errors import InputError, PreparationWarning
from sinograd.phantoms import Ellipsoids, MaterialPhantom
from sinograd.physics import Spectrum, attenuation
from sinograd.preparation import MetalReplacement, correct_beam_hardening, replace_metal

pytest.importorskip("xraydb", reason="needs the extra spectra")

GEOMETRY = sg.FanBeam.circular(
    source_to_origin=600, source_to_detector=1000, angles=sg.full_scan(240), detector=sg.FlatDetector(221, 2.2)
)
GRID = sg.Grid((144, 144), 2.0)
PINS = Ellipsoids([1.0, 1.0], [[5.0, 5.0, 500.0]] * 2, [[40.0, 5.0, 0.0], [-40.0, 5.0, 0.0]])
BONE = Ellipsoids([1.0], [[14.0, 10.0, 500.0]], [[0.0, -50.0, 0.0]])
BODY = Ellipsoids(1.0, [[120.0, 90.0, 500.0]])


def without(*parts: Ellipsoids) -> Ellipsoids:
    holes = [Ellipsoids(-part.value, part.semi_axes, part.center) for part in parts]
    return sum(holes, BODY)


METAL = MaterialPhantom({"water": without(PINS, BONE), "bone": BONE, "iron": PINS})
CLEAN = MaterialPhantom({"water": without(BONE), "bone": BONE})
SPECTRUM = Spectrum([30.0, 50.0, 70.0, 90.0, 110.0], [1.0, 2.0, 1.6, 0.9, 0.3]).scaled(2e5)


@pytest.fixture(scope="module")
def scan() -> Tensor:
    lengths = METAL.lengths(GEOMETRY)
    beam = METAL.beam(SPECTRUM)
    noisy, _ = beam.noisy_line_integrals(lengths, generator=torch.Generator().manual_seed(0))
    return correct_beam_hardening(noisy.float().clamp(max=10.0), spectrum=SPECTRUM, energy=60.0)


def image(line_integrals: Tensor) -> Tensor:
    return sg.fbp(line_integrals, GEOMETRY, GRID, window="hann")


def regions() -> tuple[Tensor, Tensor]:
    """Voxels near the metal, and far away from it."""
    x = torch.arange(144) * 2.0 - 143
    y = x[:, None]
    distance = torch.minimum((x - 40) ** 2 + (y - 5) ** 2, (x + 40) ** 2 + (y - 5) ** 2).sqrt()
    inside = (x / 112) ** 2 + (y / 82) ** 2 < 1
    return (distance > 9) & (distance < 35) & inside, (y > 70) & inside


def test_the_error_near_metal_is_less_than_half(scan: Tensor) -> None:
    truth = CLEAN.at(60.0).voxelize(GRID).float()
    near, far = regions()
    before = image(scan)
    errors = {}
    for method in ("linear", "normalized"):
        done = replace_metal(scan, GEOMETRY, GRID, method=method)
        after = image(done.line_integrals)
        errors[method] = float((after - truth)[near].square().mean().sqrt())
        assert torch.equal(done.line_integrals[~done.trace], scan[~done.trace])
        changed = float((after - before)[far].mean().abs())
        assert changed < 0.01 * attenuation("water", 60.0)
        assert torch.equal(done.with_metal(after, before)[done.metal], before[done.metal])
    uncorrected = float((before - truth)[near].square().mean().sqrt())
    assert errors["normalized"] < 0.5 * uncorrected
    assert errors["normalized"] < errors["linear"]


def test_the_network_starts_as_nothing_and_changes_the_trace_alone() -> None:
    net = MetalReplacement(channels=4, reach=1)
    for shape in ((6, 9), (6, 3, 9)):
        lines, trace = torch.rand(shape), torch.rand(shape) > 0.7
        assert torch.equal(net(lines, trace), lines)
        torch.nn.init.ones_(net.last.weight)
        changed = net(lines, trace)
        assert torch.equal(changed[~trace], lines[~trace]) and not torch.equal(changed, lines)
        changed.sum().backward()
        torch.nn.init.zeros_(net.last.weight)
    assert net.first.weight.grad is not None


def test_what_cannot_be_is_refused(scan: Tensor) -> None:
    with pytest.raises(InputError, match="method: expected one of linear, normalized, got 'nmar'"):
        replace_metal(scan, GEOMETRY, GRID, method="nmar")
    with pytest.raises(InputError, match=r"of the object's voxels and .* of its rays are metal"):
        replace_metal(scan, GEOMETRY, GRID, threshold=0.005)
    with pytest.raises(InputError, match="metal: expected bool"):
        replace_metal(scan, GEOMETRY, GRID, metal=torch.zeros(3, 3, dtype=torch.bool))
    with pytest.warns(PreparationWarning, match="no voxel is metal"):
        done = replace_metal(scan, GEOMETRY, GRID, threshold=100.0)
    assert done.line_integrals is scan
