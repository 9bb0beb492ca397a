"""What can be told about the algorithms of `sinograd.choices.ALGORITHMS` without running them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

from sinograd.choices import ALGORITHMS
from sinograd.errors import InputError


def iterative_algorithms() -> tuple[str, ...]:
    """Names of those that iterate."""
    return tuple(entry.name for entry in ALGORITHMS.entries() if entry.about.get("iterative"))


def any_orbit_algorithms(beam: str) -> tuple[str, ...]:
    """Names of those that iterate and take a beam ("ConeBeam", ...) on whatever orbit."""
    entries = ALGORITHMS.entries(plugins=False)
    return tuple(e.name for e in entries if e.about.get("iterative") and beam in (e.about.get("beams") or ()))


def default_iterations(name: str) -> int:
    """How many iterations an algorithm makes unless it is told: the default of its function.

    Raises:
        InputError: an unknown algorithm, or one whose function has no such default.
    """
    function: Callable[..., Any] = ALGORITHMS.load(name)
    parameter = inspect.signature(function).parameters.get("iterations")
    if parameter is None or not isinstance(parameter.default, int):
        raise InputError(f"algorithm: expected {name} to have a default number of iterations, it has none")
    return parameter.default


def working_memory(name: str, image: Sequence[int], projections: Sequence[int], element: int = 4) -> int:
    """Bytes that an iterative algorithm holds at its peak: projections, its own copies, and those of the operator.

    Args:
        name: of the algorithm. What it does not tell counts as for the largest, `fista-tv`.
        image: shape of the image.
        projections: shape of the projections.
        element: bytes of a number.
    """
    about, largest = ALGORITHMS.entry(name).about, ALGORITHMS.entry("fista-tv").about
    if about.get("images") is None:
        about = largest
    images = about["images"] + len(image) * (about.get("images_per_axis") or 0)
    copies = about.get("projections") or 0
    # the operator has a copy of both in the layout of the kernels
    return int(element * ((images + 1) * math.prod(image) + (copies + 2) * math.prod(projections)))
