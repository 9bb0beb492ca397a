"""A reconstruction problem: operator, projections, weights and bounds, checked before anything is computed."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError, UnsupportedError
from sinograd.geometry.checks import number, scalar, without_gradients
from sinograd.ops.derivatives import transformed
from sinograd.recon.directions import check_operator_directions
from sinograd.recon.iterative.checks.adjointness import warn_if_unmatched
from sinograd.recon.iterative.inner_products import dot, norm
from sinograd.recon.iterative.missing_rays import warn_of_missing_rays
from sinograd.recon.iterative.operators import Operator, check_operator, own, shape_of
from sinograd.recon.iterative.rays_beside import warn_of_rays_beside
from sinograd.recon.iterative.state import State, copied

DTYPES = (torch.float32, torch.float64)


class Problem:
    """Minimise a function of A x - p, within bounds; what every algorithm needs.

    Attributes:
        operator: A.
        projections: p, [..., *range_shape], without gradients.
        weights: of the rays, broadcast to the projections, or None.
        batch: leading dimensions.
        image_shape, data_shape: without them.
        resumed: the state of an earlier run that goes on, or None.

    Raises:
        TypeError: projections, start or weights that are no tensors of float32 or float64 (all the same).
        ValueError: shapes that do not fit, values that are not finite, weights that are negative or all zero, bounds
            that leave nothing between them; views that all look in one direction.

    Warns:
        UnmatchedPairWarning: A.T is not the adjoint of A.
        CoverageWarning: rays through the grid are missing.
        GridWarning: rays that miss the grid are attenuated: the object is larger than the grid.
    """

    def __init__(
        self,
        operator: Operator,
        projections: Tensor,
        *,
        start: Tensor | State | None = None,
        weights: Tensor | None = None,
        lower: float | Tensor | None = None,
        upper: float | Tensor | None = None,
    ) -> None:
        check_operator(operator)
        check_operator_directions(operator)
        self.operator = operator
        self.resumed = start if isinstance(start, State) else None
        start = start.start if isinstance(start, State) else start
        self.projections = check_values("projections", projections)
        self.data_shape = _data_shape(operator, self.projections)
        self.batch = self.projections.shape[: self.projections.ndim - len(self.data_shape)]
        self.weights = None if weights is None else check_weights(weights, self.projections, self.data_ndim)
        self.image_shape = self._image_shape(self.resumed.values.get("x") if self.resumed else start)
        self._start = None if start is None else self._check_start(start)
        self._lower, self._upper = self._bounds(lower, upper)
        self._data_norm: Tensor | None = None
        with torch.no_grad():
            warn_if_unmatched(operator, self.image_shape, self.data_shape, self.projections)
        warn_of_missing_rays(operator)
        warn_of_rays_beside(operator, self.image_shape, self.projections, self.weights)

    @property
    def data_ndim(self) -> int:
        """Dimensions of the projections of one problem."""
        return len(self.data_shape)

    @property
    def image_ndim(self) -> int:
        """Dimensions of the image of one problem."""
        return len(self.image_shape)

    @cached_property
    def saved(self) -> dict[str, Tensor] | None:
        """Values of the algorithm in the state that it goes on from, to change; None: it begins."""
        return None if self.resumed is None else copied(self.resumed.values)

    @property
    def starts_at_zero(self) -> bool:
        """Whether no start was given, so that A x is known to be zero."""
        return self._start is None

    @property
    def data_norm(self) -> Tensor:
        """|p|, with weights of both sides, [...] float64."""
        if self._data_norm is None:
            self._data_norm = self.data_length(self.projections)
        return self._data_norm

    def start(self) -> Tensor:
        """A new image to begin with: the start that was given, within bounds, or zeros."""
        if self._start is not None:
            return self.constrain_(self._start.clone(memory_format=torch.contiguous_format))
        return self.constrain_(self.projections.new_zeros((*self.batch, *self.image_shape)))

    def given_start(self) -> Tensor | None:
        """A copy of the start that was given, None for zeros."""
        return None if self._start is None else self._start.clone()

    def forward(self, image: Tensor) -> Tensor:
        """A x, in memory of its own."""
        return own(self.operator(image), image)

    def adjoint(self, data: Tensor) -> Tensor:
        """A.T y, in memory of its own."""
        return own(self.operator.T(data), data)

    def first_projection(self, start: Tensor) -> Tensor:
        """A x of the start, without a projection where that is zero."""
        if self.starts_at_zero and not bool(start.any()):
            return torch.zeros_like(self.projections, memory_format=torch.contiguous_format)
        return self.forward(start)

    def residual(self, image: Tensor) -> Tensor:
        """P - A x."""
        return self.forward(image).neg_().add_(self.projections)

    def first_residual(self, start: Tensor) -> Tensor:
        """P - A x of the start, without a projection where that is zero."""
        return self.first_projection(start).neg_().add_(self.projections)

    def data_length(self, data: Tensor) -> Tensor:
        """Length of projections, weighted, [...] float64."""
        return norm(data, self.data_ndim, self.weights)

    def data_dot(self, a: Tensor, b: Tensor) -> Tensor:
        """Inner product of projections, weighted, [...] float64."""
        return dot(a, b, self.data_ndim, self.weights)

    def image_dot(self, a: Tensor, b: Tensor) -> Tensor:
        """Inner product of images, [...] float64."""
        return dot(a, b, self.image_ndim)

    def constrain_(self, image: Tensor) -> Tensor:
        """The image put within the bounds in place."""
        return image if self._lower is None and self._upper is None else image.clamp_(self._lower, self._upper)  # type: ignore[arg-type]

    @property
    def bounds(self) -> tuple[float | Tensor | None, float | Tensor | None]:
        """The least and the largest value of images: two numbers or two tensors, None where there is no bound."""
        return self._lower, self._upper

    @property
    def constrained(self) -> bool:
        """Whether there are bounds."""
        return self._lower is not None or self._upper is not None

    def _image_shape(self, start: Tensor | None) -> tuple[int, ...]:
        shape = shape_of(self.operator, "domain_shape")
        if shape is not None:
            return shape
        if isinstance(start, Tensor):
            return tuple(start.shape)
        with torch.no_grad():
            return tuple(self.operator.T(torch.zeros_like(self.projections)).shape)

    def _check_start(self, start: Tensor) -> Tensor:
        start = check_values("start", start)
        expected = (*self.batch, *self.image_shape)
        if tuple(start.shape) != expected:
            raise InputError(
                f"start: expected the shape of the reconstruction {list(expected)}, got {list(start.shape)}"
            )
        if (start.dtype, start.device) != (self.projections.dtype, self.projections.device):
            raise InputTypeError(
                f"start: expected {self.projections.dtype} on {self.projections.device} as projections are, "
                f"got {start.dtype} on {start.device}"
            )
        return start

    def _bounds(
        self, lower: float | Tensor | None, upper: float | Tensor | None
    ) -> tuple[float | Tensor | None, float | Tensor | None]:
        """Two numbers or two tensors, as clamp wants them."""
        shape = (*self.batch, *self.image_shape)
        lower, upper = _plain(lower, "lower"), _plain(upper, "upper")
        for name, bound in (("lower", lower), ("upper", upper)):
            if isinstance(bound, Tensor):
                if not _broadcasts(bound.shape, shape):
                    raise InputError(f"{name}: {list(bound.shape)} does not broadcast to the image {list(shape)}")
                if bool(bound.isnan().any()):
                    raise InputError(f"{name}: expected numbers, got NaN")
            elif bound is not None and math.isnan(bound):
                raise InputError(f"{name}: expected a number, got NaN")
        if isinstance(lower, Tensor) or isinstance(upper, Tensor):
            lower, upper = (
                None if bound is None else torch.as_tensor(bound).to(self.projections) for bound in (lower, upper)
            )
        if lower is not None and upper is not None and not bool(torch.as_tensor(lower <= upper).all()):
            raise InputError(f"lower: expected at most upper, got {_text(lower)} above {_text(upper)}")
        return lower, upper


def _plain(bound: float | Tensor | None, name: str) -> float | Tensor | None:
    """A tensor of at least one dimension as it is, any other number as Python's; infinite ones bound nothing."""
    without_gradients(bound, name)
    bound = scalar(bound)  # pyright: ignore[reportAssignmentType]
    if bound is None or isinstance(bound, Tensor) or (isinstance(bound, float) and not math.isfinite(bound)):
        return bound
    return number(bound, name)


