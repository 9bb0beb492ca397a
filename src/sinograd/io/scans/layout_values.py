"""Angles and lengths of a described HDF5 file, in degrees and mm (`hdf5_layout`)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.config.shown import shown
from sinograd.errors import InputError
from sinograd.io.scans.layout_frames import Frames, Part, parts_of
from sinograd.io.scans.view_counts import count_advice
from sinograd.io.storage.hdf5.layout import attribute, opened
from sinograd.io.storage.hdf5.values import DEGREES, MM, Values, attribute_text

_ANGLE_UNITS = {**DEGREES, "mdeg": 1e-3, "millidegree": 1e-3, "urad": 180e-6 / math.pi, "mrad": 180e-3 / math.pi}


def angles_of(source: Path, file: Path, value: Any, frames: Frames) -> np.ndarray:
    """Gantry angles of the projections in degrees: float64 [views]."""
    parts = parts_of(source, file, value, "angles", ("unit", "scale", "offset", "reverse"))
    found, signs, chosen = [], [], any(part.frames is not None for part in parts)
    for part in parts:
        degrees = _scaled(source, part, _ANGLE_UNITS, "deg")
        found.append(degrees[part.chosen(len(degrees), source)])
        signs.append(np.full(len(found[-1]), 1.0 if _is_reverse(source, part) else -1.0))
    degrees, sign = np.concatenate(found), np.concatenate(signs)
    count = len(degrees)
    if count == frames.total != frames.views and not chosen:
        degrees, sign = degrees[frames.order], sign[frames.order]
    elif count != frames.views:
        shorter = "angles" if count > frames.views else "projections"
        raise InputError(
            f"{source}: {count} angles (/{parts[0].name}) for {frames.views} projections, "
            f"{frames.references} references and {frames.darks} dark images, {frames.total} frames in all"
            f"{count_advice(frames.views, degrees, frames.references, frames.darks)} "
            f"({shorter}: {{dataset: ..., frames: '0:{min(count, frames.views)}'}} takes the first ones)"
        )
    bad = int((~np.isfinite(degrees)).sum())
    if bad:
        raise InputError(f"{source}: angles (/{parts[0].name}) must be finite, {bad} of {len(degrees)} are not")
    return sign * degrees


def length_of(source: Path, file: Path, value: Any, key: str, *, pair: bool = False) -> tuple[float, float]:
    """A length in mm twice, or the two of a pair: of numbers in mm or a data set."""
    if isinstance(value, list) and pair and len(value) == 2:
        first, second = (length_of(source, file, one, key)[0] for one in value)
        return first, second
    if isinstance(value, int | float) and not isinstance(value, bool):
        length = float(value)
    else:
        (part,) = parts_of(source, file, value, key, ("unit", "scale"))[:1]
        numbers = _scaled(source, part, MM, "mm")
        length = abs(float(numbers[0])) if len(np.unique(numbers)) == 1 else math.nan
        if math.isnan(length):
            raise InputError(f"{source}: {key} (/{part.name}) must be one length, got {len(numbers)} different ones")
    length = float(f"{length:.14g}")
    if not (math.isfinite(length) and length > 0):
        raise InputError(f"{source}: {key} must be a positive length in mm, got {shown(value)}")
    return length, length


def _scaled(source: Path, part: Part, units: dict[str, float], usual: str) -> np.ndarray:
    """(numbers x scale + offset) x unit: the numbers of a data set in degrees or mm."""
    if not part.name:
        raise InputError(f"{source}: {part.key} must name a data set")
    with opened(part.file) as file:
        values = Values(file, part.file)
        if not values.has(part.name):
            raise InputError(f"{part.file} has no data set /{part.name} ({part.key})")
        numbers = values.array(part.name, finite=False)
        stored = attribute_text(attribute(values.item(part.name), "units"))
    scale, offset = (_number(source, part, name, default) for name, default in (("scale", 1.0), ("offset", 0.0)))
    unit = part.options.get("unit")
    if unit is None and stored and "scale" not in part.options:
        unit = stored
    factor = _factor(source, part, usual if unit is None else unit, units)
    return factor * (numbers * scale + offset)


def _is_reverse(source: Path, part: Part) -> bool:
    value = part.options.get("reverse", False)
    if not isinstance(value, bool):
        raise InputError(f"{source}: {part.key}: reverse must be true or false, got {shown(value)}")
    return value


def _factor(source: Path, part: Part, unit: Any, units: dict[str, float]) -> float:
    word = unit.strip().casefold() if isinstance(unit, str) else ""
    for name in (word, word.removesuffix("s")):
        if name in units:
            return units[name]
    raise InputError(
        f"{source}: {part.key} (/{part.name}): the unit {shown(unit)} is unknown, known are {', '.join(units)}; for "
        "counts of an encoder give scale"
    )


def _number(source: Path, part: Part, name: str, default: float) -> float:
    value = part.options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{source}: {part.key}: {name} must be a number, got {shown(value)}")
    return float(value)
