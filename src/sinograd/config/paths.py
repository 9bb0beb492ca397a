"""Paths that callers give."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sinograd.errors import InputError, InputTypeError

# Names that may be folders although they have a suffix.
_FOLDERS = (".zarr",)
_SUFFIXES = frozenset(
    {
        ".csv", ".dcm", ".edf", ".h5", ".hdf5", ".html", ".json", ".mat", ".mha", ".mhd", ".mrc", ".nii", ".nii.gz",
        ".npy", ".npz", ".nrrd", ".nxs", ".onnx", ".pdf", ".png", ".pt", ".raw", ".safetensors", ".svg", ".tex", ".tif",
        ".tiff", ".yaml", ".yml", ".zarr",
    }
)  # fmt: skip


def checked_path(path: Any, name: str = "path") -> Path:
    """The path; InputTypeError for what is no text and no path.

    InputError for a file's name that ends in a slash, and for one that is missing and a suffix alone (`.h5`): a file of
    this name would be hidden.
    """
    if not isinstance(path, str | os.PathLike) or isinstance(os.fspath(path), bytes):
        raise InputTypeError(f"{name} must be a path, as text or pathlib.Path, got {type(path).__name__}")
    text, checked = os.fspath(path), Path(path)
    if checked.name.lower() in _SUFFIXES and not checked.exists():
        raise InputError(
            f"{name}: {text!r} is a suffix without a name before it, and would be hidden: give NAME{checked.name}"
        )
    suffix = checked.suffix.lower()
    is_one = suffix[1:].isalpha() or suffix in (".h5", ".hdf5")  # v1.2 has none
    if (
        text.endswith(("/", os.sep))
        and not checked.is_dir()
        and (checked.is_file() or (is_one and suffix not in _FOLDERS))
    ):
        what = "is a file" if checked.is_file() else f"{checked.suffix} is the suffix of a file"
        raise InputError(
            f"{name}: {text!r} ends in {text[-1]!r} as names of folders do, but {what}: give {str(checked)!r}"
        )
    return checked
