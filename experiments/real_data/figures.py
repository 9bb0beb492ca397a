"""The measured images, their lower doses and what methods made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

from real_data.settings import Study
from study.figures import INK, QUIET, save

_WINDOW = (-160.0, 240.0)


def save_images(study: Study, shown: Mapping[str, Mapping[str, Tensor]], path: Path) -> None:
    """One row a test image, one column a method; the last one is the target."""
    columns = max(len(images) for images in shown.values())
    figure = Figure((1.9 * columns, 2.1 * len(shown) + 0.5), dpi=110, facecolor="white")
    grid = figure.subplots(len(shown), columns, squeeze=False)
    figure.subplots_adjust(0.03, 0.04, 0.995, 0.9, 0.03, 0.05)
    for number, (row, (title, images)) in enumerate(zip(grid, shown.items(), strict=True)):
        for axes, (name, image) in zip(row, images.items(), strict=True):
            axes.imshow(image.numpy(), cmap="gray", vmin=_WINDOW[0], vmax=_WINDOW[1], interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            if number == 0:
                axes.set_title(name.replace(", ", ",\n"), color=INK, fontsize=7)
        row[0].set_ylabel(title, color=INK, fontsize=7)
    figure.suptitle(f"{study.title}, {study.profile} profile", color=INK, fontsize=10)
    figure.text(0.005, 0.01, "-160 to 240 HU; +y is drawn downwards", color=QUIET, fontsize=7)
    save(figure, path)
