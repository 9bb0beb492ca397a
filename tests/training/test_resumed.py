"""What a resumed run is told: fewer steps than it has, or other data files than it started with."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import sinograd as sg
from sinograd.errors import FormatError
from sinograd.training import read_history, train


def test_fewer_steps_and_other_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.02, 0.002, (5, 16, 18)).astype(np.float32)
    grid = sg.Grid(values.shape, 1.0)
    sg.write_volume(values, tmp_path / "noisy.h5", grid, unit="1/mm")
    config = {
        "task": {"name": "noise2void"},
        "model": {"name": "bilateral"},
        "data": {"training": [{"input": str(tmp_path / "noisy.h5")}]},
        "stop": {"max_steps": 4},
        "output": str(tmp_path / "run"),
    }
    train(config)
    with pytest.raises(ValueError, match=r"run has 4 steps already, stop.max_steps is 3: nothing is left to train"):
        train({**config, "stop": {"max_steps": 3}}, resume=True)
    os.utime(tmp_path / "noisy.h5")  # touched, the same content
    assert train({**config, "stop": {"max_steps": 5}}, resume=True).steps == 5
    provenance = tmp_path / "run" / "provenance.json"
    kept = provenance.read_text()
    provenance.write_text("[" * 100_000)  # what nests without end says nothing of the files
    assert train({**config, "stop": {"max_steps": 6}}, resume=True).steps == 6
    provenance.write_text(kept)
    sg.write_volume(values[::-1].copy(), tmp_path / "noisy.h5", grid, unit="1/mm", force=True)
    with pytest.raises(ValueError, match=r"noisy.h5 was replaced or changed since the run in .*run started"):
        train({**config, "stop": {"max_steps": 7}}, resume=True)


@pytest.mark.parametrize("text", ["step,training_loss\nx,1\n", "step,training_loss\n1,y\n", "a\n1\n", "step\n1,2\n"])
def test_a_damaged_table_of_steps_names_its_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(FormatError, match=r"metrics\.csv, line 2: expected a step and numbers"):
        read_history(tmp_path / "metrics.csv")
