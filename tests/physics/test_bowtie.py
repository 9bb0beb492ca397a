"""`bowtie_transmission` against the chords of the cylinder it is made for."""

from __future__ import annotations

import math

import pytest
import torch

import sinograd as sg
from sinograd.physics import add_photon_noise, bowtie_transmission


def test_with_the_cylinder_every_ray_absorbs_the_same() -> None:
    """Exact line integrals of a disc are what the filter complements, on a flat and on a curved detector."""
    for detector in (sg.FlatDetector(101, 4.0), sg.CurvedDetector(101, 4.0)):
        fan = sg.FanBeam.circular(
            source_to_origin=600, source_to_detector=1000, angles=sg.full_scan(3), detector=detector
        )
        chords = sg.Ellipsoids(0.019, 150.0).project(fan, dtype=torch.float64)
        together = chords[0] - bowtie_transmission(fan, 150.0, 0.019).log()
        torch.testing.assert_close(together, torch.full_like(together, 300 * 0.019))


def test_rows_are_alike() -> None:
    """In a cone beam it depends on the fan angle alone, and it makes the photons of `add_photon_noise`."""
    cone = sg.load_geometry("siemens-definition-as")[:2]
    fraction = bowtie_transmission(cone, 160.0)
    assert fraction.shape == (64, 736)
    assert torch.allclose(fraction, fraction[:1].expand_as(fraction))
    assert fraction.max().item() == pytest.approx(1, abs=1e-4)
    assert fraction[0, 0].item() == pytest.approx(math.exp(-0.02 * 320))
    noisy = add_photon_noise(torch.zeros(2, 64, 736), 1e6 * fraction, generator=torch.Generator().manual_seed(0))
    assert noisy[..., :50].std() > 10 * noisy[..., 340:390].std()


@pytest.mark.parametrize(("radius", "attenuation"), [(0.0, 0.02), (100.0, -1.0), (math.nan, 0.02)])
def test_bad_values(radius: float, attenuation: float) -> None:
    with pytest.raises(ValueError, match="must be positive and finite"):
        bowtie_transmission(sg.load_geometry("htc2022"), radius, attenuation)
