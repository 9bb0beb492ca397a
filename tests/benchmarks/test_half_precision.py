"""Views in 16 bits: errors of the size that their fractions have."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture
def half(load) -> ModuleType:
    return load("half_precision")


def test_rounding(half: ModuleType) -> None:
    """Half a unit of 11 and 8 bits, however small or large the numbers are."""
    values = torch.linspace(0.5, 1, 1000)
    for size in (1e-9, 1.0, 1e9):
        block = values * size
        for dtype, bits in ((torch.float16, 11), (torch.bfloat16, 8)):
            error = float(((half.stored(block, dtype) - block) / block).abs().max())
            assert 0.4 * 2**-bits < error <= 2**-bits
        assert torch.equal(half.stored(block, torch.float32), block)


def test_errors_of_a_small_volume(half: ModuleType, tmp_path: Path) -> None:
    half.main(views=[30], size=32, output=tmp_path / "out.json")
    plain, sixteen, brain = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert plain["norm"] < 1e-6  # the same filter and sum as in `fdk`
    assert 1e-6 < sixteen["norm"] < brain["norm"] / 4 < 1e-3
    assert brain["rmse"] == pytest.approx(plain["rmse"], rel=0.01)


def test_the_share_of_the_filter(half: ModuleType, tmp_path: Path) -> None:
    __import__("filter_share").main(size=32, repeat=1, output=tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["seconds"]["fdk"] > 0 and found["share_of_the_rest"] < 1
