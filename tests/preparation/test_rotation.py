"""A wrong sense of rotation is noticed, and only that. Truth: scans simulated with angles negated, and real ones."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import sinograd as sg
from sinograd.errors import CenterWarning, ScanWarning
from sinograd.preparation import find_center
from sinograd.preparation.center.rotation import compare_senses, warn_of_rotation
from sinograd.preparation.center.sinogram import read_sinograms

ORBIT = {"source_to_origin": 210.0, "source_to_detector": 350.0}
WORDS = r"fit a scan that turns the other way better \(mismatch .*\): negate the angles"
FAN = 2 * math.atan(64 / 350)


def thing(seed: int = 0) -> sg.Ellipsoids:
    generator = torch.Generator().manual_seed(seed)
    center = (torch.rand(20, 3, generator=generator) * 2 - 1) * 17
    center[:, 2] *= 0.1
    axes = torch.rand(20, 3, generator=generator) * 3 + 0.6
    return sg.Ellipsoids([0.03], [[28.0, 24.0, 26.0]]) + sg.Ellipsoids(
        torch.rand(20, generator=generator) * 0.05 - 0.01, axes, center
    )


def fan(angles: torch.Tensor, offset: float = 0.0) -> sg.Geometry:
    return sg.FanBeam.circular(**ORBIT, angles=angles, detector=sg.FlatDetector(128, 1.0, offset))


def cone(angles: torch.Tensor, offset: float = 0.0) -> sg.Geometry:
    return sg.ConeBeam.circular(**ORBIT, angles=angles, detector=sg.FlatDetector((6, 128), 1.0, (0.0, offset)))


ANGLES = {"full": sg.full_scan(120), "short": sg.short_scan(90, FAN), "sparse": sg.full_scan(60)}


@pytest.mark.parametrize(
    ("make", "scan", "offset", "photons"),
    [(fan, "full", 0.0, 1e6), (cone, "sparse", 5.3, 1e3), (cone, "short", 5.3, 1e6), (fan, "short", 0.0, 1e3)],
)
def test_both_senses(make, scan: str, offset: float, photons: float) -> None:
    """The wrong one is named by `find_center` and by the check of `reconstruct`; the right one is not."""
    angles = ANGLES[scan]
    measured = make(angles, offset)
    p = sg.add_photon_noise(thing().project(measured), photons, generator=torch.Generator().manual_seed(1))
    warn_of_rotation(p, make(angles))
    with pytest.warns(ScanWarning, match=WORDS):
        warn_of_rotation(p, make(-angles))
    with pytest.warns(CenterWarning, match=WORDS):
        assert not find_center(p, make(-angles)).reliable


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a ball on the axis", sg.Ellipsoids([0.02], [[20.0, 20.0, 20.0]])),
        ("shells on the axis", sg.Ellipsoids([0.02, 0.05, -0.03], [[20.0, 20.0, 20.0], [15.0, 15.0, 9.0], [8.0] * 3])),
        ("a ball beside the axis", sg.Ellipsoids([0.02], [[5.0, 5.0, 5.0]], [[12.0, 3.0, 0.0]])),
    ],
)
@pytest.mark.parametrize("photons", [None, 1e4])
def test_objects_that_look_alike_from_every_side(name: str, body: sg.Ellipsoids, photons: float | None) -> None:
    """Neither sense of those on the axis is better; of the one beside it the right one is."""
    for angles in (ANGLES["short"], ANGLES["sparse"]):
        p = body.project(cone(angles))
        p = p if photons is None else sg.add_photon_noise(p, photons, generator=torch.Generator().manual_seed(1))
        warn_of_rotation(p, cone(angles))
        if "on" in name.split():
            warn_of_rotation(p, cone(-angles))


def test_noise_and_scans_that_fit_neither(seed: int = 3) -> None:
    """Nothing is said of noise, of a centre beyond the reach, of a wrong distance and of a detector that is turned."""
    generator = torch.Generator().manual_seed(seed)
    for angles in (ANGLES["short"], ANGLES["sparse"]):
        warn_of_rotation(torch.randn(len(angles), 6, 128, generator=generator), cone(angles))
        warn_of_rotation(torch.zeros(len(angles), 6, 128), cone(angles))
        warn_of_rotation(thing(seed).project(cone(angles, 25.0)), cone(angles))
        turned = sg.ConeBeam.circular(
            **ORBIT, angles=angles, detector=sg.FlatDetector((6, 128), 1.0), in_plane_rotation=0.1
        )
        warn_of_rotation(thing(seed).project(turned), cone(angles))
        far = sg.FanBeam.circular(
            source_to_origin=400.0, source_to_detector=700.0, angles=angles, detector=sg.FlatDetector(128, 1.0)
        )
        warn_of_rotation(thing(seed).project(far), fan(angles))


def test_what_does_not_tell_the_sense() -> None:
    angles = sg.full_scan(60)
    parallel = sg.ParallelBeam(angles, sg.FlatDetector(128, 1.0))
    p = thing().project(parallel)
    assert compare_senses(read_sinograms(p, parallel, None, None)) is None
    warn_of_rotation(p, sg.ParallelBeam(-angles, sg.FlatDetector(128, 1.0)))
    few = torch.deg2rad(torch.arange(30.0))
    warn_of_rotation(thing().project(fan(few)), fan(-few))
    helix = sg.ConeBeam.helical(**ORBIT, angles=angles, detector=sg.FlatDetector((12, 128), 1.0), pitch=5.0)
    warn_of_rotation(torch.zeros(helix.projection_shape), helix)


def test_reconstruct_says_it() -> None:
    angles = sg.full_scan(90)
    scan = sg.Scan(thing().project(cone(angles)), cone(-angles))
    with pytest.warns(ScanWarning, match=WORDS):
        volume = sg.reconstruct(scan, shape=(4, 32, 32), voxel_mm=2.0)
    assert any("turns the other way" in text for text in volume.provenance["warnings"])
    sg.reconstruct(sg.Scan(thing().project(cone(angles)), cone(angles)), shape=(4, 32, 32), voxel_mm=2.0)


def test_the_real_fan_beam(shared_data: Path) -> None:
    scan = sg.read(shared_data / "htc2022" / "tb_549views.mat")
    warn_of_rotation(scan.projections, scan.geometry)
    geometry = scan.geometry
    assert isinstance(geometry, sg.FanBeam) and geometry.angles is not None
    negated = sg.FanBeam.circular(
        source_to_origin=410.66, source_to_detector=553.74, angles=-geometry.angles, detector=geometry.detector
    )
    with pytest.warns(ScanWarning, match=WORDS):
        warn_of_rotation(scan.projections, negated)
