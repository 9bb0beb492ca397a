"""`phases`: gated scans, each of a volume of its own, as one operator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.geometry import Grid
from sinograd.geometry.view_indices import Index
from sinograd.ops.arguments import check_last_dimensions
from sinograd.ops.derivatives import transformed
from sinograd.ops.linear_operator import LinearOperator
from sinograd.ops.stack import Stack


def phases(operators: Sequence[LinearOperator]) -> Phases:
    """One operator from a series of volumes [phases, (z,) y, x] to the projections of one scan of each.

        A = sg.phases([sg.XRayTransform(geometry[gate == k], grid) for k in range(8)])
        p = A.join([projections[gate == k] for k in range(8)])
        volumes = sg.recon.fista_tv(A, p, spacing=(2.0, *grid.spacing)).image

    So a moving object, gated by its breathing or by the time of the view, is reconstructed as a series; total variation
    in four dimensions lets phases with few views learn from their neighbours in time. The spacing along the first axis
    says how much: a change from phase to phase counts as one between voxels that are so far apart.

    Projections stand one scan's views after the other's; `A.join` and `A.split` put them together and take them apart.

    Args:
        operators: of one domain; `range_shape` starts with the views.

    Raises:
        TypeError: something else than operators.
        ValueError: no operator, domains or grids that differ, ranges with different numbers of axes.
    """
    return Phases(operators)


class Phases(Stack):
    """Operators of volumes of their own, their results joined along the first axis; see `phases`.

    Args:
        operators: of domains of one shape; their ranges have the same number of axes.
    """

    @property
    def domain_shape(self) -> tuple[int, ...]:
        """Shape of the series, without batch dimensions."""
        return (len(self.parts), *self.parts[0].domain_shape)

    @property
    def grid(self) -> Grid | None:
        """None: a series of volumes is on no grid; `parts[0].grid` is that of each."""
        return None

    @property
    def volume_grids(self) -> tuple[Grid | None, Grid | None]:
        """Neither side is one volume."""
        return None, None

    def subset(self, views: Index) -> LinearOperator:
        """There is none, as subsets of views would leave phases without any: raises InputError."""
        return LinearOperator.subset(self, views)

    def _apply_operator(self, x: Tensor) -> Tensor:
        volumes = x.unbind(x.ndim - len(self.domain_shape))
        results = [part(volume) for part, volume in zip(self.parts, volumes, strict=True)]
        if any(result.requires_grad or transformed(result) for result in results):
            return torch.cat([self._padded(result) for result in results], -len(self.range_shape))
        batch = x.shape[: x.ndim - len(self.domain_shape)]
        whole = results[0].new_zeros((*batch, *self.range_shape))
        for piece, result in zip(self.split(whole), results, strict=True):
            piece.copy_(result)
        return whole

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        pieces = zip(self.parts, self.split(y), strict=True)
        return torch.stack([part.adjoint(piece) for part, piece in pieces], -len(self.domain_shape))

    def _check_domain(self, x: Tensor) -> None:
        check_last_dimensions("volume", x, self.domain_shape)
