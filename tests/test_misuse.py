"""Arguments of the wrong type or outside their range: one error of sinograd each, which names the argument."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg

GEOMETRY: Any = sg.ConeBeam.circular(
    source_to_origin=100.0, source_to_detector=200.0, angles=sg.full_scan(12), detector=sg.FlatDetector((8, 16), 2.0)
)
GRID = sg.Grid((6, 8, 8), 2.0)
VOLUME: Any = sg.Volume(torch.rand(6, 8, 8), GRID, "1/mm")
SCAN: Any = sg.Scan(torch.rand(12, 8, 16), GEOMETRY)
WHOLE: Any = sg.recon.FilteredBackprojection.of(GEOMETRY, GRID)
BALL: Any = sg.Ellipsoids([1.0], [[1, 1, 1]], [[0, 0, 0]])
ANY: Any = sg

CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "read": (lambda folder: ANY.read(5), "path must be a path"),
    "read_volume": (lambda folder: ANY.read_volume(None), "path must be a path"),
    "load_geometry": (lambda folder: ANY.load_geometry(5), "geometry must be a path"),
    "write_volume of a scan": (lambda folder: ANY.write_volume(SCAN, folder / "a.h5"), "volume must be a Volume"),
    "write_volume to 5": (lambda folder: ANY.write_volume(VOLUME, 5), "path must be a path"),
    "write_scan of a volume": (lambda folder: ANY.write_scan(VOLUME, folder / "a.h5"), "scan must be a Scan"),
    "slices": (lambda folder: VOLUME.read(0.0, 1.5), "first must be an integer"),
    "slice": (lambda folder: VOLUME.read(0, True), "end must be an integer"),
    "dtype of slices": (lambda folder: VOLUME.read(0, 2, "float32"), r"dtype must be a torch\.dtype"),
    "dtype of views": (lambda folder: SCAN.load(dtype="float32"), r"dtype must be a torch\.dtype"),
    "dtype of projections": (lambda folder: BALL.project(GEOMETRY, dtype="float32"), "dtype must be a floating-point"),
    "device": (lambda folder: WHOLE.on("gpu"), "device: expected cpu, cuda"),
    "memory": (lambda folder: WHOLE.on("cpu", -1), "memory must be at least 1"),
    "block": (lambda folder: WHOLE.recomputed(0), "block must be at least 1"),
    "slab": (lambda folder: WHOLE.slab((0, 99), (0, 8)), "slices: expected"),
    "rows": (lambda folder: WHOLE.slab((0, 2), (3, 3)), "rows: expected"),
    "slab of a slab": (lambda folder: WHOLE.slab((0, 3), (0, 8)).slab((0, 1), (0, 8)), "slab: expected"),
    "ring_width": (lambda folder: sg.Preparation(ring_width=-1), "ring_width: expected at least 1"),
    "ring_limit": (lambda folder: sg.Preparation(ring_limit=0.0), "ring_limit: expected"),
    "numbers": (lambda folder: sg.Preparation(dead="a"), "dead must be a number"),  # type: ignore[arg-type]
    "flags": (lambda folder: sg.Preparation(rings="yes"), "rings must be True or False"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", CASES)
def test_one_error(tmp_path: Path, name: str) -> None:
    call, message = CASES[name]
    with pytest.raises(sg.errors.SinogradError, match=message):
        call(tmp_path)
    assert not list(tmp_path.iterdir())
