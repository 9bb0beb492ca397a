"""Numbers beside the images that require gradients are refused where they would lose them without a word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd import metrics, physics, recon
from sinograd.errors import InputError

GRID = sg.Grid((16, 16), 1.0)
FAN = sg.FanBeam.circular(
    source_to_origin=60.0, source_to_detector=100.0, angles=sg.full_scan(24), detector=sg.FlatDetector(32, 1.5)
)
OPERATOR = sg.XRayTransform(FAN, GRID)
_y, _x = GRID.axes()
LINES = OPERATOR((_x**2 + _y[:, None] ** 2 < 40).float())
IMAGE = torch.rand(16, 16)
BEAM = physics.SpectralBeam(physics.Spectrum.monochromatic(60.0), ["water"])
PHOTONS, NOISE = 1e4, 3.0


def _poisson(photons: Tensor) -> object:
    return recon.PoissonLikelihood.from_line_integrals(LINES, photons)


CALLS: dict[str, tuple[str, float, Callable[[Any], object]]] = {
    "low_dose": ("photons", PHOTONS, lambda x: sg.low_dose(LINES, 0.25, photons=x)),
    "low_dose, noise": (
        "electronic_noise",
        NOISE,
        lambda x: sg.low_dose(LINES, 0.25, photons=PHOTONS, electronic_noise=x),
    ),
    "add_photon_noise": ("photons", PHOTONS, lambda x: physics.add_photon_noise(LINES, x)),
    "weights": ("photons", PHOTONS, lambda x: recon.photon_weights(LINES, x)),
    "weights, noise": ("electronic_noise", NOISE, lambda x: recon.photon_weights(LINES, PHOTONS, x)),
    "likelihood": ("photons", PHOTONS, _poisson),
    "stop": ("stop.noise", NOISE, lambda x: recon.Stop(noise=x)),
    "lower": ("lower", 0.0, lambda x: recon.sirt(OPERATOR, LINES, iterations=1, lower=x)),
    "misfit": ("misfit", 0.5, lambda x: recon.chambolle_pock(OPERATOR, LINES, iterations=1, misfit=x)),
    "readings": ("scale", 1.0, lambda x: BEAM.readings(torch.ones(1, 4), x)),
    "psnr": ("data_range", 1.0, lambda x: metrics.psnr(IMAGE, IMAGE + 1, data_range=x)),
    "ssim": ("data_range", 1.0, lambda x: metrics.ssim(IMAGE, IMAGE + 1, data_range=x)),
    "nps": ("spacing", 1.0, lambda x: metrics.noise_power_spectrum(IMAGE, spacing=x)),
    "spectrum": ("photons", 1.0, lambda x: physics.Spectrum(torch.tensor([60.0, 70.0]), x.expand(2))),
    "attenuation": ("energies", 60.0, lambda x: physics.attenuation("water", x)),
}


@pytest.mark.parametrize("call", CALLS)
def test_they_are_refused_by_name(call: str) -> None:
    name, value, function = CALLS[call]
    with pytest.raises(InputError, match=rf"^{name} requires gradients"):
        function(torch.tensor(value, requires_grad=True))


@pytest.mark.parametrize("call", CALLS)
def test_without_gradients_they_are_taken(call: str) -> None:
    _, value, function = CALLS[call]
    function(torch.tensor(value))
