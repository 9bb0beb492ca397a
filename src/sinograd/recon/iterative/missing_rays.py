"""Whether rays through the grid are missing, which no algorithm can measure."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from sinograd.errors import CoverageWarning, InputError
from sinograd.recon.iterative.operators import Operator, kept

if TYPE_CHECKING:
    from sinograd.recon.analytic.coverage import Coverage


def warn_of_missing_rays(operator: Operator) -> None:
    """A `CoverageWarning` where a circular or parallel scan lacks rays through the grid, as `fdk` and `fbp` give.

    Only for operators that have a `geometry` and a `grid`.
    """
    from sinograd.geometry import Geometry, Grid
    from sinograd.recon.analytic.coverage import coverage, lacks_rays

    geometry, grid = getattr(operator, "geometry", None), getattr(operator, "grid", None)
    if not isinstance(geometry, Geometry) or not isinstance(grid, Grid):
        return

    def make() -> Coverage | None:
        try:
            return coverage(geometry)
        except InputError:  # no circle, or an axis that is not seen: nothing is known
            return None

    measured = kept(operator, ("coverage",), make)
    if measured is not None and lacks_rays(measured, grid):
        details = f"{measured}. Iterations fill what is missing with what fits; edges along it stay uncertain."
        warnings.warn(CoverageWarning(measured.summary, details), stacklevel=4)
