"""What training needs to be imported and to be run."""

from __future__ import annotations

import subprocess
import sys

# None in sys.modules makes every import of that name fail.
WITHOUT_LIGHTNING = """
import sys
sys.modules["lightning"] = sys.modules["tensorboard"] = None

import torch, sinograd as sg
from sinograd.training import Stack, TrainingData, train
sg.BilateralFilter3d()(torch.rand(3, 4, 5))
try:
    train({}, TrainingData([Stack(torch.rand(3, 4, 5), torch.rand(3, 4, 5))]))
except ImportError as error:
    print(error)
print("matplotlib" in sys.modules)

from sinograd.cli import main
main()
"""


def test_without_lightning_it_says_what_to_install() -> None:
    """In Python and on the command line; layers and models need none of it."""
    command = [sys.executable, "-W", "error", "-c", WITHOUT_LIGHTNING, "train", "none.yaml", "-o", "nowhere"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    words = 'training needs lightning and tensorboard: pip install "sinograd[train]"'
    assert result.stdout.splitlines() == [words, "False"], result.stderr
    assert result.stderr.splitlines() == [f"sinograd: error: {words}"]
    assert result.returncode == 2
