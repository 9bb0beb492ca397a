"""Dark and flat correction with references that were taken at several times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError

Numbers: TypeAlias = "Sequence[float] | np.ndarray | Tensor"


def transmission(
    counts: Tensor, reference: Tensor, dark: Tensor | float = 0.0, exposure: Tensor | float = 1.0
) -> Tensor:
    """The transmitted fraction (counts - dark) / ((reference - dark) exposure); differentiable.

    Args:
        counts: detector readings [..., views, rows, columns] ([..., views, columns] in 2-D).
        reference: readings without object, of an image or of each view; broadcasts to counts.
        dark: readings without beam, likewise.
        exposure: of each view relative to the reference's, [views] or a number.

    Raises:
        ValueError: shapes that do not broadcast to the counts', or a reference nowhere above the dark.
    """
    dark = torch.as_tensor(dark, dtype=counts.dtype, device=counts.device)
    for name, image in (("reference", reference), ("dark", dark)):
        check_broadcast(name, image, "counts", counts)
    gain = reference - dark
    if not bool((gain.detach() > 0).any()):
        raise InputError("reference: expected counts above the dark's, got none in any element")
    fraction = (counts - dark) / gain
    if not isinstance(exposure, Tensor):
        return fraction / exposure
    dimensions = reference.ndim if reference.ndim < counts.ndim else counts.ndim - 1
    return fraction / exposure.to(counts.dtype).reshape(-1, *[1] * dimensions)


def reference_times(views: Numbers | None, count: int) -> tuple[np.ndarray, np.ndarray]:
    """When the distinct references were taken, and which of `count` images belong to each.

    Images of the same view number are taken together; without numbers all are one.

    Returns:
        times [m], growing; group [count] of each image, 0 to m - 1.

    Raises:
        ValueError: not one finite number for each image.
    """
    if views is None:
        return np.zeros(1), np.zeros(count, dtype=np.int64)
    numbers = np.asarray(views, dtype=np.float64)
    if numbers.shape != (count,):
        raise InputError(f"reference_views: expected {count} view numbers, one a reference, got {list(numbers.shape)}")
    if not np.isfinite(numbers).all():
        raise InputError(f"reference_views: expected finite view numbers, got {numbers.tolist()}")
    times, group = np.unique(numbers, return_inverse=True)
    return times, group


def grouped_means(images: Tensor, group: np.ndarray) -> Tensor:
    """Mean of the images [n, ...] of each group: [m, ...]."""
    count = int(group.max()) + 1
    if count == len(images):
        return images[np.argsort(group).tolist()] if (np.diff(group) < 0).any() else images
    return torch.stack([images[(group == i).nonzero()[0].tolist()].mean(0) for i in range(count)])


def time_weights(times: np.ndarray, views: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """The reference before each view (index [v], at most m - 2) and how far the view is to the next, 0 to 1.

    Views before the first and after the last reference take that one.
    """
    at = np.asarray(views, dtype=np.float64)
    if len(times) == 1:
        return np.zeros(at.shape, dtype=np.int64), np.zeros(at.shape)
    first = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    fraction = (at - times[first]) / (times[first + 1] - times[first])
    return first, np.clip(fraction, 0.0, 1.0)


def interpolate_references(references: Tensor, reference_views: Numbers | None, views: Numbers) -> Tensor:
    """What the references would have been at the time of each view, linear in between; differentiable.

    Args:
        references: [n, ...], n at least 1.
        reference_views: view number at which each was taken, [n]; may be fractional, negative or beyond the last view.
            Those of the same number are averaged. None: unknown, all are averaged.
        views: view numbers [v].

    Returns:
        [v, ...]; before the first reference the first, after the last the last.

    Raises:
        ValueError: no references, or not one view number for each.
    """
    check_images("references", references)
    times, group = reference_times(reference_views, len(references))
    means = grouped_means(references, group)
    first, fraction = time_weights(times, views)
    if len(times) == 1:
        return means.expand(len(first), *means.shape[1:])
    weight = torch.as_tensor(fraction, dtype=means.dtype, device=means.device).reshape(-1, *[1] * (means.ndim - 1))
    return torch.lerp(means[first.tolist()], means[(first + 1).tolist()], weight)


def check_images(name: str, images: Tensor) -> None:
    """ValueError unless there is at least one image."""
    if images.ndim < 2 or len(images) == 0:
        raise InputError(f"{name}: expected [n, ..., columns] with n at least 1, got {list(images.shape)}")


def check_broadcast(name: str, image: Tensor, target_name: str, target: Tensor) -> None:
    """ValueError unless `image` broadcasts to `target` without growing it."""
    try:
        fits = torch.broadcast_shapes(image.shape, target.shape) == target.shape
    except RuntimeError:
        fits = False
    if not fits:
        raise InputError(f"{name} {list(image.shape)} does not match {target_name} {list(target.shape)}")
