"""Figures 3 to 7 of the paper: denoised crops, samples and what differs, crops by their similarity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from study.figures import INK, QUIET, save

WINDOW = {"vmin": -1350.0, "vmax": 150.0}  # the paper's, C -600 W 1500
_DEVIATION = {"vmin": 0.0, "vmax": 300.0}
_HEAT = {"cmap": "inferno", **_DEVIATION}


def save_grid(
    titles: Sequence[str],
    rows: Sequence[tuple[str, Sequence[Tensor | None]]],
    path: Path,
    title: str,
    heat: Sequence[int] = (),
) -> None:
    """Images [1, Y, X] in HU, a row each with its name; columns of `heat` are differences, 0 to 300 HU."""
    height = 1.35
    figure = Figure((height * len(titles) + 1.2, height * len(rows) + 0.9), dpi=100, facecolor="white")
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    figure.subplots_adjust(
        1.15 / figure.get_figwidth(), 0.25 / figure.get_figheight(), 0.995, 1 - 0.6 / figure.get_figheight(), 0.03, 0.03
    )
    for row, (name, images) in enumerate(rows):
        for column, image in enumerate(images):
            place = axes[row, column]
            place.set_xticks([])
            place.set_yticks([])
            if image is None:
                place.set_axis_off()
                continue
            how: dict[str, Any] = _HEAT if column in heat else {"cmap": "gray", **WINDOW}
            place.imshow(image[0].numpy(), interpolation="nearest", **how)
            if row == 0:
                place.set_title(titles[column], color=INK, fontsize=7)
        axes[row, 0].set_ylabel(name, color=INK, fontsize=7)
    figure.suptitle(title, color=INK, fontsize=10)
    figure.text(0.005, 0.005, "grey: -1350 to 150 HU; colours: 0 to 300 HU", color=QUIET, fontsize=7)
    save(figure, path)
