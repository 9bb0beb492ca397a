"""Whether a model is used on data such as it was trained on: an error for another unit, warnings for the rest."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from sinograd.data.lengths import length_text
from sinograd.errors import UnitError, UnitWarning

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sinograd.geometry import Grid
    from sinograd.models import NetworkDenoiser
    from sinograd.models.model_file import AnySaved

_LEAST_SCALE = 5.0  # HU; what counts as 1 in a model of attenuation in 1/mm is far below
# How far voxels and values may be from those that a model was trained on before a warning says so.
_VOXEL_RATIO, _SCALE_RATIO = 1.1, 3.0
_SPREADS = (0.1, 30.0)  # of networks: what lies between the values of normal data, in units of their scale


def warn_of_other_data(
    volume: torch.Tensor | None, grid: Grid, filters: nn.Sequential | NetworkDenoiser, saved: AnySaved
) -> None:
    """Warns where voxels or values are far from those that the model was trained on."""
    stacks = saved.trained_on.get("stacks") or [saved.trained_on.get("volumes") or {}]
    trained = stacks[0].get("voxel_mm") if isinstance(stacks[0], dict) else None
    if isinstance(trained, list) and len(trained) == grid.ndim:
        ratios = [a / b for a, b in zip(grid.spacing, trained, strict=True)]
        if max(max(ratios), 1 / min(ratios)) > _VOXEL_RATIO:
            warnings.warn(
                f"the model was trained on voxels of {length_text(trained)}, these are {length_text(grid.spacing)}",
                UnitWarning,
                stacklevel=2,
            )
    if volume is not None:
        _warn_of_other_values(volume, filters)


def check_unit(model: str, module: nn.Module, saved: AnySaved, unit: str | None, words: str) -> None:
    """UnitError where the volume's unit and the model's are known and differ; `words` stand before the unit."""
    from sinograd.data.units import PER_PIXEL, PER_PIXEL_ADVICE, UNITS

    known = words_of_model = saved.trained_on.get("unit")
    scale = _scale(module)
    if known is None and unit == "HU" and scale is not None and abs(scale) < _LEAST_SCALE:
        known, words_of_model = "1/mm", f"1/mm (what counts as 1 in it is {scale:.3g})"
    if unit not in UNITS or known not in UNITS or known == unit or "1" in (unit, known):
        return
    how = f"; volume.to({known!r}, water=0.02) converts it" if {unit, known} == {"HU", "1/mm"} else ""
    how = f"; {PER_PIXEL_ADVICE}" if PER_PIXEL in (unit, known) else how
    raise UnitError(f"{model} ({saved.model.name}) is for values in {words_of_model}, {words} in {unit}{how}")


def _warn_of_other_values(volume: torch.Tensor, filters: nn.Sequential | NetworkDenoiser) -> None:
    from torch import nn

    from sinograd.training.samples import typical_size

    if not isinstance(filters, nn.Sequential):
        values = volume.reshape(-1)[:: max(1, volume.numel() >> 20)].sort().values
        low, high = (float(values[round(share * (len(values) - 1))]) for share in (0.001, 0.999))
        if not _SPREADS[0] <= (high - low) / filters.scale <= _SPREADS[1]:
            warnings.warn(
                f"the values lie between {low:.4g} and {high:.4g}; the network counts {filters.scale:.4g} around "
                f"{filters.offset:.4g} as 1 (other material or other units?)",
                UnitWarning,
                stacklevel=2,
            )
        return
    scale = float(filters[0].input_scale)  # pyright: ignore
    typical = typical_size([volume]) if bool((volume != 0).any()) else scale
    if not 1 / _SCALE_RATIO < typical / scale < _SCALE_RATIO:
        warnings.warn(
            f"99.9 % of the values lie below {typical:.4g}; the model was trained on values up to about {scale:.4g} "
            "(other material or other units?)",
            UnitWarning,
            stacklevel=2,
        )


def _scale(module: nn.Module) -> float | None:
    """What counts as 1 in a model, if it is known."""
    for part in module.modules():
        for name in ("input_scale", "scale"):
            value = getattr(part, name, None)
            if value is not None:
                return float(value)
    return None
