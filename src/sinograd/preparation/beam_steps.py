"""Lag, scatter and phase in blocks of views: what preparation does with transmitted fractions before the logarithm."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import ConeBeam, Geometry, ParallelBeam
from sinograd.physics.lag import Lag, remove_lag
from sinograd.preparation.options import Preparation
from sinograd.preparation.phase import paganin
from sinograd.preparation.scatter import correct_scatter


class BeamSteps:
    """The steps of `Preparation.lag`, `scatter` and `phase`, for blocks in the order of the views.

    Raises:
        ValueError: a phase step of a scan whose pixels have no length, or that is neither a cone nor a parallel beam.
    """

    def __init__(self, options: Preparation, geometry: Geometry, unit: str, name: str) -> None:
        self.lag = Lag(options.lag[::2], options.lag[1::2]) if options.lag else None
        self.share, self.phase = options.scatter, options.phase
        self._state: Tensor | None = None
        self._geometry = geometry
        if self.phase and (geometry.ndim != 3 or not isinstance(geometry, ConeBeam | ParallelBeam)):
            raise InputError(
                f"{name}: phase: expected images of a cone or a parallel beam, got {type(geometry).__name__}"
            )
        if self.phase and unit != "mm":
            raise InputError(f"{name}: phase: the scan does not say how large its pixels are; `pixel_mm` states it")

    @property
    def wanted(self) -> bool:
        """Whether there is one of them."""
        return self.lag is not None or bool(self.share) or bool(self.phase)

    def before_repair_(self, block: Tensor) -> None:
        """Lag and scatter out of transmitted fractions [views, rows, columns], in place."""
        if self.lag is not None:
            signal, self._state = remove_lag(block, self.lag, self._state)
            block.copy_(signal)
        if self.share:
            block.copy_(correct_scatter(block, self.share))

    def logarithm_(self, block: Tensor) -> None:
        """Positive fractions to line integrals, in place."""
        if not self.phase:
            block.log_().neg_()
            return
        ratio, distance, energy = self.phase
        rows, columns = self._geometry.detector.spacing
        source = None
        if isinstance(self._geometry, ConeBeam):
            vectors = self._geometry.vectors[0]
            whole = float(torch.linalg.vector_norm(vectors[1] - vectors[0]))
            source = whole - distance
            if not source > 0:
                raise InputError(f"phase: expected a distance below {whole:g} mm, source to detector, got {distance:g}")
        options = {"pixel_mm": (rows, columns), "distance_mm": distance, "energy": energy, "delta_beta": ratio}
        block.copy_(paganin(block, source_mm=source, **options))
