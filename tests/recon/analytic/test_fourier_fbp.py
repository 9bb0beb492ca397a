"""`fourier_fbp`. Truth: its sum written out, `fbp` of smooth objects, phantoms."""

from __future__ import annotations

import builtins
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.errors import InputError, InputTypeError, MissingPackageError, UnsupportedError
from sinograd.recon import fourier_fbp
from sinograd.recon.analytic.filtered_backprojection import FilteredBackprojection

pytest.importorskip("finufft", reason="needs FINUFFT: pip install 'sinograd[fourier]'")
pytestmark = pytest.mark.filterwarnings("ignore::sinograd.errors.CoverageWarning")


def half_turn(views: int, columns: int, spacing: float = 1.0, **options: Any) -> sg.ParallelBeam:
    offset = options.pop("offset", 0.0)
    angles = torch.arange(views, dtype=torch.float64) * math.pi / views
    return sg.ParallelBeam(angles, sg.FlatDetector(columns, spacing, offset), **options)


def noise(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).to(dtype)


SCANS: dict[str, tuple[sg.ParallelBeam, sg.Grid]] = {
    "plain": (half_turn(24, 20), sg.Grid((20, 20), 1.0)),
    "off centre, coarse pixels": (half_turn(15, 21, 0.8, axis_offset=0.9), sg.Grid((9, 14), (1.7, 1.3), (0.6, -0.9))),
    "moved detector, fine pixels": (half_turn(16, 18, offset=-1.3), sg.Grid((31, 24), 0.35)),
    "shifts of each view": (half_turn(15, 16, shifts=0.4 * noise(15)), sg.Grid((15, 15), 1.0)),
    "whole turn": (sg.ParallelBeam(sg.full_scan(20), sg.FlatDetector(16, 1.0)), sg.Grid((13, 16), 1.0)),
}


def written_out(projections: Tensor, geometry: sg.ParallelBeam, grid: sg.Grid, size: int = 512) -> Tensor:
    """Rows on a circle of many samples, filtered, and their trigonometric polynomials at every pixel."""
    whole = FilteredBackprojection.of(geometry, grid)
    scan = whole.scan
    rows = torch.nn.functional.pad(projections * whole.weights * scan.rays.per_column, scan.padding)
    half = len(whole.taps) // 2
    kernel = torch.zeros(size, dtype=torch.float64)
    kernel[torch.arange(-half, half + 1) % size] = whole.taps
    spectra = torch.fft.fft(rows, n=size) * torch.fft.fft(kernel)
    bins = torch.fft.fftfreq(size, 1 / size, dtype=torch.float64)
    y, x = torch.meshgrid(*grid.axes(), indexing="ij")
    image = torch.zeros(grid.shape, dtype=torch.float64)
    for spectrum, (_, center, step, *_) in zip(spectra, scan.vectors, strict=True):
        # parallel rays: the column is the projection on the detector's step, which is at right angles to them here
        column = ((x - center[0]) * step[0] + (y - center[1]) * step[1]) / step.square().sum() + (scan.columns - 1) / 2
        image += (spectrum * torch.exp(2j * math.pi / size * bins * column[..., None])).sum(-1).real / size
    return image


@pytest.mark.parametrize("name", SCANS)
def test_the_sum_written_out(name: str) -> None:
    geometry, grid = SCANS[name]
    projections = noise(*geometry.projection_shape)
    # inside the field of view, where rows of any length are the same polynomial but for the Nyquist frequency
    projections[:, :2], projections[:, -2:] = 0, 0
    smooth = (projections + projections.roll(1, -1) * 2 + projections.roll(2, -1)) / 4
    found = fourier_fbp(smooth, geometry, grid, interpolation="trigonometric")
    expected = written_out(smooth, geometry, grid)
    seen = torch.hypot(*torch.meshgrid(*grid.axes(), indexing="ij")) < geometry.field_of_view / 2 - 2
    assert seen.any()
    assert (found - expected)[seen].abs().max() < 2e-3 * expected[seen].abs().max()


@pytest.mark.parametrize("name", SCANS)
def test_derivatives(name: str) -> None:
    geometry, grid = SCANS[name]
    projections = noise(*geometry.projection_shape).requires_grad_()
    image = fourier_fbp(projections, geometry, grid)
    other = noise(*grid.shape)
    (back,) = torch.autograd.grad((image * other).sum(), projections)
    assert (image.detach() * other).sum() == pytest.approx(float((projections.detach() * back).sum()), rel=1e-12)
    small = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    tiny = sg.ParallelBeam(torch.tensor([0.0, math.pi / 2], dtype=torch.float64), sg.FlatDetector(3, 1.0))
    call = lambda p: fourier_fbp(p, tiny, sg.Grid((2, 3), 1.0), tolerance=1e-12)  # noqa: E731
    assert torch.autograd.gradcheck(call, small) and torch.autograd.gradgradcheck(call, small)


