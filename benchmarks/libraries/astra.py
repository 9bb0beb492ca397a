"""ASTRA's CPU code: two-dimensional, one thread. Objects are made before the clock starts, `run` is timed.

Its angles, source and detector are sinograd's; its image has row 0 at +y.
"""

from __future__ import annotations

from collections.abc import Callable

import astra
import numpy as np
from cases import Case


def versions() -> dict[str, str]:
    """Versions."""
    return {"astra-toolbox": astra.__version__, "numpy": np.__version__}


def start(threads: int) -> None:
    """ASTRA's CPU code has one thread whatever is asked for."""


def prepare(case: Case, data: np.ndarray) -> Callable[[], tuple]:
    """FBP of a parallel beam; of a fan beam, the backprojection alone. Of both, projection, SIRT and CGLS."""
    half = case.voxels * case.spacing / 2
    voxels = astra.create_vol_geom(case.voxels, case.voxels, -half, half, -half, half)
    angles = np.array(case.angles)
    if case.beam == "fan":
        behind = case.source_to_detector - case.source_to_origin
        geometry = astra.create_proj_geom("fanflat", case.pixel, case.columns, angles, case.source_to_origin, behind)
        projector, algorithm = "line_fanflat", "BP"
    else:
        geometry = astra.create_proj_geom("parallel", case.pixel, case.columns, angles)
        projector, algorithm = "linear", "FBP"
    projector = astra.create_projector(projector, geometry, voxels)
    if case.work == "forward":
        return _projection(projector, geometry, voxels, data)
    sinogram = astra.data2d.create("-sino", geometry, data)
    image = astra.data2d.create("-vol", voxels, 0.0)
    config = astra.astra_dict(case.work.upper() if case.iterations else algorithm)
    config.update(ProjectorId=projector, ProjectionDataId=sinogram, ReconstructionDataId=image)

    def arm() -> tuple:
        astra.data2d.store(image, 0.0)
        job = astra.algorithm.create(config)
        return lambda: astra.algorithm.run(job, max(1, case.iterations)), lambda _: _fetch(job, image)

    return arm


def _projection(projector: int, geometry: dict, voxels: dict, data: np.ndarray) -> Callable[[], tuple]:
    image = astra.data2d.create("-vol", voxels, np.ascontiguousarray(data[::-1]))
    sinogram = astra.data2d.create("-sino", geometry, 0.0)
    config = astra.astra_dict("FP")
    config.update(ProjectorId=projector, VolumeDataId=image, ProjectionDataId=sinogram)

    def arm() -> tuple:
        job = astra.algorithm.create(config)
        return lambda: astra.algorithm.run(job), lambda _: astra.data2d.get(sinogram)

    return arm


def _fetch(job: int, image: int) -> np.ndarray:
    astra.algorithm.delete(job)
    return astra.data2d.get(image)[::-1]
