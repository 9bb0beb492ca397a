"""Losses. Truth: scikit-image, sums written out, finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from sinograd.choices import LOSSES
from sinograd.errors import ConfigError, InputError
from sinograd.losses import SSIM, as_loss, loss_schema, mae, mse
from sinograd.losses.charbonnier import Charbonnier

# Those whose options have a unit are compared in tests/morphometry/test_losses.py.
WITHOUT_UNIT = [name for name in LOSSES if name != "own" and getattr(LOSSES.load(name), "unit", None) is None]
# Those that need options, and the size of images that all of them can compare.
OPTIONS: dict[str, Any] = {
    "perceptual": {"name": "perceptual", "weights": "random", "network": "vgg16", "layer": 6},
    "sum": {"name": "sum", "terms": [{"loss": "mse"}, {"loss": "sobel", "weight": 0.3}]},
}


def images(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(len(shape))
    clean = torch.rand(shape, generator=drawn, dtype=torch.float64)
    return (clean + 0.2 * torch.randn(shape, generator=drawn, dtype=torch.float64)).to(dtype), clean.to(dtype)


def test_errors_in_units_of_the_scale() -> None:
    """Squared errors over the square of the scale, absolute ones over the scale itself."""
    noisy, clean = images(2, 1, 9, 8)
    difference = (noisy - clean).numpy()
    assert mse(noisy, clean, scale=0.1).item() == pytest.approx((difference**2).mean() / 0.01, rel=1e-12)
    assert mae(noisy, clean, scale=0.1).item() == pytest.approx(np.abs(difference).mean() / 0.1, rel=1e-12)


@pytest.mark.parametrize("epsilon", [1e-3, 0.3])
def test_charbonnier_is_its_formula(epsilon: float) -> None:
    """Charbonnier et al. 1994; SciPy's pseudo-Huber loss is epsilon times it. Between mae - epsilon and mae."""
    noisy, clean = images(2, 1, 9, 8)
    d = (noisy - clean).numpy() / 0.1
    loss = Charbonnier(epsilon)(noisy, clean, scale=0.1).item()
    assert loss == pytest.approx((np.sqrt(d**2 + epsilon**2) - epsilon).mean(), rel=1e-12)
    assert loss == pytest.approx(scipy.special.pseudo_huber(epsilon, d).mean() / epsilon, rel=1e-12)
    assert np.abs(d).mean() - epsilon < loss < np.abs(d).mean()


def test_charbonnier_of_small_differences_in_float32() -> None:
    """d^2 / (2 epsilon), where sqrt(d^2 + epsilon^2) - epsilon would round to 0."""
    clean = torch.zeros(4, 4)
    assert Charbonnier(0.1)(clean + 1e-5, clean, scale=1.0).item() == pytest.approx(1e-10 / 0.2, rel=1e-5)


@pytest.mark.parametrize("name", WITHOUT_UNIT)
def test_no_loss_depends_on_the_unit(name: str) -> None:
    """The same numbers in a unit a thousand times as small."""
    loss = as_loss(OPTIONS.get(name, name))
    noisy, clean = images(3, 16, 17)
    value, least = loss(noisy, clean, scale=1.0), loss(clean, clean)
    assert value.shape == () and value.item() > least.item()
    assert loss(1000 * noisy, 1000 * clean, scale=1000.0).item() == pytest.approx(value.item(), rel=1e-9)
    if name != "structure-aware":  # minus the similarity
        assert least.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "theirs"),
    [
        ({}, {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}),
        ({"sigma": 0.8}, {"gaussian_weights": True, "sigma": 0.8, "use_sample_covariance": False}),
        ({"weights": "uniform"}, {"win_size": 7}),
        ({"weights": "uniform", "width": 5, "data_range": 2.0}, {"win_size": 5}),
    ],
)
@pytest.mark.parametrize("shape", [(15, 18), (4, 15, 18), (2, 1, 15, 18)])
def test_ssim_is_scikit_images(options: dict[str, Any], theirs: dict[str, Any], shape: tuple[int, ...]) -> None:
    noisy, clean = images(*shape)
    peak = options.get("data_range", 1.0) * 0.7
    pairs = zip(noisy.reshape(-1, *shape[-2:]).numpy(), clean.reshape(-1, *shape[-2:]).numpy(), strict=True)
    means = [crop_mean(a, b, peak, theirs) for a, b in pairs]
    assert SSIM(**options)(noisy, clean, scale=0.7).item() == pytest.approx(1 - np.mean(means), rel=1e-9)


