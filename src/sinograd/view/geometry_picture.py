"""`show_geometry`: where source, detector and volume stand, as a picture and as a page that turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.data.lengths import length_unit
from sinograd.errors import InputIndexError
from sinograd.geometry import Geometry, Grid
from sinograd.view.display import Display, figure_png
from sinograd.view.geometry_scene import Scene, scene_of
from sinograd.view.page import filled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK, _QUIET = "#1a1a1a", "#5f6368"
COLOURS = {"source": "#c0392b", "detector": "#1f5a94", "rays": "#e0a030", "volume": "#3a7d44", "axis": "#5f6368"}
_ELEVATION, _AZIMUTH = 25, -60  # degrees, of the eye of the picture


def show_geometry(
    geometry: Geometry, grid: Grid | None = None, *, view: int = 0, title: str | None = None, length: str = "mm"
) -> Display:
    """Show source, detector, orbit and volume in space at the end of a notebook's cell: a picture, a page that turns.

    Red: the source in all views (of a parallel beam where rays come from); blue: the detector in `view`; yellow: rays
    to its corners; green: the volume; grey: the axis of rotation. Up to 180 views are drawn.

    Args:
        geometry: of any kind.
        grid: of the volume; None: `geometry.default_grid()`, if there is one.
        view: whose detector and rays are drawn; the page has a slider.
        title: above the picture.
        length: "mm", or "pixel" of a scan whose pixel size is not known.

    Returns:
        A `Display`; `display.save("geometry.png")` or "geometry.html" writes it.

    Raises:
        InputTypeError: no Geometry, no Grid.
        InputError: a grid of other dimensions than the geometry's.
        InputIndexError: no such view.
    """
    scene = scene_of(geometry, grid)
    if not -len(geometry) <= view < len(geometry):
        raise InputIndexError(f"view: expected 0 to {len(geometry) - 1}, got {view}")
    nearest = int(np.abs(scene.views - view % len(geometry)).argmin())
    name = title or f"{type(geometry).__name__}, {len(geometry)} views"
    unit, scale = length_unit(np.abs(scene.extent).max(), length)
    figure = geometry_figure(scene, nearest, name, unit, scale)
    meta = {**_lines(scene, scale), "title": name, "view": nearest, "unit": unit, "colours": COLOURS}
    page = filled("sinograd.view", meta, b"", "geometry.html").decode()
    return Display(figure_png(figure), page, "turn it", 560, f"Display of {name}")


def geometry_figure(scene: Scene, view: int, title: str, unit: str, scale: float) -> Figure:
    """The scene by matplotlib, in space, or from +z where all of it is flat; `scale`: mm in one `unit`."""
    from matplotlib.figure import Figure

    figure = Figure((6.4, 5.6), dpi=110, facecolor="white", layout="constrained")
    axes: Any = figure.add_subplot() if scene.flat else figure.add_subplot(projection="3d")
    used = slice(0, 2 if scene.flat else 3)
    for points, colour, width in _drawn_lines(scene, view):
        axes.plot(*(points[:, used] / scale).T, color=colour, linewidth=width)
    for points, size in ((scene.places, 1.5), (scene.places[view : view + 1], 7)):
        style: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": size, "color": COLOURS["source"]}
        axes.plot(*(points[:, used] / scale).T, **style)
    axes.set_title(title, color=_INK, fontsize=11)
    for name in "xy" if scene.flat else "xyz":
        getattr(axes, f"set_{name}label")(f"{name} ({unit})", color=_QUIET, fontsize=9)
    axes.tick_params(labelsize=7, colors=_QUIET)
    if scene.flat:
        axes.set_aspect("equal")
    else:
        low, high = scene.extent
        axes.set_box_aspect(np.maximum(high - low, 0.02 * (high - low).max()), zoom=0.82)  # room for the labels
        axes.view_init(_ELEVATION, _AZIMUTH)
    return figure


def _drawn_lines(scene: Scene, view: int) -> list[tuple[np.ndarray, str, float]]:
    """Lines [points, 3] with colour and width."""
    rays = zip(scene.starts[view], scene.corners[view], strict=True)
    others = range(0, len(scene.views), max(1, len(scene.views) // 8))
    lines = [(edge, COLOURS["volume"], 1.2) for edge in scene.box]
    lines += [(np.stack(ray), COLOURS["rays"], 0.9) for ray in rays]
    lines += [(scene.outlines[other], COLOURS["detector"] + "40", 0.7) for other in others if other != view]
    lines.append((scene.outlines[view], COLOURS["detector"], 2.0))
    return lines if scene.flat else [*lines, (scene.axis, COLOURS["axis"], 1.0)]


def _lines(scene: Scene, scale: float) -> dict[str, Any]:
    """The scene for the page, rounded to a hundred-thousandth of its size."""
    low, high = scene.extent
    digits = max(0, 5 - int(np.floor(np.log10(max(float((high - low).max()) / scale, 1e-12)))))

    def plain(values: np.ndarray) -> Any:
        return (values / scale).round(digits).tolist()

    names = ("places", "outlines", "starts", "corners", "box", "axis")
    return {
        **{name: plain(getattr(scene, name)) for name in names},
        "views": scene.views.tolist(),
        "flat": scene.flat,
        "middle": plain((low + high) / 2),
        "radius": float(np.linalg.norm(high - low)) / 2 / scale,
    }
