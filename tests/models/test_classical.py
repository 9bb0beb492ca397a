"""Classical filters against SciPy, and their oracle against a dense search."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.data import shepp_logan_phantom

from sinograd.models import classical
from sinograd.models.classical_tuning import TUNABLE, tune
from sinograd.ops.bilateral import bilateral_filter


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """A phantom with soft edges in HU-like numbers, twice, with little and much noise; [2, 50, 50]."""
    soft = ndimage.gaussian_filter(1000 * shepp_logan_phantom().astype(np.float32), 6)
    clean = torch.from_numpy(soft[::8, ::8].copy()).expand(2, -1, -1)
    scale = torch.tensor([40.0, 120.0])[:, None, None]
    return clean + scale * torch.randn(clean.shape), clean


def test_filters_are_scipys(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    noisy, _ = pair
    slices = [image.numpy() for image in noisy]
    want = np.stack([ndimage.gaussian_filter(image, 1.3) for image in slices])
    np.testing.assert_allclose(classical.gaussian(noisy, sigma=1.3), want, rtol=1e-5)
    want = np.stack([ndimage.median_filter(image, 3) for image in slices])
    np.testing.assert_array_equal(classical.median(noisy, width=3), want)
    want = ndimage.median_filter(noisy.numpy(), 3)
    np.testing.assert_array_equal(classical.median(noisy, width=3, dimensions=3), want)
    want = bilateral_filter(noisy[1], (1.0, 1.0), 200.0)
    torch.testing.assert_close(classical.bilateral(noisy, sigma_spatial=1.0, sigma_range=200.0)[1], want)
    assert torch.equal(classical.gaussian(noisy, sigma=0), noisy)
    assert classical.gaussian(noisy.double(), sigma=1).dtype == torch.float64


@pytest.mark.parametrize("name", ["gaussian", "median", "bilateral"])
def test_the_oracle_finds_the_best(name: str, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    noisy, clean = pair
    tuned = tune(name, noisy, clean)
    found = tuned(noisy)
    assert float((found - clean).double().square().mean()) == pytest.approx(tuned.mse, rel=1e-5)
    grids = {
        "gaussian": [{"sigma": s} for s in np.geomspace(0.2, 4, 40)],
        "median": [{"width": n} for n in (1, 3, 5, 7, 9, 11)],
        "bilateral": [
            {"sigma_spatial": s, "sigma_range": r} for s in np.geomspace(0.4, 4, 9) for r in np.geomspace(20, 2000, 14)
        ],
    }
    for image, target, options in zip(noisy, clean, tuned.options, strict=True):
        of_grid = [float((TUNABLE[name](image, o) - target).square().mean()) for o in grids[name]]
        reached = float((TUNABLE[name](image, options) - target).square().mean())
        assert reached <= 1.01 * min(of_grid)
        assert reached < 0.9 * float((image - target).square().mean())
    first, second = (next(iter(options.values())) for options in tuned.options)
    assert first <= second or name == "bilateral"  # more noise, more smoothing


@pytest.mark.parametrize("name", ["gaussian", "bilateral"])
def test_one_setting_for_all_slices(name: str, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Between the errors of the slices' own settings and of either one's for both; it filters other slices too."""
    noisy, clean = pair
    together, each = tune(name, noisy, clean, together=True), tune(name, noisy, clean)
    assert len(together.options) == 1 and together(noisy[:1]).shape == (1, 50, 50)
    assert float((together(noisy) - clean).double().square().mean()) == pytest.approx(together.mse, rel=1e-5)
    of_one = [float((TUNABLE[name](noisy, options) - clean).square().mean()) for options in each.options]
    assert 0.99 * each.mse <= together.mse <= 1.01 * min(of_one)


