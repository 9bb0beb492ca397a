"""Stripes of the five published kinds go, and objects stay. Truth: the sinogram to which the stripes were added."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor
from typer.testing import CliRunner

import sinograd as sg
from sinograd.choices import STRIPE_METHODS
from sinograd.cli.app import app
from sinograd.errors import InputError, InputTypeError
from sinograd.preparation import remove_stripes
from sinograd.preparation.stripes.columns import median_along_columns
from sinograd.preparation.stripes.fitting import fit_stripes
from sinograd.preparation.stripes.sorting import sort_stripes
from sinograd.preparation.stripes.wavelet_fourier import damp_stripes, daubechies

VIEWS, COLUMNS, STEP, RADIUS = 240, 256, 0.02, 110.0
GEOMETRY = sg.ParallelBeam(sg.full_scan(VIEWS), sg.FlatDetector(COLUMNS, 1.0))
ROUND = sg.Ellipsoids([STEP], [[RADIUS] * 3])
KINDS = ("full", "partial", "large", "unresponsive", "fluctuating")


def noise(seed: int) -> Tensor:
    return 0.005 * torch.randn(VIEWS, COLUMNS, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def sinograms() -> dict[str, Tensor]:
    """An oval with fifteen ellipses in it, and a cylinder about the axis."""
    generator = torch.Generator().manual_seed(1)
    center = (torch.rand(15, 3, generator=generator) * 2 - 1) * 65
    center[:, 2] = 0
    axes = torch.rand(15, 3, generator=generator) * 12 + 3
    oval = sg.Ellipsoids([STEP / 2], [[RADIUS, 95.0, 90.0]], [[1.0, -2.0, 0.0]])
    value = (torch.rand(15, generator=generator) - 0.4) * STEP / 2
    uneven = oval + sg.Ellipsoids(value, axes, center)
    return {"uneven": uneven.project(GEOMETRY) + noise(4), "round": ROUND.project(GEOMETRY) + noise(4)}


def striped(kind: str, clean: Tensor) -> Tensor:
    generator, result = torch.Generator().manual_seed(3), clean.clone()
    if kind == "full":
        for column, size in ((30, 0.05), (61, -0.05), (62, -0.04), (93, 0.035), (170, -0.05), (212, 0.03)):
            result[:, column] += size
    elif kind == "partial":
        for column, first, end in ((40, 0, 100), (88, 40, 170), (190, 50, 150)):
            result[first:end, column : column + 2] += 0.1
    elif kind == "large":
        for column, width, size in ((50, 9, 0.15), (180, 8, -0.2)):
            result[:, column : column + width] += size * torch.hann_window(width + 2)[1:-1]
    elif kind == "unresponsive":
        for column in (45, 110, 185):
            result[:, column : column + 2] = float(clean[:, column].mean()) + 0.1
    else:
        for column in (52, 98, 160):
            result[:, column : column + 2] += 0.3 * torch.randn(VIEWS, 2, generator=generator)
    return result


@pytest.mark.parametrize("thing", ["uneven", "round"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_default_takes_10_decibels_from_every_kind(kind: str, thing: str, sinograms: dict[str, Tensor]) -> None:
    clean = sinograms[thing]
    before = striped(kind, clean)
    left = (remove_stripes(before) - clean).norm()
    assert 20 * math.log10(float((before - clean).norm() / left)) > 10


def image(sinogram: Tensor) -> Tensor:
    return sg.fbp(sinogram, GEOMETRY, sg.Grid((COLUMNS, COLUMNS), 1.0))


def test_the_edge_of_a_centred_cylinder_stays() -> None:
    clean = ROUND.project(GEOMETRY)
    change = (image(remove_stripes(clean)) - image(clean))[COLUMNS // 2]
    assert float(change[4:40].abs().max()) < 0.02 * STEP  # the edge is at 17.5


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_modulation_transfer_of_a_wire_stays(share: float) -> None:
    oval = sg.Ellipsoids([STEP / 2], [[RADIUS, 95.0, 90.0]], [[1.0, -2.0, 0.0]])
    clean = oval.project(GEOMETRY) + noise(5)
    both = clean + sg.Ellipsoids([STEP], [[1.5, 1.5, 50.0]], [[share * RADIUS, 3.0, 0.0]]).project(GEOMETRY)
    column, row = round(share * RADIUS + 127.5), round(3 + 127.5)

    def spectrum(a: Tensor, b: Tensor) -> Tensor:
        return torch.fft.rfft2((image(a) - image(b))[row - 12 : row + 12, column - 12 : column + 12]).abs()

    before, after = spectrum(both, clean), spectrum(remove_stripes(both), remove_stripes(clean))
    used = before > 0.2 * before.max()
    assert float(after[used].sum() / before[used].sum()) == pytest.approx(1, abs=0.02)


def test_medians_and_sorting_are_those_of_scipy_and_numpy() -> None:
    values = torch.rand(3, 40, 30, generator=torch.Generator().manual_seed(0))
    expected = ndimage.median_filter(values.numpy(), (1, 1, 7), mode="reflect")
    assert np.array_equal(median_along_columns(values, 7).numpy(), expected)
    order = values.numpy().argsort(1)
    ranked = ndimage.median_filter(np.take_along_axis(values.numpy(), order, 1), (1, 1, 7), mode="reflect")
    undone = np.empty_like(ranked)
    np.put_along_axis(undone, order, ranked, 1)
    assert np.allclose(sort_stripes(values, size=7).numpy(), undone)


def wavelets_and_waves(sinogram: np.ndarray, level: int, sigma: float, order: int) -> np.ndarray:
    """Muench's method as it is published, with matrices: all of the transform, damping, all of it back."""
    sizes = [math.ceil(2 * count / 2**level) * 2**level for count in sinogram.shape]
    ends = [(0, size - count) for size, count in zip(sizes, sinogram.shape, strict=True)]
    taps = [values.numpy() for values in daubechies(order)]

    def matrix(values: np.ndarray, count: int) -> np.ndarray:
        result = np.zeros((count // 2, count))
        for row in range(count // 2):
            np.add.at(result[row], (2 * row + np.arange(len(values))) % count, values)
        return result

    def damped(image: np.ndarray, left: int) -> np.ndarray:
        (low_v, high_v), (low_c, high_c) = ([matrix(values, count) for values in taps] for count in image.shape)
        smooth, detail = image @ low_c.T, image @ high_c.T
        inner = low_v @ smooth if left == 1 else damped(low_v @ smooth, left - 1)
        spectrum = np.fft.rfft(low_v @ detail, axis=0)
        k = np.arange(len(spectrum))[:, None]
        vertical = np.fft.irfft(spectrum * (1 - np.exp(-(k**2) / (2 * sigma**2))), len(low_v), axis=0)
        first = low_v.T @ inner + high_v.T @ (high_v @ smooth)
        return first @ low_c + (low_v.T @ vertical + high_v.T @ (high_v @ detail)) @ high_c

    return damped(np.pad(sinogram, ends, "symmetric"), level)[: sinogram.shape[0], : sinogram.shape[1]]


@pytest.mark.parametrize(
    ("shape", "level", "sigma", "order"), [((65, 70), 3, 1.0, 9), ((48, 33), 4, 30.0, 2), ((60, 50), 1, 2.5, 1)]
)
def test_waves_of_the_details_are_all_that_is_damped(shape: tuple, level: int, sigma: float, order: int) -> None:
    sinogram = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    used = max(1, min(level, int(math.log2(min(shape) / (2 * order - 1))) + 1))
    found = damp_stripes(sinogram[None], level=level, sigma=sigma, order=order)[0]
    np.testing.assert_allclose(found, wavelets_and_waves(sinogram.numpy(), used, sigma, order), atol=1e-12)


@pytest.mark.parametrize("views", [1, 2, 3, 5])
def test_wavelets_longer_than_the_views(views: int) -> None:
    """What is constant over the views does not depend on how many there are."""
    row = torch.rand(1, 1, 120, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found, expected = (damp_stripes(row.expand(1, n, 120), level=1)[:, :1] for n in (views, 64))
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    few = row[..., :3].expand(1, 8, 3)
    assert bool(damp_stripes(few).isfinite().all()) and bool(damp_stripes(few, sigma=1e-200).isfinite().all())


def test_wavelets_are_those_of_daubechies() -> None:
    root = math.sqrt(3)
    expected = torch.tensor([1 + root, 3 + root, 3 - root, 1 - root], dtype=torch.float64) / (4 * math.sqrt(2))
    low, high = daubechies(2)
    torch.testing.assert_close(low, expected)
    for order in (1, 5, 9):  # orthonormal to shifts by two, and as many vanishing moments
        low, high = (taps.numpy() for taps in daubechies(order))
        products = np.correlate(low, low, "full")[2 * order - 1 :: 2]
        assert products == pytest.approx(np.eye(1, order)[0], abs=1e-9)
        assert (high * np.arange(2 * order) ** (order - 1.0)).sum() == pytest.approx(0, abs=1e-4 * (2 * order) ** order)


@pytest.mark.parametrize("function", [damp_stripes, fit_stripes])
def test_linear_methods(function) -> None:
    """Sums go to sums; what does not change along the columns stays, stripes of zero mean go."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(2, 65, 70, dtype=torch.float64, generator=generator) for _ in range(2))
    torch.testing.assert_close(function(a + 2 * b), function(a) + 2 * function(b))
    smooth = torch.rand(1, 65, 1, dtype=torch.float64, generator=generator).expand(1, 65, 70)
    torch.testing.assert_close(function(smooth), smooth.contiguous(), atol=1e-6, rtol=0)
    stripes = torch.zeros(1, 65, 70, dtype=torch.float64)
    stripes[..., 30], stripes[..., 31] = 1.0, -1.0
    assert float(function(stripes).square().mean()) < 0.2 * float(stripes.square().mean())
    x = torch.rand(1, 33, 40, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(function, x, fast_mode=True)


@pytest.mark.parametrize("method", STRIPE_METHODS.names())
def test_batches_rows_types_and_gradients(method: str) -> None:
    projections = torch.rand(2, 64, 3, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * 0.01
    projections[:, :, :, 20] += 0.3
    projections.requires_grad_()
    done = remove_stripes(projections, method)
    assert done.shape == projections.shape and done.dtype == torch.float64
    if method not in ("combined", "constant"):  # rows are alone
        torch.testing.assert_close(remove_stripes(projections[1, :, 2], method), done[1, :, 2])
    done.square().sum().backward()
    assert projections.grad is not None and bool(torch.isfinite(projections.grad).all())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: remove_stripes(torch.zeros(64, 64), "sort"), InputError, "must be one of combined"),
        (lambda: remove_stripes(torch.zeros(64, 64), "sorting", sise=3), InputError, "did you mean size"),
        (lambda: remove_stripes(torch.zeros(64, 64), "sorting", size=1), InputError, "at least 3 columns"),
        (lambda: remove_stripes(torch.zeros(64, 64), "dead", snr=1.0), InputError, "snr: expected"),
        (lambda: remove_stripes(torch.zeros(64, 64), "wavelet-fourier", level=0), InputError, "level: expected"),
        (lambda: remove_stripes(torch.zeros(64, 64), "wavelet-fourier", order=40), InputError, "from 1 to 12"),
        (lambda: remove_stripes(torch.zeros(64, 64), "fitting", order=-1), InputError, "order: expected"),
        (lambda: remove_stripes(torch.zeros(4, 64)), InputError, "at least 8 views"),
        (lambda: remove_stripes(np.zeros((64, 64))), InputTypeError, "float32 or float64 tensor"),  # type: ignore
        (lambda: sg.Preparation(rings="sort"), InputError, "rings must be True or False, or one of none, combined"),
    ],
)
def test_what_cannot_be_is_refused(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("method", ["sorting", "combined", True])
def test_preparation_does_the_same_in_memory_and_in_a_file(method, tmp_path: Path) -> None:
    from sinograd.io.storage.scratch import Scratch

    generator = torch.Generator().manual_seed(6)
    lines = torch.rand(48, 6, 64, generator=generator) * 0.02 + torch.hann_window(64)
    lines[:, :, 20] += 0.1
    geometry = sg.ParallelBeam(sg.full_scan(48), sg.FlatDetector((6, 64), 1.0))
    scan = sg.Scan(lines, geometry, kind="line integrals")
    done = sg.prepare(scan, sg.Preparation(rings=method))
    expected = remove_stripes(lines, "combined" if method is True else method)
    torch.testing.assert_close(done.projections, expected, atol=1e-5, rtol=0)
    taken = done.metadata["preparation"]["rings"]
    assert taken["rms"] == pytest.approx(float((expected - lines).square().mean().sqrt()), rel=0.2)
    store = Scratch.new(tmp_path / "p.zarr", (48, 6, 64))
    sg.prepare(scan, sg.Preparation(rings=method), out=store)
    assert np.array_equal(store[:], done.projections.numpy())


def test_the_option_stands_with_and_without_a_method(tmp_path: Path) -> None:
    geometry = sg.ParallelBeam(sg.full_scan(48), sg.FlatDetector(64, 1.0))
    lines = sg.Ellipsoids([0.02], [[20.0, 25.0, 9.0]]).project(geometry)
    lines[:, 20] += 0.1
    sg.write_scan(sg.Scan(lines, geometry, kind="line integrals"), tmp_path / "s.h5")
    for rings, told in (
        (["--rings"], "rings combined"),
        (["--rings", "sorting"], "rings          sorting, took out"),
        (["--rings", "none"], None),
    ):
        arguments = ["reconstruct", *rings, str(tmp_path / "s.h5"), "-o", str(tmp_path / "v.h5"), "--force"]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        found = " ".join(result.output.split())
        assert (" ".join(told.split()) in found) if told else ("rings" not in result.output)
    result = CliRunner().invoke(
        app, ["reconstruct", str(tmp_path / "s.h5"), "-o", str(tmp_path / "v.h5"), "--rings=sort"]
    )
    assert result.exit_code != 0 and "--rings must be one of none, combined" in result.output
