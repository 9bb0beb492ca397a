"""How images are scored: which values count, what the data range is, which SSIM.

PSNR and SSIM depend on the data range as much as on the images: the same pair has 26 dB in a window of 400 HU and 46 dB
over 4096 HU. So a protocol has a name, and no number is guessed from the data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from sinograd.errors import InputError
from sinograd.metrics import psnr, rmse, ssim

Window = tuple[float, float]


@dataclass(frozen=True)
class SliceScores:
    """Of each slice, float64 [Z]: similarity, dB, and the unit of the values."""

    ssim: Tensor
    psnr: Tensor
    rmse: Tensor


@dataclass(frozen=True)
class Protocol:
    """A way to score.

    Attributes:
        name, summary: for tables.
        unit: of the values it is for: "HU", or "" for any.
        data_range: of PSNR and SSIM where there are no windows; None: it must be given (`with_data_range`).
        windows: (low, high) for each group of volumes, in `unit`. Both images are clipped to it for PSNR and SSIM, its
            width is the data range. Empty: no clipping.
        origin: the value that SSIM takes as 0, which its brightness term depends on; with windows their lower end.
        rmse_window: (low, high) that both images are clipped to for the RMSE; None: no clipping.
        similarity: options of `sinograd.metrics.ssim`.
    """

    name: str
    summary: str
    unit: str = ""
    data_range: float | None = None
    origin: float = 0.0
    windows: Mapping[str, Window] = field(default_factory=dict)
    rmse_window: Window | None = None
    similarity: Mapping[str, Any] = field(default_factory=dict)

    def check(self, unit: str, group: str, name: str) -> None:
        """ValueError, naming the volume, unless values of this unit and group can be scored."""
        if self.unit and unit != self.unit:
            more = (
                ": give the attenuation of water in 1/mm (`water`), or take full-range with a data range (`data_range`)"
            )
            raise InputError(
                f"{name}: its values are in {_unit(unit)}, the protocol {self.name} scores {self.unit}"
                + (more if unit == "1/mm" else "")
            )
        if self.windows and group not in self.windows:
            raise InputError(
                f"{name}: the protocol {self.name} has a window for each body part, expected the group "
                f"{', '.join(self.windows)}, got {group!r}"
            )
        if not self.windows and self.data_range is None:
            raise InputError(
                f"{name}: its values are in {_unit(unit)}, for which the protocol {self.name} has no data range: give "
                "one (`data_range`)"
            )

    def with_data_range(self, data_range: float, unit: str) -> Protocol:
        """The same with another data range, in the unit given; ValueError where windows fix it."""
        if self.windows:
            raise InputError(f"the protocol {self.name} takes its data ranges from its windows, none can be given")
        if not 0 < data_range < math.inf:
            raise InputError(f"the data range must be a positive number, got {data_range}")
        origin = self.origin if unit == self.unit else 0.0
        return replace(self, data_range=data_range, origin=origin, unit="" if unit in ("1", "none") else unit)

    def score(self, found: Tensor, reference: Tensor, group: str = "") -> SliceScores:
        """Of each slice [Z, Y, X], in the protocol's unit. Raises as `check` for the group, and as the metrics."""
        self.check(self.unit, group, "the volume")
        one, other, peak, origin = found.double(), reference.double(), self.data_range, self.origin
        if self.windows:
            origin, high = self.windows[group]
            one, other, peak = one.clamp(origin, high), other.clamp(origin, high), high - origin
        assert peak is not None
        if origin != 0:
            one, other = one - origin, other - origin
        errors = (
            (found, reference) if self.rmse_window is None else (v.clamp(*self.rmse_window) for v in (found, reference))
        )
        return SliceScores(
            ssim(one, other, data_range=peak, **self.similarity), psnr(one, other, data_range=peak), rmse(*errors)
        )

    def details(self) -> dict[str, str]:
        """Names and texts for the table of settings."""
        kind = self.similarity.get("weights", "gaussian")
        window = "7 x 7 pixels, uniform, sample covariance" if kind == "uniform" else "11 x 11 pixels, Gaussian (1.5)"
        of = ", ".join(f"{group} {low:g} to {high:g}" for group, (low, high) in self.windows.items())
        return {
            "protocol": f"{self.name}: {self.summary}",
            "data range": f"windows, in {self.unit}: {of}" if of else f"{self.data_range:g} {self.unit}".rstrip(),
            "SSIM": window,
            "RMSE": "all values"
            if self.rmse_window is None
            else "values clipped to {:g} to {:g}".format(*self.rmse_window),
        }


def _windows(**centers_and_widths: tuple[float, float]) -> dict[str, Window]:
    """DICOM's linear windows (PS3.3, C.11.2.1.2.1): w - 1 steps from c - w/2 to c + w/2 - 1."""
    return {group: (c - w / 2, c + w / 2 - 1) for group, (c, w) in centers_and_widths.items()}


LDCT_BENCHMARK = Protocol(
    "ldct-benchmark",
    "windowed, one window for each body part (Eulig, Ommer and Kachelriess, Med. Phys. 51, 2024)",
    unit="HU",
    windows=_windows(chest=(-600, 1500), abdomen=(50, 400), neuro=(40, 80)),
    rmse_window=(-1024.0, 1900.0),
    similarity={"weights": "uniform"},
)

FULL_RANGE = Protocol(
    "full-range",
    "no window, air is 0 for SSIM; 4096 HU fit the PSNR of Wagner et al., Med. Phys. 49 (2022), who state no range",
    unit="HU",
    data_range=4096.0,
    origin=-1000.0,
)

PROTOCOLS: dict[str, Protocol] = {p.name: p for p in (LDCT_BENCHMARK, FULL_RANGE)}


def protocol(name: str, *, data_range: float | None = None, unit: str = "HU") -> Protocol:
    """A protocol by its name, for values in `unit` ("HU", "1/mm", "mg/cm3" or "1").

    "ldct-benchmark": values in HU are clipped to the window of the volume's group, "chest" (-1350 to 149), "abdomen"
    (-150 to 249) or "neuro" (0 to 79), whose width is the data range of PSNR and SSIM (7 x 7 uniform window, as
    scikit-image's default); the RMSE is that of values clipped to -1024 to 1900. Windows are DICOM's linear ones, as
    in that package: of centre c and width w from c - w/2 to c + w/2 - 1.

    "full-range": all values count, with a data range of 4096 HU; for other units `data_range` must be given. SSIM as
    Wang et al. (2004), Gaussian window of 1.5 pixels, of HU + 1000: so it is that of attenuation (data range 4.096
    times water's), which is 0 in air.

    Raises:
        ValueError: another name, or a data range with ldct-benchmark.
    """
    if name not in PROTOCOLS:
        raise InputError(f"no protocol {name!r}: expected one of {', '.join(PROTOCOLS)}")
    chosen = PROTOCOLS[name]
    return chosen if data_range is None else chosen.with_data_range(data_range, unit)


def _unit(unit: str) -> str:
    return {"1": "no known unit", "none": "no known unit", "": "no known unit"}.get(unit, unit)
