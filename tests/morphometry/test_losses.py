"""Losses of bone parameters. Truth: equations 10 to 12 written out over a loop of spheres, finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sinograd.errors import ConfigError, InputError
from sinograd.losses import as_loss
from sinograd.morphometry import BoneLoss, BoneTerm, NNBMDLoss, NNSPLoss, ball, threshold_weights

SPACING = (0.34, 0.172, 0.172)
PUBLISHED = (0.0817, 0.1016, 0.1188, 0.1305, 0.1347, 0.1305, 0.1188, 0.1016, 0.0817)


def volumes(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    clean = 150 + 120 * torch.randn(shape, generator=drawn, dtype=torch.float64)
    return clean + 80 * torch.randn(shape, generator=drawn, dtype=torch.float64), clean


def test_weights_of_thresholds() -> None:
    """Paper 001: N(225, 100^2) at 125, 150 ... 325, with sum 1."""
    assert threshold_weights() == pytest.approx(PUBLISHED, abs=5e-5)
    assert math.fsum(threshold_weights()) == pytest.approx(1, abs=1e-15)


def windows(values: Tensor, diameter: float) -> np.ndarray:
    """Voxels of every whole sphere [spheres, voxels]."""
    member = ball(SPACING, diameter).numpy()
    view = np.lib.stride_tricks.sliding_window_view(values.numpy(), member.shape)
    return view[:, :, :, member].reshape(-1, int(member.sum()))


def term(parameter: str, x: Tensor, y: Tensor, diameter: float) -> float:
    """L_f / a_f."""
    if parameter == "voxel":
        return float(((x - y) ** 2).mean())
    a, b = windows(x, diameter), windows(y, diameter)
    if parameter == "bmd":
        return float(((a.mean(1) - b.mean(1)) ** 2).mean())
    if parameter == "sd":
        return float(((a.std(1, ddof=1) - b.std(1, ddof=1)) ** 2).mean())
    total = 0.0
    for t, weight in zip(range(125, 326, 25), threshold_weights(), strict=True):
        maps = []
        for v in (a, b):
            soft = 1 / (1 + np.exp((t - v) / 10))
            floored = 1e-4 * np.logaddexp(0, soft.mean(1) / 1e-4 - 1) + 1e-4
            maps.append(soft.mean(1) if parameter == "bvtv" else (soft * v).mean(1) / floored)
        total += weight * float(((maps[0] - maps[1]) ** 2).mean())
    return total


@pytest.mark.parametrize("parameter", ["voxel", "bmd", "sd", "tmd", "bvtv"])
def test_terms(parameter: str) -> None:
    """Equations 10 and 11, with factor and weight; of a single sphere, too."""
    for shape, diameter in (((4, 9, 8), 0.8), ((3, 5, 5), 0.8)):
        x, y = volumes(*shape)
        loss = BoneLoss((BoneTerm(parameter, 0.5, diameter),), SPACING, (3.0,))  # pyright: ignore
        assert float(loss(x, y)) == pytest.approx(1.5 * term(parameter, x, y, diameter), rel=1e-9)
        assert float(loss(x, y, scale=7.0)) == float(loss(x, y)) and float(loss(y, y)) == pytest.approx(0, abs=1e-15)


def test_presets() -> None:
    """NN_SP: 0.64 TMD + 0.32 BV/TV + 0.04 BMD, 4.3 mm. NN_BMD: 0.4 voxel, 0.1 BMD d1, 0.1 BMD d2, 0.4 SD d3."""
    x, y = volumes(13, 25, 25)
    parts = [term(name, x, y, 4.3) for name in ("tmd", "bvtv", "bmd")]
    loss = NNSPLoss(SPACING).normalised([(x, y)])
    assert loss.factors == pytest.approx([1 / part for part in parts], rel=1e-9)
    assert float(loss(x, y)) == pytest.approx(1, rel=1e-9)
    half = (x + y) / 2
    wanted = sum(
        w * term(n, half, y, 4.3) / p for w, n, p in zip((0.64, 0.32, 0.04), ("tmd", "bvtv", "bmd"), parts, strict=True)
    )
    assert float(loss(half, y)) == pytest.approx(wanted, rel=1e-9)
    other_names = (("voxel", 1.0, 0.4), ("bmd", 0.516, 0.1), ("bmd", 1.548, 0.1), ("sd", 2.924, 0.4))
    other = NNBMDLoss(SPACING, (1.0, 2.0, 3.0, 4.0))
    wanted = sum((i + 1) * w * term(n, x, y, d) for i, (n, d, w) in enumerate(other_names))
    assert float(other(x, y)) == pytest.approx(wanted, rel=1e-9)


def test_factors_average_over_the_data() -> None:
    pairs = [volumes(4, 7, 7, seed=seed) for seed in range(3)]
    loss = BoneLoss((BoneTerm("bmd", 1, 0.8),), SPACING).normalised(pairs)
    assert np.mean([float(loss(*pair)) for pair in pairs]) == pytest.approx(1, rel=1e-12)
    batch = tuple(torch.stack(part)[:, None] for part in zip(*pairs, strict=True))
    assert float(loss(*batch)) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("parameter", ["voxel", "bmd", "sd", "tmd", "bvtv"])
def test_gradients(parameter: str) -> None:
    x, y = volumes(2, 1, 3, 6, 5)
    loss = BoneLoss((BoneTerm(parameter, 1.0, 0.8),), SPACING, (0.01,), 40.0)  # pyright: ignore
    assert torch.autograd.gradcheck(lambda v: loss(v, y), x.requires_grad_(), fast_mode=True)


def test_gradients_of_the_presets_are_finite_anywhere() -> None:
    """Patches without bone, without variation, far above all thresholds."""
    for value in (-1e4, 0.0, 1e5):
        x = torch.full((2, 1, 13, 25, 25), value, requires_grad=True)
        _, y = volumes(2, 1, 13, 25, 25)
        for loss in (NNSPLoss(SPACING, (1.0,) * 3), NNBMDLoss(SPACING, (1.0,) * 4)):
            result = loss(x, y.float())
            result.backward()
            assert x.grad is not None
            assert math.isfinite(result.detach()) and bool(torch.isfinite(x.grad).all())


def test_configurations() -> None:
    loss = as_loss({"name": "nn-sp", "spacing": [0.34, 0.172, 0.172], "factors": [1, 2, 3]})
    assert isinstance(loss, NNSPLoss) and loss.factors == (1, 2, 3)
    alone = as_loss({"name": "bone", "terms": [{"parameter": "tmd", "diameter": 4.3}], "spacing": [0.3, 0.2, 0.2]})
    assert isinstance(alone, BoneLoss) and alone.terms == (BoneTerm("tmd", 1.0, 4.3),)
    with pytest.raises(ConfigError, match=r"loss\.terms"):
        as_loss({"name": "bone", "terms": [{"parameter": "colour"}]})


def test_bad_input() -> None:
    x, y = volumes(4, 7, 7)
    one = BoneLoss((BoneTerm("bmd", 1, 0.8),), SPACING)
    for call, words in (
        (lambda: one(x, y), r"factors: not known; `loss.normalised\(pairs\)` finds them"),
        (lambda: one.normalised([]), "pairs: expected at least one of unfiltered and true volumes, got none"),
        (lambda: one.normalised([(x, x)]), "pairs: the bmd term is 0 for unfiltered data"),
        (lambda: one.parts(x, y[1:]), r"predicted \[4, 7, 7\] does not match target \[3, 7, 7\]"),
        (lambda: NNSPLoss(SPACING).check((13, 25, 24)), "neighbourhood of 13 x 25 x 25 voxels, larger than the volume"),
        (lambda: NNSPLoss(SPACING).check((64, 64)), r"expected volumes \[..., Z, Y, X\] for a loss of bone parameters"),
        (lambda: NNSPLoss(SPACING, (1.0,)), "factors: expected 3, one for each term, got 1"),
        (lambda: NNSPLoss(SPACING, (1.0, 0.0, 1.0)), r"factors\[1\] must be positive, got 0"),
        (lambda: BoneLoss(()), "terms: expected at least one, got none"),
        (lambda: BoneLoss((BoneTerm("bmd", -1.0),)), r"terms\[0\].weight must be positive, got -1"),
        (lambda: BoneLoss((BoneTerm("x"),)), r"terms\[0\].parameter: expected one of voxel, bmd, sd, tmd, bvtv"),  # pyright: ignore
        (lambda: BoneLoss(spacing=(1.0, 0.0, 1.0)), r"spacing\[1\] must be positive"),
    ):
        with pytest.raises((InputError, TypeError), match=words):
            call()


def test_training_finds_the_factors() -> None:
    """They stand in the run's configuration, and the first loss of an unfiltered input is 1."""
    pytest.importorskip("lightning")
    from sinograd.training import Stack, TrainingData, train

    x, y = volumes(4, 16, 16)
    stacks = TrainingData([Stack(x.float(), y.float(), f"stack {i}") for i in range(2)])
    terms = [{"parameter": "bmd", "diameter": 0.8}, {"parameter": "sd", "weight": 2.0, "diameter": 0.8}]
    config = {
        "task": {"name": "supervised", "loss": {"name": "bone", "terms": terms, "spacing": list(SPACING)}},
        "model": {"name": "bilateral", "filters": 1},
        "stop": {"max_steps": 1},
    }
    result = train(config, stacks)
    found = result.config.task.loss  # pyright: ignore
    assert found.factors == pytest.approx([1 / term(p, x, y, 0.8) for p in ("bmd", "sd")], rel=1e-3)
    with pytest.raises(InputError, match="stack 0: diameter 9 mm is a neighbourhood of"):
        config["task"] = {
            "name": "supervised",
            "loss": {"name": "bone", "terms": [{"parameter": "bmd", "diameter": 9}]},
        }
        train(config, stacks)
