"""Blur of focal spot and detector: closed forms of edges and lines."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy.ndimage import gaussian_filter1d

import sinograd as sg
from sinograd.errors import InputError, InputTypeError, UnsupportedError
from sinograd.physics import blur_detector, blur_focal_spot

CONE = sg.ConeBeam.circular(
    source_to_origin=200,
    source_to_detector=500,
    angles=sg.full_scan(3),
    detector=sg.FlatDetector((30, 400), (0.4, 0.1)),
)
FAN = sg.FanBeam.circular(
    source_to_origin=200, source_to_detector=500, angles=sg.full_scan(2), detector=sg.FlatDetector(400, 0.1)
)
PARALLEL = sg.ParallelBeam(sg.full_scan(3), sg.FlatDetector(5, 1.0))
SIGMA = 1 / (2 * math.sqrt(2 * math.log(2)))


def test_an_edge_becomes_the_error_function() -> None:
    """Of a spot of 0.6 mm, magnified 2.5 times: an image of 0.9 mm; means over pixels by a fine sum."""
    edge = (torch.arange(400) >= 200).double().expand(2, 400)
    found = blur_focal_spot(edge, FAN, 0.6)[0]
    fine = (torch.arange(40000, dtype=torch.float64) + 0.5) / 100 - 200  # pixels from the edge
    expected = (0.5 * (1 + torch.erf(fine * 0.1 / (0.9 * SIGMA) / math.sqrt(2)))).reshape(400, 100)
    # a pixel's step is spread evenly within it, too
    assert float((found - expected.mean(1)).abs().max()) < 2e-3
    assert float(found[:150].abs().max()) == 0 and float((found[250:] - 1).abs().max()) < 1e-12


def test_rows_and_columns_by_their_own_spacing() -> None:
    image = torch.rand(3, 30, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = blur_detector(image, CONE, 2.0)
    expected = image.numpy()
    for axis, spacing in ((1, 0.4), (2, 0.1)):
        expected = gaussian_filter1d(expected, 2.0 * SIGMA / spacing, axis=axis, mode="nearest", truncate=6)
    assert float((found - torch.from_numpy(expected)).abs().max()) < 3e-3
    assert float((found.mean() - image.mean()).abs()) < 1e-2
    torch.testing.assert_close(blur_detector(torch.full_like(image, 0.3), CONE, 2.0), torch.full_like(image, 0.3))
    assert torch.equal(blur_detector(image, CONE, 0.0), image)


def test_noise_is_correlated_by_the_detector_alone() -> None:
    noise = torch.randn(2, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 5
    spread = blur_detector(noise, FAN, 0.4)
    neighbours = torch.corrcoef(torch.stack([spread[0, :-1], spread[0, 1:]]))[0, 1]
    assert 0.8 < float(neighbours) < 0.95  # exp(-1 / (4 s^2)) of s = 1.7 pixels


def test_gradients() -> None:
    image = torch.rand(2, 400, dtype=torch.float64)[:, :12].clone().requires_grad_()
    fan = sg.FanBeam.circular(
        source_to_origin=200, source_to_detector=500, angles=sg.full_scan(2), detector=sg.FlatDetector(12, 0.5)
    )
    assert torch.autograd.gradcheck(lambda x: blur_focal_spot(x, fan, 0.5), image)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: blur_focal_spot(torch.ones(3, 5), PARALLEL, 1.0), UnsupportedError, "no focal spot"),
        (lambda: blur_detector(torch.ones(2, 399), FAN, 1.0), InputError, "400"),
        (lambda: blur_detector(torch.ones(2, 400), FAN, -1.0), InputError, "negative"),
        (lambda: blur_detector(torch.ones(2, 400, dtype=torch.int32), FAN, 1.0), InputTypeError, "floating"),
    ],
)
def test_bad_input(call: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
