"""RTK (itk-rtk): filters built and connected before the clock starts, `Update()` is timed.

Axes. RTK's rotation axis is its y, and its world (x, y, z) is sinograd's (x, z, -y), a turn about x: source, detector
centre and u of gantry angle a then coincide with sinograd's, and v is +y. A volume [Z, Y, X] therefore becomes the
array [-Y, Z, X] (`_to_rtk`); projections [views, rows, columns] are the same arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.metadata import version

import itk
import numpy as np
from cases import Case
from itk import RTK as rtk

IMAGE = itk.Image[itk.F, 3]
# Views filtered at a time: the default of RTK's own command rtkfdk (the class's default, 2, is slower).
SUBSET = 16


def versions() -> dict[str, str]:
    """Versions."""
    return {"itk-rtk": version("itk-rtk"), "itk": version("itk-core"), "numpy": np.__version__}


def start(threads: int) -> None:
    """Sets the number of threads."""
    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(threads)


def prepare(case: Case, data: np.ndarray) -> Callable[[], tuple]:
    """The filter of the case, anew for each call."""
    geometry = _geometry(case)
    image = _volume(case, data) if case.reads_volume else _projections(case, data)

    if case.iterations:
        return lambda: _iterations(case, geometry, image)

    def arm() -> tuple:
        source = _empty_projections(case) if case.reads_volume else _empty_volume(case)
        job = _filter(case)
        job.SetInput(0, source.GetOutput())
        job.SetInput(1, image)
        job.SetGeometry(geometry)

        def call() -> object:
            job.Update()
            return job, source  # the output lives as long as its source

        return call, lambda done: _fetch(case, done[0].GetOutput())

    return arm


def _iterations(case: Case, geometry: object, projections: object) -> tuple:
    """SART with all views in one subset (SIRT), relaxed by 1, or conjugate gradients; both with Joseph's pair."""
    source, weights = _empty_volume(case), None
    if case.work == "sirt":
        job = rtk.SARTConeBeamReconstructionFilter[IMAGE, IMAGE].New()
        job.SetNumberOfProjectionsPerSubset(case.views)
        job.SetLambda(1.0)
        job.SetInput(0, source.GetOutput())
        job.SetInput(1, projections)
    else:
        job = rtk.ConjugateGradientConeBeamReconstructionFilter[IMAGE].New()
        job.SetInputVolume(source.GetOutput())
        job.SetInputProjectionStack(projections)
        weights = rtk.ConstantImageSource[IMAGE].New()
        weights.SetInformationFromImage(projections)
        weights.SetConstant(1.0)
        weights.Update()
        job.SetInputWeights(weights.GetOutput())
    job.SetForwardProjectionFilter(job.ForwardProjectionType_FP_JOSEPH)
    job.SetBackProjectionFilter(job.BackProjectionType_BP_JOSEPH)
    job.SetNumberOfIterations(case.iterations)
    job.SetGeometry(geometry)
    job.SetDisableDisplacedDetectorFilter(True)

    def call() -> object:
        job.Update()
        return job, source, weights  # RTK does not keep its inputs

    return call, lambda done: _fetch(case, done[0].GetOutput())


def _filter(case: Case) -> object:
    if case.work in ("fdk", "fbp"):
        job = rtk.FDKConeBeamReconstructionFilter[IMAGE].New()
        job.SetProjectionSubsetSize(SUBSET)
        return job
    names = {
        "forward": "JosephForwardProjectionImageFilter",
        "adjoint": "JosephBackProjectionImageFilter",
        "backprojection": "BackProjectionImageFilter",
    }
    name = names[case.work] if case.weighting == "none" else "FDKBackProjectionImageFilter"
    return getattr(rtk, name)[IMAGE, IMAGE].New()


def _geometry(case: Case) -> object:
    geometry = rtk.ThreeDCircularProjectionGeometry.New()
    for angle in case.angles:
        if not case.tilt:
            geometry.AddProjectionInRadians(case.source_to_origin, case.source_to_detector, angle)
            continue
        sine, cosine = math.sin(angle), math.cos(angle)
        toward_source = np.array([sine, 0.0, cosine])
        source = case.source_to_origin * toward_source
        centre = (case.source_to_origin - case.source_to_detector) * toward_source
        u = np.array([cosine, 0.0, -sine])
        v = math.cos(case.tilt) * np.array([0.0, 1.0, 0.0]) + math.sin(case.tilt) * toward_source
        points = [itk.Point[itk.D, 3](p.tolist()) for p in (source, centre)]
        vectors = [itk.Vector[itk.D, 3](w.tolist()) for w in (u, v)]
        if not geometry.AddProjection(*points, *vectors):
            raise RuntimeError("RTK does not take this geometry")
    return geometry


def _detector(case: Case) -> tuple[list[int], list[float], list[float]]:
    """Size, spacing and origin (columns, rows, views) of the projections; a fan beam gets three equal rows."""
    rows = case.rows or 3
    size = [case.columns, rows, case.views]
    return size, [case.pixel, case.pixel, 1.0], [*(-(n - 1) / 2 * case.pixel for n in size[:2]), 0.0]


def _voxels(case: Case) -> tuple[list[int], list[float], list[float]]:
    size = [case.voxels, case.voxels if case.rows else 1, case.voxels]
    return size, [case.spacing] * 3, [-(n - 1) / 2 * case.spacing for n in size]


def _image(array: np.ndarray, place: tuple[list[int], list[float], list[float]]) -> object:
    image = itk.image_view_from_array(np.ascontiguousarray(array))
    image.SetSpacing(place[1])
    image.SetOrigin(place[2])
    return image


def _projections(case: Case, data: np.ndarray) -> object:
    return _image(data if case.rows else np.repeat(data[:, None, :], 3, axis=1), _detector(case))


def _volume(case: Case, data: np.ndarray) -> object:
    return _image(_to_rtk(data), _voxels(case))


def _zeros(place: tuple[list[int], list[float], list[float]]) -> object:
    source = rtk.ConstantImageSource[IMAGE].New()
    source.SetSize(place[0])
    source.SetSpacing(place[1])
    source.SetOrigin(place[2])
    source.SetConstant(0.0)
    return source


def _empty_projections(case: Case) -> object:
    return _zeros(_detector(case))


def _empty_volume(case: Case) -> object:
    return _zeros(_voxels(case))


def _to_rtk(volume: np.ndarray) -> np.ndarray:
    """[Z, Y, X] to RTK's [-Y, Z, X]."""
    return volume.transpose(1, 0, 2)[::-1]


def _fetch(case: Case, image: object) -> np.ndarray:
    array = itk.array_from_image(image)
    if case.reads_volume:
        return array
    volume = array[::-1].transpose(1, 0, 2)
    return volume if case.rows else volume[0]
