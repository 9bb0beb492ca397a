"""SimpleITK: `BilateralImageFilter`, whose window reaches 2.5 spatial standard deviations."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import SimpleITK
from cases import SIGMA_RANGE, SIGMA_SPATIAL, Case


def versions() -> dict[str, str]:
    """Versions."""
    return {"SimpleITK": SimpleITK.__version__}


def start(threads: int) -> None:
    """Sets the number of threads."""
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def prepare(case: Case, data: np.ndarray) -> Callable[[], tuple]:
    """`Execute` of the filter, made before."""
    if 2 * math.ceil(2.5 * SIGMA_SPATIAL) + 1 != case.window:
        raise ValueError(f"SimpleITK's window for a sigma of {SIGMA_SPATIAL} is not {case.window} voxels wide")
    image = SimpleITK.GetImageFromArray(data)
    job = SimpleITK.BilateralImageFilter()
    job.SetDomainSigma(SIGMA_SPATIAL)
    job.SetRangeSigma(SIGMA_RANGE)
    job.SetNumberOfRangeGaussianSamples(10_000)
    return lambda: (lambda: job.Execute(image), SimpleITK.GetArrayFromImage)
