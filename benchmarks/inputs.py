"""Inputs and truths of the cases: a Shepp-Logan phantom of radius 115 mm, its voxels and its exact projections."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from cases import NOISE, Case
from libraries.ours import geometry_of, grid_of

from sinograd.phantoms import shepp_logan_3d

PHANTOM = shepp_logan_3d(radius=115.0)  # attenuation 0 to 1 per mm


class Inputs:
    """Arrays of the cases as .npy files in a folder, made when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._paths: dict[object, Path] = {}

    def path(self, case: Case) -> Path:
        """The file that the case's work starts from."""
        if case.window:
            return self._noisy(case)
        return self._volume(case) if case.reads_volume else self._projections(case)

    def truth(self, case: Case) -> np.ndarray:
        """The phantom on the case's voxels: the mean over 2 points an axis (4 in 2-D) of each."""
        return np.load(self._volume(case))

    def exact(self, case: Case) -> np.ndarray:
        """Exact line integrals through the phantom, float32."""
        return np.load(self._projections(case))

    def pixel_means(self, case: Case) -> tuple[int, np.ndarray]:
        """Line integrals averaged over 4 x 4 points of each pixel, for every n-th view: n and the array."""
        step, fine = math.gcd(case.views, 12), 4
        points = replace(
            case,
            views=case.views // step,
            columns=fine * case.columns,
            rows=fine * case.rows,
            pixel=case.pixel / fine,
        )
        views, rows, columns = points.projection_shape
        exact = self.exact(points).reshape(views, rows // fine, fine, columns // fine, fine)
        return step, exact.mean(axis=(2, 4), dtype=np.float64)

    def _volume(self, case: Case) -> Path:
        key = (case.volume_shape, case.spacing)
        if key not in self._paths:
            samples = 2 if case.rows else 4
            self._keep(key, PHANTOM.voxelize(grid_of(case), supersampling=samples).numpy())
        return self._paths[key]

    def _noisy(self, case: Case) -> Path:
        key = ("noisy", case.volume_shape)
        if key not in self._paths:
            volume = self.truth(case)
            noise = np.random.default_rng(0).normal(scale=NOISE, size=volume.shape)
            self._keep(key, (volume + noise).astype(np.float32))
        return self._paths[key]

    def _projections(self, case: Case) -> Path:
        key = replace(case, name="", work="", weighting="")
        if key not in self._paths:
            self._keep(key, PHANTOM.project(geometry_of(case)).numpy())
        return self._paths[key]

    def _keep(self, key: object, array: np.ndarray) -> None:
        self._paths[key] = self.folder / f"{len(self._paths)}.npy"
        np.save(self._paths[key], array)
