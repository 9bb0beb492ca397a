"""Drift. Truth: shifts by which images were made, and the dose that views were multiplied by."""

from __future__ import annotations

import pytest
import torch

import sinograd as sg
from sinograd.errors import InputError
from sinograd.preparation import correct_dose_drift, find_sample_drift


def test_dose() -> None:
    clean = torch.rand(5, 3, 20, dtype=torch.float64) * 0.5
    clean[..., :4] = 1.0
    dose = torch.linspace(1, 0.8, 5, dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(correct_dose_drift(clean * dose, (0, 4)), clean)
    x = clean.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: correct_dose_drift(y, (0, 4)), x, fast_mode=True)
    with pytest.raises(InputError, match="5 of 5 views have no light in columns 0 to 4"):
        correct_dose_drift(torch.zeros(5, 3, 20), (0, 4))


@pytest.mark.parametrize("whole", [(2.4, -3.7), (0.0, 1.25)])
def test_the_drift_of_the_sample(whole: tuple[float, float]) -> None:
    """An object that moves evenly by so many elements, in views that were measured again afterwards."""
    count, views = 100, [0, 30, 60]
    body = sg.Ellipsoids(
        [0.02, 0.03, -0.02], [[20, 16, 15], [5, 4, 6], [3, 5, 4]], [[0, 0, 0], [6, 3, 4], [-7, -2, -5]]
    )

    def seen(angle: float, part: float) -> torch.Tensor:
        geometry = sg.ParallelBeam(torch.tensor([angle]), sg.FlatDetector((48, 64), 1.0))
        moved = sg.shift_detector(geometry, column=-part * whole[1], row=-part * whole[0])
        return body.project(moved)[0]

    angles = [0.05 * view for view in views]
    originals = torch.stack([seen(a, v / count) for a, v in zip(angles, views, strict=True)])
    repeated = torch.stack([seen(a, 1.0) for a in angles])
    found = find_sample_drift(repeated, originals, views, count)
    expected = torch.arange(count)[:, None] / count * torch.tensor(whole, dtype=torch.float64)
    assert float((found - expected).abs().max()) < 0.1
    with pytest.raises(InputError, match="views: expected 3 numbers from 0 to 99"):
        find_sample_drift(repeated, originals, [0, 30, 100], count)
