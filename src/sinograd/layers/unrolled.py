"""`Unrolled`: a few iterations of plug and play as a network whose steps and denoisers train end to end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sinograd.errors import InputError, InputTypeError
from sinograd.ops.derivatives import within_transform
from sinograd.recon.iterative.norms import operator_norm
from sinograd.recon.iterative.operators import Operator, check_operator, shape_of
from sinograd.recon.iterative.regularized_least_squares import regularized_least_squares

FITS = ("gradient", "solve")


class Unrolled(nn.Module):
    """Iterations x <- denoiser_k(fit_k(x)) of a fixed number, from projections to an image.

    fit="gradient": fit_k(x) = x - step_k / |A|^2 A.T (A x - p), as in K. Hammernik et al., Magnetic Resonance in
    Medicine 79(6), 2018 (variational networks). fit="solve": the denoiser comes first, and then x minimises
    |p - A x|^2 + step_k |A|^2 |x - denoised|^2 by conjugate gradients, differentiated implicitly, as in Aggarwal, Mani,
    Jacob (MoDL), IEEE Transactions on Medical Imaging 38(2), 2019.

    Memory: with gradients, each iteration keeps its image and is computed again in the backward pass (what the operator
    and the denoiser keep exists for one iteration at a time); with recompute=False, and within `torch.func`, all of it
    is kept.

    Args:
        operator: A; anything with `A(x)` and `A.T(y)` that autograd sees through, such as `XRayTransform`.
        denoisers: one for each iteration, or one for all, whose weights they then share. Any modules from images
            [..., *domain_shape] in 1/mm to images.
        iterations: their number; that of the denoisers if not given.
        step: where the steps start; 1 for gradients, 0.05 for solving, if not given. Always used as its absolute value.
        fit: "gradient" or "solve".
        inner_iterations: of conjugate gradients, at most, for "solve".
        start: function or module from projections to the first image, such as an `FDK` layer; zeros if not given.
        recompute: trade a second forward pass for memory.
        norm: |A|; measured by power iteration if not given.

    Attributes:
        steps: the parameter, [iterations].

    Raises:
        TypeError, ValueError: no denoisers, as many as there are not iterations, an unknown fit, an operator that does
            not tell `domain_shape`.
    """

    norm: Tensor

    def __init__(
        self,
        operator: Operator,
        denoisers: nn.Module | Sequence[nn.Module],
        iterations: int | None = None,
        *,
        step: float | None = None,
        fit: str = "gradient",
        inner_iterations: int = 10,
        start: Callable[[Tensor], Tensor] | None = None,
        recompute: bool = True,
        norm: float | None = None,
    ) -> None:
        super().__init__()
        check_operator(operator)
        shape = shape_of(operator, "domain_shape")
        if shape is None:
            raise InputError(f"operator: expected {type(operator).__name__} to tell its domain_shape")
        if fit not in FITS:
            raise InputError(f"fit: expected one of {', '.join(FITS)}, got {fit!r}")
        self.operator, self.fit, self.inner_iterations, self.recompute = operator, fit, inner_iterations, recompute
        self.image_shape = shape
        self.denoisers = nn.ModuleList(_listed(denoisers))
        self.iterations = _count(len(self.denoisers), iterations)
        self.start = start
        first = step if step is not None else 1.0 if fit == "gradient" else 0.05
        self.steps = nn.Parameter(torch.full((self.iterations,), float(first)))
        value = operator_norm(operator) if norm is None else float(norm)
        if not 0 < value < float("inf"):
            raise InputError(f"norm: expected a number above 0, got {value}")
        self.register_buffer("norm", torch.tensor(value, dtype=torch.float64))

    def _apply(self, fn, recurse: bool = True):
        """The norm stays float64 whatever the module is cast to."""
        norm = self.norm
        super()._apply(fn, recurse)
        self.norm = norm
        return self

    def forward(self, projections: Tensor, start: Tensor | None = None) -> Tensor:
        """Line integrals [..., *range_shape] to an image [..., *domain_shape]; `start` replaces the first image."""
        x = self._first(projections) if start is None else start
        for k in range(self.iterations):
            if self.recompute and torch.is_grad_enabled() and not within_transform():  # torch.func knows no checkpoints
                x = checkpoint(self._iteration, x, projections, k, use_reentrant=False)
            else:
                x = self._iteration(x, projections, k)
        return x

    def _first(self, projections: Tensor) -> Tensor:
        if self.start is not None:
            return self.start(projections)
        shape = shape_of(self.operator, "range_shape")
        batch = projections.shape[: projections.ndim - len(shape)] if shape else ()
        return projections.new_zeros((*batch, *self.image_shape))

    def _iteration(self, x: Tensor, projections: Tensor, k: int) -> Tensor:
        denoiser = self.denoisers[k % len(self.denoisers)]
        step = self.steps[k].abs()
        square = float(self.norm) ** 2
        if self.fit == "gradient":
            gradient = self.operator.T(self.operator(x) - projections)
            return denoiser(x - (step / square).to(x) * gradient)
        return regularized_least_squares(
            self.operator, projections, denoiser(x), step * square, iterations=self.inner_iterations
        )

    def extra_repr(self) -> str:
        """Iterations and fit, for printing."""
        return f"iterations={self.iterations}, fit={self.fit!r}, recompute={self.recompute}"


def _listed(denoisers: nn.Module | Sequence[nn.Module]) -> list[nn.Module]:
    several = isinstance(denoisers, nn.ModuleList | list | tuple)
    found = list(denoisers) if several else [denoisers]  # type: ignore[arg-type]
    if not found or not all(isinstance(d, nn.Module) for d in found):
        raise InputTypeError("denoisers: expected a module or a list of modules, at least one")
    return found  # type: ignore[return-value]


def _count(denoisers: int, iterations: int | None) -> int:
    count = denoisers if iterations is None else iterations
    if count < 1 or denoisers not in (1, count):
        raise InputError(f"iterations: expected one denoiser or {count}, got {denoisers}")
    return count
