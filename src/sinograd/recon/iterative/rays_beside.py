"""Whether the object reaches beyond the grid, as rays that miss the grid tell."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from sinograd.errors import GridWarning
from sinograd.recon.iterative.operators import Operator, kept, own

# Of the largest projection: what a ray that misses the grid sees of an object that is larger.
OUTSIDE = 0.1


@torch.no_grad()
def warn_of_rays_beside(
    operator: Operator, image_shape: tuple[int, ...], projections: Tensor, weights: Tensor | None
) -> None:
    """A `GridWarning` where rays that miss the grid are attenuated.

    Iterative algorithms explain what they measure by the voxels that they have, so that what lies outside ends at the
    border. Only for operators that have a `grid`, and of rays that have a weight. Costs a projection with the first
    algorithm that an operator is given to.
    """
    if getattr(operator, "grid", None) is None or projections.numel() == 0:
        return

    def make() -> Tensor:
        ones = projections.new_ones(image_shape)
        lengths = own(operator(ones), ones)
        return lengths <= 1e-6 * lengths.max()

    beside = kept(operator, ("rays beside", image_shape, projections.dtype, projections.device), make)
    beside = beside & (projections > OUTSIDE * projections.max())
    count = int((beside if weights is None else beside & (weights > 0)).sum())
    if count:
        warnings.warn(
            f"{count} rays beside the grid are attenuated: the object is larger than the grid, and iterative "
            "algorithms put what lies outside at its border; a larger grid (`shape`), FDK or FBP avoid that",
            GridWarning,
            stacklevel=4,
        )
