"""Drift over time: the beam's dose, from air beside the object, and the sample's place, from repeated views."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry.regions import check_span
from sinograd.preparation.shifts import shift_projections

# Each compares the images moved back by what was found before.
ROUNDS = 5


def correct_dose_drift(transmission: Tensor, air: tuple[int, int]) -> Tensor:
    """Transmitted fractions [views, ..., columns] over the mean of the air in each view; differentiable.

    Args:
        transmission: of the open beam.
        air: (first, end) columns beside the object in every view.

    Raises:
        TypeError, ValueError: no tensor, columns that it does not have, or air without light in some view.
    """
    if not isinstance(transmission, Tensor) or not transmission.is_floating_point() or transmission.ndim < 2:
        raise InputTypeError("transmission must be a tensor of floating-point numbers [views, ..., columns]")
    first, end = check_span(air, "air", transmission.shape[-1])
    level = transmission[..., first:end].flatten(1).mean(1)
    dark = int((level.detach() <= 0).sum())
    if dark:
        raise InputError(f"air: {dark} of {len(level)} views have no light in columns {first} to {end}")
    return transmission / level.reshape(-1, *([1] * (transmission.ndim - 1)))


def find_sample_drift(repeated: Tensor, originals: Tensor, views: Sequence[int], count: int) -> Tensor:
    """By how much the sample moved until each view, elements along rows and columns; float64 [count, 2].

    Views are measured again after the scan, where the sample has moved by all of the drift. Correlation with a
    parabola through the maximum finds by how much; the drift is taken for even over the scan. `shift_projections` with
    the negative shifts, or `Calibration(shifts=...)` of the scan, takes it out.

    Args:
        repeated: images after the scan [k, rows, columns].
        originals: the views at the same angles [k, rows, columns].
        views: their numbers in the scan.
        count: of all views.

    Raises:
        ValueError: shapes that differ, or view numbers that are none.
    """
    if not isinstance(repeated, Tensor) or repeated.shape != originals.shape or repeated.ndim != 3:
        raise InputError(f"repeated: expected images like the originals {list(originals.shape)}")
    if len(views) != len(repeated) or not all(0 <= view < count for view in views):
        raise InputError(f"views: expected {len(repeated)} numbers from 0 to {count - 1}, got {list(views)}")
    moved = torch.zeros(len(views), 2, dtype=torch.float64)
    for _ in range(ROUNDS):
        back = shift_projections(repeated.double(), -moved)
        moved += torch.stack([_shift(a, b) for a, b in zip(back, originals.double(), strict=True)])
    part = (count - torch.tensor(list(views), dtype=torch.float64)) / count  # of the drift, since the original
    whole = (moved * part[:, None]).sum(0) / part.square().sum()
    return torch.arange(count, dtype=torch.float64)[:, None] / count * whole


def _shift(image: Tensor, reference: Tensor) -> Tensor:
    """Elements [row, column] by which an image lies further than a reference."""
    parts = [values - values.mean() for values in (image, reference)]
    window = torch.hann_window(image.shape[0], dtype=image.dtype)[:, None] * torch.hann_window(
        image.shape[1], dtype=image.dtype
    )
    one, other = (torch.fft.rfft2(values * window) for values in parts)
    correlation = torch.fft.irfft2(one * other.conj(), s=image.shape)
    place = divmod(int(correlation.argmax()), image.shape[1])
    found = []
    for axis, at in enumerate(place):
        size = image.shape[axis]
        line = correlation.roll(-place[1 - axis], 1 - axis).select(1 - axis, 0)
        low, middle, high = (float(line[(at + k) % size]) for k in (-1, 0, 1))
        bend = low - 2 * middle + high
        fine = at + ((low - high) / (2 * bend) if bend < 0 else 0.0)
        found.append(fine - size if fine > size / 2 else fine)
    return torch.tensor(found, dtype=torch.float64)
