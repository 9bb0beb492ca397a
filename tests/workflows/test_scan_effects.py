"""Scanners that are not ideal. Truth: functions of `sinograd.physics` on exact fractions, means and variances."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.errors import InputError, InputTypeError
from sinograd.physics import Lag, Spectrum, add_lag, blur_focal_spot
from sinograd.preparation import KernelScatter, UniformScatter, correct_lag, correct_scatter

SMALL: dict[str, Any] = {"views": 20, "detector": (12, 40), "photons": 1e5}
LAG = "0.05,0.5,0.01,0.1"


def scan(name: str = "chest", **options: Any) -> sg.Scan:
    return sg.simulate(name, **{**SMALL, **options})


@pytest.fixture
def exact() -> Tensor:
    """Transmitted fractions [views, rows, columns]."""
    return torch.exp(-scan(noiseless=True).load().double())


def fractions(**options: Any) -> Tensor:
    return torch.exp(-scan(noiseless=True, **options).load().double())


def test_the_focal_spot_blurs_what_is_transmitted(exact: Tensor) -> None:
    geometry = scan(noiseless=True).geometry
    width = 2 * geometry.detector.spacing[-1] / (geometry.magnification - 1)  # two pixels
    found = fractions(focal_spot_mm=width)
    torch.testing.assert_close(found, blur_focal_spot(exact, geometry, width), rtol=1e-5, atol=1e-6)
    assert float((found - exact).abs().max()) > 0.02


def test_scatter_is_a_share_and_comes_out_again(exact: Tensor) -> None:
    found = fractions(scatter=0.2)
    torch.testing.assert_close(
        found - exact, 0.2 * exact.mean((1, 2), keepdim=True).expand_as(exact), rtol=1e-4, atol=1e-6
    )
    assert torch.equal(fractions(scatter=UniformScatter(0.2)), found)
    primary = correct_scatter(found, 0.2, iterations=30, binning=1)
    bright = exact > 0.1  # where scatter leaves enough to be taken out
    torch.testing.assert_close(primary[bright], exact[bright], rtol=1e-4, atol=1e-5)
    kernel = KernelScatter(0.1, 1.0, 0.5, (2.0, 10.0), 0.5)
    spacing = scan(noiseless=True).geometry.detector.spacing
    expected = exact + kernel.scatter(exact, (float(spacing[0]), float(spacing[1])))
    torch.testing.assert_close(fractions(scatter=kernel), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("block", [None, 1200])
def test_lag_goes_on_from_block_to_block(exact: Tensor, block: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if block is not None:
        monkeypatch.setattr("sinograd.workflows.scan_blocks._BLOCK", block)
    found = fractions(lag=LAG)
    lag = Lag((0.05, 0.01), (0.5, 0.1))
    torch.testing.assert_close(found, add_lag(exact, lag), rtol=1e-5, atol=1e-6)
    assert torch.equal(fractions(lag=lag), found)
    torch.testing.assert_close(correct_lag(found, lag), exact, rtol=1e-4, atol=1e-5)


def test_the_detector_correlates_the_noise_of_neighbours() -> None:
    """Before the electronics add theirs, which stays white; truth: squares of the weights of the blur."""
    pixel = float(scan("ball", noiseless=True).geometry.detector.spacing[-1])
    air = slice(None), slice(2, -2), slice(4, 14)
    options = {"views": 200, "size_mm": 1.0, "detector_blur_mm": 2 * pixel}
    plain, spread = (scan("ball", **{**options, **more}).load()[air] for more in ({"detector_blur_mm": None}, {}))
    noisy = scan("ball", electronic_noise=300.0, **options).load()[air]
    assert float(plain.var()) == pytest.approx(1e-5, rel=0.1)

    def neighbours(values: Tensor) -> float:
        pairs = torch.stack([values[..., :-1].flatten(), values[..., 1:].flatten()])
        return float(torch.corrcoef(pairs)[0, 1])

    assert abs(neighbours(plain)) < 0.05
    assert neighbours(spread) > 0.5 and float(spread.var()) < 0.3 * float(plain.var())
    assert float(noisy.var() - spread.var()) == pytest.approx((300 / 1e5) ** 2, rel=0.1)
    assert neighbours(noisy) < neighbours(spread) / 3


def test_faulty_pixels_are_the_same_in_all_views(exact: Tensor) -> None:
    lines = scan(noiseless=True, faulty_pixels=(0.05, 0.03, 0.2)).load().double()
    dead = (lines - math.log(1e5 / 0.5)).abs() < 1e-4
    stuck = (lines + math.log(1.25)).abs() < 1e-5
    for kind, share in ((dead, 0.05), (stuck, 0.03)):
        assert torch.equal(kind, kind[:1].expand_as(kind))
        assert float(kind.double().mean()) == pytest.approx(share, abs=0.03) and bool(kind.any())
    off = ((torch.exp(-lines) - exact).abs() > 1e-5) & ~dead & ~stuck
    assert 0.1 < float(off.any(0).double().mean()) < 0.3
    air = exact > 0.999999
    assert float((torch.exp(-lines) - exact)[air & ~dead & ~stuck].abs().max()) < 1e-5  # flats bend as readings do
    other = scan(noiseless=True, faulty_pixels="0.05,0.03,0.2", seed=1).load().double()
    assert not torch.equal((other - math.log(1e5 / 0.5)).abs() < 1e-4, dead)


def test_flats_are_blurred_as_readings_are() -> None:
    """Beside the object nothing is left of a bowtie's profile."""
    seen = scan("ball", detector=(12, 64), size_mm=60, noiseless=True, bowtie_mm=150, detector_blur_mm=12).load()
    beside = torch.cat([seen[..., :8], seen[..., -8:]], -1)
    assert float(seen.max()) > 0.01 and float(beside.abs().max()) < 1e-6


