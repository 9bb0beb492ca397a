"""TIGRE: its geometry, and its projectors as an operator.

Written after TIGRE's sources (`computeDeltas_Siddon`, `computeDeltasCube`): at angle alpha the source is at
DSO (cos alpha, sin alpha, 0), columns run along (-sin alpha, cos alpha, 0) and rows along +z, so alpha is sinograd's
gantry angle less a quarter turn, and the arrays are sinograd's: volume [z, y, x], projections [views, rows, columns].
Arrays of the geometry are (z, y, x) and (rows, columns), as TIGRE 2 and later take them from Python; pytigre 0.1.8 took
`offOrigin`, `offDetector` and `rotDetector` in the other order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import ConeBeam, FlatDetector, Geometry, Grid, ParallelBeam
from sinograd.interop.external import ExternalTransform, entry, installed
from sinograd.interop.poses import EXACT, Poses, flat_poses, one
from sinograd.ops.arguments import check_pair

Values = float | np.ndarray

_OPTIONAL = {"mode": "cone", "offOrigin": 0.0, "offDetector": 0.0, "rotDetector": 0.0, "COR": 0.0}
_INSTALL = "built from its sources, https://github.com/CERN/TIGRE, with CUDA's compiler"


@dataclass(frozen=True)
class TigreGeometry:
    """The attributes of TIGRE's geometry, under its names; lengths in mm, angles in radians.

    Where all views agree a value is one number or one row, else it has one for each view. To hand it to TIGRE:
    `geo = tigre.geometry(mode="cone"); vars(geo).update(vars(converted))`, then `tigre.Ax(volume, geo, geo.angles)`.

    Attributes:
        angles: [views], or [views, 3] for TIGRE's Euler angles (z, y, z).
        DSO, DSD: from source to origin and to detector.
        nVoxel, sVoxel, dVoxel: shape, size and spacing of the volume (z, y, x).
        nDetector, sDetector, dDetector: the same of the detector (rows, columns).
        offOrigin: position of the volume's middle (z, y, x).
        offDetector: displacement of the detector's middle (rows, columns), before it is turned with the gantry.
        rotDetector: yaw, pitch and roll of the detector about its middle: about its normal, columns' axis, rows' axis.
        COR: displacement of source and detector along the columns' axis.
        mode: "cone" or "parallel".
        accuracy: steps of TIGRE's interpolating projector, in voxels.
    """

    angles: np.ndarray
    DSO: Values
    DSD: Values
    nVoxel: np.ndarray
    sVoxel: np.ndarray
    dVoxel: np.ndarray
    nDetector: np.ndarray
    sDetector: np.ndarray
    dDetector: np.ndarray
    offOrigin: np.ndarray
    offDetector: np.ndarray
    rotDetector: np.ndarray
    COR: Values
    mode: str = "cone"
    accuracy: float = 0.5


def to_tigre(geometry: Geometry, grid: Grid) -> TigreGeometry:
    """TIGRE's geometry of a cone beam or a parallel beam with an area detector.

    Any orbit can be expressed: what is no circle goes into `offOrigin`, one for each view.

    Raises:
        ValueError: 2-D, a curved or left-handed detector, u and v not at right angles; parallel rays that are not at
            right angles to the rotation axis and to the detector.
    """
    check_pair(geometry, grid)
    poses = flat_poses(geometry, "TIGRE")
    if geometry.divergent:
        alpha = _source_angles(geometry, poses)
        distances, offsets, turns = _cone(poses, alpha)
    else:
        _check_upright(poses)
        alpha = torch.atan2(poses.n[:, 1], poses.n[:, 0]) if geometry.angles is None else geometry.angles - math.pi / 2
        reach = 2 * math.hypot(*grid.size, *grid.center)  # TIGRE's rays start and end here, beyond the volume
        distances = torch.tensor([reach, 2 * reach], dtype=torch.float64).expand(len(alpha), 2)
        across = (poses.center * _axes(alpha)[1]).sum(1)
        offsets = torch.stack([across, poses.center[:, 2], *torch.zeros(2, len(alpha), dtype=torch.float64)], 1)
        turns = torch.zeros(len(alpha), 3, dtype=torch.float64)
    scale = float(distances[:, 1].abs().max()) + max(geometry.detector.size)
    origin = torch.tensor(grid.center[::-1], dtype=torch.float64).repeat(len(alpha), 1)
    origin[:, 0] -= offsets[:, 1]
    detector = geometry.detector
    return TigreGeometry(
        angles=alpha.numpy().copy(),
        DSO=_number(distances[:, 0], scale),
        DSD=_number(distances[:, 1], scale),
        nVoxel=np.array(grid.shape),
        sVoxel=np.array(grid.size),
        dVoxel=np.array(grid.spacing),
        nDetector=np.array(detector.shape),
        sDetector=np.array(detector.size),
        dDetector=np.array(detector.spacing),
        offOrigin=_row(origin, scale),
        offDetector=_row(offsets[:, 2:], scale),
        rotDetector=_row(turns, 1.0),
        COR=_number(offsets[:, 0], scale),
        mode="cone" if geometry.divergent else "parallel",
    )


def from_tigre(
    geometry: Any, angles: Any = None, *, center: tuple[float, float, float] | None = None
) -> tuple[ConeBeam | ParallelBeam, Grid]:
    """Geometry and grid from TIGRE's, all its lengths in mm.

    Args:
        geometry: a `tigre.geometry`, a `TigreGeometry` or a mapping with these names.
        angles: what TIGRE's `Ax` gets, [views] or [views, 3] in radians; by default `geometry.angles`.
        center: world position (x, y, z) of the volume's middle. TIGRE knows only where gantry and volume are relative
            to each other; by default the gantry stays where it is and the volume's middle is at `offOrigin`, halfway
            between its extremes where it differs from view to view.

    Raises:
        ValueError: missing attributes, wrong shapes, another mode, a turned detector of a parallel beam.
    """
    given = geometry if isinstance(geometry, Mapping) else vars(geometry)
    what = "TIGRE's geometry"
    given = {**_OPTIONAL, **{key: value for key, value in given.items() if value is not None}}
    turns = np.asarray(entry(given, "angles", what) if angles is None else angles, dtype=np.float64)
    if turns.ndim not in (1, 2) or (turns.ndim == 2 and turns.shape[1] != 3) or not turns.size:
        raise InputError(f"angles: expected TIGRE's angles [views] or [views, 3], got {list(turns.shape)}")
    euler = torch.from_numpy(turns if turns.ndim == 2 else np.stack([turns, *np.zeros((2, len(turns)))], 1))
    views = len(euler)
    if given["mode"] not in ("cone", "parallel"):
        raise InputError(f"{what}: mode must be 'cone' or 'parallel', got {given['mode']!r}")
    parallel = given["mode"] == "parallel"

    def table(name: str, width: int) -> Tensor:
        return _table(entry(given, name, what), name, views, width)

    detector = FlatDetector(_counts(given, "nDetector", 2), _lengths(given, "dDetector", 2))
    off_origin = table("offOrigin", 3).flip(1)
    middle = (off_origin.amax(0) + off_origin.amin(0)) / 2
    if center is not None:
        middle = torch.tensor(center, dtype=torch.float64)
    grid = Grid(_counts(given, "nVoxel", 3), _lengths(given, "dVoxel", 3), middle.tolist())

    gantry = _turn(euler[:, 0], 2) @ _turn(euler[:, 1], 1) @ _turn(euler[:, 2], 2)
    along = _axes(euler[:, 0])[1]
    base = middle - off_origin + table("COR", 1) * along
    offsets = table("offDetector", 2)
    yaw, pitch, roll = table("rotDetector", 3).unbind(1)
    turned = gantry @ _turn(roll, 2) @ _turn(pitch, 1) @ _turn(yaw, 0)
    if parallel and bool(torch.stack([roll, pitch, yaw]).any()):
        raise InputError(f"{what}: TIGRE leaves rotDetector out of parallel beams, but it is not 0")
    source_distance, detector_distance = table("DSO", 1), table("DSD", 1)
    behind = torch.zeros_like(source_distance) if parallel else source_distance - detector_distance
    middle_of_detector = torch.cat([behind, offsets.flip(1)], 1)
    steps = {
        "centers": base + (gantry @ middle_of_detector[:, :, None])[:, :, 0],
        "u": turned[:, :, 1] * detector.column_spacing,
        "v": turned[:, :, 2] * detector.row_spacing,
        "detector": detector,
    }
    if parallel:
        return ParallelBeam.from_vectors(directions=-gantry[:, :, 0], **steps), grid
    return ConeBeam.from_vectors(sources=base + gantry[:, :, 0] * source_distance, **steps), grid


class TigreTransform(ExternalTransform):
    """TIGRE's projectors behind `A(x)` and `A.T(y)`, float32, through host memory.

    `A.T` is TIGRE's "matched" backprojection, which is close to the adjoint of its projector and not equal to it
    (`sinograd.recon.check(A)` says how far it is off).

    Args:
        geometry: a cone or parallel beam with a flat area detector.
        grid: the voxels.
        projection: "Siddon" or "interpolated".
        backprojection: "matched", or "FDK", which carries the weights of that algorithm.

    Raises:
        ImportError: TIGRE is not installed.
        RuntimeError: there is no GPU.
        ValueError: what `to_tigre` cannot express.
    """

    toolkit = "TIGRE"

    def __init__(
        self, geometry: Geometry, grid: Grid, projection: str = "Siddon", backprojection: str = "matched"
    ) -> None:
        tigre = installed("tigre", "TigreTransform", _INSTALL)
        gpus = installed("tigre.utilities.gpu", "TigreTransform", _INSTALL)
        if gpus.getGpuCount() == 0:
            raise RuntimeError("TigreTransform: TIGRE computes on CUDA GPUs only, and it finds none")
        converted = to_tigre(geometry, grid)
        described = tigre.geometry(mode=converted.mode, nVoxel=converted.nVoxel)
        vars(described).update(vars(converted))
        angles = converted.angles.astype(np.float32)

        def project(volume: Tensor) -> Tensor:
            result = tigre.Ax(_host(volume), described, angles, projection_type=projection)
            return torch.from_numpy(np.asarray(result))

        def backproject(projections: Tensor) -> Tensor:
            result = tigre.Atb(_host(projections), described, angles, backprojection_type=backprojection)
            return torch.from_numpy(np.asarray(result))

        super().__init__(geometry, grid, project, backproject)
        self.projection, self.backprojection = projection, backprojection

    def subset(self, views: Any) -> TigreTransform:
        """The same operator for some of the views, chosen as in `geometry[views]`."""
        return TigreTransform(self.geometry[views], self.grid, self.projection, self.backprojection)


def _host(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().contiguous().numpy()


def _source_angles(geometry: Geometry, poses: Poses) -> Tensor:
    """The gantry's, else the source's about the axis, else (a source on the axis) the detector normal's."""
    if geometry.angles is not None:
        return geometry.angles - math.pi / 2
    source = poses.source
    on_axis = source[:, :2].norm(dim=1) <= EXACT * (source - poses.center).norm(dim=1)
    towards = torch.where(on_axis[:, None], poses.n, source)
    return torch.atan2(towards[:, 1], towards[:, 0])


