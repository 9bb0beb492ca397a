"""Scans, geometries, grids and results in words, for the terminal."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from sinograd.config.shown import printable
from sinograd.data.lengths import length_text, lengths_in
from sinograd.workflows.grids import grid_text

if TYPE_CHECKING:
    import numpy as np

    from sinograd.data import Scan, Volume
    from sinograd.geometry import Geometry
    from sinograd.workflows.conversion import ConversionRequest
    from sinograd.workflows.denoising import Denoised, DenoiseRequest
    from sinograd.workflows.pipeline import Reconstruction
    from sinograd.workflows.reconstruction import Request
    from sinograd.workflows.simulation import Simulation, SimulationRequest

__all__ = [
    "Lines",
    "bytes_on_disk",
    "conversion_lines",
    "coverage_lines",
    "denoising_lines",
    "geometry_lines",
    "grid_text",
    "reconstruction_lines",
    "scan_lines",
    "show",
    "simulation_lines",
    "size",
    "volume_grid_text",
    "written",
]

Lines = list[tuple[str, str]]
_LONGEST = 2000  # characters of a value


def show(lines: Lines) -> None:
    """Print name and value in two columns."""
    import typer

    width = max((len(printable(name)) for name, _ in lines), default=0)
    for name, value in lines:
        text = printable(value if len(value) <= _LONGEST else f"{value[:_LONGEST]} ...")
        typer.echo(f"{printable(name):<{width}}  {text}")


def scan_lines(scan: Scan) -> Lines:
    """The file, its projections and what is there to calibrate them."""
    counts = " x ".join(f"{n} {axis}" for n, axis in zip(scan.shape, scan.axes, strict=True))
    dtype = str(scan.projections.dtype).removeprefix("torch.")
    lines = [("scan", scan.name), ("projections", f"{counts}, {dtype} {scan.kind}, {size(scan.nbytes)}")]
    return [*lines, *_calibration_lines(scan)]


def _calibration_lines(scan: Scan) -> Lines:
    """References, dark images, shifts and exposures; of counts also that there are no references."""
    calibration = scan.calibration
    if calibration is None or calibration.reference is None:
        lines = [("references", "none, and counts need one")] if scan.kind == "counts" else []
    else:
        views = calibration.reference_views
        words = [_images(calibration.references), str(calibration.reference.dtype).removeprefix("torch.")]
        if views is not None:
            words.append(f"taken at views {_range(views)}")
        elif calibration.references > 1:
            words.append("averaged")
        lines = [("references", ", ".join(words))]
    if calibration is None:
        return lines
    if calibration.dark is not None:
        lines.append(("dark", _images(calibration.darks)))
    if calibration.shifts is not None:
        rows, columns = calibration.shifts.T
        lines.append(("shifts", f"rows {_range(rows)}, columns {_range(columns)} pixels, to be applied"))
    if calibration.exposure is not None:
        lines.append(("exposure", f"{_range(calibration.exposure)} times the references'"))
    return lines


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def _range(values: np.ndarray) -> str:
    low, high = f"{values.min():.4g}", f"{values.max():.4g}"
    return low if low == high else f"{low} to {high}"


def geometry_lines(scan: Scan, geometry: Geometry | None = None) -> Lines:
    """Kind, distances, angles and field of view of a scan's geometry, or of that of a part of it."""
    with lengths_in(scan.length_unit):
        return _geometry_lines(scan.geometry if geometry is None else geometry)


