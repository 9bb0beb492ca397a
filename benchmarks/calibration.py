"""How exact calibrations and estimated motion are, against the truth that simulations and injected errors have.

    python benchmarks/calibration.py simulated motion --columns 64 -o benchmarks/results/calibration.json
    python benchmarks/calibration.py walnut fan --data FOLDER -o benchmarks/results/calibration-real.json

simulated: axis and roll, then all five arguments of a cone beam, beside the Cramer-Rao bound and the error without
noise. walnut, fan: measured scans (`walnut`, Zenodo 10.5281/zenodo.6986012; `htc2022`, 10.5281/zenodo.6984868) in
which shifts and turns are put, beside the calibration of the scan as it is: moved views are those of a detector in
another place (`column_offset`), and nearly those of another axis. motion: heads that move by 3 mm and 3 degrees.
Scans and truths are those of the tests.
"""

from __future__ import annotations

import math
import sys
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

import machine
import numpy as np
import torch
import typer
from scipy.ndimage import map_coordinates
from torch import Tensor

import sinograd as sg

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

AXIS_AND_ROLL = ("axis_offset", "in_plane_rotation")
PLACE_AND_ROLL = ("column_offset", "in_plane_rotation")
WALNUT = (3.37, 1.0)  # columns and degrees that are put in
SHIFTS = (-2.63, 0.4, 3.37)  # columns, of the fan


def simulated(columns: int, seeds: int) -> dict[str, Any]:
    """Errors of calibrations from 5 % of the width, 2 degrees and 1 %: 10,000 photons, as many views as columns."""
    from recon.calibration.scans import TRUTH, cone, measured, pixels_of_axis, wrong

    def errors(learn: tuple[str, ...], photons: float, seed: int) -> dict[str, Any]:
        start = wrong(columns, columns, learn)
        clock, work = time.perf_counter(), time.process_time()
        result = sg.calibrate(measured(cone(columns, columns), photons, seed), start, learn=learn)
        taken = {"seconds": time.perf_counter() - clock, "core_seconds": time.process_time() - work}
        found = {name: result.values[name] - TRUTH[name] for name in learn}
        return {
            "errors": _in_units(found, columns),
            "standard_errors": _in_units(result.standard_errors, columns),
            **taken,
        }

    def _in_units(values: Any, columns: int) -> dict[str, float]:
        """The axis in pixels, turns in degrees, distances in mm."""
        scale = {"axis_offset": pixels_of_axis(columns), "source_to_detector": 1.0}
        return {name: float(value) * scale.get(name, 180 / math.pi) for name, value in values.items()}

    learnt: dict[str, Any] = {"columns": columns, "views": columns, "photons": 1e4}
    learnt["axis and roll"] = [_told("axis and roll", errors(AXIS_AND_ROLL, 1e4, seed)) for seed in range(seeds)]
    learnt["all"] = [_told("all", errors(tuple(TRUTH), 1e4, seed)) for seed in range(seeds)]
    learnt["all, without noise"] = _told("all, without noise", errors(tuple(TRUTH), 1e12, 0))
    learnt["bounds"] = _told("bounds", _in_units(_bounds(cone(columns, columns), tuple(TRUTH)), columns))
    return learnt


def _bounds(geometry: Any, learn: tuple[str, ...]) -> dict[str, float]:
    from recon.calibration.scans import body

    grid = sg.Grid((64, 64, 64), 0.75)
    return sg.recon.cramer_rao(body().voxelize(grid), geometry, grid, learn=learn, photons=1e4)


def walnut(folder: Path) -> dict[str, Any]:
    """The measured cone beam, moved by WALNUT."""
    with np.load(folder / "walnut" / "walnut_cone.npz") as file:
        projections = torch.from_numpy(file["sinogram"][:-1].astype(np.float32))
        angles = -torch.from_numpy(file["angles"][:-1].astype(np.float64))
    detector = sg.FlatDetector((256, 256), 0.4)
    geometry = sg.ConeBeam.circular(
        source_to_origin=210.66, source_to_detector=553.74, angles=angles, detector=detector
    )
    shift, degrees = WALNUT
    moved = _turned(projections, shift, math.radians(degrees))
    column = 0.4 * 210.66 / 553.74
    rows: dict[str, Any] = {"put in": {"columns": -shift, "degrees": degrees}}
    for learn in (AXIS_AND_ROLL, PLACE_AND_ROLL, (*AXIS_AND_ROLL, "tilt", "yaw")):
        results = {
            name: _calibrated(values, geometry, learn) for name, values in (("own", projections), ("moved", moved))
        }
        own, other = (found["values"] for found in results.values())
        unit = -0.4 if learn[0] == "column_offset" else column
        found = {
            "columns": (other[learn[0]] - own[learn[0]]) / unit,
            "degrees": math.degrees(other["in_plane_rotation"] - own["in_plane_rotation"]),
        }
        rows[", ".join(learn)] = _told("walnut", {"difference": found, **results})
    return rows


