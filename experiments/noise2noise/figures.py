"""Pictures of a run: images with their differences to the clean one, PSNR over PSNR."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

from noise2noise.results import Results
from noise2noise.settings import Study
from study.figures import INK, QUIET, dress, save

_DIFFERENCE = 0.1  # half the width of the window of the difference images
_COLORS, _STYLES = ("#1f4e9c", "#c0392b", "#2c7a4b", "#7d5ba6"), ("-", ":", "--", "-.")  # the paper's first two


def save_images(title: str, images: Mapping[str, Tensor], path: Path) -> None:
    """Images [Y, X] in the window 0 to 1 above their differences to the one named Clean (Figures 1 and 3)."""
    clean = images["Clean"]
    rows, columns = clean.shape
    width, height = 1.7, 1.7 * rows / columns
    figure = Figure((width * len(images), 2 * height + 1.0), dpi=110, facecolor="white")
    grid = figure.subplots(2, len(images), squeeze=False)
    top, bottom = (1 - margin / figure.get_figheight() for margin in (0.7, 2 * height + 0.75))
    figure.subplots_adjust(0.005, bottom, 0.995, top, 0.03, 0.03)
    for axes, (name, image) in zip(grid.T, images.items(), strict=True):
        axes[0].imshow(image.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes[0].set_title(name.replace(", ", ",\n"), color=INK, fontsize=7)
        if name != "Clean":
            reach = {"vmin": -_DIFFERENCE, "vmax": _DIFFERENCE}
            axes[1].imshow((image - clean).numpy(), cmap="gray", interpolation="nearest", **reach)
        for place in axes:
            place.set_axis_off()
    figure.suptitle(title, color=INK, fontsize=10)
    words = f"above: 0 to 1; below: difference to clean, ±{_DIFFERENCE:g}"
    figure.text(0.005, 0.02, words, color=QUIET, fontsize=7)
    save(figure, path)


def save_curves(study: Study, results: Results, name: str, path: Path) -> None:
    """PSNR of the output, and the gain, over that of the input (Figures 2 and 4), with the phantoms' 95 % intervals."""
    curve = study.curves[name]
    figure = Figure((9, 3.6), dpi=110, facecolor="white", layout="constrained")
    axes = figure.subplots(1, 2)
    for (dataset, method), color, style in zip(curve.networks, cycle(_COLORS), cycle(_STYLES), strict=False):
        trained = study.sets[dataset].noise.psnr
        found = results.curve(name, dataset, method)
        inputs = [level.psnr_in for level in found]
        for place, summaries in zip(axes, ([v.output for v in found], [v.gain for v in found]), strict=True):
            label = f"{study.title_of(method)}, {trained:g} dB"
            place.plot(inputs, [s.mean for s in summaries], style, color=color, marker="o", markersize=3, label=label)
            bounds = [s.low for s in summaries], [s.high for s in summaries]
            place.fill_between(inputs, *bounds, color=color, alpha=0.15, linewidth=0)
            place.axvline(trained, color=color, linewidth=0.6, alpha=0.6)
    axes[0].plot(curve.psnr, curve.psnr, color=QUIET, linewidth=0.8, label="noisy")
    axes[1].axhline(0, color=QUIET, linewidth=0.8)
    for place, label in zip(axes, ("(a) output PSNR, dB", "(b) gain, dB"), strict=True):
        dress(place, label, "input PSNR, dB")
    axes[0].legend(fontsize=7, frameon=False)
    figure.suptitle(curve.title, color=INK, fontsize=11)
    save(figure, path)
