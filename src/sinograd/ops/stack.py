"""`stack`: several scans of one volume as one operator."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import Grid
from sinograd.geometry.view_indices import Index, view_indices
from sinograd.ops.arguments import check_last_dimensions
from sinograd.ops.derivatives import transformed
from sinograd.ops.linear_operator import Combination, LinearOperator, check_same_grid, total


def stack(operators: Sequence[LinearOperator]) -> Stack:
    """One operator from a volume to the projections of several scans of it, one scan's views after the other's.

        A = sg.stack([sg.XRayTransform(first, grid), sg.XRayTransform(second, grid)])
        volume = sg.recon.cgls(A, A.join([projections_of_first, projections_of_second])).volume

    Where detectors differ, each scan's projections stand in the first rows and columns of the largest, and the rest
    is zero: rays that are not there. `A.join` and `A.split` put projections together so and take them apart. The
    iterative algorithms take a stack like any operator, those with ordered subsets too. Scans of one class and one
    detector need no stack: `sg.concatenate` joins their geometries.

    Args:
        operators: of one domain; `range_shape` starts with the views.

    Raises:
        TypeError: something else than operators.
        ValueError: no operator, domains or grids that differ, ranges with different numbers of axes.
    """
    return Stack(operators)


class Stack(Combination):
    """Operators of one domain, their results joined along the first axis; see `stack`.

    `A.T` adds what comes from each. A call allocates its result and one operator's (with gradients, all of them).

    Args:
        operators: of one domain; their ranges have the same number of axes.
        frame: sizes of the joined results behind the first axis, by default the largest of each axis.
    """

    def __init__(self, operators: Sequence[LinearOperator], frame: tuple[int, ...] | None = None) -> None:
        parts = _checked(operators)
        if frame is None:
            frame = tuple(map(max, zip(*(part.range_shape[1:] for part in parts), strict=True)))
        super().__init__(parts, parts[0].domain_shape, (sum(part.range_shape[0] for part in parts), *frame))

    @property
    def grid(self) -> Grid | None:
        """The grid of the volume, if all operators know it."""
        grids = [getattr(part, "grid", None) for part in self.parts]
        return grids[0] if all(grid == grids[0] for grid in grids) else None

    @property
    def volume_grids(self) -> tuple[Grid | None, Grid | None]:
        """That of the volume."""
        return next((grid for part in self.parts if (grid := part.volume_grids[0]) is not None), None), None

    def join(self, projections: Sequence[Tensor]) -> Tensor:
        """What the stack gives, from what each operator gives: [..., *A.range_shape].

        Raises:
            TypeError, ValueError: not one tensor for each operator, or a wrong shape.
        """
        if len(projections) != len(self.parts):
            raise InputError(f"projections: expected {len(self.parts)} tensors, one a scan, got {len(projections)}")
        for part, tensor in zip(self.parts, projections, strict=True):
            part._check_range(tensor)
        return torch.cat([self._padded(tensor) for tensor in projections], -len(self.range_shape))

    def split(self, projections: Tensor) -> tuple[Tensor, ...]:
        """The other way round: each operator's part of projections [..., *A.range_shape], views of them.

        Raises:
            TypeError, ValueError: no tensor of this shape.
        """
        self._check_range(projections)
        sizes = [part.range_shape[0] for part in self.parts]
        pieces = projections.split(sizes, -len(self.range_shape))
        return tuple(piece[self._corner(part)] for part, piece in zip(self.parts, pieces, strict=True))

    def subset(self, views: Index) -> LinearOperator:
        """The same stack for some of the views, counted through all scans; detectors keep their places."""
        ends = [*itertools.accumulate(part.range_shape[0] for part in self.parts)]
        chosen = view_indices(views, self.range_shape[0]).tolist()
        frame, parts = self.range_shape[1:], []
        for scan, run in itertools.groupby(chosen, lambda view: bisect.bisect_right(ends, view)):
            first = ends[scan] - self.parts[scan].range_shape[0]
            parts.append(self.parts[scan].subset([view - first for view in run]))
        return parts[0] if len(parts) == 1 and parts[0].range_shape[1:] == frame else Stack(parts, frame)

    def _apply_operator(self, x: Tensor) -> Tensor:
        first, *others = self.parts
        result = first(x)
        if result.requires_grad or transformed(result):
            return torch.cat([self._padded(y) for y in (result, *(part(x) for part in others))], -len(self.range_shape))
        batch = x.shape[: x.ndim - len(self.domain_shape)]
        whole = result.new_zeros((*batch, *self.range_shape))
        pieces = self.split(whole)
        pieces[0].copy_(result)
        del result
        for part, piece in zip(others, pieces[1:], strict=True):
            piece.copy_(part(x))
        return whole

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        pieces = zip(self.parts, self.split(y), strict=True)
        return total(part.adjoint(piece) for part, piece in reversed([*pieces]))

    def _check_range(self, y: Tensor) -> None:
        check_last_dimensions("projections", y, self.range_shape)

    def _corner(self, part: LinearOperator) -> tuple[Any, ...]:
        """Where an operator's result stands among its views of the joined results."""
        return (..., slice(None), *(slice(size) for size in part.range_shape[1:]))

    def _padded(self, result: Tensor) -> Tensor:
        """Zeros behind the rows and columns of a result, up to those of the joined results."""
        frame = self.range_shape[1:]
        missing = [whole - size for whole, size in zip(frame, result.shape[result.ndim - len(frame) :], strict=True)]
        return (
            nn.functional.pad(result, [n for size in reversed(missing) for n in (0, size)]) if any(missing) else result
        )


def _checked(operators: Sequence[LinearOperator]) -> list[LinearOperator]:
    if isinstance(operators, LinearOperator) or not isinstance(operators, Iterable):
        raise InputTypeError(f"operators: expected a sequence of operators, got {type(operators).__name__}")
    parts = [*operators]
    for number, part in enumerate(parts):
        if not isinstance(part, LinearOperator):
            raise InputTypeError(f"operators[{number}]: expected an operator, got {type(part).__name__}")
        if part.domain_shape != parts[0].domain_shape:
            raise InputError(
                f"operators[{number}]: expected the domain_shape of operators[0], {parts[0].domain_shape}, got "
                f"{part.domain_shape}"
            )
        check_same_grid(f"operators[{number}]", parts[0].volume_grids[0], part.volume_grids[0])
        if not part.range_shape or len(part.range_shape) != len(parts[0].range_shape):
            raise InputError(
                f"operators[{number}]: expected a range_shape with as many axes as that of operators[0], "
                f"{parts[0].range_shape}, got {part.range_shape}"
            )
    if not parts:
        raise InputError("operators: expected at least one, got none")
    return parts