def _axes(alpha: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """TIGRE's x (towards the source), y (columns) and z (rows) at these angles, in the world, [views, 3] each."""
    sine, cosine, zero = alpha.sin(), alpha.cos(), torch.zeros_like(alpha)
    return (
        torch.stack([cosine, sine, zero], 1),
        torch.stack([-sine, cosine, zero], 1),
        torch.stack([zero, zero, zero + 1], 1),
    )


def _cone(poses: Poses, alpha: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(DSO, DSD), (COR, height of the source, row and column offset) and rotDetector, one row a view."""
    frame = torch.stack(_axes(alpha), 2)  # columns: the gantry's x, y, z
    source = (poses.source[:, None] @ frame)[:, 0]
    center = (poses.center[:, None] @ frame)[:, 0]
    if bool((source[:, 0] <= 0).any()):
        view = int((source[:, 0] <= 0).nonzero()[0])
        raise InputError(f"geometry: TIGRE needs the source on its own side of the axis; it is not in view {view}")
    distances = torch.stack([source[:, 0], source[:, 0] - center[:, 0]], 1)
    shift = center - source
    offsets = torch.stack([source[:, 1], source[:, 2], shift[:, 2], shift[:, 1]], 1)
    turned = frame.transpose(1, 2) @ torch.stack([poses.n, poses.u, poses.v], 2)
    roll = torch.atan2(turned[:, 1, 0], turned[:, 0, 0])
    pitch = torch.atan2(-turned[:, 2, 0], torch.hypot(turned[:, 2, 1], turned[:, 2, 2]))
    yaw = torch.atan2(turned[:, 2, 1], turned[:, 2, 2])
    return distances, offsets, torch.stack([yaw, pitch, roll], 1)


def _check_upright(poses: Poses) -> None:
    leaning = torch.maximum(poses.v[:, :2].norm(dim=1), poses.u[:, 2].abs()) > EXACT
    if bool(leaning.any()):
        raise InputError(
            "geometry: TIGRE's parallel beams have rows along z and rays at right angles to it; the detector leans in "
            f"{int(leaning.sum())} of {len(leaning)} views"
        )


def _turn(angle: Tensor, axis: int) -> Tensor:
    """Rotations [views, 3, 3] about x (0), y (1) or z (2), by the right-hand rule."""
    matrix = torch.eye(3, dtype=torch.float64).repeat(len(angle), 1, 1)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[:, i, i] = matrix[:, j, j] = angle.cos()
    matrix[:, j, i], matrix[:, i, j] = angle.sin(), -angle.sin()
    return matrix


def _number(values: Tensor, scale: float) -> Values:
    shared = one(values, scale)
    return values.numpy().copy() if shared is None else shared


def _row(values: Tensor, scale: float) -> np.ndarray:
    shared = [one(column, scale) for column in values.unbind(1)]
    return values.numpy().copy() if None in shared else np.array(shared)


def _table(value: Any, name: str, views: int, width: int) -> Tensor:
    """One row of `width` numbers for each view, from a number, a row, one number for each view, or all of them."""
    array = np.asarray(value, dtype=np.float64)
    if width == 1 and array.shape == (views,):
        array = array[:, None]
    if array.shape not in ((), (1,), (width,), (views, width)):
        raise InputError(
            f"TIGRE's geometry: {name} must have {width} numbers or [{views}, {width}], got {list(array.shape)}"
        )
    return torch.from_numpy(np.ascontiguousarray(np.broadcast_to(array, (views, width))).copy())


def _counts(given: Mapping[str, Any], name: str, length: int) -> list[int]:
    return [int(n) for n in _lengths(given, name, length)]


def _lengths(given: Mapping[str, Any], name: str, length: int) -> list[float]:
    values = np.asarray(entry(given, name, "TIGRE's geometry"), dtype=np.float64)
    if values.shape != (length,):
        raise InputError(f"TIGRE's geometry: {name} must have {length} numbers, got {list(values.shape)}")
    return values.tolist()