def crop_mean(image: Any, reference: Any, peak: float, settings: dict[str, Any]) -> float:
    return float(structural_similarity(image, reference, data_range=peak, **settings))


@pytest.mark.parametrize("name", WITHOUT_UNIT)
def test_gradients(name: str) -> None:
    loss = as_loss({"name": "ssim", "weights": "uniform", "width": 5} if name == "ssim" else OPTIONS.get(name, name))
    noisy, clean = images(2, 12, 13) if name == "structure-aware" else images(2, 7, 8)
    assert torch.autograd.gradcheck(lambda x: loss(x, clean, scale=0.8), noisy.requires_grad_())


@pytest.mark.parametrize("name", WITHOUT_UNIT)
def test_the_dtype_is_that_of_the_prediction(name: str) -> None:
    noisy, clean = images(2, 12, 12, dtype=torch.float32)
    assert as_loss(OPTIONS.get(name, name))(noisy, clean, scale=1.0).dtype == torch.float32


def test_a_step_down_the_gradient_of_ssim_makes_images_more_alike() -> None:
    noisy, clean = images(20, 20)
    loss, x = SSIM(), noisy.clone().requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.02)
    values = []
    for _ in range(40):
        optimizer.zero_grad()
        value = loss(x, clean, scale=1.0)
        value.backward()
        optimizer.step()
        values.append(value.item())
    theirs = [structural_similarity(a.numpy(), clean.numpy(), data_range=1.0) for a in (noisy, x.detach())]
    assert values[-1] < 0.2 * values[0] and theirs[1] > theirs[0] + 0.2


def test_names_and_options() -> None:
    assert as_loss("mse") is mse and as_loss({"name": "mae"}) is mae and as_loss(mse) is mse
    options = loss_schema("ssim")(weights="uniform", width=9)
    for choice in (options, {"name": "ssim", "weights": "uniform", "width": 9}, SSIM(1.0, "uniform", 9)):
        loss = as_loss(choice)
        assert isinstance(loss, SSIM) and (loss.weights, loss.width, loss.sigma) == ("uniform", 9, 1.5)
    bad: dict[str, tuple[Any, type[Exception]]] = {
        f"loss: expected {', '.join(list(LOSSES)[:-1])} or nn-bmd, got 'huber'": ("huber", ConfigError),
        "loss.widht: unknown key (did you mean width?)": ({"name": "ssim", "widht": 7}, ConfigError),
        "loss.width: expected a whole number, got 'big'": ({"name": "ssim", "width": "big"}, ConfigError),
        "width: expected an odd number of at least 3, got 4": ({"name": "ssim", "width": 4}, InputError),
        "data_range: expected a positive number, got 0": ({"name": "ssim", "data_range": 0}, InputError),
        "epsilon: expected a positive number, got 0": ({"name": "charbonnier", "epsilon": 0}, InputError),
        "sigma: expected a positive number, got -1": ({"name": "ssim", "sigma": -1}, InputError),
        "loss: expected a name, a mapping with a name or a loss, got 3": (3, TypeError),
    }
    for words, (choice, kind) in bad.items():
        with pytest.raises(kind) as raised:
            as_loss(choice)
        assert str(raised.value).startswith(words)


def test_images_smaller_than_the_window() -> None:
    with pytest.raises(
        InputError, match=r"expected images of at least 11 pixels along each axis for ssim, got \[8, 8\]"
    ):
        SSIM().check((8, 8))
    SSIM().check((3, 11, 12))
    SSIM(weights="uniform").check((7, 7))
