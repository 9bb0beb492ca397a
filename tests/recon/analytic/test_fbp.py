"""Filtered backprojection in two dimensions. Truth: the phantom, scikit-image, and each geometry for the others."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import skimage.transform
import torch
from torch import Tensor

import sinograd as sg
from recon.accuracy import CIRCLE, OBJECT
from sinograd.phantoms import shepp_logan_2d

GRID = sg.Grid((256, 256), 1.0)
PHANTOM = shepp_logan_2d(115.0)
TRUTH = PHANTOM.voxelize(GRID, supersampling=4)
RADIUS = torch.hypot(*torch.meshgrid(*GRID.axes(), indexing="ij"))
OPEN = dict(dtype=torch.float64)


def rmse(image: Tensor) -> float:
    return (image - TRUTH)[RADIUS < 120].double().square().mean().sqrt().item()


def ratio(image: Tensor, radius: float = 120.0) -> float:
    return (image[radius > RADIUS].mean() / TRUTH[radius > RADIUS].mean()).item()


def parallel(angles: Tensor, offset: float = 0.0) -> sg.ParallelBeam:
    return sg.ParallelBeam(angles, sg.FlatDetector(257, 1.0, offset=offset))


def fan(angles: Tensor, curved: bool = False, offset: float = 0.0) -> sg.FanBeam:
    kind = sg.CurvedDetector if curved else sg.FlatDetector
    return sg.FanBeam.circular(**CIRCLE, angles=angles, detector=kind(256, 1.6, offset=offset))


@cache
def reconstruct(geometry: sg.ParallelBeam | sg.FanBeam) -> Tensor:
    return sg.fbp(PHANTOM.project(geometry), geometry, GRID)


PARALLEL = {
    "half a turn": parallel(sg.full_scan(720)[:360]),
    "half a turn, inclusive": parallel(torch.linspace(0, math.pi, 361, **OPEN)),
    "half a turn, backwards": parallel(1.0 - torch.linspace(0, math.pi, 361, **OPEN)),
    "full turn": parallel(sg.full_scan(720)),
    "full turn, inclusive": parallel(torch.linspace(0, 2 * math.pi, 721, **OPEN)),
    "270 degrees": parallel(torch.linspace(0, 1.5 * math.pi, 541, **OPEN)),
    "half the detector": parallel(sg.full_scan(720), offset=80.0),
    "half the detector, other side": parallel(sg.full_scan(720), offset=-80.0),
}


@pytest.mark.parametrize("name", PARALLEL)
def test_parallel_beam(name: str) -> None:
    image = reconstruct(PARALLEL[name])
    assert abs(ratio(image) - 1) < 0.002
    assert abs(ratio(image, 20.0) - 1) < 0.005
    assert rmse(image) < 1.02 * rmse(reconstruct(PARALLEL["half a turn"]))


def test_parallel_beam_is_as_good_as_scikit_image() -> None:
    """The same filter and interpolation; iradon draws +y upwards and counts in pixels."""
    geometry = PARALLEL["half a turn"]
    sinogram = PHANTOM.project(geometry)
    degrees = np.arange(360) / 2
    # iradon's middle is the pixel n // 2 of an odd number, which is ours
    grid = sg.Grid((257, 257), 1.0)
    theirs = skimage.transform.iradon(sinogram.numpy().T.astype(np.float64), degrees, circle=True)[::-1].copy()
    ours = sg.fbp(sinogram, geometry, grid)
    truth = PHANTOM.voxelize(grid, supersampling=4)
    inside = torch.hypot(*torch.meshgrid(*grid.axes(), indexing="ij")) < 120

    def error(image: Tensor) -> float:
        return (image - truth)[inside].double().square().mean().sqrt().item()

    assert error(ours) <= 1.001 * error(torch.from_numpy(theirs))
    assert (ours - torch.from_numpy(theirs))[inside].abs().max() < 1e-3


FANS = {
    "full": fan(sg.full_scan(360)),
    "curved": fan(sg.full_scan(360), curved=True),
    "half fan": fan(sg.full_scan(360), offset=120.0),
    "half fan, other side": fan(sg.full_scan(360), offset=-120.0),
    "half fan, curved": fan(sg.full_scan(360), curved=True, offset=120.0),
    "inclusive": fan(torch.linspace(0, 2 * math.pi, 361, **OPEN)),
    "short": sg.FanBeam.short_scan(**CIRCLE, views=210, detector=sg.FlatDetector(256, 1.6), start=1.0),
    "short, curved": sg.FanBeam.short_scan(**CIRCLE, views=210, detector=sg.CurvedDetector(256, 1.6)),
    "short, backwards": fan(2.0 - torch.linspace(0, math.radians(196), 210, **OPEN)),
    "300 degrees": fan(torch.linspace(0, math.radians(300), 301, **OPEN)),
    "axis offset": sg.FanBeam.circular(
        **CIRCLE, angles=sg.full_scan(360), detector=sg.FlatDetector(256, 1.6), axis_offset=9.3
    ),
    "source offset": sg.FanBeam.circular(
        **CIRCLE, angles=sg.full_scan(360), detector=sg.FlatDetector(256, 1.6), source_offset=-14.0
    ),
    "a gap seen from the other side": fan(sg.full_scan(360)[40:]),
}


@pytest.mark.parametrize("name", FANS)
def test_fan_beam(name: str) -> None:
    image = reconstruct(FANS[name])
    assert abs(ratio(image) - 1) < 0.002
    assert abs(ratio(image, 20.0) - 1) < 0.005
    # a flat detector that lies askew of the middle samples a little more finely there
    assert rmse(image) < 1.04 * rmse(reconstruct(FANS["full"]))


def test_windows_trade_noise_for_sharpness() -> None:
    geometry = fan(sg.full_scan(360))
    clean = PHANTOM.project(geometry)
    noisy = clean + torch.randn_like(clean)
    spread, sharpness = [], []
    for window in ("ram-lak", "shepp-logan", "cosine", "hamming", "hann"):
        image = sg.fbp(clean, geometry, GRID, window=window)
        assert abs(ratio(image) - 1) < 0.003
        spread.append((sg.fbp(noisy, geometry, GRID, window=window) - image).std().item())
        sharpness.append(rmse(image))
    assert spread == sorted(spread, reverse=True)
    assert sharpness == sorted(sharpness)
    cut = sg.fbp(clean, geometry, GRID, cutoff=0.5)
    assert rmse(cut) > 1.5 * sharpness[0]


def test_oblique_parallel_detectors() -> None:
    """Rays that meet the detector at an angle lie closer together than its columns."""
    straight = parallel(sg.full_scan(360))
    direction, centre, u = (straight.vectors[:, i, :2] for i in (0, 1, 2))
    turn = 0.5
    slanted = math.cos(turn) * u + math.sin(turn) * direction
    geometry = sg.ParallelBeam.from_vectors(
        directions=direction, centers=centre, u=slanted, detector=sg.FlatDetector(257, 1.0)
    )
    image = sg.fbp(PHANTOM.project(geometry), geometry, GRID)
    assert abs((image[RADIUS < 60].mean() / TRUTH[RADIUS < 60].mean()) - 1) < 0.004
    assert (image - TRUTH)[RADIUS < 60].square().mean().sqrt() < rmse(reconstruct(straight))


def test_a_parallel_volume_is_a_stack_of_slices() -> None:
    angles = sg.full_scan(90)[:45]
    volume = sg.ParallelBeam(angles, sg.FlatDetector((6, 129), 2.0))
    slices = sg.ParallelBeam(angles, sg.FlatDetector(129, 2.0))
    grid = sg.Grid((6, 64, 64), (2.0, 3.5, 3.5))
    projections = OBJECT.project(volume)
    stacked = torch.stack([sg.fbp(projections[:, k], slices, sg.Grid((64, 64), 3.5)) for k in range(6)])
    assert torch.allclose(sg.fbp(projections, volume, grid), stacked, atol=1e-5)


def test_default_grid() -> None:
    geometry = fan(sg.full_scan(30))
    assert sg.fbp(torch.rand(30, 256), geometry).shape == geometry.default_grid().shape
