"""The ramp filter. Truth: the closed forms of the books and NumPy's convolution."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given
from hypothesis import strategies as st

from recon import textbook
from sinograd.recon import WINDOWS, filter_rows, ramp_taps
from sinograd.recon.analytic.ramp import window_response


def band_limited(t: np.ndarray, width: float) -> np.ndarray:
    """h(t) of |f| cut off at the frequency `width`: Kak & Slaney eq. 3.60."""
    return 2 * width**2 * np.sinc(2 * width * t) - width**2 * np.sinc(width * t) ** 2


@pytest.mark.parametrize(("columns", "spacing"), [(1, 0.5), (2, 1.0), (33, 0.7), (64, 1e-3)])
def test_ram_lak_is_kak_and_slaney_3_61(columns: int, spacing: float) -> None:
    taps = ramp_taps(columns, spacing)
    assert taps.dtype == torch.float64
    assert taps.shape == (2 * columns - 1,)
    np.testing.assert_allclose(taps, spacing * textbook.ramp(columns, spacing), rtol=1e-12)


def test_curved_detectors_have_the_equiangular_kernel() -> None:
    taps = ramp_taps(64, 2.0, radius=400.0)
    np.testing.assert_allclose(taps, 0.005 * textbook.equiangular_ramp(64, 0.005), rtol=1e-12)


def lanczos_ramp(n: np.ndarray) -> np.ndarray:
    """Integral of sin(2 pi f) cos(2 pi f n) / pi: the sum of (1 - cos(pi k)) / (4 pi^2 k) of k = 1 + n and 1 - n."""
    terms = [np.divide(1 - np.cos(np.pi * k), k, out=np.zeros(n.shape), where=k != 0) for k in (1.0 + n, 1.0 - n)]
    return sum(terms) / (4 * np.pi**2)


@pytest.mark.parametrize("columns", [16, 65, 300])
def test_windows_have_their_closed_forms(columns: int) -> None:
    """cos(pi f / Nyquist) in frequency is a shift by one sample, so windows of cosines are sums of shifted kernels.

    The Shepp-Logan kernel is -2 / (pi^2 (4 n^2 - 1)) (Shepp & Logan 1974, eq. 20).
    Lanczos' window makes of f sin(2 pi f) / (2 pi), whose transform is that of sines.
    """
    n = np.arange(-(columns - 1), columns)
    h = {shift: band_limited(n + shift, 0.5) for shift in (-2, -1, -0.5, 0, 0.5, 1, 2)}
    closed = {
        "ram-lak": h[0],
        "shepp-logan": -2 / (np.pi**2 * (4.0 * n**2 - 1)),
        "cosine": (h[-0.5] + h[0.5]) / 2,
        "lanczos": lanczos_ramp(n),
        "hamming": 0.54 * h[0] + 0.23 * (h[-1] + h[1]),
        "hann": 0.5 * h[0] + 0.25 * (h[-1] + h[1]),
        "blackman": 0.42 * h[0] + 0.25 * (h[-1] + h[1]) + 0.04 * (h[-2] + h[2]),
    }
    assert set(closed) == set(WINDOWS)
    for window in WINDOWS:
        np.testing.assert_allclose(ramp_taps(columns, 1.0, window), closed[window], atol=1e-5, err_msg=window)
        np.testing.assert_allclose(ramp_taps(columns, 0.25, window), 4 * closed[window], atol=4e-5)


def test_windows_are_scipys() -> None:
    n = 64
    nyquist = torch.arange(n + 1, dtype=torch.float64) / (2 * n)
    for window in ("hann", "hamming", "blackman", "lanczos"):
        truth = scipy.signal.get_window(window, 2 * n + 1, fftbins=False)[n:]
        np.testing.assert_allclose(window_response(nyquist, window), truth, atol=1e-12)
    between = (torch.arange(n, dtype=torch.float64) + 0.5) / (2 * n)
    cosine = scipy.signal.windows.cosine(2 * n)[n:]
    np.testing.assert_allclose(window_response(between, "cosine"), cosine, atol=1e-12)
    np.testing.assert_allclose(window_response(nyquist, "shepp-logan"), np.sinc(nyquist), atol=1e-12)
    np.testing.assert_allclose(window_response(nyquist, "ram-lak"), np.ones(n + 1))


@pytest.mark.parametrize("cutoff", [0.3, 0.5, 0.85])
def test_cutoff_is_the_band_limit(cutoff: float) -> None:
    """To half a bin of the spectrum where the window ends in a step, as without a window."""
    n = np.arange(-255, 256)
    taps = ramp_taps(256, 0.5, cutoff=cutoff)
    np.testing.assert_allclose(taps, 2 * band_limited(n, cutoff / 2), atol=2e-4)
    hann = ramp_taps(256, 1.0, "hann", cutoff)
    width = 1 / cutoff  # the period of the cosine, in samples
    h = [band_limited(n + shift, cutoff / 2) for shift in (-width, 0, width)]
    np.testing.assert_allclose(hann, 0.25 * h[0] + 0.5 * h[1] + 0.25 * h[2], atol=1e-6)


def test_cutoff_applies_to_curved_detectors() -> None:
    gamma = np.arange(-31, 32) * 0.01
    flat = ramp_taps(32, 0.01, "hann", 0.7).numpy()
    curved = ramp_taps(32, 5.0, "hann", 0.7, radius=500.0)
    np.testing.assert_allclose(curved, flat / np.sinc(gamma / np.pi) ** 2, rtol=1e-10)


def test_bad_windows_and_cutoffs_are_named() -> None:
    with pytest.raises(ValueError, match=r"window: expected one of ram-lak, .*hann, .*got 'parzen'"):
        ramp_taps(8, 1.0, "parzen")
    for cutoff in (0, -0.5, 1.01, math.nan, "high"):
        with pytest.raises(ValueError, match=rf"cutoff: expected .*\(0, 1\], got {cutoff!r}"):
            ramp_taps(8, 1.0, cutoff=cutoff)  # type: ignore[arg-type]


@given(st.integers(1, 40), st.integers(0, 60), st.sampled_from([(), (1,), (2, 3)]))
def test_filter_rows_is_a_convolution(columns: int, half: int, lead: tuple[int, ...]) -> None:
    """Taps shorter and longer than the row; zeros outside."""
    rows = torch.randn(*lead, columns, dtype=torch.float64)
    taps = torch.randn(2 * half + 1, dtype=torch.float64)
    truth = [np.convolve(row, taps)[half : half + columns] for row in rows.reshape(-1, columns).numpy()]
    filtered = filter_rows(rows, taps)
    assert filtered.shape == rows.shape
    np.testing.assert_allclose(filtered.reshape(-1, columns), np.stack(truth), atol=1e-12)


def test_filter_rows_keeps_the_dtype_of_the_rows() -> None:
    assert filter_rows(torch.rand(3, 8), ramp_taps(8, 1.0)).dtype == torch.float32
    assert filter_rows(torch.rand(3, 8, dtype=torch.float64), ramp_taps(8, 1.0).float()).dtype == torch.float64


@pytest.mark.parametrize("half", [2, 7, 11])
def test_filter_rows_gradients(half: int) -> None:
    rows = torch.randn(2, 7, dtype=torch.float64, requires_grad=True)
    taps = torch.randn(2 * half + 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(filter_rows, (rows, taps))
    assert torch.autograd.gradgradcheck(filter_rows, (rows, taps))


@pytest.mark.parametrize("shape", [(4,), (0,), (3, 3)])
def test_filter_rows_needs_an_odd_number_of_taps(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="taps: expected an odd number of taps in one dimension, got shape"):
        filter_rows(torch.rand(2, 8), torch.rand(shape))
