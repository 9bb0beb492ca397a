"""Measures of a volume as the page shows them: profiles, regions, projections along an axis, oblique planes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sinograd.errors import InputError
from sinograd.viewer.levels import Box
from sinograd.viewer.pyramid import Pyramid, axis_number

OBLIQUE_VOXELS = 384  # along the longest axis of the copy that oblique planes and projections are made of
_SMALLEST_SPECTRUM, _LARGEST_SPECTRUM = 8, 1024  # voxels a side
_LARGEST_REGION = 1 << 24  # voxels
_SLAB_BYTES = 64 << 20


def profile(
    pyramid: Pyramid, axis: str, index: int, start: tuple[float, float], end: tuple[float, float]
) -> dict[str, Any]:
    """Values along a line in a slice of the finest level, linearly interpolated, one a voxel or closer.

    Args:
        axis, index: the slice.
        start, end: (row, column) of the slice in voxels, from 0.

    Returns:
        distance: from the start in mm (pixels), [n]; value: [n]; length: of the line.
    """
    from scipy.ndimage import map_coordinates

    finest = pyramid.finest
    shape, spacing = _in_plane(finest.shape, axis), _in_plane(finest.spacing, axis)
    for name, point in (("from", start), ("to", end)):
        if not all(-0.5 <= p <= n - 0.5 for p, n in zip(point, shape, strict=True)):
            raise InputError(f"{name}: expected a point within {shape[0]} x {shape[1]} voxels, got {list(point)}")
    span = [e - s for s, e in zip(start, end, strict=True)]
    length = math.hypot(*(d * s for d, s in zip(span, spacing, strict=True)))
    shares = np.linspace(0.0, 1.0, max(2, math.ceil(max(map(abs, span))) + 1))
    lowest = [max(0, math.floor(min(s, e))) for s, e in zip(start, end, strict=True)]
    highest = [min(n, math.ceil(max(s, e)) + 1) for s, e, n in zip(start, end, shape, strict=True)]
    plane = _plane_box(pyramid, axis, index, (lowest[0], highest[0], lowest[1], highest[1]))
    rows, columns = (s + shares * d - low for s, d, low in zip(start, span, lowest, strict=True))
    values = map_coordinates(plane.astype(np.float64), [rows, columns], order=1, mode="nearest")
    return {"distance": shares * length, "value": values, "length": length}


def region(pyramid: Pyramid, axis: str, index: int, box: tuple[int, int, int, int]) -> dict[str, Any]:
    """Mean, SD and so on of the finite values of a box in a slice of the finest level, and its noise power spectrum.

    Args:
        axis, index: the slice.
        box: first and last (excluded) row, first and last (excluded) column.

    Returns:
        mean, sd (with n - 1), low, high, median, count, missing (voxels that are not finite), size (along rows and
        columns, mm or pixels), frequency (1/mm) and power (unit^2 mm^2), which are of the middle 1024 x 1024 voxels at
        most, and empty for fewer than 8 x 8.
    """
    shape, spacing = _in_plane(pyramid.finest.shape, axis), _in_plane(pyramid.finest.spacing, axis)
    top, bottom, left, right = box
    if not (0 <= top < bottom <= shape[0] and 0 <= left < right <= shape[1]):
        raise InputError(f"box: expected rows 0 to {shape[0]} and columns 0 to {shape[1]}, got {list(box)}")
    if (bottom - top) * (right - left) > _LARGEST_REGION:
        raise InputError(f"box: expected at most {_LARGEST_REGION:,} voxels, got {list(box)}")
    values = _plane_box(pyramid, axis, index, box).astype(np.float64)
    finite = values[np.isfinite(values)]
    found: dict[str, Any] = {"count": finite.size, "missing": values.size - finite.size}
    found["size"] = [(bottom - top) * spacing[0], (right - left) * spacing[1]]
    found |= {"frequency": [], "power": []}
    if finite.size:
        found |= {"mean": finite.mean(), "low": finite.min(), "high": finite.max(), "median": np.median(finite)}
        found["sd"] = finite.std(ddof=1) if finite.size > 1 else 0.0
    if finite.size == values.size and min(values.shape) >= _SMALLEST_SPECTRUM:
        import torch

        from sinograd.metrics import noise_power_spectrum

        radial = noise_power_spectrum(torch.from_numpy(_middle(values)), spacing=spacing).radial()
        found |= {"frequency": radial.frequency[1:].numpy(), "power": radial.power[1:].numpy()}
    return found


def _middle(values: np.ndarray) -> np.ndarray:
    """The middle of a plane, with at most `_LARGEST_SPECTRUM` voxels a side."""
    rows, columns = (max(0, n - _LARGEST_SPECTRUM) // 2 for n in values.shape)
    return np.ascontiguousarray(values[rows : rows + _LARGEST_SPECTRUM, columns : columns + _LARGEST_SPECTRUM])


def projection(pyramid: Pyramid, axis: str, kind: str) -> tuple[np.ndarray, int]:
    """The largest value ("max") or the mean along an axis, of a copy of at most 384 voxels a side, and its level."""
    level = pyramid.finest_within(OBLIQUE_VOXELS)
    source, number = pyramid.level(level), axis_number(axis)
    count = source.shape[0]
    step = max(1, _SLAB_BYTES // (4 * math.prod(source.shape[1:])))
    parts = []
    for first in range(0, count, step):
        slab = source.slices(first, min(first + step, count))
        if kind == "max":
            parts.append(np.fmax.reduce(slab, axis=number).astype(np.float32))
        else:
            parts.append(slab.sum(axis=number, dtype=np.float64))
    if number:
        whole = np.concatenate(parts)
    else:
        whole = np.fmax.reduce(parts, axis=0) if kind == "max" else np.sum(parts, axis=0)
    return (whole if kind == "max" else whole / source.shape[number]).astype(np.float32), level


def oblique(
    pyramid: Pyramid, middle: tuple[float, float, float], turn: float, tilt: float
) -> tuple[np.ndarray, float, int]:
    """A plane through a point, linearly interpolated, NaN outside the volume.

    The plane across z is tilted about its own x axis by `tilt`, and then turned about z by `turn`, both in degrees.

    Args:
        middle: (x, y, z) in mm or pixels, which becomes the middle of the picture.

    Returns:
        The square plane, float32, mm between its pixels, and the level that it was made of.
    """
    level = pyramid.finest_within(OBLIQUE_VOXELS)
    from scipy.ndimage import map_coordinates

    source = pyramid.level(level)
    values = pyramid.whole(level)
    step = min(source.spacing)
    size = [n * s for n, s in zip(source.shape, source.spacing, strict=True)]
    count = math.ceil(math.hypot(*size) / step)
    count = min(count, 2 * OBLIQUE_VOXELS)
    a, b = math.radians(turn), math.radians(tilt)
    along = np.array([math.cos(a), math.sin(a), 0.0])
    down = np.array([-math.sin(a) * math.cos(b), math.cos(a) * math.cos(b), math.sin(b)])
    offsets = (np.arange(count) - (count - 1) / 2) * step
    places = np.array(middle) + offsets[:, None, None] * down + offsets[None, :, None] * along
    index = [(places[..., 2 - i] - source.first[i]) / source.spacing[i] for i in range(3)]
    plane = map_coordinates(values, index, order=1, mode="constant", cval=np.nan, output=np.float32)
    return plane, step, level


def _in_plane(values: tuple[Any, ...], axis: str) -> tuple[Any, Any]:
    first, second = (v for i, v in enumerate(values) if i != axis_number(axis))
    return first, second


def _plane_box(pyramid: Pyramid, axis: str, index: int, box: tuple[int, int, int, int]) -> np.ndarray:
    number = axis_number(axis)
    parts = [slice(box[0], box[1]), slice(box[2], box[3])]
    parts.insert(number, slice(index, index + 1))
    place: Box = (parts[0], parts[1], parts[2])
    return pyramid.finest.box(place).astype(np.float32, copy=False).squeeze(number)
