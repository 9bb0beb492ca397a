"""JBFnet. Truth: the published forward pass written out with a convolution for each neighbourhood, loops, the reach."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import sinograd as sg
from sinograd.errors import InputError, InputTypeError
from sinograd.models import NetworkDenoiser
from sinograd.models.slabs import filter_in_place
from sinograd.networks import JBFNet
from sinograd.networks import jbfnet as module_under_test
from sinograd.networks.jbfnet import JointBilateralFilter, Prior, filtered


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(blocks: int = 4, channels: int = 4, *, spread: float = 0.1) -> JBFNet:
    """A small one whose kernels are no means any more."""
    made = JBFNet(blocks, channels, generator=generator()).double()
    with torch.no_grad():
        for p in made.parameters():
            p.add_(spread * torch.randn(p.shape, generator=generator(p.numel()), dtype=torch.float64))
    return made


def stack(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=generator(seed), dtype=torch.float64)


def test_published_parameter_count() -> None:
    made = sg.networks.JBFNet()
    counts = [sum(p.numel() for p in part.parameters()) for part in (made, made.prior, *made.blocks, *made.additions)]
    assert counts == [118_697, 118_209, 112, 112, 112, 112, 10, 10, 10, 10]


def written_out(made: JBFNet, x: Tensor) -> list[Tensor]:
    """The prior's middle and what each block gives, as in the authors' code (each block with its own kernels)."""

    def leaky(y: Tensor) -> Tensor:
        return F.leaky_relu(y, 0.01)

    down, mix, up = (list(layers) for layers in (made.prior.down, made.prior.mix, made.prior.up))
    first = leaky(down[0](x))
    second = leaky(down[1](first))
    third = leaky(down[2](second))
    y = leaky(up[0](leaky(down[3](third))))
    y = leaky(up[1](leaky(mix[0](torch.cat([y, third[:, :, 1:-1]], 1)))))
    y = leaky(up[2](leaky(mix[1](torch.cat([y, second[:, :, 2:-2]], 1)))))
    guide = up[3](leaky(mix[2](torch.cat([y, first[:, :, 3:-3]], 1))))
    assert guide.shape[2] == 7
    results = [guide[:, :, 3:4]]
    around = F.pad(guide, (3, 3, 3, 3)).unfold(2, 7, 1).unfold(3, 7, 1).unfold(4, 7, 1).reshape(-1, 1, 7, 7, 7)
    differences = (around - around[:, :, 3:4, 3:4, 3:4].clone()).abs()
    distances = torch.tensor(
        [math.dist(p, (3, 3, 3)) for p in itertools.product(range(7), repeat=3)], dtype=torch.float64
    )
    distances = distances.reshape(1, 1, 7, 7, 7)
    x, noisy = x[:, :, 6:9], x
    for block, add in zip(made.blocks, made.additions, strict=True):
        kernels = []
        for values, layers in ((differences, block.range_kernel), (distances, block.domain_kernel)):
            one, two = layers  # type: ignore[misc]
            kernels.append(F.relu(two(F.relu(one(values)))))
        weights = kernels[0] * kernels[1] + 1e-10
        parts = F.pad(x, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1).unfold(4, 3, 1).reshape(-1, 1, 3, 3, 3)
        y = (weights * parts).flatten(1).sum(1) / weights.flatten(1).sum(1)
        y = F.relu(y.reshape(results[0].shape))
        change = y - noisy[:, :, 7:8]
        y = F.relu(y + add(change) * change)
        results.append(y)
        x = torch.cat([noisy[:, :, 6:7], y, noisy[:, :, 8:9]], 2)
    return results


def test_forward_written_out() -> None:
    made, x = network(), stack(2, 1, 15, 12, 10)
    expected = written_out(made, x)
    result, stages = made.with_stages(x)
    assert result.shape == (2, 1, 1, 12, 10) and len(stages) == 4
    for found, wanted in zip((*stages, result), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(made(x), result, rtol=0, atol=0)
    assert (result - x[:, :, 7:8]).abs().max() > 0.05


def test_volumes_are_their_stacks() -> None:
    """Each slice of a volume is the middle of its fifteen; the first and last are repeated; in training without."""
    made, volume = network(channels=3), stack(1, 1, 4, 10, 9)
    longer = F.pad(volume, (0, 0, 0, 0, 7, 7), mode="replicate")
    expected = torch.cat([made(longer[:, :, i : i + 15]) for i in range(4)], 2)
    torch.testing.assert_close(made.eval().volumes(volume), expected)
    torch.testing.assert_close(made.train().volumes(longer), expected)
    model = NetworkDenoiser(made.eval(), 0.25, 2.0)
    with torch.no_grad():
        inside = made.volumes((volume - 0.25) / 2) * 2 + 0.25
        torch.testing.assert_close(model(volume[0, 0]), inside[0, 0])
        tall = stack(20, 9, 9)
        expected = model(tall)
        torch.testing.assert_close(filter_in_place(model, tall.clone(), slab_bytes=1), expected)


def test_rows_by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without gradients in tiles, the same numbers."""
    made, x = network(channels=3), stack(1, 1, 15, 11, 10)
    expected = made(x).detach()
    monkeypatch.setattr(module_under_test, "_TILE", 25)
    with torch.no_grad():
        torch.testing.assert_close(made(x), expected)


