"""A page to look at a volume with: one HTML file that needs no server, no network and no program but a browser."""

from __future__ import annotations

import base64
import math
import os
import zlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.data.lengths import length_text, length_unit
from sinograd.data.units import number_text, unit_text
from sinograd.data.volume import Volume
from sinograd.errors import InputError
from sinograd.io.storage.atomic import check_destination, replacing
from sinograd.view.arguments import PathText, Values, volume_and_path
from sinograd.view.front_end import json_text, view_page

if TYPE_CHECKING:
    from sinograd.geometry import Grid

MAX_VOXELS = 4_000_000  # 2 bytes each, a third more as text: at most about 11 MB a page
_HISTOGRAM_BINS = 256
_LEVELS = 65535  # codes 1 to 65535 are values, 0 is not a number


def save_page(
    volume: Values,
    grid: Grid | PathText,
    path: PathText | None = None,
    *,
    window: tuple[float, float] | None = None,
    title: str = "volume",
    unit: str | None = None,
    details: Mapping[str, str] | None = None,
    max_voxels: int = MAX_VOXELS,
    with_3d: bool = False,
    force: bool = False,
) -> None:
    """Write a self-contained HTML page: the front end of `sinograd view` with the volume in it, without a server.

    Slices across z, y and x with a cross-hair, window and histogram, distances, profiles and regions, oblique planes
    and projections, values in the volume's unit. with_3d: the volume in 3-D, too, which adds 2.3 MB.

    `save_page(volume, "volume.html")` of a `Volume`, lazy ones too; `save_page(values, grid, "volume.html",
    unit="1/mm")` of a tensor or an array [Z, Y, X] or [Y, X]. A volume of more than `max_voxels` is shown as means of
    n x n x n voxels, with the smallest n that fits; the page says so. Values are stored in 65535 steps between
    the smallest and the largest; NaN and infinite ones are drawn in red. window: (low, high) drawn as black and
    white at first; by default the 0.5 and 99.5 percentiles. details: names and texts for the table below.

    Allocates three times the reduced volume, and float32 rows of one slab of the whole volume.
    Raises TypeError when `grid` is no Grid, ValueError for a shape that does not match it, a volume without any
    finite value, a window that is not increasing or a name that does not end in .html, and FileExistsError when
    the file exists and `force` is not set.
    """
    shown_volume, path = volume_and_path(volume, grid, path, unit)
    path = check_page_path(path, force=force)
    if max_voxels < 1:
        raise InputError(f"max_voxels must be at least 1, got {max_voxels}")
    page = page_bytes(shown_volume, window, title, details or {}, max_voxels, with_3d)
    with replacing(path, force=force, needed=len(page)) as temporary:
        temporary.write_bytes(page)


def page_bytes(
    volume: Volume,
    window: tuple[float, float] | None,
    title: str,
    details: Mapping[str, str],
    max_voxels: int,
    with_3d: bool = False,
) -> bytes:
    """The page of `save_page`."""
    grid = volume.grid
    factor = _factor(grid.shape, max_voxels)
    reduced = _reduce(volume, factor)
    finite = reduced[np.isfinite(reduced)]
    if finite.size == 0:
        raise InputError("volume: expected finite values, got only NaN or infinite ones")
    low, high = float(finite.min()), float(finite.max())
    shown = _window(finite) if window is None else (float(window[0]), float(window[1]))
    if not shown[0] < shown[1]:
        raise InputError(f"window must be (low, high) with low < high, got {window}")
    step = (high - low) / (_LEVELS - 1) or 1.0
    length, scale = length_unit(grid.size, volume.length_unit)
    about, shown_range = _about(volume, factor, low, high), {"low": low, "high": high, "window": shown}
    meta = {
        "title": title,
        "about": about,
        "length": length,
        "unit": number_text("", volume.unit).strip(),
        "flat": grid.ndim == 2,
        **shown_range,
        "step": step,
        **_axes(grid.scaled(1 / scale), factor, reduced.shape),
        "details": [[name, str(text)] for name, text in details.items()],
        "histogram": _histogram(finite),
        "volumes": [_facts(volume, reduced.shape, factor) | shown_range | {"name": title, "about": about}],
    }
    return view_page(meta, _encode(reduced, low, step), with_3d)


