"""`sinograd reconstruct --algorithm`, interrupted and resumed. Truth: the function of `sinograd.recon` itself."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from sinograd.io import read, read_volume
from sinograd.ops import XRayTransform
from sinograd.recon import cgls


@pytest.mark.filterwarnings("ignore::sinograd.errors.GridWarning")
def test_an_interrupted_run_goes_on_from_its_image(
    sinograd: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sinograd.workflows.report import Position as Progress

    run = ("reconstruct", scan_file, "-o", tmp_path / "v.h5", "--algorithm", "cgls", "--iterations", 6)
    stage = Progress.stage

    def watched(self: Progress, name: str, total: int, unit: str = "views") -> Any:
        advance = stage(self, name, total, unit)

        def tell(done: int, of: int, *note: str) -> None:
            advance(done, of, *note)
            if name == "iterating" and done == 2:
                os.kill(os.getpid(), signal.SIGINT)

        return tell

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "stage", watched)
        stopped = sinograd(*run)
    assert stopped.exit_code == 130 and "--resume goes on from there" in stopped.stderr
    assert (tmp_path / "v.h5.partial.h5").exists() and not (tmp_path / "v.h5").exists()
    saved = read_volume(tmp_path / "v.h5.partial.h5")
    image, record = saved.values, saved.provenance
    result = sinograd(*run, "--resume")
    assert result.exit_code == 0 and "CGLS, 6 iterations" in result.stdout
    assert not (tmp_path / "v.h5.partial.h5").exists()
    scan = read(scan_file)
    assert scan.grid is not None
    operator = XRayTransform(scan.geometry, scan.grid)
    expected = cgls(operator, scan.load(), start=image, iterations=6 - record["done"]).image
    torch.testing.assert_close(read_volume(tmp_path / "v.h5").values, expected, rtol=0, atol=0)
