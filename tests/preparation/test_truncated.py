"""Objects larger than the detector are noticed, with what they cost; those that fit are not, whatever the noise."""

from __future__ import annotations

import warnings

import pytest
import torch

import sinograd as sg
from sinograd.errors import PreparationWarning, TruncationWarning

VIEWS = 180


def fan(columns: int, offset: float = 0.0, angles: torch.Tensor | None = None) -> sg.FanBeam:
    return sg.FanBeam.circular(
        source_to_origin=500,
        source_to_detector=750,
        angles=sg.full_scan(VIEWS) if angles is None else angles,
        detector=sg.FlatDetector(columns, 1.5, offset),
    )


def disc(radius: float, x: float = 0.0) -> sg.Ellipsoids:
    return sg.Ellipsoids([0.02], [[radius, radius, radius]], [[x, 0.0, 0.0]])


def warned(projections: torch.Tensor, geometry: sg.Geometry) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sg.prepare(sg.Scan(projections, geometry))
    assert all(issubclass(w.category, PreparationWarning) for w in caught)
    return " ".join(str(w.message) for w in caught)


@pytest.mark.parametrize("radius", [50.0, 56.0, 70.0, 90.0])
def test_the_excess_is_that_of_the_reconstruction(radius: float) -> None:
    """Discs beyond a field of view of 48 mm: the stated excess against the middle of the reconstruction."""
    geometry = fan(96)
    p = disc(radius).project(geometry)
    middle = float(sg.fbp(p, geometry, sg.Grid((9, 9), 1.0)).mean())
    text = warned(p, geometry)
    assert "in 100% of the views and rows" in text and "`truncation='ellipse'`" in text
    stated = float(text.split("about ")[1].split("%")[0]) / 100
    assert stated == pytest.approx(middle / 0.02 - 1, abs=0.02, rel=0.15)


def test_part_of_the_views() -> None:
    geometry = fan(128)
    text = warned(disc(40, 40.0).project(geometry), geometry)
    share = float(text.split("in ")[1].split("%")[0])
    reach = disc(40, 40.0).project(geometry)[:, [0, -1]].amax(1)
    assert share == pytest.approx(100 * float((reach > 0.1 * 1.6).float().mean()), abs=8)
    assert issubclass(TruncationWarning, PreparationWarning)


@pytest.mark.parametrize("photons", [None, 1e3, 50.0])
def test_objects_that_fit(photons: float | None) -> None:
    """Air at the edges, with noise, and a beam that drifted by 5 %."""
    for geometry in (fan(128), sg.ParallelBeam(sg.full_scan(VIEWS), sg.FlatDetector((6, 100), 1.0))):
        p = disc(40, 4.0).project(geometry)
        if photons is not None:
            p = sg.add_photon_noise(p, photons, generator=torch.Generator().manual_seed(0))
        for drift in (0.0, 0.05, -0.05):
            assert "beyond" not in warned(p + drift, geometry)
    geometry = fan(128)
    assert not warned(torch.zeros(geometry.projection_shape), geometry)


def test_a_detector_beside_the_axis() -> None:
    """A half fan is meant to end in the object on its short side, and not on its long one."""
    for side in (1, -1):
        geometry = fan(96, side * 60.0)
        assert not warned(disc(55).project(geometry), geometry)
        assert "beyond" in warned(disc(90).project(geometry), geometry)
    short = fan(96, 60.0, sg.short_scan(VIEWS, 0.2))
    assert "beyond" in warned(disc(55).project(short), short)
