"""`fourier_fbp`: filtered backprojection of parallel beams by non-uniform fast Fourier transforms.

The filtered rows of a slice, as trigonometric polynomials, are its Fourier transform on lines through the origin (the
projection-slice theorem; F. Natterer, "The Mathematics of Computerized Tomography", 1986, chapter V.2). The image is
their sum at the pixels, which FINUFFT computes to a tolerance in a time that grows as N^2 log N for N^2 pixels and N
views, instead of N^3 (A. H. Barnett, J. Magland, L. af Klinteberg, "A parallel nonuniform fast Fourier transform
library based on an exponential of semicircle kernel", SIAM J. Sci. Comput. 41(5), 2019).
"""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError, MissingPackageError, UnsupportedError
from sinograd.geometry import Grid, ParallelBeam, checks
from sinograd.geometry import vectors as surface
from sinograd.ops.arguments import autocast
from sinograd.ops.derivatives import linear, transformed, untransformed
from sinograd.recon.analytic.fbp import check_fbp
from sinograd.recon.analytic.filtered_backprojection import FilteredBackprojection
from sinograd.recon.analytic.ramp import fast_length, on_circle

INTERPOLATIONS = ("linear", "trigonometric")
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10}
LEAST_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-13}  # rounding makes more of less

# Groups of views whose sums are added in their order, by as many threads: bits depend on how many there are, and each
# takes transforms of its own (2048^2 pixels: a fifth of the time).
GROUPS = 2
# The finer grid of FINUFFT, in its pixels for each of ours: the smaller takes half of the time.
_SMALL_GRID, _LARGE_GRID, _SMALL_GRID_TO = 1.25, 2.0, 1e-4  # to this tolerance
_TOGETHER = 4  # images that are transformed at a time
_ROUNDING = 1e-9  # columns
_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


def fourier_fbp(
    projections: Tensor,
    geometry: ParallelBeam,
    grid: Grid | None = None,
    *,
    window: str = "ram-lak",
    cutoff: float = 1.0,
    interpolation: str = "linear",
    tolerance: float | None = None,
) -> Tensor:
    """Reconstructs a slice from parallel-beam projections, as `fbp`, in a time that grows as N^2 log N.

    Beside the detector's field of view pixels hold tails of the filter, of either side; `fbp` takes zero there. Needs
    the extra `fourier`. On the CPU. Derivatives of any order follow the projections, none the geometry. The same bits
    every time, on any number of threads. Memory: measured, 0.11 kB (float32) for each view and frequency, of which
    there are somewhat more than columns, up to 0.26 for four images and more; pixels far from the detector add
    frequencies.

    Args:
        projections: line integrals [..., views, columns], float32 or float64, on the CPU.
        geometry: a parallel beam of slices.
        grid: the pixels; `geometry.default_grid()` if not given.
        window, cutoff: as in `fbp`.
        interpolation: of rows between their columns. "linear": with the low pass of linear interpolation, sinc^2, so
            that images are as sharp as those of `fbp`; "trigonometric": by the polynomials alone, with sharper noise.
        tolerance: of the transforms, relative to the norm of the result; 1e-4 in float32 (at least 1e-5) and 1e-10 in
            float64 (1e-13).

    Returns:
        Attenuation in 1/mm, [..., Y, X].

    Raises:
        InputTypeError, InputError: another beam, a stack of slices, a tolerance out of reach, projections that do not
            fit or hold NaN, tensors on a GPU.
        UnsupportedError: a geometry that requires gradients.
        MissingPackageError: without FINUFFT.

    Warns:
        CoverageWarning: rays are missing; says which.
    """
    if not isinstance(geometry, ParallelBeam) or geometry.ndim != 2:
        what = f"one of {geometry.ndim} dimensions" if isinstance(geometry, ParallelBeam) else type(geometry).__name__
        raise InputTypeError(f"geometry: fourier_fbp takes a ParallelBeam of slices, got {what} (see fbp, fdk)")
    projections = autocast(projections)
    if geometry.followed_vectors is not None:
        raise UnsupportedError("geometry: fourier_fbp has no derivatives for it, expected one without (fbp has)")
    with untransformed():
        grid = check_fbp(geometry, grid)
        whole = FilteredBackprojection.of(geometry, grid, window=window, cutoff=cutoff)
    whole.check(projections)
    if projections.device.type != "cpu":
        raise InputError(f"projections: fourier_fbp runs on the CPU, got a tensor on {projections.device}")
    tolerance = TOLERANCE[projections.dtype] if tolerance is None else checks.positive(tolerance, "tolerance")
    least = LEAST_TOLERANCE[projections.dtype]
    if not least <= tolerance < 1:
        raise InputError(f"tolerance: expected from {least:g} ({projections.dtype}) to less than 1, got {tolerance:g}")
    if interpolation not in INTERPOLATIONS:
        raise InputError(f"interpolation: expected {' or '.join(INTERPOLATIONS)}, got {interpolation!r}")
    if projections.numel() == 0:
        return projections.new_zeros(whole.volume_shape(projections))
    finufft = _finufft()
    if not transformed(projections) and not bool(torch.isfinite(projections).all()):
        raise InputError("projections: expected finite values, got NaN or infinity")
    with untransformed():
        transform = _Transform.of(whole, projections.dtype, interpolation == "linear", tolerance, finufft.Plan)
    return linear(projections, transform.image, transform.projections)


