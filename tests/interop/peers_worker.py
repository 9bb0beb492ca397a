"""Runs RTK and ASTRA on one core in the peers' interpreter: `python peers_worker.py FOLDER`.

FOLDER holds jobs.json, a list of {"library", "name", ...}; volume NAME.npy is projected into NAME.out.npy. It imports
only what a job needs, by ITK's own modules: `from itk import RTK` alone takes 15 s.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def project_rtk(job: dict[str, Any], volume: np.ndarray, folder: Path) -> np.ndarray:
    """Joseph's projector of RTK with a geometry file; volume and projections as RTK's images."""
    import itk
    from itk import itkPyBufferPython, rtkJosephForwardProjectionImageFilterPython
    from itk import rtkThreeDCircularProjectionGeometryXMLFileReaderPython as files

    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(1)
    reader = files.rtkThreeDCircularProjectionGeometryXMLFileReader.New()
    reader.SetFilename(str(folder / job["file"]))
    reader.GenerateOutputInformation()
    views = len(reader.GetOutputObject().GetGantryAngles())
    convert = itkPyBufferPython.itkPyBufferIF3
    image = convert.GetImageFromArray(np.ascontiguousarray(volume))
    image.SetSpacing(job["spacing"])
    image.SetOrigin(job["origin"])
    rows, columns = job["shape"]
    empty = convert.GetImageFromArray(np.zeros((views, rows, columns), np.float32))
    height, width = job["pixel"]
    empty.SetSpacing([width, height, 1.0])
    empty.SetOrigin([-(columns - 1) / 2 * width, -(rows - 1) / 2 * height, 0.0])
    projector = rtkJosephForwardProjectionImageFilterPython.rtkJosephForwardProjectionImageFilterIF3IF3.New()
    projector.SetInput(0, empty)
    projector.SetInput(1, image)
    projector.SetGeometry(reader.GetOutputObject())
    projector.Update()
    return convert.GetArrayFromImage(projector.GetOutput())


def project_astra(job: dict[str, Any], volume: np.ndarray, folder: Path) -> np.ndarray:
    """One of ASTRA's projectors for the CPU; its image has row 0 at +y."""
    import astra

    geometry = {
        key: np.array(value) if isinstance(value, list) else value for key, value in job["projection_geometry"].items()
    }
    projector = astra.create_projector(job["projector"], geometry, job["volume_geometry"])
    return astra.OpTomo(projector).FP(np.ascontiguousarray(volume[::-1]))


def check_astra(job: dict[str, Any], volume: np.ndarray, folder: Path) -> np.ndarray:
    """`sinograd.recon.check` of AstraTransform with ASTRA itself: mismatch, scale, error, and ours against it."""
    import torch

    sys.path.append(job["packages"])
    import sinograd as sg
    from sinograd.interop import AstraTransform
    from sinograd.recon import check

    geometry, grid = sg.load_geometry(folder / job["file"]), sg.Grid(**job["grid"])
    operator = AstraTransform(geometry, grid, job["projector"])
    found = check(operator)
    ours = sg.XRayTransform(geometry, grid)(torch.from_numpy(volume))
    difference = float((operator(torch.from_numpy(volume)) - ours).norm() / ours.norm())
    return np.array([found.mismatch, found.scale, found.column_shift, found.error, difference], dtype=np.float64)


def main(folder: Path) -> None:
    """Runs the jobs."""
    jobs = {"rtk": project_rtk, "astra": project_astra, "check": check_astra}
    for job in json.loads((folder / "jobs.json").read_text()):
        volume = np.load(folder / f"{job['name']}.npy")
        np.save(folder / f"{job['name']}.out.npy", jobs[job["library"]](job, volume, folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
