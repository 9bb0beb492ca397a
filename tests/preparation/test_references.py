"""Dark and flat correction against the formula, and references between the times they were taken at."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import interp1d
from torch.autograd import gradcheck

from sinograd.preparation import interpolate_references, transmission


def test_transmission_of_made_counts() -> None:
    fraction, gain, dark = torch.rand(5, 3, 4), 900 + 100 * torch.rand(3, 4), 50 * torch.rand(3, 4)
    exposure = torch.tensor([1.0, 0.5, 2.0, 1.1, 0.9])
    counts = fraction * gain * exposure[:, None, None] + dark
    assert torch.allclose(transmission(counts, gain + dark, dark, exposure), fraction, atol=1e-6)
    assert torch.allclose(transmission(counts[0], gain + dark, dark), fraction[0], atol=1e-6)
    assert torch.allclose(transmission(fraction, torch.tensor(2.0)), fraction / 2)


def test_transmission_of_a_sinogram_with_a_reference_for_each_view() -> None:
    fraction, gain = torch.rand(5, 4), 1 + torch.rand(5, 4)
    exposure = torch.rand(5) + 0.5
    assert torch.allclose(transmission(fraction * gain * exposure[:, None], gain, 0.0, exposure), fraction)


def test_gradients() -> None:
    tensors = [torch.rand(shape, dtype=torch.float64) + 1 for shape in ((2, 3, 4), (3, 4), (3, 4), (2,))]
    tensors[1] += 2
    assert gradcheck(transmission, [t.requires_grad_() for t in tensors])


def test_references_between_their_times() -> None:
    images = torch.rand(4, 3, 5, dtype=torch.float64)
    times = [20.0, -1.0, 7.5, 40.0]
    views = np.arange(-3, 45)
    expected = interp1d(times, images.numpy(), axis=0)(views.clip(-1, 40))
    assert np.allclose(interpolate_references(images, times, views).numpy(), expected)


def test_references_of_one_time_are_averaged() -> None:
    images = torch.rand(5, 2, 3)
    found = interpolate_references(images, [10, 0, 0, 10, 10], [0, 5, 10])
    start, end = images[1:3].mean(0), images[[0, 3, 4]].mean(0)
    assert torch.allclose(found, torch.stack([start, (start + end) / 2, end]))
    everything = interpolate_references(images, None, [0, 99])
    assert torch.allclose(everything, images.mean(0).expand(2, 2, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: transmission(torch.ones(2, 3, 4), torch.ones(3, 5)), r"reference \[3, 5\] does not match counts"),
        (lambda: transmission(torch.ones(2, 3, 4), torch.ones(3, 4), torch.ones(4, 4)), "dark"),
        (lambda: transmission(torch.ones(3, 4), torch.ones(2, 3, 4)), "reference"),
        (lambda: transmission(torch.ones(3, 4), torch.ones(3, 4), 1.0), "counts above the dark's"),
        (lambda: interpolate_references(torch.ones(0, 3, 4), None, [0]), "n at least 1"),
        (lambda: interpolate_references(torch.ones(2, 3, 4), [0.0], [0]), "expected 2 view numbers"),
        (lambda: interpolate_references(torch.ones(2, 3, 4), [0.0, np.nan], [0]), "finite"),
    ],
)
def test_wrong_references(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
