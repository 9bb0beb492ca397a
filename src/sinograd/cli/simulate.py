"""`sinograd simulate`: a scan of lower dose from a measured one, or a scan of a phantom."""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sinograd.cli.describe import Lines, geometry_lines, grid_text, scan_lines, show, size
from sinograd.cli.errors import reported
from sinograd.cli.numbers import numbers
from sinograd.cli.progress import Progress
from sinograd.errors import InputError
from sinograd.phantoms.catalogue import PHANTOMS, names, placed, scanned_by
from sinograd.workflows.grids import choose_grid
from sinograd.workflows.job import job, no_partial

if TYPE_CHECKING:
    import torch

    from sinograd.data import Scan
    from sinograd.geometry import Geometry
    from sinograd.workflows.report import Report

FLOOR = 0.5  # photons; the smallest reading taken at its word
_BLOCK = 2**20  # readings made at once; the noise of a seed depends on it


@dataclasses.dataclass(frozen=True)
class Request:
    """What to simulate and where to write it; None leaves the choice to the phantom."""

    source: str
    output: Path
    dose: float | None
    photons: float
    electronic_noise: float
    bowtie_mm: float | None
    noiseless: bool
    seed: int
    scanner: str | None
    views: int | None
    detector: tuple[int, ...] | None
    size_mm: float | None
    voxel_mm: float | None
    shape: tuple[int, ...] | None
    truth: Path | None
    force: bool


@reported
def simulate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SCAN|PHANTOM",
            help=f"A measured scan to lower the dose of, or one of {names()}.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Scan to write: .h5.", show_default=False)
    ],
    dose: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION", help="Dose of the new scan, in (0, 1]. Default: 1 for phantoms.", show_default=False
        ),
    ] = None,
    photons: Annotated[
        float,
        typer.Option(metavar="N", help="Photons per detector pixel and view, unattenuated, at dose 1 (of SCAN)."),
    ] = 1e5,
    electronic_noise: Annotated[
        float, typer.Option(metavar="N", help="Standard deviation of the reading noise, in photons.")
    ] = 0.0,
    bowtie_mm: Annotated[
        float | None,
        typer.Option(metavar="RADIUS", help="Bowtie filter for a water cylinder of this radius.", show_default=False),
    ] = None,
    noiseless: Annotated[bool, typer.Option("--noiseless", metavar="", help="Exact projections of a phantom.")] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the noise, and of the phantom.")] = 0,
    scanner: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="Scanner or geometry .yaml. Default: fits the phantom.", show_default=False
        ),
    ] = None,
    views: Annotated[
        int | None, typer.Option(metavar="N", help="Views over the scanner's arc.", show_default=False)
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="R,C", help="Rows and columns of the scanner's detector (C alone in 2-D).", show_default=False
        ),
    ] = None,
    size_mm: Annotated[
        float | None,
        typer.Option(
            metavar="MM",
            help="Width of the phantom. Default: its own, or 0.9 of the field of view.",
            show_default=False,
        ),
    ] = None,
    voxel_mm: Annotated[
        float | None, typer.Option(metavar="MM", help="Voxel size of the suggested grid.", show_default=False)
    ] = None,
    shape: Annotated[
        str | None, typer.Option(metavar="Z,Y,X", help="Voxels of the suggested grid.", show_default=False)
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the phantom's voxels: .h5, .tif or .npy.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace files that exist.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Print warnings and errors only.")] = False,
) -> None:
    """Simulate a scan: SCAN measured with fewer photons, or a phantom with exact projections and photon noise."""
    request = Request(
        source=source,
        output=output,
        dose=dose,
        photons=photons,
        electronic_noise=electronic_noise,
        bowtie_mm=bowtie_mm,
        noiseless=noiseless,
        seed=seed,
        scanner=scanner,
        views=views,
        detector=numbers(detector, int, "--detector"),
        size_mm=size_mm,
        voxel_mm=voxel_mm,
        shape=numbers(shape, int, "--shape"),
        truth=truth,
        force=force,
    )
    start = time.perf_counter()
    with Progress(quiet=quiet) as bars, job(bars, no_partial(request.output.name)) as progress:
        lines = _simulate(request, progress)
    if not quiet:
        show([*lines, ("seconds", f"{time.perf_counter() - start:.2f}")])


