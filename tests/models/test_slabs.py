"""Filtering slab by slab. Truth: the filters applied to the whole volume."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import sinograd as sg
from sinograd.models import bilateral_stack, filter_in_place
from sinograd.models.slabs import reach


@pytest.mark.parametrize("slices", [1, 2, 3, 4, 7, 30])
@pytest.mark.parametrize("kind", ["one", "three", "two-dimensional"])
def test_slabs_make_the_whole(kind: str, slices: int) -> None:
    """Bit for bit, however few slices a slab has, in place."""
    options = {"sigma_spatial": 0.9, "sigma_range": 0.3, "window": 3}
    count, dimensions = {"one": (1, 3), "three": (3, 3), "two-dimensional": (2, 2)}[kind]
    model = bilateral_stack(count, dimensions=dimensions, **options)  # type: ignore[arg-type]
    volume = torch.rand(19, 6, 7)
    with torch.no_grad():
        expected = model(volume)
    done: list[tuple[int, int]] = []
    slab = (slices + 2 * reach(model)) * 6 * 7 * 4
    result = filter_in_place(model, volume, slab_bytes=slab, progress=lambda *report: done.append(report))
    assert result is volume
    assert torch.equal(volume, expected)
    assert [stop for stop, _ in done] == [*range(slices, 19, slices), 19]


def test_windows_that_grow() -> None:
    """Without a fixed window the reach follows from the sigmas."""
    model = bilateral_stack(2, sigma_spatial=(1.3, 0.5, 0.5))
    assert reach(model) == 2 * 3
    assert reach(bilateral_stack(4, dimensions=2)) == 0


def test_images_and_sequences_of_nothing() -> None:
    image = torch.rand(8, 9)
    model = bilateral_stack(1, dimensions=2, sigma_range=0.2)
    with torch.no_grad():
        expected = model(image)
    assert torch.equal(filter_in_place(model, image), expected)
    volume = torch.rand(3, 4, 5)
    assert torch.equal(filter_in_place(nn.Sequential(), volume.clone()), volume)


def test_layers_of_unknown_reach() -> None:
    with pytest.raises(TypeError, match="expected bilateral filters, got Conv3d"):
        filter_in_place(nn.Sequential(nn.Conv3d(1, 1, 3)), torch.rand(3, 4, 5))
    assert sg.BilateralFilter3d().current_window() == (5, 5, 5)
