"""Gaussian random fields made of plane waves: known at every point, and fast on grids, whose waves are products."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.geometry import Grid
from sinograd.phantoms.packing import normal, uniform


@dataclass(frozen=True, eq=False)
class RandomField:
    """sqrt(2 / n) times the sum of n waves cos(k . p + phase): mean 0, variance 1, nearly Gaussian.

    Attributes:
        wave_vectors: [n, 3] (x, y, z), 1/mm.
        phases: [n], radians.
    """

    wave_vectors: Tensor
    phases: Tensor

    @classmethod
    def drawn(cls, waves: int, wavelength: float, elongation: float, generator: torch.Generator) -> RandomField:
        """Waves of every direction, 0.8 to 1.2 times the mean frequency, stretched along z.

        Args:
            waves: how many.
            wavelength: mm, across z.
            elongation: how many times as long it is along z.
            generator: to draw from.
        """
        direction = normal((waves, 3), generator)
        direction = direction / torch.linalg.vector_norm(direction, dim=1, keepdim=True)
        frequency = 2 * math.pi / wavelength * uniform((waves, 1), 0.8, 1.2, generator)
        stretch = torch.tensor([1.0, 1.0, elongation], dtype=torch.float64, device="cpu")
        return cls(frequency * direction / stretch, uniform(waves, 0.0, 2 * math.pi, generator))

    def scaled(self, factor: float) -> RandomField:
        """The field made `factor` times larger about the origin."""
        return RandomField(self.wave_vectors / factor, self.phases)

    def at(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Values [m] and gradients [m, 3] at points [m, 3] (x, y, z), mm; float64."""
        angles = points @ self.wave_vectors.T + self.phases
        scale = math.sqrt(2 / len(self.phases))
        return scale * angles.cos().sum(1), -scale * angles.sin() @ self.wave_vectors

    def slices(self, grid: Grid, part: slice, *, gradient: bool) -> tuple[Tensor, Tensor | None]:
        """Values [z, y, x] and, if wanted, the gradient's length at the voxel centres of slices `part`; float32."""
        z, y, x = grid.axes()
        kx, ky, kz = self.wave_vectors.T
        of_x, of_y = torch.outer(x, kx), torch.outer(y, ky)
        right = torch.cat([of_x.cos(), -of_x.sin()], dim=1).T.float().contiguous()
        weights = [torch.ones_like(kx)] + ([1j * k for k in (kx, ky, kz)] if gradient else [])
        left_y = torch.polar(torch.ones_like(of_y), of_y)
        values, lengths = [], []
        for height in z[part].tolist():
            start = torch.polar(torch.full_like(kz, math.sqrt(2 / len(kz))), height * kz + self.phases)
            left = torch.cat([left_y * (start * weight) for weight in weights])
            planes = (torch.cat([left.real, left.imag], dim=1).float() @ right).unflatten(0, (len(weights), len(y)))
            values.append(planes[0])
            if gradient:
                lengths.append((planes[1].square() + planes[2].square() + planes[3].square()).sqrt_())
        return torch.stack(values), torch.stack(lengths) if gradient else None
