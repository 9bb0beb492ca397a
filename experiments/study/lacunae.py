"""Counting what the microscope study is for: lacunae and canals, dark things in the tube of bone."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from torch import Tensor

from sinograd.phantoms import Ellipsoids
from study.config import Study
from study.data import Case, make_phantom

# What is measured, with the digits of the tables and the words above them.
COLUMNS = {
    "lacunae_found": (3, "share of lacunae found"),
    "lacunae_false": (3, "false ones for each true one"),
    "lacuna_size": (3, "volume of those found, to the true one"),
}
_TOUCHING = np.ones((3, 3, 3), dtype=bool)


def measure_lacunae(study: Study, found: Tensor, case: Case) -> dict[str, float]:
    """Of a volume [Z, Y, X], against the noise-free reconstruction, in which the same things are counted.

    A lacuna is found where half of its voxels are dark in the volume; a dark thing is false where none of its voxels
    is one of a lacuna. Each has at least `smallest` voxels that touch at sides, edges or corners.
    """
    assert study.lacunae is not None
    tube = tube_of(study, make_phantom(study, case.phantom))
    true = _dark(study, case.clean, tube)
    dark = _dark(study, found, tube)
    count = int(true.max())
    if count == 0:
        return {"lacunae_found": np.nan, "lacunae_false": np.nan, "lacuna_size": np.nan}
    numbers = np.arange(1, count + 1)
    hit = ndimage.mean(dark > 0, true, numbers) >= 0.5
    false = ndimage.maximum(true > 0, dark, np.arange(1, int(dark.max()) + 1)) == 0 if dark.max() else np.zeros(0)
    sizes = np.bincount(true.ravel(), minlength=count + 1)[1:]
    grown = _touched(true, dark)
    return {
        "lacunae_found": float(hit.mean()),
        "lacunae_false": float(np.sum(false)) / count,
        "lacuna_size": float(np.median(grown[hit] / sizes[hit])) if hit.any() else np.nan,
    }


def tube_of(study: Study, phantom: Ellipsoids) -> np.ndarray:
    """Voxels [Z, Y, X] that lie wholly in the tube: its outer surface and its cavity come first in a phantom."""
    tube = phantom[:2].voxelize(study.volume_grid, supersampling=2).numpy()
    inside = tube >= 0.999 * float(phantom.value[0])
    return ndimage.binary_erosion(inside, np.ones((1, 3, 3), dtype=bool))


def _dark(study: Study, volume: Tensor, tube: np.ndarray) -> np.ndarray:
    """Numbers of dark things in the tube, 0 elsewhere."""
    assert study.lacunae is not None
    labels, count = ndimage.label((volume.numpy() < study.lacunae.threshold) & tube, _TOUCHING)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    kept = sizes >= study.lacunae.smallest
    kept[0] = False
    numbers = np.cumsum(kept) * kept
    return numbers[labels]


def _touched(true: np.ndarray, dark: np.ndarray) -> np.ndarray:
    """For each lacuna the voxels of all dark things that touch it."""
    sizes = np.bincount(dark.ravel())
    grown = np.zeros(int(true.max()))
    for number, box in enumerate(ndimage.find_objects(true)):
        things = np.unique(dark[box][true[box] == number + 1])
        grown[number] = sizes[things[things > 0]].sum()
    return grown
