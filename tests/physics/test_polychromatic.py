"""Beams of many energies. Truth: sums in numpy over exact chords, moments of a compound Poisson law, closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sinograd import FanBeam, FlatDetector, full_scan
from sinograd.errors import InputError, InputTypeError
from sinograd.phantoms import Ellipsoids, MaterialPhantom
from sinograd.physics import DetectorResponse, SpectralBeam, Spectrum, attenuation

pytest.importorskip("xraydb", reason="needs the extra spectra")

SPECTRUM = Spectrum(np.arange(20.0, 121.0, 5.0), 1e4 * np.linspace(1.0, 0.2, 21))


def scan(columns: int = 31) -> FanBeam:
    return FanBeam.circular(
        source_to_origin=500,
        source_to_detector=1000,
        angles=full_scan(3),
        detector=FlatDetector(columns, 10.0),
    )


def rod_in_water() -> MaterialPhantom:
    hole = Ellipsoids(-1.0, 10.0, (20.0, 0.0, 0.0))
    rod = Ellipsoids(1.0, 10.0, (20.0, 0.0, 0.0))
    return MaterialPhantom({"water": Ellipsoids(1.0, 60.0) + hole, "bone": rod})


@pytest.mark.parametrize("kind", ["integrating", "counting"])
def test_line_integrals_are_the_sum_over_bins_of_exact_chords(kind: str) -> None:
    geometry = scan()
    found = rod_in_water().project(geometry, spectrum=SPECTRUM, detector=kind, dtype=torch.float64).numpy()
    # Chords of two discs, from the distance of each ray from their centres.
    source = geometry.vectors[:, 0, :2].numpy()
    pixel = (
        geometry.vectors[:, 1, None, :2].numpy()
        + (np.arange(31) - 15)[:, None] * geometry.vectors[:, 2, None, :2].numpy()
    )
    ray = pixel - source[:, None]
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)

    def chord(center: tuple[float, float], radius: float) -> np.ndarray:
        to = np.array(center) - source[:, None]
        distance = to[..., 0] * ray[..., 1] - to[..., 1] * ray[..., 0]
        return 2 * np.sqrt(np.maximum(radius**2 - distance**2, 0))

    bone = chord((20.0, 0.0), 10.0)
    water = chord((0.0, 0.0), 60.0) - bone
    kev = SPECTRUM.energies
    weight = SPECTRUM.photons * (kev if kind == "integrating" else 1)
    mu = attenuation("water", kev), attenuation("bone", kev)
    signal = (weight * np.exp(-water[..., None] * mu[0] - bone[..., None] * mu[1])).sum(-1)
    assert found == pytest.approx(-np.log(signal / weight.sum()), abs=1e-9)


def test_one_energy_is_beer_lambert() -> None:
    phantom, geometry = rod_in_water(), scan()
    found = phantom.project(geometry, spectrum=Spectrum.monochromatic(60.0), dtype=torch.float64)
    assert torch.allclose(found, phantom.at(60.0).project(geometry, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize("kind", ["integrating", "counting"])
def test_noise_has_mean_sum_of_ne_and_variance_sum_of_ne2(kind: str) -> None:
    spectrum = Spectrum([20.0, 60.0, 110.0], [40.0, 30.0, 10.0])
    beam = SpectralBeam(spectrum, ["water"], kind)
    lengths = torch.full((1, 400_000), 15.0, dtype=torch.float64)
    counts = beam.readings(lengths, generator=torch.Generator().manual_seed(0)).numpy()
    left = spectrum.photons * np.exp(-15.0 * attenuation("water", spectrum.energies))
    weight = spectrum.energies if kind == "integrating" else np.ones(3)
    assert counts.mean() == pytest.approx((left * weight).sum(), rel=0.01)
    assert counts.var() == pytest.approx((left * weight**2).sum(), rel=0.01)
    assert beam.signal(lengths[:, :1]).item() == pytest.approx((left * weight).sum())
    assert beam.variance(lengths[:, :1]).item() == pytest.approx((left * weight**2).sum())


def test_noisy_line_integrals_are_seeded_and_near_the_clean_ones() -> None:
    beam = SpectralBeam(SPECTRUM.scaled(1e7), ["water"])
    lengths = torch.linspace(0, 200, 50)[None]
    noisy, counts = beam.noisy_line_integrals(lengths, 0.5, generator=torch.Generator().manual_seed(1))
    again, _ = beam.noisy_line_integrals(lengths, 0.5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(noisy, again)
    assert noisy.dtype == torch.float32
    clean = beam.line_integrals(lengths)
    assert (noisy - clean).abs().max() < 0.02
    assert counts[0].item() == pytest.approx(0.5e7, rel=0.01)
    starved, _ = beam.noisy_line_integrals(torch.full((1, 3), 1e5), floor=0.5)
    assert starved.tolist() == pytest.approx([np.log(1e7 / 0.5)] * 3)


def test_gradients_are_those_of_finite_differences() -> None:
    beam = SpectralBeam(SPECTRUM, ["water", "bone"])
    lengths = torch.tensor([[10.0, 50.0], [0.0, 5.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(beam.line_integrals, lengths)


def test_absorbers_and_thresholds() -> None:
    kev = np.array([30.0, 60.0])
    scintillator = DetectorResponse("integrating", "CsI", 0.5)
    assert scintillator.absorbed(kev) == pytest.approx(1 - np.exp(-0.5 * attenuation("CsI", kev, 4.51)))
    assert DetectorResponse("counting", threshold_kev=40.0).absorbed(kev).tolist() == [0.0, 1.0]
    thin = SpectralBeam(Spectrum(kev, [1.0, 1.0]), ["water"], DetectorResponse("counting", threshold_kev=40.0))
    assert thin.effective_attenuation() == pytest.approx([attenuation("water", 60.0)])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SpectralBeam(SPECTRUM, ["watr"]), InputError, "did you mean water"),
        (lambda: SpectralBeam(SPECTRUM, ["water"], "integral"), InputError, "'integrating' or 'counting'"),
        (lambda: SpectralBeam(80, ["water"]), InputTypeError, "spectrum must be a Spectrum"),  # pyright: ignore
        (lambda: SpectralBeam(SPECTRUM, ["water"]).signal(torch.ones(2, 3)), InputError, "of 1 materials"),
        (lambda: SpectralBeam(SPECTRUM, ["water"]).signal(torch.tensor([torch.nan])), InputError, "finite"),
        (lambda: DetectorResponse("counting", "CsI"), InputError, "belong together"),
        (lambda: DetectorResponse("integrating", threshold_kev=20.0), InputError, "of counting detectors"),
        (
            lambda: SpectralBeam(SPECTRUM, ["water"], DetectorResponse("counting", threshold_kev=500.0)),
            InputError,
            "absorbs no photon",
        ),
        (lambda: MaterialPhantom({}), InputError, "got none"),
        (lambda: MaterialPhantom({"watr": Ellipsoids(1.0, 1.0)}), InputError, "did you mean water"),
        (lambda: MaterialPhantom({"water": 1.0}), InputTypeError, "must be Ellipsoids"),  # pyright: ignore
    ],
)
def test_what_cannot_be_is_refused(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
