"""What a reconstruction becomes for the clinic: Hounsfield units, thicker slices, DICOM."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from sinograd.errors import InputError

if TYPE_CHECKING:
    from sinograd.data import Scan, Volume
    from sinograd.geometry import Grid
    from sinograd.workflows.reconstruction import Request

UNITS = ("1/mm", "HU")


def water_of(request: Request, scan: Scan) -> float | None:
    """Attenuation of water for the unit of a request, 1/mm: the option, or what the scan states.

    Raises InputError where HU are requested and neither says it.
    """
    if request.unit != "HU":
        return None
    if scan.volume_unit != "1/mm":
        raise InputError(
            f"`unit`: {scan.name} does not say how large its pixels are, so its values cannot become HU; "
            "`pixel_mm` states it"
        )
    if request.water is not None and not 0 < request.water < math.inf:
        raise InputError(f"`water` must be positive, got {request.water:g} 1/mm")
    water = request.water if request.water is not None else scan.metadata.get("water_per_mm")
    if isinstance(water, bool) or not isinstance(water, int | float) or not 0 < water < math.inf:
        raise InputError(
            f"`unit='HU'` needs the attenuation of water, which {scan.name} does not state: `water`, in 1/mm"
        )
    return float(water)


def slices_together(request: Request, grid: Grid) -> int:
    """How many slices of the grid become one of `slice_mm`."""
    if request.slice_mm is None:
        return 1
    if grid.ndim != 3:
        raise InputError("`slice_mm` is for volumes, this scan gives an image")
    count = round(request.slice_mm / grid.spacing[0])
    if count < 1 or abs(count * grid.spacing[0] / request.slice_mm - 1) > 1e-3 or count > grid.shape[0]:
        raise InputError(
            f"`slice_mm` must be a multiple of the grid's {grid.spacing[0]:g} mm, of at most {grid.shape[0]} slices, "
            f"got {request.slice_mm:g}; `voxel_mm` sets the grid"
        )
    return count


def is_dicom_output(request: Request) -> bool:
    """Whether the output is a folder of DICOM slices: of HU, with a name without suffix."""
    from sinograd.io.formats import names_folder

    return request.unit == "HU" and request.output is not None and names_folder(request.output)


def check_dicom(output: Path, grid: Grid, force: bool) -> None:
    """Whether slices can be written there."""
    from sinograd.io.volumes.dicom.new_series import check_slices_path

    if grid.ndim != 3:
        raise InputError(f"cannot write {output}: DICOM slices are of volumes, this scan gives an image")
    check_slices_path(output, grid.shape, force=force)


def finished(request: Request, scan: Scan, volume: Volume) -> Volume:
    """The volume in the unit and with the slices that were requested."""
    from sinograd.data import Volume
    from sinograd.geometry import Grid

    count, grid, values = slices_together(request, volume.grid), volume.grid, volume.values
    if count > 1:
        slices = grid.shape[0] // count
        first = (grid.shape[0] - slices * count) // 2
        values = values[first : first + slices * count]
        values = values.reshape(slices, count, *grid.shape[1:]).mean(1)
        middle = first + (slices * count - 1) / 2 - (grid.shape[0] - 1) / 2
        center = (*grid.center[:2], grid.center[2] + middle * grid.spacing[0])
        grid = Grid(values.shape, (count * grid.spacing[0], *grid.spacing[1:]), center)
        volume = Volume(values, grid, volume.unit, volume.provenance, volume.file)
    water = water_of(request, scan)
    return volume if water is None else volume.to("HU", water=water)


def write_dicom(request: Request, scan: Scan, volume: Volume) -> None:
    """A folder of slices."""
    from sinograd.io.volumes.dicom.new_series import write_slices

    assert request.output is not None
    kernel = request.window if request.cutoff == 1 else f"{request.window} {request.cutoff:g}"
    write_slices(volume, request.output, scan.metadata, kernel=kernel, force=request.force)
