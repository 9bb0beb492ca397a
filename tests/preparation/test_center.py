"""The rotation axis is found where it was put, with the certainty that is claimed."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.errors import CenterWarning
from sinograd.preparation import find_center
from sinograd.preparation.center.comparisons import Conjugates, Seam, seam_ends
from sinograd.preparation.center.sinogram import read_sinograms
from sinograd.view import save_center_picture

COLUMNS = 128
ORBIT = {"source_to_origin": 210.0, "source_to_detector": 350.0}
RADIUS = 0.4 * COLUMNS * 0.6  # mm: what 80 % of the detector sees at the axis of the divergent beams
FAN = 2 * math.atan(COLUMNS / 2 / 350)
Maker = Callable[[float], sg.Geometry]


def flat(offset: float, rows: int = 0) -> sg.FlatDetector:
    return sg.FlatDetector((rows, COLUMNS), 1.0, (1.3, offset)) if rows else sg.FlatDetector(COLUMNS, 1.0, offset)


def fan(angles: torch.Tensor) -> Maker:
    return lambda offset: sg.FanBeam.circular(**ORBIT, angles=angles, detector=flat(offset))


def cone(angles: torch.Tensor, **more: object) -> Maker:
    return lambda offset: sg.ConeBeam.circular(**ORBIT, angles=angles, detector=flat(offset, 8), **more)


def parallel(angles: torch.Tensor, rows: int = 0) -> Maker:
    spacing = 0.6  # the same object covers the same share of the detector

    def make(offset: float) -> sg.ParallelBeam:
        if rows:
            return sg.ParallelBeam(angles, sg.FlatDetector((rows, COLUMNS), spacing, (0.0, offset * spacing)))
        return sg.ParallelBeam(angles, sg.FlatDetector(COLUMNS, spacing, offset * spacing))

    return make


SCANS: dict[str, Maker] = {
    "parallel, half a turn": parallel(torch.arange(200) * math.pi / 200),
    "parallel, half a turn with its end": parallel(torch.linspace(0, math.pi, 201)),
    "parallel, half a turn, 3-D": parallel(torch.arange(160) * math.pi / 160, rows=12),
    "parallel, full turn": parallel(sg.full_scan(160)),
    "fan, full turn": fan(sg.full_scan(160)),
    "fan, short": fan(sg.short_scan(140, FAN)),
    "cone, full turn": cone(sg.full_scan(160)),
    "cone, short": cone(sg.short_scan(140, FAN)),
}


def thing(scale: float, seed: int = 0) -> sg.Ellipsoids:
    """An ellipsoid full of others, which look different from every side."""
    generator = torch.Generator().manual_seed(seed)
    radius = scale * RADIUS
    center = (torch.rand(30, 3, generator=generator) * 2 - 1) * 0.7 * radius
    axes = (torch.rand(30, 3, generator=generator) * 0.12 + 0.02) * radius
    value = (torch.rand(30, generator=generator) - 0.4) * 2 / radius
    center[:, 2] *= 0.1
    body = sg.Ellipsoids([1.5 / radius], [[0.95 * radius, 0.85 * radius, radius]], [[0.03 * radius, 0.0, 0.0]])
    return body + sg.Ellipsoids(value, axes, center)


def measured(geometry: sg.Geometry, scale: float, photons: float, seed: int = 0, drift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    p = sg.add_photon_noise(thing(scale, seed).project(geometry), photons, generator=generator)
    beam = drift * (torch.linspace(0, 1, len(p)) + 0.1 * torch.randn(len(p), generator=generator))
    return p + beam.reshape(-1, *[1] * (p.ndim - 1))


@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize("offset", [12.8, -12.8, 0.35])
def test_within_a_quarter_of_a_pixel(name: str, offset: float) -> None:
    """From up to a tenth of the detector's width, with photon noise and a beam that drifts and flickers."""
    make = SCANS[name]
    p = measured(make(offset), 0.75, photons=1e4, seed=int(abs(offset)), drift=0.1)
    found = find_center(p, make(0.0))
    assert abs(found.offset_pixels - offset) < 0.25
    assert found.standard_error < 0.25 and found.reliable
    assert found.correct(make(0.0)).equals(make(found.offset_pixels))


