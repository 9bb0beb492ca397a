"""Pictures of volumes: three orthogonal slices through the middle, beside the truth when there is one."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from sinograd.config.shown import printable
from sinograd.data.boxes import read_box
from sinograd.data.lengths import length_unit
from sinograd.data.provenance import orientation_note
from sinograd.data.units import quantity_text, unit_text
from sinograd.data.volume import Volume
from sinograd.errors import InputError
from sinograd.io.storage.atomic import check_destination, replacing
from sinograd.view.arguments import PathText, Values, volume_and_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sinograd.geometry import Grid

_PANEL = 3.6  # inches, the longer side of a slice
_THIN = 0.04  # of the longest side: what is less thick has no panel, beside others
_NAME, _BAR = 0.1, 0.13  # inches, the width of a row's name and of its colour bar
_INK = "#1a1a1a"
_QUIET = "#5f6368"
_HEADING = {"color": _INK, "fontsize": 11, "fontweight": "bold"}
_DPI = 110


@dataclass(frozen=True)
class _Slice:
    """A plane through the middle of a grid: where it is, its axes and the box it fills."""

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
    volume: Values,
    grid: Grid | PathText,
    path: PathText | None = None,
    *,
    truth: Values | None = None,
    window: tuple[float, float] | None = None,
    title: str | None = None,
    unit: str | None = None,
    force: bool = False,
) -> None:
    """Write a PNG of the three slices through the middle of a volume (of the image itself in 2-D).

    `save_preview(volume, "slices.png")` of a `Volume`, lazy ones too; `save_preview(values, grid, "slices.png",
    unit="1/mm")` of a tensor or an array. The colour bar names the unit.

    With `truth` (same shape) there are rows for the reconstruction, the truth and their difference. `window`
    is the (low, high) shown as black and white; by default the 0.5 and 99.5 percentiles of the truth's
    slices, or of the reconstruction's, and a little more. The difference has its own scale, symmetric about
    zero. Axes are in nm, um or mm, as fits; +y is drawn downwards and +z upwards, which the picture says.

    Slices that would be drawn thinner than 4 % of the longest side are left out, such as those along a volume of a
    few slices. Of a file only the chunks that the slices meet are read, where its format allows it.

    Raises TypeError when `grid` is no Grid, ValueError for shapes that do not match it, an unknown unit, slices without
    any finite value or a window that is not increasing, and FileExistsError when the file exists and `force` is not
    set.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    shown_volume, path = volume_and_path(volume, grid, path, unit)
    path = check_picture_path(path, force=force)
    figure = preview_figure(shown_volume, truth, window, title)
    with replacing(path, force=force) as temporary:
        FigureCanvasAgg(figure).print_png(
            str(temporary), metadata={"Software": "sinograd", "Description": quantity_text(shown_volume.unit)}
        )


def preview_figure(
    shown_volume: Volume, truth: Values | None, window: tuple[float, float] | None, title: str | None
) -> Figure:
    """The figure of `save_preview`."""
    edges = [abs(c) + s / 2 for c, s in zip(shown_volume.grid.center, shown_volume.grid.size[::-1], strict=True)]
    length, scale = length_unit(edges, shown_volume.length_unit)
    slices = _thick_enough(_middle_slices(shown_volume.grid.scaled(1 / scale), length))
    shown = [("reconstruction", _cut(shown_volume, slices, "volume"))]
    if truth is not None:
        if tuple(truth.shape) != shown_volume.shape:
            raise InputError(f"truth {list(truth.shape)} does not match grid.shape {shown_volume.shape}")
        values = truth if isinstance(truth, Volume) else Volume(truth, shown_volume.grid)
        shown.append(("truth", _cut(values, slices, "truth")))
    low, high = _with_margin(_window(shown[-1][1])) if window is None else window
    if not low < high:
        raise InputError(f"window must be (low, high) with low < high, got {(low, high)}")
    note = orientation_note(shown_volume.provenance)
    return _draw(slices, shown, (low, high), title, (shown_volume.unit, length), note)


def check_picture_path(path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Check, before a long computation, that a PNG can be written to `path`; raises like `save_preview`."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"cannot write the picture {path}: its name must end in .png")
    return check_destination(path, force=force, needed=1 << 20)


def _middle_slices(grid: Grid, length: str) -> list[_Slice]:
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
        _Slice(f"z = {axes[0][z]:.3g} {length}", (z, everything, everything), "x", "y", (low[2], high[2], *down)),
        _Slice(f"y = {axes[1][y]:.3g} {length}", (everything, y, everything), "x", "z", (low[2], high[2], *up)),
        _Slice(f"x = {axes[2][x]:.3g} {length}", (everything, everything, x), "y", "z", (low[1], high[1], *up)),
    ]


def _thick_enough(slices: list[_Slice]) -> list[_Slice]:
    """Those that can be made out: not thinner than `_THIN` of the longest side; the largest where none is."""
    longest = max(max(where.width, where.height) for where in slices)
    thick = [where for where in slices if min(where.width, where.height) >= _THIN * longest]
    return thick or [max(slices, key=lambda where: where.width * where.height)]


def _cut(volume: Volume, slices: Sequence[_Slice], name: str) -> list[np.ndarray]:
    """The planes, float32; of a volume in a file read by boxes, or block by block where its format has none."""
    if volume.ndim == 2:
        cut = [volume.read(0, 1)[0].detach().cpu().numpy()]
    elif not volume.is_lazy or hasattr(volume.source, "read_box"):
        cut = [_plane(volume, where).detach().cpu().numpy() for where in slices]
    else:
        cut = _cut_in_blocks(volume, slices)
    if not any(np.isfinite(plane).any() for plane in cut):
        raise InputError(f"{name}: expected finite values in the middle slices, got only NaN or infinite ones")
    return cut


