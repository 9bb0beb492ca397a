"""`calibrate_scan`: the geometry of a scan, found from its own projections, in a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.config.paths import checked_path
from sinograd.errors import InputError, InputTypeError
from sinograd.io.storage.atomic import check_destination, replacing
from sinograd.io.storage.together import together
from sinograd.recon.calibration.criteria import CRITERIA
from sinograd.workflows.job import job, no_partial
from sinograd.workflows.outputs import check_inputs_stay
from sinograd.workflows.report import Report, recorded_warnings
from sinograd.workflows.values import switch

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.geometry import Geometry
    from sinograd.io.scans.beam_images import Paths
    from sinograd.recon import Calibrated

_WORDS = "is the scan, or holds it"

_PICTURE_VOXELS = 192  # along the longer side of a picture


def calibrate_scan(
    scan: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    learn: str | Sequence[str] = ("axis_offset",),
    criterion: str = "reprojection",
    columns: int = 128,
    picture: str | os.PathLike[str] | None = None,
    geometry: Geometry | str | os.PathLike[str] | None = None,
    flat: Paths | None = None,
    dark: Paths | None = None,
    force: bool = False,
    report: Report | str | bool | None = None,
) -> Calibrated:
    """Find the geometry of a scan from its own projections.

    Args:
        scan: a scan, file or folder.
        output: a YAML file for the geometry.
        learn: names of arguments of the geometry (see `sg.calibrate`); a text lists them with commas.
        criterion: what is minimised, a name of `sinograd.recon.calibration.criteria.CRITERIA`.
        columns: of the binned projections that are used at last.
        picture: a PNG file with the middle slice before and after.
        geometry: to start from, instead of the file's: a Geometry, a YAML file or the name of a scanner.
        flat, dark: files or folders with flat fields and images without beam; see `read`.
        force: replace files that exist.
        report: shows progress; see `reconstruct`.

    Returns:
        The geometry, what was learnt, and standard errors (see `recon.Calibrated`).

    Raises:
        InputError, FileError: wrong values or files, before anything is written.
        CalibrationError: the scan determines nothing of what is to be learnt, or the criterion falls up to a bound.
        Stopped: an interrupt; nothing is kept.
    """
    arguments = dict(locals())
    return run_calibration(CalibrationRequest.of(arguments), report)


@dataclass(frozen=True, kw_only=True)
class CalibrationRequest:
    """Checked arguments of `calibrate_scan`."""

    scan: Path
    output: Path | None
    learn: tuple[str, ...]
    criterion: str
    columns: int
    picture: Path | None
    geometry: Geometry | str | os.PathLike[str] | None
    flat: tuple[Path, ...]
    dark: tuple[Path, ...]
    force: bool

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> CalibrationRequest:
        """The request of the arguments of `calibrate_scan`."""
        from sinograd.io.scans.beam_images import beam_paths

        values: dict[str, Any] = {name: arguments[name] for name in cls.__dataclass_fields__}
        for name in ("scan", "output", "picture"):
            if values[name] is None and name != "scan":
                continue
            if not isinstance(values[name], str | os.PathLike):
                raise InputTypeError(f"`{name}`: expected a path, got a {type(values[name]).__name__}")
            values[name] = checked_path(values[name], f"`{name}`")
        for name, suffixes in (("output", (".yaml", ".yml")), ("picture", (".png",))):
            if values[name] is not None and values[name].suffix.lower() not in suffixes:
                raise InputError(f"`{name}`: expected a name that ends in {' or '.join(suffixes)}, got {values[name]}")
        learn = values["learn"]
        names = learn.split(",") if isinstance(learn, str) else learn
        values["learn"] = tuple(str(name).strip() for name in names)
        for name in ("flat", "dark"):
            values[name] = beam_paths(values[name], name)
        switch(values["force"], "force")
        CRITERIA.entry(values["criterion"])
        return cls(**values)


def run_calibration(request: CalibrationRequest, report: Report | str | bool | None) -> Calibrated:
    """Read, prepare, calibrate, write."""
    outputs = {"output": request.output, "picture": request.picture}
    named = {name: path for name, path in outputs.items() if path is not None}
    check_inputs_stay([request.scan], named, _WORDS)
    for path in named.values():
        check_destination(path, force=request.force)
    what = next(iter(named.values())).name if named else "geometry"
    texts: list[str] = []
    with job(report, no_partial(what)) as position, recorded_warnings(texts, position):
        scan, before = _line_integrals(request, position)
        from sinograd.recon import calibrate

        result = calibrate(
            scan.projections,
            before,
            learn=request.learn,
            criterion=request.criterion,
            columns=request.columns,
            progress=position.stage("calibrating", 1),
        )
        with together():
            if request.picture is not None:
                _draw(scan, before, result, request)
            if request.output is not None:
                with replacing(request.output, force=request.force) as temporary:
                    result.geometry.save(temporary, force=True)
    return result


def _line_integrals(request: CalibrationRequest, report: Report) -> tuple[Scan, Geometry]:
    from sinograd.io import read
    from sinograd.preparation import prepare

    beam = {name: getattr(request, name) or None for name in ("flat", "dark")}
    scan = prepare(read(request.scan, request.geometry, **beam), progress=report.stage("preparing", 1))
    if scan.geometry is None:
        raise InputError(f"{request.scan} has no geometry: give `geometry`")
    return scan, scan.geometry


def _draw(scan: Scan, before: Geometry, result: Calibrated, request: CalibrationRequest) -> None:
    """The middle slice with the geometry as it was and as it was found."""
    import warnings

    from sinograd.errors import SinogradWarning
    from sinograd.geometry import Grid
    from sinograd.view.comparison import save_comparison, show_comparison

    grid = result.geometry.default_grid()
    step = max(1.0, max(grid.shape[-2:]) / _PICTURE_VOXELS) * grid.spacing[-1]
    plane = [max(1, round(n * s / step)) for n, s in zip(grid.shape[-2:], grid.spacing[-2:], strict=True)]
    small = Grid([1, *plane] if grid.ndim == 3 else plane, step, grid.center)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SinogradWarning)
        images = [_slice(scan, geometry, small) for geometry in (before, result.geometry)]
    figure = show_comparison(*images, titles=["before", "after"], unit="1/mm")
    assert request.picture is not None
    save_comparison(figure, request.picture, force=request.force)


def _slice(scan: Scan, geometry: Geometry, grid: Any) -> Any:
    from sinograd.geometry import ConeBeam
    from sinograd.recon import fbp, fdk

    image = (fdk if isinstance(geometry, ConeBeam) else fbp)(scan.projections, geometry, grid, window="hann")  # type: ignore[arg-type]
    return image.reshape(grid.shape[-2:])
