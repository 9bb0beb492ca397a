"""The benchmark of networks: its table, of numbers that are known beforehand."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "networks.py"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured on Linux")
def test_time_and_memory_of_a_network(tmp_path: Path, capfd: Any) -> None:
    """Parameters as published; a larger slice takes more of both."""
    spec = importlib.util.spec_from_file_location("benchmark_networks", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = []
    for size in (64, 256):
        module.main(["--names", "cnn-10", "--size", str(size), "--json", str(tmp_path / "out.json")])
        assert "| `cnn-10` | 24,513 | " in capfd.readouterr().out
        found.append(json.loads((tmp_path / "out.json").read_text())["rows"][0])
    small, large = found
    assert all(row[f"{what}_seconds"] > 0 for row in found for what in ("slice", "step"))
    assert large["slice_mb"] > 256 * 256 * 64 * 4 / 2**20  # 64 channels of the image
    assert small["step_mb"] > 0
