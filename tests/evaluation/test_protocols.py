"""Protocols against scikit-image, and the published window bounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sinograd.evaluation import PROTOCOLS, protocol


def images() -> tuple[torch.Tensor, torch.Tensor]:
    """HU from below air to metal, [2, 30, 32]."""
    clean = torch.linspace(-1400, 2500, 60 * 32).reshape(30, 2, 32).transpose(0, 1)
    return clean + 60 * torch.randn(clean.shape), clean


@pytest.mark.parametrize(("group", "c", "w"), [("chest", -600, 1500), ("abdomen", 50, 400), ("neuro", 40, 80)])
def test_ldct_benchmark(group: str, c: float, w: float) -> None:
    """DICOM's formula for windows, which ldct-benchmark uses; RMSE of values clipped to [0, 2924] - 1024."""
    noisy, clean = images()
    found = protocol("ldct-benchmark").score(noisy, clean, group)
    one, other = (((v.double().numpy() - (c - 0.5)) / (w - 1) + 0.5).clip(0, 1) for v in (noisy, clean))
    ssim = [structural_similarity(b, a, data_range=1) for a, b in zip(one, other, strict=True)]
    psnr = [peak_signal_noise_ratio(b, a, data_range=1) for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(found.ssim, ssim, atol=1e-6)
    np.testing.assert_allclose(found.psnr, psnr, atol=1e-6)
    one, other = ((v.double().numpy() + 1024).clip(0, 2924) for v in (noisy, clean))
    np.testing.assert_allclose(found.rmse, np.sqrt(((one - other) ** 2).mean((1, 2))), rtol=1e-5)


def test_full_range() -> None:
    noisy, clean = (v.double() for v in images())
    found = protocol("full-range").score(noisy, clean)
    pairs = list(zip(noisy.numpy(), clean.numpy(), strict=True))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 4096}
    np.testing.assert_allclose(
        found.ssim, [structural_similarity(b + 1000, a + 1000, **options) for a, b in pairs], atol=1e-12
    )
    want = [peak_signal_noise_ratio(b, a, data_range=4096) for a, b in pairs]
    np.testing.assert_allclose(found.psnr, want, atol=1e-10)
    np.testing.assert_allclose(found.rmse, (noisy - clean).square().mean((1, 2)).sqrt())


def test_other_units_need_a_data_range() -> None:
    chosen = protocol("full-range", data_range=0.08, unit="1/mm")
    chosen.check("1/mm", "", "bone")
    scale = 0.08 / 4096
    noisy, clean = (v.double() for v in images())
    for mine, theirs in zip(
        (getattr(chosen.score((noisy + 1000) * scale, (clean + 1000) * scale), n) for n in ("ssim", "psnr")),
        (getattr(protocol("full-range").score(noisy, clean), n) for n in ("ssim", "psnr")),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)
    assert chosen.details()["data range"] == "0.08 1/mm"
    assert "abdomen -150 to 249" in protocol("ldct-benchmark").details()["data range"]


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="no protocol 'mayo': expected one of ldct-benchmark, full-range"):
        protocol("mayo")
    with pytest.raises(ValueError, match="takes its data ranges from its windows"):
        protocol("ldct-benchmark", data_range=400)
    with pytest.raises(ValueError, match="the data range must be a positive number, got -1"):
        protocol("full-range", data_range=-1)
    for name in PROTOCOLS:
        with pytest.raises(ValueError, match=f"L067: its values are in 1/mm, the protocol {name} scores HU: give the"):
            protocol(name).check("1/mm", "abdomen", "L067")
    with pytest.raises(ValueError, match="L067: its values are in no known unit, the protocol full-range scores HU"):
        protocol("full-range").check("none", "", "L067")
    with pytest.raises(ValueError, match="expected the group chest, abdomen, neuro, got 'leg'"):
        protocol("ldct-benchmark").check("HU", "leg", "L067")
