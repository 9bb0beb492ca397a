"""`convert`: a scan or a volume in another format."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.config.paths import checked_path
from sinograd.errors import InputError, InputTypeError
from sinograd.io.formats import folders_written
from sinograd.workflows.job import job, no_partial
from sinograd.workflows.outputs import check_inputs_stay, is_folder
from sinograd.workflows.report import Report, recorded_warnings
from sinograd.workflows.values import number, switch

if TYPE_CHECKING:
    from sinograd.data import Scan, Volume
    from sinograd.geometry import Geometry
    from sinograd.io.scans.beam_images import Paths

_WORDS = "is the input, or holds it"


def convert(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    to: str | None = None,
    geometry: Geometry | str | os.PathLike[str] | None = None,
    flat: Paths | None = None,
    dark: Paths | None = None,
    pixel_mm: float | None = None,
    unit: str | None = None,
    force: bool = False,
    report: Report | str | bool | None = None,
) -> Scan | Volume:
    """Convert a scan between formats (counts stay counts, with their calibration), or a volume.

    Args:
        source: a scan or a volume, file or folder; which it is, and in which format, its content says.
        output: of a scan .h5, .npy (with a YAML file), or a name without suffix for a folder of TIFF images; of a
            volume .h5, .tif, .npy, .raw, .mha, .nii.gz, .zarr, a name without suffix for a folder of TIFF slices, or
            .png for a picture of its middle slices.
        to: the format of a scan, where the name of `output` does not say it: "dxchange" is .h5 too.
        geometry: of a scan, instead of the file's: a Geometry, a YAML file or the name of a scanner.
        flat, dark: of a scan, files or folders with flat fields and images without beam; see `read`.
        pixel_mm: of a scan, the distance of its columns at the sample, mm (parallel beams); of a volume in 1/pixel the
            size of a pixel, which makes it one in 1/mm.
        unit: of a volume whose file does not say it: "1/mm", "HU", "mg/cm3" or "1".
        force: replace files that exist.
        report: shows progress; see `reconstruct`.

    Returns:
        The scan or the volume, which is still in the source file.

    Raises:
        InputError, FileError: wrong values or files, before anything is written.
        Stopped: an interrupt; nothing is kept.
    """
    arguments = dict(locals())
    return run_conversion(ConversionRequest.of(arguments), report)


@dataclass(frozen=True, kw_only=True)
class ConversionRequest:
    """Checked arguments of `convert`."""

    source: Path
    output: Path
    to: str | None
    geometry: Geometry | str | os.PathLike[str] | None
    flat: tuple[Path, ...]
    dark: tuple[Path, ...]
    pixel_mm: float | None
    unit: str | None
    force: bool

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> ConversionRequest:
        """The request of the arguments of `convert`."""
        from sinograd.io.scans.beam_images import beam_paths

        values: dict[str, Any] = {name: arguments[name] for name in cls.__dataclass_fields__}
        for name in ("source", "output"):
            if not isinstance(values[name], str | os.PathLike):
                raise InputTypeError(f"`{name}`: expected a path, got a {type(values[name]).__name__}")
            values[name] = checked_path(values[name], f"`{name}`")
        for name in ("flat", "dark"):
            values[name] = beam_paths(values[name], name)
        values["pixel_mm"] = number(values["pixel_mm"], "pixel_mm")
        switch(values["force"], "force")
        return cls(**values)


def run_conversion(request: ConversionRequest, report: Report | str | bool | None) -> Scan | Volume:
    """Read headers, check, write block by block where the formats allow it."""
    from sinograd.io import is_volume

    check_inputs_stay([request.source], {"it": request.output}, _WORDS)
    texts: list[str] = []
    folders = folders_written(is_folder(request.source))
    with job(report, no_partial(request.output.name)) as position, recorded_warnings(texts, position), folders:
        volume = request.source.exists() and is_volume(request.source)
        of_scans = ("to", "geometry", "flat", "dark")
        if volume and any(getattr(request, name) for name in of_scans):
            raise InputError(f"{request.source} is a volume: `to`, `geometry`, `flat` and `dark` are for scans")
        return (_convert_volume if volume else _convert_scan)(request, position, texts)


def _convert_scan(request: ConversionRequest, report: Report, texts: list[str]) -> Scan:
    from sinograd.data import make_provenance
    from sinograd.io import read, scan_format, write_scan, written_paths
    from sinograd.io.write import note_parts

    if request.unit is not None and request.source.exists():
        raise InputError(f"{request.source} is a scan: `unit` is for volumes")
    scan_format(request.output, request.to)
    beam = {name: getattr(request, name) or None for name in ("flat", "dark")}
    scan = read(request.source, request.geometry, pixel_mm=request.pixel_mm, **beam)
    given = request.geometry if isinstance(request.geometry, str | os.PathLike) else None
    note_parts(scan)
    for path in written_paths(scan, request.output, request.to):
        check_inputs_stay([request.source], {"it": path}, _WORDS)
    options = {
        "source": request.source,
        "output": request.output,
        "to": request.to,
        "geometry": given if given is not None or request.geometry is None else repr(request.geometry),
        **{name: [str(path) for path in paths] for name in beam if (paths := getattr(request, name))},
        **({} if request.pixel_mm is None else {"pixel_mm": request.pixel_mm}),
    }
    record = make_provenance(
        "sinograd convert",
        options,
        scan={"file": str(request.source.resolve()), "provenance": scan.provenance},
        warnings=texts,
    )
    advance = report.stage("converting", scan.shape[0])
    scan = dataclasses.replace(scan, provenance=record)
    write_scan(scan, request.output, force=request.force, format=request.to, progress=advance)
    return scan


def _convert_volume(request: ConversionRequest, report: Report, texts: list[str]) -> Volume:
    from sinograd.io import open_volume, write_volume

    report.stage("reading", 0)
    volume = open_volume(request.source, unit=request.unit)
    if request.pixel_mm is not None:
        volume = volume.to("1/mm", pixel_mm=request.pixel_mm)
    report.stage("writing", 0)
    if request.output.suffix.lower() == ".png":
        from sinograd.view import save_preview

        save_preview(volume, request.output, title=request.source.name, force=request.force)
        return volume
    write_volume(volume, request.output, force=request.force, provenance=volume.provenance)
    return volume
