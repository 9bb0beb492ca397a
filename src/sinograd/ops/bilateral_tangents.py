"""Forward-mode derivatives of the bilateral filter and of its gradient: plain torch, a tap at a time, slow.

The tangent of a weight alpha with the difference d of the guide is alpha times that of its exponent,
sum o^2 / sx^3 dsx + (d / sr)^2 dsr / sr - (d / sr) (dd / sr). Everything else is the product rule on the lines of
`bilateral_reference`. Nothing is written in place, so that torch differentiates this again in any of its ways.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.ops.bilateral_reference import Filtered, Tap, tap_weight, taps


def filter_tangents(call: Filtered, tangents: Sequence[Tensor | None], window: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Tangents of the result and of the normaliser.

    Args:
        call: the filter's arguments and results.
        tangents: of x, guide, sigma_spatial and sigma_range; None is zero. That of the guide counts where there is one.
    """
    x, guide, spatial, of_range = call.x, call.guide, call.sigma_spatial, call.sigma_range
    dx, dguide, *dsigmas = _filled(tangents, (x, guide, spatial, of_range))
    if guide is None:
        guide, dguide = x, dx
    total, weights = torch.zeros_like(x), torch.zeros_like(x)
    for tap in taps(x.shape[-len(window) :], window):
        difference = guide[tap.there] - guide[tap.here]
        weight = tap_weight(tap.offset, difference, spatial, of_range)
        dweight = weight * _exponent_tangent(
            tap, difference, dguide[tap.there] - dguide[tap.here], (spatial, of_range), dsigmas
        )
        share = dweight * (x[tap.there] - call.output[tap.here]) + weight * dx[tap.there]
        total = total + _placed(share, tap)
        weights = weights + _placed(dweight, tap)
    return total / call.normaliser, weights


def gradient_tangents(
    arguments: Sequence[Tensor | None], tangents: Sequence[Tensor | None], window: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Tangents of the gradients to x, guide (empty for the plain filter), sigma_spatial and sigma_range.

    Args:
        arguments: of `bilateral_backward`: grad_output, grad_normaliser or None, and the fields of `Filtered`.
        tangents: of these; None is zero.
    """
    grad_output, grad_normaliser, *rest = arguments
    assert grad_output is not None
    call = Filtered(*rest)  # type: ignore[arg-type]
    x, guide, spatial, of_range = call.x, call.guide, call.sigma_spatial, call.sigma_range
    dgrad, dgiven, dx, dguide, dspatial, drange, doutput, dnormaliser = _filled(tangents, arguments)
    joint = guide is not None
    if guide is None:
        guide, dguide = x, dx
    scaled = grad_output / call.normaliser
    dscaled = (dgrad - scaled * dnormaliser) / call.normaliser
    excess = scaled * (call.output - x)
    dexcess = dscaled * (call.output - x) + scaled * (doutput - dx)
    if grad_normaliser is not None:
        excess, dexcess = excess - grad_normaliser, dexcess - dgiven
    to_x, to_guide = torch.zeros_like(x), torch.zeros_like(x)
    to_spatial, to_range = torch.zeros_like(spatial), torch.zeros_like(of_range)
    for tap in taps(x.shape[-len(window) :], window):
        here, there = tap.here, tap.there
        difference, ddifference = guide[there] - guide[here], dguide[there] - dguide[here]
        weight = tap_weight(tap.offset, difference, spatial, of_range)
        dweight = weight * _exponent_tangent(tap, difference, ddifference, (spatial, of_range), (dspatial, drange))
        step, dstep = x[there] - x[here], dx[there] - dx[here]
        both = step * (scaled[here] - scaled[there]) - excess[here] - excess[there]
        dboth = dstep * (scaled[here] - scaled[there]) + step * (dscaled[here] - dscaled[there])
        dboth = dboth - dexcess[here] - dexcess[there]
        pull, dpull = weight * both, dweight * both + weight * dboth
        ratio, dratio = difference / of_range, ddifference / of_range
        shrink = drange / of_range
        to_x = to_x + _placed(dweight * scaled[there] + weight * dscaled[there], tap)
        to_guide = to_guide + _placed((dpull * ratio + pull * dratio - 2 * pull * ratio * shrink) / of_range, tap)
        squares = _squares(tap, spatial) / spatial**3
        to_spatial = to_spatial + squares * (dpull.sum() - 3 * pull.sum() * dspatial / spatial) / 2
        range_terms = dpull * ratio**2 + 2 * pull * ratio * dratio - 3 * pull * ratio**2 * shrink
        to_range = to_range + range_terms.sum() / 2 / of_range
    return (to_x, to_guide, to_spatial, to_range) if joint else (to_x + to_guide, x.new_zeros(0), to_spatial, to_range)


def _exponent_tangent(
    tap: Tap, difference: Tensor, tangent: Tensor, sigmas: Sequence[Tensor], dsigmas: Sequence[Tensor]
) -> Tensor:
    (spatial, of_range), (dspatial, drange) = sigmas, dsigmas
    ratio = difference / of_range
    of_space = (_squares(tap, spatial) / spatial**3 * dspatial).sum()
    return of_space + ratio**2 * (drange / of_range) - ratio * (tangent / of_range)


def _squares(tap: Tap, like: Tensor) -> Tensor:
    return torch.tensor([o * o for o in tap.offset], dtype=like.dtype, device=like.device)


def _placed(part: Tensor, tap: Tap) -> Tensor:
    """Values of the voxels `tap.here` in the whole volume, with zeros around."""
    return torch.nn.functional.pad(part, [n for o in reversed(tap.offset) for n in (max(0, -o), max(0, o))])


def _filled(tangents: Sequence[Tensor | None], of: Sequence[Tensor | None]) -> list[Tensor]:
    """Zeros where there is no tangent; empty where there is no argument."""
    return [
        tangent if tangent is not None else torch.zeros(0) if value is None else torch.zeros_like(value)
        for tangent, value in zip(tangents, of, strict=True)
    ]
