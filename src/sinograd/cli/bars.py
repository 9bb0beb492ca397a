"""Histograms as one line of a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

_BLOCKS, _PLAIN = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588", " .:-=+*#%"


def bars(counts: Sequence[int] | np.ndarray) -> str:
    """A bar for each count, as high as its square root, so that rare values show; no bar where there is none.

    In ASCII where the terminal's encoding has no blocks.
    """
    heights = np.sqrt(np.asarray(counts, np.float64))
    signs = _BLOCKS if _can_print(_BLOCKS) else _PLAIN
    most = heights.max(initial=0.0)
    steps = np.ceil(heights / (most or 1.0) * (len(signs) - 1)).astype(int)
    return "|" + "".join(signs[step] for step in steps) + "|"


def _can_print(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
