"""Volumes as OME-Zarr folders: OME-NGFF 0.5 in Zarr version 3, with a pyramid of halved copies.

    zarr.json      attributes: ome = {version, multiscales: [axes z, y, x in millimeter; for each level a scale (mm)
                   and a translation (mm, centre of the first voxel)]}, sinograd = {unit, provenance}
    0, 1, 2 ...    arrays in chunks of up to 128 a side; each level averages 2 x 2 x 2 voxels of the one before, until
                   no axis has more than 128. The last voxel of an odd axis averages what there is

Reading takes level 0, of version 0.4 or 0.5, in any unit of length. Writing holds the levels above 0 beside the
volume: 1/7 of its size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sinograd.data.provenance import to_json
from sinograd.errors import InputError
from sinograd.geometry import Grid
from sinograd.io.storage.optional import extra

PACKAGE = "zarr"
SUFFIXES = (".zarr",)
CHUNK = 128
T = TypeVar("T")
MM = {"nanometer": 1e-6, "micrometer": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "meter": 1e3}
_UNCHECKED_BYTES = 1 << 31


def write(array: np.ndarray, folder: Path, record: dict[str, Any]) -> None:
    """Fill an empty folder with [z, y, x] or [y, x], its pyramid and the record."""
    zarr: Any = extra(PACKAGE, folder)
    axes = ["z", "y", "x"][-array.ndim :]
    spacing = np.array(record["spacing_mm"], dtype=np.float64)
    first = np.array([float(axis[0]) for axis in Grid(array.shape, tuple(spacing), record["center_mm"]).axes()])
    levels, datasets = _pyramid(array), []
    group = zarr.open_group(str(folder), mode="w", zarr_format=3)
    factor = np.ones(array.ndim)
    for number, level in enumerate(levels):
        if number:
            factor = factor * np.where(np.array(levels[number - 1].shape) > 1, 2, 1)
        scale, translation = spacing * factor, first + (factor - 1) / 2 * spacing
        datasets.append(
            {
                "path": str(number),
                "coordinateTransformations": [
                    {"type": "scale", "scale": scale.tolist()},
                    {"type": "translation", "translation": translation.tolist()},
                ],
            }
        )
        stored = group.create_array(
            str(number),
            shape=level.shape,
            chunks=tuple(min(CHUNK, n) for n in level.shape),
            dtype=level.dtype.newbyteorder("="),
            dimension_names=axes,
            config={"write_empty_chunks": True},
        )
        for start in range(0, level.shape[0], CHUNK):
            stored[start : start + CHUNK] = level[start : start + CHUNK]
    multiscale = {
        "name": "volume",
        "type": "mean",
        "axes": [{"name": name, "type": "space", "unit": "millimeter"} for name in axes],
        "datasets": datasets,
    }
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    group.attrs["sinograd"] = {"unit": "1/mm", "provenance": json.loads(to_json(record["provenance"]))}


def read(folder: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """The finest level and its record; ValueError when it is no OME-Zarr volume or is damaged."""
    array, shape, record = stored(folder)
    return checked(folder, lambda: np.asarray(array[...]).reshape(shape)), record


def stored(folder: Path) -> tuple[Any, tuple[int, ...], dict[str, Any]]:
    """The finest level as a Zarr array that is not read yet, its shape [z, y, x] or [y, x], and the record."""
    zarr: Any = extra(PACKAGE, folder)

    def opened() -> tuple[Any, tuple[int, ...], dict[str, Any]]:
        group = zarr.open_group(str(folder), mode="r")
        attributes = dict(group.attrs)
        multiscale = attributes.get("ome", attributes)["multiscales"][0]
        array = group[multiscale["datasets"][0]["path"]]
        shape, spacing, first = _placed(multiscale, tuple(int(n) for n in array.shape))
        size = math.prod(shape) * array.dtype.itemsize
        on_disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if size > max(_UNCHECKED_BYTES, 1100 * on_disk):
            raise InputError(f"{shape} voxels do not fit into {on_disk:,} bytes")
        middle = [f + (n - 1) / 2 * s for f, n, s in zip(first, shape, spacing, strict=True)]
        own = attributes.get("sinograd")
        provenance = own.get("provenance") if isinstance(own, dict) else None
        return array, shape, {"spacing_mm": spacing, "center_mm": middle[::-1], "provenance": provenance}

    array, shape, record = checked(folder, opened)
    if array.dtype.kind not in "fiu":
        raise InputError(f"{folder} must hold real numbers, got {array.dtype}")
    return array, shape, record


def checked(folder: Path, work: Callable[[], T]) -> T:
    """What `work` gives; ValueError naming the folder for whatever a damaged one leads to."""
    # Zarr meets damaged files with KeyError, TypeError, JSON and codec errors.
    try:
        return work()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{folder} is no OME-Zarr volume, or is damaged: {reason}") from error


def is_ome_zarr(folder: Path) -> bool:
    """Whether a folder is a Zarr group."""
    return (folder / "zarr.json").is_file() or (folder / ".zgroup").is_file()


def is_only_ome_zarr(folder: Path) -> bool:
    """Whether a folder holds what `write` writes and nothing else."""
    return is_ome_zarr(folder) and all(path.name == "zarr.json" or path.name.isdigit() for path in folder.iterdir())


def _placed(multiscale: dict[str, Any], stored: tuple[int, ...]) -> tuple[tuple[int, ...], list[float], list[float]]:
    """Shape, spacing (mm) and position of the first voxel (mm) along z, y, x or y, x."""
    scale, translation = np.ones(len(stored)), np.zeros(len(stored))
    for transform in (
        *multiscale["datasets"][0]["coordinateTransformations"],
        *multiscale.get("coordinateTransformations", ()),
    ):
        if transform["type"] == "scale":
            factors = np.array(transform["scale"], dtype=np.float64)
            scale, translation = scale * factors, translation * factors
        elif transform["type"] == "translation":
            translation = translation + np.array(transform["translation"], dtype=np.float64)
        else:
            raise InputError(f"coordinate transformation {transform['type']!r} is not supported")
    axes = multiscale["axes"]
    space = [i for i, axis in enumerate(axes) if axis.get("type") == "space"]
    names = [axes[i]["name"] for i in space]
    if names not in (["z", "y", "x"], ["y", "x"]) or len(axes) != len(stored):
        raise InputError(f"expected the axes z, y, x or y, x, got {[axis.get('name') for axis in axes]}")
    if any(stored[i] != 1 for i in range(len(stored)) if i not in space):
        raise InputError(f"expected one channel and one time, got {list(stored)}")
    units = [MM.get(axes[i].get("unit"), 0.0) for i in space]
    if not all(units):
        raise InputError(f"the axes have the units {[axes[i].get('unit') for i in space]}, known are {', '.join(MM)}")
    spacing = [float(scale[i] * unit) for i, unit in zip(space, units, strict=True)]
    first = [float(translation[i] * unit) for i, unit in zip(space, units, strict=True)]
    return tuple(stored[i] for i in space), spacing, first


def _pyramid(array: np.ndarray) -> list[np.ndarray]:
    levels = [array]
    while max(levels[-1].shape) > CHUNK:
        levels.append(_halved(levels[-1]))
    return levels


def _halved(array: np.ndarray) -> np.ndarray:
    """Means of 2 voxels along every axis that has more than one; planes of the first axis are taken by pairs."""
    whole = array.dtype.kind in "iu"
    step = 2 if array.shape[0] > 1 else 1
    half = np.empty([-(-n // 2) for n in array.shape], array.dtype)
    for index in range(half.shape[0]):
        plane = array[step * index : step * (index + 1)].mean(axis=0, dtype=np.float64 if whole else None)
        for axis in range(plane.ndim):
            plane = _pairs(plane, axis)
        half[index] = np.rint(plane) if whole else plane
    return half


def _pairs(array: np.ndarray, axis: int) -> np.ndarray:
    rows = np.moveaxis(array, axis, 0)
    mean = rows[::2].copy()
    even = rows.shape[0] // 2
    mean[:even] += rows[1::2]
    mean[:even] /= 2
    return np.moveaxis(mean, 0, axis)
