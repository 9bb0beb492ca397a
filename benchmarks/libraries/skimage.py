"""scikit-image: `iradon` of a parallel beam, one thread.

Its images have row 0 at +y, lengths are pixels, and everything outside the inscribed circle is zero.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skimage
from cases import Case
from skimage.transform import iradon


def versions() -> dict[str, str]:
    """Versions."""
    return {"scikit-image": skimage.__version__, "numpy": np.__version__}


def start(threads: int) -> None:
    """`iradon` has one thread whatever is asked for."""


def prepare(case: Case, data: np.ndarray) -> Callable[[], tuple]:
    """`iradon` with the ramp filter; the division by the pixel size is not timed."""
    sinogram, theta = np.ascontiguousarray(data.T), np.rad2deg(case.angles)

    def call() -> np.ndarray:
        return iradon(sinogram, theta=theta, filter_name="ramp", interpolation="linear", circle=True)

    return lambda: (call, lambda image: image[::-1] / np.float32(case.pixel))
