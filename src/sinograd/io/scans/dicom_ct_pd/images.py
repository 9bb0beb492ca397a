"""The projections of DICOM-CT-PD files, read when they are used."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.data.projections import view_order
from sinograd.errors import FormatError
from sinograd.io.scans.dicom_ct_pd.header import ViewHeader

_READERS = 4


class CtPdImages:
    """Line integrals [views, rows, columns], float32, rows along +z and columns along +u.

    It holds no open file, so it can be pickled and used in DataLoader workers.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, views: Sequence[ViewHeader]) -> None:
        self._stored = [_Stored(view) for view in views]
        self.shape = (len(views), *views[0].shape)

    @property
    def files(self) -> list[Path]:
        """The files, in order."""
        return [stored.path for stored in self._stored]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, views: Any) -> np.ndarray:
        order = view_order(views, self.shape, self.dtype, str(self._stored[0].path))
        block = np.empty((*order.shape, *self.shape[1:]), self.dtype)
        if order.ndim == 0:
            self._stored[int(order)].fill(block)
            return block
        with ThreadPoolExecutor(_READERS) as pool:
            for _ in pool.map(lambda place: self._stored[int(order[place])].fill(block[place]), range(len(order))):
                pass
        return block

    def __repr__(self) -> str:
        return f"CtPdImages({len(self)} files, shape={self.shape})"


class _Stored:
    """Where the pixels of a view are, and what they mean."""

    def __init__(self, view: ViewHeader) -> None:
        self.path = view.path
        self._shape = view.shape[::-1] if view.transposed else view.shape
        self._transposed, self._offset = view.transposed, view.offset
        self._form = "<i2" if view.signed else "<u2"
        self._slope, self._intercept = np.float32(view.slope), np.float32(view.intercept)

    def fill(self, image: np.ndarray) -> None:
        """[rows, columns] of the detector, turned to +v and +u."""
        stored = self._plain() if self._offset is not None else self._packed()
        if self._transposed:
            stored = stored.T
        np.multiply(stored[::-1, ::-1], self._slope, out=image, casting="unsafe")
        image += self._intercept

    def _plain(self) -> np.ndarray:
        count = self._shape[0] * self._shape[1]
        values = np.fromfile(self.path, self._form, count, offset=self._offset or 0)
        if values.size < count:
            raise FormatError(f"{self.path} changed since it was opened: it is truncated")
        return values.reshape(self._shape)

    def _packed(self) -> np.ndarray:
        from sinograd.io.volumes.dicom.file import read_file, stored_values

        stored = stored_values(read_file(self.path), self.path)
        if stored.shape != self._shape:
            raise FormatError(f"{self.path} changed since it was opened: {stored.shape} != {self._shape}")
        return stored
