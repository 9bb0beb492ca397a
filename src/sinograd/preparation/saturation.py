"""Readings that are not light: at the end of the type's range, or marks of gaps between modules.

The type's largest value is an ordinary value where the open beam is expected to be just there: images that were
corrected and scaled to it. Beyond what the reference permits it is saturation, and a saturated reading is a lower
bound: in air the beam's own level is the best estimate, and never the object's rim beside it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError

# How near the type's largest value must be to the open beam's, as a transmitted fraction, to be a value.
WHITE = 2e-3

# Marks of gaps and bad elements, as float32 holds them: 2^32 - 1 and 2^32 - 2, -1 and -2 (DECTRIS detectors), and the
# ends of signed types; files of other types hold their copies. The first are far from any count.
FAR_MARKS = (float(2**32), float(2**64), float(2**31), -float(2**31), float(2**63), -float(2**63))
SIGNED_MARKS = (-1.0, -2.0)

# Views that are looked at for marks, and the fewest that tell.
SAMPLES, LEAST_SAMPLES = 7, 3

# Readings pile up at the largest value where they are so many times as many as at any value down to that share of it.
# References with more values than so many have noise.
PILE, NEAR_TOP, LEAST_PLATEAU, DISTINCT = 4, 0.9, 100.0, 8

# A patch of saturated readings is air only where readings beside it come near its lower bound; a patch of up to
# SMALL elements (a cosmic ray) only where all but reach it.
NEAR, SMALL, NEAR_SMALL = 0.6, 4, 0.97

# Bits of the coarsest detector.
LEAST_BITS = 4

# Beside the brightest readings, which share of their brightness is air.
AIR = 0.95


def type_limit(dtype: Any) -> float | None:
    """The largest value of a stored integer type of 8 or 16 bits: what a saturated reading has."""
    kind = stored_type(dtype)
    return float(np.iinfo(kind).max) if kind.kind in "iu" and kind.itemsize <= 2 else None


def stated_saturation(metadata: Mapping[str, Any], name: str) -> float | None:
    """The counts from which readings are saturated, as the file of a scan states them: metadata["saturation"]."""
    value = metadata.get("saturation")
    if value is None:
        return None
    try:
        counts = float(value)
    except (TypeError, ValueError):
        counts = math.nan
    if not 0 < counts < math.inf:
        raise InputError(
            f"{name} states saturation: {str(value)[:40]}, expected positive counts; `saturation` replaces it"
        )
    return counts


def limit_of_bits(metadata: Mapping[str, Any], dtype: Any, brightest: float) -> float | None:
    """The largest value of as many bits as the file states (metadata["bit_depth"]), fewer than the type's.

    None where it states none, or readings are brighter: sums of frames, or numbers shifted to the type's upper end.
    """
    bits, kind = metadata.get("bit_depth"), stored_type(dtype)
    if kind.kind not in "iu" or isinstance(bits, bool) or not isinstance(bits, int | float):
        return None
    if not LEAST_BITS <= bits < 8 * kind.itemsize or bits != int(bits):
        return None
    limit = float(2 ** int(bits) - 1)
    return limit if brightest <= limit else None


def plateau(samples: Tensor, dtype: Any, references: Tensor | None) -> float | None:
    """The largest reading of sampled views [n, rows, columns] where readings pile up there; else None.

    Detectors of 8 to 14 bits in larger types end at 2^n - 1, or that shifted to the upper end of the type. Any other
    value can be a plateau where the references [n, rows, columns] have noise, and are nowhere brighter: light has a
    spread, and few readings are the largest.
    """
    top = _pile(samples)
    if top is None or top in _ends(stored_type(dtype)):
        return top
    if references is None:
        return None
    brightest = float(references[torch.isfinite(references)].max())
    noisy = len(references[0].unique()) > DISTINCT
    return top if noisy and (top > brightest or (top == brightest and _pile(references) == top)) else None


def _pile(images: Tensor) -> float | None:
    """The largest value, if it is that of many more readings than the values below it."""
    values = images[torch.isfinite(images)]
    if values.numel() == 0 or float(values.max()) < LEAST_PLATEAU:
        return None
    top = float(values.max())
    numbers = values[values >= NEAR_TOP * top].unique(return_counts=True)[1]
    others = int(numbers[:-1].max()) if len(numbers) > 1 else 0
    return top if int(numbers[-1]) >= PILE * max(others, 2) else None


def _ends(kind: np.dtype) -> set[float]:
    """The largest values of detectors of fewer bits than the type; of copies as floating point, of up to 16 bits."""
    if kind.kind == "f":
        return {float(2**n - 1) for n in range(8, 17)}
    bits = 8 * kind.itemsize - (kind.kind == "i")
    low = {float(2**n - 1) for n in range(8, min(bits, 24))}
    return low | {float(2**bits - 2**shift) for shift in range(1, bits - 7)}


def stored_type(dtype: Any) -> np.dtype:
    """The NumPy type of stored numbers."""
    return np.dtype(str(dtype).removeprefix("torch."))


def is_mark(images: Tensor, dtype: Any) -> Tensor | None:
    """Where images hold a mark that is far from any count; None for types that cannot."""
    if not may_hold_marks(dtype) or not bool(images.abs().max() >= FAR_MARKS[2]):
        return None
    return functools.reduce(torch.logical_or, [images == mark for mark in FAR_MARKS])


def may_hold_marks(dtype: Any) -> bool:
    """Whether a type can hold the marks of gaps: all but unsigned ones of 8 and 16 bits."""
    kind = stored_type(dtype)
    return kind.kind in "if" or (kind.kind == "u" and kind.itemsize >= 4)


def marked_elements(samples: Tensor, dtype: Any) -> Tensor:
    """Elements that hold one and the same mark in all sampled views [n, rows, columns]: bool [rows, columns]."""
    kind = stored_type(dtype)
    if len(samples) < LEAST_SAMPLES:
        return torch.zeros(samples.shape[1:], dtype=torch.bool)
    first = samples[0]
    marked = torch.isnan(first)
    for mark in (*FAR_MARKS, *(SIGNED_MARKS if kind.kind in "if" else ())):
        marked |= first == mark
    same = (samples == first) | (torch.isnan(samples) & torch.isnan(first))
    return marked & same.all(0)


def fill_saturated_(image: Tensor, saturated: Tensor, unusable: Tensor) -> Tensor:
    """Fill the saturated readings that are light, in place; bool [rows, columns]: those that are not.

    image: transmitted fractions [rows, columns]; at saturated readings the lower bound. unusable: other readings
    that tell nothing. Patches of saturated readings become the air's level: that of the view's brightest readings,
    no less than 1 (the reference) and no less than their bounds. Patches that shine out of darker surroundings
    (cosmic rays, hot elements, gaps) are left to be filled from their neighbours.
    """
    from scipy import ndimage

    values, mask = image.numpy(), saturated.numpy()
    good = ~(mask | unusable.numpy())
    air = 1.0
    if good.any():
        readings = values[good]
        top = np.partition(readings, int(0.99 * (readings.size - 1)))[int(0.99 * (readings.size - 1))]
        air = max(air, float(np.median(readings[readings >= AIR * top])))
    labelled: Any = ndimage.label(mask, np.ones((3, 3)))
    patches, count = labelled
    numbers = np.arange(1, count + 1)
    beside: Any = ndimage.maximum_filter(np.where(good, values, -np.inf), 3)
    brightest = np.asarray(ndimage.maximum(beside, patches, numbers))
    bound = np.asarray(ndimage.mean(values, patches, numbers))
    size = np.bincount(patches.ravel(), minlength=count + 1)[1:]
    darker = np.isfinite(brightest) & (brightest < np.where(size <= SMALL, NEAR_SMALL, NEAR) * bound)
    other = np.concatenate([[False], darker])[patches]
    light = mask & ~other
    values[light] = np.maximum(values[light], air)
    return torch.from_numpy(other)
