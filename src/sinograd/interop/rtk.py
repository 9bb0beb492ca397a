"""RTK: its geometry files, and how its volumes lie.

Gantry angles are sinograd's. RTK's rotation axis is its y: its (x, y, z) is sinograd's (x, z, -y), a turn about x. A
geometry file holds no detector: RTK takes size, spacing and origin from the projection images, [views, rows, columns]
as here. These functions mean images whose middle is at 0, RTK's usual origin -(n - 1) / 2 * spacing.
"""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor

from sinograd.config.regular_files import check_file
from sinograd.config.shown import shown
from sinograd.config.text_files import write_text
from sinograd.config.xml import load_xml
from sinograd.errors import InputError
from sinograd.geometry import ConeBeam, FlatDetector, Geometry, Grid, ParallelBeam
from sinograd.interop.poses import Poses, flat_poses

_NAMES = (
    "SourceToIsocenterDistance",
    "SourceToDetectorDistance",
    "GantryAngle",
    "SourceOffsetX",
    "SourceOffsetY",
    "ProjectionOffsetX",
    "ProjectionOffsetY",
    "InPlaneAngle",
    "OutOfPlaneAngle",
)
_ROOT = "RTKThreeDCircularGeometry"
_AGREEMENT = 1e-4
"""Relative difference at which the matrix in a file contradicts its nine parameters."""

_FROM_RTK = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)


def write_rtk(geometry: Geometry, path: str | os.PathLike[str], force: bool = False) -> None:
    """Write a cone beam, or a parallel beam with an area detector, as RTK's geometry file (XML, version 3).

    Any orbit can be expressed. detector.offset and shifts become RTK's projection offsets, so that the projection
    images keep their middle at 0.

    Raises:
        ValueError: 2-D, a curved or left-handed detector, u and v or parallel rays and detector not at right angles.
        FileExistsError: the file exists and force is not set.
        OSError: the folder is missing or full; nothing is left behind under the final name.
    """
    poses = flat_poses(geometry, "RTK")
    text = _document(_parameters(poses, geometry.divergent))
    write_text(text, path, force)


def read_rtk(path: str | os.PathLike[str], detector: FlatDetector) -> ConeBeam | ParallelBeam:
    """The geometry in RTK's file.

    Args:
        path: the XML file.
        detector: shape and spacing of the projection images, whose middle is at 0; where their origin is another,
            `sinograd.shift_detector` moves it. No offset: the file holds it.

    Raises:
        ValueError: not such a file; missing parameters; a matrix that contradicts its parameters (as in files of older
            versions); a cylindrical detector; cone and parallel beams in one file.
    """
    if not isinstance(detector, FlatDetector) or detector.ndim != 2:
        raise InputError(f"detector: expected a FlatDetector with shape (rows, columns), got {detector!r}")
    table = _read(Path(path))
    parallel = table[:, 1] == 0
    if bool(parallel.any()) and not bool(parallel.all()):
        raise InputError(f"{path}: {int(parallel.sum())} of {len(table)} projections are parallel, the others are not")
    rotation = _rotations(table)
    u, v, n = (axis @ _FROM_RTK.T for axis in rotation.unbind(1))
    zero = torch.zeros(len(table), dtype=torch.float64)
    steps = {"u": u * detector.column_spacing, "v": v * detector.row_spacing, "detector": detector}
    if bool(parallel.all()):
        centers = _combine(table[:, 5], table[:, 6], zero, u, v, n)
        return ParallelBeam.from_vectors(directions=-n, centers=centers, **steps)
    sources = _combine(table[:, 3], table[:, 4], table[:, 0], u, v, n)
    centers = _combine(table[:, 5], table[:, 6], table[:, 0] - table[:, 1], u, v, n)
    return ConeBeam.from_vectors(sources=sources, centers=centers, **steps)


