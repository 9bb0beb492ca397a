"""Katsevich's exact formula. Truth: analytic objects; the weighted method beside it; torch's own derivatives."""

from __future__ import annotations

import math
import re
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import sinograd as sg
from helical_scans import helix
from sinograd.errors import CoverageWarning, InputError

R, D = 200.0, 400.0
Panel = sg.FlatDetector | sg.CurvedDetector
GRID = sg.Grid((17, 56, 56), 1.5)


def panel(kind: str, rows: int = 66, columns: int = 128, spacing: tuple[float, float] = (1.0, 2.0)) -> Panel:
    """Half cone angle 4.7 degrees, fan angle 36 degrees."""
    return (sg.CurvedDetector if kind == "curved" else sg.FlatDetector)((rows, columns), spacing)


def scan(detector: Panel, pitch: float, views: int = 144, turns: float = 2.4, **more: Any) -> sg.ConeBeam:
    angles = torch.arange(round(views * turns), dtype=torch.float64) * (2 * math.pi / views)
    return sg.ConeBeam.helical(
        source_to_origin=R, source_to_detector=D, angles=angles, detector=detector, pitch=pitch, **more
    )


DISCS = sg.Ellipsoids([0.02] * 5, [[40.0, 40.0, 4.0]] * 5, [[0.0, 0.0, z] for z in (-24.0, -12.0, 0.0, 12.0, 24.0)])
LONG = sg.Ellipsoids(0.02, (40.0, 40.0, 4000.0))


def defrise_artefact(function: Any, geometry: sg.ConeBeam, grid: sg.Grid = GRID) -> float:
    """RMS in gaps and discs, two voxels and more from edges, of the difference to what the same function makes of
    an object that is even along z; as a share of the contrast."""
    discs, even = (function(thing.project(geometry), geometry, grid) for thing in (DISCS, LONG))
    z, y, x = torch.meshgrid(*grid.axes(), indexing="ij")
    distance = x.square() + y.square()
    inside = torch.zeros(grid.shape, dtype=torch.bool)
    for center, axes in zip(DISCS.center, DISCS.semi_axes, strict=True):
        inside |= distance / axes[0] ** 2 + ((z - center[2]) / axes[2]) ** 2 <= 1

    def core(mask: Tensor) -> Tensor:
        return -torch.nn.functional.max_pool3d(-mask[None].double(), 5, 1, 2)[0] > 0.5

    body = distance < 32.0**2
    body[:2] = body[-2:] = False
    disc, gap = core(inside) & body, core(~inside) & body
    assert disc.sum() > 500 and gap.sum() > 100
    errors = torch.cat([(discs - even)[disc], discs[gap]])
    return float(errors.square().mean().sqrt()) / 0.02


@pytest.mark.parametrize(("kind", "pitch"), [("curved", -44.0), pytest.param("flat", 40.0, marks=pytest.mark.slow)])
def test_no_cone_artefacts_in_discs(kind: str, pitch: float) -> None:
    geometry = scan(panel(kind), pitch)
    exact, weighted = (defrise_artefact(function, geometry) for function in (sg.katsevich, sg.helical_fbp))
    print(f"{kind}: exact {exact:.4f}, weighted {weighted:.4f} of the contrast")
    assert exact < weighted / 3


def relative(volume: Tensor, thing: sg.Ellipsoids, grid: sg.Grid) -> float:
    """Largest deviation from the object in regions of one value, two voxels from edges, as a share of 0.02."""
    truth = thing.voxelize(grid)[None].double()
    flat = torch.nn.functional.max_pool3d(truth, 5, 1, 2) == -torch.nn.functional.max_pool3d(-truth, 5, 1, 2)
    differences = (volume[None].double() - truth)[flat]
    return float(differences.abs().mean()) / 0.02


BALLS = sg.Ellipsoids([0.02, -0.01], [[40.0, 35.0, 30.0], [12.0, 12.0, 9.0]], [[0.0, 0.0, 0.0], [15.0, 5.0, 0.0]])


@pytest.mark.parametrize("kind", ["curved", "flat"])
def test_an_object_that_varies(kind: str) -> None:
    """And the same from views in the reverse order, columns the other way, rows downwards."""
    geometry, grid = scan(panel(kind), 40.0, views=120), sg.Grid((5, 40, 40), 2.0)
    projections = BALLS.project(geometry)
    volume = sg.katsevich(projections, geometry, grid)
    assert relative(volume, BALLS, grid) < 0.012
    if kind == "curved":
        return
    backwards = geometry[torch.arange(geometry.views - 1, -1, -1)]
    assert torch.allclose(sg.katsevich(projections.flip(0), backwards, grid), volume, atol=1e-6)
    source, centre, u, v = geometry.vectors.unbind(1)
    turned = sg.ConeBeam.from_vectors(sources=source, centers=centre, u=-u, v=-v, detector=panel(kind))
    assert torch.allclose(sg.katsevich(projections.flip(1, 2), turned, grid), volume, atol=1e-6)


