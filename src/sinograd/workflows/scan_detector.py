"""A simulated scan in a scanner that is not ideal: from transmitted fractions to photons, and to line integrals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.physics import FaultyPixels, Starved, blur_detector, blur_focal_spot
from sinograd.physics.lag import with_lag
from sinograd.workflows.scan_effects import FULL_SCALE
from sinograd.workflows.scan_noise import FLOOR, derived_seed

MOST_HELD = 1e30
"""Photons of a pixel: blocks of views that wait for those before them are float32."""

if TYPE_CHECKING:
    from sinograd.geometry import Geometry
    from sinograd.workflows.scan_effects import ScanEffects
    from sinograd.workflows.scan_noise import BlockNoise, ScanNoise
    from sinograd.workflows.spectral import AnyPhantom


class ScanDetector:
    """Photons of some views, and line integrals of what is read; all of it in float64.

    In this order: the focal spot and scatter act on mean signals, photons are drawn, the detector spreads them, each
    view keeps a part of those before it, the electronics add noise, and pixels read what they make of that. Workers
    have copies; what is the same in all views follows from the seed.

    Args:
        effects: checked for the geometry.
        geometry: of the whole scan.
        noise: of the whole scan; without a dose nothing is drawn.
    """

    def __init__(self, effects: ScanEffects, geometry: Geometry, noise: ScanNoise) -> None:
        self.effects, self.noise = effects, noise
        open_beam = torch.as_tensor(noise.unattenuated, dtype=torch.float64)
        self._full = effects.full_scale
        shape = tuple(geometry.detector.shape)
        self._faulty: FaultyPixels | None = None
        if effects.detector_blur_mm is not None and open_beam.ndim:
            whole = open_beam.expand(1, *geometry.projection_shape[1:])
            open_beam = blur_detector(whole, geometry, effects.detector_blur_mm)[0]
        if effects.lag is not None and float(open_beam.max()) > MOST_HELD:
            raise InputError(f"`photons`: expected at most {MOST_HELD:g} with `lag`, got {float(open_beam.max()):g}")
        self._flat = open_beam
        if effects.faulty_pixels is not None:
            dead, stuck, nonlinear = effects.faulty_pixels
            seed = derived_seed(noise.seed, "faulty pixels")
            self._faulty = FaultyPixels.draw(shape, dead=dead, stuck=stuck, nonlinear=nonlinear, seed=seed)
            self._full = self._full or FULL_SCALE * float(open_beam.max())
            # Flats are taken where nothing saturates, and dead and stuck pixels are divided by the flat of the others.
            self._flat = open_beam * (1 + self._faulty.curvature * open_beam / self._full)
            if not bool((self._flat > 0).all()):
                raise InputError(
                    f"`full_scale`: non-linear pixels read nothing of {float(open_beam.max()):g} unattenuated photons "
                    f"where {self._full:g} is the full scale: expected a larger one"
                )
        self._held: Tensor | None = None

    def photons(self, phantom: AnyPhantom, geometry: Geometry, noise: BlockNoise) -> Tensor:
        """What pixels collect in some views, mean photons without a dose."""
        counts = phantom.collected(geometry, noise, Optics(self.effects, geometry))
        if self.effects.detector_blur_mm is not None:
            counts = blur_detector(counts, geometry, self.effects.detector_blur_mm)
        return counts

    def read(self, photons: Tensor, number: int) -> tuple[Tensor, Starved]:
        """Line integrals, float32; with lag blocks are to come in the order of the views."""
        counts, starved = photons.double(), Starved(FLOOR)
        if self.effects.lag is not None:
            counts, self._held = with_lag(counts, self.effects.lag, self._held)
        if self.noise.dose is not None:
            deviation = self.noise.exposure.electronic_noise
            if deviation:
                generator = torch.Generator().manual_seed(derived_seed(self.noise.seed, f"electronics/{number}"))
                counts = counts + deviation * torch.empty_like(counts).normal_(generator=generator)
            starved.counted((counts, counts))
        if self._faulty is not None and self._full is not None:
            counts = self._faulty.read(counts, self._full)
        elif self._full is not None:
            counts = counts.clamp(max=self._full)
        return -(counts.clamp(min=FLOOR) / self._flat).log().float(), starved


class Optics:
    """Blur of the focal spot, and scatter, in some views."""

    def __init__(self, effects: ScanEffects, geometry: Geometry) -> None:
        self._effects, self._geometry = effects, geometry

    def blurred(self, fractions: Tensor) -> Tensor:
        """Transmitted fractions, seen from all of the focal spot."""
        if self._effects.focal_spot_mm is None:
            return fractions
        return blur_focal_spot(fractions, self._geometry, self._effects.focal_spot_mm)

    def scattered(self, fractions: Tensor) -> Tensor | float:
        """What is read beside blurred fractions, over the open beam."""
        if self._effects.scatter is None:
            return 0.0
        images = fractions if fractions.ndim == 3 else fractions[:, None]
        rows, columns = (self._geometry.detector.spacing[0], self._geometry.detector.spacing[-1])
        return self._effects.scatter.scatter(images, (float(rows), float(columns))).reshape(fractions.shape)
