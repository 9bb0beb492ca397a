"""What is measured beside the projections of a scan, to turn its counts into line integrals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from sinograd.data.projections import Projections, dtype_text, is_projections, load_views, location_text, shape_of
from sinograd.errors import InputError, InputTypeError


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """References, dark images, shifts and exposures that belong to the projections of a scan.

    reference: flat fields [n, rows, columns], n >= 1 ([n, columns] for a 2-D scan), in the units of the
        counts. None: there are none.
    reference_views: [n], the view number at which each reference was taken: fractional between two views,
        negative (-1) before the first, `views` or more after the last. None: unknown, so their mean is used.
    dark: images without beam, [n, rows, columns]; they are averaged.
    shifts: [views, 2], (row, column) in detector pixels: each projection is to be moved by +this, towards
        larger indices, so that moved[i] = measured[i - shift]. None: nothing is to be moved.
    exposure: [views], exposure of each view over that of the references (time x current), interpolated to the
        view's time as the references are; counts are divided by it. None: the same.
    photons: that reach an element in a view without an object, behind bowtie filter and with the tube current of the
        view: [views, rows, columns], or [views, 1, columns] for all rows alike ([views, columns] for a 2-D scan). Noise
        is simulated with them. None: not known.

    reference and dark may be lazy, as projections are; `load` reads them. The arrays become float64 and
    read-only. Raises TypeError or ValueError naming the argument; `check` compares with a scan.
    """

    reference: Projections | None = None
    reference_views: np.ndarray | None = None
    dark: Projections | None = None
    shifts: np.ndarray | None = None
    exposure: np.ndarray | None = None
    photons: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("reference", "dark"):
            _check_images(name, getattr(self, name))
        for name, form in (("reference_views", (None,)), ("shifts", (None, 2)), ("exposure", (None,))):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _numbers(name, value, form))
        if self.reference_views is not None:
            if self.reference is None:
                raise InputError("reference_views are given without reference")
            count = shape_of(self.reference)[0]
            if len(self.reference_views) != count:
                raise InputError(f"reference_views has {len(self.reference_views)} entries for {count} references")
        if self.exposure is not None and (self.exposure <= 0).any():
            bad = int((self.exposure <= 0).sum())
            raise InputError(f"exposure must be positive, {bad} of {len(self.exposure)} entries are not")

        if self.photons is not None:
            object.__setattr__(self, "photons", _photons(self.photons))

    @property
    def references(self) -> int:
        """Number of references."""
        return 0 if self.reference is None else shape_of(self.reference)[0]

    @property
    def darks(self) -> int:
        """Number of dark images."""
        return 0 if self.dark is None else shape_of(self.dark)[0]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return all(value is None for value in (self.reference, self.dark, self.shifts, self.exposure, self.photons))

    def check(self, shape: Sequence[int], name: str = "scan") -> None:
        """ValueError unless images and entries fit projections of `shape` [views, (rows,) columns]."""
        views, *image = shape
        for kind in ("reference", "dark"):
            images = getattr(self, kind)
            if images is not None and list(shape_of(images)[1:]) != image:
                raise InputError(
                    f"{name}: calibration.{kind} {list(shape_of(images))} does not match projections {list(shape)}: "
                    f"images {list(shape_of(images)[1:])} != {image}"
                )
        for kind in ("shifts", "exposure"):
            entries = getattr(self, kind)
            if entries is not None and len(entries) != views:
                raise InputError(f"{name}: calibration.{kind} has {len(entries)} entries for {views} views")
        if self.photons is not None and not _fits(self.photons.shape, shape):
            raise InputError(
                f"{name}: calibration.photons {list(self.photons.shape)} does not match projections {list(shape)}"
            )

    def load(self, name: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """All images of "reference" or "dark" as a tensor [n, (rows,) columns]."""
        if name not in ("reference", "dark"):
            raise InputError(f'name must be "reference" or "dark", got {name!r}')
        images = getattr(self, name)
        if images is None:
            raise InputError(f"this calibration has no {name}")
        return load_views(images, slice(None), dtype)

    def of_views(self, order: np.ndarray) -> Calibration:
        """The calibration of the views `order` (their numbers); references keep their places between them.

        Raises ValueError when reference_views are known and `order` neither only grows nor only falls: then
        a reference has no one place.
        """
        shifts = None if self.shifts is None else self.shifts[order]
        exposure = None if self.exposure is None else self.exposure[order]
        places = None if self.reference_views is None else _places(self.reference_views, order)
        photons = None if self.photons is None else self.photons[order]
        return replace(self, reference_views=places, shifts=shifts, exposure=exposure, photons=photons)

    def __repr__(self) -> str:
        parts = []
        for name in ("reference", "dark"):
            images: Projections | None = getattr(self, name)
            if images is not None:
                parts.append(f"{name}={list(shape_of(images))} {dtype_text(images)}, {location_text(images)}")
        for name in ("reference_views", "shifts", "exposure", "photons"):
            array = getattr(self, name)
            if array is not None:
                parts.append(f"{name}={list(array.shape)} {array.min():.5g} to {array.max():.5g}")
        return f"Calibration({'; '.join(parts)})"


def _check_images(name: str, images: Any) -> None:
    if images is None:
        return
    if not is_projections(images):
        raise InputTypeError(
            f"{name} must be an array, a tensor or what `sinograd.read` gives, got {type(images).__name__}"
        )
    shape = shape_of(images)
    if len(shape) not in (2, 3) or 0 in shape:
        raise InputError(f"{name} must be [n, rows, columns] or [n, columns] and not empty, got {list(shape)}")


def _photons(value: Any) -> np.ndarray:
    """float32, read-only; ValueError unless positive."""
    array = np.array(value.detach().cpu() if isinstance(value, torch.Tensor) else value, dtype=np.float32)
    if array.ndim not in (2, 3) or array.size == 0:
        raise InputError(
            f"photons must be [views, rows, columns] or [views, columns] and not empty, got {list(array.shape)}"
        )
    bad = int((~(np.isfinite(array) & (array > 0))).sum())
    if bad:
        raise InputError(f"photons must be positive and finite, {bad} of {array.size} values are not")
    array.flags.writeable = False
    return array


def _fits(photons: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether photons are those of every view, for each element or for all rows alike."""
    if len(photons) != len(shape) or photons[0] != shape[0] or photons[-1] != shape[-1]:
        return False
    return len(shape) == 2 or photons[1] in (1, shape[1])


