"""Plain numbers that tell objects apart: 0.1.0 wrote them beside its files, and the tests compare them with today's."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

FILES = Path(__file__).parent / "files-0.1.0"
EXPECTED: dict[str, Any] = json.loads((FILES / "expected.json").read_text()) if FILES.is_dir() else {}


def tensor_numbers(values: Any) -> dict[str, Any]:
    """Shape, dtype, sum, sum weighted by position, and some values in between."""
    values = values.detach() if isinstance(values, torch.Tensor) else torch.from_numpy(np.array(values))
    flat = values.double().flatten()
    position = torch.linspace(-1, 1, flat.numel(), dtype=torch.float64)
    return {
        "shape": list(values.shape),
        "dtype": str(values.dtype).removeprefix("torch."),
        "sum": flat.sum().item(),
        "moment": (flat * position).sum().item(),
        "some": flat[:: max(1, flat.numel() // 4)].tolist(),
    }


def geometry_numbers(geometry: Any) -> dict[str, Any]:
    """Kind of beam, vectors, and the detector's pixels (which are on an arc or a plane)."""
    detector = geometry.detector
    return {
        "class": type(geometry).__name__,
        "vectors": tensor_numbers(geometry.vectors),
        "detector": type(detector).__name__,
        "spacing": [float(number) for number in _pair(detector.spacing)],
        "offset": [float(number) for number in _pair(detector.offset)],
        "radius": getattr(detector, "radius", None),
        "angles": None if geometry.angles is None else tensor_numbers(geometry.angles),
    }


def grid_numbers(grid: Any) -> dict[str, Any] | None:
    """Voxels, spacing and centre."""
    if grid is None:
        return None
    return {
        "shape": list(grid.shape),
        "spacing": [float(number) for number in grid.spacing],
        "center": [float(number) for number in grid.center],
    }


def scan_numbers(scan: Any) -> dict[str, Any]:
    """Readings, geometry, grid, metadata and calibration."""
    calibration = {}
    for name in ("reference", "dark", "shifts", "exposure", "reference_views"):
        part = getattr(scan.calibration, name, None)
        if part is not None:
            calibration[name] = tensor_numbers(part[:])
    return {
        "kind": scan.kind,
        "projections": tensor_numbers(scan.projections[:]),
        "geometry": geometry_numbers(scan.geometry),
        "grid": grid_numbers(scan.grid),
        "metadata": dict(scan.metadata),
        "command": scan.provenance.get("command"),
        "calibration": calibration,
    }


def assert_same(value: Any, expected: Any, where: str = "") -> None:
    """Equal texts and whole numbers, floats to rounding; what is there now may have more keys."""
    if isinstance(expected, Mapping):
        assert isinstance(value, Mapping) and set(expected) <= set(value), where
        for key, item in expected.items():
            assert_same(value[key], item, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(value) == len(expected), where
        for index, item in enumerate(expected):
            assert_same(value[index], item, f"{where}[{index}]")
    elif isinstance(expected, float):
        assert math.isclose(value, expected, rel_tol=1e-6, abs_tol=1e-9), where
    else:
        assert value == expected, where


def _pair(numbers: Any) -> tuple[Any, ...]:
    return tuple(numbers) if isinstance(numbers, tuple | list) else (numbers,)