def fan(folder: Path) -> dict[str, Any]:
    """The measured fan beam of discs, moved by SHIFTS: errors of the difference in columns."""
    path = folder / "htc2022" / "tb_549views.mat"
    scan = sg.read(path)
    lines, geometry = torch.as_tensor(scan.projections, dtype=torch.float32), scan.geometry
    column = geometry.detector.spacing[-1] * geometry.recipe.source_to_origin / geometry.recipe.source_to_detector
    rows: dict[str, Any] = {}
    for name, unit in (("axis_offset", column), ("column_offset", -geometry.detector.spacing[-1])):
        own = _calibrated(lines, geometry, (name,))
        rows[name] = {"own": own}
        for shift in SHIFTS:
            found = _calibrated(_shifted(lines, shift), geometry, (name,))
            difference = (found["values"][name] - own["values"][name]) / unit
            rows[name][f"{shift:+g} columns"] = _told("fan", {"error_columns": difference + shift, **found})
    return rows


def motion(_: Path | None = None) -> dict[str, Any]:
    """RMSE to the object, of reconstructions at rest, moving, and with the motion that was found."""
    from recon.test_motion import errors

    orbit = dict(source_to_origin=600, source_to_detector=1000)
    plane = sg.FanBeam.circular(**orbit, angles=sg.full_scan(160), detector=sg.FlatDetector(128, 3.2))
    space = sg.ConeBeam.circular(**orbit, angles=sg.full_scan(72), detector=sg.FlatDetector((48, 48), 409.6 / 48))
    rows = {}
    for name, geometry, grid, knots in (
        ("fan", plane, sg.Grid((96, 96), 2.1), 12),
        ("cone", space, sg.Grid((36, 36, 36), 5.5), 10),
    ):
        found = errors(geometry, 1e4, grid, knots)
        rows[name] = _told(f"motion, {name}", {**found, "found_over_rest": found["found"] / found["rest"]})
    return rows


def _calibrated(lines: Tensor, geometry: Any, learn: tuple[str, ...]) -> dict[str, Any]:
    clock, work = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sg.errors.SinogradWarning)
        result = sg.calibrate(lines, geometry, learn=learn, columns=64 if lines.ndim == 3 else 128)
    return {
        "values": dict(result.values),
        "standard_errors": dict(result.standard_errors),
        "held": dict(result.held),
        "seconds": time.perf_counter() - clock,
        "core_seconds": time.process_time() - work,
    }


def _turned(projections: Tensor, shift: float, turn: float) -> Tensor:
    """Views [views, n, n] moved by columns and turned about the detector's middle."""
    middle = (projections.shape[-1] - 1) / 2
    place = np.arange(projections.shape[-1]) - middle
    down, across = np.meshgrid(place, place, indexing="ij")
    read = [math.sin(turn) * across + math.cos(turn) * down, math.cos(turn) * across - math.sin(turn) * down + shift]
    return _spline(projections, np.stack(read) + middle)


def _shifted(lines: Tensor, shift: float) -> Tensor:
    """Rows [views, n] moved by columns."""
    return _spline(lines, (np.arange(lines.shape[-1]) + shift)[None])


def _spline(views: Tensor, places: np.ndarray) -> Tensor:
    """Each view at other places, by splines; torch's cubics move parts of a column by up to a twentieth too much."""
    return torch.from_numpy(np.stack([map_coordinates(view, places, mode="nearest") for view in views.numpy()]))


def _told(name: str, found: dict[str, Any]) -> dict[str, Any]:
    print(name, found, file=sys.stderr, flush=True)
    return found


def main(
    parts: Annotated[list[str], typer.Argument(help="simulated, walnut, fan, motion: some of them.")],
    data: Annotated[Path | None, typer.Option(help="The folder of measured scans.")] = None,
    columns: Annotated[int, typer.Option(help="Of the simulated cone beam.")] = 96,
    seeds: Annotated[int, typer.Option(help="Draws of its noise.")] = 3,
    output: Annotated[Path | None, typer.Option("-o", help="JSON file for the figures.")] = None,
) -> None:
    """Measure, print and keep."""
    record: dict[str, Any] = {"machine": machine.describe(), "threads": torch.get_num_threads()}
    for part in parts:
        if part in ("walnut", "fan"):
            if data is None:
                raise typer.BadParameter(f"{part} needs --data")
            record[part] = (walnut if part == "walnut" else fan)(data)
        elif part in ("simulated", "motion"):
            record[part] = simulated(columns, seeds) if part == "simulated" else motion()
        else:
            raise typer.BadParameter(f"expected simulated, walnut, fan or motion, got {part!r}")
    machine.keep(record, output)


if __name__ == "__main__":
    typer.run(main)
