"""ASTRA (`astra-toolbox`): its geometry dictionaries, and its projectors as an operator.

ASTRA's world, angles, sources and detectors are sinograd's. Its arrays are not: projections of area detectors are
[rows, views, columns], and two-dimensional images have row 0 at +y (volumes have it at -y). `AstraTransform` does both.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import ConeBeam, FanBeam, FlatDetector, Geometry, Grid, ParallelBeam
from sinograd.geometry.vectors import CENTER, SOURCE, U, V
from sinograd.interop.external import ExternalTransform, entry, installed
from sinograd.interop.poses import as_circle, require_flat
from sinograd.ops.arguments import check_pair

Description = dict[str, Any]
Function = Callable[[Tensor], Tensor]

_CIRCLE_TYPES = ("cone", "fanflat", "parallel", "parallel3d")
_VECTOR_TYPES = ("cone_vec", "fanflat_vec", "parallel_vec", "parallel3d_vec")


def to_astra(
    geometry: Geometry, grid: Grid, form: Literal["auto", "vectors"] = "auto"
) -> tuple[Description, Description]:
    """ASTRA's projection and volume geometry, as `astra.create_proj_geom` and `astra.create_vol_geom` make them.

    Args:
        geometry: any beam with a flat detector.
        grid: the voxels.
        form: "auto" gives "cone", "fanflat", "parallel" or "parallel3d" where that is the same scan to rounding and
            else a form with vectors; "vectors" gives "cone_vec", "fanflat_vec", "parallel_vec" or "parallel3d_vec".

    Raises:
        ValueError: a curved detector.
    """
    check_pair(geometry, grid)
    require_flat(geometry, "ASTRA")
    if form not in ("auto", "vectors"):
        raise InputError(f'form must be "auto" or "vectors", got {form!r}')
    projection = _circle(geometry) if form == "auto" else None
    return projection or _vectors(geometry), _volume(grid)


def from_astra(projection_geometry: Mapping[str, Any], volume_geometry: Mapping[str, Any]) -> tuple[Geometry, Grid]:
    """Geometry and grid from ASTRA's dictionaries, all lengths in mm.

    Raises:
        ValueError: a type of geometry that sinograd does not know ("sparse_matrix", "cyl_cone_vec"), missing entries,
            pixels whose size changes from view to view.
    """
    kind = str(entry(projection_geometry, "type", "ASTRA's projection geometry"))
    if kind in _VECTOR_TYPES:
        geometry = _from_vectors(kind, projection_geometry)
    elif kind in _CIRCLE_TYPES:
        geometry = _from_circle(kind, projection_geometry)
    else:
        known = ", ".join([*_CIRCLE_TYPES, *_VECTOR_TYPES])
        raise InputError(f"ASTRA's projection geometry has type {kind!r}; sinograd converts {known}")
    grid = _grid(volume_geometry)
    if grid.ndim != geometry.ndim:
        raise InputError(f"ASTRA's {kind!r} is {geometry.ndim}-D, but its volume geometry is {grid.ndim}-D")
    return geometry, grid


class AstraTransform(ExternalTransform):
    """ASTRA's projectors behind `A(x)` and `A.T(y)`, float32, through host memory.

    In 2-D ASTRA has projectors for the CPU, whose backprojection is the exact adjoint, and for CUDA; in 3-D for CUDA
    alone. The backprojection of its CUDA projectors is interpolated from the detector and is **not** the adjoint
    (`sinograd.recon.check(A)` says how far it is off).

    Args:
        geometry: any beam with a flat detector.
        grid: the voxels.
        projector: ASTRA's name of it. By default "cuda3d" in 3-D; in 2-D "cuda" where ASTRA finds a GPU, else
            "linear" (Joseph's method) for parallel beams and "line_fanflat" (Siddon's) for fan beams.

    Raises:
        ImportError: astra-toolbox is not installed.
        RuntimeError: the projector needs a GPU and ASTRA finds none.
        ValueError: a curved detector.
    """

    toolkit = "ASTRA"

    def __init__(self, geometry: Geometry, grid: Grid, projector: str | None = None) -> None:
        astra = installed("astra", "AstraTransform", "pip install astra-toolbox")
        described = to_astra(geometry, grid)
        gpu = bool(astra.use_cuda())
        name = projector or _default_projector(geometry, gpu)
        if name.startswith("cuda") and not gpu:
            raise RuntimeError(
                f"AstraTransform: ASTRA's projector {name!r} needs a CUDA GPU, and ASTRA finds none"
                + ("; in 3-D it has no other: use sinograd.XRayTransform" if grid.ndim == 3 else "")
            )
        identity = astra.create_projector(name, *described)
        super().__init__(geometry, grid, *_functions(astra.OpTomo(identity), grid.ndim))
        self.projector, self._choice = name, projector
        projectors = astra.projector3d if grid.ndim == 3 else astra.projector
        weakref.finalize(self, projectors.delete, identity).atexit = False

    def subset(self, views: Any) -> AstraTransform:
        """The same operator for some of the views, chosen as in `geometry[views]`."""
        return AstraTransform(self.geometry[views], self.grid, self._choice)


def _default_projector(geometry: Geometry, gpu: bool) -> str:
    if geometry.ndim == 3:
        return "cuda3d"
    if gpu:
        return "cuda"
    return "line_fanflat" if geometry.divergent else "linear"


def _functions(operator: Any, ndim: int) -> tuple[Function, Function]:
    """Projection and backprojection by ASTRA's arrays: images with row 0 at +y in 2-D, rows before views in 3-D."""

    def project(volume: Tensor) -> Tensor:
        array = volume.flip(0) if ndim == 2 else volume
        result = torch.from_numpy(np.asarray(operator.FP(_host(array))))
        return result if ndim == 2 else result.transpose(0, 1)

    def backproject(projections: Tensor) -> Tensor:
        array = projections if ndim == 2 else projections.transpose(0, 1)
        result = torch.from_numpy(np.asarray(operator.BP(_host(array))))
        return result.flip(0) if ndim == 2 else result

    return project, backproject


