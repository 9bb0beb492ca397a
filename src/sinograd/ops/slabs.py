"""`InSlabs`: an operator on volumes and projections larger than the memory of the device that computes."""

from __future__ import annotations

import copy
from functools import partial
from typing import Self

import torch
from torch import Tensor

from sinograd.data.memory import give_freed_memory_back
from sinograd.errors import InputError, InputTypeError, UnsupportedError
from sinograd.geometry import Geometry, Grid
from sinograd.geometry.view_indices import Index
from sinograd.ops.derivatives import Function, linear
from sinograd.ops.devices import compute_device
from sinograd.ops.geometry_operator import GeometryOperator
from sinograd.ops.slab_plan import SlabPlan, memory_of, plan_slabs
from sinograd.ops.stored import StoredTensor
from sinograd.ops.transfers import Downloads, uploaded


class InSlabs(GeometryOperator):
    """An operator whose tensors stay in host memory while a device computes slab by slab along z.

        A = InSlabs(sg.XRayTransform(geometry, grid), device="cuda")  # A(x), A.T(y): tensors on the CPU

    Where everything fits it goes to the device at once. Else each slab goes there with the detector rows that see it,
    a block of views at a time; copies overlap with computing. The result is that of the operator itself up to the
    rounding of sums and positions (1e-6 of it in float32), `A.T` the exact adjoint up to the same, and gradients work.
    A call allocates its result in host memory and on the device as much as `memory`. Of stored tensors
    (`ops.stored.StoredTensor`) only the parts that are computed with are in memory; so is of their results.
    It is cut by the rule of all larger-than-memory work (`ops.slab_plan`); its loops are its own, as an operator has an
    adjoint and gradients, and its parts add to results instead of being written once.

    Args:
        operator: a 3-D `XRayTransform` or `Backprojection`.
        device: where to compute.
        memory: bytes to use there; by default 80 % of what a card has free when called.

    Raises:
        ValueError: a 2-D operator. When called: a device that is not there; too little memory for one slice and one
            view; no memory given for the CPU.
    """

    def __init__(
        self, operator: GeometryOperator, device: torch.device | str = "cuda", memory: int | None = None
    ) -> None:
        if not isinstance(operator, GeometryOperator):
            raise InputTypeError(
                f"operator: expected an XRayTransform or a Backprojection, got {type(operator).__name__}"
            )
        super().__init__(operator.geometry, operator.grid)
        if operator.geometry.followed_vectors is not None:
            raise UnsupportedError("operator: InSlabs passes no gradients to a geometry; the operator itself does")
        if operator.grid.ndim != 3:
            raise InputError(f"operator: expected a 3-D one, whose volume has slices, got grid.shape {self.grid.shape}")
        self.operator, self.device, self.memory = operator, torch.device(device), memory
        self._domain_is_volume = operator._domain_is_volume

    def subset(self, views: Index) -> Self:
        """The same operator for some of the views, chosen as in `geometry[views]`."""
        part = super().subset(views)
        part.operator = self.operator.subset(views)
        return part

    def plan(self, element: int = 4, batch: int = 1) -> SlabPlan:
        """The slabs that a call makes for numbers of `element` bytes and a batch of so many volumes."""
        memory = memory_of(compute_device(self.device), self.memory)
        return plan_slabs(self.geometry, self.grid, memory, element, batch)

    def _apply_operator(self, x: Tensor) -> Tensor:
        return linear(x, *self._pair())

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return linear(y, *reversed(self._pair()))

    def _pair(self) -> tuple[Function, Function]:
        to_projections, to_volume = (partial(self._compute, from_volume=which) for which in (True, False))
        return (to_projections, to_volume) if self._domain_is_volume else (to_volume, to_projections)

    def _check(self, tensor: Tensor, volume: bool) -> None:
        super()._check(tensor, volume)
        if tensor.device.type != "cpu":
            raise InputError(
                f"{type(self).__name__}: expected a tensor in host memory, got one on {tensor.device}; "
                f"{type(self.operator).__name__} itself takes that"
            )

    def _compute(self, x: Tensor, from_volume: bool) -> Tensor:
        batch = x.shape[:-3]
        plan = self.plan(x.element_size(), max(1, batch.numel()))
        if isinstance(x, StoredTensor):  # what is left of other steps counts, too
            give_freed_memory_back()
        return self._to_projections(x, plan) if from_volume else self._to_volume(x, plan)

    def _to_projections(self, volume: Tensor, plan: SlabPlan) -> Tensor:
        result = volume.new_zeros((*volume.shape[:-3], *self.geometry.projection_shape))
        downloads = Downloads(self.device)
        slabs = uploaded((volume[..., slab.first : slab.last, :, :] for slab in plan.slabs), self.device)
        for slab, part in zip(plan.slabs, slabs, strict=True):
            grid = slab.grid(self.grid)
            for piece in plan.pieces(slab, self.geometry):
                projected = applied(part_of_operator(self.operator, piece.geometry, grid), part, volume=True)
                downloads.put(projected, result[..., piece.views, piece.rows, :].add_)
        downloads.finish()
        return result

    def _to_volume(self, projections: Tensor, plan: SlabPlan) -> Tensor:
        result = projections.new_empty((*projections.shape[:-3], *self.grid.shape))
        downloads = Downloads(self.device)
        for slab in plan.slabs:
            grid = slab.grid(self.grid)
            total = projections.new_zeros((*projections.shape[:-3], *grid.shape), device=self.device)
            pieces = plan.pieces(slab, self.geometry)
            parts = uploaded((projections[..., piece.views, piece.rows, :] for piece in pieces), self.device)
            for piece, part in zip(pieces, parts, strict=True):
                total += applied(part_of_operator(self.operator, piece.geometry, grid), part, volume=False)
            downloads.put(total, result[..., slab.first : slab.last, :, :].copy_)
        downloads.finish()
        return result

    def extra_repr(self) -> str:
        """Operator, device and memory, for printing."""
        return f"device={str(self.device)!r}, memory={self.memory}"


def part_of_operator(operator: GeometryOperator, geometry: Geometry, grid: Grid) -> GeometryOperator:
    """The operator with another geometry and grid, parts of its own."""
    part = copy.copy(operator)
    part.geometry, part.grid = geometry, grid
    return part


def applied(operator: GeometryOperator, x: Tensor, volume: bool) -> Tensor:
    """What an operator or its adjoint makes of a volume, or of projections."""
    return operator(x) if volume == operator._domain_is_volume else operator.adjoint(x)
