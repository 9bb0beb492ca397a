"""`sinograd reconstruct --algorithm`, interrupted and resumed. Truth: the same run at once, to the bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from sinograd.choices import ALGORITHMS
from sinograd.io import read_volume

ITERATIVE = [entry.name for entry in ALGORITHMS.entries(plugins=False) if entry.about.get("iterative")]


def interrupt_at(monkeypatch: pytest.MonkeyPatch, iteration: int, number: int) -> None:
    """A signal when so many iterations are done."""
    from sinograd.workflows.report import Position as Progress

    stage = Progress.stage

    def watched(self: Progress, name: str, total: int, unit: str = "views") -> Any:
        advance = stage(self, name, total, unit)

        def tell(done: int, of: int, *note: str) -> None:
            advance(done, of, *note)
            if name == "iterating" and done == iteration:
                os.kill(os.getpid(), number)

        return tell

    monkeypatch.setattr(Progress, "stage", watched)


@pytest.mark.filterwarnings("ignore::sinograd.errors.GridWarning")
@pytest.mark.parametrize("algorithm", ITERATIVE)
def test_an_interrupted_run_goes_on_to_the_same_bits(
    sinograd: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    run = ("reconstruct", scan_file, "--algorithm", algorithm, "--iterations", 5, "-o")
    for iteration, number in ((2, signal.SIGINT), (3, signal.SIGTERM)):
        with monkeypatch.context() as patched:
            interrupt_at(patched, iteration, number)
            stopped = sinograd(*run, tmp_path / "v.h5", *["--resume"] * (iteration > 2))
        assert stopped.exit_code == 128 + number and "--resume goes on from there" in stopped.stderr
        assert (tmp_path / "v.h5.partial.h5").exists() and not (tmp_path / "v.h5").exists()
        assert read_volume(tmp_path / "v.h5.partial.h5").provenance["done"] == iteration
    result = sinograd(*run, tmp_path / "v.h5", "--resume")
    assert result.exit_code == 0 and f"{algorithm.upper()}, 5 iterations" in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"scan.h5", "v.h5"}
    assert sinograd(*run, tmp_path / "once.h5").exit_code == 0
    assert torch.equal(read_volume(tmp_path / "v.h5").values, read_volume(tmp_path / "once.h5").values)