def check_values(name: str, tensor: Tensor) -> Tensor:
    """The tensor without gradients; TypeError or ValueError unless it is of float32 or float64 and finite."""
    if not isinstance(tensor, Tensor):
        raise InputTypeError(f"{name}: expected a torch.Tensor, got {type(tensor).__name__}")
    if tensor.dtype not in DTYPES:
        raise InputTypeError(
            f"{name}: expected dtype float32 or float64, got {str(tensor.dtype).removeprefix('torch.')}"
        )
    if transformed(tensor):
        raise UnsupportedError(
            f"{name}: iterative algorithms have no derivatives for torch.func or forward mode, and no batches of "
            "torch.vmap: expected a plain tensor, of any batch shape (regularized_least_squares has derivatives)"
        )
    tensor = tensor.detach()
    # a sum is finite unless a summand is not (or it overflows), and needs no memory
    if not bool(torch.isfinite(tensor.sum())):
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise InputError(f"{name}: expected finite values, got {bad} NaN or infinite ones")
    return tensor


def check_weights(weights: Tensor, projections: Tensor, ndim: int) -> Tensor:
    """Weights broadcast to the projections: not negative, and not all zero."""
    weights = check_values("weights", weights).to(projections)
    if not _broadcasts(weights.shape, projections.shape):
        raise InputError(f"weights: {list(weights.shape)} does not broadcast to projections {list(projections.shape)}")
    if bool((weights < 0).any()):
        raise InputError(
            f"weights: expected none below 0, got {int((weights < 0).sum())}, down to {float(weights.min()):g}"
        )
    weights = weights.expand(projections.shape).contiguous()
    if weights.numel() and not bool((weights.flatten(weights.ndim - ndim) > 0).any(-1).all()):
        raise InputError("weights: expected some above 0, got zeros only: no ray counts")
    return weights


def _data_shape(operator: Operator, projections: Tensor) -> tuple[int, ...]:
    shape = shape_of(operator, "range_shape")
    if shape is None:
        return tuple(projections.shape)
    if projections.ndim < len(shape) or tuple(projections.shape[projections.ndim - len(shape) :]) != shape:
        raise InputError(
            f"projections: expected [..., {', '.join(map(str, shape))}] as the operator gives, "
            f"got {list(projections.shape)}"
        )
    return shape


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    try:
        return torch.broadcast_shapes(shape, target) == torch.Size(target)
    except RuntimeError:
        return False


def _text(bound: float | Tensor) -> str:
    return "a tensor" if isinstance(bound, Tensor) and bound.ndim else f"{float(bound):g}"
