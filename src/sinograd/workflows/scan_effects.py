"""What makes a simulated scanner less than ideal: blur, scatter, lag, faulty pixels and saturation, as options."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sinograd.config.shown import shown
from sinograd.errors import InputError, InputTypeError
from sinograd.workflows.values import number, numbers

if TYPE_CHECKING:
    from sinograd.geometry import Geometry
    from sinograd.physics import Lag
    from sinograd.preparation.scatter import ScatterModel

FULL_SCALE = 1.25  # times the unattenuated photons, where pixels are faulty and no full scale is given
_KINDS = ("dead", "stuck", "nonlinear")
_MOST_SCATTER = 10.0  # over the primary signal


@dataclass(frozen=True, kw_only=True)
class ScanEffects:
    """Checked arguments of `simulate`, which has them described; false: an ideal scanner.

    faulty_pixels: shares of dead, stuck and non-linear pixels.
    """

    focal_spot_mm: float | None = None
    detector_blur_mm: float | None = None
    scatter: ScatterModel | None = None
    lag: Lag | None = None
    faulty_pixels: tuple[float, ...] | None = None
    full_scale: float | None = None

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> ScanEffects:
        """Of the arguments of `simulate`; InputError or InputTypeError, which name them."""
        found: dict[str, Any] = {
            name: number(arguments[name], name) for name in ("focal_spot_mm", "detector_blur_mm", "full_scale")
        }
        for name, value in found.items():
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"`{name}` must be positive and finite, got {value:g}")
        found["scatter"], found["lag"] = _scatter(arguments["scatter"]), _lag(arguments["lag"])
        found["faulty_pixels"] = _shares(arguments["faulty_pixels"])
        return cls(**found)

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) is not None for field in dataclasses.fields(self))

    @property
    def names(self) -> list[str]:
        """Of the effects that there are, as arguments."""
        return [field.name for field in dataclasses.fields(self) if getattr(self, field.name) is not None]

    def check(self, geometry: Geometry) -> None:
        """InputError where a scanner cannot have them."""
        widest = max(geometry.detector.size)
        if self.focal_spot_mm is not None:
            if not geometry.divergent:
                raise InputError("`focal_spot_mm`: a parallel beam has no focal spot")
            width = self.focal_spot_mm * (float(geometry.magnification) - 1)
            if width > widest:
                raise InputError(
                    f"`focal_spot_mm`: {self.focal_spot_mm:g} mm are {width:.4g} mm on the detector, which is "
                    f"{widest:g} mm large"
                )
        if self.detector_blur_mm is not None and self.detector_blur_mm > widest:
            raise InputError(
                f"`detector_blur_mm` must be at most the detector, {widest:g} mm, got {self.detector_blur_mm:g}"
            )
        if self.scatter is not None:
            self._check_scatter(geometry)

    def _check_scatter(self, geometry: Geometry) -> None:
        from sinograd.preparation.scatter import UniformScatter, check_geometry

        if isinstance(self.scatter, UniformScatter):
            return
        if geometry.ndim != 3:
            raise InputError("`scatter`: kernels need images; a scan of rows takes a share, as 0.05")
        source, middle = geometry.vectors[0, :2].double()
        whole = float((middle - source).norm())
        distances = (whole / float(geometry.magnification) if geometry.divergent else whole, whole)
        check_geometry(getattr(self.scatter, "geometry_mm", None), distances, "`scatter`")

    def record(self) -> dict[str, Any]:
        """Plain values of those that there are: for the metadata of the scan, and as options."""
        found = {name: getattr(self, name) for name in self.names}
        if self.scatter is not None:
            found["scatter"] = getattr(self.scatter, "share", repr(self.scatter))
        if self.lag is not None:
            pairs = zip(self.lag.amplitudes, self.lag.rates, strict=True)
            found["lag"] = ",".join(f"{value:g}" for pair in pairs for value in pair)
        if self.faulty_pixels is not None:
            found["faulty_pixels"] = ",".join(f"{share:g}" for share in self.faulty_pixels)
        return found


def _scatter(value: Any) -> ScatterModel | None:
    if hasattr(value, "scatter") and not hasattr(value, "ndim"):  # tensors have such a method, too
        return value
    share = number(value, "scatter")
    if share is None:
        return None
    if not 0 < share < _MOST_SCATTER:
        raise InputError(f"`scatter`: expected a share above 0 and below {_MOST_SCATTER:g}, got {share:g}")
    from sinograd.preparation.scatter import UniformScatter

    return UniformScatter(share)


def _lag(value: Any) -> Lag | None:
    if value is None or hasattr(value, "amplitudes"):
        return value
    values = numbers(value, float, "lag")
    if not values or len(values) % 2:
        raise InputError(f"`lag`: expected pairs of amplitude and rate, as 0.01,0.5, got {shown(value)}")
    from sinograd.physics import Lag

    try:
        return Lag(values[::2], values[1::2])
    except InputError as error:
        raise InputError(f"`lag`: {str(error).removeprefix('lag: ')}") from None


def _shares(value: Any) -> tuple[float, ...] | None:
    if isinstance(value, bool):
        raise InputTypeError(f"`faulty_pixels`: expected shares of {', '.join(_KINDS)} pixels, got {value!r}")
    shares = numbers(value, float, "faulty_pixels")
    if shares is None:
        return None
    if len(shares) != len(_KINDS) or not all(0 <= share <= 1 for share in shares) or not 0 < sum(shares) <= 1:
        raise InputError(
            f"`faulty_pixels`: expected shares of {', '.join(_KINDS)} pixels from 0 to 1 that add up to at most 1, as "
            f"0.001,0,0.01, got {shown(value)}"
        )
    return shares
