"""The bilateral filter and its gradients written to be read: plain torch, any dtype, differentiable, slow.

What the kernels compute is defined here; the tests hold them to it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Filtered:
    """A call of the filter: what it took and what it gave. guide is None for the plain filter."""

    x: Tensor
    guide: Tensor | None
    sigma_spatial: Tensor
    sigma_range: Tensor
    output: Tensor
    normaliser: Tensor


@dataclass(frozen=True)
class Tap:
    """One offset of the window: `volume[here]` are the voxels with a neighbour there, `volume[there]` these."""

    offset: tuple[int, ...]
    here: Any
    there: Any


def taps(shape: Sequence[int], window: Sequence[int]) -> Iterator[Tap]:
    """Every offset of the window that stays inside the volume of this shape somewhere."""
    for offset in itertools.product(*(range(-(width // 2), width // 2 + 1) for width in window)):
        if all(abs(o) < n for o, n in zip(offset, shape, strict=True)):
            here = tuple(slice(max(0, -o), n - max(0, o)) for o, n in zip(offset, shape, strict=True))
            there = tuple(slice(max(0, o), n + min(0, o)) for o, n in zip(offset, shape, strict=True))
            yield Tap(offset, (..., *here), (..., *there))


def tap_weight(offset: Sequence[int], difference: Tensor, sigma_spatial: Tensor, sigma_range: Tensor) -> Tensor:
    """The product of both Gaussians (eqs. 3 and 4), where `difference` is that of the guide's values."""
    distance = torch.tensor(offset, dtype=sigma_spatial.dtype, device=sigma_spatial.device) / sigma_spatial
    return torch.exp(-(distance**2).sum() / 2 - (difference / sigma_range) ** 2 / 2)


def bilateral_reference(
    x: Tensor,  # [..., (z,) y, x]
    guide: Tensor,  # as x; x itself for the plain filter
    sigma_spatial: Tensor,  # [3] or [2], voxels
    sigma_range: Tensor,  # [], units of the guide
    window: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Filtered volume and normaliser w (eqs. 1 and 2)."""
    total, normaliser = torch.zeros_like(x), torch.zeros_like(x)
    for tap in taps(x.shape[-len(window) :], window):
        weight = tap_weight(tap.offset, guide[tap.there] - guide[tap.here], sigma_spatial, sigma_range)
        total[tap.here] += weight * x[tap.there]
        normaliser[tap.here] += weight
    return total / normaliser, normaliser


def pull_back_normalisation(
    grad_output: Tensor, grad_normaliser: Tensor | None, x: Tensor, output: Tensor, normaliser: Tensor
) -> tuple[Tensor, Tensor]:
    """What of the loss each weight of a voxel k sees: dL / d alpha_kn = G_k (x_n - x_k) - E_k.

    G = dL/dY / w and E = G (Y - x), less the gradient that reached the normaliser itself.
    """
    scaled = grad_output / normaliser
    excess = scaled * (output - x)
    return scaled, excess if grad_normaliser is None else excess - grad_normaliser


def backward_tap(
    tap: Tap,
    x: Tensor,
    guide: Tensor,
    sigma_spatial: Tensor,
    sigma_range: Tensor,
    scaled: Tensor,
    excess: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One tap's share of the gradients: to x[here], guide[here], sigma_spatial and sigma_range (eqs. 5 to 18).

    The weight is that of voxel k for its neighbour n and that of n for k alike, so both derivatives are taken at once
    here, and halved where sums over all voxels meet each pair from both sides.
    """
    difference = guide[tap.there] - guide[tap.here]
    weight = tap_weight(tap.offset, difference, sigma_spatial, sigma_range)
    both = (x[tap.there] - x[tap.here]) * (scaled[tap.here] - scaled[tap.there])
    pull = weight * (both - excess[tap.here] - excess[tap.there])  # weight x (dL/d weight of k for n, and of n for k)
    squares = torch.tensor([o * o for o in tap.offset], dtype=sigma_spatial.dtype, device=sigma_spatial.device)
    return (
        weight * scaled[tap.there],
        pull * (difference / sigma_range) / sigma_range,
        pull.sum() / 2 * squares / sigma_spatial**3,
        (pull * (difference / sigma_range) ** 2).sum() / 2 / sigma_range,
    )


def bilateral_backward_reference(
    x: Tensor,
    guide: Tensor,
    sigma_spatial: Tensor,
    sigma_range: Tensor,
    scaled: Tensor,
    excess: Tensor,
    window: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients to x, guide, sigma_spatial and sigma_range. Where guide is x, the first two belong together."""
    grad_x, grad_guide = torch.zeros_like(x), torch.zeros_like(x)
    grad_spatial, grad_range = torch.zeros_like(sigma_spatial), torch.zeros_like(sigma_range)
    for tap in taps(x.shape[-len(window) :], window):
        parts = backward_tap(tap, x, guide, sigma_spatial, sigma_range, scaled, excess)
        grad_x[tap.here] += parts[0]
        grad_guide[tap.here] += parts[1]
        grad_spatial = grad_spatial + parts[2]
        grad_range = grad_range + parts[3]
    return grad_x, grad_guide, grad_spatial, grad_range


def bilateral_backward_vjp(
    cotangents: Sequence[Tensor | None],
    grad_output: Tensor,
    grad_normaliser: Tensor | None,
    call: Filtered,
    window: Sequence[int],
) -> list[Tensor | None]:
    """Gradients of sum(cotangent * gradient) to the two gradients and all tensors of the call.

    It is the filter differentiated a second time. `cotangents` belong to the gradients of x, guide, sigma_spatial and
    sigma_range. Torch differentiates one tap at a time, so that only a few volumes are in memory.
    """
    of_x, of_guide, of_spatial, of_range = cotangents
    x, guide, joint = call.x, call.guide, call.guide is not None
    if not joint:
        of_guide = of_x
    if of_x is of_guide is of_spatial is of_range is None:
        return [None] * 8
    given = torch.zeros_like(x) if grad_normaliser is None else grad_normaliser
    pulled = grad_output, given, x, call.output, call.normaliser
    (scaled, excess), pull_back = torch.func.vjp(pull_back_normalisation, *pulled)  # pyright: ignore[reportAssignmentType]
    leaves = [x, x if guide is None else guide, call.sigma_spatial, call.sigma_range, scaled, excess]
    sums = [torch.zeros_like(leaf) for leaf in leaves]
    weights = [
        torch.zeros_like(leaf) if cotangent is None else cotangent
        for cotangent, leaf in zip((of_x, of_guide, of_spatial, of_range), leaves, strict=False)
    ]
    for tap in taps(x.shape[-len(window) :], window):
        pull_tap = torch.func.vjp(functools.partial(backward_tap, tap), *leaves)[1]
        shares = pull_tap((weights[0][tap.here], weights[1][tap.here], *weights[2:]))
        sums = [total + share for total, share in zip(sums, shares, strict=True)]
    to_output, to_given, to_x, *rest = pull_back((sums[4], sums[5]))
    to_x = to_x + sums[0] if joint else to_x + sums[0] + sums[1]
    to_given = None if grad_normaliser is None else to_given
    return [to_output, to_given, to_x, sums[1] if joint else None, sums[2], sums[3], *rest]
