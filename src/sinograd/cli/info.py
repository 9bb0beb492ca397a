"""`sinograd info`: what a scan, a volume or a model holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.cli.command import Option, command
from sinograd.cli.options import OUTPUT_GROUP, SHARED

if TYPE_CHECKING:
    from sinograd.cli.describe import Lines
    from sinograd.data import Scan, Volume

OPTIONS = {
    **SHARED,
    "scan": Option(
        Path,
        "Scan or volume, file or folder; or a model: a .pt file or a run's folder.",
        metavar="SCAN",
        argument=True,
        required=True,
    ),
    "picture": Option(
        Path,
        "Write a PNG of some projections and a sinogram, or of a volume's slices.",
        metavar="FILE",
        panel=OUTPUT_GROUP,
    ),
}


@command(OPTIONS)
def info(
    scan: Path,
    geometry: str | None = None,
    flat: str | None = None,
    dark: str | None = None,
    pixel_mm: float | None = None,
    picture: Path | None = None,
    force: bool = False,
    json: bool = False,
) -> None:
    """Show what a scan holds (projections without their values, geometry, grid, metadata), a volume or a model."""
    from sinograd.cli.describe import show
    from sinograd.cli.model_info import is_model, model_lines, model_record
    from sinograd.cli.records import files_record, print_record
    from sinograd.io import is_volume
    from sinograd.view import check_picture_path

    if is_model(scan):
        if json:
            print_record("info", {"model": model_record(scan)})
            return
        show(model_lines(scan))
        return
    if picture is not None:
        check_picture_path(picture, force=force)
    of_scans = {"geometry": geometry, "flat": flat, "dark": dark, "pixel_mm": pixel_mm}
    is_one = scan.exists() and is_volume(scan)
    if is_one:
        _check_for_scans(scan, of_scans)
    if json:
        record = _volume_record(scan) if is_one else _scan_record(scan, of_scans)
        if picture is not None:
            (_volume_lines if is_one else _scan_lines)(scan, of_scans, picture, force)
        print_record("info", record | {"files": files_record(picture=picture)})
        return
    lines = (_volume_lines if is_one else _scan_lines)(scan, of_scans, picture, force)
    show(lines if picture is None else [*lines, ("picture", str(picture))])


def _check_for_scans(path: Path, of_scans: dict[str, Any]) -> None:
    from sinograd.errors import InputError

    for name, value in of_scans.items():
        if value is not None:
            raise InputError(f"{path} is a volume: `{name}` is for scans")


def _scan_record(path: Path, of_scans: dict[str, Any]) -> dict[str, Any]:
    from sinograd.cli import records
    from sinograd.io import read
    from sinograd.workflows.grids import base_grid

    scan = read(path, **of_scans)
    try:
        grid = base_grid(scan)
    except ValueError:
        grid = None
    return {
        "scan": records.scan_record(scan),
        "geometry": records.geometry_record(scan.geometry, scan.length_unit),
        "coverage": records.coverage_record(scan.geometry, scan.length_unit),
        "grid": records.grid_record(grid, scan.length_unit),
    }


def _volume_record(path: Path) -> dict[str, Any]:
    from sinograd.cli.records import unit_name, volume_record
    from sinograd.data.value_range import value_range
    from sinograd.io import open_volume

    volume = open_volume(path)
    found, unit = value_range(volume), unit_name(volume.unit)
    return {
        "volume": volume_record(volume, path, values=False)
        | {
            f"range_{unit}": [found.low, found.high],
            f"percentiles_{unit}": {f"{share:g}": value for share, value in found.percentiles.items()},
            "finite_fraction": found.finite / found.count,
            "slices_read": -(-volume.slices // found.every),
        }
    }


def _scan_lines(path: Path, of_scans: dict[str, Any], picture: Path | None, force: bool) -> Lines:
    from sinograd.cli.describe import coverage_lines, geometry_lines, scan_lines
    from sinograd.io import read
    from sinograd.view import save_scan_preview

    scan = read(path, **of_scans)
    lines = [*scan_lines(scan), *geometry_lines(scan), *_grid(scan), *coverage_lines(scan)]
    lines += [(name, str(value)) for name, value in scan.metadata.items()]
    if picture is not None:
        save_scan_preview(scan, picture, force=force)
    return lines + _made_by(scan.provenance)


def _volume_lines(path: Path, of_scans: dict[str, Any], picture: Path | None, force: bool) -> Lines:
    from sinograd.cli.describe import size, volume_grid_text
    from sinograd.data.lengths import length_text
    from sinograd.data.provenance import orientation_note
    from sinograd.data.units import unit_text
    from sinograd.io import open_volume
    from sinograd.view import save_preview

    volume = open_volume(path)
    values = f"{str(volume.dtype).removeprefix('torch.')}, {size(volume.nbytes)}"
    extent = length_text(volume.grid.size, 5, unit=volume.length_unit)
    axes = "z, y, x" if volume.ndim == 3 else "y, x"
    lines = [
        ("volume", str(path)),
        ("grid", volume_grid_text(volume)),
        ("size", f"{extent} ({axes})"),
        ("unit", unit_text(volume.unit)),
    ]
    if picture is not None:
        save_preview(volume, picture, title=path.name, force=force)
    note = orientation_note(volume.provenance)
    lines += [] if note is None else [("orientation", note)]
    return [*lines, ("values", values), *_range(volume), *_metadata(volume), *_made_by(volume.provenance)]


def _range(volume: Volume) -> Lines:
    """Smallest and largest value, and percentiles; the values are read in blocks."""
    from sinograd.cli.bars import bars
    from sinograd.data.units import number_text
    from sinograd.data.value_range import value_range

    found = value_range(volume)
    if not found.finite:
        return [("range", f"none of {found.count:,} values is finite")]
    of = f" (1 of {found.every} slices)" if found.every > 1 else ""
    shares = ", ".join(f"{share:g} %: {value:.5g}" for share, value in found.percentiles.items())
    lines = [
        ("range", f"{found.low:.5g} to {number_text(f'{found.high:.5g}', volume.unit)}{of}"),
        ("percentiles", f"{shares}{of}"),
    ]
    if found.counts.size:
        span = number_text(f"{found.span[0]:.5g} to {found.span[1]:.5g}", volume.unit)
        lines.append(("histogram", f"{bars(found.counts)} {span}"))
    bad = found.count - found.finite
    return [*lines, ("not finite", f"{bad:,} of {found.count:,} values")] if bad else lines


def _metadata(volume: Volume) -> Lines:
    held = volume.provenance.get("metadata")
    return [(str(name), str(value)) for name, value in held.items()] if isinstance(held, dict) else []


def _made_by(provenance: object) -> Lines:
    known = dict(provenance) if provenance else {}  # pyright: ignore[reportArgumentType, reportCallIssue]
    made = [str(known[name]) for name in ("software", "command", "time") if name in known]
    return [("made by", ", ".join(made))] if made else []


def _grid(scan: Scan) -> Lines:
    """The grid that `sinograd reconstruct` takes."""
    from sinograd.data.lengths import lengths_in
    from sinograd.workflows.grids import base_grid, grid_text

    try:
        grid = base_grid(scan)
    except ValueError as error:
        return [("grid", f"none: {str(error).removeprefix(f'{scan.name}: ')}")]
    source = "suggested by the file" if scan.grid is not None else "covers the field of view"
    with lengths_in(scan.length_unit):
        return [("grid", f"{grid_text(grid)} ({source})")]