def _simulate(request: Request, progress: Report) -> Lines:
    """Check everything, then work, then write."""
    _check_noise(request)
    path = Path(request.source)
    if path.is_file() or (path.exists() and request.source not in PHANTOMS):
        return _lowered(request, progress)
    if request.source in PHANTOMS:
        return _phantom(request, progress)
    raise InputError(f"{request.source!r} is neither a file nor a phantom; the phantoms are {names()}")


def _check_noise(request: Request) -> None:
    for option, value in (("--photons", request.photons), ("--bowtie-mm", request.bowtie_mm)):
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"{option} must be positive, got {value:g}")
    if not 0 <= request.electronic_noise < math.inf:
        raise InputError(f"--electronic-noise must not be negative, got {request.electronic_noise:g}")
    if request.dose is not None and not 0 < request.dose <= 1:
        raise InputError(f"--dose must be in (0, 1], got {request.dose:g}")


def _lowered(request: Request, progress: Report) -> Lines:
    """The scan file at a lower dose."""
    from sinograd.io import read
    from sinograd.physics import low_dose

    given = {name: getattr(request, name) for name in ("scanner", "views", "detector", "size_mm", "truth")}
    wrong = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
    wrong += ["--noiseless"] * request.noiseless
    if wrong:
        raise InputError(f"{', '.join(wrong)}: for phantoms only, {request.source} is a scan")
    if request.dose is None:
        raise InputError(f"--dose is missing: which fraction of the dose of {request.source}?")
    path = Path(request.source)
    if request.output.exists() and request.output.samefile(path):
        raise InputError(f"cannot write {request.output}: -o is the scan itself")
    scan = read(path)
    scan.check_shape()
    if scan.kind != "line integrals":
        raise InputError(f"{scan.name} holds {scan.kind}: only line integrals are made into a lower dose")
    _check_output(request, math.prod(scan.shape))
    grid = scan.grid
    if request.voxel_mm is not None or request.shape is not None:
        grid = choose_grid(scan, request.voxel_mm, request.shape)
    noise = _Noise(request, scan.geometry)
    advance = progress.stage("simulating", len(scan.geometry))
    result = noise.empty()
    for views in noise.blocks():
        measured = scan.load(views)
        _check_finite(scan, measured, views)
        result[views] = noise.keep(
            low_dose(
                measured,
                request.dose,
                noise.photons,
                request.electronic_noise,
                floor=FLOOR,
                generator=noise.generator,
                return_counts=True,
            )
        )
        advance(views.stop, len(scan.geometry))
    made = {"scan": str(path.resolve()), "metadata": scan.metadata, "provenance": scan.provenance}
    metadata = {**scan.metadata, **noise.metadata(request.dose)}
    low = dataclasses.replace(scan, projections=result, metadata=metadata, grid=grid, file=None)
    return _write(low, request, progress, made) + noise.lines(request.dose)


def _phantom(request: Request, progress: Report) -> Lines:
    """A scan of the phantom, and its voxels if they are wanted."""
    from sinograd.data import Scan, make_provenance
    from sinograd.io import check_volume_path, write_volume
    from sinograd.physics import add_photon_noise

    phantom = PHANTOMS[request.source]
    geometry = scanned_by(phantom, request.scanner, request.views, request.detector)
    _check_output(request, math.prod(geometry.projection_shape))
    dose = 1.0 if request.dose is None else request.dose
    noise = _Noise(request, geometry)
    # Zeros stand for the projections until they are made: the grid must be known to be writable before that.
    grid = choose_grid(Scan(noise.nothing(), geometry), request.voxel_mm, request.shape)
    if request.truth is not None:
        check_volume_path(request.truth, grid, force=request.force)
    progress.stage(f"making {request.source}", 0)
    made, width = placed(phantom, request.seed, geometry, request.size_mm)
    _warn_of_truncation(width, geometry)
    advance = progress.stage("simulating", len(geometry))
    result = noise.empty()
    for views in noise.blocks():
        clean = made.project(geometry[views])
        if not request.noiseless:
            clean = noise.keep(
                add_photon_noise(
                    clean,
                    dose * noise.photons,
                    request.electronic_noise,
                    floor=FLOOR,
                    generator=noise.generator,
                    return_counts=True,
                )
            )
        result[views] = clean
        advance(views.stop, len(geometry))
    metadata: dict[str, Any] = {"vendor": "sinograd", "sample": f"{request.source}, seed {request.seed}, {width:g} mm"}
    if not request.noiseless:
        metadata |= noise.metadata(dose)
    scan = Scan(result, geometry, metadata, grid)
    lines = _write(scan, request, progress, {"phantom": request.source, "width_mm": width})
    if request.truth is not None:
        progress.stage("writing truth", 0)
        provenance = make_provenance("sinograd simulate", dataclasses.asdict(request))
        truth = made.voxelize(grid)
        write_volume(truth, request.truth, grid, unit="1/mm", force=request.force, provenance=provenance)
        lines.append(("truth", str(request.truth)))
    return lines if request.noiseless else lines + noise.lines(dose)


