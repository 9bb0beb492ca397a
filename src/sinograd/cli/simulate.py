"""`sinograd simulate`: a scan of lower dose from a measured one, or a scan of a phantom."""

from __future__ import annotations

from typing import Any

from sinograd.choices import DETECTOR_RESPONSES, PHANTOMS
from sinograd.cli.command import Option, command
from sinograd.cli.options import OUTPUT_GROUP, SHARED, cluster_option
from sinograd.workflows import simulation

_DOSE = "Dose and noise"
_SCANNER = "Scanner of a phantom"
_EFFECTS = "Blur, scatter, lag and faulty pixels of a phantom's scanner"
_GRID = "Suggested grid"

OPTIONS = {
    **SHARED,
    "source": Option(
        str,
        lambda: f"A measured scan to lower the dose of, or one of {', '.join(PHANTOMS.names())}.",
        metavar="SCAN|PHANTOM",
        argument=True,
    ),
    "output": Option(str, "Scan to write: .h5.", ("-o", "--output"), metavar="FILE", required=True, panel=OUTPUT_GROUP),
    "dose": Option(float, "Dose of the new scan, in (0, 1]. Default: 1 for phantoms.", metavar="FRACTION", panel=_DOSE),
    "photons": Option(
        float,
        "Photons per detector pixel and view, unattenuated, at dose 1. Default: those that SCAN states, or 1e5.",
        metavar="N",
        panel=_DOSE,
    ),
    "electronic_noise": Option(
        float,
        "Standard deviation of the reading noise, in photons. Default: as SCAN states, or 0.",
        metavar="N",
        panel=_DOSE,
    ),
    "bowtie_mm": Option(
        float,
        "Bowtie filter for a water cylinder of this radius, 0: none. Default: as SCAN states, or none.",
        metavar="RADIUS",
        panel=_DOSE,
    ),
    "noiseless": Option(bool, "Exact projections of a phantom.", panel=_DOSE),
    "spectrum": Option(
        str,
        "Beam of many energies of a phantom of materials: a tube, as 80kV, or keV and photons.",
        metavar="KV|CSV",
        panel=_SCANNER,
    ),
    "filter": Option(
        str, 'Between the tube and the phantom, as "1 mm Al, 0.1 mm Cu".', metavar="LAYERS", panel=_SCANNER
    ),
    "response": Option(DETECTOR_RESPONSES, "Of the detector, to a spectrum.", panel=_SCANNER),
    "focal_spot_mm": Option(float, "Width of the focal spot at half of its maximum.", metavar="MM", panel=_EFFECTS),
    "detector_blur_mm": Option(
        float, "Width at half of the maximum by which the detector spreads photons.", metavar="MM", panel=_EFFECTS
    ),
    "scatter": Option(
        float, "Scatter, as a share of the mean transmitted fraction of a view.", metavar="SHARE", panel=_EFFECTS
    ),
    "lag": Option(
        str, "What views keep of those before: amplitudes and rates per view.", metavar="B1,A1,...", panel=_EFFECTS
    ),
    "faulty_pixels": Option(
        str, "Shares of pixels that are dead, stuck and non-linear.", metavar="DEAD,STUCK,NONLINEAR", panel=_EFFECTS
    ),
    "full_scale": Option(
        float,
        "Photons at which a pixel saturates. Default: never, or 1.25 times the unattenuated ones with faulty pixels.",
        metavar="N",
        panel=_EFFECTS,
    ),
    "seed": Option(int, "Seed of the noise, and of the phantom.", metavar="N", panel=_DOSE),
    "scanner": Option(
        str, "Scanner or geometry .yaml. Default: fits the phantom.", metavar="NAME|FILE", panel=_SCANNER
    ),
    "views": Option(int, "Views over the scanner's arc.", metavar="N", panel=_SCANNER),
    "detector": Option(
        str,
        "Rows and columns that the scanner's detector is divided into (C alone in 2-D). The detector stays as large as "
        "it is, so this changes the size of the pixels, and their shape where rows and columns change differently.",
        metavar="R,C",
        panel=_SCANNER,
    ),
    "size_mm": Option(
        float, "Width of the phantom. Default: its own, or 0.9 of the field of view.", metavar="MM", panel=_SCANNER
    ),
    "voxel_mm": Option(float, "Voxel size of the suggested grid.", metavar="MM", panel=_GRID),
    "shape": Option(str, "Voxels of the suggested grid.", metavar="Z,Y,X", panel=_GRID),
    "truth": Option(str, "Also write the phantom's voxels: .h5, .tif or .npy.", metavar="FILE", panel=OUTPUT_GROUP),
    "cluster": cluster_option("that make blocks of views"),
}


@command(OPTIONS, job=simulation.simulate)
def simulate(arguments: dict[str, Any], quiet: bool = False, json: bool = False) -> None:
    """Simulate a scan: SCAN measured with fewer photons, or a phantom with exact projections and photon noise."""
    request = simulation.SimulationRequest.of(arguments)
    result = simulation.run_simulation(request, None if quiet or json else "bar")
    if json:
        from sinograd.cli.records import print_record

        print_record("simulate", _record(request, result))
    elif not quiet:
        from sinograd.cli.describe import show, simulation_lines

        show(simulation_lines(request, result))


def _record(request: simulation.SimulationRequest, result: simulation.Simulation) -> dict[str, Any]:
    from sinograd.cli import records

    exposure = result.exposure
    noise = (
        None
        if result.dose is None
        else {
            "dose_fraction": result.dose,
            "photons": result.dose * exposure.photons,
            "electronic_noise_photons": exposure.electronic_noise,
            "bowtie_mm": exposure.bowtie_mm,
            "starved_readings": result.starved[0],
            "raised_readings": result.starved[1],
        }
    )
    return {
        "source": request.name,
        "file": None if request.output is None else str(request.output),
        "scan": records.scan_record(result.scan),
        "geometry": records.geometry_record(result.scan.geometry, result.scan.length_unit),
        "grid": records.grid_record(result.scan.grid, result.scan.length_unit),
        "noise": noise,
        "effects": request.effects.record() or None,
        "files": records.files_record(truth=request.truth),
        "duration_s": result.seconds,
    }
