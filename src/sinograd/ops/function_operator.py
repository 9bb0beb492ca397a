"""`FunctionOperator`: an operator made of two functions, for matrices and for other toolkits' projectors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.ops.derivatives import linear
from sinograd.ops.linear_operator import LinearOperator

Function = Callable[[Any], Any]


class FunctionOperator(LinearOperator):
    """A linear operator `A(x)`, `A.T(y)` from a function and its adjoint; leading dimensions are looped over.

        matrix = FunctionOperator(lambda x: m @ x, lambda y: m.T @ y, (9,), (20,))
        scipy_ = FunctionOperator(a.matvec, a.rmatvec, (9,), (20,), numpy=True)

    Autograd sees through functions that are torch's own. Where it cannot (`numpy` or `opaque`) the gradient of each
    function is the other one. Whether the second is the adjoint of the first is not assumed anywhere:
    `sinograd.recon.check` measures it.

    Args:
        forward: takes one array of `domain_shape`, gives one of `range_shape`.
        adjoint: the other way round.
        domain_shape, range_shape: without batch dimensions.
        numpy: the functions take and give numpy arrays.
        opaque: the functions take and give tensors, but compute outside torch.
        subset: from a list of views to the operator of these views alone (for ordered subsets).

    Raises:
        TypeError: something that cannot be called.
    """

    def __init__(
        self,
        forward: Function,
        adjoint: Function,
        domain_shape: Sequence[int],
        range_shape: Sequence[int],
        *,
        numpy: bool = False,
        opaque: bool = False,
        subset: Callable[[list[int]], Any] | None = None,
    ) -> None:
        for name, function in (("forward", forward), ("adjoint", adjoint)):
            if not callable(function):
                raise InputTypeError(f"{name}: expected a function, got {type(function).__name__}")
        super().__init__(domain_shape, range_shape)
        self._forward, self._adjoint, self._subset = forward, adjoint, subset
        self._numpy, self._opaque = numpy, numpy or opaque

    @property
    def exact_adjoint(self) -> bool:
        """Not known."""
        return False

    def subset(self, views: Any) -> Any:
        """The operator of some views, if a function for that was given."""
        if self._subset is None:
            raise InputError(f"operator: this {type(self).__name__} was made without subset=, so it cannot be divided")
        return self._subset(list(views))

    def _apply_operator(self, x: Tensor) -> Tensor:
        forward, adjoint = self._loops()
        return linear(x, forward, adjoint) if self._opaque else forward(x)

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        forward, adjoint = self._loops()
        return linear(y, adjoint, forward) if self._opaque else adjoint(y)

    def _loops(self) -> tuple[_Loop, _Loop]:
        return (
            _Loop(self._forward, self.domain_shape, self.range_shape, self._numpy),
            _Loop(self._adjoint, self.range_shape, self.domain_shape, self._numpy),
        )

    def extra_repr(self) -> str:
        """Shapes, for printing."""
        return f"{list(self.domain_shape)} -> {list(self.range_shape)}"


@dataclass(frozen=True, eq=False)
class _Loop:
    """A function of one array as a function of any batch; dtype and device stay those of the argument."""

    function: Function
    shape: tuple[int, ...]
    result_shape: tuple[int, ...]
    numpy: bool

    def __call__(self, x: Tensor) -> Tensor:
        batch = x.shape[: x.ndim - len(self.shape)]
        if not batch:
            return self._one(x)
        if not batch.numel():
            return x.sum().expand(*batch, *self.result_shape)  # empty, and part of the graph
        results = (self._one(x[index]) for index in itertools.product(*map(range, batch)))
        if torch.is_grad_enabled():
            return torch.stack([*results]).reshape(*batch, *self.result_shape)
        whole = x.new_empty((batch.numel(), *self.result_shape))
        for number, result in enumerate(results):
            whole[number] = result
        return whole.reshape(*batch, *self.result_shape)

    def _one(self, x: Tensor) -> Tensor:
        result = torch.as_tensor(self.function(x.detach().cpu().numpy() if self.numpy else x)).to(x)
        if tuple(result.shape) != self.result_shape:
            raise InputError(
                f"operator: expected the function to give {list(self.result_shape)}, got {list(result.shape)}"
            )
        return result