class _Noise:
    """Photons, random numbers and counts of starved readings over the blocks of a scan."""

    def __init__(self, request: Request, geometry: Geometry) -> None:
        import torch

        from sinograd.physics import bowtie_transmission

        self.request, self.shape = request, geometry.projection_shape
        self.generator = torch.Generator().manual_seed(request.seed)
        self.photons: Any = request.photons
        if request.bowtie_mm is not None:
            self.photons = request.photons * bowtie_transmission(geometry, request.bowtie_mm)
        self.empty_readings = self.raised = 0

    def empty(self) -> torch.Tensor:
        import torch

        return torch.empty(self.shape)

    def nothing(self) -> torch.Tensor:
        """Zeros of the scan's shape that take no memory."""
        import torch

        return torch.zeros(()).expand(self.shape)

    def blocks(self) -> list[slice]:
        views = self.shape[0]
        step = max(1, _BLOCK // math.prod(self.shape[1:]))
        return [slice(start, min(start + step, views)) for start in range(0, views, step)]

    def keep(self, noisy: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """The line integrals; the counts are counted."""
        self.empty_readings += int((noisy[1] <= 0).sum())
        self.raised += int((noisy[1] < FLOOR).sum())
        return noisy[0]

    def metadata(self, dose: float) -> dict[str, Any]:
        record = {"dose": dose, "photons": dose * self.request.photons}
        if self.request.bowtie_mm is not None:
            record["bowtie_mm"] = self.request.bowtie_mm
        return record | {
            "electronic_noise": self.request.electronic_noise,
            "noise_seed": self.request.seed,
            "readings_without_photons": self.empty_readings,
            "readings_raised": self.raised,
        }

    def lines(self, dose: float) -> Lines:
        every = math.prod(self.shape)
        electronic = f", electronic noise {self.request.electronic_noise:g}" if self.request.electronic_noise else ""
        text = f"{dose * self.request.photons:g} per pixel and view, unattenuated (dose {dose:g}){electronic}"
        starved = f"{self.empty_readings} of {every} readings ({self.empty_readings / every:.2%}) had no photons"
        return [("photons", text), ("starved", f"{starved}, {self.raised} counted as {FLOOR:g}")]


def _check_output(request: Request, readings: int) -> None:
    from sinograd.io.scans.sinograd_hdf5 import SUFFIXES
    from sinograd.io.storage.atomic import check_destination

    if request.output.suffix.lower() not in SUFFIXES:
        raise InputError(f"cannot write the scan {request.output}: its name must end in {' or '.join(SUFFIXES)}")
    check_destination(request.output, force=request.force, needed=4 * readings)


def _check_finite(scan: Scan, block: torch.Tensor, views: slice) -> None:
    """The scan's own words for readings that are not numbers."""
    if not bool(block.isfinite().all()):
        dataclasses.replace(scan, projections=block, geometry=scan.geometry[views]).validate()


def _warn_of_truncation(width: float, geometry: Geometry) -> None:
    seen = geometry.field_of_view
    if width > seen * (1 + 1e-6):
        text = f"the phantom, {width:.4g} mm wide, does not fit into the field of view of {seen:.4g} mm (--size-mm)"
        typer.secho(f"warning: {text}", fg="yellow", err=True)


def _write(scan: Scan, request: Request, progress: Report, made_of: dict[str, Any]) -> Lines:
    from sinograd.data import make_provenance
    from sinograd.io import write_scan

    progress.stage("writing", 0)
    provenance = make_provenance("sinograd simulate", dataclasses.asdict(request), source=made_of)
    write_scan(dataclasses.replace(scan, provenance=provenance), request.output, force=request.force)
    written = f"{request.output} ({size(request.output.stat().st_size)})"
    lines = [("scan", written), *scan_lines(scan)[1:], *geometry_lines(scan.geometry)]
    return lines if scan.grid is None else [*lines, ("grid", grid_text(scan.grid))]
