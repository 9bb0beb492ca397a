"""MATLAB .mat files, versions 5 (`matlab_v5`) and 7.3 (HDF5 behind a 512-byte header, through h5py)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.errors import FormatError
from sinograd.io.storage.hdf5.chunks import whole_array
from sinograd.io.storage.hdf5.layout import attribute, check_extent, opened
from sinograd.io.storage.hdf5.links import check_storage, find
from sinograd.io.storage.hdf5.values import attribute_text
from sinograd.io.storage.matlab_v5 import LARGEST, load_version_5, names_of_version_5

if TYPE_CHECKING:
    import h5py

HEADER = b"MATLAB "
_HDF5 = b"MATLAB 7.3"
_DEEPEST, _MOST = 32, 100_000  # levels, and arrays of a file


def is_matlab(head: bytes) -> bool:
    """Whether a file that starts with `head` is a MATLAB file of version 5 or later."""
    return head.startswith(HEADER)


def load_matlab(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Those of the variables `names` that the file holds, as in MATLAB: matrices [rows, columns], structs as
    dictionaries, text as str, 1 x 1 matrices as numbers, 1 x n and n x 1 ones as vectors.

    Raises FormatError when the file is truncated or damaged.
    """
    return _load_hdf5(path, names) if _is_hdf5(path) else load_version_5(path, names)


def variable_names(path: Path) -> list[str]:
    """Names of the variables in the file, for messages."""
    if not _is_hdf5(path):
        return names_of_version_5(path)
    with opened(path) as file:
        return sorted(str(name) for name in file if not str(name).startswith("#"))


def _is_hdf5(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_HDF5)) == _HDF5


def _load_hdf5(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    with opened(path) as file:
        reader = _Hdf5(file, path)
        items = {name: find(file, name, path) for name in names}
        return {name: reader.value(item, name) for name, item in items.items() if item is not None}


class _Hdf5:
    """Reads the values of an open file, of bounded depth and size: groups and references can lead in circles."""

    def __init__(self, file: h5py.File, path: Path) -> None:
        self._file, self._path, self._left, self._bytes = file, path, _MOST, 0

    def value(self, item: Any, name: str, depth: int = 0) -> Any:
        """A group as a dictionary, a data set as text, an array or a number."""
        import h5py

        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise self._damaged(f"/{name} leads through more than {_DEEPEST} levels or {_MOST:,} arrays")
        if isinstance(item, h5py.Group):
            if len(item) > self._left:
                raise self._damaged(f"/{name} holds {len(item):,} arrays, {_MOST:,} are read")
            inner = {str(key): find(item, str(key), self._path) for key in item}
            return {key: self.value(held, f"{name}/{key}", depth + 1) for key, held in inner.items() if held}
        if not isinstance(item, h5py.Dataset):
            raise self._damaged(f"/{name} is no data set")
        check_storage(item, name, self._path)
        check_extent(item, name, self._path)
        if attribute(item, "MATLAB_empty", 0):
            return "" if _class(item) == "char" else np.empty(0)
        return self._array(item, name, depth)

    def _array(self, item: h5py.Dataset, name: str, depth: int) -> Any:
        import h5py

        if item.shape is None:  # a data space without any element
            return np.empty(0)
        self._bytes += math.prod(item.shape) * item.dtype.itemsize
        if self._bytes > LARGEST:
            raise self._damaged(f"the arrays up to /{name} have {self._bytes:,} bytes, {LARGEST:,} are read")
        if item.dtype.kind not in "fiubc" and item.dtype != h5py.ref_dtype:
            raise self._damaged(f"/{name} holds {item.dtype}")
        array = whole_array(item, name, self._path).T  # MATLAB stores columns first
        if _class(item) == "char":
            return array.astype("<u2").ravel(order="F").tobytes().decode("utf-16-le", errors="replace")
        if item.dtype == h5py.ref_dtype:
            references = array.ravel(order="F")
            return [
                self.value(self._file[reference] if reference else None, name, depth + 1) for reference in references
            ]
        array = np.squeeze(array)
        return array.item() if array.ndim == 0 else np.ascontiguousarray(array)

    def _damaged(self, why: str) -> FormatError:
        return FormatError(f"{self._path} is a truncated or damaged MATLAB file: {why}")


def _class(item: h5py.Dataset) -> str:
    return attribute_text(attribute(item, "MATLAB_class"))
