"""Phantoms by name (`sinograd.choices.PHANTOMS`), each with the scanner that it is made for."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sinograd.choices import PHANTOMS
from sinograd.errors import InputError
from sinograd.registry import Entry

if TYPE_CHECKING:
    import torch

    from sinograd.geometry import Geometry
    from sinograd.phantoms.ellipsoids import Ellipsoids
    from sinograd.phantoms.materials import MaterialPhantom

FILL = 0.9
"""Of the field of view or the grid, for phantoms without a width of their own."""


def facts(name: str) -> Mapping[str, Any]:
    """What the registry says about a phantom; InputError for an unknown one."""
    return PHANTOMS.entry(name).about


def made(name: str, seed: int, width: float, **options: Any) -> Ellipsoids:
    """A phantom that is `width` mm wide.

    seed: of its random parts; phantoms without such are the same for each.
    options: arguments of the phantom's function instead of the registry's.
    """
    entry = PHANTOMS.entry(name)
    seeds = (seed,) if entry.about.get("seeded", True) else ()
    phantom: Ellipsoids = entry.load()(*seeds, **{**entry.about.get("options", {}), **options})
    natural = entry.about.get("width_mm", 1.0)
    return phantom if width == natural else phantom.scaled(width / natural)


def made_of_materials(name: str, seed: int, width: float) -> MaterialPhantom:
    """The same shapes as `made`, of materials instead of attenuations.

    Raises:
        ValueError: an unknown phantom, or one without materials.
    """
    from sinograd.phantoms.known_materials import of_arguments

    entry = PHANTOMS.entry(name)
    materials = entry.about.get("materials")
    if materials is None:
        known = ", ".join(each for each in PHANTOMS.names() if "materials" in facts(each))
        raise InputError(f"`spectrum`: the phantom {name} has no materials; {known} have")
    seeds = (seed,) if entry.about.get("seeded", True) else ()
    options = entry.about.get("options", {})
    if isinstance(materials, str):
        phantom = Entry(name, materials).load()(*seeds, **options)
    else:
        phantom = of_arguments(entry.load(), materials, *seeds, **options)
    natural = entry.about.get("width_mm", 1.0)
    return phantom if width == natural else phantom.scaled(width / natural)


def placed(name: str, seed: int, geometry: Geometry, size_mm: float | None) -> tuple[Ellipsoids, float]:
    """The phantom and its width in mm: `size_mm`, its own, or 0.9 of the field of view."""
    width = width_in(name, geometry, size_mm)
    return made(name, seed, width), width


def width_in(name: str, geometry: Geometry, size_mm: float | None) -> float:
    """The width of a phantom in mm: `size_mm`, its own, or 0.9 of the field of view."""
    if size_mm is not None and not 0 < size_mm < float("inf"):
        raise InputError(f"`size_mm` must be positive, got {size_mm}")
    if size_mm is None:
        size_mm = facts(name).get("width_mm")
    if size_mm is None:
        size_mm = FILL * geometry.field_of_view
        if size_mm <= 0:
            raise InputError("the scanner does not see its axis in every view: set the phantom's width, `size_mm`")
    return size_mm


def scanned_by(
    name: str, scanner: Geometry | str | os.PathLike[str] | None, views: int | None, detector: tuple[int, ...] | None
) -> Geometry:
    """The scanner (by default the phantom's own), with so many views and detector elements over the same angles and
    the same size."""
    from sinograd.geometry import Geometry, load_geometry

    if scanner is not None:
        return resampled(scanner if isinstance(scanner, Geometry) else load_geometry(scanner), views, detector)
    about = facts(name)
    if "scanner" not in about:
        raise InputError(f"`scanner` is missing: the phantom {name} has none of its own")
    views = about.get("views") if views is None else views
    detector = about.get("detector") if detector is None else detector
    return resampled(load_geometry(about["scanner"]), views, detector, about.get("rows_mm"))


def resampled(
    geometry: Geometry, views: int | None, detector: tuple[int, ...] | None, rows_mm: float | None = None
) -> Geometry:
    """The same scan from `views` views, its detector divided into (rows, columns) elements instead of its own.

    rows_mm: height of the detector instead of its own.
    """
    data: dict[str, Any] = geometry.to_dict()
    if views is not None and views != len(geometry):
        single = [key for key, value in data.items() if isinstance(value, list) and len(value) == len(geometry)]
        if geometry.angles is None or set(single) - {"angles_deg"}:
            raise InputError("`views` needs a scanner of a regular orbit, this one places every view by itself")
        if "views" in data:
            data["views"] = views
        else:
            data["angles_deg"] = _spread(geometry.angles, views).rad2deg().tolist()
    if detector is not None:
        old = geometry.detector
        if len(detector) != old.ndim:
            raise InputError(f"`detector` must have {old.ndim} numbers for this scanner, got {len(detector)}")
        if min(detector) < 1:
            raise InputError(f"`detector` must be positive numbers, got {','.join(map(str, detector))}")
        sizes = old.size if rows_mm is None else (rows_mm, old.size[-1])
        spacing = [size / n for size, n in zip(sizes, detector, strict=True)]
        data["detector"] |= {
            "shape": list(detector) if old.ndim == 2 else detector[0],
            "spacing": spacing if old.ndim == 2 else spacing[0],
        }
    return type(geometry).from_dict(data)


def _spread(angles: torch.Tensor, views: int) -> torch.Tensor:
    """`views` angles evenly over the same arc: over the same turns if they were such, else with the same ends."""
    import torch

    if views < 1:
        raise InputError(f"`views` must be at least 1, got {views}")
    span, old = (angles[-1] - angles[0]).item(), len(angles)
    turns = span * old / max(old - 1, 1) / (2 * math.pi)
    if old > 1 and abs(turns - round(turns)) < 1e-9 * old and round(turns):
        return angles[0] + 2 * math.pi * round(turns) * torch.arange(views, dtype=torch.float64) / views
    return torch.linspace(angles[0].item(), angles[0].item() + span, views, dtype=torch.float64)


def names() -> str:
    """The phantoms, for help and messages."""
    return ", ".join(PHANTOMS.names())
