"""Metal in the body, which nothing was trained on: what the filters make of it (the paper's Figure 7).

A bilateral filter takes weighted means of neighbours, so every voxel must stay between the smallest and the largest
value of the input within the filters' windows. Networks have no such bound: what they make may be in no voxel that
they look at.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sinograd.models import NetworkDenoiser, bilateral_filters
from study.config import Study
from study.data import Case, make_phantom
from study.scoring import score_volume

_NEAR_MM = 15.0
_LARGEST_REACH = 40


def implant_row(study: Study, title: str, model: nn.Module | None, found: Tensor, case: Case) -> dict[str, Any]:
    """Scores against the normal dose, errors near the metal and elsewhere, voxels outside their neighbours' range (not
    finite ones among them), and how many are not finite."""
    near = near_metal(study, case.phantom)
    error = (found - case.normal).square()
    score = score_volume(found, case.normal, study.data_range)
    return {
        "method": title,
        "ssim": score.ssim,
        "psnr": score.psnr,
        "rmse_near": error[near].mean().sqrt().item() / study.per_unit,
        "rmse_elsewhere": error[~near].mean().sqrt().item() / study.per_unit,
        "outside_range": 0 if model is None else outside_range(model, case.low, found),
        "not_finite": int((~found.isfinite()).sum()),
    }


def near_metal(study: Study, phantom: int) -> Tensor:
    """Voxels within 15 mm of metal, in their slice."""
    assert study.implant is not None
    grid = study.volume_grid
    plain, metal = (make_phantom(study, phantom, implant=kind) for kind in (None, study.implant.metal))
    there = (metal.voxelize(grid, supersampling=1) != plain.voxelize(grid, supersampling=1)).float()
    reach = [max(1, round(_NEAR_MM / spacing)) for spacing in grid.spacing[1:]]
    size = tuple(2 * r + 1 for r in reach)
    return torch.nn.functional.max_pool2d(there[None], size, 1, tuple(reach))[0] > 0


def outside_range(model: nn.Module, given: Tensor, found: Tensor) -> int:
    """How many voxels leave the range of `given` among the voxels that the model makes them of."""
    reach = reach_of(model)
    size = tuple(2 * r + 1 for r in reach)

    def largest(volume: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(
            volume[None, None], [r for r in reversed(reach) for _ in range(2)], value=-torch.inf
        )
        return torch.nn.functional.max_pool3d(padded, size, 1)[0, 0]

    slack = 1e-5 * given.abs().max()
    inside = (found <= largest(given) + slack) & (found >= -largest(-given) - slack)
    return int((~inside).sum())


def reach_of(model: nn.Module) -> tuple[int, int, int]:
    """How many voxels away (z, y, x) an output may depend on: the filters' windows taken together; of a network, where
    its gradient is not zero."""
    if not isinstance(model, NetworkDenoiser):
        windows = [layer.current_window() for layer in bilateral_filters(model).values()]  # pyright: ignore
        return tuple(sum((window[axis] - 1) // 2 for window in windows) for axis in range(3))  # pyright: ignore
    image = torch.rand(2 * _LARGEST_REACH + 1, 2 * _LARGEST_REACH + 1, generator=torch.Generator().manual_seed(0))
    image = (model.offset + model.scale * image).requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(model(image)[_LARGEST_REACH, _LARGEST_REACH], image)
    away = (gradient.nonzero() - _LARGEST_REACH).abs().amax(dim=0)
    return 0, int(away[0]), int(away[1])
