"""A picture of how the centre of rotation was found."""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np

from sinograd.io.files import replacing
from sinograd.io.pictures import check_picture_path

_INK, _QUIET, _FOUND = "#1a1a1a", "#5f6368", "#b3261e"
_DPI = 110


class FoundCenter(Protocol):
    """What is drawn; see `sinograd.preparation.Center`."""

    @property
    def offset_pixels(self) -> float:
        """Where it was found, in detector columns."""
        ...

    @property
    def certainty(self) -> float:
        """Standard error, in detector columns."""
        ...

    @property
    def candidates(self) -> Any:
        """Offsets that were tried, in detector columns."""
        ...

    @property
    def criterion(self) -> Any:
        """The mismatch at each."""
        ...

    @property
    def method(self) -> str:
        """What was compared."""
        ...


def plot_center(center: FoundCenter, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write a PNG of the mismatch against the offset, with the offset that was found and its standard error.

    Raises ValueError for another suffix, FileExistsError when the file exists and `force` is not set.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = check_picture_path(path, force=force)
    figure = Figure((6.4, 3.6), dpi=_DPI, facecolor="white")
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    axes.plot(np.asarray(center.candidates), np.asarray(center.criterion), color=_INK, linewidth=1.2)
    axes.axvline(center.offset_pixels, color=_FOUND, linewidth=1)
    error = center.certainty
    if np.isfinite(error):
        axes.axvspan(center.offset_pixels - error, center.offset_pixels + error, color=_FOUND, alpha=0.15, linewidth=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("offset of the detector along +u (pixels)", color=_QUIET, fontsize=9)
    axes.set_ylabel("mismatch (0 equal, 1 unrelated)", color=_QUIET, fontsize=9)
    axes.tick_params(labelsize=8, colors=_QUIET)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    spread = f"{error:.2g}" if np.isfinite(error) else "unknown"
    axes.set_title(
        f"{center.offset_pixels:+.3f} pixels, standard error {spread}, from {center.method}", color=_INK, fontsize=10
    )
    with replacing(path, force=force) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary), metadata={"Software": "sinograd"})
