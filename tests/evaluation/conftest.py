from __future__ import annotations

import pytest
import torch

from placed import placed
from sinograd.datasets import PairedVolume


def soft_phantom(seed: int, shape: tuple[int, int, int] = (3, 40, 44)) -> torch.Tensor:
    """Smooth structures between about -200 and 200 HU."""
    coarse = torch.randn(1, 1, shape[0], 6, 6, generator=torch.Generator().manual_seed(seed))
    return 120 * torch.nn.functional.interpolate(coarse, shape, mode="trilinear", align_corners=True)[0, 0]


def make_pair(seed: int, patient: str, group: str = "abdomen", realisations: int = 1) -> PairedVolume:
    """A phantom with noise of 40 HU."""
    clean = soft_phantom(seed)
    generator = torch.Generator().manual_seed(1000 + seed)
    noisy = tuple(placed(clean + 40 * torch.randn(clean.shape, generator=generator), 1.0) for _ in range(realisations))
    return PairedVolume(f"{patient}-{seed}", patient, noisy, placed(clean, 1.0), "HU", group)


@pytest.fixture
def pairs() -> list[PairedVolume]:
    """Four volumes of three patients, the last with two realisations of the noise."""
    return [make_pair(0, "A"), make_pair(1, "A"), make_pair(2, "B"), make_pair(3, "C", "chest", 2)]
