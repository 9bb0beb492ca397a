"""Prints a hash of what every operator computes in every instruction set: equal on two builds that round alike.

`python packaging/fingerprint.py` in the environment of each build; the lines are then the same.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

SETS = ("portable", "avx2", "avx512")


def results() -> str:
    """SHA-256 over volumes and projections of small scans, forwards and backwards."""
    import torch

    import sinograd as sg
    from sinograd import recon

    torch.set_num_threads(2)
    digest = hashlib.sha256()
    body = sg.shepp_logan_3d(radius=14, value=0.02)
    cone = sg.ConeBeam.circular(
        source_to_origin=80, source_to_detector=120, angles=sg.full_scan(24), detector=sg.FlatDetector((20, 33), 1.5)
    )
    fan = sg.FanBeam.circular(
        source_to_origin=80, source_to_detector=120, angles=sg.full_scan(24), detector=sg.FlatDetector(33, 1.5)
    )
    tilted = sg.ConeBeam.circular(
        source_to_origin=80,
        source_to_detector=120,
        angles=sg.full_scan(24),
        detector=sg.FlatDetector((20, 33), 1.5),
        tilt=0.05,
    )
    generator = torch.Generator().manual_seed(0)
    for geometry, grid in (
        (cone, sg.Grid((17, 21, 22), 1.3)),
        (tilted, sg.Grid((17, 21, 22), 1.3)),
        (fan, sg.Grid((21, 22), 1.3)),
    ):
        for dtype in (torch.float32, torch.float64):
            volume = torch.rand(grid.shape, generator=generator, dtype=dtype)
            operator = sg.XRayTransform(geometry, grid)
            projections = operator(volume)
            parts = [projections, operator.T(projections), sg.Backprojection(geometry, grid)(projections)]
            digest.update(b"".join(part.numpy().tobytes() for part in parts))
    noisy = body.project(cone).float()
    digest.update(sg.fdk(noisy, cone, sg.Grid((17, 21, 22), 1.3), window="hann").numpy().tobytes())
    smooth = sg.BilateralFilter3d((1.0, 1.2, 0.8), 0.1)(noisy[None, None])
    digest.update(smooth.detach().numpy().tobytes())
    digest.update(recon.tv_denoise(noisy, 0.01, iterations=5).numpy().tobytes())
    return digest.hexdigest()


def main() -> None:
    """One line for each instruction set that this machine runs."""
    if "SINOGRAD_SIMD" in os.environ:
        print(results())
        return
    from sinograd.ops.native import native

    for name in native().instruction_sets():
        environment = os.environ | {"SINOGRAD_SIMD": name}
        done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, check=True)
        print(name, done.stdout.strip())


if __name__ == "__main__":
    main()
