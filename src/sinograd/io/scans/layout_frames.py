"""Which frames of a described HDF5 file are projections, references and dark images (`hdf5_layout`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.config.near_keys import did_you_mean
from sinograd.config.shown import shown, some
from sinograd.data.projections import Projections, choose_views, shape_of
from sinograd.errors import InputError
from sinograd.io.scans.joined_images import joined
from sinograd.io.storage.hdf5.datasets import image_stack
from sinograd.io.storage.hdf5.layout import opened
from sinograd.io.storage.hdf5.values import Values
from sinograd.io.storage.outside import check_inside

PROJECTION, REFERENCE, DARK = 0, 1, 2


@dataclass(frozen=True)
class Part:
    """A data set and what of it is taken; `options` are the other keys of its mapping."""

    key: str
    file: Path
    name: str
    frames: Any
    options: Mapping[str, Any]

    def chosen(self, count: int, source: Path) -> np.ndarray:
        """The numbers of the chosen frames of `count`."""
        if self.frames is None:
            return np.arange(count)
        entries = self.frames if isinstance(self.frames, list) else [self.frames]
        found = [_frames(entry, count, source, self.key) for entry in entries]
        order = np.concatenate(found) if found else np.empty(0, int)
        if len(order) == 0:
            raise InputError(f"{source}: {self.key}: frames {shown(self.frames)} chooses none of {count}")
        return order


@dataclass(frozen=True)
class Frames:
    """The stacks of a scan.

    total: frames of the projections' data sets; order: which of these are the projections.
    """

    projections: Projections
    reference: Any
    dark: Any
    reference_views: list[float] | None
    total: int
    order: np.ndarray

    @property
    def views(self) -> int:
        """Number of projections."""
        return len(self.order)

    @property
    def references(self) -> int:
        """Number of references."""
        return 0 if self.reference is None else shape_of(self.reference)[0]

    @property
    def darks(self) -> int:
        """Number of dark images."""
        return 0 if self.dark is None else shape_of(self.dark)[0]


def parts_of(source: Path, file: Path, value: Any, key: str, allowed: tuple[str, ...] = ()) -> list[Part]:
    """The data sets that an entry of a YAML file names; InputError naming the key for anything else.

    allowed: keys of a mapping beside dataset and frames.
    """
    found = []
    for entry in value if isinstance(value, list) else [value]:
        record = {"dataset": entry} if isinstance(entry, str) else entry
        known = ("dataset", "frames", *allowed)
        if not isinstance(record, Mapping):
            raise InputError(f"{source}: {key} must be the path of a data set or a mapping, got {shown(entry)}")
        unknown = [str(name) for name in record if name not in known]
        if unknown:
            raise InputError(
                f"{source}: {key} has the unknown key {some(unknown)}; allowed: {', '.join(known)}"
                f"{did_you_mean(unknown, known)}"
            )
        name = record.get("dataset", "")
        if not isinstance(name, str) or "\0" in name:
            raise InputError(f"{source}: the dataset of {key} must be a path, got {shown(name)}")
        other, separator, path = name.rpartition("::")
        where = check_inside(source.parent / other, source, key) if separator else file
        if not where.is_file():
            raise InputError(f"{source}: {key} is in {other}, which does not exist in {source.parent}")
        options = {name: record[name] for name in allowed if name in record}
        found.append(Part(key, where, (path if separator else name).strip("/"), record.get("frames"), options))
    return found


def sorted_frames(source: Path, file: Path, data: Mapping[str, Any]) -> Frames:
    """The stacks that a YAML file names."""
    main = parts_of(source, file, data["projections"], "projections")
    if not all(part.name for part in main):
        raise InputError(f"{source}: projections must name a data set")
    stacks = [_stack(part) for part in main]
    counts = [shape_of(stack)[0] for stack in stacks]
    starts = np.cumsum([0, *counts])
    whole, total = joined(stacks), int(starts[-1])
    chosen = np.concatenate(
        [start + part.chosen(n, source) for part, start, n in zip(main, starts[:-1], counts, strict=True)]
    )
    keys = np.full(total, PROJECTION)
    if "image_key" in data:
        keys = _image_keys(source, file, data["image_key"], total)
    beam: dict[str, Any] = {}
    for key, code in (("reference", REFERENCE), ("dark", DARK)):
        inside, stack = _beam(source, file, data, key, total)
        if inside is not None:
            keys[inside] = code
        at = np.flatnonzero(keys == code)
        beam[key] = stack if stack is not None else choose_views(whole, at) if len(at) else None
    order = chosen[keys[chosen] == PROJECTION]
    if len(order) == 0:
        raise InputError(f"{source}: none of {total} frames is a projection (image_key 0)")
    views = None
    at = np.flatnonzero(keys == REFERENCE)
    if len(at) and not _elsewhere(data.get("reference")) and bool((np.diff(order) > 0).all()):
        views = (np.searchsorted(order, at) - 0.5).tolist()
    taken = whole if len(order) == total else choose_views(whole, order)
    return Frames(taken, beam["reference"], beam["dark"], views, total, order)


def _elsewhere(value: Any) -> bool:
    """Whether references lie in data sets of their own."""
    entries = value if isinstance(value, list) else [value]
    return any(isinstance(entry, str) or (isinstance(entry, dict) and "dataset" in entry) for entry in entries)


def _beam(source: Path, file: Path, data: Mapping[str, Any], key: str, total: int) -> tuple[Any, Any]:
    """Frames of the projections' data set, or a stack of its own."""
    value = data.get(key)
    if value is None or isinstance(value, int | float):
        return None, None
    parts = parts_of(source, file, value, key)
    own = [part for part in parts if part.name]
    if own and len(own) < len(parts):
        raise InputError(f"{source}: {key}: name a data set in every entry, or in none")
    if not own:
        return np.concatenate([part.chosen(total, source) for part in parts]), None
    stacks = []
    for part in own:
        stack = _stack(part)
        stacks.append(choose_views(stack, part.chosen(shape_of(stack)[0], source)))
    return None, joined(stacks)