def to_rtk_volume(volume: Tensor, grid: Grid) -> tuple[Tensor, tuple[float, ...], tuple[float, ...]]:
    """A volume [Z, Y, X] as RTK's image: a view of it [-Y, Z, X], and spacing and origin in ITK's order (x, y, z).

    `image = itk.image_from_array(array.contiguous().numpy()); image.SetSpacing(spacing); image.SetOrigin(origin)`.
    """
    _check_volume(grid)
    if tuple(volume.shape) != grid.shape:
        raise InputError(f"volume: expected grid.shape {grid.shape}, got {list(volume.shape)}")
    z, y, x = grid.axes()
    depth, height, width = grid.spacing[1], grid.spacing[0], grid.spacing[2]
    return volume.transpose(0, 1).flip(0), (width, height, depth), (x[0].item(), z[0].item(), -y[-1].item())


def from_rtk_volume(
    array: Tensor | np.ndarray, spacing: tuple[float, ...], origin: tuple[float, ...]
) -> tuple[Tensor, Grid]:
    """A volume [Z, Y, X] and its grid from RTK's image [-Y, Z, X] with ITK's spacing and origin (x, y, z)."""
    volume = torch.as_tensor(np.ascontiguousarray(array) if isinstance(array, np.ndarray) else array)
    if volume.ndim != 3:
        raise InputError(f"array: expected RTK's volume, 3-D, got {list(volume.shape)}")
    volume = volume.flip(0).transpose(0, 1)
    middle = [first + (n - 1) / 2 * step for first, n, step in zip(origin, reversed(array.shape), spacing, strict=True)]
    width, height, depth = spacing
    return volume, Grid(volume.shape, (height, depth, width), (middle[0], -middle[2], middle[1]))


def _parameters(poses: Poses, divergent: bool) -> Tensor:
    """RTK's nine numbers of each view in the order of _NAMES, angles in degrees."""
    n = poses.n
    gantry = torch.atan2(n[:, 0], -n[:, 1])
    out_of_plane = torch.asin((-n[:, 2]).clamp(-1, 1))
    level = torch.stack([gantry.cos(), gantry.sin(), torch.zeros_like(gantry)], 1)
    in_plane = torch.atan2((poses.u * torch.linalg.cross(n, level)).sum(1), (poses.u * level).sum(1))

    def along(point: Tensor) -> list[Tensor]:
        return [(point * axis).sum(1) for axis in (poses.u, poses.v, n)]

    across, up, depth = along(poses.center)
    zero = torch.zeros_like(gantry)
    if divergent:
        source_x, source_y, distance = along(poses.source)
        to_detector = distance - depth
    else:
        source_x = source_y = to_detector = zero
        distance = zero + 1000.0  # RTK needs one; parallel rays do not depend on it
    degrees = (torch.rad2deg(angle) for angle in (gantry.remainder(2 * math.pi), in_plane, out_of_plane))
    turn, in_plane, out_of_plane = degrees
    return torch.stack([distance, to_detector, turn, source_x, source_y, across, up, in_plane, out_of_plane], 1)


def _rotations(table: Tensor) -> Tensor:
    """[views, 3, 3]: rows are u, v and n in RTK's world."""
    gantry, in_plane, out_of_plane = (torch.deg2rad(table[:, i]) for i in (2, 7, 8))
    sine, cosine, zero = gantry.sin(), gantry.cos(), torch.zeros_like(gantry)
    level = torch.stack([cosine, zero, -sine], 1)
    front = torch.stack([sine, zero, cosine], 1)
    up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    tip, tilt = out_of_plane.sin()[:, None], out_of_plane.cos()[:, None]
    v, n = tilt * up + tip * front, tilt * front - tip * up
    turn, rest = in_plane.sin()[:, None], in_plane.cos()[:, None]
    return torch.stack([rest * level + turn * v, rest * v - turn * level, n], 1)


def _matrices(table: Tensor) -> Tensor:
    """RTK's matrices [views, 3, 4]: from its world in mm to (column, row) positions in mm on the detector."""
    rotation = _rotations(table)
    source_to_isocentre, source_to_detector = table[:, 0], table[:, 1]
    source, offset = table[:, 3:5], table[:, 5:7]
    full = torch.zeros(len(table), 3, 4, dtype=torch.float64)
    if bool((source_to_detector == 0).all()):
        full[:, :2, :3] = rotation[:, :2]
        full[:, :2, 3] = -offset
        full[:, 2, 3] = 1
        return full
    full[:, 2, :3], full[:, 2, 3] = rotation[:, 2], -source_to_isocentre
    moved = torch.cat([rotation[:, :2], -source[:, :, None]], 2)
    full[:, :2] = -source_to_detector[:, None, None] * moved + (source - offset)[:, :, None] * full[:, 2:]
    return full


