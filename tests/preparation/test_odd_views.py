"""Views that do not belong to a scan are named in one warning; scans of every kind without such views give none."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.phantoms import ball

WALNUT = Path(__file__).parents[3] / "shared/data/walnut/walnut_cone.npz"
BODY = sg.Ellipsoids(
    [0.02, 0.02, -0.01], [[50, 35, 40], [8, 8, 8], [6, 12, 9]], [[5, 3, 0], [-20, 10, 5], [15, -12, -6]]
)
PLATE = sg.Ellipsoids([0.05], [[60, 6, 30]], [[3, 2, 0]])
PINS = sg.Ellipsoids([0.02, 0.2, 0.2], [[60, 60, 40], [2, 2, 20], [2, 2, 20]], [[0, 0, 0], [50, 0, 0], [-30, 20, 0]])
VIEWS = 120


def fan(angles: Tensor | None = None, columns: int = 192, offset: float = 0.0) -> sg.FanBeam:
    return sg.FanBeam.circular(
        source_to_origin=500,
        source_to_detector=750,
        angles=sg.full_scan(VIEWS) if angles is None else angles,
        detector=sg.FlatDetector(columns, 1.0, offset),
    )


def cone() -> sg.ConeBeam:
    return sg.ConeBeam.circular(
        source_to_origin=500, source_to_detector=750, angles=sg.full_scan(60), detector=sg.FlatDetector((24, 48), 5.0)
    )


def helix() -> sg.ConeBeam:
    return sg.ConeBeam.helical(
        source_to_origin=500,
        source_to_detector=750,
        angles=torch.arange(300, dtype=torch.float64) * (2 * math.pi / 75),
        pitch=30.0,
        detector=sg.FlatDetector((12, 48), 5.0),
    )


def noisy(projections: Tensor, photons: float | None) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return projections if photons is None else sg.add_photon_noise(projections, photons, generator=generator)


def warned(scan: sg.Scan) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sg.prepare(scan)
    return [str(w.message) for w in caught if "not fit" in str(w.message)]


def damaged(projections: Tensor, kind: str, views: Sequence[int]) -> Tensor:
    result = projections.clone()
    generator = torch.Generator().manual_seed(1)
    for i in views:
        view = result[i]
        result[i] = {
            "garbage": lambda v: torch.rand(v.shape, generator=generator) * projections.max(),
            "mirrored": lambda v: v.flip(-1),
            "shifted": lambda v: v.roll(v.shape[-1] // 16, -1),
            "frozen": lambda v, i=i: result[i - 1],
            "empty": lambda v: 0.003 * torch.randn(v.shape, generator=generator),
        }[kind](view)
    return result


WORDS = {
    "garbage": "",
    "mirrored": "mirrored left to right",
    "shifted": "shifted by",
    "frozen": "a copy, bit for bit, of the view before",
    "empty": "without the object",
}


@pytest.mark.parametrize("kind", list(WORDS))
@pytest.mark.parametrize("photons", [None, 3e4])
@pytest.mark.parametrize("geometry", [fan(), cone()], ids=["fan", "cone"])
def test_odd_views_are_named(geometry: sg.Geometry, photons: float | None, kind: str) -> None:
    clean = noisy(BODY.project(geometry), photons)
    for views, shown in (([7], "7 ("), ([30, 31, 32], "30 to 32 ("), ([geometry.views - 1], f"{geometry.views - 1} (")):
        (text,) = warned(sg.Scan(damaged(clean, kind, views), geometry))
        assert text.startswith(f"scan: {len(views)} view") and shown in text and WORDS[kind] in text


def test_odd_views_of_counts() -> None:
    """Of a scan with references; a frozen frame is told from its readings, whatever the references make of it."""
    geometry = fan()
    line_integrals = damaged(BODY.project(geometry), "mirrored", [30])
    counts = torch.poisson(1e4 * torch.exp(-line_integrals), generator=torch.Generator().manual_seed(0))
    counts[60] = counts[59]
    references = torch.stack([torch.full((192,), level) for level in (1e4, 0.98e4)])
    calibration = sg.Calibration(reference=references.numpy(), reference_views=np.array([0, VIEWS]))
    (text,) = warned(sg.Scan(counts, geometry, kind="counts", calibration=calibration))
    assert "30 (mirrored left to right)" in text and "60 (a copy, bit for bit" in text and "2 views do not" in text


@pytest.mark.parametrize("photons", [None, 1e4, 300.0])
@pytest.mark.parametrize("name", ["body", "plate", "pins"])
def test_scans_without_odd_views(name: str, photons: float | None) -> None:
    """Few, random, doubled and bursting angles, short scans, truncation, detectors beside the axis, helices; a thin
    plate is seen edge-on, and pins enter the detector and leave it."""
    chance = np.random.default_rng(1)
    shape = {"body": BODY, "plate": PLATE, "pins": PINS}[name]
    spread = torch.tensor([0.0, 4e-4], dtype=torch.float64).repeat(60)
    bursts = torch.cat([k * math.pi / 6 + 0.02 * torch.arange(10, dtype=torch.float64) for k in range(12)])
    geometries = [
        fan(),
        fan(sg.full_scan(15)),
        fan(torch.tensor(chance.uniform(0, 2 * math.pi, 100))),
        fan(torch.tensor(chance.uniform(0, 2 * math.pi, 30))),
        fan(sg.full_scan(60).repeat_interleave(2) + spread),
        fan(bursts),
        fan((torch.arange(150, dtype=torch.float64) * 2.399963) % (2 * math.pi)),
        fan(sg.short_scan(90, 0.4)),
        fan(columns=96),
        fan(columns=140, offset=60.0),
        sg.ParallelBeam(torch.linspace(0, 2, 60, dtype=torch.float64), sg.FlatDetector(192, 1.0)),
        cone(),
        helix(),
    ]
    for geometry in geometries:
        assert not warned(sg.Scan(noisy(shape.project(geometry), photons), geometry)), geometry


def test_round_objects_stand_still() -> None:
    """Equal views of a ball on the axis, and of nothing at all, are no copies."""
    for geometry in (fan(), cone()):
        assert not warned(sg.Scan(ball(30.0, 0.02).project(geometry), geometry))
        assert not warned(sg.Scan(torch.zeros(geometry.projection_shape), geometry))


def test_many_odd_views_and_a_slip() -> None:
    """A run of an eighth of the scan; a sample that slips does not come back."""
    geometry = fan()
    clean = noisy(BODY.project(geometry), 3e4)
    (text,) = warned(sg.Scan(damaged(clean, "mirrored", range(70, 85)), geometry))
    assert "15 views" in text and "70 to 84 (mirrored left to right)" in text
    (text,) = warned(sg.Scan(damaged(clean, "shifted", range(90, VIEWS)), geometry))
    assert "30 views" in text and "90 to 119 (shifted by 12 columns)" in text


@pytest.mark.skipif(not WALNUT.exists(), reason=f"no {WALNUT}")
def test_the_walnut() -> None:
    data = np.load(WALNUT)
    projections = torch.from_numpy(data["sinogram"][:240:2].astype(np.float32))
    geometry = sg.ConeBeam.circular(
        source_to_origin=210.66,
        source_to_detector=553.74,
        angles=torch.tensor(-data["angles"][:240:2].astype(float)),
        detector=sg.FlatDetector((256, 256), 0.4),
    )
    assert not warned(sg.Scan(projections, geometry))
    for kind, words in WORDS.items():
        (text,) = warned(sg.Scan(damaged(projections, kind, [50]), geometry))
        assert "1 view does" in text and "50 (" in text and words in text