def _host(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().contiguous().numpy()


def _circle(geometry: Geometry) -> Description | None:
    circle = as_circle(geometry)
    if circle is None or circle.axis_offset or circle.row or circle.column:
        return None
    detector, angles = geometry.detector, circle.angles.numpy().copy()
    if geometry.ndim == 3:
        result = {
            "type": "cone" if geometry.divergent else "parallel3d",
            "DetectorSpacingX": detector.column_spacing,
            "DetectorSpacingY": detector.row_spacing,
            "DetectorRowCount": detector.rows,
            "DetectorColCount": detector.columns,
            "ProjectionAngles": angles,
        }
    else:
        result = {
            "type": "fanflat" if geometry.divergent else "parallel",
            "DetectorWidth": detector.column_spacing,
            "DetectorCount": detector.columns,
            "ProjectionAngles": angles,
        }
    if geometry.divergent:
        result["DistanceOriginSource"] = circle.source_to_origin
        result["DistanceOriginDetector"] = circle.source_to_detector - circle.source_to_origin
    return result


def _vectors(geometry: Geometry) -> Description:
    vectors, detector = geometry.vectors, geometry.detector
    # the ray of ASTRA's own parallel beams runs from the detector to the source
    first = vectors[:, SOURCE] if geometry.divergent else -vectors[:, SOURCE]
    parts = [first, vectors[:, CENTER], vectors[:, U], vectors[:, V]]
    if geometry.ndim == 2:
        table = torch.cat([part[:, :2] for part in parts[:3]], 1)
        kind = "fanflat_vec" if geometry.divergent else "parallel_vec"
        return {"type": kind, "DetectorCount": detector.columns, "Vectors": table.numpy()}
    return {
        "type": "cone_vec" if geometry.divergent else "parallel3d_vec",
        "DetectorRowCount": detector.rows,
        "DetectorColCount": detector.columns,
        "Vectors": torch.cat(parts, 1).numpy(),
    }


def _volume(grid: Grid) -> Description:
    window = {}
    for axis, center, size in zip("XYZ"[: grid.ndim], grid.center, reversed(grid.size), strict=True):
        window[f"WindowMin{axis}"], window[f"WindowMax{axis}"] = center - size / 2, center + size / 2
    names = ("GridSliceCount", "GridRowCount", "GridColCount")[-grid.ndim :]
    return {"option": window, **dict(zip(names, grid.shape, strict=True))}


def _from_vectors(kind: str, given: Mapping[str, Any]) -> Geometry:
    what = f"ASTRA's {kind!r}"
    area = kind in ("cone_vec", "parallel3d_vec")
    table = torch.as_tensor(np.asarray(entry(given, "Vectors", what), dtype=np.float64))
    width = 12 if area else 6
    if table.ndim != 2 or table.shape[1] != width:
        raise InputError(f"{what}: Vectors must be [views, {width}], got {list(table.shape)}")
    parts = [part.clone() for part in table.split(3 if area else 2, dim=1)]
    if area:
        shape = int(entry(given, "DetectorRowCount", what)), int(entry(given, "DetectorColCount", what))
        spacing = float(parts[3].norm(dim=1).median()), float(parts[2].norm(dim=1).median())
        detector = FlatDetector(shape, spacing)
    else:
        detector = FlatDetector(int(entry(given, "DetectorCount", what)), float(parts[2].norm(dim=1).median()))
    steps = {"centers": parts[1], "u": parts[2], "detector": detector, **({"v": parts[3]} if area else {})}
    if kind == "cone_vec":
        return ConeBeam.from_vectors(sources=parts[0], **steps)
    if kind == "fanflat_vec":
        return FanBeam.from_vectors(sources=parts[0], **steps)
    return ParallelBeam.from_vectors(directions=-parts[0], **steps)


def _from_circle(kind: str, given: Mapping[str, Any]) -> Geometry:
    what = f"ASTRA's {kind!r}"
    angles = np.asarray(entry(given, "ProjectionAngles", what), dtype=np.float64)
    if kind in ("cone", "parallel3d"):
        shape = int(entry(given, "DetectorRowCount", what)), int(entry(given, "DetectorColCount", what))
        spacing = float(entry(given, "DetectorSpacingY", what)), float(entry(given, "DetectorSpacingX", what))
        detector = FlatDetector(shape, spacing)
    else:
        detector = FlatDetector(int(entry(given, "DetectorCount", what)), float(entry(given, "DetectorWidth", what)))
    if kind in ("parallel", "parallel3d"):
        return ParallelBeam(angles, detector)
    source = float(entry(given, "DistanceOriginSource", what))
    beyond = float(entry(given, "DistanceOriginDetector", what))
    maker = ConeBeam.circular if kind == "cone" else FanBeam.circular
    return maker(source_to_origin=source, source_to_detector=source + beyond, angles=angles, detector=detector)


def _grid(given: Mapping[str, Any]) -> Grid:
    what = "ASTRA's volume geometry"
    axes = "ZYX" if "GridSliceCount" in given else "YX"
    names = {"Z": "GridSliceCount", "Y": "GridRowCount", "X": "GridColCount"}
    shape = [int(entry(given, names[axis], what)) for axis in axes]
    window = given.get("option", {})
    spacing, center = [], []
    for axis, count in zip(axes, shape, strict=True):
        low = float(window.get(f"WindowMin{axis}", -count / 2))
        high = float(window.get(f"WindowMax{axis}", count / 2))
        spacing.append((high - low) / count)
        center.insert(0, (low + high) / 2)
    return Grid(shape, spacing, center)
