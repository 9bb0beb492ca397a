"""Operators as functions of the vectors of their views, too: gradients to geometry.

Derivatives are those of what the kernels compute. Interpolation is linear between elements, so its derivative is
constant between them and jumps where a ray or the image of a voxel crosses one; there it is the one on the side that
the forward kernel takes. Joseph's method itself jumps where a ray's major axis changes (at 45 degrees).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sinograd.errors import UnsupportedError
from sinograd.ops.derivatives import transformed
from sinograd.ops.dispatch import WEIGHTINGS, Call, batched, kernel
from sinograd.ops.kernel_views import is_curved, voxel_views

OfVectors = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class MovingOperator:
    """An operator and its adjoint as functions of (x, vectors).

    Attributes:
        function, adjoint: of a tensor with any leading batch dimensions, and vectors.
        gradient: (volume, projections, vectors) -> the derivative of <projections, A volume> to the vectors.
        from_volume: whether `function` takes volumes.
    """

    function: OfVectors
    adjoint: OfVectors
    gradient: Callable[[Tensor, Tensor, Tensor], Tensor]
    from_volume: bool

    @property
    def T(self) -> MovingOperator:
        """The adjoint."""
        return dataclasses.replace(self, function=self.adjoint, adjoint=self.function, from_volume=not self.from_volume)

    def __call__(self, x: Tensor, vectors: Tensor) -> Tensor:
        """Differentiable to any order in x, once in the vectors.

        Raises:
            UnsupportedError: x or the vectors are followed by `torch.func` or forward mode.
        """
        if transformed(x, vectors):
            raise UnsupportedError(
                "gradients to geometry: expected tensors that autograd follows, got some of torch.func or forward mode"
            )
        return _OfVectors.apply(x, vectors, self)  # type: ignore[no-any-return]


class _OfVectors(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, vectors: Tensor, operator: MovingOperator) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x, vectors)
        ctx.operator = operator
        return operator.function(x.detach(), vectors.detach())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, vectors = ctx.saved_tensors
        operator = ctx.operator
        to_x = operator.T(gradient, vectors) if ctx.needs_input_grad[0] else None
        to_vectors = _Gradient.apply(x, gradient, vectors, operator) if ctx.needs_input_grad[1] else None
        return to_x, to_vectors, None


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, vectors: Tensor, operator: MovingOperator) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        volume, projections = (x, y) if operator.from_volume else (y, x)
        return operator.gradient(volume.detach(), projections.detach(), vectors.detach())

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise UnsupportedError(
            "gradients to geometry: expected one derivative to the vectors, got a second one; the kernels are "
            "piecewise linear in them"
        )


def joseph_gradient(volume: Tensor, projections: Tensor, vectors: Tensor, call: Call) -> Tensor:
    """The derivative of <projections, joseph(volume)> to the vectors, float64 [views, 4 or 5, 3]; sums over batches."""
    return _summed("joseph_gradient", volume, projections, vectors.contiguous(), call)


def backprojection_gradient(volume: Tensor, projections: Tensor, vectors: Tensor, call: Call) -> Tensor:
    """The derivative of <volume, backproject(projections)> to the vectors, float64 [views, 4 or 5, 3]."""
    curved = is_curved(vectors)
    detector = call.detector if len(call.detector) == 2 else (1, *call.detector)
    with torch.enable_grad():
        moving = vectors.detach().requires_grad_()
        views = voxel_views(moving, call.divergent, detector, general=curved)
        gradient = _summed("backprojection_gradient", volume, projections, views.detach(), call)
        (result,) = torch.autograd.grad(views, moving, gradient)
    return result


def _summed(name: str, volume: Tensor, projections: Tensor, views: Tensor, call: Call) -> Tensor:
    """What a kernel gives for the elements of a batch, one after the other; those of a GPU are copied to the host."""
    result = torch.zeros_like(views)
    shape, spacing, centre = call.grid_of_three()
    planar = len(call.detector) == 1
    detector = (1, *call.detector) if planar else call.detector
    volumes = batched(volume.cpu().contiguous(), len(call.grid_shape))
    many = batched(projections.cpu().contiguous(), 1 + len(call.detector))
    for one, images in zip(volumes, many, strict=True):
        kernel(name)(
            one,
            images,
            result,
            views,
            detector,
            shape,
            spacing,
            centre,
            curved=is_curved(call.vectors),
            divergent=call.divergent,
            weighting=WEIGHTINGS.index(call.weighting),
            planar=planar,
        )
    return result
