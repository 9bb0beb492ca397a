from __future__ import annotations

import pytest
import torch

from sinograd.geometry import CurvedDetector, FanBeam, FlatDetector, full_scan


def fan(**change) -> FanBeam:
    options = {"source_to_origin": 100, "source_to_detector": 150, "angles": full_scan(4)}
    return FanBeam.circular(**{**options, "detector": FlatDetector(8, 1.0), **change})


def test_needs_a_line_detector() -> None:
    """It says what came."""
    with pytest.raises(ValueError, match=r"FanBeam needs a 1-D detector, shape \(columns,\), got shape \(1, 8\)"):
        fan(detector=FlatDetector((1, 8), 1.0))
    with pytest.raises(TypeError, match="FanBeam needs a 1-D detector"):
        fan(detector=None)


def test_displacements_are_numbers_or_one_a_view() -> None:
    """Not pairs: a line detector has no rows."""
    assert fan(source_offset=[1.0] * 4).equals(fan(source_offset=1.0))
    assert fan(shifts=[2.0] * 4).vectors.allclose(fan(detector=FlatDetector(8, 1.0, offset=2.0)).vectors)
    with pytest.raises(ValueError, match=r"source_offset must be \[4\], got \[2\]"):
        fan(source_offset=(0, 1))
    with pytest.raises(ValueError, match=r"shifts must be \[4\], got \[4, 2\]"):
        fan(shifts=torch.zeros(4, 2))


def test_from_vectors_lies_in_the_plane() -> None:
    """2-vectors in, z = 0 and v = z out; a curved detector bends towards the source."""
    geometry = FanBeam.from_vectors(
        sources=[[0, -100]], centers=[[3, 50]], u=[[1, 0]], detector=CurvedDetector(8, 1.0, radius=40)
    )
    assert geometry.vectors[0].tolist() == [[0, -100, 0], [3, 50, 0], [1, 0, 0], [0, 0, 1], [3, 10, 0]]
    with pytest.raises(ValueError, match=r"u must be \[1, 2\], got \[1, 3\]"):
        FanBeam.from_vectors(sources=[[0, -100]], centers=[[3, 50]], u=[[1, 0, 0]], detector=FlatDetector(8, 1.0))


def test_short_scan_needs_two_views() -> None:
    """Both ends are measured."""
    with pytest.raises(ValueError, match="views must be at least 2 for a short scan, got 1"):
        FanBeam.short_scan(source_to_origin=100, source_to_detector=150, views=1, detector=FlatDetector(8, 1.0))
