"""What `sinograd simulate` can scan: phantoms by name, each with the scanner it is made for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sinograd.errors import InputError

if TYPE_CHECKING:
    import torch

    from sinograd.geometry import Geometry
    from sinograd.phantoms import Ellipsoids

_FILL = 0.9  # of the field of view, for phantoms without a size of their own


@dataclass(frozen=True)
class Phantom:
    """An object by name: `make(seed)` is as wide as `size` mm; None: any size, as all fit it.

    scanner, views, detector: what it is scanned with unless the user says otherwise: a scanner of the package, how
    many views of it, and into how many elements (rows, columns) its detector is divided.
    rows_mm: height of the detector that is used; None: all of it.
    """

    make: Callable[[int], Ellipsoids]
    size: float | None
    scanner: str
    views: int
    detector: tuple[int, int]
    rows_mm: float | None = None


def _shepp_logan(seed: int) -> Ellipsoids:
    from sinograd.phantoms import shepp_logan_3d

    return shepp_logan_3d(0.5, 0.02, "kak-slaney")


def _ball(seed: int) -> Ellipsoids:
    from sinograd.phantoms import ball

    return ball(0.5, 0.02)


def _bone(seed: int) -> Ellipsoids:
    from sinograd.phantoms import bone

    return bone(seed, size=1.0)


def _tibia(seed: int) -> Ellipsoids:
    from sinograd.phantoms import tibia

    return tibia(seed, height=0.15)


def _abdomen(seed: int) -> Ellipsoids:
    from sinograd.phantoms import abdomen

    return abdomen(seed)


def _abdomen_implant(seed: int) -> Ellipsoids:
    from sinograd.phantoms import abdomen

    return abdomen(seed, implant="titanium")


PHANTOMS = {
    "abdomen": Phantom(_abdomen, 340.0, "siemens-definition-as", 576, (32, 368)),
    "abdomen-implant": Phantom(_abdomen_implant, 340.0, "siemens-definition-as", 576, (32, 368)),
    "ball": Phantom(_ball, None, "tigre-default", 180, (128, 128)),
    "bone": Phantom(_bone, None, "walnut", 360, (256, 256)),
    "shepp-logan": Phantom(_shepp_logan, None, "tigre-default", 360, (256, 256)),
    "tibia": Phantom(_tibia, 1.3, "zeiss-xradia-620", 400, (32, 512), rows_mm=0.432),
}


def scanned_by(phantom: Phantom, scanner: str | None, views: int | None, detector: tuple[int, ...] | None) -> Geometry:
    """The scanner, with as many views and detector elements as asked for over the same angles and the same size."""
    from sinograd.geometry import load_geometry

    if scanner is not None:
        return resampled(load_geometry(scanner), views, detector)
    geometry = load_geometry(phantom.scanner)
    views = phantom.views if views is None else views
    return resampled(geometry, views, phantom.detector if detector is None else detector, phantom.rows_mm)


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


def placed(phantom: Phantom, seed: int, geometry: Geometry, size_mm: float | None) -> tuple[Ellipsoids, float]:
    """The object and its width in mm: as asked for, its own, or 0.9 of the field of view."""
    if size_mm is not None and not 0 < size_mm < float("inf"):
        raise InputError(f"`size_mm` must be positive, got {size_mm}")
    natural = 1.0 if phantom.size is None else phantom.size
    if size_mm is None:
        size_mm = phantom.size if phantom.size is not None else _FILL * geometry.field_of_view
        if size_mm <= 0:
            raise InputError("the scanner does not see its axis in every view: give the phantom's width, `size_mm`")
    made = phantom.make(seed)
    return (made if size_mm == natural else made.scaled(size_mm / natural)), size_mm


def names() -> str:
    """The phantoms, for help and messages."""
    return ", ".join(PHANTOMS)
