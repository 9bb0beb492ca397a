"""How far `A.T` is from being the adjoint of `A`, measured with random numbers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.errors import UnmatchedPairWarning
from sinograd.ops import LinearOperator
from sinograd.recon.iterative.inner_products import dot, norm
from sinograd.recon.iterative.operators import Operator, kept, own

# Above this a pair counts as unmatched: far above rounding in float32, far below any pair of different models.
MATCHED = 1e-4


def mismatch(
    operator: Operator, domain_shape: Sequence[int], range_shape: Sequence[int], like: Tensor, probes: int = 1
) -> float:
    """|<A x, y> - <x, A.T y>| / ||A x * y||, root mean square over probes of random x and y of mean zero.

    About 1e-7 for an exact pair in float32, and of the order of 1 for a pair of different models. Costs a projection
    and a backprojection a probe; the numbers are the same in every call.
    """
    total = 0.0
    for probe in range(probes):
        generator = torch.Generator().manual_seed(probe)
        x = torch.randn(*domain_shape, generator=generator, dtype=torch.float32).to(like)
        y = torch.randn(*range_shape, generator=generator, dtype=torch.float32).to(like)
        projected = own(operator(x), x)
        back = dot(x, own(operator.T(y), y), x.ndim)
        forward = dot(projected, y, y.ndim)
        length = norm(projected.mul_(y), y.ndim)
        total += float((forward - back) / length) ** 2 if float(length) > 0 else float(back != 0)
    return (total / probes) ** 0.5


def warn_if_unmatched(
    operator: Operator, domain_shape: Sequence[int], range_shape: Sequence[int], like: Tensor
) -> None:
    """Warns of an unmatched pair; sinograd's own and what is made of them are exact, others are measured once."""
    if isinstance(operator, LinearOperator) and operator.exact_adjoint:
        return
    key = ("mismatch", tuple(domain_shape), tuple(range_shape), like.dtype, like.device)
    found = kept(operator, key, lambda: mismatch(operator, domain_shape, range_shape, like))
    if not found <= MATCHED:
        warnings.warn(
            f"operator: {type(operator).__name__}.T is not the adjoint: |<Ax, y> - <x, A.T y>| is {found:.2g} of "
            f"||Ax * y||, at most {MATCHED:g} for a matched pair. Iterations may diverge or end elsewhere; "
            "sinograd.recon.check tells more",
            UnmatchedPairWarning,
            stacklevel=4,
        )