def _plane(volume: Volume, where: _Slice) -> Tensor:
    box = [
        slice(i, i + 1) if isinstance(i, int) else slice(0, n) for i, n in zip(where.index, volume.shape, strict=True)
    ]
    shape = [n for i, n in zip(where.index, volume.shape, strict=True) if not isinstance(i, int)]
    return read_box(volume, (box[0], box[1], box[2])).reshape(shape)


def _cut_in_blocks(volume: Volume, slices: Sequence[_Slice]) -> list[np.ndarray]:
    """The planes of a volume that is read once from its first slice to its last."""
    parts: list[list[np.ndarray]] = [[] for _ in slices]
    for first, end in volume.blocks():
        values: Tensor | None = None
        for part, where in zip(parts, slices, strict=True):
            z = where.index[0]
            if isinstance(z, int) and not first <= z < end:
                continue
            values = volume.read(first, end) if values is None else values
            index = (z - first if isinstance(z, int) else z, *where.index[1:])
            part.append(values[index].detach().cpu().numpy())
    return [
        part[0] if isinstance(where.index[0], int) else np.concatenate(part)
        for part, where in zip(parts, slices, strict=True)
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


def _with_margin(window: tuple[float, float]) -> tuple[float, float]:
    """A little beyond the percentiles, so that noise about them shows."""
    margin = 0.08 * (window[1] - window[0])
    return window[0] - margin, window[1] + margin


def _draw(
    slices: Sequence[_Slice],
    shown: Sequence[tuple[str, list[np.ndarray]]],
    window: tuple[float, float],
    title: str | None,
    units: tuple[str | None, str],
    note: str | None = None,
) -> Figure:
    """units: of the values, and of lengths. note: a line below the picture."""
    unit, length = units
    grey = {"cmap": "gray", "vmin": window[0], "vmax": window[1]}
    rows: list[tuple[str, list[np.ndarray], dict[str, Any]]] = [(name, planes, grey) for name, planes in shown]
    if len(shown) == 2:
        difference = [a - b for a, b in zip(shown[0][1], shown[1][1], strict=True)]
        reach = _window([np.abs(plane) for plane in difference])[1]
        rows.append(("difference", difference, {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach}))

    figure, cells = _cells(slices, len(rows))
    for i, ((name, planes, style), (label, *places, bar)) in enumerate(zip(rows, cells, strict=True)):
        for plane, where, axes in zip(planes, slices, places, strict=True):
            image = axes.imshow(plane, extent=where.extent, origin=_origin(where), interpolation="antialiased", **style)
            _label(axes, where, length)
            if i == 0:
                axes.set_title(where.title, color=_INK, fontsize=10)
            figure.colorbar(image, cax=bar)
        if len(rows) > 1:
            label.text(0.5, 0.5, name, rotation=90, va="center", ha="center", **_HEADING)
        bar.set_ylabel(quantity_text(unit) if style is grey else f"error ({unit_text(unit)})", color=_QUIET, fontsize=8)
        bar.tick_params(labelsize=7, colors=_QUIET)
        bar.spines["outline"].set_visible(False)
    if title:
        figure.suptitle(printable(title), color=_INK, fontsize=12, parse_math=False)
    along = {where.along for where in slices}
    down, up = (("+y is drawn downwards" if "y" in along else ""), ("+z upwards" if "z" in along else ""))
    directions = ", ".join(words for words in (down, up if down else up.replace(" ", " is drawn ", 1)) if words)
    below = f"{directions}; axes in {length}" + ("" if note is None else f"\n{textwrap.fill(printable(note), 100)}")
    figure.supxlabel(below, color=_QUIET, fontsize=8, parse_math=False)
    return figure


def _cells(slices: Sequence[_Slice], rows: int) -> tuple[Figure, list[list[Axes]]]:
    """A figure that fits, and for each row the axes of its name, its slices and its colour bar.

    The rows of a single image stand side by side.
    """
    from matplotlib.figure import Figure

    largest = max(max(s.width, s.height) for s in slices)
    panel = _PANEL if len(slices) > 1 else 1.5 * _PANEL
    widths = [s.width / largest * panel for s in slices]
    height = max(s.height for s in slices) / largest * panel
    ratios = [_NAME, *widths, _BAR]
    size = (sum(ratios) + 0.6 * len(ratios), height + 0.5)
    if len(slices) > 1:
        size, count, ratios = (size[0], rows * size[1]), (rows, len(ratios)), ratios
    else:
        size, count, ratios = (rows * size[0], size[1]), (1, rows * len(ratios)), rows * ratios
    figure = Figure((size[0], size[1] + 0.7), dpi=_DPI, facecolor="white")
    figure.set_layout_engine("constrained", h_pad=0.07)
    axes = figure.subplots(*count, squeeze=False, gridspec_kw={"width_ratios": ratios}).reshape(rows, -1)
    for name in axes[:, 0]:
        name.set_axis_off()
    return figure, axes.tolist()


def _origin(where: _Slice) -> Any:
    """Row 0 is at the top where the first axis runs down (y), at the bottom where it runs up (z)."""
    return "upper" if where.along == "y" else "lower"


def _label(axes: Axes, where: _Slice, length: str) -> None:
    axes.set_xlabel(f"{where.across} ({length})", color=_QUIET, fontsize=8, labelpad=2)
    axes.set_ylabel(f"{where.along} ({length})", color=_QUIET, fontsize=8, labelpad=2)
    axes.tick_params(labelsize=7, colors=_QUIET, length=2.5)
    for spine in axes.spines.values():
        spine.set_visible(False)