def test_a_voxel_depends_on_18_around() -> None:
    """And on seven slices each way; no voxel further away."""
    made, x = network(channels=2), torch.full((1, 1, 15, 43, 43), 0.5, dtype=torch.float64)
    x = (x + 0.1 * stack(1, 1, 15, 43, 43)).requires_grad_()
    made(x)[0, 0, 0, 21, 21].backward()
    assert x.grad is not None
    places = x.grad[0, 0].nonzero()
    assert places.amin(0).tolist() == [0, 3, 3] and places.amax(0).tolist() == [14, 39, 39]
    assert JBFNet.reach == (7, 18, 18) and JBFNet.margin == (7, 0, 0)


def test_a_filter_is_a_loop() -> None:
    """sum of w x over the 27 neighbours, zeros beyond the edge; constants stay inside where no neighbour is missing."""
    above, x, below = (stack(1, 1, 2, 3, 4, seed=seed) for seed in range(3))
    weights = stack(1, 2, 3, 4, 27, seed=9)
    expected = torch.zeros(1, 1, 2, 3, 4, dtype=torch.float64)
    for z, y, c in itertools.product(range(2), range(3), range(4)):
        for i, (dz, dy, dx) in enumerate(itertools.product((-1, 0, 1), repeat=3)):
            if 0 <= y + dy < 3 and 0 <= c + dx < 4:
                source = (above, x, below)[dz + 1]
                expected[0, 0, z, y, c] += weights[0, z, y, c, i] * source[0, 0, z, y + dy, c + dx]
    torch.testing.assert_close(filtered(above, x, below, weights), expected)


def test_weights_sum_to_one() -> None:
    block = JointBilateralFilter().double()
    weights = block(stack(5, 343))
    torch.testing.assert_close(weights.sum(-1), torch.ones(5, dtype=torch.float64))
    assert bool((weights >= 0).all())


def test_gradients_of_the_kernels() -> None:
    """Of the parts made by hand, in float64; away from the ReLUs' corners."""
    block = JointBilateralFilter().double()
    with torch.no_grad():
        for layer in block.modules():
            if isinstance(layer, torch.nn.Conv3d):
                layer.weight.uniform_(0.01, 0.05, generator=generator())
                layer.bias.fill_(0.3)  # type: ignore[union-attr]
    x = stack(2, 343).requires_grad_()
    assert torch.autograd.gradcheck(block, x)
    values = [stack(1, 1, 1, 2, 3, seed=seed).requires_grad_() for seed in range(3)]
    assert torch.autograd.gradcheck(filtered, (*values, stack(1, 1, 2, 3, 27).requires_grad_()))


def test_starting_filters_are_near_means_and_alive() -> None:
    """All weights within a half of 1/27, and gradients in every kernel, whatever the seed."""
    differences = 0.05 * stack(50, 343).float()
    for seed in range(20):
        made = JBFNet(generator=generator(seed))
        for block in made.blocks:
            weights = block(differences)
            assert float((27 * weights.detach() - 1).abs().max()) < 0.5
            block.zero_grad()
            (weights[:, 0] ** 2).sum().backward()
            assert all(bool(p.grad.any()) for p in block.parameters() if p.grad is not None)


def test_the_prior_needs_its_margin() -> None:
    assert Prior(2)(torch.zeros(1, 1, 15, 9, 9)).shape == (1, 1, 7, 9, 9)


@pytest.mark.parametrize("slices", [1, 7, 14, 16, 31])
def test_fifteen_slices(slices: int) -> None:
    with pytest.raises(InputError, match=rf"x: expected 15 slices \[B, 1, 15, Y, X\], got \[1, 1, {slices}, 8, 8\]"):
        JBFNet(1, 2)(torch.zeros(1, 1, slices, 8, 8))


def test_bad_input() -> None:
    made = JBFNet(1, 2)
    for shape in ((1, 15, 8, 8), (1, 2, 15, 8, 8), (0, 1, 15, 8, 8), (15, 8, 8)):
        with pytest.raises(InputError, match=r"x: expected volumes \[B, 1, Z, Y, X\], got"):
            made(torch.zeros(shape))
    with pytest.raises(InputTypeError, match="floating point"):
        made(torch.zeros(1, 1, 15, 8, 8, dtype=torch.int64))
    with pytest.raises(InputError, match=r"x: expected at least 15 slices in training, got \[1, 1, 14, 8, 8\]"):
        made.train().volumes(torch.zeros(1, 1, 14, 8, 8))
    for options in ({"blocks": 0}, {"channels": 0}):
        with pytest.raises(InputError, match=f"{next(iter(options))}: expected at least 1, got 0"):
            JBFNet(**options)


def test_it_learns_two_stacks() -> None:
    """Disks in noise of 0.5: below a fifth of the input's error within 40 steps of Adam."""
    axis, drawn = torch.linspace(-1, 1, 24), generator()
    disks = [(axis - a) ** 2 + (axis[:, None] - b) ** 2 < r**2 for a, b, r in ((0.1, -0.2, 0.7), (-0.2, 0.1, 0.5))]
    clean = torch.stack(disks).float()[:, None, None].expand(2, 1, 15, 24, 24)
    noisy = clean + 0.5 * torch.randn(clean.shape, generator=drawn)
    made = JBFNet(generator=generator())
    optimizer = torch.optim.Adam(made.parameters(), lr=3e-3)
    target, error = clean[:, :, 7:8], float((noisy - clean).square().mean())
    errors = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = (made(noisy) - target).square().mean()
        loss.backward()
        optimizer.step()
        errors.append(loss.item() / error)
        if errors[-1] < 0.2:
            break
    assert errors[-1] < 0.2, errors
