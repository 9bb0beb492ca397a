"""Filters with an estimated noise, and K-SVD. Truth: the noise that was added, a greedy loop, a hidden dictionary."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.data import shepp_logan_phantom

from sinograd.errors import InputError, InputTypeError
from sinograd.evaluation import classical_names, find_method
from sinograd.models import classical, estimated_noise
from sinograd.models.estimated_noise import ESTIMATED, bilateral_estimated, estimate_noise, ksvd_estimated
from sinograd.models.ksvd import cosines, ksvd, learnt, sparse_codes


def phantom() -> torch.Tensor:
    soft = ndimage.gaussian_filter(1000 * shepp_logan_phantom(), 3)
    return torch.from_numpy(soft[::5, ::5].copy())


def noisy(sigma: float, *, seed: int = 0) -> torch.Tensor:
    clean = phantom()
    return clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("sigma", [20.0, 100.0])
def test_the_noise_is_found(sigma: float) -> None:
    """To 15 % beside the edges of a phantom, to 2 % without an object, in two and three dimensions."""
    assert estimate_noise(noisy(sigma)) == pytest.approx(sigma, rel=0.15)
    drawn = torch.Generator().manual_seed(1)
    white = sigma * torch.randn(33, 64, 65, generator=drawn) + 1000
    assert estimate_noise(white) == pytest.approx(sigma, rel=0.02)
    assert estimate_noise(white, 3) == pytest.approx(sigma, rel=0.03)
    planes = white[:1, :, :1].expand(33, 64, 65)  # constant along two axes
    assert estimate_noise(planes) == estimate_noise(planes, 3) == 0


def test_each_slice_has_its_own_noise() -> None:
    both = torch.stack([noisy(20.0), noisy(100.0)])
    expected = [classical.bilateral(image, sigma_spatial=1.8, sigma_range=2 * estimate_noise(image)) for image in both]
    torch.testing.assert_close(bilateral_estimated(both), torch.stack(expected))
    constant = torch.ones(2, 16, 16)
    assert torch.equal(bilateral_estimated(constant), constant)


def test_block_matching_gets_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def record(volume: torch.Tensor, *, sigma: float) -> torch.Tensor:
        seen.append(sigma)
        return volume

    monkeypatch.setattr(estimated_noise.classical, "bm3d", record)
    monkeypatch.setattr(estimated_noise.classical, "bm4d", record)
    volume = torch.stack([noisy(20.0), noisy(100.0)])
    ESTIMATED["bm3d-estimated"](volume)
    ESTIMATED["bm4d-estimated"](volume)
    assert seen == [estimate_noise(volume[0]), estimate_noise(volume[1]), estimate_noise(volume, 3)]


def test_they_are_methods_without_an_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bilateral-estimated", "ksvd"):
        method = find_method(name)
        assert name in classical_names() and not method.oracle and method.parameters is None
    monkeypatch.setattr(classical.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="bm3d: this filter needs the package bm3d"):
        find_method("bm3d-estimated")
    monkeypatch.setitem(sys.modules, "bm4d", ModuleType("bm4d"))
    monkeypatch.setattr(classical.importlib.util, "find_spec", lambda name: name)
    assert find_method("bm4d-estimated").name == "bm4d-estimated"


def test_pursuit_is_the_greedy_loop() -> None:
    """Atom by atom the one that fits the residual best, all coefficients by least squares, until it is small."""
    drawn = np.random.default_rng(0)
    dictionary = drawn.standard_normal((16, 30))
    dictionary /= np.linalg.norm(dictionary, axis=0)
    patches = drawn.standard_normal((20, 16))
    patches[0] = 0.01
    codes = sparse_codes(patches, dictionary, 1.0)
    for patch, code in zip(patches, codes, strict=True):
        chosen: list[int] = []
        residual, values = patch, np.zeros(0)
        while np.linalg.norm(residual) > 1.0:
            chosen.append(int(np.argmax(np.abs(dictionary.T @ residual))))
            values = np.linalg.lstsq(dictionary[:, chosen], patch, rcond=None)[0]
            residual = patch - dictionary[:, chosen] @ values
        expected = np.zeros(30)
        expected[chosen] = values
        np.testing.assert_allclose(code, expected, atol=1e-8)


def test_a_hidden_dictionary_is_found() -> None:
    """Patches of three atoms each, with noise: a disturbed dictionary (cosines of 0.92) comes above 0.99."""
    drawn = np.random.default_rng(0)
    hidden = drawn.standard_normal((20, 30))
    hidden /= np.linalg.norm(hidden, axis=0)
    codes = np.zeros((1500, 30))
    for row in codes:
        row[drawn.choice(30, 3, replace=False)] = drawn.choice([-1, 1], 3) * drawn.uniform(1, 2, 3)
    patches = codes @ hidden.T + 0.1 * drawn.standard_normal((1500, 20))
    start = hidden + 0.1 * drawn.standard_normal(hidden.shape)
    start /= np.linalg.norm(start, axis=0)
    assert 0.9 < (start * hidden).sum(0).mean() < 0.94
    found = learnt(patches, start, 0.1 * np.sqrt(20) * 1.15, 20)
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), 1, atol=1e-9)
    assert (found * hidden).sum(0).min() > 0.99
    assert (sparse_codes(patches, found, 0.1 * np.sqrt(20) * 1.15) != 0).sum(1).mean() < 3.5


def test_the_starting_dictionary() -> None:
    atoms = cosines(256)
    assert atoms.shape == (64, 256)
    np.testing.assert_allclose(np.linalg.norm(atoms, axis=0), 1)
    np.testing.assert_allclose(atoms.sum(0)[1:], 0, atol=1e-12)


def test_ksvd_denoises() -> None:
    """With the noise it was not told: below a quarter of the input's error, and better than the cosines alone."""
    clean, image = phantom(), noisy(60.0)
    of_input = float((image - clean).square().mean())
    result = ksvd_estimated(image)
    cosine = ksvd(image, sigma=60.0, iterations=0)
    assert result.dtype == image.dtype and float((result - clean).square().mean()) < 0.25 * of_input
    assert float((ksvd(image, sigma=60.0, iterations=3) - clean).square().mean()) < float(
        (cosine - clean).square().mean()
    )
    assert torch.equal(ksvd(image[None], sigma=60.0, iterations=0)[0], cosine)
    scaled = ksvd(image / 1000 + 1, sigma=0.06, iterations=0)
    torch.testing.assert_close((scaled - 1) * 1000, cosine, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sigma": 0.0}, "sigma: expected a positive, finite standard deviation, got 0.0"),
        ({"sigma": 1.0, "atoms": 200}, "atoms: expected a square number of at least 64, got 200"),
        ({"sigma": 1.0, "iterations": -1}, "iterations, training_patches: expected at least 0 and 1, got -1 and 10000"),
    ],
)
def test_bad_options(options: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ksvd(torch.zeros(16, 16), **options)  # type: ignore[arg-type]


def test_bad_input() -> None:
    with pytest.raises(InputError, match=r"volume: expected slices of at least 8 x 8 pixels, got \[7, 16\]"):
        ksvd(torch.zeros(7, 16), sigma=1.0)
    with pytest.raises(InputTypeError, match="float32 or float64"):
        estimate_noise(torch.zeros(8, 8, dtype=torch.int64))
    with pytest.raises(InputError, match="at least 2 pixels along each axis"):
        estimate_noise(torch.zeros(1, 8))
    with pytest.raises(InputError, match="finite"):
        estimate_noise(torch.full((8, 8), torch.nan))
