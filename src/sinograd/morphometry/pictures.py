"""Pictures of the maps of a bone: three slices through the middle of its region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.view.display import figure_png

_INK, _DPI = "#e9ebee", 100
_PANEL, _GAP, _BAR = 2.6, 0.15, 0.12  # inches: the longer side of a slice, between them, the colour bar
_GROUND = "#1f2226"
_TITLES = ("across z", "across y", "across x")


@dataclass(frozen=True, eq=False)
class MapPicture:
    """Three planes of a map, with the sides of their pixels in mm, to be drawn."""

    title: str
    unit: str
    planes: tuple[np.ndarray, np.ndarray, np.ndarray]
    spacing: tuple[float, float, float]

    @classmethod
    def of(
        cls, title: str, unit: str, values: Tensor, middle: Sequence[int], spacing: tuple[float, float, float]
    ) -> MapPicture:
        """The planes through voxel `middle` of values [Z, Y, X]; copies, so that the volume can go."""
        z, y, x = middle
        across = (values[z], values[:, y], values[:, :, x])
        one, two, three = (plane.to(torch.float32).cpu().numpy().copy() for plane in across)
        return cls(title, unit, (one, two, three), spacing)

    def png(self) -> bytes:
        """The picture: +y down, +z up, NaN left blank; without a number it says so."""
        from matplotlib.figure import Figure

        z, y, x = self.spacing
        sides = ((y, x), (z, x), (z, y))
        extents = [
            (plane.shape[0] * down, plane.shape[1] * along)
            for plane, (down, along) in zip(self.planes, sides, strict=True)
        ]
        largest = max(max(pair) for pair in extents)
        scaled = [(down / largest * _PANEL, along / largest * _PANEL) for down, along in extents]
        tall = max(down for down, _ in scaled)
        width, height = sum(along for _, along in scaled) + 4 * _GAP + 0.8, tall + 0.4
        figure = Figure((width, height), dpi=_DPI, facecolor=_GROUND)
        axes, left = [], _GAP / 2
        for down, along in [*scaled, (tall, _BAR)]:
            axes.append(figure.add_axes((left / width, 0.1 / height, along / width, down / height)))
            left += along + _GAP
        bar = axes.pop()
        finite = np.concatenate([plane[np.isfinite(plane)] for plane in self.planes])
        low, high = np.percentile(finite, (0.5, 99.5)) if finite.size else (0.0, 1.0)
        if low == high:
            low, high = low - 0.5, high + 0.5
        image: Any = None
        for i, (plane, (down, along)) in enumerate(zip(self.planes, extents, strict=True)):
            upwards = i > 0
            image = axes[i].imshow(
                plane, extent=(0, along, 0, down), origin="lower" if upwards else "upper", vmin=low, vmax=high
            )
            axes[i].set_title(_TITLES[i], color=_INK, fontsize=9)
            axes[i].set_facecolor(_GROUND)
            axes[i].set_xticks([])
            axes[i].set_yticks([])
        colours = figure.colorbar(image, cax=bar)
        colours.set_label(self.unit if self.unit != "1" else "", color=_INK, fontsize=8)
        bar.tick_params(labelsize=7, colors=_INK)
        return figure_png(figure)
