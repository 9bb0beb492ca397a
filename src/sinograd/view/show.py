"""`show`: a volume or a scan as the display of a notebook's cell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sinograd.data.scan import Scan, check_grid
from sinograd.data.volume import Volume
from sinograd.errors import InputError, InputTypeError
from sinograd.view.arguments import Values
from sinograd.view.display import Display, figure_png
from sinograd.view.page import page_bytes
from sinograd.view.scan import scan_figure
from sinograd.view.slices import preview_figure

if TYPE_CHECKING:
    from sinograd.geometry import Grid

PAGE_VOXELS = 500_000  # of the page in a notebook: about 1.3 MB
PAGE_BYTES = 1 << 30  # of a file that is read whole for a page


def show(
    volume: Values | Scan,
    grid: Grid | None = None,
    *,
    window: tuple[float, float] | None = None,
    title: str | None = None,
    unit: str | None = None,
    max_voxels: int = PAGE_VOXELS,
) -> Display:
    """Show a volume at the end of a notebook's cell: three slices through its middle, and a page with sliders.

    `sg.show(volume)` of a `Volume`, `sg.show(values, grid, unit="1/mm")` of a tensor or an array [Z, Y, X] or [Y, X],
    `sg.show(scan)` of a scan (projections and a sinogram, no page). Needs no server and no network. The picture is that
    of `save_preview`, the page that of `save_page`; of a volume in a file with more than 1 GB as float32 the picture
    alone.

    Args:
        volume: what to show.
        grid: of a tensor or an array.
        window: (low, high) drawn as black and white; None: from 0.5 to 99.5 %.
        title: above the picture.
        unit: of values whose unit is not known.
        max_voxels: of the page; a larger volume becomes means of n x n x n voxels. 0: the picture alone.

    Returns:
        A `Display`; `display.save("volume.png")` or "volume.html" writes it.

    Raises:
        InputTypeError: no volume, scan or tensor; a tensor without a Grid.
        InputError: a shape that is not the grid's, no finite value, a window that does not increase, a unit that is not
            the volume's.
    """
    if isinstance(volume, Scan):
        return Display(figure_png(scan_figure(volume, title)), None, "", 0, f"Display of the scan {volume.name}")
    if not isinstance(volume, Volume):
        if not hasattr(volume, "shape"):
            raise InputTypeError(
                f"volume: expected a Volume, a Scan, or a tensor with its grid, got a {type(volume).__name__}"
            )
        check_grid(grid)
        volume = Volume(volume, grid)  # pyright: ignore[reportArgumentType]
    volume = volume.stated(unit)
    if max_voxels < 0:
        raise InputError(f"max_voxels must be at least 0, got {max_voxels}")
    png = figure_png(preview_figure(volume, None, window, title))
    text = f"Display of {repr(volume).strip('<>')}"
    if not max_voxels or (volume.is_lazy and 4 * math.prod(volume.shape) > PAGE_BYTES):
        return Display(png, None, "", 0, text)
    page = page_bytes(volume, window, title or "volume", {}, max_voxels).decode()
    return Display(png, page, "look through the slices", 760 if volume.ndim == 3 else 640, text)
