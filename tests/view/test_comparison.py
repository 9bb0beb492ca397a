"""Images side by side. Truth: what matplotlib was given to draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.errors import InputError

GRID = sg.Grid((5, 6, 8), 1.0)


def drawn(figure: Any) -> list[np.ndarray]:
    """The arrays of all pictures, row by row."""
    return [np.asarray(image.get_array()) for axis in figure.axes for image in axis.get_images()]


def test_images_and_their_differences(tmp_path: Path) -> None:
    """One window for all, from the last; each minus the last below, on a scale symmetric about 0."""
    first, second, truth = (torch.rand(6, 8) for _ in range(3))
    figure = sg.show_comparison(first, second.numpy(), truth, titles=["a", "b", "truth"], difference=True, unit="HU")
    pictures = drawn(figure)
    for found, expected in zip(pictures, (first, second, truth, first - truth, second - truth), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    images = [image for axis in figure.axes for image in axis.get_images()]
    low, high = np.percentile(truth.double().numpy(), (0.5, 99.5))
    assert all(image.get_clim() == pytest.approx((low, high)) for image in images[:3])
    assert images[3].get_clim() == images[4].get_clim() and sum(images[3].get_clim()) == 0
    titles = [axis.get_title() for axis in figure.axes if axis.get_images()]
    assert titles == ["a", "b", "truth", "a - truth", "b - truth"]
    assert [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel()] == ["HU", "HU"]
    figure.savefig(tmp_path / "comparison.png")
    assert matplotlib.image.imread(tmp_path / "comparison.png").std() > 0.1


def test_volumes_show_a_slice() -> None:
    values = torch.rand(5, 6, 8)
    volume = sg.Volume(values, GRID, "1/mm")
    np.testing.assert_allclose(drawn(sg.show_comparison(volume))[0], values[2], rtol=1e-6)
    np.testing.assert_allclose(drawn(sg.show_comparison(values, volume, slice=4))[1], values[4], rtol=1e-6)
    figure = sg.show_comparison(volume, window=(0.2, 0.4))
    assert figure.axes[0].get_images()[0].get_clim() == (0.2, 0.4)
    assert any(axis.get_ylabel() for axis in figure.axes)
    sg.show_comparison(torch.zeros(4, 4))


def test_bad_input() -> None:
    image, volume = torch.rand(6, 8), sg.Volume(torch.rand(5, 6, 8), GRID, "1/mm")
    for words, images, options in (
        ("images: expected at least one, got none", (), {}),
        (r"images\[1\] has 6 x 7 pixels, images\[0\] 6 x 8", (image, torch.rand(6, 7)), {}),
        ("titles: expected 1, one for each image, got 2", (image,), {"titles": ["a", "b"]}),
        ("difference: expected at least two images, got one", (image,), {"difference": True}),
        (r"window must be \(low, high\) with low < high", (image,), {"window": (1.0, 1.0)}),
        ("slice: expected 0 to 4, got 5", (volume,), {"slice": 5}),
        (r"images\[0\]: none of its values is finite", (image * torch.nan,), {}),
        (r"images\[0\]: expected \[Y, X\] or \[Z, Y, X\], got \[3\]", (torch.rand(3),), {}),
        ("expected one unit, got 1/mm and HU", (volume, sg.Volume(torch.rand(5, 6, 8), GRID, "HU")), {}),
    ):
        with pytest.raises(InputError, match=words):
            sg.show_comparison(*images, **options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"images\[0\]: expected a Volume, a tensor or an array, got str"):
        sg.show_comparison("volume.h5")  # type: ignore[arg-type]
