from __future__ import annotations

import pytest
import torch

from sinograd.geometry import Grid, load_geometry
from sinograd.phantoms import abdomen

GRID = Grid((3, 128, 176), (5.0, 2.0, 2.0))


def hounsfield(volume: torch.Tensor, water: float = 0.0193) -> torch.Tensor:
    return 1000 * (volume / water - 1)


def test_same_seed_same_abdomen() -> None:
    first, again, other = abdomen(3), abdomen(3), abdomen(4)
    assert torch.equal(first.center, again.center) and torch.equal(first.value, again.value)
    assert not torch.equal(first.center, other.center)
    generator = torch.Generator().manual_seed(3)
    assert torch.equal(abdomen(generator).value, first.value)


@pytest.mark.parametrize("seed", range(10))
def test_every_point_has_the_attenuation_of_one_tissue(seed: int) -> None:
    """No overlap adds up: with point samples nothing lies outside the tissues' values."""
    values = hounsfield(abdomen(seed).voxelize(GRID, supersampling=1, dtype=torch.float64))
    tissues = ((-1000, -965), (-105, -95), (0, 25), (25, 205), (695, 705))
    known = torch.zeros_like(values, dtype=torch.bool)
    for low, high in tissues:
        here = (values >= low - 1e-6) & (values <= high + 1e-6)
        assert here.double().mean() > 5e-4, (low, high)
        known |= here
    assert known.all(), values[~known].unique()


def test_lesions_and_vessels() -> None:
    """Only they differ between phantoms with and without; the lesions are 20 to 50 HU below the liver."""
    plain, full = abdomen(5, lesions=0, vessels=0), abdomen(5, lesions=12, vessels=10)
    assert len(full) == len(plain) + 22
    contrast = 1000 * full.value / 0.0193
    lesions = (contrast < -19.9) & (contrast > -50.1)
    assert int(lesions.sum()) == 12
    diameters = 2 * full.semi_axes[lesions]
    assert diameters.min() > 3 and diameters.max() < 16


def test_implant() -> None:
    """Metal is added and nothing else changes; it starves rays."""
    plain, metal = abdomen(6), abdomen(6, implant="titanium")
    assert torch.equal(metal.value[: len(plain)], plain.value) and len(metal) == len(plain) + 4
    volume = metal.voxelize(GRID, supersampling=1)
    assert volume.max().item() == pytest.approx(0.245, rel=0.1)
    scanner = load_geometry("siemens-definition-as")[::96]
    assert abdomen(6, implant="steel").project(scanner).max() > plain.project(scanner).max() + 3


def test_scales_with_water() -> None:
    assert torch.allclose(2 * abdomen(7).value, abdomen(7, water=0.0386).value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(implant="gold"), "implant must be None or one of titanium, steel, got 'gold'"),
        (dict(water=0.0), "water must be a positive attenuation in 1/mm, got 0.0"),
        (dict(lesions=-1), "lesions must not be negative, got -1"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        abdomen(0, **arguments)
