"""Metal: rays through it are replaced by what the rays beside them say, with or without a prior image."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sinograd.choices import METAL_METHODS
from sinograd.errors import InputError, PreparationWarning
from sinograd.geometry import Geometry, Grid
from sinograd.geometry.checks import positive
from sinograd.ops import XRayTransform
from sinograd.preparation.slices import reconstructed
from sinograd.preparation.stripes.columns import filled

# Values in units of the object's usual one (soft tissue's): air is below the first, bone above the second, metal above
# the third.
AIR, BONE, METAL = 0.5, 1.3, 4.0

# mm of metal from which a ray is replaced, in voxels; the prior is at least this share of its largest line integral.
LEAST, FLOOR = 0.3, 0.02

# Shares of the object's rays and voxels that are metal from which nothing is left to replace them from.
MOST = 0.5


@dataclass(frozen=True)
class Replaced:
    """Line integrals without metal, and where it was.

    metal: voxels, bool. trace: rays that were replaced, bool. prior: voxels that rays were divided by; None for linear.
    """

    line_integrals: Tensor
    metal: Tensor
    trace: Tensor
    prior: Tensor | None = None

    def with_metal(self, volume: Tensor, uncorrected: Tensor) -> Tensor:
        """A reconstruction of these line integrals, with the metal of an uncorrected one put back."""
        return torch.where(self.metal, uncorrected, volume)


def replace_metal(
    line_integrals: Tensor,
    geometry: Geometry,
    grid: Grid,
    *,
    method: str = "normalized",
    threshold: float | None = None,
    metal: Tensor | None = None,
) -> Replaced:
    """Line integrals in which rays through metal are interpolated from those beside.

    "linear": along the rows of the detector; W. A. Kalender, R. Hebel, J. Ebersberger, "Reduction of CT artifacts
    caused by metallic implants", Radiology 164(2), 1987. "normalized": the same of line integrals over those of a
    prior image, which are multiplied again; E. Meyer, R. Raupach, M. Lell, B. Schmidt, M. Kachelriess, "Normalized
    metal artifact reduction (NMAR) in computed tomography", Medical Physics 37(10), 2010. The prior is the linear
    reconstruction, smooth, with air and soft tissue set to one value each. Differentiable in the line integrals of
    rays that miss the metal, but for the segmentation.

    Args:
        line_integrals: [views, (rows,) columns].
        geometry, grid: of the scan, and voxels that hold the metal.
        threshold: attenuation in 1/mm above which a voxel is metal; None: four times that of soft tissue.
        metal: bool voxels instead of a threshold.

    Raises:
        ValueError: an unknown method, a mask of another shape; metal that fills half of the object or of its rays.

    Warns:
        PreparationWarning: no voxel is metal; nothing is replaced.
    """
    if method not in METAL_METHODS:
        raise InputError(f"method: expected one of {', '.join(METAL_METHODS)}, got {method!r}")
    transform = XRayTransform(geometry, grid)
    first = reconstructed(line_integrals, geometry, grid).detach()
    soft = _usual(first)
    found = _metal(first, soft, threshold) if metal is None else metal
    if tuple(found.shape) != grid.shape or found.dtype != torch.bool:
        raise InputError(f"metal: expected bool {list(grid.shape)}, got {found.dtype} {list(found.shape)}")
    length = transform(found.to(line_integrals.dtype))
    trace = length > LEAST * min(grid.spacing)
    _check_much(found, trace, first > AIR * soft, line_integrals)
    if not bool(found.any()):
        warnings.warn(
            "no voxel is metal; nothing was replaced: a lower threshold finds more", PreparationWarning, stacklevel=2
        )
        return Replaced(line_integrals, found, trace)
    linear = _interpolated(line_integrals, trace)
    if method == "linear":
        return Replaced(linear, found, trace)
    prior = _prior(reconstructed(linear, geometry, grid).detach(), found, soft)
    expected = transform(prior)
    expected = expected.clamp(min=FLOOR * float(expected.max()))
    replaced = torch.where(trace, _interpolated(line_integrals / expected, trace) * expected, line_integrals)
    return Replaced(replaced, found, trace, prior)


class MetalReplacement(nn.Module):
    """Adds to replaced rays what a small network makes of the rays around; trained end to end.

    It starts as what it is given: the last layer is zero.

    Args:
        channels: of the two hidden layers.
        reach: columns and views on each side that a layer sees.
    """

    def __init__(self, channels: int = 16, reach: int = 3) -> None:
        super().__init__()
        size = 2 * reach + 1
        self.first = nn.Conv2d(2, channels, size, padding=reach)
        self.second = nn.Conv2d(channels, channels, size, padding=reach)
        self.last = nn.Conv2d(channels, 1, size, padding=reach)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias) if self.last.bias is not None else None

    def forward(self, replaced: Tensor, trace: Tensor) -> Tensor:
        """Line integrals [views, (rows,) columns] and the rays to change; other rays stay as they are."""
        rows = replaced[:, None] if replaced.ndim == 2 else replaced.transpose(0, 1).unsqueeze(1)
        rows = replaced[None, None] if replaced.ndim == 2 else rows
        where = trace[None, None] if trace.ndim == 2 else trace.transpose(0, 1).unsqueeze(1)
        hidden = torch.relu(self.first(torch.cat([rows, where.to(rows)], 1)))
        change = self.last(torch.relu(self.second(hidden)))[:, 0]
        change = change[0] if replaced.ndim == 2 else change.transpose(0, 1)
        return torch.where(trace, replaced + change, replaced)


def _interpolated(line_integrals: Tensor, trace: Tensor) -> Tensor:
    """Linearly along the columns."""
    columns = line_integrals.shape[-1]
    rows = line_integrals.reshape(-1, 1, columns)
    return filled(rows, trace.reshape(-1, columns)).reshape(line_integrals.shape)


def _usual(values: Tensor) -> float:
    """The commonest value of the object: the fullest bin of those above a fifth of the 90th of 100 parts."""
    flat = values.flatten()
    flat = flat[torch.isfinite(flat) & (flat > 0)]
    if not len(flat):
        raise InputError("line_integrals: the reconstruction has no value above zero")
    high = float(flat[:: max(1, len(flat) // 1_000_000)].quantile(0.9))
    counts = torch.histc(flat, 100, 0.2 * high, 2 * high)
    return 0.2 * high + (float(counts.argmax()) + 0.5) * 0.018 * high


def _metal(values: Tensor, soft: float, threshold: float | None) -> Tensor:
    return values > (METAL * soft if threshold is None else positive(threshold, "threshold"))


def _check_much(metal: Tensor, trace: Tensor, inside: Tensor, line_integrals: Tensor) -> None:
    voxels = float(metal.sum()) / max(float(inside.sum()), 1)
    seen = line_integrals.detach() > 0.05 * float(line_integrals.detach().max())
    rays = float((trace & seen).sum()) / max(float(seen.sum()), 1)
    if max(voxels, rays) > MOST:
        raise InputError(
            f"metal: {voxels:.0%} of the object's voxels and {rays:.0%} of its rays are metal: expected less than "
            f"{MOST:.0%}, so that the others tell what is behind it; a higher threshold makes less of it metal"
        )


def _prior(values: Tensor, metal: Tensor, soft: float) -> Tensor:
    """Air 0, soft tissue one value, bone as it is; metal is taken for soft tissue."""
    pool = torch.nn.functional.avg_pool3d if values.ndim == 3 else torch.nn.functional.avg_pool2d
    smooth = pool(values[None, None], 3, 1, 1, count_include_pad=False)[0, 0]
    tissue = torch.where(smooth < BONE * soft, soft, smooth)
    return torch.where(metal, soft, torch.where(smooth < AIR * soft, 0.0, tissue)).to(values)
