"""scikit-image, one thread: `iradon` of a parallel beam, and `denoise_bilateral` of an image.

Reconstructed images have row 0 at +y, lengths are pixels, and everything outside the inscribed circle is zero.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import skimage
from cases import SIGMA_RANGE, SIGMA_SPATIAL, Case
from skimage.restoration import denoise_bilateral
from skimage.transform import iradon


def versions() -> dict[str, str]:
    """Versions."""
    return {"scikit-image": skimage.__version__, "numpy": np.__version__}


def start(threads: int) -> None:
    """Both have one thread whatever is asked for."""


def prepare(case: Case, data: np.ndarray) -> Callable[[], tuple]:
    """`iradon` with the ramp filter, the division by the pixel size not timed; or the bilateral filter."""
    if case.window:
        sigmas = {"sigma_color": SIGMA_RANGE, "sigma_spatial": SIGMA_SPATIAL}
        return lambda: (partial(denoise_bilateral, data, win_size=case.window, **sigmas), lambda image: image)
    sinogram, theta = np.ascontiguousarray(data.T), np.rad2deg(case.angles)

    def call() -> np.ndarray:
        return iradon(sinogram, theta=theta, filter_name="ramp", interpolation="linear", circle=True)

    return lambda: (call, lambda image: image[::-1] / np.float32(case.pixel))
