"""`remove_stripes`: any of the methods of `sinograd.choices.STRIPE_METHODS`."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from sinograd.choices import DEFAULT_STRIPE_METHOD as DEFAULT_METHOD
from sinograd.choices import STRIPE_METHODS
from sinograd.config.near_keys import did_you_mean
from sinograd.errors import InputError, InputTypeError
from sinograd.preparation.rings import remove_rings

# Bytes of sinograms that are worked on at once by methods that look at each row for itself.
BLOCK_BYTES = 32 << 20


def remove_stripes(projections: Tensor, method: str = DEFAULT_METHOD, **options: Any) -> Tensor:
    """Line integrals [..., views, (rows,) columns] without stripes, which reconstruct as rings.

    Args:
        projections: line integrals in the detector's own columns, so before any shift; float32 or float64.
        method: a name of `sinograd.choices.STRIPE_METHODS`; the how-to page "Corrections" has a table of what each
            removes and what it costs.
        options: of the method's function: `width` and `limit` of "constant" and "combined", `size` of "sorting", ...

    Returns:
        A tensor of the same shape and type. Differentiable: everywhere where the method is linear ("wavelet-fourier",
        "fitting"), almost everywhere with others; which columns stand out is decided without gradients.

    Raises:
        TypeError, ValueError: no such tensor or method, an unknown or wrong option, too few views or columns.
    """
    check_projections(projections)
    function, first = steps_of(method)
    check_stripe_options(method, options)
    result = projections
    for step in first:
        result = by_rows(result, step)
    return function(result, **options) if function is remove_rings else by_rows(result, function, **options)


def steps_of(method: str) -> tuple[Any, list[Any]]:
    """The function of a method, and those that run before it with their defaults."""
    entry = STRIPE_METHODS.entry(method)
    return entry.load(), [STRIPE_METHODS.load(name) for name in entry.about.get("before", ())]


def band_functions(method: str) -> tuple[list[Any], bool]:
    """The functions of sinograms [n, views, columns] that a method consists of, and whether `remove_rings` follows."""
    function, first = steps_of(method)
    return (first, True) if function is remove_rings else ([*first, function], False)


def check_stripe_options(method: str, options: dict[str, Any]) -> None:
    """InputError for options that a method does not have."""
    function, _ = steps_of(method)
    known = [name for name, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            raise InputError(
                f"{name!r} is no option of the method {method!r}, which has {', '.join(known)}"
                f"{did_you_mean([name], known)}"
            )


def by_rows(projections: Tensor, function: Any, **options: Any) -> Tensor:
    """A function of sinograms [n, views, columns], of projections [..., views, (rows,) columns], a block at a time."""
    flat = projections if projections.ndim == 2 else projections.movedim(-3, -2)
    sinograms = flat.reshape(-1, *flat.shape[-2:])
    block = max(1, BLOCK_BYTES // max(1, sinograms[0].numel() * sinograms.element_size()))
    done = torch.cat([function(part, **options) for part in sinograms.split(block)]).reshape(flat.shape)
    return done if projections.ndim == 2 else done.movedim(-2, -3)


def check_projections(projections: object) -> None:
    """InputTypeError or InputError unless it is a float tensor of at least 8 views and 8 columns."""
    if not isinstance(projections, Tensor) or projections.dtype not in (torch.float32, torch.float64):
        found = projections.dtype if isinstance(projections, Tensor) else type(projections).__name__
        raise InputTypeError(f"projections must be a float32 or float64 tensor [views, (rows,) columns], got {found}")
    views = -2 if projections.ndim == 2 else -3
    if projections.ndim < 2 or projections.shape[views] < 8 or projections.shape[-1] < 8 or not projections.numel():
        raise InputError(
            "projections: expected [..., views, (rows,) columns] of at least 8 views and 8 columns, "
            f"got {list(projections.shape)}"
        )
