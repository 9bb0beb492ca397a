from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.phantoms import balls
from sinograd.training import Stack, TrainingData

GRID = sg.Grid((5, 16, 18), 1.0)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors, and the same sums whatever the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def object_and_noise(seed: int) -> tuple[Tensor, Tensor]:
    """Bright balls, attenuation 0.05 per mm, and the same with white noise of a tenth of that."""
    generator = torch.Generator().manual_seed(seed)
    centers = (torch.rand(6, 3, generator=generator) - 0.5) * torch.tensor([14.0, 12.0, 4.0])
    clean = balls(3.0, 0.05, centers).voxelize(GRID).clamp_max(0.05)
    return clean, clean + 0.005 * torch.randn(clean.shape, generator=generator)


@pytest.fixture
def stacks() -> TrainingData:
    """Two stacks to train on and one to validate with."""
    pairs = [object_and_noise(seed) for seed in range(3)]
    made = [Stack(noisy, clean, f"phantom {i}", GRID.spacing) for i, (clean, noisy) in enumerate(pairs)]
    return TrainingData(made[:2], made[2:])
