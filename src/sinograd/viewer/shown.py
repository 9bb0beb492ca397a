"""A volume as the viewer shows it: its name, its pyramid, its window, and the facts that a page needs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.data.lengths import length_text
from sinograd.data.unit_names import number_text, unit_text
from sinograd.errors import InputError, SinogradError
from sinograd.viewer.cache import ArrayCache
from sinograd.viewer.levels import Levels
from sinograd.viewer.pyramid import CACHE_BYTES, KEPT_BYTES, Pyramid

BINS = 256
_PERCENTAGES = (0.5, 50.0, 99.5)
_LOADED_BYTES = 1 << 30  # the coarsest level of larger files is made while the page is looked at


class ShownVolume:
    """One of the volumes of a page.

    Attributes:
        name: for people; text of a file's name.
        pyramid: its values.
    """

    def __init__(
        self, name: str, source: Levels, cache: ArrayCache | None = None, kept_bytes: int = KEPT_BYTES
    ) -> None:
        self.name, self.source = name, source
        self.is_image = source.is_image
        self.pyramid = Pyramid(source, cache, kept_bytes)
        threading.Thread(target=self._keep, name="coarse levels", daemon=True).start()

    def _keep(self) -> None:
        with suppress(SinogradError, OSError):  # requests that meet the same damage say so
            self.pyramid.keep()

    @property
    def facts(self) -> dict[str, Any]:
        """What a page needs to draw it: shapes and places of all levels (z, y, x; mm or pixels), unit, first window."""
        source, finest = self.source, self.pyramid.finest
        levels = [{"shape": v.shape, "spacing": v.spacing, "first": v.first} for v in self.pyramid.levels]
        return {
            "name": self.name,
            "image": self.is_image,
            "shape": finest.shape,
            "unit": source.unit,
            "unit_text": number_text("", source.unit).strip() or unit_text(source.unit),
            "length_unit": source.length_unit,
            "dtype": source.dtype,
            "about": self._about(),
            "is_mask": source.unit == "1" and finest.dtype.kind != "f",
            "levels": levels,
            **self.window,
            "quick": self.pyramid.quick,
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
        overview = self.pyramid.overview
        return _finite(overview.slices(0, overview.shape[0]))

    @property
    def _is_quick(self) -> bool:
        """Whether the coarsest level costs little."""
        finest = self.pyramid.finest
        return finest.values is not None or finest.nbytes <= _LOADED_BYTES or self.pyramid.has_copies

    @property
    def complete(self) -> bool:
        """Whether the sample is of the whole volume."""
        return self.pyramid.prepared

    @property
    def window(self) -> dict[str, Any]:
        """Low and high of the sample, and the window (0.5 to 99.5 %); null where no value is finite."""
        return self._window if self.pyramid.prepared or self._is_quick else _window_of(self.sample)

    @cached_property
    def _window(self) -> dict[str, Any]:
        return _window_of(self._sample)

    def histogram(self) -> dict[str, Any]:
        """Counts of the sample between its least and its largest value."""
        values = self.sample
        if not values.size:
            return {"edges": [], "counts": [], "values": 0}
        counts, edges = np.histogram(values.astype(np.float64), BINS)
        return {"edges": edges, "counts": counts, "values": int(values.size)}

    def _about(self) -> str:
        finest, source = self.pyramid.finest, self.source
        counts = " x ".join(map(str, finest.shape[1:] if self.is_image else finest.shape))
        spacing = finest.spacing[1:] if self.is_image else finest.spacing
        spacing = spacing[:1] if len(set(spacing)) == 1 else spacing
        return f"{counts} voxels of {length_text(spacing, 5, unit=source.length_unit)}, {unit_text(source.unit)}"


def _window_of(values: np.ndarray) -> dict[str, Any]:
    if not values.size:
        return {"low": None, "high": None, "window": [0.0, 1.0], "finite": False}
    low, high = float(values.min()), float(values.max())
    first, _, last = (float(v) for v in np.percentile(values, _PERCENTAGES))
    if not first < last:
        first, last = (low, high) if low < high else (low - 0.5, low + 0.5)
    return {"low": low, "high": high, "window": [first, last], "finite": True}


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)].astype(np.float32, copy=False)


def shown_volumes(volumes: Sequence[tuple[str | Path, Levels]]) -> list[ShownVolume]:
    """The volumes of a page, which share one cache; `volumes` are names or paths with the levels of each."""
    if not volumes:
        raise InputError("volumes: expected at least one")
    cache = ArrayCache(CACHE_BYTES)
    names = [Path(name).name or str(name) for name, _ in volumes]
    if len(set(names)) < len(names):
        names = [str(name) for name, _ in volumes]
    share = KEPT_BYTES // len(volumes)
    return [ShownVolume(name, levels, cache, share) for name, (_, levels) in zip(names, volumes, strict=True)]