def test_volumes_are_tuned_at_once(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    noisy, clean = (v.repeat(2, 1, 1)[:, :30, :30] for v in pair)
    seen: list[tuple[int, int]] = []
    for name in ("gaussian-3d", "median-3d", "bilateral-3d"):
        tuned = tune(name, noisy, clean, progress=lambda done, total: seen.append((done, total)))
        assert len(tuned.options) == 1 and tuned(noisy).shape == noisy.shape
        assert tuned.mse < float((noisy - clean).square().mean())
    assert seen == [(1, 1)] * 3


def test_a_perfect_input_stays(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    clean = pair[1]
    assert tune("median", clean, clean).mse == 0
    assert tune("gaussian", clean[0], clean[0]).tries > 7


def test_block_matching_needs_its_package(
    pair: tuple[torch.Tensor, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the package one line says what to install; with it each filter gets what it expects."""
    noisy, clean = pair
    monkeypatch.setattr(classical.importlib.util, "find_spec", lambda name: None)
    for name, function in (("bm3d", classical.bm3d), ("bm4d", classical.bm4d)):
        message = rf"{name}: this filter needs the package {name}.*sinograd\[baselines\].*non-commercial"
        with pytest.raises(ValueError, match=message):
            function(noisy, sigma=40.0)
        with pytest.raises(ValueError, match=message):
            tune(name, noisy, clean)
    monkeypatch.undo()

    def smooth(image: np.ndarray, sigma: float) -> np.ndarray:
        shapes.append(image.shape)
        return ndimage.gaussian_filter(image.astype(np.float64), sigma / 100)

    shapes: list[tuple[int, ...]] = []
    for name in ("bm3d", "bm4d"):
        package = ModuleType(name)
        setattr(package, name, smooth)
        monkeypatch.setitem(sys.modules, name, package)
        monkeypatch.setattr(classical.importlib.util, "find_spec", lambda name: name)
    assert classical.bm3d(noisy, sigma=80.0).dtype == torch.float32 and shapes == [(50, 50)] * 2
    six = noisy.repeat(3, 1, 1)
    assert classical.bm4d(six, sigma=80.0).shape == six.shape and shapes[2:] == [(6, 50, 50)]
    with pytest.raises(ValueError, match="at least 5 voxels along each filtered axis, got 2 x 50 x 50"):
        classical.bm4d(noisy, sigma=80.0)
    with pytest.raises(ValueError, match="sigma: expected a positive, finite standard deviation, got 0"):
        classical.bm3d(noisy, sigma=0)
    noise = [float((image - target).square().mean().sqrt()) for image, target in zip(noisy, clean, strict=True)]
    for options, sigma in zip(tune("bm3d", noisy, clean).options, noise, strict=True):
        assert 0.4 * sigma < options["sigma"] < 3 * sigma


@pytest.mark.parametrize("name", ["bm3d", "bm4d"])
def test_block_matching(name: str) -> None:
    pytest.importorskip(name, reason="non-commercial licence, extra `baselines`")
    clean = torch.from_numpy(1000 * shepp_logan_phantom()[::6, ::6].astype(np.float32)).expand(6, -1, -1)
    noisy = clean + 60 * torch.randn(clean.shape)
    function = getattr(classical, name)
    assert float((function(noisy, sigma=60.0) - clean).square().mean()) < 0.35 * 3600


def test_bad_input(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    noisy, clean = pair
    with pytest.raises(ValueError, match="no filter 'nlm': expected one of gaussian, median, bilateral, bm3d"):
        tune("nlm", noisy, clean)
    with pytest.raises(ValueError, match=r"of one shape, got \[2, 50, 50\] and \[50, 50\]"):
        tune("median", noisy, clean[0])
    with pytest.raises(ValueError, match="finite"):
        tune("median", noisy / 0, clean)
    with pytest.raises(ValueError, match="width: expected an odd number of voxels, got 4"):
        classical.median(noisy, width=4)
    with pytest.raises(ValueError, match="sigma"):
        classical.gaussian(noisy, sigma=-1)
    with pytest.raises(ValueError, match="at least 3 dimensions"):
        classical.gaussian(noisy[0], sigma=1, dimensions=3)
    with pytest.raises(ValueError, match="dimensions: expected 2 or 3, got 4"):
        classical.gaussian(noisy, sigma=1, dimensions=4)
    with pytest.raises(TypeError, match="expected dtype float32 or float64, got int16"):
        classical.median(noisy.short(), width=3)
    with pytest.raises(ValueError, match="the 2 slices that were tuned, got 1"):
        tune("median", noisy, clean)(noisy[:1])
