"""`sinograd demo`: the whole job on a simulated scan, with the truth to compare with, or on a measured one."""

from __future__ import annotations

import dataclasses
import inspect
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.cli.command import Option, command
from sinograd.cli.options import OUTPUT_GROUP, SHARED
from sinograd.errors import ExistingFileError, InputError, NotAFolderError
from sinograd.files.inputs import own_state
from sinograd.io.storage.together import together
from sinograd.workflows import reconstruction
from sinograd.workflows.job import job, no_partial
from sinograd.workflows.pipeline import Reconstruction, run_reconstruction
from sinograd.workflows.report import Report, opened_report

if TYPE_CHECKING:
    import torch

    from sinograd.data import Scan
    from sinograd.geometry import ConeBeam, Grid

FILES = ("scan.h5", "truth.h5", "volume.h5", "slices.png")
MEASURED_FILES = ("scan.h5", "volume.h5", "slices.png")
BONE_MM = 5.0  # diameter and height of the phantom
WALNUT_MM = 38.4  # width of the grid that holds the walnut
_BLOCK = 8  # views simulated between two steps of the progress bar


VOXELS = {"tiny": 32, "small": 96, "medium": 192, "large": 256}

OPTIONS = {
    **SHARED,
    "output": Option(Path, "Folder for the demo's files.", ("-o", "--output"), metavar="FOLDER", panel=OUTPUT_GROUP),
    "size": Option(tuple(VOXELS), "Volume of 32, 96, 192 or 256 voxels a side."),
    "photons": Option(float, "Photons per detector pixel and view, unattenuated.", metavar="N", more={"min": 1.0}),
    "seed": Option(int, "Seed of the phantom and of the noise.", metavar="N"),
    "data": Option(
        Path,
        "A real scan instead, the walnut: its reduced .npz file, or the folder of the public record's files.",
        metavar="PATH",
    ),
    "force": Option(bool, "Replace the files of an earlier demo.", panel=OUTPUT_GROUP),
}


@command(OPTIONS)
def demo(
    output: Path = Path("demo"),
    size: str = "medium",
    photons: float = 2e4,
    seed: int = 0,
    data: Path | None = None,
    force: bool = False,
) -> None:
    """Simulate a cone-beam scan of a bone with photon noise, reconstruct it and compare it with the truth."""
    from sinograd.cli.describe import reconstruction_lines, show

    if data is not None:
        if (photons, seed) != (2e4, 0):
            raise InputError("`photons` and `seed` are of the simulated scan: a measured one has its own noise")
        _measured(output, data, VOXELS[size], force)
        return
    start = time.perf_counter()
    geometry, grid = scanner(VOXELS[size])
    needed = 4 * (math.prod(geometry.projection_shape) + 2 * math.prod(grid.shape))
    with _results(output, FILES, needed, force), opened_report("bar") as bars:
        with job(bars, no_partial("scan.h5")) as report:
            scan, truth, bone = _simulate(output, VOXELS[size], photons, seed, force, report)
        simulated = time.perf_counter() - start
        request = _request(scan, output / "volume.h5", force)
        with own_state():  # the scan is one of the outputs
            result = run_reconstruction(request, bars)
        with job(bars, no_partial("slices.png")) as report:
            report.stage("comparing", 0)
            compared = _compare(result, truth, bone, output, force)
    show(
        [
            ("simulated", f"{simulated:.2f} seconds, {photons:g} photons per pixel and view"),
            *reconstruction_lines(request, result),
            *compared,
            ("total", f"{time.perf_counter() - start:.1f} seconds"),
        ]
    )


def _measured(output: Path, data: Path, voxels: int, force: bool) -> None:
    """The same of the real scan of a walnut, whose truth nobody knows: scan, centre of rotation, volume, picture."""
    from sinograd.cli.describe import reconstruction_lines, show
    from sinograd.datasets.walnut import ATTRIBUTION, read_walnut
    from sinograd.io import write_scan
    from sinograd.view import save_preview

    start = time.perf_counter()
    path, picture = output / "scan.h5", output / "slices.png"
    with _results(output, MEASURED_FILES, 4 * voxels**3, force), opened_report("bar") as bars:
        with job(bars, no_partial("scan.h5")) as report:
            report.stage("reading", 0)
            scan = dataclasses.replace(read_walnut(data), file=path)
            write_scan(scan, path, force=force)
        grid = {"voxel_mm": WALNUT_MM / voxels, "shape": (voxels,) * 3}
        request = _request(scan, output / "volume.h5", force, window="hann", center="auto", **grid)
        with own_state():  # the scan is one of the outputs
            result = run_reconstruction(request, bars)
        with job(bars, no_partial("slices.png")):
            save_preview(result.volume, picture, title=f"A walnut, measured. Data: {ATTRIBUTION}", force=force)
    seconds = f"{time.perf_counter() - start:.1f} seconds"
    ends = [("data", ATTRIBUTION), ("picture", str(picture)), ("total", seconds)]
    show([*reconstruction_lines(request, result), *ends])


