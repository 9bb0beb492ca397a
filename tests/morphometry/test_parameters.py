"""Global parameters. Truth: solids whose volumes are known, sums over voxels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sinograd.errors import InputError
from sinograd.morphometry import bmd, bvtv, tmd


def distances(n: int, spacing: tuple[float, float, float]) -> np.ndarray:
    axes = [(np.arange(int(n / s)) - (int(n / s) - 1) / 2) * s for s in spacing]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.7, 0.86, 0.86)])
def test_solids_in_a_box(spacing: tuple[float, float, float]) -> None:
    """A sphere, a rod and a plate of 800 in 100 mg/cm3: shares of the box to the error of voxel counts, TMD exactly."""
    z, y, x = distances(60, spacing)
    box = z.size * math.prod(spacing)
    solids = {
        "sphere": (z**2 + y**2 + x**2 <= 20.0**2, 4 / 3 * math.pi * 20**3),
        "rod": (y**2 + x**2 <= 12.0**2, math.pi * 12**2 * z.shape[0] * spacing[0]),
        "plate": (
            abs(x) < 5.2 * spacing[2],
            (11 if x.shape[2] % 2 else 10) * spacing[2] * box / (x.shape[2] * spacing[2]),
        ),
    }
    for name, (inside, truth) in solids.items():
        values = torch.from_numpy(np.where(inside, 800.0, 100.0))
        share = float(bvtv(values, 225))
        assert share == pytest.approx(truth / box, rel=0.01), name
        assert float(tmd(values, 225)) == pytest.approx(800, rel=1e-12)
        assert float(bmd(values)) == pytest.approx(800 * share + 100 * (1 - share), rel=1e-12)


def test_regions_batches_and_dtypes() -> None:
    values = torch.tensor([100.0, 300.0, 500.0, 0.0]).reshape(1, 2, 2)
    mask = torch.tensor([1, 1, 0, 0]).reshape(1, 2, 2)
    assert [float(f) for f in (bmd(values, mask=mask), bvtv(values, 225, mask=mask))] == [200, 0.5]
    assert float(tmd(values, 225, mask=mask)) == 300 and float(tmd(values.numpy(), 225)) == 400
    batch = torch.stack([values, 2 * values])
    assert bmd(batch).tolist() == [225, 450] and tmd(batch, 225).tolist() == [400, 800]
    assert bmd(batch).dtype == torch.float64


def test_what_is_empty_is_no_number() -> None:
    values = torch.tensor([0.0, 0.0, 500.0, 0.0]).reshape(1, 2, 2)
    marrow = torch.tensor([1, 1, 0, 0]).reshape(1, 2, 2)
    assert math.isnan(tmd(values, 225, mask=marrow)) and float(bvtv(values, 225, mask=marrow)) == 0
    nothing = torch.zeros(1, 2, 2, dtype=torch.bool)
    assert all(math.isnan(f) for f in (bmd(values, mask=nothing), bvtv(values, 225, mask=nothing)))


def test_thresholds_outside_the_data() -> None:
    values = torch.tensor([100.0, 300.0]).reshape(1, 1, 2)
    for threshold in (301, 99, 1e5):
        for function in (bvtv, tmd):
            with pytest.raises(InputError, match=f"threshold {threshold:g} mg/cm3 is outside the data, 100 to 300"):
                function(values, threshold)
    solid = torch.full((2, 2, 2), 400.0)
    assert float(bvtv(solid, 225)) == 1 and float(tmd(solid, 225)) == 400
