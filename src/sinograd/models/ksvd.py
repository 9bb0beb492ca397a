"""K-SVD: each patch as few atoms of a dictionary that is learnt from the noisy image itself.

M. Elad, M. Aharon, "Image denoising via sparse and redundant representations over learned dictionaries", IEEE
Transactions on Image Processing 15(12), 3736-3745, 2006; M. Aharon, M. Elad, A. Bruckstein, IEEE Transactions on Signal
Processing 54(11), 4311-4322, 2006. All overlapping patches 8 x 8 without their means; 256 atoms, at first an
overcomplete cosine transform; ten times orthogonal matching pursuit until the residual is at most 8 x 1.15 sigma, then
each atom and its coefficients replaced by the best rank-one fit. The image is (lambda y + sum of the patches) /
(lambda + their number) at each pixel, lambda = 30 / sigma for values from 0 to 255.

scikit-learn's dictionary learning minimises an l1 penalty online and has neither the stopping rule nor the atom-wise
update, so that this is written here. The dictionary is learnt from at most 10,000 patches, evenly spaced.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from sinograd.errors import InputError
from sinograd.models.classical import check_dimensions, with_numpy

Array = NDArray[np.float64]

_WIDTH = 8
_GAIN = 1.15
_MOST_ATOMS = 32  # of a patch
_AT_ONCE = 20_000  # patches that are coded at a time


def ksvd(
    volume: Tensor, *, sigma: float, atoms: int = 256, iterations: int = 10, training_patches: int = 10_000
) -> Tensor:
    """K-SVD of each slice of [..., Y, X]; sigma: standard deviation of the noise, in the volume's unit.

    Args:
        volume: slices of at least 8 x 8 pixels, float32 or float64.
        sigma: the noise.
        atoms: of the dictionary, a square number of at least 64.
        iterations: of its learning; 0 leaves it at the cosines.
        training_patches: at most so many patches of a slice teach the dictionary.

    Raises:
        InputError: other shapes, numbers that cannot be. InputTypeError: another dtype.
    """
    check_dimensions(volume, 2)
    if min(volume.shape[-2:]) < _WIDTH:
        raise InputError(f"volume: expected slices of at least 8 x 8 pixels, got {list(volume.shape[-2:])}")
    if not 0 < sigma < math.inf:
        raise InputError(f"sigma: expected a positive, finite standard deviation, got {sigma}")
    if atoms < _WIDTH**2 or math.isqrt(atoms) ** 2 != atoms:
        raise InputError(f"atoms: expected a square number of at least 64, got {atoms}")
    if iterations < 0 or training_patches < 1:
        got = f"{iterations} and {training_patches}"
        raise InputError(f"iterations, training_patches: expected at least 0 and 1, got {got}")

    def slices(array: np.ndarray) -> np.ndarray:
        flat = array.reshape(-1, *array.shape[-2:]).astype(np.float64)
        plan = (sigma, cosines(atoms), iterations, training_patches)
        return np.stack([_image(image, *plan) for image in flat]).reshape(array.shape).astype(array.dtype)

    return with_numpy(slices, volume)


def _image(image: Array, sigma: float, dictionary: Array, iterations: int, training_patches: int) -> Array:
    windows = sliding_window_view(image, (_WIDTH, _WIDTH))
    places = windows.shape[:2]
    patches = windows.reshape(-1, _WIDTH**2)
    means = patches.mean(1, keepdims=True)
    patches = patches - means
    error = _WIDTH * _GAIN * sigma
    chosen = patches[:: max(1, math.ceil(len(patches) / training_patches))]
    dictionary = learnt(chosen, dictionary, error, iterations)
    total, count = np.zeros_like(image), np.zeros_like(image)
    for start in range(0, len(patches), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        coefficients = sparse_codes(patches[part], dictionary, error)
        clean = coefficients @ dictionary.T + means[part]
        rows, columns = np.divmod(np.arange(start, start + len(clean)), places[1])
        for i in range(_WIDTH**2):
            np.add.at(total, (rows + i // _WIDTH, columns + i % _WIDTH), clean[:, i])
            np.add.at(count, (rows + i // _WIDTH, columns + i % _WIDTH), 1.0)
    trust = 30 / 255 * float(np.ptp(image)) / sigma
    return (trust * image + total) / (trust + count)


def cosines(atoms: int) -> Array:
    """An overcomplete cosine transform of 8 x 8 patches, [64, atoms]: columns of norm 1, of mean 0 but the first."""
    count = math.isqrt(atoms)
    waves = np.cos(np.outer(np.arange(_WIDTH), np.arange(count)) * math.pi / count)
    waves[:, 1:] -= waves[:, 1:].mean(0)
    waves /= np.linalg.norm(waves, axis=0)
    return np.kron(waves, waves)


def learnt(patches: Array, dictionary: Array, error: float, iterations: int) -> Array:
    """The dictionary [length, atoms] after so many rounds of coding patches [count, length] and refitting atoms.

    An atom that no patch uses becomes the patch that is represented worst.
    """
    dictionary = dictionary.copy()
    for _ in range(iterations):
        codes = sparse_codes(patches, dictionary, error)
        residuals = patches - codes @ dictionary.T
        for atom in range(dictionary.shape[1]):
            users = np.flatnonzero(codes[:, atom])
            if not len(users):
                worst = patches[np.argmax((residuals**2).sum(1))]
                norm = np.linalg.norm(worst)
                if norm > error:
                    dictionary[:, atom] = worst / norm
                continue
            own = residuals[users] + np.outer(codes[users, atom], dictionary[:, atom])
            _, vectors = np.linalg.eigh(own.T @ own)
            fitted = vectors[:, -1] * (1.0 if vectors[:, -1] @ dictionary[:, atom] >= 0 else -1.0)
            dictionary[:, atom] = fitted
            codes[users, atom] = own @ fitted
            residuals[users] = own - np.outer(codes[users, atom], fitted)
    return dictionary


def sparse_codes(patches: Array, dictionary: Array, error: float) -> Array:
    """Orthogonal matching pursuit, [count, atoms]: atoms one by one until each residual's norm is at most `error`."""
    codes = np.zeros((len(patches), dictionary.shape[1]))
    gram, products = dictionary.T @ dictionary, patches @ dictionary
    active = np.flatnonzero((patches**2).sum(1) > error**2)
    chosen = np.zeros((len(active), 0), dtype=np.int64)
    correlations = products[active]
    for _ in range(_MOST_ATOMS):
        if not len(active):
            break
        chosen = np.concatenate([chosen, np.abs(correlations).argmax(1)[:, None]], 1)
        of_chosen = gram[chosen[:, :, None], chosen[:, None, :]]
        wanted = np.take_along_axis(products[active], chosen, 1)
        ridge = 1e-12 * np.eye(chosen.shape[1])
        values = np.linalg.solve(of_chosen + ridge, wanted[:, :, None])[:, :, 0]
        residuals = patches[active] - np.einsum("nk,nkl->nl", values, dictionary.T[chosen])
        codes[active] = 0
        codes[active[:, None], chosen] = values
        left = (residuals**2).sum(1) > error**2
        active, chosen, correlations = active[left], chosen[left], (residuals @ dictionary)[left]
    return codes
