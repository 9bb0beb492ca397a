"""The bilateral filter for autograd and `torch.func`: gradients by kernels, other derivatives by plain torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sinograd.ops.bilateral_kernels import bilateral, bilateral_backward
from sinograd.ops.bilateral_reference import Filtered, bilateral_backward_vjp
from sinograd.ops.bilateral_tangents import filter_tangents, gradient_tangents
from sinograd.ops.derivatives import followed, primals, traced, transformed, untraced


def filtered(
    x: Tensor, guide: Tensor | None, sigma_spatial: Tensor, sigma_range: Tensor, window: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """As `bilateral_kernels.bilateral`, with derivatives in every mode."""
    function = bilateral if traced() else _Filter.apply
    return function(x, guide, sigma_spatial, sigma_range, tuple(window))  # type: ignore[no-any-return]


class _Filter(torch.autograd.Function):
    @staticmethod
    @untraced
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        x: Tensor, guide: Tensor | None, spatial: Tensor, of_range: Tensor, window: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        return bilateral(x, guide, spatial, of_range, window)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        *tensors, ctx.window = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, *output)
        ctx.save_for_forward(*tensors, *output)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor | None, grad_normaliser: Tensor | None) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        saved = ctx.saved_tensors
        if grad_output is None:
            grad_output = torch.zeros_like(saved[-2])
        to_x, to_guide, *to_sigmas = _Gradient.apply(grad_output, grad_normaliser, *saved, ctx.window)
        return to_x, None if saved[1] is None else to_guide, *to_sigmas, None

    @staticmethod
    @untraced
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        with followed():
            return filter_tangents(Filtered(*primals(ctx.saved_tensors)), tangents[:4], ctx.window)  # type: ignore[arg-type]

    @staticmethod
    @untraced
    def vmap(  # pyright: ignore[reportIncompatibleMethodOverride]
        info: Any, dims: tuple[Any, ...], *arguments: Any
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        if dims[2] is not None or dims[3] is not None:
            return _one_by_one(_Filter.apply, info, dims, arguments)
        volumes = [
            one if one is None else one.expand(info.batch_size, *one.shape) if dim is None else one.movedim(dim, 0)
            for one, dim in zip(arguments[:2], dims, strict=False)
        ]
        return _Filter.apply(*volumes, *arguments[2:]), (0, 0)  # type: ignore[return-value]


class _Gradient(torch.autograd.Function):
    @staticmethod
    @untraced
    def forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return bilateral_backward(*arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        *tensors, ctx.window = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        grad_output, grad_normaliser, *tensors = ctx.saved_tensors
        if torch.is_grad_enabled() and not transformed(*ctx.saved_tensors, *cotangents):
            raise RuntimeError("the bilateral filter can be differentiated twice, not three times (create_graph=True)")
        return *bilateral_backward_vjp(cotangents, grad_output, grad_normaliser, Filtered(*tensors), ctx.window), None

    @staticmethod
    @untraced
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        with followed():
            return gradient_tangents(primals(ctx.saved_tensors), tangents[:8], ctx.window)

    @staticmethod
    @untraced
    def vmap(  # pyright: ignore[reportIncompatibleMethodOverride]
        info: Any, dims: tuple[Any, ...], *arguments: Any
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        return _one_by_one(_Gradient.apply, info, dims, arguments)


def _one_by_one(
    apply: Callable[..., Any], info: Any, dims: tuple[Any, ...], arguments: tuple[Any, ...]
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Elements of a batch that share nothing: each has sigmas, or gradients of sigmas, of its own."""
    results = [
        apply(*(one.select(dim, i) if isinstance(dim, int) else one for one, dim in zip(arguments, dims, strict=True)))
        for i in range(info.batch_size)
    ]
    stacked = tuple(torch.stack(parts) for parts in zip(*results, strict=True))
    return stacked, (0,) * len(stacked)
