"""Analysis of invariances and controls. Truth: numpy, scipy.ndimage, torch's triplet loss, exact p-values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from sinograd.errors import InputError
from sinograd.invariance import (
    Constant,
    Embedding,
    LesionEraser,
    Shuffled,
    compare,
    identity,
    maps,
    similarities,
    triplet_loss,
    triplets,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def test_maps_are_those_of_numpy() -> None:
    x, samples = normal(2, 1, 4, 5), normal(2, 6, 1, 4, 5, seed=1)
    result, each = maps(x, samples), samples.numpy()
    np.testing.assert_allclose(result.difference, np.abs(each - x.numpy()[:, None]).mean(axis=1))
    np.testing.assert_allclose(result.deviation, each.std(axis=1, ddof=1))
    np.testing.assert_allclose(result.mean_difference, np.abs(each - x.numpy()[:, None]).mean(axis=(1, 2, 3, 4)))
    for bad in (samples[:1], samples[:, 0], samples[..., 1:], samples[:, :1]):
        with pytest.raises(InputError, match="samples: expected"):
            maps(x, bad)


def test_similarities_are_cosines() -> None:
    x, samples = normal(3, 1, 2, 2), normal(3, 4, 1, 2, 2, seed=1)
    result = similarities(lambda images: images.flatten(1), x, samples)
    first, second = x.numpy().reshape(3, 4), samples.numpy().reshape(3, 4, 4)
    lengths = np.linalg.norm(first, axis=1)[:, None] * np.linalg.norm(second, axis=2)
    np.testing.assert_allclose(result, np.einsum("bc,bkc->bk", first, second) / lengths)
    torch.testing.assert_close(
        similarities(lambda images: images.flatten(1), x, 2 * x[:, None]), torch.ones(3, 1, dtype=torch.float64)
    )
    with pytest.raises(InputError, match="embed: expected codes"):
        similarities(lambda images: images, x, samples)


def test_p_values_are_exact_and_corrected() -> None:
    """Complete separation of n against n has p = 1 / C(2n, n); Benjamini-Hochberg by hand."""
    values = {"a": [0.1, 0.2, 0.3, 0.4], "b": [0.5, 0.6, 0.7, 0.8], "c": [0.05, 0.15, 0.25, 0.35]}
    b, c = compare(values, "a", ["p", "p", "q", "q"])
    assert (b.name, c.name) == ("b", "c")
    assert b.by_crop == pytest.approx(1 / math.comb(8, 4)) and b.by_patient == pytest.approx(1 / math.comb(4, 2))
    assert b.corrected_by_crop == pytest.approx(2 / math.comb(8, 4))
    assert c.by_crop > 0.5 and c.corrected_by_crop == pytest.approx(c.by_crop)
    assert compare(values, "b", list("ppqq"), lower_is_more=False)[0].by_crop == pytest.approx(1 / math.comb(8, 4))


def test_crops_of_a_patient_are_not_independent() -> None:
    """Two denoisers that differ by nothing but the patients' levels: crops look significant, patients do not."""
    patients = np.repeat(np.arange(4), 100)
    levels = np.array([[0.0, 3.0, 1.0, 4.0], [3.0, 1.0, 4.0, 5.0]])
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 400))
    first, second = levels[:, patients] + noise
    (result,) = compare({"a": list(first), "b": list(second)}, "a", list(patients))
    assert result.by_crop < 1e-6 and result.by_patient > 0.05


def test_bad_comparisons() -> None:
    with pytest.raises(InputError, match="reference: expected one of at least two denoisers"):
        compare({"a": [1.0], "b": [1.0]}, "c", ["p"])
    with pytest.raises(InputError, match="values: expected 2 numbers of a"):
        compare({"a": [1.0], "b": [1.0]}, "a", ["p", "q"])
    with pytest.raises(InputError, match="b has NaN or infinite ones"):
        compare({"a": [1.0], "b": [math.nan]}, "a", ["p"])


