"""Raw clinical data: reading DICOM-CT-PD and single-slice rebinning, `python benchmarks/clinical.py [-o FILE]`.

1000 files of 64 x 736 readings are opened, and all their views loaded; then 20,000 views, memory-mapped, are rebinned
to a slice every millimetre. Times on the clock and of the processor.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import machine
import torch
from helical import scan, timed, write_projections

import sinograd as sg
from sinograd.testing import write_ct_pd

TURN = 1152


def reading(folder: Path, files: int) -> dict[str, Any]:
    """Opening a folder, and loading it whole."""
    geometry = scan(1, TURN)[:files]
    projections = write_projections(geometry, folder / "few.raw")
    write_ct_pd(sg.Scan(projections, geometry), folder / "raw")
    opened, found = timed(lambda: sg.read(folder / "raw"))
    loaded, values = timed(found.load)
    assert values.shape == projections.shape
    return {"files": files, "open": opened, "load": loaded}


def rebinning(folder: Path, views: int) -> dict[str, Any]:
    """A slice every millimetre of what the helix supports."""
    geometry = scan(-(-views // TURN), TURN)[:views]
    projections = write_projections(geometry, folder / "many.raw")
    heights = geometry.vectors[:, 0, 2]
    margin = 15.0
    z = torch.arange(float(heights.min()) + margin, float(heights.max()) - margin, 1.0).tolist()
    taken, slices = timed(lambda: sg.rebin(sg.Scan(projections, geometry), z))
    middle = slices[len(slices) // 2][1]
    volume = sg.fbp(middle.projections, middle.geometry, sg.Grid((64, 64), 2.0))
    return {"views": views, "slices": len(z), **taken, "mean": float(volume.mean())}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--views", type=int, default=20000)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        record = {
            **machine.describe(),
            "threads": torch.get_num_threads(),
            "reading": reading(Path(name), arguments.files),
            "rebinning": rebinning(Path(name), arguments.views),
        }
    machine.keep(record, arguments.output)


if __name__ == "__main__":
    main()