def _numbers(name: str, value: Any, form: tuple[int | None, ...]) -> np.ndarray:
    """A read-only float64 copy; ValueError unless it has the form and is finite."""
    with np.errstate(invalid="ignore"):  # signalling NaNs, which are refused below
        array = np.array(value.detach().cpu() if isinstance(value, torch.Tensor) else value, dtype=np.float64)
    fits = array.ndim == len(form) and all(n is None or n == m for n, m in zip(form, array.shape, strict=True))
    if not fits or array.size == 0:
        expected = ", ".join("n" if n is None else str(n) for n in form)
        raise InputError(f"{name} must be [{expected}] and not empty, got {list(array.shape)}")
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise InputError(f"{name} must be finite, {bad} of {array.size} values are not")
    array.flags.writeable = False
    return array


def _places(reference_views: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Where references taken at `reference_views` lie among the views `order`, on a line beyond both ends."""
    position = np.arange(len(order), dtype=np.float64)
    if len(order) == 1:
        return reference_views - order[0]
    steps = np.diff(order)
    if (steps < 0).all():
        order, position = order[::-1], position[::-1]
    elif not (steps > 0).all():
        raise InputError("the chosen views must be in order, since the references were taken between them")
    inside = np.interp(reference_views, order, position)
    before, after = reference_views < order[0], reference_views > order[-1]
    first = (position[1] - position[0]) / (order[1] - order[0])
    last = (position[-1] - position[-2]) / (order[-1] - order[-2])
    inside[before] = position[0] + (reference_views[before] - order[0]) * first
    inside[after] = position[-1] + (reference_views[after] - order[-1]) * last
    return inside
