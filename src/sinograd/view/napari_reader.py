"""Volumes as layers of napari, which finds this reader by the entry point `napari.manifest`; it is not needed here."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.data.boxes import read_box
from sinograd.data.units import unit_text
from sinograd.data.volume import Volume

Layer = tuple[Any, dict[str, Any], str]


class LazyArray:
    """A volume as napari slices it: what is asked for is read.

    Args:
        volume: in memory or lazy.
    """

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self.shape, self.ndim = volume.shape, volume.ndim
        self.dtype = np.dtype(str(volume.dtype).removeprefix("torch."))

    def __getitem__(self, key: Any) -> np.ndarray:
        """Voxels by integers and slices, as of a NumPy array; read box by box."""
        parts = key if isinstance(key, tuple) else (key,)
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            parts = (*parts[:at], *[slice(None)] * (self.ndim - len(parts) + 1), *parts[at + 1 :])
        parts = (*parts, *[slice(None)] * (self.ndim - len(parts)))
        ranges = [_places(part, count) for part, count in zip(parts, self.shape, strict=True)]
        boxes = [slice(min(r, default=0), max(r, default=-1) + 1) for r in ranges]
        leading = [slice(0, 1)] * (3 - self.ndim)
        values = read_box(self.volume, (*leading, *boxes)).numpy()  # pyright: ignore[reportArgumentType]
        steps = [slice(None, None, r.step) for r in ranges]  # a negative one begins at the end of the box
        values = values.reshape([b.stop - b.start for b in boxes])[tuple(steps)].astype(self.dtype)
        return values[tuple(0 if not isinstance(p, slice) else slice(None) for p in parts)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All values."""
        return np.asarray(self[...], dtype=dtype)


def _places(part: Any, count: int) -> range:
    """Voxels along an axis; of an integer the one, IndexError for one outside."""
    if isinstance(part, slice):
        return range(count)[part]
    place = range(count)[operator.index(part)]
    return range(place, place + 1)


def napari_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[Layer]] | None:
    """What reads a path, or None where it is no volume that sinograd knows."""
    from sinograd.errors import SinogradError
    from sinograd.io import is_volume

    paths = [path] if isinstance(path, str) else list(path)
    try:
        known = bool(paths) and all(Path(one).exists() and is_volume(one) for one in paths)
    except (SinogradError, OSError):
        return None
    return read_layers if known else None


def read_layers(path: str | Sequence[str]) -> list[Layer]:
    """A layer for each path: an image, or labels of whole numbers without unit; the pyramid of an OME-Zarr file.

    Places and spacings are in mm; `metadata` has the unit of the values.
    """
    return [_layer(Path(one)) for one in ([path] if isinstance(path, str) else path)]


def _layer(path: Path) -> Layer:
    from sinograd.io.volumes.read_write import open_levels

    levels = open_levels(path)
    first = levels[0]
    is_labels = first.unit == "1" and not first.dtype.is_floating_point
    options: dict[str, Any] = {
        "name": path.name,
        "scale": first.spacing,
        "translate": tuple(float(axis[0]) for axis in first.grid.axes()),
        "metadata": {"unit": unit_text(first.unit), "length_unit": first.length_unit},
    }
    arrays = [LazyArray(level) for level in levels]
    if len(arrays) > 1:
        options["multiscale"] = True
    return arrays if len(arrays) > 1 else arrays[0], options, "labels" if is_labels else "image"
