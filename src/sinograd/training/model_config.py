"""The models of a training configuration: which, how large, from which start, in which units.

    model: {name: bilateral, filters: 3}            # or dual-domain-bilateral
    model: {name: red-cnn, offset: auto, scale: auto}   # or cnn-10, qae, noise2noise-unet

The networks are those of `sinograd.networks`, with their options. They see (value - offset) / scale. "auto": mean and
standard deviation of the training inputs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from sinograd.config.schema import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, Check
from sinograd.errors import ConfigError

_CUTOFF = Check("a fraction above 0 and at most 1", lambda value: 0 < value <= 1)
_SIGMAS = Check("positive numbers", lambda value: all(s > 0 for s in (value if isinstance(value, tuple) else (value,))))
_KERNEL = Check("an odd number of at least 3", lambda value: value >= 3 and value % 2 == 1)

Count = Annotated[int, AT_LEAST_ONE]
Positive = Annotated[float, POSITIVE]
Sigmas = Annotated[float | tuple[float, ...], _SIGMAS]
Scale = Literal["auto"] | Positive
Offset = Literal["auto"] | float
Window = int | tuple[int, ...] | None


@dataclass(frozen=True)
class Bilateral:
    """Stacked bilateral filters; see `models.bilateral_stack`.

    input_scale: what counts as 1 in the units of the data; "auto": 99.9 % of the targets' (without targets the
    inputs') absolute values lie below it.
    """

    name: Literal["bilateral"] = "bilateral"
    filters: Count = 3
    dimensions: Literal[2, 3] = 3
    sigma_spatial: Sigmas = 0.5
    sigma_range: Positive = 0.01
    input_scale: Scale = "auto"
    window: Window = None


@dataclass(frozen=True)
class DualDomainBilateral:
    """Bilateral filters before and after the reconstruction; see `models.DualDomainBilateral`.

    projection_scale, image_scale: as `Bilateral.input_scale`, for line integrals and for the volume.
    ramp_window, cutoff: of the reconstruction.
    """

    name: Literal["dual-domain-bilateral"] = "dual-domain-bilateral"
    projection_filters: Annotated[int, NOT_NEGATIVE] = 1
    image_filters: Annotated[int, NOT_NEGATIVE] = 2
    dimensions: Literal[2, 3] = 3
    sigma_spatial: Sigmas = 0.5
    sigma_range: Positive = 0.01
    projection_scale: Scale = "auto"
    image_scale: Scale = "auto"
    window: Window = None
    ramp_window: Literal["ram-lak", "shepp-logan", "cosine", "hamming", "hann"] = "ram-lak"
    cutoff: Annotated[float, _CUTOFF] = 1.0

    @property
    def filters(self) -> int:
        """How many filters there are."""
        return self.projection_filters + self.image_filters


@dataclass(frozen=True)
class CNN10:
    """See `networks.CNN10`; offset and scale as in the module."""

    name: Literal["cnn-10"] = "cnn-10"
    offset: Offset = "auto"
    scale: Scale = "auto"


@dataclass(frozen=True)
class REDCNN:
    """See `networks.REDCNN`; offset and scale as in the module."""

    name: Literal["red-cnn"] = "red-cnn"
    offset: Offset = "auto"
    scale: Scale = "auto"
    channels: Count = 96
    final_relu: bool = False


@dataclass(frozen=True)
class QAE:
    """See `networks.QAE`; offset and scale as in the module."""

    name: Literal["qae"] = "qae"
    offset: Offset = "auto"
    scale: Scale = "auto"
    kernel: Annotated[int, _KERNEL] = 5
    channels: Count = 15
    final_relu: bool = False


@dataclass(frozen=True)
class Noise2NoiseUNet:
    """See `networks.Noise2NoiseUNet`; offset and scale as in the module."""

    name: Literal["noise2noise-unet"] = "noise2noise-unet"
    offset: Offset = "auto"
    scale: Scale = "auto"
    features: Count = 48


Network = CNN10 | REDCNN | QAE | Noise2NoiseUNet
Model = Bilateral | DualDomainBilateral | CNN10 | REDCNN | QAE | Noise2NoiseUNet

# Those of the filters are the paper's, for start values of 0.5 voxels and 0.01 of the scale (Wagner et al., section
# II.D). Of CNN-10 and RED-CNN: ldct-benchmark's; of QAE: its authors'; of the U-Net: Gnudi et al.'s, section III.C.
_BILATERAL_RATES = {"spatial": 0.01, "range": 0.005}
_NETWORK_RATES = {"cnn-10": 1.58e-4, "red-cnn": 9.58e-5, "qae": 4e-4, "noise2noise-unet": 1e-3}


def dimensions(model: Model) -> int:
    """2 for models of images, 3 for models of volumes."""
    return model.dimensions if isinstance(model, Bilateral | DualDomainBilateral) else 2


def learning_rates(model: Model) -> dict[str, float]:
    """The default of each parameter group."""
    if isinstance(model, Bilateral | DualDomainBilateral):
        return dict(_BILATERAL_RATES)
    return {"network": _NETWORK_RATES[model.name]}


def network_options(model: Network) -> dict[str, Any]:
    """The arguments of the network."""
    fields = [field.name for field in dataclasses.fields(model)]
    return {name: getattr(model, name) for name in fields if name not in ("name", "offset", "scale")}


def check_model(model: Model) -> None:
    """ConfigError unless the options of a model go together."""
    if isinstance(model, Bilateral | DualDomainBilateral):
        _check_bilateral(model)
    elif getattr(model, "final_relu", False) and model.offset == "auto":
        raise ConfigError("model.offset: expected a number with final_relu: the output is never below it, got 'auto'")


def _check_bilateral(model: Bilateral | DualDomainBilateral) -> None:
    if isinstance(model, DualDomainBilateral) and model.filters < 1:
        raise ConfigError("model: expected at least one filter, got projection_filters: 0 and image_filters: 0")
    if isinstance(model.sigma_spatial, tuple) and len(model.sigma_spatial) != model.dimensions:
        count = len(model.sigma_spatial)
        raise ConfigError(f"model.sigma_spatial: expected one number or {model.dimensions}, got {count}")
    window = model.window
    for width in window if isinstance(window, tuple) else (window,):
        if width is not None and (width < 1 or width % 2 == 0):
            raise ConfigError(f"model.window: expected odd, positive widths, got {window}")
    if isinstance(window, tuple) and len(window) != model.dimensions:
        raise ConfigError(f"model.window: expected one width or {model.dimensions}, got {len(window)}")
