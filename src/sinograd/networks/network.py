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
        margin: by how many voxels (z, y, x) the output is smaller at each end in training.
        slices: of networks of images, how many neighbouring slices are the channels of their input, an odd number; the
            output is the one in the middle.
        non_negative: whether the output is never below 0, so that 0 must be the least value of the data: `offset` of a
            `NetworkDenoiser`.
    """

    ndim: ClassVar[int] = 2
    reach: ClassVar[tuple[int, int, int]] = (0, 0, 0)
    margin: tuple[int, int, int] = (0, 0, 0)
    slices: int = 1
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

    def take_slices(self, slices: int) -> None:
        """In the constructor of a network of images: its input has so many neighbouring slices as channels.

        Raises InputError unless it is an odd, positive number.
        """
        if slices < 1 or slices % 2 == 0:
            raise InputError(f"slices: expected an odd number of at least 1, got {slices}")
        self.slices, self.margin = slices, (slices // 2, 0, 0)

    def volumes(self, x: Tensor) -> Tensor:
        """Volumes [B, 1, Z, Y, X] to the same shape; in training, to what is left without the margin.

        Networks of images take each slice with its neighbours, the first and last one repeated outwards; in training
        (slices - 1) / 2 slices are lost at each end.

        Raises:
            InputError: other shapes, too few slices in training. InputTypeError: whole numbers.
        """
        if self.ndim == 3:
            return self(x)
        check_volumes(x)
        half = self.slices // 2
        if not self.training:
            x = pad(x, (0, 0, 0, 0, half, half), mode="replicate")
        if x.shape[2] < self.slices:
            raise InputError(f"x: expected at least {self.slices} slices in training, got {list(x.shape)}")
        stacks = x[:, 0].unfold(1, self.slices, 1).movedim(-1, 2)
        images = self(stacks.flatten(0, 1))
        return images.unflatten(0, stacks.shape[:2]).movedim(1, 2)


def check_choice(argument: str, value: Any, choices: Any) -> None:
    """InputError unless the value of an argument is one of a `Literal`'s."""
    names = get_args(choices)
    if value not in names:
        raise InputError(f"{argument}: expected one of {', '.join(names)}, got {value!r}")


def check_images(x: Tensor, channels: int = 1) -> None:
    """ValueError unless `x` is a batch of images with so many channels, TypeError unless it has floating point
    numbers."""
    if x.ndim != 4 or x.shape[1] != channels or 0 in x.shape:
        raise InputError(f"x: expected images [B, {channels}, Y, X], got {list(x.shape)}")
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
