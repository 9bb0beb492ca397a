"""Pictures of volumes: three orthogonal slices through the middle, beside the truth when there is one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sinograd.io.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sinograd.geometry import Grid

_PANEL = 3.6  # inches, the longer side of a slice
_INK = "#1a1a1a"
_QUIET = "#5f6368"


@dataclass(frozen=True)
class _Slice:
    """A plane through the middle of a grid: where it is, its axes and the box it fills, in mm."""

    title: str
    index: tuple[int | slice, ...]
    across: str
    along: str
    extent: tuple[float, float, float, float]

    @property
    def width(self) -> float:
        return abs(self.extent[1] - self.extent[0])

    @property
    def height(self) -> float:
        return abs(self.extent[3] - self.extent[2])


def save_preview(
    volume: torch.Tensor | np.ndarray,
    grid: Grid,
    path: str | os.PathLike[str],
    *,
    truth: torch.Tensor | np.ndarray | None = None,
    window: tuple[float, float] | None = None,
    title: str | None = None,
    unit: str = "1/mm",
    force: bool = False,
) -> None:
    """Write a PNG of the three slices through the middle of a volume (of the image itself in 2-D).

    With `truth` (same shape) there are rows for the reconstruction, the truth and their difference. `window`
    is the (low, high) shown as black and white; by default the 0.5 and 99.5 percentiles of the truth's
    slices, or of the reconstruction's. The difference has its own scale, symmetric about zero. Axes are in
    mm; +y is drawn downwards and +z upwards, which the picture says.

    Raises ValueError for shapes that do not match `grid` or a window that is not increasing, and
    FileExistsError when the file exists and `force` is not set.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path = check_picture_path(path, force=force)
    slices = _middle_slices(grid)
    shown = [("reconstruction", _cut(volume, grid, slices, "volume"))]
    if truth is not None:
        shown.append(("truth", _cut(truth, grid, slices, "truth")))
    low, high = _window(shown[-1][1]) if window is None else window
    if not low < high:
        raise ValueError(f"window must be (low, high) with low < high, got {(low, high)}")
    figure = _draw(slices, shown, (low, high), title, unit)
    with replacing(path, force=force) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary), metadata={"Software": "sinograd"})


def check_picture_path(path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Check, before a long computation, that a PNG can be written to `path`; raises like `save_preview`."""
    from sinograd.io.files import check_destination

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"cannot write the picture {path}: its name must end in .png")
    return check_destination(path, force=force, needed=1 << 20)


def _middle_slices(grid: Grid) -> list[_Slice]:
    axes = [axis.tolist() for axis in grid.axes()]
    low = [axis[0] - step / 2 for axis, step in zip(axes, grid.spacing, strict=True)]
    high = [axis[-1] + step / 2 for axis, step in zip(axes, grid.spacing, strict=True)]
    if grid.ndim == 2:
        return [_Slice("", (slice(None), slice(None)), "x", "y", (low[1], high[1], high[0], low[0]))]
    z, y, x = (n // 2 for n in grid.shape)
    everything = slice(None)
    down = (high[1], low[1])  # bottom, top of the drawing: +y down
    up = (low[0], high[0])  # +z up
    return [
        _Slice(f"z = {axes[0][z]:.4g} mm", (z, everything, everything), "x", "y", (low[2], high[2], *down)),
        _Slice(f"y = {axes[1][y]:.4g} mm", (everything, y, everything), "x", "z", (low[2], high[2], *up)),
        _Slice(f"x = {axes[2][x]:.4g} mm", (everything, everything, x), "y", "z", (low[1], high[1], *up)),
    ]


def _cut(
    volume: torch.Tensor | np.ndarray, grid: Grid, slices: Sequence[_Slice], name: str
) -> list[np.ndarray]:
    if tuple(volume.shape) != tuple(grid.shape):
        raise ValueError(f"{name} {list(volume.shape)} does not match grid.shape {tuple(grid.shape)}")
    planes = [volume[s.index] for s in slices]
    return [
        np.asarray(p.detach().cpu() if isinstance(p, torch.Tensor) else p, dtype=np.float32) for p in planes
    ]


def _window(planes: Sequence[np.ndarray]) -> tuple[float, float]:
    values = np.concatenate([plane.ravel() for plane in planes])
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    if low == high:
        low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low - 0.5, low + 0.5)


def _draw(
    slices: Sequence[_Slice],
    shown: Sequence[tuple[str, list[np.ndarray]]],
    window: tuple[float, float],
    title: str | None,
    unit: str,
) -> Figure:
    from matplotlib.figure import Figure

    rows: list[tuple[str, list[np.ndarray], dict[str, Any]]] = []
    grey = {"cmap": "gray", "vmin": window[0], "vmax": window[1]}
    rows += [(name, planes, grey) for name, planes in shown]
    if len(shown) == 2:
        difference = [a - b for a, b in zip(shown[0][1], shown[1][1], strict=True)]
        reach = _window([np.abs(plane) for plane in difference])[1]
        rows.append(("difference", difference, {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach}))

    largest = max(max(s.width, s.height) for s in slices)
    widths = [s.width / largest * _PANEL for s in slices]
    height = max(s.height for s in slices) / largest * _PANEL
    turned = len(slices) == 1  # one image: its rows stand side by side
    if turned:
        size = (len(rows) * (widths[0] * 1.6 + 1.3), height * 1.6 + 1.3)
    else:
        size = (sum(widths) + 0.85 * len(slices) + 1.0, len(rows) * (height + 0.7) + 0.8)
    figure = Figure(figsize=size, dpi=130, layout="constrained", facecolor="white")
    cells = figure.subplots(
        1 if turned else len(rows),
        len(rows) if turned else len(slices),
        squeeze=False,
        gridspec_kw=None if turned else {"width_ratios": widths},
    )
    for i, (name, planes, style) in enumerate(rows):
        places = [cells[0][i]] if turned else list(cells[i])
        image = None
        for plane, where, axes in zip(planes, slices, places, strict=True):
            image = axes.imshow(
                plane, extent=where.extent, origin=_origin(where), interpolation="antialiased", **style
            )
            _label(axes, where, title=name if turned else (where.title if i == 0 else ""))
        if not turned:
            places[0].annotate(
                name, (0, 0.5), (-58, 0), "axes fraction", "offset points", rotation=90, va="center",
                ha="center", color=_INK, fontsize=11, fontweight="bold",
            )  # fmt: skip
        assert image is not None
        bar = figure.colorbar(image, ax=places, shrink=0.92, aspect=24, pad=0.02)
        bar.set_label(
            f"{'error' if name == 'difference' else 'attenuation'} ({unit})", color=_QUIET, fontsize=8
        )
        bar.ax.tick_params(labelsize=7, colors=_QUIET)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    if title:
        figure.suptitle(title, color=_INK, fontsize=12)
    note = "+y is drawn downwards" + ("" if turned else ", +z upwards") + "; axes in mm"
    figure.supxlabel(note, color=_QUIET, fontsize=8)
    return figure


def _origin(where: _Slice) -> Any:
    """Row 0 is at the top where the first axis runs down (y), at the bottom where it runs up (z)."""
    return "upper" if where.along == "y" else "lower"


def _label(axes: Axes, where: _Slice, title: str) -> None:
    axes.set_xlabel(f"{where.across} (mm)", color=_QUIET, fontsize=8, labelpad=2)
    axes.set_ylabel(f"{where.along} (mm)", color=_QUIET, fontsize=8, labelpad=2)
    axes.tick_params(labelsize=7, colors=_QUIET, length=2.5)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if title:
        axes.set_title(title, color=_INK, fontsize=10)
