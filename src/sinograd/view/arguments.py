"""What pictures and pages are made of: a volume and a path, or a tensor with its grid."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from sinograd.data.scan import check_grid
from sinograd.data.volume import Volume
from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import Grid

PathText = str | os.PathLike[str]
Values = Volume | torch.Tensor | np.ndarray


def volume_and_path(
    volume: Values, grid: Grid | PathText, path: PathText | None, unit: str | None
) -> tuple[Volume, Path]:
    """The volume, and where the picture goes, from the two ways of calling.

    `f(volume, path)` of a `Volume`, whose `unit` is only to be stated where it has none; `f(values, grid, path,
    unit=...)` of a tensor or an array.

    Raises:
        InputTypeError: no Grid, a path that is none.
        InputError: a shape that is not the grid's, an unknown unit, or another one than the volume's.
    """
    if not isinstance(volume, Volume):
        check_grid(grid)
        made = Volume(volume, grid, unit)  # pyright: ignore[reportArgumentType]
        return made, _path(path)
    if isinstance(grid, Grid):
        if not grid.equals(volume.grid):
            raise InputError("grid is another one than the volume's")
    elif path is None:
        path = grid
    else:
        raise InputTypeError(f"grid must be a Grid, got {type(grid).__name__}")
    return volume.stated(unit), _path(path)


def _path(path: PathText | Grid | None) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise InputTypeError(f"path must be the name of a file, got {type(path).__name__}")
    return Path(path)
