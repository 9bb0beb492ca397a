"""mbirjax on the CPU; jax starts as many threads as there are cores. See mbir.py."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import mbirjax
import numpy as np
from cases import Case

from . import mbir


def versions() -> dict[str, str]:
    """Versions."""
    return {"mbirjax": version("mbirjax"), "jax": version("jax")}


def start(threads: int) -> None:
    """Threads are set by the environment."""


def prepare(case: Case, data: np.ndarray) -> Callable[[], tuple]:
    """FDK, its projector or that one's transpose."""
    model = mbirjax.ConeBeamModel(*mbir.arguments(case))
    return mbir.prepare(model, model.fdk_recon, case, data)
