"""Pictures of a run: denoised images, kernels of three places, PSNR over tube current, losses over steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from sinograd.losses.structure_aware import WIDTH
from sinograd.training import History
from structkpn.places import TERMS, Place
from structkpn.settings import LOW, Study
from study.figures import INK, QUIET, dress, save
from study.results import REFERENCES, Results

_DIFFERENCE = 0.15  # half the width of the window of the difference images
_COLORS = ("#1f4e9c", "#c0392b", "#2c7a4b", "#7d5ba6", "#b9770e")
_TERM_COLORS = ("#2b6cb0", "#e0e0e0", "#c05621")  # of squared, absolute and similarity errors


def save_images(
    study: Study, images: Mapping[str, Tensor], path: Path, part: tuple[float, float, float] | None = None
) -> None:
    """Images [Y, X] above their differences to the normal dose (Figures 3 and 4); part: (top, left, size) of height."""
    target = images["Normal dose"]
    rows, columns = target.shape
    cut = (slice(None), slice(None))
    if part is not None:
        top, left, size = (round(share * rows) for share in part)
        cut = (slice(top, top + size), slice(left, left + size))
        rows = columns = size
    names = [name for name in images if "x" not in name.rsplit(",", 1)[-1]]
    width, height = 1.9, 1.9 * rows / columns
    figure = Figure((width * len(names), 2 * height + 1.0), dpi=110, facecolor="white")
    grid = figure.subplots(2, len(names), squeeze=False)
    top, bottom = (1 - margin / figure.get_figheight() for margin in (0.7, 2 * height + 0.75))
    figure.subplots_adjust(0.005, bottom, 0.995, top, 0.03, 0.03)
    for axes, name in zip(grid.T, names, strict=True):
        axes[0].imshow(images[name][cut].numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes[0].set_title(name.replace(", ", ",\n"), color=INK, fontsize=8)
        if name != "Normal dose":
            apart = (images[name] - target)[cut].numpy()
            axes[1].imshow(apart, cmap="gray", vmin=-_DIFFERENCE, vmax=_DIFFERENCE, interpolation="nearest")
        for place in axes:
            place.set_axis_off()
    figure.suptitle(f"{study.title}, {study.profile} profile", color=INK, fontsize=10)
    reach, window = _DIFFERENCE * study.window.range, study.window
    words = (
        f"above: {window.low:g} to {window.low + window.range:g} HU; below: difference to the normal dose, ±{reach:.0f}"
    )
    figure.text(0.005, 0.02, f"{words} HU; +y is drawn downwards", color=QUIET, fontsize=7)
    save(figure, path)


def save_kernels(
    image: Tensor, places: Mapping[str, Place], kernels: Mapping[str, Tensor], rules: Tensor, path: Path
) -> None:
    """The places in the image, their kernels, and which term of the loss rules where (Figure 2)."""
    figure = Figure((3.2 * (len(kernels) + 2), 3.7), dpi=110, facecolor="white", layout="constrained")
    first, *middle, last = figure.subplots(1, len(kernels) + 2)
    first.imshow(image.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for (kind, place), color in zip(places.items(), cycle(_COLORS), strict=False):
        first.plot(place.column, place.row, "s", markersize=9, markerfacecolor="none", markeredgecolor=color)
        first.annotate(kind, (place.column, place.row), (6, 6), textcoords="offset points", color=color, fontsize=9)
    first.set_title("normal dose", color=INK, fontsize=9)
    for axes, (kind, kernel), color in zip(middle, kernels.items(), cycle(_COLORS), strict=False):
        shown = axes.imshow(kernel.numpy(), cmap="magma", vmin=0, interpolation="nearest")
        axes.set_title(f"kernel: {kind}", color=color, fontsize=9)
        figure.colorbar(shown, ax=axes, shrink=0.75).ax.tick_params(labelsize=7)
    half = WIDTH // 2
    rows, columns = image.shape
    extent = (half - 0.5, columns - half - 0.5, rows - half - 0.5, half - 0.5)
    last.imshow(rules.numpy(), cmap=ListedColormap(_TERM_COLORS), vmin=-0.5, vmax=2.5, extent=extent)
    last.set_title("largest weight in the loss", color=INK, fontsize=9)
    handles = [mpl.patches.Patch(color=color, label=term) for term, color in zip(TERMS, _TERM_COLORS, strict=True)]
    last.legend(handles=handles, fontsize=7, loc="lower right")
    for axes in (first, *middle, last):
        axes.set_axis_off()
    save(figure, path)


def save_currents(study: Study, results: Results, path: Path) -> None:
    """PSNR over the tube current, one column a voltage, with the phantoms' 95 % intervals (Figure 5)."""
    beam = study.beam
    figure = Figure((12, 6.4), dpi=110, facecolor="white", layout="constrained")
    grid = figure.subplots(len(REFERENCES), len(beam.voltages), squeeze=False)
    for row, (reference, words) in zip(grid, REFERENCES.items(), strict=True):
        for axes, kv in zip(row, beam.voltages, strict=True):
            for name, color in zip((LOW, *study.curve), (QUIET, *_COLORS), strict=False):
                found = {ma: results.summary(name, reference, "psnr", f"{kv:g}-{ma:g}") for ma in beam.currents}
                held = {ma: summary for ma, summary in found.items() if summary is not None}
                label = results.titles[name]
                axes.plot(
                    list(held), [s.mean for s in held.values()], color=color, marker="o", markersize=3, label=label
                )
                bounds = [s.low for s in held.values()], [s.high for s in held.values()]
                axes.fill_between(list(held), *bounds, color=color, alpha=0.15, linewidth=0)
            dress(axes, f"{kv:g} kV, PSNR to the {words}, dB", "mA")
    grid[0, 0].legend(fontsize=7, frameon=False)
    save(figure, path)


def save_convergence(histories: Mapping[str, Sequence[History]], path: Path) -> None:
    """Validation loss over the steps, one panel a method, one line a seed."""
    columns = 4
    rows = -(-len(histories) // columns)
    figure = Figure((12, 2.6 * rows), dpi=110, facecolor="white", layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (name, runs) in zip(grid, histories.items(), strict=False):
        for number, history in enumerate(runs):
            axes.plot(*history.column("validation_loss"), linewidth=1, color=f"C{number}")
        dress(axes, f"{name}: validation loss", "step")
    for axes in list(grid):
        axes.set_axis_off()
    save(figure, path)
