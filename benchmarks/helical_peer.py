"""A helix beside a peer: `python benchmarks/helical_peer.py --peers .venv-peers/bin/python [-o FILE]`.

The same projections of balls in a cylinder, exact, go to `sg.helical_fbp` and to mbirjax's two reconstructions of
helices (its FDK, which it calls approximate, and its iterative one with its default prior), one after the other on the
same machine. Errors are against the phantom on the slices that the helix supports.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch
from helical import ORBIT, timed
from torch import Tensor

import sinograd as sg
from sinograd.phantoms.balls import balls

ROWS, COLUMNS, VIEWS, TURNS = 32, 240, 240, 4
PIXEL = (1.642, 3.857)
GRID = sg.Grid((24, 160, 160), (1.5, 2.25, 2.25))
WAITS = "--xla_cpu_collective_call_terminate_timeout_seconds=7200"
"""On a busy machine JAX ends the process where one of its threads waits 40 seconds for another."""


def scan() -> sg.ConeBeam:
    """A helix of pitch 1 on a curved detector."""
    angles = torch.arange(TURNS * VIEWS, dtype=torch.float64) * (2 * math.pi / VIEWS)
    pitch = ROWS * PIXEL[0] * ORBIT["source_to_origin"] / ORBIT["source_to_detector"]
    detector = sg.CurvedDetector((ROWS, COLUMNS), PIXEL)
    return sg.ConeBeam.helical(**ORBIT, angles=angles, detector=detector, pitch=pitch)


def phantom() -> sg.Ellipsoids:
    """Water, and three balls of other densities."""
    places = [(60.0, -30.0, 5.0), (-40.0, 70.0, -8.0), (10.0, 90.0, 0.0)]
    return sg.Ellipsoids(0.02, (150.0, 150.0, 1e4)) + balls([20.0, 12.0, 8.0], [0.01, -0.01, 0.005], places)


def second_call(job: Callable[[], Tensor]) -> dict[str, Any]:
    """What the second of two calls takes, and its volume."""
    job()
    taken, volume = timed(job)
    return {**taken, "volume": volume}


def peer(geometry: sg.ConeBeam, projections: Tensor, python: str, iterations: int) -> dict[str, dict[str, Any]]:
    """Volumes and times of mbirjax."""
    with tempfile.TemporaryDirectory() as folder:
        case, out = Path(folder) / "case.npz", Path(folder) / "out.npz"
        np.savez(
            case,
            projections=projections.numpy(),
            angles=np.arange(geometry.views) * (2 * math.pi / VIEWS),
            heights=geometry.vectors[:, 0, 2].numpy(),
            shape=GRID.shape,
            spacing=GRID.spacing,
            pixel=PIXEL,
            iterations=iterations,
            **ORBIT,
        )
        script = Path(__file__).with_name("mbirjax_helix.py")
        subprocess.run([python, str(script), str(case), str(out)], check=True, env={**os.environ, "XLA_FLAGS": WAITS})
        found = np.load(out)
        name = f"mbirjax {found['version']}"
        return {
            f"{name}, {job}": {
                "seconds": float(found[f"{job}_seconds"]),
                "processor_seconds": float(found[f"{job}_processor_seconds"]),
                "volume": torch.from_numpy(found[job].copy()),
            }
            for job in ("fdk", "recon")
            if job in found
        }


def errors(volume: Tensor, truth: Tensor) -> dict[str, float]:
    """Root mean square of the error inside the cylinder, and in its middle parts away from edges, of water's value."""
    error = (volume - truth)[4:-4] / 0.02
    y, x = torch.meshgrid(*[(torch.arange(160) - 79.5) * 2.25] * 2, indexing="ij")
    inside = (x.square() + y.square()).sqrt() < 140
    flat = inside & ((truth[4:-4] - 0.02).abs().amax(0) < 1e-6)
    return {
        "rmse": float(error[:, inside].square().mean().sqrt()),
        "rmse_of_water": float(error[:, flat].square().mean().sqrt()),
        "mean_of_water": float(error[:, flat].mean()),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="Python of the environment that `make peers` makes, with mbirjax")
    parser.add_argument("--iterations", type=int, default=15, help="of mbirjax; 0: only its FDK")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    geometry, truth = scan(), phantom().voxelize(GRID)
    projections = phantom().project(geometry)
    methods = {"sinograd, helical_fbp": second_call(lambda: sg.helical_fbp(projections, geometry, GRID))}
    if arguments.peers:
        methods |= peer(geometry, projections, arguments.peers, arguments.iterations)
    rows = {name: {**errors(found.pop("volume"), truth), **found} for name, found in methods.items()}
    record = {**machine.describe(), "iterations": arguments.iterations, "methods": rows}
    machine.keep(record, arguments.output)


if __name__ == "__main__":
    main()
