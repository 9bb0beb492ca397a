"""LEAP (LivermorE AI Projector): the calls that set its geometry.

LEAP has the world, gantry angles (in degrees), u and v of sinograd, volumes [z, y, x] and projections [views, rows,
columns]; `centerRow` and `centerCol` are where the central ray meets the detector, counted in elements, and `tau` is
sinograd's axis_offset. On a curved detector columns are atan(pixelWidth / sdd) apart. For parallel and fan beams the
slices of the volume are the rows of the detector. Compared with its sources (parameters.cpp); LEAP has not been run
against these conversions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from sinograd.errors import InputError
from sinograd.geometry import ConeBeam, CurvedDetector, FanBeam, FlatDetector, Geometry, Grid, ParallelBeam
from sinograd.interop.external import entry
from sinograd.interop.poses import Circle, as_circle, require_flat, unit
from sinograd.ops.arguments import check_pair

Calls = dict[str, dict[str, Any]]

_BEAMS = ("set_parallelbeam", "set_fanbeam", "set_conebeam", "set_modularbeam")


def to_leap(geometry: Geometry, grid: Grid, *, modular: bool = False) -> Calls:
    """The calls that make LEAP's geometry: {method: keyword arguments}, in their order.

        for method, arguments in to_leap(geometry, grid).items():
            getattr(leapct, method)(**arguments)  # leapct = tomographicModels()

    Circular scans whose detector faces the axis become `set_parallelbeam`, `set_fanbeam` or `set_conebeam`; other cone
    beams with a flat detector become `set_modularbeam`. A slice becomes a volume and a detector one element high.

    Args:
        geometry: any but a curved detector that is not focused on the source, turned, or a line.
        grid: with equal spacing along x and y; of a 3-D parallel beam, its slices those of the detector's rows.
        modular: make every cone beam a modular one.

    Raises:
        ValueError: what LEAP's parameters cannot express.
    """
    check_pair(geometry, grid)
    if grid.spacing[-1] != grid.spacing[-2]:
        raise InputError(f"grid.spacing {grid.spacing}: LEAP's voxels are as wide along y as along x")
    circle = None if modular else as_circle(geometry)
    height = grid.spacing[0] if geometry.ndim == 3 else grid.spacing[-1]
    if circle is not None and not isinstance(geometry, ConeBeam):
        _check_slices(geometry, circle, grid)
    calls = {"set_modularbeam": _modular(geometry)} if circle is None else _circular(geometry, circle, height)
    shape = grid.shape if grid.ndim == 3 else (1, *grid.shape)
    center = (*grid.center, 0.0)[:3]
    if not isinstance(geometry, ConeBeam):
        center = (*center[:2], 0.0)  # said by centerRow
    calls["set_volume"] = {
        **dict(zip(("numZ", "numY", "numX"), shape, strict=True)),
        "voxelWidth": grid.spacing[-1],
        "voxelHeight": height,
        **dict(zip(("offsetX", "offsetY", "offsetZ"), center, strict=True)),
    }
    return calls


def from_leap(calls: Mapping[str, Mapping[str, Any]]) -> tuple[Geometry, Grid]:
    """Geometry and grid from the calls that made LEAP's, {method: keyword arguments}, as `to_leap` gives them.

    One of `set_parallelbeam`, `set_fanbeam`, `set_conebeam`, `set_modularbeam`; `set_volume`; `set_curvedDetector` if
    it was called. Parallel and fan beams of one row over one slice become 2-D.

    Raises:
        ValueError: missing calls or arguments, a helical pitch or a tilt (LEAP's `convert_to_modularbeam` turns these
            into positions), fan beams of several rows.
    """
    beams = [name for name in _BEAMS if name in calls]
    if len(beams) != 1:
        raise InputError(f"LEAP's calls: expected one of {', '.join(_BEAMS)}, got {', '.join(calls) or 'none'}")
    beam, given = beams[0], calls[beams[0]]
    volume = entry(calls, "set_volume", "LEAP's calls")
    what = f"LEAP's {beam}"
    rows = int(entry(given, "numRows", what))
    flat = rows == 1 and int(entry(volume, "numZ", "LEAP's set_volume")) == 1
    if beam == "set_fanbeam" and not flat:
        raise InputError(f"{what}: sinograd's fan beams are single slices, got {rows} rows")
    two_dimensional = flat and beam in ("set_fanbeam", "set_parallelbeam")
    grid = _grid(volume, two_dimensional)
    if beam == "set_parallelbeam" and not two_dimensional:
        middle = ((rows - 1) / 2 - float(entry(given, "centerRow", what))) * grid.spacing[0]
        grid = Grid(grid.shape, grid.spacing, (*grid.center[:2], middle))
    if beam == "set_modularbeam":
        return _from_modular(given, what), grid
    return _from_circular(beam, given, what, "set_curvedDetector" in calls, two_dimensional), grid


def _check_slices(geometry: Geometry, circle: Circle, grid: Grid) -> None:
    if isinstance(geometry.detector, CurvedDetector):
        raise InputError(
            f"geometry: LEAP's curved detectors are those of cone beams, not of a {type(geometry).__name__}"
        )
    if geometry.ndim == 2:
        return
    rows, height = geometry.rows, geometry.detector.row_spacing
    if grid.shape[0] != rows or grid.spacing[0] != height or abs(grid.center[2] - circle.row) > 1e-9 * height:
        raise InputError(
            f"grid: of a parallel beam LEAP's slices are the detector's rows, {rows} slices of {height:g} mm about "
            f"z = {circle.row:g} mm; got {grid.shape[0]} of {grid.spacing[0]:g} mm about {grid.center[2]:g}"
        )


def _modular(geometry: Geometry) -> dict[str, Any]:
    if not isinstance(geometry, ConeBeam):
        raise InputError(
            f"geometry: LEAP's {type(geometry).__name__} is circular, its detector faces the axis and is displaced "
            "equally in all views; only cone beams can be given by positions"
        )
    require_flat(geometry, "LEAP's modular beam")
    source, center, u, v = geometry.vectors.unbind(1)
    detector = geometry.detector
    for name, step, want in (("u", u, detector.column_spacing), ("v", v, detector.row_spacing)):
        if bool(((step.norm(dim=1) - want).abs() > 1e-9 * want).any()):
            raise InputError(f"geometry: LEAP has one spacing for all views, but not all {name} steps are {want:g} mm")
    return {
        **_sizes(geometry, detector.row_spacing),
        "sourcePositions": source.numpy().copy(),
        "moduleCenters": center.numpy().copy(),
        "rowVectors": unit(v).numpy(),
        "colVectors": unit(u).numpy(),
    }


def _circular(geometry: Geometry, circle: Circle, height: float) -> Calls:
    detector = geometry.detector
    row_height = detector.row_spacing if geometry.ndim == 3 else height
    arguments = {
        **_sizes(geometry, row_height),
        "centerRow": (detector.rows - 1) / 2 - circle.row / row_height,
        "centerCol": (detector.columns - 1) / 2 - circle.column / detector.column_spacing,
        "phis": torch.rad2deg(circle.angles).numpy(),
    }
    if not geometry.divergent:
        return {"set_parallelbeam": arguments}
    distance = circle.source_to_detector
    arguments.update(sod=circle.source_to_origin, sdd=distance, tau=circle.axis_offset)
    calls = {"set_conebeam" if geometry.ndim == 3 else "set_fanbeam": arguments}
    if not isinstance(detector, CurvedDetector):
        return calls
    arguments["pixelWidth"] = distance * math.tan(detector.column_spacing / distance)
    return {**calls, "set_curvedDetector": {}}


def _sizes(geometry: Geometry, height: float) -> dict[str, Any]:
    return {
        "numAngles": geometry.views,
        "numRows": geometry.rows,
        "numCols": geometry.columns,
        "pixelHeight": height,
        "pixelWidth": geometry.detector.column_spacing,
    }


def _from_modular(given: Mapping[str, Any], what: str) -> ConeBeam:
    source, center, v, u = (
        torch.as_tensor(np.asarray(entry(given, name, what), dtype=np.float64).copy())
        for name in ("sourcePositions", "moduleCenters", "rowVectors", "colVectors")
    )
    height, width = float(entry(given, "pixelHeight", what)), float(entry(given, "pixelWidth", what))
    detector = FlatDetector((int(entry(given, "numRows", what)), int(entry(given, "numCols", what))), (height, width))
    return ConeBeam.from_vectors(sources=source, centers=center, u=width * u, v=height * v, detector=detector)


def _from_circular(beam: str, given: Mapping[str, Any], what: str, curved: bool, two_dimensional: bool) -> Geometry:
    for name in ("helicalPitch", "tiltAngle"):
        if given.get(name):
            raise InputError(
                f"{what}: {name} {given[name]} is not converted; LEAP's convert_to_modularbeam turns it into positions"
            )
    rows, columns = int(entry(given, "numRows", what)), int(entry(given, "numCols", what))
    height, width = float(entry(given, "pixelHeight", what)), float(entry(given, "pixelWidth", what))
    if curved:
        distance = float(entry(given, "sdd", what))
        width = distance * math.atan(width / distance)
    offset = (
        ((rows - 1) / 2 - float(entry(given, "centerRow", what))) * height,
        ((columns - 1) / 2 - float(entry(given, "centerCol", what))) * width,
    )
    kind = CurvedDetector if curved else FlatDetector
    if two_dimensional:
        detector = kind(columns, width, offset=offset[1])
    else:
        detector = kind((rows, columns), (height, width), offset=offset)
    angles = np.deg2rad(np.asarray(entry(given, "phis", what), dtype=np.float64))
    if beam == "set_parallelbeam":
        return ParallelBeam(angles, detector)
    maker = FanBeam.circular if beam == "set_fanbeam" else ConeBeam.circular
    return maker(
        source_to_origin=float(entry(given, "sod", what)),
        source_to_detector=float(entry(given, "sdd", what)),
        angles=angles,
        detector=detector,
        axis_offset=float(given.get("tau", 0.0)),
    )


def _grid(given: Mapping[str, Any], two_dimensional: bool) -> Grid:
    what = "LEAP's set_volume"
    shape = [int(entry(given, name, what)) for name in ("numZ", "numY", "numX")]
    width = float(entry(given, "voxelWidth", what))
    spacing = [float(given.get("voxelHeight") or width), width, width]
    center = [float(given.get(name) or 0.0) for name in ("offsetX", "offsetY", "offsetZ")]
    return Grid(shape[1:], spacing[1:], center[:2]) if two_dimensional else Grid(shape, spacing, center)
