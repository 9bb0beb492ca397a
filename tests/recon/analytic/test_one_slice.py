"""A slice alone, with the axes of the kernels exchanged. Truth: that slice of the volume."""

from __future__ import annotations

import math

import pytest
import torch

import sinograd as sg
from sinograd.recon import FilteredBackprojection
from sinograd.recon.analytic.needed_rows import upright_rows
from sinograd.recon.analytic.one_slice import OneSlice, one_slice

PLACES = {"source_to_origin": 120, "source_to_detector": 180}
DETECTOR = sg.FlatDetector((30, 40), (0.9, 0.8), (0.4, -0.3))
CURVED = sg.CurvedDetector((30, 40), (0.9, 0.8))
SCANS: dict[str, sg.Geometry] = {
    "cone": sg.ConeBeam.circular(angles=sg.full_scan(50), detector=DETECTOR, **PLACES),
    "tilted": sg.ConeBeam.circular(
        angles=sg.full_scan(50), detector=DETECTOR, tilt=0.03, in_plane_rotation=-0.02, **PLACES
    ),
    "parallel": sg.ParallelBeam(torch.arange(60) * math.pi / 60, DETECTOR),
    "curved": sg.ConeBeam.circular(angles=sg.full_scan(50), detector=CURVED, **PLACES),
}
GRID = sg.Grid((14, 17, 21), (1.1, 0.7, 0.8), (0.3, -1.1, 0.7))


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_slice_of_the_volume(scan: str, dtype: torch.dtype) -> None:
    geometry = SCANS[scan]
    projections = torch.rand(geometry.projection_shape, generator=torch.Generator().manual_seed(5), dtype=dtype)
    whole = FilteredBackprojection.of(geometry, GRID, warn=False)
    expected = whole.volume(projections)
    for index in (0, 6, 13):
        z = float(GRID.axes()[0][index])
        part = sg.Grid((1, *GRID.shape[1:]), GRID.spacing, (*GRID.center[:2], z))
        rows = upright_rows(whole.scan.detector, geometry.divergent, part)
        assert rows is not None
        made = one_slice(whole, index, rows)
        assert isinstance(made, OneSlice) == (scan != "curved")
        held = (
            projections
            if made.scan.detector.real_rows is None
            else projections[:, slice(*made.scan.detector.real_rows)]
        )
        found = made.add_unchecked(torch.zeros(part.shape, dtype=dtype), held, (0, made.views))
        scale = float(expected.abs().max())
        torch.testing.assert_close(
            found[0], expected[index], rtol=0, atol=(2e-6 if dtype == torch.float32 else 1e-11) * scale
        )


def test_detectors_that_are_turned_alike_are_read_as_any_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of rows, kept places and weights, and several views at a time change no bit."""
    from sinograd.recon.analytic import virtual_detector as module

    geometry = SCANS["tilted"]
    detector = module.upright_detector(geometry)
    assert detector.homographies is not None and detector.homographies.stride(0) == 0
    images = torch.rand((2, 50, 30, 40), generator=torch.Generator().manual_seed(6))
    one_by_one = torch.cat(
        [detector._read_views(images[:, i : i + 1], detector.homographies[i : i + 1].clone()) for i in range(50)], 1
    )
    for together, kept in ((1 << 16, 4), (200, 4), (200, 0)):
        monkeypatch.setattr(module, "TOGETHER", together)
        monkeypatch.setattr(module, "KEPT_BANDS", kept)
        fresh = module.upright_detector(geometry)
        for _ in range(2):
            assert torch.equal(fresh.read(images, slice(0, 50)), one_by_one)
        assert torch.equal(fresh.read(images[:, 7:20], slice(7, 20)), one_by_one[:, 7:20])


def test_detectors_that_turn_are_read_view_by_view() -> None:
    from sinograd.recon.analytic.virtual_detector import upright_detector

    halves = [
        sg.ConeBeam.circular(angles=sg.full_scan(50)[part], detector=DETECTOR, tilt=tilt, **PLACES)
        for part, tilt in ((slice(0, 25), 0.0), (slice(25, 50), 0.01))
    ]
    turned = sg.concatenate(halves)
    homographies = upright_detector(turned).homographies
    assert homographies is not None and homographies.stride(0) != 0