def _stack(part: Part) -> Any:
    with opened(part.file) as file:
        values = Values(file, part.file)
        if not values.has(part.name):
            raise InputError(f"{part.file} has no data set /{part.name} ({part.key}){_others(values)}")
        return image_stack(values, part.name)


def _others(values: Values) -> str:
    from sinograd.io.storage.hdf5.datasets import image_datasets

    found = [f"/{name} {list(shape)}" for name, shape in image_datasets(values)]
    return f"; images are in {', '.join(found[:6])}{' ...' * (len(found) > 6)}" if found else ""


def _image_keys(source: Path, file: Path, value: Any, total: int) -> np.ndarray:
    found = []
    for part in parts_of(source, file, value, "image_key"):
        with opened(part.file) as content:
            keys = Values(content, part.file).array(part.name, finite=False)
        found.append(keys[part.chosen(len(keys), source)])
    keys = np.concatenate(found)
    if len(keys) != total:
        raise InputError(
            f"{source}: {len(keys)} image keys for {total} frames of projections: choose with `frames` of either"
        )
    return keys


def _frames(entry: Any, count: int, source: Path, key: str) -> np.ndarray:
    if isinstance(entry, int) and not isinstance(entry, bool) and -count <= entry < count:
        return np.array([entry % count])
    try:
        parts = [int(text) if text.strip() else None for text in str(entry).split(":")]
        if not 2 <= len(parts) <= 3:
            raise ValueError
        return np.arange(count)[slice(*parts)]
    except ValueError:
        raise InputError(
            f"{source}: {key}: frames must be FIRST:END or FIRST:END:STEP of {count} frames, got {shown(entry)}"
        ) from None
