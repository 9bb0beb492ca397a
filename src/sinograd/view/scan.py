"""A picture of a scan: projections at a few angles and the sinogram of the middle row."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.config.shown import printable
from sinograd.data.scan import Scan
from sinograd.errors import InputError
from sinograd.io.storage.atomic import replacing
from sinograd.view.slices import check_picture_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SINOGRAM_VIEWS = 400  # at most as many are read
_INK, _QUIET = "#1a1a1a", "#5f6368"


def save_scan_preview(
    scan: Scan, path: str | os.PathLike[str], *, title: str | None = None, force: bool = False
) -> None:
    """Write a PNG: the first, a middle and the last projection, and the middle row of up to 400 views.

    A 2-D scan is its sinogram alone. Grey runs from the 0.5 to the 99.5 percentile; rows are drawn with +v upwards.
    Reads those views and no more. Raises FileExistsError when the file exists and `force` is not set, ValueError
    when its name does not end in .png or the scan holds no finite value.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path = check_picture_path(Path(path), force=force)
    figure = scan_figure(scan, title)
    with replacing(path, force=force) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary), metadata={"Software": "sinograd"})


def scan_figure(scan: Scan, title: str | None) -> Figure:
    """The figure of `save_scan_preview`."""
    from matplotlib.figure import Figure

    views, *pixels = scan.shape
    flat = len(pixels) == 1
    chosen = np.unique(np.linspace(0, views - 1, min(views, _SINOGRAM_VIEWS)).round().astype(int))
    sinogram, shown = _read(scan, chosen)
    panels = [(f"view {view}", image, "column", "row") for view, image in shown.items()]
    panels.append(("sinogram" if flat else f"row {pixels[0] // 2} of every view", sinogram, "column", "view"))
    if not any(np.isfinite(image).any() for _, image, *_ in panels):
        raise InputError(f"{scan.name}: expected finite values, got only NaN or infinite ones")
    figure = Figure((3.6 * len(panels) + 0.8, 4.2), dpi=110, facecolor="white", layout="constrained")
    for (name, image, across, down), axes in zip(
        panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True
    ):
        drawn = _draw(axes, name, image, across, down, views)
        figure.colorbar(drawn, ax=axes, shrink=0.7).ax.tick_params(labelsize=7, colors=_QUIET)
    figure.suptitle(printable(title or Path(scan.name).name), color=_INK, fontsize=12, parse_math=False)
    figure.supxlabel(f"{scan.kind}" + ("" if flat else "; +v is drawn upwards"), color=_QUIET, fontsize=8)
    return figure


def _read(scan: Scan, chosen: np.ndarray) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """The middle rows of the chosen views, and the whole projections that are drawn."""
    pixels = scan.shape[1:]
    if len(pixels) == 1:
        return scan.load(chosen.tolist()).numpy(), {}
    shown: dict[int, np.ndarray] = {}
    wanted = {int(chosen[i]) for i in (0, len(chosen) // 2, -1)}
    rows = np.empty((len(chosen), pixels[1]), np.float32)
    for row, view in zip(rows, chosen.tolist(), strict=True):
        image = scan.load(slice(view, view + 1))[0].numpy()
        row[:] = image[pixels[0] // 2]
        if view in wanted:
            shown[view] = image.copy()
    return rows, shown


def _draw(axes: Axes, name: str, image: np.ndarray, across: str, down: str, views: int) -> Any:
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, (0.5, 99.5)) if finite.size else (0.0, 1.0)
    columns = image.shape[1]
    if down == "view":
        extent, origin, aspect = (-0.5, columns - 0.5, views - 0.5, -0.5), "upper", "auto"
    else:
        extent, origin, aspect = (-0.5, columns - 0.5, -0.5, image.shape[0] - 0.5), "lower", "equal"
    style: dict[str, Any] = {"extent": extent, "origin": origin, "aspect": aspect}
    drawn = axes.imshow(image, cmap="gray", vmin=low, vmax=high if high > low else low + 1, **style)
    axes.set_title(name, color=_INK, fontsize=10)
    axes.set_xlabel(across, color=_QUIET, fontsize=8)
    axes.set_ylabel(down, color=_QUIET, fontsize=8)
    axes.tick_params(labelsize=7, colors=_QUIET)
    return drawn
