"""Small problems: explicit matrices, and a fan-beam scan of a phantom from few views."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

import sinograd as sg
from sinograd.ops import FunctionOperator


def matrix(rows: int = 30, columns: int = 12, *, signs: bool = True) -> Tensor:
    """Random, well conditioned, the same in every test; without signs not negative."""
    generator = torch.Generator().manual_seed(7)
    drawn = torch.rand(rows, columns, generator=generator, dtype=torch.float64)
    return 2 * drawn - 1 if signs else drawn


def as_operator(m: Tensor) -> FunctionOperator:
    return FunctionOperator(
        lambda x: m.to(x) @ x,
        lambda y: m.to(y).T @ y,
        (m.shape[1],),
        (m.shape[0],),
        subset=lambda views: as_operator(m[views]),
    )


class Bare:
    """An operator that tells nothing but A(x) and A.T(y), and counts how often."""

    def __init__(self, m: Tensor, adjoint: Tensor | None = None) -> None:
        self.m, self.adjoint = m, m.T if adjoint is None else adjoint
        self.forward_calls = self.adjoint_calls = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.forward_calls += 1
        return self.m @ x

    @property
    def T(self):
        def back(y: Tensor) -> Tensor:
            self.adjoint_calls += 1
            return self.adjoint @ y

        return back


@dataclass(frozen=True)
class FewViews:
    """A fan-beam scan of Shepp-Logan's phantom, 64^2 pixels, exact line integrals."""

    operator: sg.XRayTransform
    projections: Tensor
    truth: Tensor

    def error(self, image: Tensor) -> float:
        """RMSE."""
        return (image - self.truth).double().square().mean().sqrt().item()


@cache
def few_views(views: int = 30, photons: float = 0.0) -> FewViews:
    grid = sg.Grid((64, 64), 2.0)
    geometry = sg.FanBeam.circular(
        source_to_origin=300,
        source_to_detector=450,
        angles=sg.full_scan(views),
        detector=sg.FlatDetector(72, 3.0),
    )
    phantom = sg.shepp_logan_2d(radius=56, value=0.02)
    projections = phantom.project(geometry)
    if photons:
        projections = sg.add_photon_noise(projections, photons, generator=torch.Generator().manual_seed(0))
    return FewViews(sg.XRayTransform(geometry, grid), projections, phantom.voxelize(grid, supersampling=4))
