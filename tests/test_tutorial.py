"""The tutorial: its commands print what stands on the page, and lead to the right volume."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import tutorial
from page_examples import examples

from sinograd.io import read_volume

MOST_COMMANDS = 3


def test_the_commands_print_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to times (`python docs/tutorial.py` writes the page); the object's three values come back within 1 %."""
    page = tutorial.PAGE.read_text(encoding="utf-8")
    assert sum(example.kind == "command" for example in examples(page)) == MOST_COMMANDS
    monkeypatch.chdir(tmp_path)
    outputs = tutorial.transcript(page)
    assert tutorial.filled(page, outputs) == page
    volume = read_volume(tmp_path / "centred.h5")
    truth = tutorial.OBJECT.voxelize(volume.grid)
    middle = torch.zeros_like(truth, dtype=torch.bool)
    middle[12:20] = True
    for value in (0.3, 0.5, 0.7):
        # Voxels three and more away from another value.
        other = ((truth - value).abs() > 1e-3).float()
        inside = torch.nn.functional.max_pool3d(other[None], 7, stride=1, padding=3)[0] == 0
        assert (inside & middle).sum() > 500
        assert volume.values[inside & middle].mean().item() == pytest.approx(value, rel=0.01)
