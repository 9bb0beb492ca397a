"""Lower doses of raw clinical scans. Truth: variances of the published formula, column by column."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.errors import InputError
from sinograd.phantoms.cylinders import water
from sinograd.testing import write_ct_pd

DETECTOR = sg.CurvedDetector((8, 24), (4.0, 18.0))
VIEWS = 48
PHOTONS = np.linspace(2e4, 2e5, 24) * np.linspace(1, 2, VIEWS)[:, None]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    helix = sg.ConeBeam.helical(
        source_to_origin=595.0,
        source_to_detector=1085.6,
        angles=torch.arange(VIEWS, dtype=torch.float64) * 2 * math.pi / 24,
        detector=DETECTOR,
        pitch=8.0,
    )
    exact = water(120.0, 0.0192).project(helix)
    write_ct_pd(sg.Scan(exact, helix), tmp_path / "raw", photons=PHOTONS)
    return tmp_path / "raw"


@pytest.mark.parametrize("electronic", [0.0, 15.0])
def test_noise_follows_the_photons_of_every_column(raw: Path, electronic: float) -> None:
    """Yu et al. 2012: (1 - a) / a e^p / N0 [1 + (1 + a) / a Ne e^p / N0], N0 of its column and view."""
    dose, runs = 0.25, 40
    scan = sg.read(raw)
    clean = scan.load().double()
    draws = torch.stack(
        [
            sg.simulate(scan, dose=dose, electronic_noise=electronic, seed=seed).load().double() - clean
            for seed in range(runs)
        ]
    )
    inverse = clean.exp() / torch.from_numpy(PHOTONS)[:, None]
    expected = (1 - dose) / dose * inverse * (1 + (1 + dose) / dose * electronic**2 * inverse)
    ratio = draws.square().mean((0, 1, 2)) / expected.mean((0, 1))
    bright = inverse.mean((0, 1)) < 0.002  # first order holds
    assert int(bright.sum()) > 8
    assert float((ratio[bright] - 1).abs().max()) < 0.08


def test_the_new_scan_has_the_photons_of_its_dose(raw: Path, tmp_path: Path) -> None:
    low = sg.simulate(raw, tmp_path / "low.h5", dose=0.1, seed=1)
    again = sg.read(tmp_path / "low.h5")
    assert again.calibration is not None and again.calibration.photons is not None
    np.testing.assert_allclose(again.calibration.photons[:, 0], 0.1 * PHOTONS, rtol=1e-6)
    assert again.metadata["dose"] == 0.1 and again.metadata["water_per_mm"] == pytest.approx(0.0192)
    assert again.metadata["photons"] == pytest.approx(0.1 * PHOTONS.mean(), rel=1e-5)
    assert torch.equal(again.load(), low.load()) and again.geometry.equals(sg.read(raw).geometry)


def test_an_option_replaces_them(raw: Path) -> None:
    scan = sg.simulate(raw, dose=0.5, photons=1e10, seed=1)
    assert float((scan.load() - sg.read(raw).load()).abs().max()) < 0.02
    with pytest.raises(InputError, match=r"`bowtie_mm`: .* states the photons of every column"):
        sg.simulate(raw, dose=0.5, bowtie_mm=100.0)
