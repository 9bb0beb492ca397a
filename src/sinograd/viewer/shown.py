"""A volume as the viewer shows it: its name, its pyramid, its window, and the facts that a page needs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.data.lengths import length_text
from sinograd.data.units import number_text, unit_text
from sinograd.data.volume import Volume
from sinograd.errors import InputError
from sinograd.viewer.cache import ArrayCache
from sinograd.viewer.pyramid import CACHE_BYTES, Pyramid

BINS = 256
_PERCENTAGES = (0.5, 50.0, 99.5)
_LOADED_BYTES = 1 << 30  # the coarsest level of larger files is made while the page is looked at


class ShownVolume:
    """One of the volumes of a page.

    Attributes:
        name: for people; text of a file's name.
        pyramid: its values.
    """

    def __init__(self, name: str, levels: list[Volume], cache: ArrayCache | None = None) -> None:
        self.name = name
        self.is_image = levels[0].ndim == 2
        self.pyramid = Pyramid(levels, cache)
        if not self._is_quick:
            threading.Thread(target=lambda: self.pyramid.overview, name="overview", daemon=True).start()

    @property
    def facts(self) -> dict[str, Any]:
        """What a page needs to draw it: shapes and places of all levels (z, y, x; mm or pixels), unit, first window."""
        volume = self.pyramid.volume
        return {
            "name": self.name,
            "image": self.is_image,
            "shape": volume.shape,
            "unit": volume.unit,
            "unit_text": number_text("", volume.unit).strip() or unit_text(volume.unit),
            "length_unit": volume.length_unit,
            "dtype": str(volume.dtype).removeprefix("torch."),
            "about": self._about(volume),
            "is_mask": volume.unit == "1" and not volume.dtype.is_floating_point,
            "levels": [
                {"shape": v.shape, "spacing": v.spacing, "first": [float(axis[0]) for axis in v.grid.axes()]}
                for v in self.pyramid.levels
            ],
            **self.window,
        }

    @property
    def sample(self) -> np.ndarray:
        """Finite values that stand for the volume: of its coarsest level, or of a slice while that is not made yet."""
        if self.pyramid.prepared or self._is_quick:
            return self._sample
        level = len(self.pyramid.levels) - 1
        return _finite(self.pyramid.plane(level, "z", self.pyramid.levels[level].shape[0] // 2))

    @cached_property
    def _sample(self) -> np.ndarray:
        return _finite(self.pyramid.overview.read(0, self.pyramid.overview.slices).numpy())

    @property
    def _is_quick(self) -> bool:
        """Whether the coarsest level costs little."""
        volume = self.pyramid.volume
        return not volume.is_lazy or volume.nbytes <= _LOADED_BYTES or self.pyramid.has_copies

    @property
    def complete(self) -> bool:
        """Whether the sample is of the whole volume."""
        return self.pyramid.prepared

    @property
    def window(self) -> dict[str, Any]:
        """Low and high of the sample, and the window (0.5 to 99.5 %); null where no value is finite."""
        values = self.sample
        if not values.size:
            return {"low": None, "high": None, "window": [0.0, 1.0], "finite": False}
        low, high = float(values.min()), float(values.max())
        first, _, last = (float(v) for v in np.percentile(values, _PERCENTAGES))
        if not first < last:
            first, last = (low, high) if low < high else (low - 0.5, low + 0.5)
        return {"low": low, "high": high, "window": [first, last], "finite": True}

    def histogram(self) -> dict[str, Any]:
        """Counts of the sample between its least and its largest value."""
        values = self.sample
        if not values.size:
            return {"edges": [], "counts": [], "values": 0}
        counts, edges = np.histogram(values.astype(np.float64), BINS)
        return {"edges": edges, "counts": counts, "values": int(values.size)}

    def _about(self, volume: Volume) -> str:
        counts = " x ".join(map(str, volume.shape[1:] if self.is_image else volume.shape))
        spacing = volume.spacing[1:] if self.is_image else volume.spacing
        spacing = spacing[:1] if len(set(spacing)) == 1 else spacing
        return f"{counts} voxels of {length_text(spacing, 5, unit=volume.length_unit)}, {unit_text(volume.unit)}"


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)].astype(np.float32, copy=False)


def shown_volumes(volumes: Sequence[tuple[str | Path, list[Volume]]]) -> list[ShownVolume]:
    """The volumes of a page, which share one cache; `volumes` are names or paths with the levels of each."""
    if not volumes:
        raise InputError("volumes: expected at least one")
    cache = ArrayCache(CACHE_BYTES)
    names = [Path(name).name or str(name) for name, _ in volumes]
    if len(set(names)) < len(names):
        names = [str(name) for name, _ in volumes]
    return [ShownVolume(name, levels, cache) for name, (_, levels) in zip(names, volumes, strict=True)]
