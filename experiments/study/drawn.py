"""What pictures and curves are drawn from, kept in small files beside the tables: drawn/METHOD.npz.

`shown` and, where a phantom with metal is shown, `implant`: slices [Y, X] as float16 in the unit of the scale.
`seed-0/training_loss` and so on: columns of a training's history, and `psnr`, the score against steps; float32
[2, points], steps and values, thinned to a few hundred points.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sinograd.errors import ConfigError
from sinograd.io.storage.atomic import check_folder, replacing_folder
from sinograd.training import History
from study.config import Study

FOLDER = "drawn"
_POINTS = 400
_IMAGES = ("shown", "implant")

Lines = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Drawn:
    """Slices of one method by "shown" and "implant", and lines of its seeds: [2, points], by column."""

    images: dict[str, np.ndarray] = field(default_factory=dict)
    lines: dict[int, Lines] = field(default_factory=dict)


def shown_slice(study: Study, volume: Tensor) -> np.ndarray:
    """The slice that is shown of a volume in 1/mm, as it is kept."""
    offset = 0.0 if study.scale.water is None else 1000.0
    image = (volume[study.shown_slice] / study.per_unit - offset).numpy()
    largest = np.finfo(np.float16).max
    return np.where(np.isfinite(image), np.clip(image, -largest, largest), image).astype(np.float16)


def lines_of(history: History, curve: tuple[Sequence[int], Sequence[float]] | None) -> Lines:
    """The columns of a history that have values, and the score against steps, thinned."""
    found = {name: thinned(*history.column(name)) for name in history.columns if name != "step"}
    if curve is not None:
        found["psnr"] = thinned(*curve)
    return {name: line for name, line in found.items() if line.size}


def thinned(steps: Sequence[int], values: Sequence[float]) -> np.ndarray:
    """[2, points]: steps and values; of many points some evenly, the first and the last among them."""
    count = len(steps)
    held = np.arange(count) if count <= _POINTS else np.linspace(0, count - 1, _POINTS).round().astype(int)
    return np.array([steps, values], dtype=np.float32).reshape(2, -1)[:, held]


def check_drawn(folder: Path) -> None:
    """An error, before work starts, where the files cannot be written."""
    if (folder / FOLDER).exists():
        check_folder(folder / FOLDER, ours=_is_ours, force=True)


def write_drawn(folder: Path, drawn: Mapping[str, Drawn]) -> None:
    """One file a method; replaces the folder of these files."""
    with replacing_folder(folder / FOLDER, ours=_is_ours, force=True) as temporary:
        for name, kept in drawn.items():
            arrays: dict[str, Any] = dict(kept.images)
            for seed, lines in kept.lines.items():
                arrays |= {f"seed-{seed}/{column}": line for column, line in lines.items()}
            np.savez_compressed(temporary / f"{name}.npz", **arrays)


def read_drawn(folder: Path, names: Collection[str], shape: tuple[int, ...]) -> dict[str, Drawn]:
    """Those of the methods that have a file; shape: of the slices [Y, X]. ConfigError for a damaged file."""
    files = {name: folder / FOLDER / f"{name}.npz" for name in names}
    return {name: _read(file, shape) for name, file in files.items() if file.is_file()}


def _read(file: Path, shape: tuple[int, ...]) -> Drawn:
    kept = Drawn()
    try:
        with open(file, "rb") as opened, np.load(opened, allow_pickle=False) as held:
            for key in held.files:
                array, (seed, _, column) = held[key], key.partition("/")
                if key in _IMAGES and array.dtype == np.float16 and array.shape == shape:
                    kept.images[key] = array
                elif column and array.dtype == np.float32 and array.ndim == 2 and len(array) == 2 and array.size:
                    kept.lines.setdefault(int(seed.removeprefix("seed-")), {})[column] = array
                else:
                    raise ValueError(f"{key}: {array.dtype} {list(array.shape)}")
        if "shown" not in kept.images:
            raise ValueError("no slice `shown`")
    except (OSError, ValueError, TypeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ConfigError(f"{file}: expected slices {list(shape)} and lines of this study, got {error}") from error
    return kept


def _is_ours(folder: Path) -> bool:
    return all(file.suffix == ".npz" for file in folder.iterdir())
