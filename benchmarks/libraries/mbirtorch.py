"""mbirtorch on the CPU. See mbir.py."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import mbirtorch
import numpy as np
import torch
from cases import Case

from . import mbir


def versions() -> dict[str, str]:
    """Versions."""
    return {"mbirtorch": version("mbirtorch"), "torch": torch.__version__}


def start(threads: int) -> None:
    """Sets the number of threads."""
    torch.set_num_threads(threads)


def prepare(case: Case, data: np.ndarray) -> Callable[[], tuple]:
    """FDK, its projector or that one's transpose."""
    model = mbirtorch.ConeBeamModel(*mbir.arguments(case))
    return mbir.prepare(model, model.recon_fdk, case, data)