def test_negatives_are_semi_hard_where_there_are_any() -> None:
    codes = torch.tensor([[0.0], [0.1], [0.25], [0.9], [5.0], [5.05]])
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    for seed in range(20):
        chosen = {int(row[0]): row.tolist() for row in triplets(codes, labels, seeded(seed))}
        assert len(chosen) == 6
        assert chosen[0] == [0, 1, 2]  # 0.25 lies between 0.1 and 0.3
        assert chosen[1][1:] == [0, 2]  # 0.15 lies between 0.1 and 0.3
        assert chosen[3][1] == 2 and chosen[3][2] == 1  # 0.8 lies between 0.65 and 0.85
        assert labels[chosen[4][2]] != 2  # none is semi-hard: any other
    with pytest.raises(InputError, match="labels: expected at least two labels"):
        triplets(codes, torch.zeros(6), seeded())
    with pytest.raises(InputError, match=r"labels: expected \[B\]"):
        triplets(codes, labels[:2], seeded())


def test_the_triplet_loss_is_that_of_torch() -> None:
    codes, chosen = normal(6, 4), torch.tensor([[0, 1, 2], [3, 4, 5], [1, 0, 5]])
    expected = torch.nn.TripletMarginWithDistanceLoss(
        distance_function=lambda a, b: (a - b).square().sum(dim=1), margin=0.2
    )(*(codes[column] for column in chosen.T))
    torch.testing.assert_close(triplet_loss(codes, chosen), expected)


def test_the_embedding_learns_whose_samples_are_whose() -> None:
    torch.manual_seed(0)
    network = Embedding("small", 8).train()
    assert not network.features.bn1.training
    x = torch.randn(6, 1, 32, 32, generator=seeded())
    labels, generator = torch.arange(6).repeat(3), seeded(1)
    optimizer, losses = torch.optim.Adam(network.parameters(), 1e-3), []
    for _ in range(20):
        batch = x.repeat(3, 1, 1, 1) + 0.3 * torch.randn(18, 1, 32, 32, generator=generator)
        codes = network(batch)
        loss = triplet_loss(codes, triplets(codes, labels, generator))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    torch.testing.assert_close(codes.norm(dim=1), torch.ones(18))
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])


def test_the_eraser_is_a_gaussian_and_an_opening() -> None:
    x = normal(1, 1, 40, 40)
    smooth = ndimage.gaussian_filter(x[0, 0].numpy(), 1.0, mode="nearest", radius=3)
    eroded = ndimage.minimum_filter(smooth, 9, mode="constant", cval=np.inf)
    opened = ndimage.maximum_filter(eroded, 9, mode="constant", cval=-np.inf)
    np.testing.assert_allclose(LesionEraser(9, 1.0)(x)[0, 0], opened, atol=1e-12)


def test_the_eraser_does_not_see_a_lesion_and_sees_an_organ() -> None:
    grid = torch.arange(64.0) - 32
    radius = torch.hypot(grid[:, None], grid[None])
    background = torch.full((1, 1, 64, 64), -800.0)
    lesion, organ = background + 800 * (radius < 3), background + 800 * (radius < 16)
    eraser = LesionEraser(11)
    assert (eraser(lesion) - eraser(background)).abs().max() < 0.05 * 800
    assert (eraser(organ) - eraser(background)).abs().max() > 0.95 * 800


def test_the_other_controls() -> None:
    x = normal(4, 1, 3, 3)
    assert torch.equal(identity(x), x)
    assert torch.equal(Constant(-1000.0)(x), torch.full_like(x, -1000.0))
    shuffled = Shuffled(identity, seeded())(x)
    assert not any(torch.equal(a, b) for a, b in zip(shuffled, x, strict=True))
    assert sorted(shuffled.flatten().tolist()) == sorted(x.flatten().tolist())
    for call, words in (
        (lambda: Shuffled(identity, seeded())(x[:1]), "at least 2 images"),
        (lambda: Constant(math.nan), "hu: expected a finite number"),
        (lambda: LesionEraser(4), "diameter: expected an odd number"),
        (lambda: LesionEraser(5, 0), "sigma: expected a positive"),
        (lambda: Embedding("big"), "preset: expected one of"),  # pyright: ignore[reportArgumentType]
    ):
        with pytest.raises(InputError, match=words):
            call()
