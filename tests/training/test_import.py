"""Without Lightning: what to install is said, in Python and on the command line."""

from __future__ import annotations

import sys

import pytest
import torch
from typer.testing import CliRunner

from sinograd.cli.app import app
from sinograd.training import Stack, TrainingData, train

WORDS = 'training needs lightning and tensorboard: pip install "sinograd[train]"'


@pytest.fixture(autouse=True)
def no_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    """None in sys.modules makes every import of that name fail."""
    for name in ("lightning", "tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)


def test_in_python() -> None:
    with pytest.raises(ImportError) as raised:
        train({}, TrainingData([Stack(torch.rand(3, 4, 5), torch.rand(3, 4, 5))]))
    assert str(raised.value) == WORDS


def test_on_the_command_line() -> None:
    result = CliRunner().invoke(app, ["train", "none.yaml", "-o", "nowhere"])
    assert (result.exit_code, result.stderr) == (2, f"sinograd: error: {WORDS}\n")
