from __future__ import annotations

import math

import pytest
import torch

from sinograd.geometry import CurvedDetector, FlatDetector, ParallelBeam, full_scan


def test_rays_at_the_quarters() -> None:
    """At angle 0 rays run along +y, at 90 degrees along -x; columns increase along +x, then +y."""
    vectors = ParallelBeam([0.0, math.pi / 2], FlatDetector(8, 2.0)).vectors
    expected = [[[0, 1, 0], [0, 0, 0], [2, 0, 0], [0, 0, 1]], [[-1, 0, 0], [0, 0, 0], [0, 2, 0], [0, 0, 1]]]
    assert torch.allclose(vectors, torch.tensor(expected, dtype=torch.float64), atol=1e-15)


def test_axis_offset_moves_the_detector_back() -> None:
    """The axis is seen at +offset of the detector's middle: a column index higher by offset / spacing."""
    geometry = ParallelBeam(full_scan(7), FlatDetector(8, 2.0), axis_offset=3.0)
    center, u = geometry.vectors[:, 1], geometry.vectors[:, 2]
    seen = -(center * u).sum(-1) / 4
    assert torch.allclose(seen, torch.full((7,), 1.5, dtype=torch.float64))


def test_from_vectors_normalises_directions() -> None:
    """A direction has no length; in 2-D v is left out."""
    steps = {"centers": [[0, 0, 5]], "u": [[1, 0, 0]], "detector": FlatDetector((4, 8), 1.0)}
    geometry = ParallelBeam.from_vectors(directions=[[0, 3, 4]], v=[[0, 0, 1]], **steps)
    assert geometry.vectors[0, 0].tolist() == [0, 0.6, 0.8]
    flat = ParallelBeam.from_vectors(directions=[[0, 3]], centers=[[1, 2]], u=[[1, 0]], detector=FlatDetector(8, 1))
    assert flat.vectors[0].tolist() == [[0, 1, 0], [1, 2, 0], [1, 0, 0], [0, 0, 1]]
    with pytest.raises(ValueError, match=r"directions\[0\] is zero"):
        ParallelBeam.from_vectors(directions=[[0, 0, 0]], v=[[0, 0, 1]], **steps)
    with pytest.raises(ValueError, match=r"ParallelBeam view 0: the direction .* lies in the plane"):
        ParallelBeam.from_vectors(directions=[[1, 0, 0]], v=[[0, 0, 1]], **steps)
    with pytest.raises(ValueError, match="v must be left out for a 1-D detector"):
        ParallelBeam.from_vectors(
            directions=[[0, 3]], centers=[[1, 2]], u=[[1, 0]], v=[[0, 1]], detector=FlatDetector(8, 1)
        )
    with pytest.raises(TypeError, match="v must be real numbers"):
        ParallelBeam.from_vectors(directions=[[0, 3, 4]], **steps)


def test_bad_input_is_named() -> None:
    """Curved detectors, turns of a line, wrong types."""
    with pytest.raises(ValueError, match="ParallelBeam needs a FlatDetector, got CurvedDetector"):
        ParallelBeam([0.0], CurvedDetector(8, 1.0))
    with pytest.raises(TypeError, match=r"ParallelBeam needs a FlatDetector, got 8 \(int\)"):
        ParallelBeam([0.0], 8)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"tilt 0.1 needs a 2-D detector, got shape \(8,\)"):
        ParallelBeam([0.0], FlatDetector(8, 1.0), tilt=0.1)
