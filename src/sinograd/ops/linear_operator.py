"""Linear operators as modules: `A(x)`, `A.T(y)`, the exact adjoint, and `A @ B`, `A + B`, `2 * A` made of them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from sinograd.errors import InputError, InputTypeError, UnsupportedError
from sinograd.geometry import Geometry, Grid, checks
from sinograd.geometry.view_indices import Index
from sinograd.ops.arguments import autocast, check_last_dimensions
from sinograd.ops.derivatives import transformed


class LinearOperator(nn.Module):
    """Base of all operators, whatever they map.

    A subclass gives `_apply_operator` and `_apply_adjoint`, differentiable functions of tensors with any leading
    batch dimensions. Operators compose, add and scale to operators, each with the adjoint and the gradients that
    follow: `A @ B`, `A + B`, `A - B`, `2 * A`, `A / 2`, `-A`; `(A @ B).T` is `B.T @ A.T`. Operators between volumes
    and projections are `GeometryOperator`s.

    Args:
        domain_shape: shape of what the operator takes, without batch dimensions.
        range_shape: shape of what it gives.
    """

    __array_ufunc__ = None  # so that numpy leaves `number * A` to the operator

    def __init__(self, domain_shape: Sequence[int], range_shape: Sequence[int]) -> None:
        super().__init__()
        if isinstance(domain_shape, Geometry):
            raise InputTypeError(
                "domain_shape: expected a shape, got a geometry; GeometryOperator takes geometry and grid"
            )
        self._shapes = _shape("domain_shape", domain_shape), _shape("range_shape", range_shape)

    @property
    def domain_shape(self) -> tuple[int, ...]:
        """Shape of what the operator takes, without batch dimensions."""
        return self._shapes[0]

    @property
    def range_shape(self) -> tuple[int, ...]:
        """Shape of what the operator gives, without batch dimensions."""
        return self._shapes[1]

    @property
    def exact_adjoint(self) -> bool:
        """Whether `T` is the adjoint to rounding; where it is not known to be, algorithms measure it."""
        return True

    @property
    def T(self) -> LinearOperator:
        """The adjoint operator; `A.T.T` is `A`."""
        return Adjoint(self)

    @property
    def volume_grids(self) -> tuple[Grid | None, Grid | None]:
        """The grids of the volumes that it takes and gives, as far as they are known."""
        return getattr(self, "grid", None), None

    def subset(self, views: Index) -> LinearOperator:
        """The same operator for some of the views, chosen as in `geometry[views]`.

        Raises:
            ValueError: the operator has no views to choose from.
        """
        raise InputError(f"operator: {type(self).__name__} has no subset(views), so it cannot be divided")

    def forward(self, x: Tensor) -> Tensor:
        """[..., *domain_shape] -> [..., *range_shape]; float32 or float64, differentiable to any order."""
        x = autocast(x)
        self._check_domain(x)
        return self._apply_operator(x)

    def adjoint(self, y: Tensor) -> Tensor:
        """[..., *range_shape] -> [..., *domain_shape]: the transpose of `forward`."""
        y = autocast(y)
        self._check_range(y)
        return self._apply_adjoint(y)

    def _apply_operator(self, x: Tensor) -> Tensor:
        raise UnsupportedError(f"{type(self).__name__} gives no operator")

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        raise UnsupportedError(f"{type(self).__name__} gives no adjoint")

    def _check_domain(self, x: Tensor) -> None:
        check_last_dimensions("x", x, self.domain_shape)

    def _check_range(self, y: Tensor) -> None:
        check_last_dimensions("y", y, self.range_shape)

    def __matmul__(self, other: LinearOperator) -> Composition:
        """First `other`, then this one."""
        return Composition([self, _operator("A @ B", other, "; A(x) applies an operator")])

    def __add__(self, other: LinearOperator) -> Sum:
        return Sum([self, _operator("A + B", other)])

    def __radd__(self, other: Any) -> Self:
        """`sum([A, B])` starts with 0."""
        if isinstance(other, int) and other == 0:
            return self
        raise InputTypeError(f"A + B: expected two operators, got {type(other).__name__} for A")

    def __sub__(self, other: LinearOperator) -> Sum:
        return Sum([self, -_operator("A - B", other)])

    def __mul__(self, factor: Any) -> Multiple:
        return Multiple(factor, self)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> Multiple:
        value = _factor(divisor, "divisor")
        if value == 0:
            raise InputError("divisor must not be 0")
        return Multiple(1 / value, self)

    def __neg__(self) -> Multiple:
        return Multiple(-1.0, self)

    def __copy__(self) -> Self:
        """A module of its own: parts that are exchanged in the copy stay in the original."""
        twin = type(self).__new__(type(self))
        vars(twin).update(vars(self))
        for name in ("_modules", "_parameters", "_buffers"):
            vars(twin)[name] = vars(self)[name].copy()
        return twin


class Adjoint(LinearOperator):
    """The adjoint of an operator."""

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.range_shape, operator.domain_shape)
        self.operator = operator

    @property
    def exact_adjoint(self) -> bool:
        """As of the operator."""
        return self.operator.exact_adjoint

    @property
    def volume_grids(self) -> tuple[Grid | None, Grid | None]:
        """Those of the operator, the other way round."""
        takes, gives = self.operator.volume_grids
        return gives, takes

    @property
    def T(self) -> LinearOperator:
        """The operator whose adjoint this is."""
        return self.operator

    def subset(self, views: Index) -> LinearOperator:
        """The adjoint of the operator for some of the views."""
        return self.operator.subset(views).T

    def forward(self, x: Tensor) -> Tensor:
        """[..., *domain_shape] -> [..., *range_shape]."""
        return self.operator.adjoint(x)

    def adjoint(self, y: Tensor) -> Tensor:
        """[..., *range_shape] -> [..., *domain_shape]."""
        return self.operator(y)

    def _check_domain(self, x: Tensor) -> None:
        self.operator._check_range(x)

    def _check_range(self, y: Tensor) -> None:
        self.operator._check_domain(y)


class Combination(LinearOperator):
    """What operators made of others share: the parts, submodules named "0", "1" ..."""

    def __init__(
        self, parts: Sequence[LinearOperator], domain_shape: Sequence[int], range_shape: Sequence[int]
    ) -> None:
        super().__init__(domain_shape, range_shape)
        for number, part in enumerate(parts):
            self.add_module(str(number), part)

    @property
    def parts(self) -> tuple[LinearOperator, ...]:
        """The operators it is made of, in the order of writing."""
        return tuple(self._modules.values())  # pyright: ignore[reportReturnType]

    @property
    def exact_adjoint(self) -> bool:
        """Whether that of every part is."""
        return all(part.exact_adjoint for part in self.parts)

    @property
    def grid(self) -> Grid | None:
        """The grid of the volumes that go in, if the part that takes them knows one."""
        return getattr(self.parts[-1], "grid", None)

    @property
    def volume_grids(self) -> tuple[Grid | None, Grid | None]:
        """What the last part takes and the first one gives."""
        return self.parts[-1].volume_grids[0], self.parts[0].volume_grids[1]

    def _check_domain(self, x: Tensor) -> None:
        self.parts[-1]._check_domain(x)

    def _check_range(self, y: Tensor) -> None:
        self.parts[0]._check_range(y)


class Composition(Combination):
    """`A @ B`: one operator after the other, the last one first.

    Raises:
        ValueError: what one gives is not what the next one takes, or it is on another grid.
    """

    def __init__(self, parts: Sequence[LinearOperator]) -> None:
        parts = _flat(parts, Composition)
        for left, right in itertools.pairwise(parts):
            if left.domain_shape != right.range_shape:
                raise InputError(
                    f"A @ B: expected A to take what B gives, got A.domain_shape {left.domain_shape} of "
                    f"{type(left).__name__} and B.range_shape {right.range_shape} of {type(right).__name__}"
                )
            check_same_grid("A @ B", left.volume_grids[0], right.volume_grids[1])
        super().__init__(parts, parts[-1].domain_shape, parts[0].range_shape)

    def subset(self, views: Index) -> Composition:
        """The composition for some of the views: of the first part, and of the next ones as far as views lead."""
        parts = [self.parts[0].subset(views)]
        divided = _takes_views(self.parts[0], parts[0])
        for part in self.parts[1:]:
            parts.append(part.subset(views) if divided else part)
            divided = divided and _takes_views(part, parts[-1])
        return Composition(parts)

    def _apply_operator(self, x: Tensor) -> Tensor:
        return functools.reduce(lambda value, part: part(value), reversed(self.parts), x)

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return functools.reduce(lambda value, part: part.adjoint(value), self.parts, y)


class Sum(Combination):
    """`A + B`: operators between the same tensors, added.

    Raises:
        ValueError: they take or give different shapes, or volumes of different grids.
    """

    def __init__(self, parts: Sequence[LinearOperator]) -> None:
        parts = _flat(parts, Sum)
        first = parts[0]
        for part in parts[1:]:
            for name in ("domain_shape", "range_shape"):
                if getattr(first, name) != getattr(part, name):
                    raise InputError(
                        f"A + B: expected operators with one {name}, got {getattr(first, name)} of "
                        f"{type(first).__name__} and {getattr(part, name)} of {type(part).__name__}"
                    )
            for one, other in zip(first.volume_grids, part.volume_grids, strict=True):
                check_same_grid("A + B", one, other)
        super().__init__(parts, first.domain_shape, first.range_shape)

    def subset(self, views: Index) -> Sum:
        """The sum for some of the views."""
        return Sum([part.subset(views) for part in self.parts])

    def _apply_operator(self, x: Tensor) -> Tensor:
        return total(part(x) for part in self.parts)

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return total(part.adjoint(y) for part in reversed(self.parts))


class Multiple(Combination):
    """`2 * A`: an operator times a real number; a tensor that requires a gradient stays what it is and gets one."""

    def __init__(self, factor: Any, operator: LinearOperator) -> None:
        if isinstance(factor, LinearOperator):
            raise InputTypeError(f"factor must be a number, got {type(factor).__name__}; A @ B composes operators")
        factor = _factor(factor, "factor")
        if type(operator) is Multiple and isinstance(operator.factor, float) and isinstance(factor, float):
            factor, operator = factor * operator.factor, operator.parts[0]
        super().__init__([operator], operator.domain_shape, operator.range_shape)
        self.factor = factor

    def subset(self, views: Index) -> Multiple:
        """The multiple for some of the views."""
        return Multiple(self.factor, self.parts[0].subset(views))

    def _apply_operator(self, x: Tensor) -> Tensor:
        part = self.parts[0]
        return part(self.factor * x) if self._domain_is_smaller else self.factor * part(x)

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        part = self.parts[0]
        return self.factor * part.adjoint(y) if self._domain_is_smaller else part.adjoint(self.factor * y)

    @property
    def _domain_is_smaller(self) -> bool:
        """The smaller of the two tensors is multiplied, so that the copy is the smaller one."""
        return torch.Size(self.domain_shape).numel() <= torch.Size(self.range_shape).numel()

    def extra_repr(self) -> str:
        """The factor, for printing."""
        return f"{self.factor.item() if isinstance(self.factor, Tensor) else self.factor:g}"


def check_same_grid(expression: str, one: Grid | None, other: Grid | None) -> None:
    """InputError where both grids are known and differ: then voxels of one index are not in one place."""
    if one is not None and other is not None and one != other:
        raise InputError(f"{expression}: expected operators of one grid, got {one!r} and {other!r}")


def total(terms: Iterable[Tensor]) -> Tensor:
    """The sum from the first term to the last; no term is changed, and no more than two are alive.

    Adjoints add the other way round: that is autograd's order, so that they and gradients have the same bits.
    """
    rest: Iterator[Tensor] = iter(terms)
    result = next(rest)
    for number, term in enumerate(rest):
        result = result + term if number == 0 else result.add_(term)
    return result


def _takes_views(whole: LinearOperator, part: LinearOperator) -> bool:
    """Whether the subset `part` of an operator takes fewer views than the whole, not what the whole takes.

    A subset of as many views (in another order) has the shape of the whole; then that of one view shows it.
    """
    return whole.domain_shape != part.domain_shape or whole.domain_shape != whole.subset([0]).domain_shape


def _operator(expression: str, value: Any, hint: str = "; a FunctionOperator makes one") -> LinearOperator:
    if not isinstance(value, LinearOperator):
        raise InputTypeError(f"{expression}: expected two operators, got {type(value).__name__} for B{hint}")
    return value


def _factor(value: Any, name: str) -> float | Tensor:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    number = checks.number(value.detach() if isinstance(value, Tensor) else value, name)
    return value if isinstance(value, Tensor) and (value.requires_grad or transformed(value)) else number


def _flat(parts: Sequence[LinearOperator], kind: type[Combination]) -> list[LinearOperator]:
    """Parts of parts of the same kind: `(A @ B) @ C` is one composition of three."""
    return [inner for part in parts for inner in (part.parts if type(part) is kind else (part,))]  # pyright: ignore


def _shape(name: str, value: Any) -> tuple[int, ...]:
    items = checks.entries(value, name, "a shape, one count for each axis")
    return tuple(checks.count(item, f"{name}[{axis}]") for axis, item in enumerate(items))