def test_saturation_is_a_lower_bound() -> None:
    lines = scan(noiseless=True, full_scale=5e4).load().double()
    clean = scan(noiseless=True).load().double()
    torch.testing.assert_close(lines, clean.clamp(min=math.log(2)), rtol=1e-5, atol=1e-6)


def test_spectra_are_blurred_bin_by_bin_and_scatter_has_their_noise() -> None:
    """Means over draws are those without noise; variances are sums of N E^2."""
    pytest.importorskip("xraydb", reason="needs the extra spectra")
    spectrum = Spectrum([40.0, 80.0], [1.0, 1.0])
    one = {"views": 1, "detector": (1, 24), "spectrum": spectrum, "scatter": 0.3, "focal_spot_mm": 0.5, "photons": 2e3}
    mean = torch.exp(-scan("water", noiseless=True, **one).load().double())
    plain = torch.exp(-scan("water", noiseless=True, **{**one, "scatter": None}).load().double())
    torch.testing.assert_close(mean - plain, (0.3 * plain.mean()).expand_as(plain), rtol=1e-4, atol=1e-6)
    draws = torch.stack([torch.exp(-scan("water", seed=seed, **one).load().double()) for seed in range(100)])
    error = (draws.mean(0) - mean) / (draws.std(0) / math.sqrt(len(draws)))
    assert float(error.abs().max()) < 4.5
    air = draws[..., 0]
    weight = (40**2 + 80**2) / 2 / 60**2  # of the open beam's spectrum, which the scatter has
    assert float(air.var()) == pytest.approx(weight * float(mean[..., 0]) / 2e3, rel=0.3)


def test_the_record_repeats_it() -> None:
    effects = {"focal_spot_mm": 0.1, "detector_blur_mm": 0.2, "scatter": 0.1, "lag": LAG, "full_scale": 2e5}
    first = scan(faulty_pixels=(0.01, 0, 0.1), **effects)
    again = scan(**{name: first.provenance["options"][name] for name in (*effects, "faulty_pixels")})
    assert torch.equal(first.load(), again.load())
    for name, value in {**effects, "faulty_pixels": "0.01,0,0.1"}.items():
        assert first.metadata[name] == value
    assert not {"scatter", "lag"} & set(scan().metadata)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"focal_spot_mm": -1.0}, InputError, "`focal_spot_mm` must be positive and finite, got -1"),
        ({"focal_spot_mm": 1e6}, InputError, "mm on the detector, which is"),
        ({"focal_spot_mm": "1"}, InputTypeError, "`focal_spot_mm`: expected a number"),
        ({"detector_blur_mm": math.inf}, InputError, "`detector_blur_mm` must be positive and finite, got inf"),
        ({"detector_blur_mm": 1e6}, InputError, "`detector_blur_mm` must be at most the detector"),
        ({"scatter": 0.0}, InputError, "`scatter`: expected a share above 0"),
        ({"scatter": torch.tensor([0.1, 0.2])}, InputTypeError, "`scatter`: expected a number"),
        ({"scatter": "fasks"}, InputTypeError, "`scatter`: expected a number"),
        ({"scatter": KernelScatter(0.1, geometry_mm=(5.0, 6.0))}, InputError, "`scatter`: the kernel belongs to 5 mm"),
        ({"lag": "0.1"}, InputError, "`lag`: expected pairs of amplitude and rate"),
        ({"lag": "0.1,x"}, InputError, "`lag`: expected numbers"),
        ({"lag": "0.9,0.1"}, InputError, "`lag`: amplitudes .* leave"),
        ({"lag": "0.01,1e-17"}, InputError, "`lag`: amplitudes .* leave"),
        ({"lag": "0.1,0.5", "photons": 1e39}, InputError, "`photons`: expected at most 1e\\+30 with `lag`"),
        ({"full_scale": 1e4, "faulty_pixels": (0, 0, 1)}, InputError, "`full_scale`: non-linear pixels read nothing"),
        ({"lag": (-0.1, 0.1)}, InputError, "`lag`: expected positive numbers"),
        ({"faulty_pixels": "0.1,0.1"}, InputError, "`faulty_pixels`: expected shares of dead, stuck, nonlinear"),
        ({"faulty_pixels": (0.6, 0.6, 0.0)}, InputError, "`faulty_pixels`: expected shares"),
        ({"faulty_pixels": True}, InputTypeError, "`faulty_pixels`: expected shares"),
        ({"full_scale": 0.0}, InputError, "`full_scale` must be positive"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        scan(**options)


def test_beams_and_scans_that_have_no_such_thing() -> None:
    flat = sg.ParallelBeam(sg.full_scan(6), sg.FlatDetector(40, 1.0))
    with pytest.raises(InputError, match="`focal_spot_mm`: a parallel beam has no focal spot"):
        sg.simulate("shepp-logan", scanner=flat, focal_spot_mm=1.0)
    with pytest.raises(InputError, match="`scatter`: kernels need images"):
        sg.simulate("shepp-logan", scanner=flat, scatter=KernelScatter(0.1))
    assert sg.simulate("shepp-logan", scanner=flat, scatter=0.1, detector_blur_mm=2.0).shape == (6, 40)
    with pytest.raises(InputError, match="`scatter`, `lag`: for phantoms only"):
        sg.simulate(scan(), dose=0.1, scatter=0.1, lag=LAG)
