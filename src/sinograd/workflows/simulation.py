"""`simulate`: a scan of lower dose from a measured one, or a scan of a phantom."""

from __future__ import annotations

import dataclasses
import math
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.choices import SCAN_FORMATS
from sinograd.errors import InputError, ScanWarning
from sinograd.io.storage.together import together
from sinograd.workflows.exposure import Exposure, exposure_of_phantom, exposure_of_scan, other_metadata
from sinograd.workflows.grids import choose_grid
from sinograd.workflows.job import job, no_partial
from sinograd.workflows.outputs import check_inputs_stay
from sinograd.workflows.report import Report, recorded_warnings
from sinograd.workflows.scan_noise import ScanNoise, own_photons
from sinograd.workflows.simulation_request import SimulationRequest
from sinograd.workflows.spectral import AnyPhantom, MonochromaticPhantom, SpectralPhantom, spectrum_of

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.geometry import Geometry, Grid
    from sinograd.physics import Lag, Spectrum
    from sinograd.preparation.scatter import ScatterModel


def simulate(
    source: Scan | str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    dose: float | None = None,
    photons: float | None = None,
    electronic_noise: float | None = None,
    bowtie_mm: float | None = None,
    noiseless: bool = False,
    spectrum: Spectrum | str | os.PathLike[str] | None = None,
    filter: str | None = None,
    response: str = "integrating",
    focal_spot_mm: float | None = None,
    detector_blur_mm: float | None = None,
    scatter: ScatterModel | float | None = None,
    lag: Lag | Sequence[float] | str | None = None,
    faulty_pixels: Sequence[float] | str | None = None,
    full_scale: float | None = None,
    seed: int = 0,
    scanner: Geometry | str | os.PathLike[str] | None = None,
    views: int | None = None,
    detector: int | Sequence[int] | str | None = None,
    size_mm: float | None = None,
    voxel_mm: float | None = None,
    shape: Sequence[int] | str | None = None,
    truth: str | os.PathLike[str] | None = None,
    cluster: str | None = None,
    client: Any = None,
    force: bool = False,
    report: Report | str | bool | None = None,
) -> Scan:
    """Simulate a scan: a measured one with fewer photons, or a phantom with exact projections and photon noise.

    Args:
        source: a scan of line integrals (file, folder or `Scan`, which stays as it is), or the name of a phantom
            (`sinograd.choices.PHANTOMS`).
        output: the scan's .h5 file; None: none.
        dose: fraction of the source's dose, in (0, 1]; of phantoms None is 1.
        photons: per detector element and view, unattenuated, at dose 1 (of the source); None: what the scan states, of
            every column and view (`calibration.photons`) or in its metadata, else 1e5.
        electronic_noise: standard deviation of the reading noise, in photons; None: what the scan states, else 0.
        bowtie_mm: radius of the water cylinder that a bowtie filter is made for; 0: no filter; None: what the scan
            states, else no filter.
        noiseless: exact projections of a phantom.
        spectrum: of a phantom of materials: "80kV" (a tungsten tube), a .csv file with keV and photons, or a
            `Spectrum`; None: one energy.
        filter: of the spectrum: "1 mm Al, 0.1 mm Cu".
        response: of the detector to a spectrum: "integrating" or "counting".
        focal_spot_mm, detector_blur_mm: of a phantom, widths at half of the maximum that blur the beam's mean signal
            (`physics.blur_focal_spot`) and the photons that were drawn (`physics.blur_detector`).
        scatter: of a phantom: its share of the mean transmitted fraction of a view, the same everywhere, or a model, as
            `preparation.KernelScatter`. Scattered photons have the noise and the spectrum of the open beam.
        lag: of a phantom, (b1, a1, b2, a2, ...), amplitudes and rates per view, or a `physics.Lag`: what views keep of
            those before them; the first one follows darkness.
        faulty_pixels: of a phantom, shares of dead, stuck and non-linear pixels (`physics.FaultyPixels`), whose places
            follow from the seed. They stay in the scan: dead ones read half a photon, stuck ones full scale.
        full_scale: photons at which a pixel of a phantom's scanner saturates; None: never, or 1.25 times the
            unattenuated ones where pixels are faulty. Flats are taken without saturation.
        seed: of the noise, and of the phantom.
        scanner: of a phantom: a geometry, its file or the name of a scanner; None: the phantom's own.
        views: of a phantom, over the scanner's arc.
        detector: rows and columns (columns alone in 2-D) that the scanner's detector is divided into.
        size_mm: width of the phantom; None: its own, or 0.9 of the field of view.
        voxel_mm, shape: of the grid that the scan suggests.
        truth: also write the phantom's voxels to this file.
        cluster, client: Dask workers that make blocks of views; see `reconstruct`. A measured scan must be a file.
        force: replace files that exist.
        report: shows progress; see `reconstruct`.

    Returns:
        Line integrals in memory, float32; the metadata hold dose, photons, electronic noise and bowtie as they were
        used, and how many readings had no photon.

    Raises:
        InputError, FileError: wrong values, workers that cannot do it, before any work.
        Stopped: an interrupt; nothing is kept.

    Warns:
        ScanWarning: an option contradicts what the scan states, or the scan has no noise of its own.
    """
    arguments = dict(locals())
    return run_simulation(SimulationRequest.of(arguments), report).scan