@pytest.mark.parametrize("name", SCANS)
def test_objects_larger_than_the_field_of_view(name: str) -> None:
    make = SCANS[name]
    p = measured(make(11.4), 2.0, photons=1e5)
    found = find_center(p, make(0.0))
    assert abs(found.offset_pixels - 11.4) < 0.25


@pytest.mark.parametrize("name", ["parallel, half a turn", "parallel, full turn", "fan, short"])
def test_the_claimed_certainty(name: str) -> None:
    """Ten scans of different objects: errors are as large as claimed, within the scatter of ten."""
    make = SCANS[name]
    found = [find_center(measured(make(5.3)[::2], 0.9, 3e3, seed), make(0.0)[::2]) for seed in range(10)]
    ratios = torch.tensor([(center.offset_pixels - 5.3) / center.standard_error for center in found])
    assert 0.3 < ratios.square().mean().sqrt() < 1.8
    assert ratios.abs().max() < 4


def test_per_view_shifts_turned_and_curved_detectors_and_half_fans() -> None:
    shifts = torch.rand(120, 2, generator=torch.Generator().manual_seed(2)) * 6 - 3
    angles = sg.full_scan(120)
    makers: list[Maker] = [
        cone(angles, shifts=shifts),
        cone(angles, in_plane_rotation=0.03, yaw=0.04),
        lambda t: sg.ConeBeam.circular(
            **ORBIT, angles=sg.short_scan(140, FAN), detector=sg.CurvedDetector((4, COLUMNS), 1.0, offset=(0.0, t))
        ),
        lambda t: sg.FanBeam.circular(**ORBIT, angles=angles, detector=flat(40 + t)),
        lambda t: sg.FanBeam.from_vectors(
            sources=(geometry := fan(angles)(t)).vectors[:, 0, :2],
            centers=geometry.vectors[:, 1, :2],
            u=geometry.vectors[:, 2, :2],
            detector=flat(0.0),
        ),
    ]
    for make in makers:
        found = find_center(measured(make(9.7), 0.8, 1e5), make(0.0))
        assert abs(found.offset_pixels - 9.7) < 0.05
        moved = found.correct(make(0.0)).vectors
        assert (moved - make(9.7).vectors).abs().max() < 0.05


def test_lines_measured_twice_are_equal_at_the_right_offset() -> None:
    """The pairs themselves, exact projections: equal at the true offset and different beside it."""
    for make in (SCANS["fan, full turn"], SCANS["fan, short"], SCANS["parallel, full turn"]):
        data = read_sinograms(thing(0.8).project(make(4.0)), make(0.0), None, None)
        comparison = Conjugates(data)

        def mismatch(offset: float, comparison: Conjugates = comparison) -> float:
            one, two, mask = comparison.pairs(offset)
            assert mask.any()
            return float(np.square((one - two)[mask]).mean() / np.square(one[mask]).mean())

        assert mismatch(4.0) < 1e-4
        assert mismatch(3.0) > 10 * mismatch(4.0) and mismatch(5.0) > 10 * mismatch(4.0)


def test_ends_of_half_a_turn() -> None:
    for angles in (torch.arange(160) * math.pi / 160, torch.linspace(0, math.pi, 161), -torch.linspace(1, 4.13, 161)):
        geometry = parallel(angles)(0.0)
        data = read_sinograms(thing(0.8).project(geometry), geometry, None, None)
        ends = seam_ends(data)
        assert ends is not None and abs(abs(ends[1] - ends[0]) - math.pi) < 0.04
        one, two, mask = Seam(data, *ends).pairs(0.0)
        assert float(np.square((one - two)[mask]).mean() / np.square(one[mask]).mean()) < 2e-4
    for geometry in (parallel(sg.full_scan(160))(0.0), fan(sg.short_scan(160, FAN))(0.0)):
        assert seam_ends(read_sinograms(torch.zeros(geometry.projection_shape), geometry, None, None)) is None


