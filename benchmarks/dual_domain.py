"""What a step of dual-domain training takes: peak memory and seconds, in a process of its own.

    python benchmarks/dual_domain.py                      # 15 slices of 512^2 from 1400 views of 512 columns
    python benchmarks/dual_domain.py --columns 2048       # of a 2048-column detector
    python benchmarks/dual_domain.py --keep               # everything kept for the backward pass

The scanner is like an Xradia 620 (source to axis 12 mm, to detector 48 mm, short scan, voxels of 1.4 um); the stack
lies 60 slices above the mid-plane. Numbers are noise: what is measured does not depend on them.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch

import sinograd as sg
from sinograd.geometry import detector_region
from sinograd.models import DualDomainBilateral, bilateral_stack
from sinograd.recon.analytic import needed_rows
from sinograd.training import ScanStack
from sinograd.training.tasks import DualDomainTask

VOXEL_MM = 0.0014
MAGNIFICATION = 4.0


def stack(slices: int, width: int, views: int, columns: int, margin: int) -> ScanStack:
    """The stack, with the detector rows that it needs."""
    pixel = VOXEL_MM * MAGNIFICATION
    geometry = sg.ConeBeam.short_scan(
        source_to_origin=12.0,
        source_to_detector=48.0,
        views=views,
        detector=sg.FlatDetector((columns, columns), pixel),
    )
    grid = sg.Grid((slices, width, width), VOXEL_MM, (0.0, 0.0, 60 * VOXEL_MM))
    rows = needed_rows(geometry, grid, margin)
    print(f"rows {rows[0]} to {rows[1] - 1} of {columns}, {margin} of them on each side for the filter")
    part = detector_region(geometry, rows)
    generator = torch.Generator().manual_seed(0)
    projections = torch.rand(part.projection_shape, generator=generator)
    return ScanStack(projections, part, grid, torch.rand(grid.shape, generator=generator))


def peak_gb() -> float:
    """The most memory that this process has had, in 10^9 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main() -> None:
    """Run the steps and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=15)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--views", type=int, default=1400)
    parser.add_argument("--columns", type=int, default=512)
    parser.add_argument("--margin", type=int, default=8)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="no recomputation")
    options = parser.parse_args()
    data = stack(options.slices, options.width, options.views, options.columns, options.margin)
    print(f"projections {list(data.projections.shape)}, volume {list(data.target.shape)}; before: {peak_gb():.2f} GB")
    model = DualDomainBilateral(bilateral_stack(1), bilateral_stack(2))
    task = DualDomainTask(model, 1.0, recompute=not options.keep)
    for _ in range(options.steps):
        start = time.process_time()
        loss = task.loss(data, torch.Generator())
        middle = time.process_time()
        loss.backward()
        end = time.process_time()
        seconds = f"{end - start:.1f} s ({middle - start:.1f} forward, {end - middle:.1f} backward)"
        print(f"step: {seconds}, processor time, {torch.get_num_threads()} threads; peak {peak_gb():.2f} GB")


if __name__ == "__main__":
    main()
