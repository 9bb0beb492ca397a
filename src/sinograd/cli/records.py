"""What commands print with `--json`: numbers with their units in the names, no sentences; see `docs/json.md`.

Every record has `command`, `version` and `warnings`, a list of objects with `kind`, `message` and, where there are
any, `details`. What is not known is null. stdout holds the record alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sinograd.cli.warnings import shown_warnings

if TYPE_CHECKING:
    from sinograd.data import Scan, Volume
    from sinograd.geometry import Geometry, Grid
    from sinograd.preparation import Center
    from sinograd.workflows.turning import Turns

Record = dict[str, Any]

_BEAMS = {"ConeBeam": "cone", "FanBeam": "fan", "ParallelBeam": "parallel"}
# How a unit is written in a name.
_UNITS = {"1/mm": "per_mm", "HU": "hu", "mg/cm3": "mg_per_cm3", "1": "fraction", "1/pixel": "per_pixel"}
# How a unit of lengths is written in a name.
_LENGTHS = {"mm": "mm", "pixel": "pixels"}


def print_record(command: str, record: Mapping[str, Any]) -> None:
    """Print the one JSON object of a command, with the warnings that were shown."""
    from sinograd.data import software_version

    whole = {"command": command, "version": software_version(), **record, "warnings": shown_warnings()}
    text = json.dumps(_plain(whole), ensure_ascii=False, indent=1, allow_nan=False)
    typer.echo("".join(s if s.isprintable() or s == "\n" else json.dumps(s)[1:-1] for s in text))


def scan_record(scan: Scan) -> Record:
    """A scan, its projections and what is there to calibrate them."""
    views, *pixels = scan.shape
    calibration = scan.calibration
    return {
        "name": scan.name,
        "views": views,
        "rows": pixels[0] if len(pixels) == 2 else 1,
        "columns": pixels[-1],
        "dtype": str(scan.projections.dtype).removeprefix("torch."),
        "kind": scan.kind,
        "size_bytes": scan.nbytes,
        "references": 0 if calibration is None else calibration.references,
        "darks": 0 if calibration is None else calibration.darks,
        "metadata": {name: value for name, value in scan.metadata.items() if name != "preparation"},
    }


def geometry_record(geometry: Geometry, length_unit: str = "mm") -> Record:
    """Kind, distances, angles and detector."""
    unit = _LENGTHS[length_unit]
    vectors, detector, angles = geometry.vectors, geometry.detector, geometry.angles
    degrees = None if angles is None else angles.rad2deg()
    record: Record = {"beam": _BEAMS.get(type(geometry).__name__, type(geometry).__name__), "views": len(geometry)}
    if geometry.divergent:
        record["source_to_axis_mm"] = vectors[0, 0, :2].norm().item()
        record["source_to_detector_mm"] = (vectors[0, 1] - vectors[0, 0]).norm().item()
        record["fan_angle_deg"] = math.degrees(geometry.fan_angle)
        record["cone_angle_deg"] = math.degrees(geometry.cone_angle) if geometry.ndim == 3 else None
    steps = None if degrees is None or len(degrees) < 2 else degrees.diff().abs()
    return record | {
        "magnification": geometry.magnification,
        "first_angle_deg": None if degrees is None else degrees[0].item() + 0.0,
        "last_angle_deg": None if degrees is None else degrees[-1].item() + 0.0,
        "largest_step_deg": None if steps is None else steps.max().item(),
        "detector": {
            "kind": type(detector).__name__.removesuffix("Detector").lower(),
            "shape": list(detector.shape),
            f"spacing_{unit}": list(detector.spacing),
        },
        f"field_of_view_{unit}": geometry.field_of_view,
    }


def coverage_record(geometry: Geometry, length_unit: str = "mm") -> Record | None:
    """Which rays were measured; None where that is not defined."""
    from sinograd.recon import coverage

    try:
        found = coverage(geometry)
    except ValueError:
        return None
    return {
        "missing_fraction": found.missing,
        "arc_deg": found.arc_deg,
        "views_deg": found.views_deg,
        "missing_views_deg": found.missing_views_deg,
        "missing_directions_deg": found.directions_deg,
        "largest_arc_deg": found.largest_arc_deg,
        f"complete_radius_{_LENGTHS[length_unit]}": found.complete_radius,
    }


def grid_record(grid: Grid | None, length_unit: str = "mm") -> Record | None:
    """Shape, voxel size and middle of a grid."""
    if grid is None:
        return None
    unit = _LENGTHS[length_unit]
    return {"shape": list(grid.shape), f"voxel_{unit}": list(grid.spacing), f"center_{unit}": list(grid.center)}


def volume_record(volume: Volume, file: Path | None = None, values: bool = True) -> Record:
    """A volume, its file and, with values=True, its least and largest value in its unit."""
    path = file if file is not None else volume.file
    record: Record = {
        "file": None if path is None else str(path),
        "unit": volume.unit,
        "dtype": str(volume.dtype).removeprefix("torch."),
        "size_bytes": volume.nbytes,
        "grid": grid_record(volume.grid, volume.length_unit),
    }
    if values:
        edges = [volume.read(*block, None).aminmax() for block in volume.blocks()]
        low, high = min(float(edge.min) for edge in edges), max(float(edge.max) for edge in edges)
        record[f"range_{unit_name(volume.unit)}"] = [low, high]
    return record


def center_record(center: Center | None, length_unit: str = "mm") -> Record | None:
    """The centre of rotation that was found."""
    return (
        None
        if center is None
        else {
            "offset_pixels": center.offset_pixels,
            "offset_mm": center.offset_mm if length_unit == "mm" else None,
            "standard_error_pixels": center.standard_error,
            "method": center.method,
            "reliable": center.reliable,
        }
    )


def turns_record(turns: Turns | None, length_unit: str = "mm") -> Record | None:
    """The turns of the detector that were found, and the axis where it was found with them."""
    from sinograd.workflows.turning import TURNS

    if turns is None:
        return None
    record: Record = {}
    for name, value in turns.values.items():
        scale, unit = (math.degrees(1), "deg") if name in TURNS else (1.0, _LENGTHS.get(length_unit, "mm"))
        record[f"{name}_{unit}"] = scale * value
        record[f"{name}_standard_error_{unit}"] = scale * turns.standard_errors[name]
    return record


def unit_name(unit: str | None) -> str:
    """A unit as part of a name."""
    return _UNITS.get(unit or "", "unknown_unit")


def files_record(**files: Path | None) -> Record:
    """Further files that were written, by what they are."""
    return {name: str(path) for name, path in files.items() if path is not None}


def _plain(value: Any) -> Any:
    """What JSON has: no tensors, paths or numbers that are not finite."""
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)