def test_windows_smooth() -> None:
    geometry, grid = scan(panel("curved"), 40.0, views=60), sg.Grid((1, 40, 40), 2.0)
    noise = torch.randn(geometry.projection_shape, generator=torch.Generator().manual_seed(1))
    sharp, plain, smooth = (
        sg.katsevich(noise, geometry, grid, window=name, cutoff=cutoff)
        for name, cutoff in (("ram-lak", 1.0), ("ram-lak", 0.9999), ("hann", 1.0))
    )
    assert float((sharp - plain).norm() / sharp.norm()) < 0.02
    assert float(smooth.std()) < 0.5 * float(sharp.std())


@pytest.mark.parametrize("kind", ["curved", "flat"])
def test_gradients_of_any_order(kind: str) -> None:
    geometry = scan(panel(kind, 4, 6, (20.0, 40.0)), 40.0, views=12, turns=1.3)
    grid = sg.Grid((2, 3, 2), 20.0)
    projections = torch.rand(geometry.projection_shape, dtype=torch.float64, requires_grad=True)

    def run(p: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CoverageWarning)
            return sg.katsevich(p, geometry, grid)

    assert gradcheck(run, projections, fast_mode=True) and gradgradcheck(run, projections, fast_mode=True)
    batch = torch.stack([projections.detach(), 2 * projections.detach()])
    assert torch.allclose(run(batch)[1], 2 * run(projections.detach()))


def refused(geometry: sg.ConeBeam, *texts: str) -> None:
    with pytest.raises(InputError) as raised:
        sg.katsevich(torch.zeros(geometry.projection_shape), geometry, GRID)
    for text in ("Katsevich's formula needs", *texts):
        assert text in str(raised.value)


def test_a_detector_without_the_whole_window() -> None:
    """w = D P / (2 pi R) (pi / 2 + alpha) / cos(alpha) at the outermost column, by hand."""
    fan = 63.5 * 2 / D
    largest = 32.5 * math.cos(fan) / (math.pi / 2 + fan) * 2 * math.pi * R / D
    refused(scan(panel("curved"), largest + 0.1), "Tam-Danielson", f"largest pitch is {largest:.4g} mm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CoverageWarning)
        sg.katsevich(torch.zeros(346, 66, 128), scan(panel("curved"), largest - 0.1), sg.Grid((1, 2, 2), 1.0))


def test_what_it_does_not_take() -> None:
    offsets = torch.zeros(346, 2, dtype=torch.float64)
    offsets[::2, 1] = 0.4
    refused(scan(panel("curved"), 40.0, source_offset=offsets), "one focal position", "0.4 mm", "geometry[0::n]")
    other = sg.CurvedDetector((66, 128), (1.0, 2.0), radius=300.0)
    refused(scan(other, 40.0), "a flat detector at right angles", "curved about the source")
    refused(scan(panel("flat"), 40.0, yaw=0.1), "a flat detector at right angles")
    jittered = torch.arange(346, dtype=torch.float64) * (2 * math.pi / 144)
    jittered[::2] += 0.004
    uneven = sg.ConeBeam.helical(
        source_to_origin=R, source_to_detector=D, angles=jittered, detector=panel("flat"), pitch=40.0
    )
    refused(uneven, "equal steps")
    bad = torch.zeros(346, 66, 128)
    bad[100, 3, 4] = torch.nan
    with pytest.raises(InputError, match="NaN or infinity in views 0 to 192"):
        sg.katsevich(bad, scan(panel("curved"), 40.0), GRID)


def test_slices_beyond_are_named() -> None:
    geometry = scan(panel("curved"), 40.0)
    with pytest.warns(CoverageWarning, match=r"pi segments for z from (\S+) to (\S+) mm") as caught:
        sg.katsevich(torch.zeros(geometry.projection_shape), geometry, sg.Grid((80, 2, 2), 1.0))
    low, high = map(float, re.findall(r"z from (\S+) to (\S+) mm within", str(caught[0].message))[0])
    ends = sorted(geometry.vectors[[0, -1], 0, 2].tolist())
    # on the axis a segment spans half a turn around its voxel
    assert low == pytest.approx(ends[0] + 10.0, abs=0.4) and high == pytest.approx(ends[1] - 10.0, abs=0.4)


@pytest.mark.slow
def test_64_clinical_rows() -> None:
    """Half cone angle 1.85 degrees: how much the exact formula gains there; printed."""
    detector = sg.CurvedDetector((64, 368), (1.0947, 2.5716))
    geometry, grid = helix(detector, 1.0, 360, 2.6), sg.Grid((17, 56, 56), 1.5)
    exact, weighted = (defrise_artefact(function, geometry, grid) for function in (sg.katsevich, sg.helical_fbp))
    print(f"64 rows: exact {exact:.4f}, weighted {weighted:.4f} of the contrast")
    assert exact < weighted