def check_page_path(path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Check, before a long computation, that a page can be written to `path`; raises like `save_page`."""
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"cannot write the page {path}: its name must end in .html")
    return check_destination(path, force=force, needed=1 << 20)


def _factor(shape: tuple[int, ...], max_voxels: int) -> int:
    """The smallest n so that means over n voxels along each axis leave no more than `max_voxels`."""
    factor = 1
    while math.prod(-(-n // factor) for n in shape) > max_voxels:
        factor += 1
    return factor


def _reduce(volume: Volume, factor: int) -> np.ndarray:
    """[Z, Y, X] float32 means of factor^3 voxels, of the voxels there are at the far ends."""
    if factor == 1:
        return _slices(volume, 0, volume.slices)
    sides = volume.shape[-2:]
    starts = [np.arange(0, n, factor) for n in sides]
    thick = 1 if volume.slices == 1 else factor
    slabs = []
    for z in range(0, volume.slices, thick):
        slab = _slices(volume, z, min(z + thick, volume.slices)).mean(axis=0)
        slab = np.add.reduceat(np.add.reduceat(slab, starts[0], axis=0), starts[1], axis=1)
        rows, columns = (np.diff(np.append(s, n)) for s, n in zip(starts, sides, strict=True))
        slabs.append(slab / np.outer(rows, columns).astype(np.float32))
    return np.stack(slabs)


def _slices(volume: Volume, first: int, end: int) -> np.ndarray:
    return volume.read(first, end).detach().cpu().numpy()


def _window(values: np.ndarray) -> tuple[float, float]:
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    if low == high:
        low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low - 0.5, low + 0.5)


def _facts(volume: Volume, shape: tuple[int, ...], factor: int) -> dict[str, Any]:
    """What the front end needs of a volume, lengths in mm or pixels, as `sinograd view` says it."""
    places = _axes(volume.grid, factor, shape)
    low_text = number_text("", volume.unit).strip() or unit_text(volume.unit)
    return {
        "image": volume.ndim == 2,
        "shape": places["shape"],
        "unit": volume.unit,
        "unit_text": low_text,
        "length_unit": volume.length_unit,
        "is_mask": volume.unit == "1" and not volume.dtype.is_floating_point,
        "levels": [places],
        "finite": True,
        "digits": 4,  # of values that are stored in 65535 steps
    }


def _histogram(finite: np.ndarray) -> dict[str, Any]:
    counts, edges = np.histogram(finite.astype(np.float64), _HISTOGRAM_BINS)
    return {"counts": counts.tolist(), "edges": edges.tolist(), "values": int(finite.size), "complete": True}


def _axes(grid: Grid, factor: int, shape: tuple[int, ...]) -> dict[str, Any]:
    """Shape, centre of the first voxel and spacing of what is shown, as (z, y, x)."""
    first = [float(axis[0]) for axis in grid.axes()]
    spacing = [float(step) for step in grid.spacing]
    first = [start + (factor - 1) / 2 * step for start, step in zip(first, spacing, strict=True)]
    spacing = [factor * step for step in spacing]
    if grid.ndim == 2:
        first, spacing = [0.0, *first], [spacing[0], *spacing]
    return {"shape": list(shape), "first": first, "spacing": spacing}


def _about(volume: Volume, factor: int, low: float, high: float) -> str:
    grid = volume.grid
    counts = " x ".join(str(n) for n in grid.shape)
    size = length_text(grid.spacing, 6, unit=volume.length_unit)
    values = number_text(f"{low:.4g} to {high:.4g}", volume.unit)
    text = f"{counts} voxels of {size} ({'z, y, x' if grid.ndim == 3 else 'y, x'}); {values}"
    return text if factor == 1 else f"{text}; shown as means over {factor} voxels along each axis"


def _encode(volume: np.ndarray, low: float, step: float) -> bytes:
    codes = np.zeros(volume.shape, dtype="<u2")
    for plane, out in zip(volume, codes, strict=True):
        finite = np.isfinite(plane)
        out[finite] = np.rint((plane[finite].astype(np.float64) - low) / step) + 1
    return base64.b64encode(zlib.compress(codes.tobytes(), 6))


def filled(package: str, meta: dict[str, Any], data: bytes, name: str = "page.html") -> bytes:
    """The page `name` of a package with the head that such pages share, and its data."""
    head = resources.files("sinograd.view").joinpath("page_head.html").read_text(encoding="utf-8")
    template = resources.files(package).joinpath(name).read_text(encoding="utf-8").replace("@HEAD@", head)
    before, rest = template.split("@META@")
    between, after = rest.split("@DATA@")
    return b"".join([before.encode(), json_text(meta), between.encode(), data, after.encode()])
