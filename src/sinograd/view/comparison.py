"""Volumes or images side by side, with their differences."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.data.units import unit_text
from sinograd.data.volume import Volume
from sinograd.errors import InputError, InputTypeError
from sinograd.io.storage.atomic import replacing
from sinograd.view.arguments import Values
from sinograd.view.slices import check_picture_path
from sinograd.view.wiping import wiped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sinograd.view.comparison_figure import ComparisonFigure

_PANEL, _BAR = 3.6, 0.9  # inches: a picture's width, and what its colour bar takes
_INK, _QUIET = "#1a1a1a", "#5f6368"
_DPI = 110


def show_comparison(
    *images: Values,
    titles: Sequence[str] | None = None,
    difference: bool = False,
    unit: str | None = None,
    window: tuple[float, float] | None = None,
    slice: int | None = None,
) -> Figure:
    """A picture of several images, or of one slice of volumes, side by side in one window of grey values.

    A notebook shows the figure that a cell ends with, and below it the images one over another, with a slider that
    wipes from one to the next; both need no server. `figure.savefig("comparison.png")` writes the picture.

    Args:
        images: at least one; `Volume`s, tensors or arrays [Y, X] or [Z, Y, X], all of one shape.
        titles: one for each.
        difference: a second row: each minus the last one, which is the reference, on a scale of its own that is
            symmetric about 0.
        unit: for the colour bars; that of the `Volume`s if it is not given.
        window: (low, high) shown as black and white; None: from 0.5 to 99.5 % of the last one's values.
        slice: of volumes, which one; None: the middle one.

    Returns:
        A matplotlib Figure that notebooks show by themselves.

    Raises:
        InputTypeError: something else than volumes, tensors and arrays of real numbers.
        InputError: no image, other shapes, another number of titles, a slice outside, values none of which is finite, a
            window that does not increase, differences of a single image, or units that differ.
    """
    if not images:
        raise InputError("images: expected at least one, got none")
    planes = [_plane(image, number, slice) for number, image in enumerate(images)]
    for number, plane in enumerate(planes):
        if plane.shape != planes[0].shape:
            raise InputError(f"images[{number}] has {_size(plane)} pixels, images[0] {_size(planes[0])}")
    if titles is not None and len(titles) != len(planes):
        raise InputError(f"titles: expected {len(planes)}, one for each image, got {len(titles)}")
    if difference and len(planes) < 2:
        raise InputError("difference: expected at least two images, got one")
    shown = _window(planes[-1]) if window is None else window
    if not shown[0] < shown[1]:
        raise InputError(f"window must be (low, high) with low < high, got {tuple(shown)}")
    names = [f"image {number + 1}" for number in range(len(planes))] if titles is None else list(titles)
    figure = _drawn(planes, names, shown, _unit(images, unit), difference)
    figure.wiped = wiped(planes, names, shown)
    return figure


def save_comparison(figure: Figure, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write the figure of `show_comparison` to a PNG file.

    Raises ValueError when the name does not end in .png, FileExistsError when the file exists and `force` is not set.
    """
    path = check_picture_path(Path(path), force=force)
    with replacing(path, force=force) as temporary:
        canvas: Any = figure.canvas
        canvas.print_png(str(temporary), metadata={"Software": "sinograd"})


def _plane(image: Any, number: int, slice: int | None) -> np.ndarray:
    """An image, or a slice of a volume, [Y, X]."""
    if not hasattr(image, "shape"):
        raise InputTypeError(f"images[{number}]: expected a Volume, a tensor or an array, got {type(image).__name__}")
    shape = tuple(image.shape)
    if len(shape) not in (2, 3) or 0 in shape:
        raise InputError(f"images[{number}]: expected [Y, X] or [Z, Y, X], got {list(shape)}")
    values = image
    if len(shape) == 3:
        index = shape[0] // 2 if slice is None else slice
        if not 0 <= index < shape[0]:
            raise InputError(f"slice: expected 0 to {shape[0] - 1}, got {slice}")
        values = image.read(index, index + 1)[0] if isinstance(image, Volume) else image[index]
    elif isinstance(image, Volume):
        values = image.values
    plane = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype=np.float64)
    if not np.isfinite(plane).any():
        raise InputError(f"images[{number}]: none of its values is finite")
    return plane


def _size(plane: np.ndarray) -> str:
    return " x ".join(map(str, plane.shape))


def _unit(images: Sequence[Any], unit: str | None) -> str:
    held = {image.unit for image in images if isinstance(image, Volume) and image.unit is not None}
    if unit is not None:
        held = {image.stated(unit).unit for image in images if isinstance(image, Volume)} or {unit}
    if len(held) > 1:
        raise InputError(f"images: expected one unit, got {' and '.join(sorted(map(str, held)))}")
    return "" if not held else unit_text(next(iter(held)))


def _window(plane: np.ndarray) -> tuple[float, float]:
    """From 0.5 to 99.5 % of the finite values; a little around a constant."""
    low, high = np.percentile(plane[np.isfinite(plane)], (0.5, 99.5))
    return (float(low), float(high)) if low < high else (float(low) - 0.5, float(high) + 0.5)


def _drawn(
    planes: list[np.ndarray], names: list[str], window: tuple[float, float], unit: str, difference: bool
) -> ComparisonFigure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from sinograd.view.comparison_figure import ComparisonFigure

    rows, columns = 1 + difference, len(planes)
    height = _PANEL * planes[0].shape[0] / planes[0].shape[1]
    size = (columns * _PANEL + _BAR, rows * (height + 0.35))
    figure = ComparisonFigure(size, dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    grey: dict[str, Any] = {"cmap": "gray", "vmin": window[0], "vmax": window[1]}
    image: Any = None
    for axis, plane, name in zip(axes[0], planes, names, strict=True):
        image = axis.imshow(plane, **grey)
        axis.set_title(name, color=_INK, fontsize=11)
    _bar(figure, image, axes[0], unit)
    if difference:
        changes = [plane - planes[-1] for plane in planes[:-1]]
        finite = np.concatenate([np.abs(change[np.isfinite(change)]) for change in changes])
        most = float(np.percentile(finite, 99.5)) if finite.size else 0.0
        coloured: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -(most or 1.0), "vmax": most or 1.0}
        for axis, change, name in zip(axes[1], changes, names, strict=False):
            image = axis.imshow(change, **coloured)
            axis.set_title(f"{name} - {names[-1]}", color=_INK, fontsize=11)
        _bar(figure, image, axes[1], unit)
    for axis in axes.flat:
        axis.set_axis_off()
    return figure


def _bar(figure: Figure, image: Any, axes: Any, unit: str) -> None:
    bar = figure.colorbar(image, ax=list(axes), fraction=0.05, pad=0.01)
    bar.ax.tick_params(labelsize=8, colors=_QUIET)
    if unit:
        bar.set_label(unit, color=_QUIET, fontsize=9)
