"""Pixels that do not read as the others: dead, stuck and non-linear ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry.checks import number


@dataclass(frozen=True)
class FaultyPixels:
    """Which pixels of a detector are faulty, and how.

    Attributes:
        dead: read nothing; bool [rows, columns], or [columns] of a line.
        stuck: read full scale whatever they receive; likewise.
        curvature: of a response s (1 + c s) to a signal s over full scale, likewise; 0: linear.
    """

    dead: Tensor
    stuck: Tensor
    curvature: Tensor

    @classmethod
    def draw(
        cls,
        shape: tuple[int, ...],
        *,
        dead: float = 0.0,
        stuck: float = 0.0,
        nonlinear: float = 0.0,
        curvature: float = 0.05,
        seed: int = 0,
    ) -> FaultyPixels:
        """Faults at random places.

        Args:
            shape: of the detector, (rows, columns) or (columns,).
            dead, stuck, nonlinear: the share of pixels of each kind; together at most 1.
            curvature: standard deviation of the non-linear pixels' curvature about 0.

        Raises:
            ValueError: shares that are negative or add up to more than 1.
        """
        shares = {"dead": dead, "stuck": stuck, "nonlinear": nonlinear}
        for name, share in shares.items():
            if not 0 <= number(share, name) <= 1:
                raise InputError(f"{name}: expected a share from 0 to 1, got {share:g}")
        if sum(shares.values()) > 1:
            raise InputError(
                f"dead, stuck, nonlinear: expected shares of at most 1 together, got {sum(shares.values())}"
            )
        generator = torch.Generator().manual_seed(seed)
        place = torch.rand(shape, generator=generator, dtype=torch.float64)
        bend = torch.randn(shape, generator=generator, dtype=torch.float64) * number(curvature, "curvature")
        bent = (place >= dead + stuck) & (place < dead + stuck + nonlinear)
        return cls(place < dead, (place >= dead) & (place < dead + stuck), torch.where(bent, bend, 0.0))

    @property
    def mask(self) -> Tensor:
        """All that are faulty."""
        return self.dead | self.stuck | (self.curvature != 0)

    def read(self, counts: Tensor, full_scale: float) -> Tensor:
        """What the detector reads instead of counts [..., rows, columns] (likewise flats and darks).

        Args:
            full_scale: counts at which a pixel saturates.

        Raises:
            TypeError, ValueError: no tensor of numbers, another detector, full scale not positive.
        """
        if not isinstance(counts, Tensor) or not counts.is_floating_point():
            raise InputTypeError(f"counts: expected a tensor of floating-point numbers, got {type(counts).__name__}")
        if tuple(counts.shape[-self.dead.ndim :]) != tuple(self.dead.shape):
            raise InputError(f"counts: expected [..., *{list(self.dead.shape)}], got {list(counts.shape)}")
        if not number(full_scale, "full_scale") > 0:
            raise InputError(f"full_scale must be positive, got {full_scale:g}")
        bend = self.curvature.to(counts)
        read = (counts * (1 + bend * counts / full_scale)).clamp(max=full_scale)
        read = torch.where(self.dead.to(counts.device), torch.zeros_like(read), read)
        return torch.where(self.stuck.to(counts.device), torch.full_like(read, full_scale), read)