def scanner(voxels: int) -> tuple[ConeBeam, Grid]:
    """An x-ray microscope with magnification 3 that sees the whole bone, and a grid of `voxels` a side."""
    from sinograd.geometry import ConeBeam, FlatDetector, Grid, full_scan

    grid = Grid((voxels,) * 3, 1.04 * BONE_MM / voxels)
    pixel = 3 * grid.spacing[0]
    columns = math.ceil(1.125 * voxels)
    geometry = ConeBeam.circular(
        source_to_origin=30.0,
        source_to_detector=90.0,
        angles=full_scan(round(1.5 * voxels)),
        detector=FlatDetector((columns, columns), pixel),
    )
    return geometry, grid


@contextmanager
def _results(folder: Path, files: Sequence[str], needed: int, force: bool) -> Iterator[None]:
    """Make the folder, and check that everything can be written to it before the work starts; all files or none."""
    there = folder.exists()
    _check_folder(folder, files, needed, force)
    try:
        with together():
            yield
    except BaseException:
        if not there:
            with suppress(OSError):
                folder.rmdir()
        raise


def _check_folder(folder: Path, files: Sequence[str], needed: int, force: bool) -> None:
    from sinograd.io.storage.atomic import check_destination

    if folder.exists() and not folder.is_dir():
        raise NotAFolderError(f"{folder} is a file, expected a folder for the demo's files")
    there = [name for name in files if (folder / name).exists()]
    if there and not force:
        raise ExistingFileError(f"{folder} already holds {', '.join(there)}: use `force=True` to replace them")
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        check_destination(folder / name, force=force, needed=needed)


def _request(scan: Scan, output: Path, force: bool, **options: Any) -> reconstruction.Request:
    """The reconstruction by defaults, but for `options`."""
    arguments = inspect.signature(reconstruction.reconstruct).parameters
    defaults = {name: parameter.default for name, parameter in arguments.items()}
    return reconstruction.Request.of(defaults | {"scan": scan, "output": output, "force": force} | options)


def _simulate(
    folder: Path, voxels: int, photons: float, seed: int, force: bool, report: Report
) -> tuple[Scan, torch.Tensor, float]:
    """Write the scan and the truth; return both, and the attenuation of bone."""
    import torch

    from sinograd.data import Scan, make_provenance
    from sinograd.io import write_scan, write_volume
    from sinograd.phantoms import bone
    from sinograd.physics import add_photon_noise, made_by_views

    geometry, grid = scanner(voxels)
    report.stage("making bone", 0)
    phantom = bone(seed, size=BONE_MM)
    (clean,) = made_by_views(
        geometry.projection_shape,
        lambda views: (phantom.project(geometry[views]),),
        _BLOCK,
        report.stage("simulating", len(geometry)),
    )
    generator = torch.Generator().manual_seed(seed)
    noisy = add_photon_noise(clean, photons=photons, generator=generator)
    provenance = make_provenance("sinograd demo", {"voxels": voxels, "photons": photons, "seed": seed})
    metadata = {"vendor": "sinograd", "sample": f"simulated bone, seed {seed}", "photons": photons}
    path = folder / "scan.h5"
    scan = Scan(noisy, geometry, metadata, grid, file=path, provenance=provenance)
    write_scan(scan, path, force=force)
    truth = phantom.voxelize(grid)
    write_volume(truth, folder / "truth.h5", grid, unit="1/mm", force=force, provenance=provenance)
    return scan, truth, phantom.value.max().item()


def _compare(
    result: Reconstruction, truth: torch.Tensor, bone: float, folder: Path, force: bool
) -> list[tuple[str, str]]:
    """Write the picture beside the truth; error inside the cylinder that every view sees."""
    from sinograd.view import save_preview

    _, y, x = result.volume.grid.axes()
    seen = (x**2 + y[:, None] ** 2).sqrt() < result.scan.geometry.field_of_view / 2
    error = (result.volume.values - truth).double()[:, seen]
    rmse = error.square().mean().sqrt().item()
    picture = folder / "slices.png"
    psnr = 20 * math.log10(bone / rmse)
    quality = f"RMSE {rmse:.4g} 1/mm = {rmse / bone:.1%} of bone's {bone:g}, PSNR {psnr:.1f} dB"
    title = f"Simulated bone: {quality}"
    save_preview(result.volume, picture, truth=truth, title=title, force=force)
    return [("error", quality), ("truth", str(folder / "truth.h5")), ("picture", str(picture))]