def _finufft() -> Any:
    try:
        return importlib.import_module("finufft")
    except ImportError as error:
        raise MissingPackageError(
            "fourier_fbp needs FINUFFT: pip install 'sinograd[fourier]'", name="finufft"
        ) from error


@dataclass(frozen=True, eq=False)
class _Transform:
    """Projections to an image, and the adjoint.

    Attributes:
        weights: of the projections, [views or 1, columns].
        before: columns of zeros before each row.
        size: samples of a padded row.
        factors: of the spectra, [views, size / 2 + 1], complex.
        along: the angular frequencies along y and x, radians a pixel, each [views, size / 2 + 1].
        shape: of the image.
        plan: makes plans of FINUFFT, of (type, shape, images, direction).
    """

    weights: Tensor
    before: int
    size: int
    factors: Tensor
    along: tuple[np.ndarray, np.ndarray]
    shape: tuple[int, int]
    plan: Callable[[int, int, int], Any]

    @classmethod
    def of(
        cls, whole: FilteredBackprojection, dtype: torch.dtype, smooth: bool, tolerance: float, plan: Any
    ) -> _Transform:
        scan, grid = whole.scan, whole.grid
        first, steps = _columns_of_pixels(scan.vectors, scan.columns, grid)
        # pixels beside the detector must not meet the next period's data
        reach = abs(first - (scan.columns - 1) / 2) + sum(
            abs(steps[:, axis]) * (grid.shape[axis] // 2 + 1) for axis in (0, 1)
        )
        size = fast_length(max(2 * scan.columns, math.ceil(float(reach.max()) + scan.columns / 2)))
        taps = whole.taps.detach().double()
        reached = min(len(taps) // 2, (size - 1) // 2)  # offsets beyond half of the circle would meet
        response = torch.fft.rfft(on_circle(taps, reached, reached, size))
        if smooth:
            response = response * torch.from_numpy(np.sinc(np.arange(size // 2 + 1) / size) ** 2)
        bins = np.arange(size // 2 + 1) * (2 * math.pi / size)
        alike = float(np.ptp(first)) < _ROUNDING  # of orbits about the middle of the detector and the image
        turn = torch.from_numpy(bins * first[: 1 if alike else None, None])
        shape, kind = (grid.shape[0], grid.shape[1]), _COMPLEX[dtype]
        options: dict[str, Any] = {
            "eps": tolerance,
            "nthreads": 1,
            "dtype": str(kind).removeprefix("torch."),
            "upsampfac": _SMALL_GRID if tolerance >= _SMALL_GRID_TO else _LARGE_GRID,
        }
        return cls(
            (whole.weights.detach() * scan.rays.per_column).to(dtype),
            scan.padding[0],
            size,
            (response * torch.polar(torch.ones_like(turn), turn)).to(kind),
            (_folded(steps[:, 0], bins, dtype), _folded(steps[:, 1], bins, dtype)),
            shape,
            lambda kind, images, sign: plan(kind, shape, n_trans=images, isign=sign, **options),
        )

    def image(self, projections: Tensor) -> Tensor:
        """[..., views, columns] to [..., y, x]."""
        several = projections.reshape(-1, *projections.shape[-2:])
        image = projections.new_empty(len(several), *self.shape)
        for some in _portions(len(several)):
            rows = torch.nn.functional.pad(several[some] * self.weights, (self.before, 0))
            # by NumPy, as the bits of torch's complex products depend on the number of threads
            spectra = torch.fft.rfft(rows, n=self.size).numpy()
            spectra *= self.factors.numpy()
            spectra[..., 1 : (self.size + 1) // 2] *= 2  # the frequencies below 0 add the complex conjugate
            image[some] = torch.from_numpy(self._summed(spectra))
        return image.div_(self.size).reshape(*projections.shape[:-2], *self.shape)

    def projections(self, image: Tensor) -> Tensor:
        """The adjoint: [..., y, x] to [..., views, columns]."""
        several = image.reshape(-1, *self.shape)
        kind, columns = (np.complex64 if image.dtype == torch.float32 else np.complex128), self.weights.shape[-1]
        factors = self.factors.conj().resolve_conj().numpy()
        rows = image.new_empty(len(several), len(self.along[0]), columns)
        for some in _portions(len(several)):
            read = torch.from_numpy(self._read(several[some].numpy().astype(kind)) * factors)
            rows[some] = torch.fft.irfft(read, n=self.size)[..., self.before : self.before + columns] * self.weights
        return rows.reshape(*image.shape[:-2], *rows.shape[-2:])

    def _summed(self, spectra: np.ndarray) -> np.ndarray:
        """Of spectra [images, views, frequencies]: the real part of their sum at the pixels [images, y, x]."""

        def one(part: slice) -> np.ndarray:
            values = np.ascontiguousarray(spectra[:, part]).reshape(len(spectra), -1)
            return self._planned(1, len(spectra), 1, part).execute(values).reshape(-1, *self.shape).real

        first, *others = self._in_parallel(one)
        total = first.copy()
        for other in others:
            total += other
        return total

    def _read(self, images: np.ndarray) -> np.ndarray:
        """Of images [images, y, x]: their transform at the frequencies, [images, views, frequencies]."""

        def one(part: slice) -> np.ndarray:
            values = np.ascontiguousarray(images)
            found = self._planned(2, len(images), -1, part).execute(values if len(images) > 1 else values[0])
            return found.reshape(len(images), -1, self.along[0].shape[1])

        return np.concatenate(self._in_parallel(one), 1)

    def _planned(self, kind: int, images: int, sign: int, part: slice) -> Any:
        plan = self.plan(kind, images, sign)
        plan.setpts(*(np.ascontiguousarray(frequencies[part]).ravel() for frequencies in self.along))
        return plan

    def _in_parallel(self, one: Callable[[slice], np.ndarray]) -> list[np.ndarray]:
        """Of each group of views, in their order."""
        views = len(self.along[0])
        ends = [views * number // GROUPS for number in range(GROUPS + 1)]
        parts = [slice(first, end) for first, end in itertools.pairwise(ends) if end > first]
        with ThreadPoolExecutor(min(GROUPS, torch.get_num_threads())) as pool:
            return list(pool.map(one, parts))


def _portions(images: int) -> list[slice]:
    return [slice(first, first + _TOGETHER) for first in range(0, images, _TOGETHER)]


def _folded(steps: np.ndarray, bins: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """Steps [views] in columns times the frequencies, from -pi to pi: what is left of a turn counts at whole pixels."""
    product = steps[:, None] * bins
    if np.abs(product).max() > math.pi:
        product = np.mod(product + math.pi, 2 * math.pi) - math.pi
    return product.astype(np.float32 if dtype == torch.float32 else np.float64)


def _columns_of_pixels(vectors: Tensor, columns: int, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The column [views] of pixel (y // 2, x // 2), and by how much it grows a pixel along y and x, [views, 2]."""
    direction, center, step = (vectors[:, row, :2].numpy() for row in (surface.SOURCE, surface.CENTER, surface.U))
    across = np.stack([direction[:, 1], -direction[:, 0]], 1)  # at right angles to the rays
    across = across / (across * step).sum(1, keepdims=True)  # columns a mm, along x and y
    y, x = (float(places[n // 2]) for places, n in zip(grid.axes(), grid.shape, strict=True))
    first = (across * (np.array([x, y]) - center)).sum(1) + (columns - 1) / 2
    return first, across[:, ::-1] * np.array(grid.spacing)
