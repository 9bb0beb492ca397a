"""One small call of every kernel, for compute-sanitizer: `python benchmarks/gpu/every_kernel.py [DEVICE]`."""

from __future__ import annotations

import sys

import torch

import sinograd as sg
from sinograd.ops import bilateral_filter


def main(device: str = "cuda") -> None:
    """Axial, general and planar pairs in both precisions, and the bilateral filter with its gradients."""
    orbit = {"source_to_origin": 60.0, "source_to_detector": 100.0, "angles": sg.full_scan(9, start=0.1)}
    area, grid = sg.FlatDetector((37, 19), (1.1, 1.7)), sg.Grid((35, 11, 13))
    scans = [
        (sg.ConeBeam.circular(**orbit, detector=area), grid),
        (sg.ConeBeam.circular(**orbit, detector=sg.CurvedDetector((37, 19), (1.1, 1.7))), grid),
        (sg.ConeBeam.circular(**orbit, detector=area, tilt=0.1), grid),
        (sg.ConeBeam.circular(**orbit, detector=sg.CurvedDetector((37, 19), (1.1, 1.7)), tilt=0.1), grid),
        (sg.FanBeam.circular(**orbit, detector=sg.FlatDetector(19, 1.7)), sg.Grid((11, 13))),
    ]
    for dtype in (torch.float32, torch.float64):
        for geometry, voxels in scans:
            for operator in (sg.XRayTransform(geometry, voxels), sg.Backprojection(geometry, voxels, "fdk")):
                for one in (operator, operator.T):
                    one(torch.rand(2, *one.domain_shape, dtype=dtype, device=device))
        x = torch.rand(7, 9, 40, dtype=dtype, device=device, requires_grad=True)
        bilateral_filter(x, torch.full((3,), 0.8).to(x), torch.tensor(0.3).to(x), window=5).sum().backward()
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main(*sys.argv[1:])
