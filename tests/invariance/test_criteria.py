"""Criteria, and denoising again through projections. Truth: numpy, draws of N(0, I), analytic pipelines."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.errors import InputError
from sinograd.invariance import (
    Place,
    Reprojected,
    at_quantiles,
    at_the_ends,
    consistency,
    crop_of,
    denoise_again,
    exposure,
    latent_moments,
    pasted,
    reconstruction,
)
from sinograd.models import DualDomainBilateral


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_latents_of_the_normal_distribution_pass_and_others_do_not() -> None:
    good = latent_moments(normal(4000, 8))
    assert good.mean_is_zero and good.rms_correlation < 2 * good.expected_rms
    assert abs(good.lowest_variance - 1) < 0.15 and abs(good.highest_variance - 1) < 0.15
    v = normal(500, 3) * torch.tensor([1.0, 2.0, 1.0]) + torch.tensor([0.0, 0.0, 0.5])
    bad, covariance = latent_moments(v), np.cov(v.double().numpy().T)
    assert not bad.mean_is_zero and bad.largest_mean == pytest.approx(float(v.mean(dim=0).abs().max()), rel=1e-5)
    assert bad.highest_variance == pytest.approx(covariance[1, 1])
    off = covariance[~np.eye(3, dtype=bool)]
    assert bad.rms_correlation == pytest.approx(math.sqrt((off**2).mean()))
    with pytest.raises(InputError, match="v: expected latents"):
        latent_moments(v[:1])


def test_errors_of_means_are_those_over_patients() -> None:
    """Truth: the spread of means over many repetitions, and of independent draws numpy's."""
    single = latent_moments(normal(300, 4))
    of_numpy = normal(300, 4).double().numpy().std(axis=0, ddof=1) / math.sqrt(300)
    assert single.rms_error == pytest.approx(math.sqrt((of_numpy**2).mean()))
    patients = [i // 6 for i in range(240)]  # 40 patients whose six images share most of their latents
    found, means = [], []
    for repetition in range(200):
        v = normal(40, 4, seed=2 * repetition).repeat_interleave(6, 0) + 0.5 * normal(240, 4, seed=2 * repetition + 1)
        found.append(latent_moments(v, patients))
        means.append(v.mean(dim=0))
    spread = float(torch.stack(means).square().mean().sqrt())
    assert sum(one.rms_error for one in found) / 200 == pytest.approx(spread, rel=0.05)
    assert spread > 2 * latent_moments(normal(240, 4)).rms_error  # than if the images were independent
    assert sum(one.chance for one in found) / 200 == pytest.approx(
        sum(one.largest_mean for one in found) / 200, rel=0.05
    )
    assert sum(one.true_rms_mean for one in found) / 200 < 0.6 * spread
    shifted = latent_moments(v + 1, patients)
    assert shifted.true_rms_mean == pytest.approx(1, abs=0.2) and shifted.largest_error == pytest.approx(0.17, rel=0.3)
    for wrong in ([0] * 240, patients[1:]):
        with pytest.raises(InputError, match="patients: expected 240 names"):
            latent_moments(v, wrong)


def test_consistency_compares_with_other_crops() -> None:
    denoised, again = normal(3, 1, 4, 4), normal(3, 2, 1, 4, 4, seed=1)
    result, d, a = consistency(denoised, again), denoised.numpy(), again.numpy()
    np.testing.assert_allclose(result.own, np.abs(a - d[:, None]).mean(axis=(1, 2, 3, 4)), rtol=1e-5)
    first = (np.abs(d[1] - d[0]).mean() + np.abs(d[2] - d[0]).mean()) / 2
    assert float(result.others[0]) == pytest.approx(first, rel=1e-5) and not result.holds
    near = consistency(denoised, denoised[:, None] + 0.01)
    assert near.holds and near.share == pytest.approx(0.01 / float(near.others.mean()), rel=1e-3)
    same = consistency(torch.zeros(2, 1, 2, 2), torch.zeros(2, 1, 1, 2, 2))
    assert math.isnan(same.share) and same.holds
    with pytest.raises(InputError, match="again: expected"):
        consistency(denoised[:1], again[:1])


def test_reconstruction_errors() -> None:
    x = normal(2, 1, 4, 4)
    result = reconstruction(x, x + 2.0, 100.0)
    assert result.difference == pytest.approx(2.0) and result.psnr == pytest.approx(20 * math.log10(50), abs=1e-4)
    assert reconstruction(x, x, 1.0).psnr == math.inf
    with pytest.raises(InputError, match="made: expected"):
        reconstruction(x, x[:1], 1.0)


def test_the_eraser_is_exposed_where_there_are_lesions() -> None:
    """Ten patients of four crops, two with a lesion each; only on these is the eraser's similarity low."""
    rng = np.random.default_rng(0)
    patients, lesions = np.repeat(np.arange(10), 4), np.tile([True, True, False, False], 10)
    values = {name: list(0.9 + 0.01 * rng.standard_normal(40)) for name in ("identity", "lesion-eraser", "filter")}
    values["lesion-eraser"] = list(np.array(values["lesion-eraser"]) - 0.2 * lesions)
    values["constant"] = [0.1] * 40
    found = exposure(values, list(patients), list(lesions))
    assert found.lowest and found.significant("crop") and found.significant("patient")
    assert {one.name for one in found.comparisons} == {"identity", "filter"}
    elsewhere = exposure(values, list(patients), list(~lesions))
    assert not (elsewhere.significant("crop") and elsewhere.significant("patient"))
    values["identity"] = [1.0] * 40
    assert at_the_ends(values) == (True, True)
    with pytest.raises(InputError, match="lesions: expected 40 answers"):
        exposure(values, list(patients), [False] * 40)
    with pytest.raises(InputError, match="expected those of identity"):
        at_the_ends({"constant": [1.0]})


def test_crops_at_quantiles() -> None:
    assert at_quantiles([0.5, 0.1, 0.9, 0.3]) == [1, 3, 0, 2]
    assert at_quantiles([1.0], (0, 1)) == [0, 0]
    with pytest.raises(InputError, match="values: expected some"):
        at_quantiles([])


def test_a_sample_is_pasted_and_denoised_in_its_volume() -> None:
    """A mean over three slices: a pasted sample comes back as a third of what it changed."""
    volume, place = normal(4, 12, 12), Place(2, 3, 1)

    def mean(values: torch.Tensor) -> torch.Tensor:
        padded = torch.cat([values[:1], values, values[-1:]])
        return (padded[:-2] + padded[1:-1] + padded[2:]) / 3

    samples = crop_of(volume, place, 8)[None] + torch.tensor([3.0, -6.0]).view(2, 1, 1, 1)
    found = denoise_again(mean, volume, samples, place)
    torch.testing.assert_close(found.baseline, crop_of(mean(volume), place, 8))
    third = torch.tensor([1.0, -2.0]).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    torch.testing.assert_close(found.samples - found.baseline, third)
    held = pasted(volume, samples[0], place)
    assert torch.equal(held[[0, 2, 3]], volume[[0, 2, 3]]) and not torch.equal(held[1], volume[1])
    for bad in (Place(5, 3, 1), Place(2, 3, 4), Place(2, 3)):
        with pytest.raises(InputError, match=r"place: expected|volume: expected"):
            crop_of(volume, bad, 8)


def test_a_pipeline_from_projections_denoises_a_sample_again() -> None:
    """Without filters the pipeline is a reconstruction: a sample comes back near itself, beside its baseline."""
    grid = sg.Grid((48, 48), 4.0)
    geometry = sg.FanBeam.circular(
        source_to_origin=600.0,
        source_to_detector=1000.0,
        angles=sg.full_scan(180),
        detector=sg.FlatDetector(shape=120, spacing=4.0),
    )
    rows = torch.arange(48.0) - 23.5
    disc = torch.where(torch.hypot(rows[:, None], rows[None]) < 18, 40.0, -1000.0)
    denoiser = Reprojected(DualDomainBilateral([], []).over(geometry, grid), sg.XRayTransform(geometry, grid))
    place = Place(16, 16)
    x = crop_of(disc, place, 16)
    blob = 300 * torch.exp(-((torch.arange(16.0) - 7.5)[:, None] ** 2 + (torch.arange(16.0) - 7.5) ** 2) / 18)
    found = denoise_again(denoiser, disc, (x + blob)[None], place)
    change = (found.samples - found.baseline)[0, 0]
    assert (change - blob).abs().mean() < 0.1 * blob.mean()
    assert (found.baseline - x).abs().mean() < 60
    with pytest.raises(InputError, match=r"pipeline: expected an output of \[48, 48\]"):
        Reprojected(lambda p: p, sg.XRayTransform(geometry, grid))(disc)
    with pytest.raises(InputError, match="water: expected a positive"):
        Reprojected(lambda p: p, lambda v: v, -1.0)
