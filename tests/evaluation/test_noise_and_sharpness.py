"""Noise power and sharpness of discs in an evaluation, against Gaussians whose spectra are known exactly."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import re

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.stats import ncx2

from placed import placed
from sinograd.datasets import PairedVolume
from sinograd.evaluation import Disc, Method, curves_csv, discs_csv, evaluate, mean_spectra, noise_latex, protocol
from sinograd.evaluation.curves import edge_picture, noise_picture

FULL = protocol("full-range")
SPACING = (2.0, 0.7, 0.7)


def gauss(volume: torch.Tensor, sigma: float) -> torch.Tensor:
    """Each slice convolved with a Gaussian of `sigma` pixels."""
    return torch.from_numpy(ndimage.gaussian_filter(volume.numpy(), (0, sigma, sigma), mode="wrap", truncate=6))


def test_noise_that_a_gaussian_made_blotchy() -> None:
    """White noise after a Gaussian: power S exp(-4 pi^2 sigma^2 f^2), S the noise's variance times a pixel's area."""
    generator = torch.Generator().manual_seed(0)
    clean = gauss(500 * torch.randn(8, 192, 192, generator=generator), 4)
    noisy = [clean + gauss(20 * torch.randn(clean.shape, generator=generator), 1.2) for _ in range(2)]
    spaced = [(2.0, 0.7, 0.7), (2.0, 0.8, 0.8)]
    pairs = [
        PairedVolume(name, name, (placed(source, spacing),), placed(clean, spacing), "HU")
        for name, source, spacing in zip("ab", noisy, spaced, strict=True)
    ]
    scores = evaluate([Method.of("halved", lambda volume: clean + (volume - clean) / 2)], pairs, FULL)
    for patient, (_, _, pixel) in zip("ab", spaced, strict=True):
        assert scores.by_patient("input", "noise")[patient] == pytest.approx(20 / (2.4 * math.sqrt(math.pi)), rel=0.02)
        mean = 1 / (2 * math.pi**1.5 * 1.2 * pixel)  # the ratio of the integrals of f S and S
        assert scores.by_patient("input", "noise_frequency")[patient] == pytest.approx(mean, rel=0.03)
    for metric, factor in (("noise", 0.5), ("noise_frequency", 1.0)):
        want = factor * scores.summary("input", metric).mean
        assert scores.summary("halved", metric).mean == pytest.approx(want, rel=1e-4)
    frequency, power = mean_spectra(scores.spectra)
    assert scores.frequency_unit == "1/mm" and frequency[-1] <= 0.5 / 0.8 + 1e-9
    want = np.mean([400 * p**2 * np.exp(-((2 * math.pi * 1.2 * p * frequency) ** 2)) for _, _, p in spaced], 0)
    np.testing.assert_allclose(power["input"], want, rtol=0.15, atol=0.01 * want.max())
    np.testing.assert_allclose(power["halved"], power["input"] / 4, rtol=1e-3, atol=1e-3)


def test_what_has_no_spectrum() -> None:
    """A method that leaves nothing, slices without voxel sizes, slices that are too small."""
    clean = torch.zeros(2, 32, 40)
    noisy = clean + 30 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    pair = PairedVolume("a", "a", (noisy,), clean, "HU")
    perfect = Method.of("perfect", torch.zeros_like)
    scores = evaluate([perfect], [pair], FULL)
    assert scores.frequency_unit == "1/pixel" and scores.summary("input", "noise").mean == pytest.approx(30, rel=0.1)
    assert scores.summary("perfect", "noise").mean == 0 and math.isnan(
        scores.summary("perfect", "noise_frequency").mean
    )
    assert "1/pixel" in noise_picture(scores) and "perfect" not in noise_picture(scores)
    small = (noisy[:, :12, :12], clean[:, :12, :12])
    scores = evaluate([], [dataclasses.replace(pair, inputs=small[:1], target=small[1])], FULL)
    assert noise_picture(scores) == "" and "needs slices of at least 16 x 16 pixels" in noise_latex(scores)
    assert math.isnan(scores.summary("input", "noise").mean) and curves_csv(scores).count("\n") == 1


def discs_in_noise(radius: float, sigma: float, center: tuple[float, float]) -> PairedVolume:
    """100 HU more in a disc that a Gaussian of `sigma` mm blurred, about x, y in mm from the middle; noise of 8 HU.

    A disc's value at r is the probability that a Gaussian variable about r lies within the radius.
    """
    y, x = (0.7 * (np.indices((64, 72))[i] - (n - 1) / 2) for i, n in enumerate((64, 72)))
    square = (x - center[0]) ** 2 + (y - center[1]) ** 2
    disc = 100 * ncx2.cdf(radius**2 / sigma**2, 2, square / sigma**2)
    clean = torch.from_numpy(disc).float().expand(12, 64, 72).contiguous()
    noisy = clean + 8 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    return PairedVolume("p1", "p1", (placed(noisy, SPACING),), placed(clean, SPACING), "HU")


def test_sharpness_of_a_disc() -> None:
    """The transfer function of a Gaussian is exp(-2 pi^2 sigma^2 f^2); variances of blurs add."""
    pair = discs_in_noise(8.0, 0.5, (3.3, -1.8))
    generator = torch.Generator().manual_seed(2)
    methods = [
        Method.of("_blur", lambda volume: gauss(volume, 1.5)),
        Method.of("noisier", lambda volume: volume + 60 * torch.randn(volume.shape, generator=generator)),
    ]
    there, elsewhere = Disc.parse("2.5, -2.5, 8"), Disc.parse("12,-10,3,p1,2:5")
    assert elsewhere == Disc(12, -10, 3, "p1", (2, 5))
    scores = evaluate(methods, [pair], FULL, discs=[there, elsewhere])
    found = {edge.method: edge for edge in scores.edges if edge.disc == str(there)}
    assert list(found) == ["target", "input", "_blur", "noisier"]
    for name, sigma in (("target", 0.5), ("input", 0.5), ("_blur", math.hypot(0.5, 1.5 * 0.7))):
        half = math.sqrt(math.log(2) / 2) / (math.pi * sigma)
        assert found[name].f50 == pytest.approx(half, rel=0.05 if name == "input" else 0.02)
        assert found[name].contrast == pytest.approx(100, rel=0.02) and not found[name].problem
        assert found[name].f10 == pytest.approx(half * math.sqrt(math.log(10) / math.log(2)), rel=0.1)
    assert found["input"].contrast_to_noise == pytest.approx(100 * math.sqrt(12) / 8, rel=0.1)
    assert found["noisier"].problem == "too noisy to measure" and math.isnan(found["noisier"].f50)
    assert {edge.problem for edge in scores.edges if edge.disc == str(elsewhere)} == {"no disc there"}

    rows = list(csv.DictReader(io.StringIO(discs_csv(scores))))
    assert len(rows) == 8 and float(rows[2]["f50"]) == found["_blur"].f50
    kinds = [row["curve"] for row in csv.DictReader(io.StringIO(curves_csv(scores)))]
    assert kinds.count("task transfer") == 3 * len(found["_blur"].frequency) and "noise power" in kinds
    assert "too noisy to measure" in noise_latex(scores) and edge_picture(scores, str(elsewhere)) == ""
    picture = edge_picture(scores, str(there))
    assert picture.startswith("<svg") and "_blur" in picture and "noisier" not in picture
    assert not re.search(r"https?://|url\(", picture)


def test_bad_discs(pairs: list[PairedVolume]) -> None:
    for text in ("1,2", "1,2,x", "1,2,-3", "1,2,3,a,b", "1,2,3,", "1,2,inf", "1,2,3,4:5,6:7"):
        with pytest.raises(ValueError, match=r"disc: expected .*got"):
            Disc.parse(text)
    other = dataclasses.replace(
        pairs[0],
        name="other",
        inputs=(placed(pairs[0].inputs[0].read(0, 3), 1.5),),
        target=placed(pairs[0].target.read(0, 3), 1.5),  # pyright: ignore[reportOptionalMemberAccess]
    )
    unknown = dataclasses.replace(pairs[0], inputs=(torch.zeros(3, 40, 44),), target=torch.zeros(3, 40, 44))
    for those, disc, message in (
        (pairs, Disc(0, 0, 5, "p9"), "expected a volume of A-0, A-1, B-2, C-3"),
        (pairs, Disc(0, 0, 5, "A-0", (1, 4)), "expected slices between 0 and 3 of A-0"),
        (pairs, Disc(0, 0, 2.5), "expected a radius of at least 3 pixels of 1 mm"),
        (pairs, Disc(0, 15, 5), "leave the slices of A-0, 40 x 44 pixels of 1 x 1 mm about"),
        ([pairs[0], other], Disc(0, 0, 5), "A-0 and other have other pixels there: name one volume"),
        ([unknown], Disc(0, 0, 5), "the size of the voxels of A-0 is not known"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate([], those, FULL, discs=[disc])
