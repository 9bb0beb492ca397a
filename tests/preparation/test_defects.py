"""Defects that were put in are found and counted, and filled with what their neighbours say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from sinograd.preparation import find_defects, negative_logarithm, repair
from sinograd.preparation.defects import fill_starved_


def detector(rows: int = 40, columns: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """A reference that falls off towards the edges, and a dark image, both with noise."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
    dark = 100 + 2 * torch.randn(rows, columns, generator=generator)
    return 3000 * torch.exp(-(x**2) - y**2) + dark + 30 * torch.randn(rows, columns, generator=generator), dark


def test_nothing_is_wrong_with_a_good_detector() -> None:
    reference, dark = detector()
    assert find_defects(reference, dark).counts() == {"dead": 0, "hot": 0, "invalid": 0}
    assert find_defects(reference).counts() == {"dead": 0, "hot": 0, "invalid": 0}


def test_defects_are_found_and_counted() -> None:
    reference, dark = detector()
    reference[3, 4] = dark[3, 4]  # no response
    reference[:, 20] = dark[:, 20] - 5  # a dead column, darker with beam than without
    reference[10, 11] = dark[10, 11] + 0.2 * (reference[10, 12] - dark[10, 12])
    reference[30, 40] = dark[30, 40] + 4 * (reference[30, 41] - dark[30, 41])
    dark[25, 50] += 1500
    reference[25, 50] += 1500
    reference[5, 55] = torch.nan
    dark[6, 55] = torch.inf
    found = find_defects(reference, dark)
    assert found.counts() == {"dead": 42, "hot": 2, "invalid": 2}
    assert found.dead[3, 4] and found.dead[:, 20].all() and found.dead[10, 11]
    assert found.hot[30, 40] and found.hot[25, 50]
    assert found.invalid[5, 55] and found.invalid[6, 55]
    assert int(found.any.sum()) == 46


def test_a_line_detector() -> None:
    reference = torch.full((50,), 1000.0)
    reference[7] = 0
    found = find_defects(reference)
    assert found.dead.shape == (50,) and found.dead.nonzero().flatten().tolist() == [7]


def test_repair_of_a_plane_and_of_large_defects() -> None:
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    plane = (2 + 0.1 * y + 0.2 * x).expand(3, 20, 30)
    mask = torch.zeros(20, 30, dtype=torch.bool)
    mask[5, 6] = mask[10, 10] = mask[:, 20] = True
    broken = plane.masked_fill(mask, torch.nan)
    assert torch.allclose(repair(broken, mask)[:, 2:-2], plane[:, 2:-2], atol=1e-5)  # symmetric neighbours: exact
    mask[:, 20:29] = True
    filled = repair(plane.masked_fill(mask, torch.nan), mask)
    assert torch.isfinite(filled).all()
    assert torch.equal(filled[:, 4, 24], plane[:, 4, 19])  # inside a large defect: the nearest good one
    assert torch.equal(filled[:, ~mask], plane[:, ~mask])


def test_repair_is_differentiable() -> None:
    mask = torch.rand(5, 6) < 0.3
    assert gradcheck(lambda x: repair(x, mask), torch.rand(2, 5, 6, dtype=torch.float64, requires_grad=True))


def test_an_element_that_drops_out_takes_its_neighbours_mean() -> None:
    image = torch.full((6, 7), 0.5)
    image[2, 3] = -0.1
    image[0, 0] = 0.0
    assert fill_starved_(image, 1e-5) == (2, 0)
    assert torch.allclose(image, torch.full((6, 7), 0.5))


def test_a_starved_shadow_keeps_its_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = torch.poisson(torch.full((200, 200), 1.5), generator=generator) + 0.5 * torch.randn(
        200, 200, generator=generator
    )
    starved = int((counts <= 0).sum())
    assert starved > 4000
    mean, image = float(counts.mean()), counts.clone()
    replaced, _ = fill_starved_(image, 1e-3)
    assert replaced == starved
    floor = counts.clamp_min(1e-3)
    # the starved readings lie below the mean; what they become is close to it, and far nearer than a floor to its log
    assert float(image[counts <= 0].mean()) == pytest.approx(mean, rel=0.03)
    assert abs(float(-image.log().mean()) + np.log(1.5)) < 0.3 * abs(float(-floor.log().mean()) + np.log(1.5))


def test_the_logarithm_repairs_and_counts() -> None:
    transmitted = torch.rand(3, 8, 9) * 0.9 + 0.05
    transmitted[1, 2, 3], transmitted[2, 4, 4], transmitted[0, 0, 0] = 0.0, -0.2, 1e-9
    p, repaired = negative_logarithm(transmitted)
    assert repaired == 3
    good = transmitted > 1e-5
    assert torch.allclose(p[good], -transmitted[good].log())
    around = transmitted[1, 1:4, 2:5].sum() / 8
    assert p[1, 2, 3] == pytest.approx(-float(around.log()), rel=1e-5)
    assert p[0, 0, 0] == pytest.approx(-np.log(1e-5), rel=1e-5)
    assert negative_logarithm(torch.rand(4, 5) + 0.1)[1] == 0


def test_the_logarithm_is_differentiable_where_nothing_was_repaired() -> None:
    transmitted = torch.rand(2, 4, 5, dtype=torch.float64) + 0.1
    transmitted[0, 1, 2] = -1
    x = transmitted.requires_grad_()
    negative_logarithm(x)[0].sum().backward()
    assert x.grad is not None
    expected = -1 / transmitted.detach()
    expected[0, 1, 2] = 0
    assert torch.allclose(x.grad, expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: find_defects(torch.ones(3, 4), torch.ones(4, 4)), "dark"),
        (lambda: find_defects(torch.ones(3, 4), torch.full((3, 4), 2.0)), "12 dead"),
        (lambda: find_defects(torch.full((3, 4), torch.nan)), "12 without a number"),
        (lambda: find_defects(torch.ones(3, 4), dead=2.0), "0 <= dead < 1 < hot"),
        (lambda: repair(torch.ones(2, 3, 4), torch.ones(3, 4, dtype=torch.bool)), "all 12 elements are defective"),
        (lambda: repair(torch.ones(2, 3, 4), torch.ones(4, 4, dtype=torch.bool)), "mask"),
        (lambda: negative_logarithm(torch.tensor([[1.0, torch.nan]])), "got 1 of 2 NaN"),
        (lambda: negative_logarithm(torch.ones(2, 2), 0.0), "smallest"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
