"""Bilateral filters as layers with three or four trained numbers, after Wagner et al. (`sinograd.ops.bilateral`)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sinograd.errors import InputError
from sinograd.geometry.checks import is_sequence, real
from sinograd.ops.bilateral import bilateral_filter, joint_bilateral_filter
from sinograd.ops.cuda.program import capturing
from sinograd.ops.derivatives import numbers
from sinograd.ops.window import LARGEST, bilateral_window, check_sigmas, check_window

# Below these the optimiser moves logarithms instead of values (see `positive`): voxels, and units of input_scale.
SPATIAL_KNEE = 0.1
RANGE_KNEE = 0.005
# Where a sigma stops shrinking: at exp(-14) of the knee, a millionth.
LOWEST = -14.0


def positive(raw: Tensor, knee: float) -> Tensor:
    """`raw` itself from `knee` upwards, knee * exp(raw / knee - 1) below: smooth once, always positive.

    An optimiser therefore moves values above the knee as if they were bare, and their logarithms below it.
    """
    logarithm = (raw / knee - 1).clamp(LOWEST, 0)
    return torch.where(raw >= knee, raw, knee * logarithm.exp())


def inverse_of_positive(value: float, knee: float) -> float:
    """The raw number that `positive` maps to this value."""
    return value if value >= knee else knee * (1 + max(math.log(value / knee), LOWEST))


@torch.no_grad()
def raw_of(value: float, knee: float) -> float:
    """The raw number of torch's type whose `positive` is nearest to a value: layers that are written and read have the
    same bits."""
    raw = torch.tensor(inverse_of_positive(value, knee), device="cpu")
    steps = torch.arange(-32, 33, device="cpu")  # roundings of raw / knee - 1 and of the exponential
    candidates = torch.cat([raw[None], raw + steps * (knee * torch.finfo(raw.dtype).eps / 8)])
    return candidates[(positive(candidates, knee) - value).abs().argmin()].item()


class _BilateralFilter(nn.Module):
    """What all four layers share: the parameters, and the window that follows from them."""

    ndim: int
    input_scale: Tensor

    def __init__(
        self,
        sigma_spatial: float | Sequence[float] = 0.5,
        sigma_range: float = 0.01,
        *,
        input_scale: float = 1.0,
        window: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        spatial = _per_axis(sigma_spatial, self.ndim)
        sigma_range, input_scale = _number(sigma_range, "sigma_range"), _number(input_scale, "input_scale")
        check_sigmas(spatial, sigma_range)
        if not sigma_range < LARGEST:
            raise InputError(f"sigma_range: expected at most {LARGEST:g}, got {sigma_range}")
        smallest = RANGE_KNEE * math.exp(LOWEST)
        if sigma_range < smallest:
            raise InputError(
                f"sigma_range: expected at least {smallest:.2g} units of `input_scale`, got {sigma_range:g}; give what "
                "counts as 1 in the data as `input_scale`"
            )
        if not 0 < input_scale < math.inf:
            raise InputError(f"input_scale: expected a positive, finite number, got {input_scale}")
        self.window: tuple[int, ...] | None = None if window is None else check_window(window, self.ndim)
        self.raw_sigma_spatial = nn.Parameter(torch.tensor([raw_of(s, SPATIAL_KNEE) for s in spatial]))
        self.raw_sigma_range = nn.Parameter(torch.tensor(raw_of(float(sigma_range), RANGE_KNEE)))
        self.register_buffer("input_scale", torch.tensor(float(input_scale)))
        self._last_window: tuple[list[float], tuple[int, ...]] | None = None

    @property
    def sigma_spatial(self) -> Tensor:
        """Standard deviations in voxels, [3] (z, y, x) or [2] (y, x); positive, differentiable."""
        return positive(self.raw_sigma_spatial, SPATIAL_KNEE)

    @property
    def sigma_range(self) -> Tensor:
        """Standard deviation of the values, [], in units of `input_scale`; positive, differentiable."""
        return positive(self.raw_sigma_range, RANGE_KNEE)

    @torch.no_grad()  # else a recomputed layer would find more in its graph the first time
    def current_window(self) -> tuple[int, ...]:
        """Width in voxels along each axis: the one given, or `ops.bilateral_window` of the sigmas.

        The values are read at every call, as nothing else tells of a change through `.data` (weight clipping, moving
        averages, optimisers written by hand); for that a call waits for a GPU. Give a window where it must not, and
        in checks of gradients, where a step of sigma must not widen it. While a CUDA graph is captured it is the
        window of the call before. `torch.compile` breaks its graph here; a layer with a given window compiles whole.
        """
        if self.window is not None:
            return self.window
        last = self._last_window
        if last is not None and capturing(self.raw_sigma_spatial.device):
            return last[1]
        values = numbers(self.sigma_spatial)
        if last is None or last[0] != values:
            last = self._last_window = values, bilateral_window(values)
        return last[1]

    def _arguments(self) -> tuple[Tensor, Tensor]:
        return self.sigma_spatial, self.sigma_range * self.input_scale

    def extra_repr(self) -> str:
        """The values of now."""
        spatial = ", ".join(f"{s:.6g}" for s in self.sigma_spatial.tolist())
        text = f"sigma_spatial=({spatial}), sigma_range={self.sigma_range.item():.6g}"
        text += f", input_scale={self.input_scale.item():.6g}"
        return text if self.window is None else f"{text}, window={self.window}"


class _Plain(_BilateralFilter):
    def forward(self, x: Tensor) -> Tensor:
        """As `ops.bilateral_filter`: x [..., (Z,) Y, X] to the same."""
        window = self.current_window()  # first: torch.compile breaks its graph there
        return bilateral_filter(x, *self._arguments(), window=window)


class _Joint(_BilateralFilter):
    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """As `ops.joint_bilateral_filter`: x and guide [..., (Z,) Y, X] to the same."""
        window = self.current_window()
        return joint_bilateral_filter(x, guide, *self._arguments(), window=window)


class BilateralFilter3d(_Plain):
    """A bilateral filter of volumes [..., Z, Y, X] with four parameters, each trained by gradients.

    The optimiser sees each sigma itself as long as it is above 0.1 voxels (spatial) or 0.005 (range); below, it sees
    its logarithm, scaled to join smoothly. So the published learning rates mean what they mean there, and no step can
    make a sigma negative.

    Args:
        sigma_spatial: starting value in voxels, one or (z, y, x).
        sigma_range: starting value in units of `input_scale`.
        input_scale: what counts as 1 in the units of the input. 1 for data in [0, 1]; for attenuation in 1/mm or HU
            the range that such data span (0.05 per mm, 4096 HU, ...). Kept in the state dict, not trained.
        window: width in voxels, odd; None: five standard deviations, at least 5, as in the paper.

    Attributes:
        sigma_spatial, sigma_range: the values of now, tensors; `raw_sigma_spatial` and `raw_sigma_range` are the
            parameters. `bilateral_parameter_groups` sorts these for an optimiser.

    Raises:
        ValueError: a sigma or a scale that is not positive, a range sigma below 4e-9, an even window.
    """

    ndim = 3


class BilateralFilter2d(_Plain):
    """A bilateral filter of images [..., Y, X] with three parameters; see `BilateralFilter3d`."""

    ndim = 2


class JointBilateralFilter3d(_Joint):
    """A bilateral filter of volumes whose range weights come from a guide; see `BilateralFilter3d`.

    `sigma_range` and `input_scale` are in the units of the guide.
    """

    ndim = 3


class JointBilateralFilter2d(_Joint):
    """A bilateral filter of images whose range weights come from a guide; see `JointBilateralFilter3d`."""

    ndim = 2


def bilateral_parameter_groups(
    module: nn.Module,
    spatial: float = 0.01,
    range: float = 0.005,
    other: float = 1e-3,
) -> list[dict[str, object]]:
    """The parameters of a module as groups for an optimiser, with their learning rates.

    Args:
        module: a filter, or anything that contains some.
        spatial, range: learning rates of all bilateral filters, in voxels and in units of `input_scale`; the paper's
            are the default, for Adam.
        other: that of all other parameters that are trained, such as the taps of an `FDK` layer or a network's weights.

    Returns:
        Two groups, spatial and range sigmas, and a third one of the others if there are any.

    Raises:
        ValueError: the module has no bilateral filter.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, _BilateralFilter)]
    if not layers:
        raise InputError(f"module: expected bilateral filters in it, got {type(module).__name__} without any")
    groups: list[dict[str, object]] = [
        {"params": list(dict.fromkeys(layer.raw_sigma_spatial for layer in layers)), "lr": spatial},
        {"params": list(dict.fromkeys(layer.raw_sigma_range for layer in layers)), "lr": range},
    ]
    sigmas = {id(parameter) for group in groups for parameter in group["params"]}  # pyright: ignore
    others = [p for p in module.parameters() if p.requires_grad and id(p) not in sigmas]
    return [*groups, {"params": others, "lr": other}] if others else groups


def _number(value: float, name: str) -> float:
    """A number; of a parameter its value."""
    return real(value.detach() if isinstance(value, Tensor) else value, name)


def _per_axis(sigma: float | Sequence[float], ndim: int) -> list[float]:
    each = sigma if is_sequence(sigma) else [sigma] * ndim
    values = [_number(value, "sigma_spatial") for value in each]  # pyright: ignore[reportGeneralTypeIssues]
    if len(values) != ndim:
        raise InputError(f"sigma_spatial: expected one value or {ndim}, got {values}")
    return values
