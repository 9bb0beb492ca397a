"""sinograd's `fourier_fbp` (FINUFFT), set beside its `fbp` as if it were a peer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from cases import Case

import sinograd as sg

from . import ours


def versions() -> dict[str, str]:
    """Versions."""
    import finufft

    return {**ours.versions(), "finufft": finufft.__version__}


def start(threads: int) -> None:
    """Sets the number of threads."""
    torch.set_num_threads(threads)


def prepare(case: Case, data: np.ndarray) -> Callable[[], tuple]:
    """The call on one contiguous tensor."""
    call = partial(sg.recon.fourier_fbp, torch.from_numpy(data), ours.geometry_of(case), ours.grid_of(case))
    return lambda: (call, lambda image: image.numpy())
