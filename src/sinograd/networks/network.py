"""What the networks share: options that are recorded, the check of their input, sizes that they can take."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Self, get_args

from torch import Tensor, nn
from torch.nn.functional import pad

from sinograd.errors import InputError, InputTypeError


class Network(nn.Module):
    """A denoising network that remembers the arguments it was built with.

    A subclass states its options in its constructor and nowhere else: arguments of plain types, and a `generator` for
    the starting values. Model files keep the options and build the network again from them.

    Attributes:
        ndim: 2 for networks of images [B, 1, Y, X], 3 for those of volumes [B, 1, Z, Y, X].
        reach: of networks of volumes, how many voxels (z, y, x) away those are that a voxel depends on.
        shrinks: whether the output is smaller by twice the reach in training.
        non_negative: whether the output is never below 0, so that 0 must be the least value of the data: `offset` of a
            `NetworkDenoiser`.
    """

    ndim: ClassVar[int] = 2
    reach: ClassVar[tuple[int, int, int]] = (0, 0, 0)
    shrinks: ClassVar[bool] = False
    non_negative: bool = False
    _options: dict[str, Any]

    def __new__(cls, *values: Any, **options: Any) -> Self:
        """Records the arguments that the constructor is going to get."""
        network = super().__new__(cls)
        signature = inspect.signature(cls.__init__)
        try:
            bound = signature.bind(network, *values, **options)
        except TypeError:  # the constructor says so itself; copies are made without arguments
            return network
        bound.apply_defaults()
        first = next(iter(signature.parameters))
        arguments = {name: value for name, value in bound.arguments.items() if name not in (first, "generator")}
        network.__dict__["_options"] = arguments
        return network

    @property
    def options(self) -> dict[str, Any]:
        """The arguments that build such a network."""
        return dict(self._options)


def check_choice(argument: str, value: Any, choices: Any) -> None:
    """InputError unless the value of an argument is one of a `Literal`'s."""
    names = get_args(choices)
    if value not in names:
        raise InputError(f"{argument}: expected one of {', '.join(names)}, got {value!r}")


def check_images(x: Tensor) -> None:
    """ValueError unless `x` is a batch of images with one channel, TypeError unless it has floating point numbers."""
    if x.ndim != 4 or x.shape[1] != 1 or 0 in x.shape:
        raise InputError(f"x: expected images [B, 1, Y, X], got {list(x.shape)}")
    if not x.is_floating_point():
        raise InputTypeError(f"x: expected floating point numbers, got {x.dtype}")


def check_volumes(x: Tensor) -> None:
    """InputError unless `x` is a batch of volumes with one channel, InputTypeError unless it has floating point
    numbers."""
    if x.ndim != 5 or x.shape[1] != 1 or 0 in x.shape:
        raise InputError(f"x: expected volumes [B, 1, Z, Y, X], got {list(x.shape)}")
    if not x.is_floating_point():
        raise InputTypeError(f"x: expected floating point numbers, got {x.dtype}")


def padded(x: Tensor, *, least: int = 1, multiple: int = 1) -> Tensor:
    """`x` with its last rows and columns repeated until there are `least` of both and `multiple` divides them."""
    rows, columns = (max(least, n + (-n) % multiple) - n for n in x.shape[-2:])
    return pad(x, (0, columns, 0, rows), mode="replicate") if rows or columns else x