def test_nothing_measured_twice() -> None:
    for angles in (torch.deg2rad(torch.arange(7) * 15.0 - 45), torch.deg2rad(torch.arange(150) * 1.0)):
        geometry = parallel(angles)(0.0)
        with pytest.raises(ValueError, match=f"none of the lines of {len(angles)} views, .* was measured from both"):
            find_center(thing(0.8).project(geometry), geometry)


def test_doubts_are_told() -> None:
    geometry = SCANS["parallel, half a turn"](0.0)
    noise = torch.randn(geometry.projection_shape)
    with pytest.warns(CenterWarning, match="the centre of rotation is uncertain"):
        assert not find_center(noise, geometry).reliable
    make = SCANS["fan, full turn"]
    with pytest.warns(CenterWarning, match="end of the reach"):
        find_center(thing(0.8).project(make(13.6)), make(0.0), reach=0.1)


def test_arrays_rows_and_progress() -> None:
    make = SCANS["cone, short"]
    p = thing(0.8).project(make(3.2))
    told: list[tuple[int, int]] = []
    one = find_center(p.numpy().astype(">f8"), make(0.0), progress=lambda *done: told.append(done))
    assert told[-1] == (140, 140)
    two = find_center(p, make(0.0), rows=(3, 7))
    assert one.offset_pixels == pytest.approx(3.2, abs=0.1) and two.offset_pixels == pytest.approx(3.2, abs=0.1)
    assert one.offset_mm == one.offset_pixels
    assert len(one.candidates) == len(one.criterion) and "standard error" in str(one)
    assert float(one.candidates[np.nanargmin(one.criterion)]) == pytest.approx(3.2, abs=1)


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (lambda p: p[1:], {}, "do not match the geometry's"),
        (lambda p: p.index_fill(1, torch.tensor([64]), torch.nan), {}, "got 160 NaN or infinite"),
        (lambda p: p, {"reach": 0.6}, "reach"),
        (lambda p: p, {"rows": (0, 2)}, "rows: expected"),
    ],
)
def test_bad_input(change: Callable, arguments: dict, message: str) -> None:
    geometry = SCANS["fan, full turn"](0.0)
    with pytest.raises(ValueError, match=message):
        find_center(change(torch.zeros(geometry.projection_shape)), geometry, **arguments)


def test_orbits_that_are_no_circle() -> None:
    helix = sg.ConeBeam.helical(**ORBIT, angles=sg.full_scan(20), detector=flat(0.0, 6), pitch=5.0)
    with pytest.raises(ValueError, match="find_center is defined for a circular orbit, not for a helix"):
        find_center(torch.zeros(helix.projection_shape), helix)


def test_the_old_name_of_the_standard_error() -> None:
    make = SCANS["fan, short"]
    found = find_center(thing(0.8).project(make(3.2)), make(0.0))
    with pytest.warns(DeprecationWarning, match="renamed to Center.standard_error"):
        assert found.certainty == found.standard_error


def test_the_picture(tmp_path: Path) -> None:
    from PIL import Image

    make = SCANS["fan, short"]
    found = find_center(thing(0.8).project(make(3.2)), make(0.0))
    save_center_picture(found, tmp_path / "center.png")
    with Image.open(tmp_path / "center.png") as picture:
        assert picture.size[0] > 500 and len(set(picture.convert("L").tobytes())) > 10
    with pytest.raises(FileExistsError):
        save_center_picture(found, tmp_path / "center.png")
    with pytest.raises(ValueError, match=r"\.png"):
        save_center_picture(found, tmp_path / "center.jpg")
