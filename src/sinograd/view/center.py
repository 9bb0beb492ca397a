"""A picture of the search for the centre of rotation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sinograd.io.storage.atomic import replacing
from sinograd.view.slices import check_picture_path

_INK, _QUIET, _LINE, _FOUND = "#1a1a1a", "#5f6368", "#1f5a94", "#c0392b"


class SearchedCenter(Protocol):
    """What `find_center` returns, as far as it is drawn."""

    @property
    def offset_pixels(self) -> float:
        """Of the detector along +u."""
        ...

    @property
    def standard_error(self) -> float:
        """Standard error, pixels."""
        ...

    @property
    def candidates(self) -> Any:
        """Offsets that were tried, pixels [n]."""
        ...

    @property
    def criterion(self) -> Any:
        """Mismatch at each [n]."""
        ...


def save_center_picture(center: SearchedCenter, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write a PNG of the mismatch over the offsets that were tried, with the one that was found.

    Raises ValueError when the name does not end in .png, FileExistsError when the file exists and `force` is not set.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = check_picture_path(Path(path), force=force)
    figure = Figure((6.4, 3.6), dpi=110, facecolor="white", layout="constrained")
    axes = figure.subplots()
    candidates, criterion = (np.asarray(values, dtype=np.float64) for values in (center.candidates, center.criterion))
    axes.plot(candidates, criterion, color=_LINE, linewidth=1.4, marker=".", markersize=3)
    axes.axvline(center.offset_pixels, color=_FOUND, linewidth=1.2)
    axes.set_title(
        f"found {center.offset_pixels:+.3f} pixels, standard error {center.standard_error:.2g}", color=_INK, fontsize=11
    )
    axes.set_xlabel("offset of the detector along +u (pixels)", color=_QUIET, fontsize=9)
    axes.set_ylabel("mismatch of lines seen from both sides", color=_QUIET, fontsize=9)
    axes.tick_params(labelsize=8, colors=_QUIET)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    with replacing(path, force=force) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary), metadata={"Software": "sinograd"})
