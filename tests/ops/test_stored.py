"""Stored tensors do what tensors do, block by block."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.errors import UnsupportedError
from sinograd.ops import InSlabs
from sinograd.ops.stored import Space, StoredTensor, drawn, in_blocks, in_memory

SHAPE = (7, 5, 6)


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return Space(tmp_path, 3 * 5 * 6 * 4)  # three planes


def kept(space: Space, values: Tensor) -> StoredTensor:
    made = space.empty(values.shape, values.dtype)
    made.copy_(values)
    return made


EXPRESSIONS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "in place": lambda a, b: a.addcmul_(b, b, value=0.5).mul_(2).sub_(b, alpha=0.1).neg_(),
    "new": lambda a, b: (a - b) * a + 3,
    "out": lambda a, b: torch.lerp(a, b, torch.full((1, 1, 1), 1.25), out=torch.empty_like(a)),
    "largest": lambda a, b: torch.maximum(a, b, out=a),
    "bounds": lambda a, b: a.clamp_(0.0, None),
    "bounds of each": lambda a, b: a.clamp_(b - 1, b + 1),
    "compared": lambda a, b: ((a > b) & (b <= 0.3 * b.max())).sum(),
    "reciprocal": lambda a, b: a.masked_fill_(a <= 0.2, torch.inf).reciprocal_(),
    "sums": lambda a, b: torch.stack([a.sum(), a.max(), a.min(), (a > 0).any(), (a > 0).all()]),
    "clone": lambda a, b: a.clone().zero_().add_(b),
    "with a plain one": lambda a, b: torch.ones(SHAPE).sub_(a),
    "with a row": lambda a, b: a * torch.arange(6.0),
    "with a number for each plane": lambda a, b: a * torch.arange(7.0)[:, None, None],
    "double": lambda a, b: a.double() + 1,
    "some planes": lambda a, b: a[..., slice(1, None, 3), :, :].mul_(b[..., slice(0, -1, 3), :, :]),
    "some rows": lambda a, b: a[2:5, 1:4, :].add_(torch.ones(3, 3, 6)),
    "set": lambda a, b: a[1::2].copy_(torch.zeros(3, 5, 6)),
    "ones": lambda a, b: a.new_ones((2, 3, 4)) + b.new_zeros((2, 3, 4)),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_same_numbers(space: Space, name: str) -> None:
    torch.manual_seed(0)
    plain = torch.randn(SHAPE), torch.randn(SHAPE)
    stored = tuple(kept(space, one) for one in plain)
    expected, found = EXPRESSIONS[name](*plain), EXPRESSIONS[name](*stored)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    torch.testing.assert_close(in_memory(found), expected, rtol=1e-6, atol=1e-6)
    for one, other in zip(stored, plain, strict=True):
        torch.testing.assert_close(one.read(), other, rtol=0, atol=0)


def test_files_go_when_nobody_holds_them(space: Space) -> None:
    first = kept(space, torch.ones(SHAPE))
    part = (first + 1)[2:4]
    gc.collect()
    assert len(list(space.folder.iterdir())) == 2
    assert float(part.sum()) == 2 * 60
    del part
    gc.collect()
    assert [path for path in space.folder.iterdir()] == [first.file.path]


def test_new_zeros_take_no_room(space: Space) -> None:
    made = space.empty((1000, 100, 100))
    assert made.file.path.stat().st_blocks * 512 < 1e6 and float(made.sum()) == 0


def test_a_component_of_a_field(space: Space) -> None:
    plain = torch.randn(3, *SHAPE)
    field = kept(space, plain)
    field[1].mul_(2)
    plain[1] *= 2
    assert torch.equal(field.read(), plain) and torch.equal(field[2].read(), plain[2])


def test_it_goes_to_other_processes(space: Space) -> None:
    made = kept(space, torch.randn(SHAPE))
    other = pickle.loads(pickle.dumps(made[1:3, 2:4, :]))
    assert torch.equal(other.read(), made.read()[1:3, 2:4])


def test_numbers_are_drawn_in_their_order(space: Space) -> None:
    for draw in (
        lambda shape, g: torch.rand(*shape, generator=g),
        lambda shape, g: torch.randint(0, 2, shape, generator=g),
    ):
        made = []
        for like in (torch.empty(0), space.empty(SHAPE)):
            generator = torch.Generator().manual_seed(3)
            made.append(drawn(SHAPE, like, partial(draw, g=generator)))
        assert torch.equal(in_memory(made[1]), made[0])


def test_blocks(space: Space) -> None:
    plain = torch.randn(SHAPE)
    parts = list(in_blocks(kept(space, plain), plain))
    assert [len(a) for a, _ in parts] == [3, 3, 1] and all(torch.equal(a, b) for a, b in parts)
    assert [len(a) for (a,) in in_blocks(plain)] == [7]


def test_what_cannot_be_done(space: Space) -> None:
    made = kept(space, torch.randn(SHAPE))
    with pytest.raises(UnsupportedError, match=r"aten\.cumsum.* cannot be computed in blocks"):
        made.cumsum(0)
    with pytest.raises(UnsupportedError, match="columns of a tensor that is larger than memory"):
        made[..., 1:3]
    with pytest.raises(UnsupportedError, match=r"not broadcast: \[1, 5, 6\] to \[7, 5, 6\]"):
        made + made[:1]


@pytest.mark.parametrize("geometry", ["circle", "helix"])
def test_operators_in_slabs(space: Space, geometry: str) -> None:
    orbit = {"source_to_origin": 60, "source_to_detector": 90, "angles": sg.full_scan(9, 0.1)}
    detector = sg.FlatDetector((26, 24), (1.5, 1.4))
    scan = (
        sg.ConeBeam.circular(**orbit, detector=detector)
        if geometry == "circle"
        else sg.ConeBeam.helical(**orbit, detector=detector, pitch=15.0)
    )
    operator = sg.XRayTransform(scan, sg.Grid((18, 12, 14), 1.0))
    slabs = InSlabs(operator, "cpu", memory=25_000)
    x, y = torch.randn(operator.domain_shape), torch.randn(operator.range_shape)
    for ours, given in ((slabs, x), (slabs.T, y), (slabs.subset(slice(1, None, 3)), x)):
        found = ours(kept(space, given))
        assert isinstance(found, StoredTensor)
        assert torch.equal(found.read(), ours(given))
