"""Crops and bins of projections, with geometries in which the object still lies where it is."""

from __future__ import annotations

import pytest
import torch

import sinograd as sg
from sinograd.preparation import bin_elements, crop

OBJECT = sg.Ellipsoids([0.02, 0.03], [[9.0, 7.0, 8.0], [3.0, 2.0, 4.0]], [[1.0, 2.0, 0.5], [-3.0, 1.0, 2.0]])


def cone() -> sg.ConeBeam:
    return sg.ConeBeam.circular(
        source_to_origin=100,
        source_to_detector=150,
        angles=sg.full_scan(5),
        detector=sg.FlatDetector((24, 32), 1.0, (0.4, -0.7)),
        axis_offset=0.3,
    )


def test_a_crop_is_what_the_smaller_detector_sees() -> None:
    whole = OBJECT.project(cone(), dtype=torch.float64)
    cut, geometry = crop(whole, cone(), (3, 20), (5, 30))
    assert torch.allclose(cut, OBJECT.project(geometry, dtype=torch.float64), atol=1e-12)
    assert cut.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()  # no copy
    batch, _ = crop(whole.expand(2, -1, -1, -1), cone(), columns=(5, 30))
    assert batch.shape == (2, 5, 24, 25)


def test_bins_are_what_coarse_elements_see() -> None:
    """Means over a fine detector's elements come near the line through the middle of the coarse element."""
    whole = OBJECT.project(cone(), dtype=torch.float64)
    binned, geometry = bin_elements(whole, cone(), (2, 3))
    assert binned.shape == geometry.projection_shape == (5, 12, 10)
    assert torch.allclose(binned[:, 1, 2], whole[:, 2:4, 6:9].mean((1, 2)))
    seen = OBJECT.project(geometry, dtype=torch.float64)
    inside = seen > 0.15
    assert (binned - seen)[inside].abs().mean() < 0.02 * seen.max()
    shifted = OBJECT.project(sg.geometry.shift_detector(geometry, 1.5), dtype=torch.float64)
    assert (binned - seen).square().mean() < 0.2 * (binned - shifted).square().mean()


def test_a_sinogram() -> None:
    geometry = sg.ParallelBeam(sg.full_scan(4), sg.FlatDetector(11, 1.0))
    sinogram = torch.arange(44.0).reshape(4, 11)
    binned, part = bin_elements(sinogram, geometry, 2)
    assert torch.equal(binned[0], torch.tensor([0.5, 2.5, 4.5, 6.5, 8.5])) and part.columns == 5
    cut, _ = crop(sinogram, geometry, columns=(2, 4))
    assert torch.equal(cut, sinogram[:, 2:4])


def test_wrong_projections() -> None:
    with pytest.raises(ValueError, match="do not match"):
        crop(torch.ones(5, 24, 31), cone())
    with pytest.raises(ValueError, match="binning"):
        bin_elements(torch.ones(5, 24, 32), cone(), 25)
