"""Detector elements and readings that say nothing of the object: found, counted and filled from their neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.ops.derivatives import constant, untransformed

# Neighbours beside which a reading is judged and from which it is filled.
REACH = 2
LEAST_NEIGHBOURS = 3


@dataclass(frozen=True)
class Defects:
    """Elements of a detector that are not to be believed in any view: bool [rows, columns] each.

    dead: little or no response. hot: a dark reading far above that of the detector, or a response far above that of
    the neighbours. invalid: NaN or infinity in a reference or dark image.
    """

    dead: Tensor
    hot: Tensor
    invalid: Tensor

    @property
    def any(self) -> Tensor:
        """Those of any kind, bool [rows, columns]."""
        return self.dead | self.hot | self.invalid

    def counts(self) -> dict[str, int]:
        """Number of elements of each kind; each element counts once."""
        hot = self.hot & ~self.invalid
        dead = self.dead & ~self.hot & ~self.invalid
        return {"dead": int(dead.sum()), "hot": int(hot.sum()), "invalid": int(self.invalid.sum())}


def find_defects(
    reference: Tensor, dark: Tensor | None = None, *, dead: float = 0.3, hot: float = 2.0, hot_dark: float = 20.0
) -> Defects:
    """Dead and hot elements of a detector, from its reference and dark images.

    Args:
        reference: readings without object, [rows, columns] ([columns]); the mean where there are several.
        dark: readings without beam, likewise.
        dead: an element is dead if its response (reference - dark) is at most this share of the median of the 5 x 5
            elements about it.
        hot: ... hot if it is more than this many times that median,
        hot_dark: or if its dark reading lies more than so many robust standard deviations (1.4826 median deviations,
            and no less than a thousandth of the median response) above the median of all.

    Raises:
        ValueError: shapes that differ, thresholds out of order, or a detector of which more than half is defective.
    """
    from scipy import ndimage

    if not 0 <= dead < 1 < hot:
        raise InputError(f"dead, hot: expected 0 <= dead < 1 < hot, got {dead}, {hot}")
    if dark is not None and dark.shape != reference.shape:
        raise InputError(f"dark {list(dark.shape)} does not match reference {list(reference.shape)}")
    image = np.atleast_2d(reference.detach().cpu().double().numpy())
    black = np.zeros_like(image) if dark is None else np.atleast_2d(dark.detach().cpu().double().numpy())
    invalid = ~(np.isfinite(image) & np.isfinite(black))
    response = np.where(invalid, 0.0, image - black)
    around = ndimage.median_filter(response, tuple(min(5, n) for n in image.shape), mode="mirror")
    is_dead = ~invalid & ((response <= 0) | (response <= dead * around))
    is_hot = ~invalid & ~is_dead & (response > hot * around) & (around > 0)
    if dark is not None:
        seen = black[~invalid]
        middle = float(np.median(seen)) if seen.size else 0.0
        typical = float(np.median(response[~invalid])) if seen.size else 0.0
        spread = max(1.4826 * float(np.median(np.abs(seen - middle))) if seen.size else 0.0, 1e-3 * abs(typical))
        is_hot |= ~invalid & (black > middle + hot_dark * spread) if spread else np.zeros_like(is_hot)
    bad = int((is_dead | is_hot | invalid).sum())
    if 2 * bad > image.size:
        raise InputError(
            f"reference: expected counts above the dark's in most elements, got {int(is_dead.sum())} dead, "
            f"{int(is_hot.sum())} hot and {int(invalid.sum())} without a number of {image.size}"
        )
    return Defects(*(torch.from_numpy(m.reshape(reference.shape)) for m in (is_dead, is_hot, invalid)))


@dataclass(frozen=True)
class Repair:
    """How to fill the elements of a mask: a weighted mean of good neighbours of each.

    element: [n] flat indices. neighbours: [n, k] flat indices. weights: [n, k], each row adds up to one.
    """

    element: Tensor
    neighbours: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.element)

    def fill_(self, images: Tensor) -> None:
        """Fill the elements of images [..., rows, columns] in place (images must be contiguous)."""
        if len(self):
            flat = images.view(*images.shape[:-2], -1)
            flat[..., self.element] = self._means(flat)

    def fill(self, images: Tensor) -> Tensor:
        """The images with the elements filled; differentiable."""
        if not len(self):
            return images
        flat = images.flatten(-2)
        return flat.index_copy(-1, self.element.to(images.device), self._means(flat)).unflatten(-1, images.shape[-2:])

    def _means(self, flat: Tensor) -> Tensor:
        weights = self.weights.to(flat)
        # What is no number does not count, its weight is zero.
        return torch.where(weights > 0, flat[..., self.neighbours.to(flat.device)] * weights, 0.0).sum(-1)


def plan_repair(mask: Tensor) -> Repair:
    """Where the elements of a mask, bool [rows, columns], take their values from.

    The good ones within two rows and columns weigh with the inverse square of their distance; an element with fewer
    than three of them (inside a large defect) takes the nearest good one.

    Raises:
        ValueError: no good element at all.
    """
    bad = np.atleast_2d(mask.cpu().numpy())
    rows, columns = bad.shape
    if bad.all():
        raise InputError(f"mask: all {bad.size} elements are defective, so that nothing is left to fill them from")
    r, c = bad.nonzero()
    offset = np.arange(-REACH, REACH + 1)
    dr, dc = (grid.ravel() for grid in np.meshgrid(offset, offset, indexing="ij"))
    row, column = r[:, None] + dr, c[:, None] + dc
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    row, column = row.clip(0, rows - 1), column.clip(0, columns - 1)
    good = inside & ~bad[row, column]
    weights = good / np.maximum(dr**2 + dc**2, 1.0)
    neighbours = row * columns + column
    lonely = good.sum(1) < min(LEAST_NEIGHBOURS, rows * columns - 1)
    if lonely.any():
        from scipy import ndimage

        nearest = np.asarray(ndimage.distance_transform_edt(bad, return_distances=False, return_indices=True))
        weights[lonely] = 0.0
        weights[lonely, 0] = 1.0
        neighbours[lonely, 0] = (nearest[0] * columns + nearest[1])[r[lonely], c[lonely]]
    weights /= weights.sum(1, keepdims=True)
    # no bad one is read at all: it may be NaN
    best = np.take_along_axis(neighbours, weights.argmax(1)[:, None], axis=1)
    neighbours = np.where(weights > 0, neighbours, best)
    return Repair(*(torch.from_numpy(a) for a in (r * columns + c, neighbours, weights)))


def repair(images: Tensor, mask: Tensor) -> Tensor:
    """Images [..., rows, columns] with the elements of a mask, bool [rows, columns], filled; differentiable.

    Raises:
        ValueError: a mask of another shape, or one without any good element.
    """
    if tuple(mask.shape) != tuple(images.shape[-2:]):
        raise InputError(f"mask {list(mask.shape)} does not match images {list(images.shape)}")
    values = constant(mask)
    with untransformed():
        plan = plan_repair(torch.from_numpy(values))
    return plan.fill(images)


def fill_readings_(image: Tensor, bad: Tensor) -> None:
    """Fill single readings of one view [rows, columns] in place: those that are saturated or no numbers."""
    plan_repair(bad).fill_(image)


def fill_starved_(image: Tensor, smallest: float) -> tuple[int, int]:
    """Replace readings of one view [rows, columns] that are not above zero, in place.

    Each takes the mean of its eight neighbours as they were measured, zero and negative ones included: an element that
    dropped out gets what is about it, and in a starved shadow the mean stays nearly right (J. Hsieh, "Adaptive
    streak artifact reduction in computed tomography resulting from excessive x-ray photon noise", Medical Physics
    25(11), 1998, smooths for the same reason). What then is still below `smallest` is raised to it.

    Returns:
        how many readings were replaced, and how many of all were raised to `smallest`.
    """
    rows, columns = image.shape
    starved = (image <= 0).nonzero()
    if len(starved):
        offsets = torch.tensor([(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b], device=image.device)
        place = starved[:, None, :] + offsets
        inside = (place >= 0).all(-1) & (place[..., 0] < rows) & (place[..., 1] < columns)
        values = image[place[..., 0].clamp(0, rows - 1), place[..., 1].clamp(0, columns - 1)]
        image[starved[:, 0], starved[:, 1]] = (values * inside).sum(1) / inside.sum(1).clamp_min(1)
    low = image < smallest
    floored = int(low.sum())
    if floored:
        image.masked_fill_(low, smallest)
    return len(starved), floored
