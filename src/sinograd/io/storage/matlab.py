"""MATLAB .mat files, versions 5 (through SciPy) and 7.3 (HDF5 behind a 512-byte header, through h5py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sinograd.errors import InputError
from sinograd.files.inputs import reading
from sinograd.io.storage.hdf5.layout import opened

HEADER = b"MATLAB "


def is_matlab(head: bytes) -> bool:
    """Whether a file that starts with `head` is a MATLAB file of version 5 or later."""
    return head.startswith(HEADER)


def load_matlab(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Those of the variables `names` that the file holds, as in MATLAB: matrices [rows, columns], structs as
    dictionaries, text as str, 1 x 1 matrices as numbers, 1 x n and n x 1 ones as vectors.

    Raises ValueError when the file is truncated or damaged.
    """
    with open(reading(path), "rb") as file:
        head = file.read(128)
    return _load_hdf5(path, names) if head.startswith(b"MATLAB 7.3") else _load_version_5(path, names)


def variable_names(path: Path) -> list[str]:
    """Names of the variables in the file, for messages."""
    with open(path, "rb") as file:
        head = file.read(128)
    if head.startswith(b"MATLAB 7.3"):
        with opened(path) as file:
            return sorted(str(name) for name in file if not str(name).startswith("#"))
    import scipy.io

    try:
        return sorted(name for name, _, _ in scipy.io.whosmat(path))
    except Exception as error:
        raise _damaged(path, error) from error


def _load_version_5(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    import scipy.io

    _check_length(path)
    # SciPy meets damaged bytes with whatever they lead to: zlib.error, TypeError, IndexError, MemoryError ...
    try:
        content = scipy.io.loadmat(path, variable_names=list(names), simplify_cells=True)
    except Exception as error:
        raise _damaged(path, error) from error
    return {name: content[name] for name in names if name in content}


def _check_length(path: Path) -> None:
    """Follow the sizes of the variables to the end of the file, where SciPy could read past it."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(128)
        order = "big" if head[126:128] == b"MI" else "little"
        position = 128
        while position < size:
            file.seek(position)
            tag = file.read(8)
            position += 8 + int.from_bytes(tag[4:], order)
    if len(head) < 128 or position > size:
        raise InputError(f"{path} is a truncated MATLAB file: it has {size:,} bytes, expected {position:,}")


def _load_hdf5(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    import h5py

    def value(item: Any) -> Any:
        if isinstance(item, h5py.Group):
            return {name: value(item[name]) for name in item}
        if item.attrs.get("MATLAB_empty", 0):
            return "" if _class(item) == "char" else np.empty(0)
        array = item[()].T  # MATLAB stores columns first
        if _class(item) == "char":
            return array.astype("<u2").ravel(order="F").tobytes().decode("utf-16-le")
        if item.dtype == h5py.ref_dtype:
            return [value(item.file[reference]) for reference in array.ravel(order="F")]
        array = np.squeeze(array)
        return array.item() if array.ndim == 0 else np.ascontiguousarray(array)

    with opened(path) as file:
        return {name: value(file[name]) for name in names if name in file}


def _class(item: Any) -> str:
    found = item.attrs.get("MATLAB_class", b"")
    return found.decode() if isinstance(found, bytes) else str(found)


def _damaged(path: Path, error: Exception) -> ValueError:
    return InputError(f"{path} is a truncated or damaged MATLAB file: {type(error).__name__}: {error}")