@pytest.mark.parametrize("offset", [0.0, 0.37])
def test_smooth_objects_are_those_of_fbp(offset: float) -> None:
    """Of fine columns, where linear interpolation errs little."""
    geometry, grid = half_turn(400, 512, 0.25, axis_offset=offset), sg.Grid((64, 64), 1.5)
    projections = sg.shepp_logan_2d(50.0).project(geometry).float()
    found = fourier_fbp(projections, geometry, grid, window="hann", cutoff=0.3)
    expected = sg.fbp(projections, geometry, grid, window="hann", cutoff=0.3)
    seen = torch.hypot(*torch.meshgrid(*grid.axes(), indexing="ij")) < 62
    assert (found - expected)[seen].abs().max() < 3e-3 * expected.abs().max()


def test_a_phantom() -> None:
    """Errors and mean are those of fbp; without the low pass of its interpolation errors at edges are larger."""
    geometry, grid = half_turn(360, 257), sg.Grid((256, 256), 1.0)
    phantom = sg.shepp_logan_2d(115.0)
    truth = phantom.voxelize(grid, supersampling=4)
    near = torch.hypot(*torch.meshgrid(*grid.axes(), indexing="ij")) < 120
    projections = phantom.project(geometry).float()
    images = [call(projections, geometry, grid) for call in (fourier_fbp, sg.fbp)]
    images.append(fourier_fbp(projections, geometry, grid, interpolation="trigonometric"))
    found, expected, sharper = (float((image - truth)[near].square().mean().sqrt()) for image in images)
    assert found < 1.05 * expected < sharper
    assert float(images[0][near].mean() / truth[near].mean()) == pytest.approx(1, abs=2e-3)


def test_batches_layouts_and_threads() -> None:
    geometry, grid = SCANS["off centre, coarse pixels"]
    projections = noise(2, 3, *geometry.projection_shape, dtype=torch.float32)
    found = fourier_fbp(projections, geometry, grid)
    assert found.dtype == torch.float32 and found.shape == (2, 3, *grid.shape)
    alone = torch.stack([fourier_fbp(one, geometry, grid) for one in projections.flatten(0, 1)]).view_as(found)
    assert (found - alone).abs().max() < 1e-5 * found.abs().max()
    turned = projections.mT.contiguous().mT
    assert not turned.is_contiguous() and torch.equal(fourier_fbp(turned, geometry, grid), found)
    large, image = half_turn(300, 256), sg.Grid((256, 256), 1.0)  # products of many numbers are split among threads
    rows = noise(300, 256, dtype=torch.float32).requires_grad_()
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            assert torch.equal(fourier_fbp(projections, geometry, grid), found)
            made = fourier_fbp(rows, large, image)
            results.append((made.detach(), torch.autograd.grad(made.square().sum(), rows)[0]))
        for one, other in zip(results[0], results[1], strict=True):
            assert torch.equal(one, other)
        assert all(torch.equal(one, other) for one, other in zip(results[0], results[2], strict=True))
    finally:
        torch.set_num_threads(before)
    assert fourier_fbp(projections[:0], geometry, grid).shape == (0, 3, *grid.shape)
    many = noise(17, *geometry.projection_shape, dtype=torch.float32)
    assert (fourier_fbp(many, geometry, grid)[16] - fourier_fbp(many[16], geometry, grid)).abs().max() < 1e-5


def test_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry, grid = SCANS["plain"]
    projections = torch.zeros(geometry.projection_shape)
    fan = sg.FanBeam.circular(
        source_to_origin=50, source_to_detector=75, angles=sg.full_scan(24), detector=sg.FlatDetector(20, 1.0)
    )
    with pytest.raises(InputTypeError, match="takes a ParallelBeam of slices, got FanBeam"):
        fourier_fbp(projections, fan, grid)  # type: ignore[arg-type]
    stack = sg.ParallelBeam(sg.full_scan(24), sg.FlatDetector((4, 20), 1.0))
    with pytest.raises(InputTypeError, match="got one of 3 dimensions"):
        fourier_fbp(projections, stack)
    with pytest.raises(InputError, match=r"projections: expected \[\.\.\., views, columns\]|projections"):
        fourier_fbp(projections[1:], geometry, grid)
    with pytest.raises(InputError, match="tolerance must be positive"):
        fourier_fbp(projections, geometry, grid, tolerance=0)
    for tolerance in (2, 1e-9):
        with pytest.raises(InputError, match=r"expected from 1e-05 \(torch.float32\) to less than 1, got"):
            fourier_fbp(projections, geometry, grid, tolerance=tolerance)
    moving = geometry.at(geometry.vectors.clone().requires_grad_())
    with pytest.raises(UnsupportedError, match="no derivatives for it"):
        fourier_fbp(projections, moving, grid)
    with pytest.raises(InputError, match="expected linear or trigonometric, got 'cubic'"):
        fourier_fbp(projections, geometry, grid, interpolation="cubic")
    for bad in (torch.nan, torch.inf):
        projections[3, 7] = bad
        with pytest.raises(InputError, match="expected finite values, got NaN or infinity"):
            fourier_fbp(projections, geometry, grid)
    real = builtins.__import__
    monkeypatch.setattr("importlib.import_module", lambda name: real("no_such_module"))
    with pytest.raises(MissingPackageError, match=r"pip install 'sinograd\[fourier\]'"):
        fourier_fbp(torch.zeros(geometry.projection_shape), geometry, grid)
