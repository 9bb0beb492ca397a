"""`FunctionOperator`: an operator made of two functions, for matrices and for other toolkits' projectors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError

Function = Callable[[Any], Any]


class FunctionOperator:
    """A linear operator `A(x)`, `A.T(y)` from a function and its adjoint; leading dimensions are looped over.

        matrix = FunctionOperator(lambda x: m @ x, lambda y: m.T @ y, (9,), (20,))
        scipy_ = FunctionOperator(a.matvec, a.rmatvec, (9,), (20,), numpy=True)

    Autograd sees the functions only if they are torch's own. Whether the second is the adjoint of the first is not
    assumed anywhere: `sinograd.recon.check` measures it.

    Args:
        forward: takes one array of `domain_shape`, gives one of `range_shape`.
        adjoint: the other way round.
        domain_shape, range_shape: without batch dimensions.
        numpy: the functions take and give numpy arrays.
        subset: from a list of views to the operator of these views alone (for ordered subsets).
    """

    def __init__(
        self,
        forward: Function,
        adjoint: Function,
        domain_shape: Sequence[int],
        range_shape: Sequence[int],
        *,
        numpy: bool = False,
        subset: Callable[[list[int]], Any] | None = None,
    ) -> None:
        for name, function in (("forward", forward), ("adjoint", adjoint)):
            if not callable(function):
                raise InputTypeError(f"{name}: expected a function, got {type(function).__name__}")
        self._forward, self._adjoint, self._numpy, self._subset = forward, adjoint, numpy, subset
        self.domain_shape, self.range_shape = tuple(domain_shape), tuple(range_shape)

    @property
    def T(self) -> FunctionOperator:
        """The adjoint."""
        return FunctionOperator(self._adjoint, self._forward, self.range_shape, self.domain_shape, numpy=self._numpy)

    def subset(self, views: Sequence[int]) -> Any:
        """The operator of some views, if a function for that was given."""
        if self._subset is None:
            raise InputError("operator: this FunctionOperator was made without subset=, so it cannot be divided")
        return self._subset(list(views))

    def __call__(self, x: Tensor) -> Tensor:
        """[..., *domain_shape] -> [..., *range_shape], dtype and device kept."""
        if not isinstance(x, Tensor):
            raise InputTypeError(f"x: expected a torch.Tensor, got {type(x).__name__}")
        ndim = len(self.domain_shape)
        if x.ndim < ndim or tuple(x.shape[x.ndim - ndim :]) != self.domain_shape:
            raise InputError(f"x: expected [..., {', '.join(map(str, self.domain_shape))}], got {list(x.shape)}")
        batch = x.shape[: x.ndim - ndim]
        results = [self._one(x[index]) for index in itertools.product(*map(range, batch))]
        if not results:
            return x.new_zeros((*batch, *self.range_shape))
        return torch.stack(results).reshape(*batch, *self.range_shape) if batch else results[0]

    def _one(self, x: Tensor) -> Tensor:
        result = self._forward(x.detach().cpu().numpy() if self._numpy else x)
        result = torch.as_tensor(result).to(x) if self._numpy else result
        if tuple(result.shape) != self.range_shape:
            raise InputError(
                f"operator: expected the function to give {list(self.range_shape)}, got {list(result.shape)}"
            )
        return result

    def __repr__(self) -> str:
        return f"FunctionOperator({list(self.domain_shape)} -> {list(self.range_shape)})"
