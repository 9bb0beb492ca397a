"""The problems that bilateral filters are tested on, and how results are compared."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sinograd.ops import bilateral_filter, joint_bilateral_filter
from sinograd.testing.operator_contract import noise

CPU = torch.device("cpu")
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
AGREEMENT = {torch.float32: 2e-6, torch.float64: 1e-13}  # of two ways to compute the same

# shape, window, spatial sigmas: images and volumes, batches, windows that reach beyond the volume, single voxels
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]] = {
    "volume": ((4, 6, 19), (5, 5, 5), (1.1, 0.7, 0.9)),
    "image": ((9, 35), (5, 5), (0.8, 1.3)),
    "batch of volumes": ((2, 1, 3, 4, 5), (3, 5, 7), (0.5, 1.0, 2.0)),
    "batch of images": ((3, 5, 17), (7, 3), (1.5, 0.4)),
    "smaller than the window": ((2, 3, 1), (5, 5, 5), (1.0, 1.0, 1.0)),
    "one voxel": ((1, 1, 1), (5, 5, 5), (0.5, 0.5, 0.5)),
    "no neighbours along two axes": ((3, 4, 21), (1, 1, 9), (1.0, 1.0, 2.0)),
    "one column": ((7, 1), (5, 1), (0.9, 0.6)),
}
EVERY_CASE = pytest.mark.parametrize("name", CASES)
GUIDED = pytest.mark.parametrize("guided", [False, True], ids=["plain", "joint"])


class Problem:
    """Tensors of a case in one dtype: input, guide, sigmas, and a gradient to pull back."""

    def __init__(self, name: str, guided: bool, dtype: torch.dtype, sigma_range: float = 0.7) -> None:
        self.shape, self.window, spatial = CASES[name]
        self.x = noise(self.shape, 0, dtype, CPU).requires_grad_()
        self.guide = noise(self.shape, 1, dtype, CPU).requires_grad_() if guided else None
        self.spatial = torch.tensor(spatial, dtype=dtype, requires_grad=True)
        self.range = torch.tensor(sigma_range, dtype=dtype, requires_grad=True)
        self.gradient = noise(self.shape, 2, dtype, CPU)

    @property
    def leaves(self) -> list[Tensor]:
        return [t for t in (self.x, self.guide, self.spatial, self.range) if t is not None]

    def run(self, *leaves: Tensor) -> Tensor:
        """The filter of these tensors, or of its own."""
        x, *guide, spatial, of_range = leaves or self.leaves
        function: Callable[..., Tensor] = joint_bilateral_filter if guide else bilateral_filter
        return function(x, *guide, spatial, of_range, window=self.window)

    def everything(self) -> list[Tensor]:
        """Result and gradients."""
        result = self.run()
        return [result.detach(), *torch.autograd.grad(result, self.leaves, self.gradient)]


def error(actual: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    actual, expected = actual.detach().double(), expected.detach().double()
    assert actual.shape == expected.shape
    return ((actual - expected).abs().max() / expected.abs().max()).item() if expected.numel() else 0.0