@dataclass(frozen=True)
class Simulation:
    """The result of a request.

    dose: fraction of the photons of `exposure`; None: no noise. starved: readings without photons, and those raised to
    FLOOR.
    """

    scan: Scan
    dose: float | None
    exposure: Exposure
    starved: tuple[int, int]
    seconds: float


def run_simulation(request: SimulationRequest, report: Report | str | bool | None) -> Simulation:
    """Check everything, then work, then write."""
    start = time.perf_counter()
    texts: list[str] = []
    with job(report, _kept(request)) as position, recorded_warnings(texts, position):
        run = _lowered if request.is_scan else _phantom
        scan, noise = run(request, position, texts)
    starved = (noise.starved.empty, noise.starved.raised)
    return Simulation(scan, noise.dose, noise.exposure, starved, time.perf_counter() - start)


def _kept(request: SimulationRequest) -> str:
    """What an interrupt leaves, in words."""
    return "nothing was kept" if request.output is None else no_partial(request.output.name)


def _lowered(request: SimulationRequest, report: Report, texts: list[str]) -> tuple[Scan, ScanNoise]:
    """The scan at a lower dose."""
    import numpy as np
    import torch

    from sinograd.data import Calibration, Scan
    from sinograd.io import read
    from sinograd.io.write import note_parts
    from sinograd.workflows.scan_blocks import LoweredBlocks, made_in_blocks
    from sinograd.workflows.workers import workers_of

    names = ("scanner", "views", "detector", "size_mm", "truth", "spectrum")
    wrong = [f"`{name}`" for name in names if getattr(request, name) is not None] + ["`noiseless`"] * request.noiseless
    wrong += [f"`{name}`" for name in request.effects.names]
    if wrong:
        raise InputError(f"{', '.join(wrong)}: for phantoms only, {request.name} is a scan")
    if request.dose is None:
        raise InputError(f"`dose` is missing: which fraction of the dose of {request.name}?")
    scan = request.source if isinstance(request.source, Scan) else read(request.source)
    note_parts(scan)
    check_inputs_stay([scan.file or Path(request.name)], {"`output`": request.output}, "is the scan itself")
    scan.check_shape()
    if request.where and isinstance(scan.projections, torch.Tensor):
        raise InputError("`cluster` and `client` need a scan file, which workers read: `sg.write_scan` writes one")
    if scan.kind != "line integrals":
        raise InputError(f"{scan.name} holds {scan.kind}: only line integrals are made into a lower dose")
    _check_output(request, math.prod(scan.shape))
    grid = scan.grid
    if request.voxel_mm is not None or request.shape is not None:
        grid = choose_grid(scan, request.voxel_mm, request.shape)
    options = {name: getattr(request, name) for name in ("photons", "electronic_noise", "bowtie_mm")}
    exposure = exposure_of_scan(scan.metadata, scan.name, options)
    _warn_of_exact_scan(scan)
    own = own_photons(scan, request.photons, request.bowtie_mm)
    if own is not None:
        exposure = dataclasses.replace(exposure, photons=float(own.mean()), bowtie_mm=None, stated=("photons",))
    request = dataclasses.replace(request, **{name: getattr(exposure, name) for name in options})
    noise = ScanNoise(exposure, scan.geometry, request.dose, request.seed, own)

    blocks = LoweredBlocks(scan, noise)
    with workers_of(request.where, request.output, [scan.file], _kept(request)) as workers:
        values = made_in_blocks(blocks, workers, report.stage("simulating", len(scan.geometry)))
    source = {
        "scan": str(scan.file.resolve()) if scan.file is not None else None,
        "metadata": scan.metadata,
        "provenance": scan.provenance,
    }
    metadata = {**other_metadata(scan.metadata), **noise.metadata()}
    left = None if own is None else Calibration(photons=own * np.float32(request.dose))
    low = dataclasses.replace(
        scan, projections=values, metadata=metadata, grid=grid, file=None, calibration=left or scan.calibration
    )
    return _written(low, request, report, source, texts), noise


