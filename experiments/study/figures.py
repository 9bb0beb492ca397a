"""Pictures of a run: predictions with difference images, loss curves, depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sinograd.io.storage.atomic import replacing
from study.config import Region, Study
from study.drawn import Lines
from study.results import REFERENCES, Results

INK, QUIET = "#1a1a1a", "#5f6368"
_GRAY = colormaps["gray"].with_extremes(bad="#c0392b")


def save_predictions(
    study: Study, slices: Mapping[str, np.ndarray], path: Path, title: str, region: Region | None = None
) -> None:
    """Slices [Y, X] in the unit of the scale, or a region of them, above their differences to the last one, the target
    (Figures 4, 5 and 7).
    """
    part = _slices(region, study.grid.shape[1:])
    images = {name: np.ma.masked_invalid(image[part].astype(np.float32)) for name, image in slices.items()}
    target = list(images)[-1]
    figure = Figure((2.3 * len(images) + 0.6, 5.4), dpi=110, facecolor="white")
    grid = figure.subplots(2, len(images), squeeze=False)
    inch = 1 / figure.get_figwidth()
    right = 1 - 0.75 * inch
    figure.subplots_adjust(0.01, 0.05, right, 0.86, 0.04, 0.1)
    low, high = study.scale.window
    reach = study.scale.difference
    for column, (name, image) in enumerate(images.items()):
        shown = grid[0, column].imshow(image, cmap=_GRAY, vmin=low, vmax=high, interpolation="nearest")
        grid[0, column].set_title(name, color=INK, fontsize=9)
        if name != target:
            difference = image - images[target]
            differed = grid[1, column].imshow(difference, cmap=_GRAY, vmin=-reach, vmax=reach, interpolation="nearest")
        for axes in grid[:, column]:
            axes.set_axis_off()
    unit = study.scale.unit
    for row, (mappable, axes) in enumerate(((shown, grid[0, -1]), (differed, grid[1, -1]))):
        box = axes.get_position()
        bar = figure.colorbar(mappable, cax=figure.add_axes((right + 0.08 * inch, box.y0, 0.1 * inch, box.height)))
        bar.set_label(unit if row == 0 else f"difference to {target.lower()}, {unit}", color=QUIET, fontsize=7)
        bar.ax.tick_params(labelsize=7, colors=QUIET)
    figure.suptitle(title, color=INK, fontsize=11)
    red = "; red: not a number" if any(np.ma.is_masked(image) for image in images.values()) else ""
    figure.text(0.01, 0.01, f"+y is drawn downwards{red}", color=QUIET, fontsize=7)
    save(figure, path)


def save_losses(lines: Mapping[str, Sequence[Lines]], path: Path) -> None:
    """Training loss and, of filters, spatial and range sigmas over the steps; of networks the validation loss.

    One row a method, one line a seed (and filter).
    """
    figure = Figure((12, 2.6 * len(lines)), dpi=110, facecolor="white", layout="constrained")
    rows = figure.subplots(len(lines), 3, squeeze=False)
    for (name, runs), axes in zip(lines.items(), rows, strict=True):
        validated = any("validation_loss" in columns for columns in runs)
        for run, columns in enumerate(runs):
            for column, line in columns.items():
                kind = column.rsplit(".sigma_", 1)[-1]
                if column == "training_loss":
                    axes[0].plot(*line, linewidth=1, color=f"C{run}")
                elif column == "validation_loss":
                    axes[1].plot(*line, linewidth=1, color=f"C{run}")
                elif kind in ("z", "y", "x", "range"):
                    place = axes[2] if kind == "range" else axes[1]
                    place.plot(*line, linewidth=0.8, color=f"C{run}", alpha=0.8)
        axes[0].set_yscale("log")
        labels = [f"{name}: training loss", "spatial sigmas, voxels", "sigma range"]
        if validated:
            axes[1].set_yscale("log")
            axes[2].set_axis_off()
            labels = [labels[0], "validation loss"]
        for place, label in zip(axes, labels, strict=False):
            dress(place, label, "step")
    save(figure, path)


def save_depth(study: Study, results: Results, path: Path) -> None:
    """SSIM and PSNR over the number of filters (Figure 6), with the standard deviation over the phantoms."""
    assert study.depth is not None
    figure = Figure((9, 3.4), dpi=110, facecolor="white", layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2), ("ssim", "psnr"), strict=True):
        for reference, words in REFERENCES.items():
            found = {n: results.summary(f"depth-{n}", reference, metric) for n in study.depth.filters}
            held = {n: summary for n, summary in found.items() if summary is not None}
            means, stds = [s.mean for s in held.values()], [s.std for s in held.values()]
            axes.errorbar(list(held), means, stds, marker="o", markersize=4, capsize=3, label=f"to {words}")
        dress(axes, metric.upper() + (", dB" if metric == "psnr" else ""), "bilateral filters")
        axes.legend(fontsize=7, frameon=False)
    save(figure, path)


def save_sizes(study: Study, results: Results, path: Path) -> None:
    """PSNR over the number of training phantoms, with the standard deviation over the test phantoms."""
    assert study.sizes is not None
    figure = Figure((9, 3.4), dpi=110, facecolor="white", layout="constrained")
    for axes, (reference, words) in zip(figure.subplots(1, 2), REFERENCES.items(), strict=True):
        for like in study.sizes.methods:
            found = {n: results.summary(f"size-{n}-{like}", reference, "psnr") for n in study.sizes.counts}
            held = {n: summary for n, summary in found.items() if summary is not None}
            means, stds = [s.mean for s in held.values()], [s.std for s in held.values()]
            axes.errorbar(list(held), means, stds, marker="o", markersize=4, capsize=3, label=results.titles[like])
        dress(axes, f"PSNR to {words}, dB", "training phantoms")
        axes.legend(fontsize=7, frameon=False)
    save(figure, path)


def _slices(region: Region | None, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of a square that is given in fractions of height, width and height; None: of all."""
    if region is None:
        return slice(None), slice(None)
    top, left = round(region[0] * shape[0]), round(region[1] * shape[1])
    size = max(1, round(region[2] * shape[0]))
    return slice(top, top + size), slice(left, left + size)


def dress(axes: Axes, title: str, below: str) -> None:
    """Titles, ticks and lines of a plot."""
    axes.set_title(title, color=INK, fontsize=9)
    axes.set_xlabel(below, color=QUIET, fontsize=8)
    axes.tick_params(labelsize=7, colors=QUIET, which="both")
    axes.grid(alpha=0.25, linewidth=0.5)


def save(figure: Figure, path: Path) -> None:
    """As PNG; replaces the file."""
    with replacing(path, force=True) as temporary:
        options: dict[str, Any] = {"metadata": {"Software": "sinograd"}}
        FigureCanvasAgg(figure).print_png(str(temporary), **options)
