"""The middle slice of every case and method, of the first seed, beside the reconstruction of the views kept back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from walnut.settings import Study

GAP = 4  # screen pixels


def save_slices(shown: Mapping[str, Mapping[str, Tensor]], reference: Tensor, study: Study, path: Path) -> None:
    """Rows are cases, columns methods in their order, then the reference."""
    rows = [_row([*volumes.values(), reference], study) for volumes in shown.values()]
    gap = np.full((GAP, rows[0].shape[1]), 255, np.uint8)
    picture = np.vstack([part for row in rows for part in (row, gap)][:-1])
    Image.fromarray(picture).quantize(32).save(path, optimize=True)


def _row(volumes: list[Tensor], study: Study) -> np.ndarray:
    y, x = (slice(*study.training[axis]) for axis in ("y", "x"))
    panels = []
    for volume in volumes:
        middle = volume[len(volume) // 2, y, x].flip(0)
        grey = (middle / study.data_range).clamp(0, 1).mul(255).round().byte().numpy()
        panels += [grey, np.full((len(grey), GAP), 255, np.uint8)]
    return np.hstack(panels[:-1])
