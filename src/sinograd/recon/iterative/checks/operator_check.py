"""`check`: is an operator what it claims to be - matched, scaled, centred?"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import Geometry, Grid
from sinograd.recon.iterative.checks.adjointness import MATCHED, mismatch
from sinograd.recon.iterative.checks.blob import Blob
from sinograd.recon.iterative.operators import Operator, check_operator, own, shape_of

# What still counts as scaled, centred, and the geometry that was named: relative, voxels or pixels, relative.
SCALED, CENTRED, SAME = 0.01, 0.05, 0.05
FEWEST_VOXELS = 16  # along an axis, to hold the blob


@dataclass(frozen=True)
class OperatorCheck:
    """What `check` found; as text, in words.

    Attributes:
        mismatch: |<A x, y> - <x, A.T y>| / ||A x * y|| for random x, y of mean zero; 1e-7 or so for an exact pair in
            float32, of the order of 1 for different models.
        adjoint_scale: sum(A.T 1) / sum(A 1): 1 for a pair, the factor by which A.T is too large otherwise.
        scale: line integrals of a blob over the exact ones, by mass; None where geometry and grid are not known.
        shift: by how much the blob is projected as if it lay elsewhere, in voxels (z, y, x) or (y, x).
        column_shift: by how much the detector seems moved, in columns along +u.
        error: what is left of the difference between projections and exact ones, relative.
        flipped: axes of the image or the projections that run the other way, "" for none; told only where that is all
            that is wrong.
        why_not: why scale and centre could not be checked.
    """

    mismatch: float
    adjoint_scale: float
    scale: float | None = None
    shift: tuple[float, ...] | None = None
    column_shift: float | None = None
    error: float | None = None
    flipped: str = ""
    why_not: str = ""

    @property
    def matched(self) -> bool:
        """Whether T is the adjoint."""
        return self.mismatch <= MATCHED

    @property
    def scaled(self) -> bool | None:
        """Whether line integrals are in mm times 1/mm, within 1 %."""
        return None if self.scale is None else abs(self.scale - 1) <= SCALED and self._same

    @property
    def centred(self) -> bool | None:
        """Whether voxels and detector are where they should be, within 0.05 voxels and columns."""
        if self.shift is None or self.column_shift is None:
            return None
        return all(abs(s) <= CENTRED for s in (*self.shift, self.column_shift)) and self._same

    @property
    def ok(self) -> bool:
        """Nothing that was checked is wrong."""
        return self.matched and self.scaled is not False and self.centred is not False

    @property
    def _same(self) -> bool:
        return not self.flipped and self.error is not None and self.error <= SAME

    def __str__(self) -> str:
        parts = [f"{'matched' if self.matched else 'NOT MATCHED'}: T is off the adjoint by {self.mismatch:.1e}"]
        if not self.matched:
            parts[0] += f" and {self.adjoint_scale:.4g} times as large"
        if self.scale is None or self.shift is None or self.column_shift is None or self.error is None:
            return "; ".join([*parts, f"scale and centre not checked: {self.why_not}"])
        if self.flipped:
            return "; ".join([*parts, f"NOT CENTRED: the other way round: {self.flipped}"])
        if self.error > SAME:
            return "; ".join([*parts, f"NOT THIS GEOMETRY: projections of a blob are off by {self.error:.0%}"])
        shift = ", ".join(f"{s:+.3f}" for s in self.shift)
        parts.append(f"{'scaled' if self.scaled else 'NOT SCALED'}: line integrals times {self.scale:.5f}")
        parts.append(
            f"{'centred' if self.centred else 'NOT CENTRED'}: off by {shift} voxels ({'zyx'[-len(self.shift) :]}) "
            f"and {self.column_shift:+.3f} columns"
        )
        return "; ".join(parts)


@torch.no_grad()
def check(
    operator: Operator,
    geometry: Geometry | None = None,
    grid: Grid | None = None,
    *,
    probes: int = 3,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> OperatorCheck:
    """Measures whether an operator's T is its adjoint, and whether it projects what its geometry says, where.

    For any pair `A(x)`, `A.T(y)`: sinograd's own, other toolkits' (wrapped in a `FunctionOperator`, for example), one's
    own. With a geometry and a grid, a Gaussian blob off the middle is projected and held against its exact line
    integrals, with small errors of scale, position, column offset and width fitted by least squares. Costs 3
    projections and backprojections, one projection more for the blob, and some more where that looks wrong altogether.

    A shift of the detector's rows shows as a shift along z, and over a short arc one of columns in part as one of
    voxels.

    Args:
        operator: A.
        geometry, grid: what the operator claims to be; its own attributes `geometry` and `grid` if not given.
        probes: of the adjoint.
        dtype, device: of the tensors that the operator gets.

    Raises:
        TypeError: not an operator.
        ValueError: its shapes are known neither from `domain_shape` and `range_shape` nor from a geometry and a grid.
    """
    check_operator(operator)
    geometry = getattr(operator, "geometry", None) if geometry is None else geometry
    grid = getattr(operator, "grid", None) if grid is None else grid
    domain, range_ = shape_of(operator, "domain_shape"), shape_of(operator, "range_shape")
    if geometry is not None and grid is not None:
        domain, range_ = domain or grid.shape, range_ or geometry.projection_shape
    if domain is None or range_ is None:
        raise InputError(
            f"operator: {type(operator).__name__} tells neither domain_shape and range_shape nor geometry and grid; "
            "expected geometry and grid to be given"
        )
    like = torch.empty(0, dtype=dtype, device=device)
    found = mismatch(operator, domain, range_, like, probes)
    forward, back = operator(like.new_ones(domain)), operator.T(like.new_ones(range_))
    total = float(forward.double().sum())
    scale = float(back.double().sum()) / total if total else math.inf
    why_not = _why_not(geometry, grid, domain, range_)
    if why_not or geometry is None or grid is None:
        return OperatorCheck(found, scale, why_not=why_not)
    return _against_blob(operator, geometry, grid, like, found, scale)


def _why_not(geometry: Geometry | None, grid: Grid | None, domain: tuple[int, ...], range_: tuple[int, ...]) -> str:
    if geometry is None or grid is None:
        return "no geometry and grid to hold it against"
    if domain != grid.shape or range_ != geometry.projection_shape:
        return f"it does not map images {list(grid.shape)} to projections {list(geometry.projection_shape)}"
    if min(grid.shape) < FEWEST_VOXELS:
        return f"the grid has fewer than {FEWEST_VOXELS} voxels along an axis"
    return ""


def _against_blob(
    operator: Operator, geometry: Geometry, grid: Grid, like: Tensor, found: float, adjoint_scale: float
) -> OperatorCheck:
    blob = Blob.within(grid)
    voxels = blob.voxels(grid).to(like)
    projected = own(operator(voxels), voxels)
    fit = _fit(projected, geometry, blob)
    if fit is None:
        return OperatorCheck(found, adjoint_scale, why_not="no ray meets the middle of the grid")
    parameters, error = fit
    flipped = "" if error <= SAME else _flipped(operator, voxels, projected, geometry, blob)
    spacing = grid.spacing
    shift = tuple(parameters[name] / s for name, s in zip("zyx"[-grid.ndim :], spacing, strict=True))
    return OperatorCheck(found, adjoint_scale, 1 + parameters["scale"], shift, parameters["column"], error, flipped)


def _fit(projected: Tensor, geometry: Geometry, blob: Blob) -> tuple[dict[str, float], float] | None:
    """Least-squares errors of scale, place and width, and what is left, relative; None where nothing is seen."""
    names: list[str] = []
    normal = right = torch.zeros(0)
    squares = exact = 0.0
    for view in range(geometry.views):
        columns = blob.sensitivities(geometry, view)
        line = columns["scale"]
        matrix = torch.stack([column.flatten() for column in columns.values()], 1)
        difference = (projected[view].double().cpu() - line).flatten()
        if not names:
            names = [*columns]
            normal, right = matrix.new_zeros(len(names), len(names)), matrix.new_zeros(len(names))
        normal += matrix.T @ matrix
        right += matrix.T @ difference
        squares += float(difference.square().sum())
        exact += float(line.square().sum())
    if not exact > 0:
        return None
    size = normal.diagonal().sqrt().clamp(min=torch.finfo(normal.dtype).tiny)
    scaled = torch.linalg.pinv(normal / size[:, None] / size, rtol=1e-6, hermitian=True) @ (right / size)
    left = max(squares - float(scaled @ (right / size)), 0.0)
    return dict(zip(names, (scaled / size).tolist(), strict=True)), math.sqrt(left / exact)


def _flipped(operator: Operator, voxels: Tensor, projected: Tensor, geometry: Geometry, blob: Blob) -> str:
    """Which axes to turn over so that the projections fit; "" if none does."""
    axes = range(-voxels.ndim, 0)
    for count in range(1, voxels.ndim + 1):
        for chosen in itertools.combinations(axes, count):
            turned = voxels.flip(chosen)
            if _fits(own(operator(turned), turned), geometry, blob):
                return " and ".join(f"the image's {'zyx'[axis]}" for axis in chosen)
    for axis, name in zip(range(1, projected.ndim), ("rows", "columns")[-geometry.ndim + 1 :], strict=True):
        if _fits(projected.flip(axis), geometry, blob):
            return f"the detector's {name}"
    return ""


def _fits(projected: Tensor, geometry: Geometry, blob: Blob) -> bool:
    fit = _fit(projected, geometry, blob)
    return fit is not None and fit[1] <= SAME
