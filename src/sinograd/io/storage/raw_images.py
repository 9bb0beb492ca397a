"""Images of one shape that lie in a file as plain numbers, each in one or more parts."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.data.projections import view_order
from sinograd.errors import InputError
from sinograd.files.inputs import noted
from sinograd.io.storage.ole import Extents, read_extents


class RawImages:
    """Images [n, rows, columns] in a file; requested ones are read straight into the result.

    extents: where each image lies. Every access opens the file and closes it, so that nothing is shared with
    forked workers and it can be pickled. ValueError when the file was changed since.
    """

    def __init__(self, path: Path, extents: Sequence[Extents], image: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self.path = noted(path.resolve())
        self.extents = tuple(extents)
        self.shape = (len(self.extents), *image)
        self.dtype = dtype
        self._state = _state(os.stat(self.path))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, views: Any) -> np.ndarray:
        order = view_order(views, self.shape, self.dtype, str(self.path))
        images = np.empty((*order.shape, *self.shape[1:]), self.dtype)
        if images.size == 0:
            return images
        target = images.reshape(-1).view(np.uint8).data
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        with open(self.path, "rb", buffering=0) as file:
            if _state(os.fstat(file.fileno())) != self._state:
                raise InputError(f"{self.path} changed since it was read")
            for place, image in enumerate(order.ravel().tolist()):
                read_extents(file, self.extents[image], target[place * size : (place + 1) * size])
        return images

    def __repr__(self) -> str:
        return f"RawImages({str(self.path)!r}, shape={self.shape}, dtype={self.dtype})"


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
