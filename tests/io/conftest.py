from __future__ import annotations

import pytest
import torch

from sinograd.geometry import ConeBeam, FanBeam, FlatDetector, Grid, full_scan
from sinograd.io import Scan


@pytest.fixture
def cone_scan() -> Scan:
    """Six views of 4 x 5 pixels of random line integrals."""
    geometry = ConeBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=full_scan(6), detector=FlatDetector((4, 5), 0.3)
    )
    metadata = {"vendor": "test bench", "sample": "Knöchel", "voltage_kV": 80.5}
    return Scan(torch.rand(6, 4, 5), geometry, metadata, Grid((4, 5, 6), 0.2, (0.1, 0.2, -0.3)))


@pytest.fixture
def fan_scan() -> Scan:
    """Seven views of 9 pixels of random line integrals."""
    geometry = FanBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=full_scan(7), detector=FlatDetector(9, 0.3)
    )
    return Scan(torch.rand(7, 9), geometry)
