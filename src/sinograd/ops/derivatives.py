"""Derivatives of functions that torch cannot see into: backwards, forwards and over batches (`torch.func`).

`torch.library.custom_op` knows gradients only: it drops the tangents of forward mode without a word, and `torch.func`
refuses it. So operators call their custom ops through `linear`, which gives torch all three rules. `torch.compile` has
no rules for a function with tangents of its own; it sees the custom op, whose gradients it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._C._functorch import (  # pyright: ignore[reportMissingImports]
    get_unwrapped,
    is_batchedtensor,
    is_functorch_wrapped_tensor,
    peek_interpreter_stack,
)
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.autograd import forward_ad

from sinograd.errors import UnsupportedError

Function = Callable[[Tensor], Tensor]

# For the rules of torch.autograd.Functions, which torch.compile cannot trace.
untraced = torch._disable_dynamo  # pyright: ignore[reportPrivateImportUsage]


def linear(x: Tensor, function: Function, adjoint: Function) -> Tensor:
    """`function(x)` with the derivatives of a linear function; each of the two is the derivative of the other.

    Args:
        x: the only argument that has derivatives.
        function, adjoint: of tensors with any leading batch dimensions; torch does not look into them.
    """
    return _Linear.apply(x, function, adjoint)  # type: ignore[no-any-return]


def linear_op(x: Tensor, function: Function, adjoint: Function) -> Tensor:
    """As `linear`, of a custom op with a gradient of its own, which `torch.compile` traces.

    Within `torch.func` it cannot, and would drop tangents without a word: such functions are run as they are.
    """
    return function(x) if traced() else linear(x, function, adjoint)


def traced() -> bool:
    """Whether `torch.compile` takes a custom op into its graph."""
    if not torch.compiler.is_compiling():
        return False
    if within_transform():
        torch._dynamo.graph_break()
        return False
    return True


def within_transform() -> bool:
    """Whether `torch.compile` traces a function of `torch.func`, or forward mode."""
    return peek_interpreter_stack() is not None or forward_ad._current_level >= 0


# As `torch.compiler.assume_constant_result` would set it, which imports the compiler.
within_transform._dynamo_marked_constant = True  # type: ignore[attr-defined]


def constant(tensor: Tensor) -> np.ndarray:
    """The values of a tensor, for what is taken for a constant: no derivative passes.

    Raises:
        UnsupportedError: a batch of `torch.vmap`, which has several values.
    """
    tensor = forward_ad.unpack_dual(tensor).primal
    while is_functorch_wrapped_tensor(tensor):
        if is_batchedtensor(tensor):
            raise UnsupportedError(
                "torch.vmap: expected a function that does not look at values; give it the whole batch"
            )
        tensor = get_unwrapped(tensor)
    with temporarily_clear_interpreter_stack():
        return forward_ad.unpack_dual(tensor).primal.detach().cpu().numpy()


def transformed(*tensors: Tensor | None) -> bool:
    """Whether a transform of `torch.func` or forward mode follows one of the tensors.

    Such tensors have no memory to read and none to write to, and a float made of one has lost its derivative.
    """
    if torch.compiler.is_compiling():
        return False
    present = [tensor for tensor in tensors if isinstance(tensor, Tensor)]
    return any(
        is_functorch_wrapped_tensor(tensor) or forward_ad.unpack_dual(tensor).tangent is not None for tensor in present
    )


def recorded(*tensors: Tensor | None) -> bool:
    """Whether derivatives of one of the tensors are asked for, in any way."""
    followed = torch.is_grad_enabled() and any(t.requires_grad for t in tensors if isinstance(t, Tensor))
    return followed or transformed(*tensors)


def followed() -> Any:
    """A context for `jvp`, where torch switches forward mode off, and with it the outer one of nested `jvp`s."""
    return forward_ad._set_fwd_grad_enabled(True)


def primals(tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Tensors that `jvp` finds in its context, without the tangents that it works on (but with outer ones)."""
    return [None if tensor is None else forward_ad.unpack_dual(tensor).primal for tensor in tensors]


def untransformed(*tensors: Tensor | None) -> AbstractContextManager[Any]:
    """A context for work on plain numbers that the transforms of `torch.func` need not follow, and NumPy could not.

    Empty where one of the tensors is followed itself.
    """
    if torch.compiler.is_compiling() or transformed(*tensors):
        return nullcontext()
    return temporarily_clear_interpreter_stack()


def numbers(tensor: Tensor) -> list[float]:
    """The values of a tensor [n], whoever follows it; those of a batch of `torch.vmap` cannot be read."""
    tensor = tensor.detach()
    return [one.item() for one in tensor.unbind()] if transformed(tensor) else tensor.tolist()


class _Linear(torch.autograd.Function):
    @staticmethod
    @untraced
    def forward(x: Tensor, function: Function, adjoint: Function) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return function(x.detach())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, *ctx.pair = inputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        function, adjoint = ctx.pair
        return linear(gradient, adjoint, function), None, None

    @staticmethod
    @untraced
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        with followed():
            return linear(tangent, *ctx.pair)

    @staticmethod
    @untraced
    def vmap(  # pyright: ignore[reportIncompatibleMethodOverride]
        info: Any, dims: tuple[int | None, ...], x: Tensor, function: Function, adjoint: Function
    ) -> tuple[Tensor, int]:
        assert dims[0] is not None
        return linear(x.movedim(dims[0], 0), function, adjoint), 0
