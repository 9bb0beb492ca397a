"""Detectors turned far about the beam's axis: the values of the object, as with an upright detector."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

import sinograd as sg

OBJECT = sg.Ellipsoids(
    [0.02, 0.01, -0.01, 0.02],
    [[18, 14, 16], [4, 4, 4], [3, 5, 4], [2, 2, 2]],
    [[0, 0, 0], [7, 2, 1], [-6, -4, -2], [-2, 7, 3]],
)
GRID = sg.Grid((16, 48, 48), 1.0)
TRUTH = OBJECT.voxelize(GRID)
DETECTOR = sg.FlatDetector((80, 48), 1.0)
Beam = sg.ConeBeam | sg.ParallelBeam


def turned(degrees: float, parallel: bool) -> Beam:
    turn = math.radians(degrees)
    detector = DETECTOR if turn else sg.FlatDetector((48, 80), 1.0)
    if parallel:
        return sg.ParallelBeam(sg.full_scan(120), detector, in_plane_rotation=turn)
    return sg.ConeBeam.circular(
        source_to_origin=150,
        source_to_detector=225,
        angles=sg.full_scan(120),
        detector=detector,
        in_plane_rotation=turn,
    )


def scale_and_error(geometry: Beam) -> tuple[float, float]:
    projections = OBJECT.project(geometry)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if isinstance(geometry, sg.ParallelBeam):
            volume = sg.fbp(projections, geometry, GRID)
        else:
            volume = sg.fdk(projections, geometry, GRID)
    scale = float((volume * TRUTH).sum() / TRUTH.square().sum())
    return scale, float((volume - TRUTH).square().mean().sqrt())


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("degrees", [60, 90, 110, 270])
def test_turned_detectors(degrees: float, parallel: bool) -> None:
    """The amplitude of an upright detector, 0.997 in a cone beam; on its side it was 1.99, without a word."""
    scale, error = scale_and_error(turned(degrees, parallel))
    expected, usual = scale_and_error(turned(0, parallel))
    assert scale == pytest.approx(expected, abs=0.003) and error < 1.2 * usual
    assert expected == pytest.approx(1.0, abs=0.008)


def test_rows_along_the_axis() -> None:
    """A geometry of vectors with u and v exchanged is the same scan with rows for columns."""
    upright = sg.ConeBeam.circular(
        source_to_origin=150, source_to_detector=225, angles=sg.full_scan(120), detector=sg.FlatDetector((48, 80), 1.0)
    )
    sources, centers, u, v = upright.vectors.unbind(1)
    geometry = sg.ConeBeam.from_vectors(sources=sources, centers=centers, u=v, v=u, detector=DETECTOR)
    projections = OBJECT.project(upright)
    torch.testing.assert_close(OBJECT.project(geometry), projections.transpose(1, 2))
    expected, error = scale_and_error(upright)
    assert scale_and_error(geometry)[0] == pytest.approx(expected, abs=1e-4) and error < 0.0012
    assert sg.coverage(geometry).missing == 0


@pytest.mark.parametrize("lead", [(), (2,)])
def test_views_that_are_resampled_together_have_the_same_bits(
    lead: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sinograd.recon.analytic import virtual_detector

    geometry = sg.ConeBeam.circular(
        source_to_origin=150,
        source_to_detector=225,
        angles=sg.full_scan(30),
        detector=DETECTOR,
        in_plane_rotation=math.radians(5.0),
    )
    projections = torch.rand(*lead, 30, 80, 48)
    grid = sg.Grid((4, 24, 24), 2.0)
    found = []
    for together in (1, 1 << 16, 1 << 20):
        monkeypatch.setattr(virtual_detector, "TOGETHER", together)
        found.append(sg.fdk(projections, geometry, grid))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