def _phantom(request: SimulationRequest, report: Report, texts: list[str]) -> tuple[Scan, ScanNoise]:
    """A scan of the phantom, and its voxels if they are requested."""
    import torch

    from sinograd.data import Scan
    from sinograd.io import check_volume_path
    from sinograd.phantoms.catalogue import scanned_by, width_in
    from sinograd.workflows.scan_blocks import PhantomBlocks, made_in_blocks, read_in_order
    from sinograd.workflows.scan_detector import ScanDetector
    from sinograd.workflows.workers import workers_of

    geometry = scanned_by(request.name, request.scanner, request.views, request.detector)
    shape, effects = geometry.projection_shape, request.effects
    effects.check(geometry)
    _check_output(request, math.prod(shape))
    check_inputs_stay([], {"`output`": request.output, "`truth`": request.truth}, "")
    exposure = exposure_of_phantom(request.photons, request.electronic_noise, request.bowtie_mm)
    spectrum = None if request.spectrum is None else spectrum_of(request.spectrum, request.filter)
    noise = ScanNoise(exposure, geometry, None if request.noiseless else request.dose or 1.0, request.seed)
    # Zeros that take no memory stand for the projections: the grid must be known to be writable before the work.
    nothing = torch.zeros(()).expand(shape)
    grid = choose_grid(Scan(nothing, geometry), request.voxel_mm, request.shape)
    if request.truth is not None:
        check_volume_path(request.truth, grid, force=request.force)
    width = width_in(request.name, geometry, request.size_mm)
    _warn_of_truncation(width, geometry)
    with workers_of(request.where, request.output, [], _kept(request)) as workers:
        report.stage(f"making {request.name}", 0)
        phantom = _made(request, width, spectrum, exposure)
        detector = ScanDetector(effects, geometry, noise) if effects else None
        blocks = PhantomBlocks(phantom, geometry, noise, detector)
        values = made_in_blocks(blocks, workers, report.stage("simulating", len(geometry)))
        if detector is not None and effects.lag is not None:
            read_in_order(values, detector)
    metadata: dict[str, Any] = {"vendor": "sinograd", "sample": f"{request.name}, seed {request.seed}, {width:g} mm"}
    metadata |= phantom.metadata() | effects.record() | noise.metadata()
    scan = Scan(values, geometry, metadata, grid)
    with together():
        scan = _written(scan, request, report, {"phantom": request.name, "width_mm": width}, texts)
        if request.truth is not None:
            _write_truth(phantom, grid, request, report)
    return scan, noise


def _made(request: SimulationRequest, width: float, spectrum: Spectrum | None, exposure: Exposure) -> AnyPhantom:
    from sinograd.phantoms.catalogue import made

    if spectrum is None:
        return MonochromaticPhantom(made(request.name, request.seed, width))
    photons = spectrum.scaled(exposure.photons)
    return SpectralPhantom(request.name, request.seed, width, photons, request.response)


def _write_truth(
    phantom: MonochromaticPhantom | SpectralPhantom, grid: Grid, request: SimulationRequest, report: Report
) -> None:
    from sinograd.data import Volume, make_provenance
    from sinograd.io import write_volume

    report.stage("writing truth", 0)
    record = make_provenance("sinograd simulate", request.options())
    assert request.truth is not None
    write_volume(Volume(phantom.voxelize(grid), grid, "1/mm", record), request.truth, force=request.force)


def _check_output(request: SimulationRequest, readings: int) -> None:
    from sinograd.io.storage.atomic import check_destination

    if request.output is None:
        return
    suffixes = SCAN_FORMATS.entry("h5").about["suffixes"]
    if request.output.suffix.lower() not in suffixes:
        raise InputError(f"cannot write the scan {request.output}: its name must end in {' or '.join(suffixes)}")
    copies = 2 if request.where else 1  # workers write a file beside it
    check_destination(request.output, force=request.force, needed=4 * readings * copies)


def _warn_of_truncation(width: float, geometry: Geometry) -> None:
    seen = geometry.field_of_view
    if width > seen * (1 + 1e-6):
        warnings.warn(
            f"the phantom, {width:.4g} mm wide, does not fit into the field of view of {seen:.4g} mm (`size_mm`)",
            ScanWarning,
            stacklevel=2,
        )


def _warn_of_exact_scan(scan: Scan) -> None:
    """The noise of the measured dose is kept, and a phantom's exact projections have none."""
    options = scan.provenance.get("options")
    if isinstance(options, Mapping) and options.get("noiseless"):
        warnings.warn(
            f"{scan.name} is noiseless: the noise of its own dose will be missing in the new scan; "
            "`dose` with the phantom's name makes all of it",
            ScanWarning,
            stacklevel=2,
        )


def _written(scan: Scan, request: SimulationRequest, report: Report, source: dict[str, Any], texts: list[str]) -> Scan:
    """The scan with its record, in its file if there is one."""
    from sinograd.data import make_provenance
    from sinograd.io import write_scan

    report.stage("writing", 0)
    record = make_provenance("sinograd simulate", request.options(), source=source, warnings=texts)
    scan = dataclasses.replace(scan, provenance=record)
    if request.output is not None:
        write_scan(scan, request.output, force=request.force)
    return scan