def _document(table: Tensor) -> str:
    root = ElementTree.Element(_ROOT, version="3")
    for row, matrix in zip(table.tolist(), _matrices(table).tolist(), strict=True):
        projection = ElementTree.SubElement(root, "Projection")
        for name, value in zip(_NAMES, row, strict=True):
            ElementTree.SubElement(projection, name).text = repr(value)
        lines = "\n".join(" ".join(map(repr, line)) for line in matrix)
        ElementTree.SubElement(projection, "Matrix").text = f"\n{lines}\n"
    ElementTree.indent(root)
    return f'<?xml version="1.0"?>\n<!DOCTYPE RTKGEOMETRY>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _read(path: Path) -> Tensor:
    """The nine numbers of each view, [views, 9]."""
    check_file(path, f"no geometry file at {path}")
    root = load_xml(path, kind="an RTK geometry file")
    if root.tag != _ROOT:
        raise InputError(f"{path} is not an RTK geometry file: expected <{_ROOT}>, got <{root.tag[:80]}>")
    shared = {child.tag: child.text for child in root if child.tag not in ("Projection", "Matrix")}
    projections = root.findall("Projection")
    if not projections:
        raise InputError(f"{path}: no <Projection> in the file")
    if _value(path, 0, shared.get("RadiusCylindricalDetector", "0"), "RadiusCylindricalDetector"):
        raise InputError(f"{path}: a cylindrical detector; the conversion from RTK knows flat ones only")
    rows, collimated = [], 0
    for view, projection in enumerate(projections):
        texts = {**shared, **{child.tag: child.text for child in projection}}
        if "SourceToIsocenterDistance" not in texts:
            raise InputError(f"{path}: projection {view} has no SourceToIsocenterDistance, nor has the file")
        rows.append([_value(path, view, texts.get(name, "0"), name) for name in _NAMES])
        collimated += any(name.startswith("Collimation") for name in texts)
    table = torch.tensor(rows, dtype=torch.float64)
    _check_matrices(path, table, projections)
    if collimated:
        warnings.warn(
            f"{path}: {collimated} of {len(rows)} projections have collimators, which sinograd's geometries leave out",
            UserWarning,
            stacklevel=3,
        )
    return table


def _check_matrices(path: Path, table: Tensor, projections: list[ElementTree.Element]) -> None:
    for view, (projection, expected) in enumerate(zip(projections, _matrices(table), strict=True)):
        text = projection.findtext("Matrix")
        if text is None:
            continue
        numbers = [_value(path, view, part, "Matrix") for part in text.split()]
        if len(numbers) != 12:
            raise InputError(f"{path}: Matrix of projection {view} has {len(numbers)} numbers, expected 12")
        given = torch.tensor(numbers, dtype=torch.float64).reshape(3, 4)
        if bool(((given - expected).abs() > _AGREEMENT * expected.abs().amax(1, keepdim=True)).any()):
            raise InputError(
                f"{path}: Matrix of projection {view} is not that of its nine parameters. Is the file of an older "
                "version of RTK? Reading and writing it with RTK brings it up to date"
            )


def _value(path: Path, view: int, text: str | None, name: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path}: {name} of projection {view} is {shown(text)}, expected a number")
    return value


def _combine(a: Tensor, b: Tensor, c: Tensor, u: Tensor, v: Tensor, n: Tensor) -> Tensor:
    return a[:, None] * u + b[:, None] * v + c[:, None] * n


def _check_volume(grid: Grid) -> None:
    if not isinstance(grid, Grid) or grid.ndim != 3:
        raise InputError(f"grid: expected a 3-D Grid, got {grid!r}")
