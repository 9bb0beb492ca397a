"""The numbered images that a scanner's description names: prefix and number, beside it or in a folder."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from sinograd.errors import InputError, ScanWarning


def base_name(text: str) -> str:
    """The last part of a path of any system: "C:\\\\data\\\\a.tif" and "/data/a.tif" both give "a.tif"."""
    return re.split(r"[\\/]", text.rstrip("\\/"))[-1]


def numbered_files(folders: Sequence[Path], prefix: str) -> dict[int, Path]:
    """TIFF files PREFIX_0001.tif or PREFIX0001.tif by their number, of the first folder that has some.

    Upper and lower case are the same. ValueError when two files have one number.
    """
    name = re.compile(re.escape(prefix) + r"[_ -]?(\d{1,9})\.tiff?", re.IGNORECASE)
    for folder in dict.fromkeys(folder for folder in folders if "\0" not in str(folder)):
        files: dict[int, Path] = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            match = name.fullmatch(path.name)
            if match is not None and path.is_file():
                number = int(match[1])
                if number in files:
                    raise InputError(f"{folder}: {files[number].name} and {path.name} have the same number")
                files[number] = path
        if files:
            return files
    return {}


def choose_views(files: dict[int, Path], first: int, views: int, path: Path) -> list[int]:
    """The numbers of the views that are there, of `views` from `first` on; a ScanWarning says how many are missing.

    ValueError when none is there.
    """
    numbers = [number for number in sorted(files) if first <= number < first + views]
    if not numbers:
        raise InputError(
            f"{path} lists {views} images from number {first} on, and none of them is there; "
            f"there are {len(files)} others, from {next(iter(files.values())).name} on"
        )
    if len(numbers) < views:
        warnings.warn(
            f"{path} lists {views} images, {views - len(numbers)} are missing: "
            f"{len(numbers)} views are read (was the scan aborted?)",
            ScanWarning,
            stacklevel=4,
        )
    return numbers


def check_size(shape: Sequence[int], rows: int, columns: int, path: Path, image: Path) -> None:
    """ValueError unless images [views, rows, columns] have the size that the description says."""
    if tuple(shape[1:]) != (rows, columns):
        raise InputError(
            f"{path} describes images of {rows} rows x {columns} columns, {image.name} has {shape[1]} x {shape[2]}"
        )
