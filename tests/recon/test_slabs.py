"""FDK in slabs is FDK."""

from __future__ import annotations

import pytest
import torch

import sinograd as sg
from sinograd.recon import fdk_in_slabs
from sinograd.recon.slabs import _slabs

GRID = sg.Grid((20, 16, 18), 1.5, (0.5, -1.0, 1.0))
SCAN = sg.ConeBeam.circular(
    source_to_origin=100,
    source_to_detector=150,
    angles=sg.full_scan(24),
    detector=sg.FlatDetector((36, 30), 1.8, offset=(1.0, 2.0)),
)


def test_same_result(device: torch.device) -> None:
    projections = sg.shepp_logan_3d(radius=12).project(SCAN, dtype=torch.float64)[None].repeat(2, 1, 1, 1)
    projections[1] *= 0.5
    expected = sg.fdk(projections, SCAN, GRID, window="hann")
    memory = 800_000
    result = fdk_in_slabs(projections, SCAN, GRID, device=device, memory=memory, window="hann")
    assert len(_slabs(SCAN, GRID, memory / 3 / 8 / 2)) >= 2
    assert float((result - expected).abs().max()) < 1e-6 * float(expected.abs().max())


def test_bad_input() -> None:
    projections = torch.zeros(SCAN.projection_shape)
    with pytest.raises(ValueError, match="memory: too little; one slice of 16 x 18 voxels"):
        fdk_in_slabs(projections, SCAN, GRID, device="cpu", memory=1000)
    with pytest.raises(ValueError, match="expected a number of bytes for the device cpu"):
        fdk_in_slabs(projections, SCAN, GRID, device="cpu")
    with pytest.raises(TypeError, match="fdk takes a ConeBeam"):
        fdk_in_slabs(projections, sg.ParallelBeam([0.0], SCAN.detector), GRID, device="cpu")  # type: ignore[arg-type]