def _geometry_lines(geometry: Geometry) -> Lines:
    kind = {"ConeBeam": "cone beam", "FanBeam": "fan beam", "ParallelBeam": "parallel beam"}
    detector = geometry.detector
    pixels = " x ".join(str(n) for n in detector.shape)
    pitch = length_text(list(dict.fromkeys(detector.spacing)), 5)
    lines = [("geometry", kind.get(type(geometry).__name__, type(geometry).__name__))]
    if geometry.divergent:
        lines.append(("distances", _distances(geometry)))
        fan, cone = math.degrees(geometry.fan_angle), math.degrees(geometry.cone_angle)
        lines.append(("opening", f"fan {fan:.2f} deg" + (f", cone {cone:.2f} deg" if geometry.ndim == 3 else "")))
    lines.append(("angles", _angles(geometry)))
    square = "" if len(set(detector.spacing)) == 1 else " (rows x columns: pixels that are not square)"
    lines.append(("detector", f"{type(detector).__name__}, {pixels} of {pitch}{square}"))
    lines.append(("field of view", f"{length_text(geometry.field_of_view)} diameter in every view"))
    return lines


def size(count: float) -> str:
    """Bytes in words."""
    if count < 1000:
        return f"{count:.0f} bytes"
    power = min(int(math.log10(count)) // 3, 4)
    return f"{count / 1000**power:.3g} {('', 'kB', 'MB', 'GB', 'TB')[power]}"


def coverage_lines(scan: Scan, geometry: Geometry | None = None) -> Lines:
    """Which rays were measured, where that is defined."""
    from sinograd.recon import coverage

    try:
        with lengths_in(scan.length_unit):
            return [("coverage", str(coverage(scan.geometry if geometry is None else geometry)))]
    except ValueError as error:
        return [("coverage", f"unknown: {error}")]


def volume_grid_text(volume: Volume) -> str:
    """The grid of a volume, in its units."""
    with lengths_in(volume.length_unit):
        return grid_text(volume.grid)


def bytes_on_disk(path: Path) -> int:
    """Of a file, or of all in a folder."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def written(path: Path) -> str:
    """A file or folder and its size."""
    return f"{path} ({size(bytes_on_disk(path))})"


def reconstruction_lines(request: Request, result: Reconstruction) -> Lines:
    """What a reconstruction did."""
    from sinograd.workflows.centering import center_text

    lines = [*scan_lines(result.scan), *geometry_lines(result.scan)]
    prepared = result.scan.metadata.get("preparation", {})
    repaired = ", ".join(f"{count} {name}" for name, count in prepared.get("repaired", {}).items() if count)
    if repaired:
        lines.append(("repaired", repaired))
    if "rings" in prepared:
        taken = prepared["rings"]
        text = f"{taken['method']}, took out {taken['rms']:.2g} (root mean square), up to {taken['largest']:.2g}"
        lines.append(("rings", text))
    if "corrected" in prepared:
        lines.append(("corrected", prepared["corrected"]))
    if result.center is not None:
        with lengths_in(result.scan.length_unit):
            lines.append(("centre", center_text(result.center)))
    if result.turns is not None:
        with lengths_in(result.scan.length_unit):
            lines.append(("turns", result.turns.text))
    if "orientation" in result.scan.metadata:
        lines.append(("orientation", str(result.scan.metadata["orientation"])))
    stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in result.seconds.items())
    lines += [
        ("grid", volume_grid_text(result.volume)),
        ("algorithm", f"{result.algorithm}, {result.details}"),
        ("seconds", f"{sum(result.seconds.values()):.2f} ({stages})"),
    ]
    if result.schedule is not None and result.schedule.parts:
        lines.append(("parts", result.schedule.text))
    scaling = result.volume.provenance.get("scaling")
    if scaling:
        low, high, clipped = (scaling[name] for name in ("low", "high", "clipped"))
        lines.append(("stored", f"{scaling['dtype']} of {low:.6g} to {high:.6g}, {clipped} voxels clipped"))
    if result.missing:
        return [*lines, ("missing", f"{result.missing} of {result.volume.slices} slices, of other parts")]
    if request.output is not None:
        lines.append(("volume", written(request.output)))
    made = {"preview": request.preview, "page": request.page, "centre picture": request.center_picture}
    return lines + [(name, str(path)) for name, path in made.items() if path is not None]


def denoising_lines(request: DenoiseRequest, result: Denoised) -> Lines:
    """What a model did."""
    lines: Lines = [("input", request.name)]
    if result.scan is not None:
        lines = [*scan_lines(result.scan), *geometry_lines(result.scan)]
    lines += [
        ("model", f"{request.model}: {result.model}"),
        ("grid", volume_grid_text(result.volume)),
        ("seconds", f"{result.seconds:.2f}"),
    ]
    if request.output is not None:
        lines.append(("volume", written(request.output)))
    return lines if request.preview is None else [*lines, ("preview", str(request.preview))]


def simulation_lines(request: SimulationRequest, result: Simulation) -> Lines:
    """What was simulated."""
    from sinograd.workflows.scan_noise import FLOOR

    scan = result.scan
    lines: Lines = [] if request.output is None else [("scan", written(request.output))]
    lines += [*scan_lines(scan)[1:], *geometry_lines(scan)]
    if scan.grid is not None:
        with lengths_in(scan.length_unit):
            lines.append(("grid", grid_text(scan.grid)))
    if request.truth is not None:
        lines.append(("truth", str(request.truth)))
    if result.dose is not None:
        (empty, raised), every = result.starved, math.prod(scan.shape)
        exposure = result.exposure
        noise = f", electronic noise {exposure.electronic_noise:g}" if exposure.electronic_noise else ""
        noise += f", bowtie {length_text(exposure.bowtie_mm, 6)}" if exposure.bowtie_mm is not None else ""
        noise += f"; {exposure.origin}" if exposure.origin else ""
        photons = f"{result.dose * exposure.photons:g} per pixel and view, unattenuated (dose {result.dose:g}){noise}"
        # With electronic noise a reading of zero or less says little about its photons.
        nothing = "are zero or less" if exposure.electronic_noise else "had no photons"
        starved = f"{empty} of {every} readings ({empty / every:.2%}) {nothing}, {raised} counted as {FLOOR:g}"
        lines += [("photons", photons), ("starved", starved)]
    effects = [
        f"{name.removesuffix('_mm').replace('_', ' ')} {value}" for name, value in request.effects.record().items()
    ]
    lines += [("effects", "; ".join(effects))] if effects else []
    return [*lines, ("seconds", f"{result.seconds:.2f}")]


def conversion_lines(request: ConversionRequest, result: Scan | Volume) -> Lines:
    """What was converted."""
    from sinograd.data import Scan
    from sinograd.data.units import unit_text

    if isinstance(result, Scan):
        lines = [*scan_lines(result), *geometry_lines(result)]
    else:
        dtype = str(result.dtype).removeprefix("torch.")
        lines = [
            ("volume", str(request.source)),
            ("grid", volume_grid_text(result)),
            ("values", f"{dtype}, {unit_text(result.unit)}"),
        ]
    return [*lines, ("written", written(request.output))]


def _distances(geometry: Geometry) -> str:
    """Source to axis and to detector in the first view, from the vectors every geometry has."""
    vectors = geometry.vectors
    source, centre = vectors[:, 0], vectors[:, 1]
    to_axis = source[:, :2].norm(dim=-1)
    to_detector = (centre - source).norm(dim=-1)
    same = all(bool(((d - d[0]).abs() <= 1e-6 * d[0].abs()).all()) for d in (to_axis, to_detector))
    return (
        f"source to axis {length_text(to_axis[0].item(), 6)}, to detector centre "
        f"{length_text(to_detector[0].item(), 6)}"
        + ("" if same else " in the first view")
        + f", magnification {geometry.magnification:.5g}"
    )


def _angles(geometry: Geometry) -> str:
    angles = geometry.angles
    if angles is None:
        return f"{len(geometry)} views given by vectors"
    degrees = (angles.rad2deg() * 1e6).round() / 1e6 + 0.0  # no -0
    text = f"{len(degrees)} views from {degrees.min():.6g} to {degrees.max():.6g} deg"
    if len(degrees) > 1:
        steps = degrees.diff().abs()
        text += f", steps {steps.min():.4g}" + (
            f" to {steps.max():.4g} deg" if steps.max() - steps.min() > 1e-6 else " deg"
        )
    return text
