"""Rigid registration of two volumes of one object, by SimpleITK (`pip install 'sinograd[io]'`)."""

from __future__ import annotations

import importlib
import importlib.util
import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch

from sinograd.data import Volume
from sinograd.data.units import AIR
from sinograd.errors import InputError, InputTypeError, MissingPackageError

_LEAST_SIDE = 16  # voxels of the coarsest level of the pyramid
_SAMPLES = 200_000  # voxels that the measure is taken from at each level


@dataclass(frozen=True)
class Registration:
    """Where a moving volume lies in the fixed one.

    Attributes:
        rotation: [3, 3] float64, of world (x, y, z).
        translation: mm, world (x, y, z): the moving volume has at rotation @ point + translation what the fixed one
            has at point.
        volume: the moving volume on the grid of the fixed one, by cubic B-splines; 0 of its unit (air) beyond it.
        correlation: Pearson's of both, where they overlap.
    """

    rotation: np.ndarray
    translation: np.ndarray
    volume: Volume
    correlation: float

    @property
    def angle(self) -> float:
        """Of the rotation, radians."""
        return math.acos(max(-1.0, min(1.0, (float(np.trace(self.rotation)) - 1) / 2)))


def register_rigidly(moving: Volume, fixed: Volume, *, levels: int = 5, iterations: int = 200) -> Registration:
    """Rotation and translation that make two volumes of one object agree, and the moving one brought to the fixed grid.

    Paper 001 (arXiv 2011.02382), section 2.1: a pyramid of 5 levels, B-spline interpolation. Their correlation is
    maximised, which any line between the units leaves as it is, so that it may come before calibration. It finds what
    is near: some degrees and the coarsest voxels.

    Args:
        moving, fixed: [Z, Y, X], in any units.
        levels: of the pyramid, the coarsest smoothed and reduced by 2^(levels - 1); fewer where volumes are small.
        iterations: of gradient descent at each level, at most.

    Raises:
        MissingPackageError: SimpleITK is not installed.
        InputError, InputTypeError: no volumes, images, values that are not finite or do not vary, counts below 1.
    """
    for name, volume in (("moving", moving), ("fixed", fixed)):
        if not isinstance(volume, Volume):
            raise InputTypeError(f"{name}: expected a Volume, got {type(volume).__name__}")
        if volume.ndim != 3 or min(volume.shape) < 4:
            raise InputError(f"{name}: expected a volume of at least 4 voxels along each axis, got {volume.shape}")
        volume.validate()
    for name, count in (("levels", levels), ("iterations", iterations)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise InputError(f"{name}: expected a whole number of at least 1, got {count!r}")
    sitk = _sitk()
    images = [_image(sitk, volume, name) for name, volume in (("moving", moving), ("fixed", fixed))]
    transform = _search(sitk, images[1], images[0], (levels, iterations))
    air = AIR.get(str(moving.unit), 0.0)
    moved = sitk.Resample(images[0], images[1], transform, sitk.sitkBSpline, air)
    # What lies beyond the moving volume is no part of the agreement.
    ones = sitk.GetImageFromArray(np.ones(moving.shape, np.float32))
    ones.CopyInformation(images[0])
    seen = sitk.GetArrayFromImage(sitk.Resample(ones, images[1], transform, sitk.sitkNearestNeighbor, 0.0)) > 0
    values = sitk.GetArrayFromImage(moved)
    target = sitk.GetArrayViewFromImage(images[1])
    correlation = float(np.corrcoef(values[seen], target[seen])[0, 1]) if seen.sum() > 1 else math.nan
    rotation = np.array(transform.GetMatrix()).reshape(3, 3)
    center = np.array(transform.GetCenter())
    translation = np.array(transform.GetTranslation()) + center - rotation @ center
    record = {"rotation": rotation.tolist(), "translation_mm": translation.tolist(), "correlation": correlation}
    provenance = {**moving.provenance, "rigid_registration": record}
    return Registration(
        rotation, translation, Volume(torch.from_numpy(values), fixed.grid, moving.unit, provenance), correlation
    )


def _sitk() -> ModuleType:
    if importlib.util.find_spec("SimpleITK") is None:
        raise MissingPackageError("registration needs SimpleITK: pip install 'sinograd[io]'", name="SimpleITK")
    return importlib.import_module("SimpleITK")


def _image(sitk: Any, volume: Volume, name: str) -> Any:
    """In world coordinates, as the formats of SimpleITK have them."""
    values = volume.values.detach().cpu().float().numpy()
    if values.min() == values.max():
        raise InputError(f"{name}: expected different values, got {values.flat[0]:g} everywhere")
    image = sitk.GetImageFromArray(values)
    image.SetSpacing([float(step) for step in reversed(volume.spacing)])
    image.SetOrigin([float(axis[0]) for axis in reversed(volume.grid.axes())])
    return image


def _search(sitk: Any, fixed: Any, moving: Any, effort: tuple[int, int]) -> Any:
    """The transform, started with both grids as they lie."""
    levels, iterations = effort
    smallest = min(*fixed.GetSize(), *moving.GetSize())
    levels = max(1, min(levels, 1 + int(math.log2(max(smallest / _LEAST_SIDE, 1)))))
    factors = [2**level for level in reversed(range(levels))]
    middle = fixed.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in fixed.GetSize()])
    start = sitk.Euler3DTransform()
    start.SetCenter(middle)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    voxels = math.prod(fixed.GetSize())
    if voxels > _SAMPLES:
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentage(_SAMPLES / voxels)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=1e-4, numberOfIterations=iterations, gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(factors)
    method.SetSmoothingSigmasPerLevel([factor / 2 * max(fixed.GetSpacing()) if factor > 1 else 0 for factor in factors])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(start, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError as error:
        words = str(error).strip().splitlines()[-1]
        raise InputError(f"moving: cannot be registered to fixed: {words}") from error
    return start
