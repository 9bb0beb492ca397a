"""`OnWorkers`: an operator on stored tensors whose slabs are computed by Dask workers.

Workers read and write the shared files of the tensors themselves. Each projects its slabs; what several slabs give for
the same views is summed on the workers by a tree whose order follows from the slabs, so that the numbers do not depend
on how many workers there are, or on which of them dies.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sinograd.geometry import detector_region
from sinograd.ops import GeometryOperator
from sinograd.ops.slab_plan import Slab, SlabPlan
from sinograd.ops.slabs import InSlabs, applied, part_of_operator
from sinograd.ops.stored import StoredTensor
from sinograd.workflows.cluster import RETRIES, one_part_each, use_threads_of_worker

WAITING = 2
"""Blocks of views for each worker that are under way at a time."""

Band = tuple[int, Tensor]
"""The first detector row of a part of a block of views, and the part [views, rows, columns]."""


class OnWorkers(InSlabs):
    """`InSlabs` on the workers of a Dask client.

    Args:
        operator: as of `InSlabs`.
        client: a `distributed.Client`.
        memory: bytes that a worker may use.
    """

    def __init__(self, operator: GeometryOperator, client: Any, memory: int) -> None:
        super().__init__(operator, "cpu", memory)
        self.client = client  # tasks take the operator itself: scattered data would be lost with a worker
        self._one_each = one_part_each(client)

    def _to_projections(self, volume: Tensor, plan: SlabPlan) -> Tensor:
        result, waiting = volume.new_empty(self.geometry.projection_shape), []
        most = WAITING * max(1, len(self.client.nthreads()))
        for first in range(0, self.geometry.views, plan.views):
            views = slice(first, min(first + plan.views, self.geometry.views))
            bands = [
                self._compute_on(_projected, self.operator, volume, slab, views)
                for slab in plan.slabs
                if slab.span(views) is not None
            ]
            waiting.append(self._submit(_written, self._sum(bands), result[views]))
            if len(waiting) >= most:
                waiting.pop(0).result()
        self.client.gather(waiting)
        return result

    def _to_volume(self, projections: Tensor, plan: SlabPlan) -> Tensor:
        result = projections.new_empty(self.grid.shape)
        parts = [
            self._compute_on(
                _backprojected, self.operator, projections, result[slab.first : slab.last], SlabPlan([slab], plan.views)
            )
            for slab in plan.slabs
        ]
        self.client.gather(parts)
        return result

    def _compute_on(self, function: Any, *args: Any) -> Any:
        """What takes the memory and all threads of a worker."""
        return self._submit(function, *args, **self._one_each)

    def _submit(self, function: Any, *args: Any, **more: Any) -> Any:
        return self.client.submit(function, *args, pure=False, retries=RETRIES, **more)

    def _sum(self, bands: list[Any]) -> Any:
        """Of neighbours, then of neighbouring sums, until there is one; None where no slab is seen."""
        while len(bands) > 1:
            pairs = [bands[i : i + 2] for i in range(0, len(bands), 2)]
            bands = [self._submit(_added, *pair) if len(pair) == 2 else pair[0] for pair in pairs]
        return bands[0] if bands else None


def _projected(operator: GeometryOperator, volume: StoredTensor, slab: Slab, views: slice) -> Band:
    """A slab's part of a block of views."""
    use_threads_of_worker()
    span = slab.span(views)
    assert span is not None
    geometry = detector_region(operator.geometry[views], rows=span)
    part = part_of_operator(operator, geometry, slab.grid(operator.grid))
    return span[0], applied(part, volume.read((slice(slab.first, slab.last),)), volume=True)


def _added(left: Band, right: Band) -> Band:
    """The sum of two bands, on the rows that either has."""
    first = min(left[0], right[0])
    end = max(band[0] + band[1].shape[1] for band in (left, right))
    total = left[1].new_zeros((left[1].shape[0], end - first, left[1].shape[2]))
    for start, values in (left, right):
        total[:, start - first : start - first + values.shape[1]] += values
    return first, total


def _written(band: Band | None, block: StoredTensor) -> None:
    """A block of views, of which all rows are written."""
    values = torch.zeros(block.shape, dtype=block.dtype)
    if band is not None:
        values[:, band[0] : band[0] + band[1].shape[1]] = band[1]
    block.write((slice(None),), values)


def _backprojected(operator: GeometryOperator, projections: StoredTensor, result: StoredTensor, plan: SlabPlan) -> None:
    """A slab, written."""
    use_threads_of_worker()
    slab = plan.slabs[0]
    grid = slab.grid(operator.grid)
    total = torch.zeros(grid.shape, dtype=projections.dtype)
    for piece in plan.pieces(slab, operator.geometry):
        values = projections[piece.views, piece.rows, :].read()  # type: ignore[attr-defined]
        total += applied(part_of_operator(operator, piece.geometry, grid), values, volume=False)
    result.write((slice(None),), total)
