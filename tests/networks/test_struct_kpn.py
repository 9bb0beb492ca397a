"""StructKPN. Truth: the published count, the whole softmax and a loop over pixels, the range of neighbours, memory."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import sinograd as sg
from sinograd.errors import InputError, InputTypeError
from sinograd.models import NetworkDenoiser
from sinograd.networks import StructKPN
from sinograd.networks import struct_kpn as module_under_test
from sinograd.networks.struct_kpn import softmax_filter


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=generator(seed), dtype=torch.float64)


def network(**options: Any) -> StructKPN:
    """A small one whose kernels are not near even."""
    made = StructKPN(**{"kernel": 5, "channels": 6, "blocks": 2, **options}, generator=generator()).double()
    with torch.no_grad():
        for p in made.predictor.parameters():
            p.mul_(6.0)
    return made


def test_published_parameter_count() -> None:
    made = sg.networks.StructKPN()
    parts = (made.first, made.blocks[0], made.predictor, made)
    counts = [sum(p.numel() for p in part.parameters()) for part in parts]
    assert counts == [880 + 69_784, 69_872, 39_249 + 194_922, 1_981_763]


def test_forward_written_out() -> None:
    """Figure 1, with all kernels at once and a loop over pixels for equation 1, turned; mirrored edges."""
    made, x = network(), images(2, 1, 7, 9)
    w = made.state_dict()

    def conv(name: str, y: Tensor, **options: int) -> Tensor:
        return F.conv2d(y, w[f"{name}.weight"], w[f"{name}.bias"], **options)

    y = conv("first.2", F.relu(conv("first.0", x, padding=1)), padding=1)
    for i in range(2):
        z = F.relu(conv(f"blocks.{i}.layers.0", y, padding=1, groups=2))
        y = y + conv(f"blocks.{i}.layers.2", z, padding=1, groups=2)
    weights = conv("predictor.2", F.relu(conv("predictor.0", y))).softmax(1)
    around = F.pad(x, (2, 2, 2, 2), mode="reflect")
    expected = torch.zeros_like(x)
    for b, m, n in itertools.product(range(2), range(7), range(9)):
        kernel = weights[b, :, m, n].reshape(5, 5)
        expected[b, 0, m, n] = (kernel * around[b, 0, m : m + 5, n : n + 5]).sum()
    torch.testing.assert_close(made(x), expected)
    torch.testing.assert_close(made.kernels(x, 3, 8), weights[:, :, 3, 8].reshape(2, 5, 5))
    assert (weights.amax(1) > 0.1).any(), "the kernels are even"


def test_rows_at_a_time_and_blocks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is computed again: the same images, the same gradients."""
    made, x = network(blocks=3), images(1, 1, 13, 8)

    def run() -> list[Tensor]:
        made.zero_grad()
        values = x.clone().requires_grad_()
        y = made(values)
        (y**2).sum().backward()
        assert values.grad is not None
        return [y.detach(), values.grad, *(p.grad.clone() for p in made.parameters() if p.grad is not None)]

    expected = run()
    monkeypatch.setattr(module_under_test, "_TILE", 20)
    monkeypatch.setattr(module_under_test, "_LARGE", 1)
    monkeypatch.setattr(module_under_test, "_SEGMENT", 2)
    for found, wanted in zip(run(), expected, strict=True):
        torch.testing.assert_close(found, wanted)
    with torch.no_grad():
        torch.testing.assert_close(made(x), expected[0])


def test_the_output_stays_in_the_range_of_the_window() -> None:
    """Of each pixel's neighbours, whatever the weights: no pixel is invented, metal does not overflow."""
    made, x = network(), images(1, 1, 24, 24)
    x[0, 0, 3, 4] = 60.0
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(3.0)
        y = made(x)
    around = F.pad(x, (2, 2, 2, 2), mode="reflect")
    highest, lowest = F.max_pool2d(around, 5, 1), -F.max_pool2d(-around, 5, 1)
    assert bool((y <= highest + 1e-9).all()) and bool((y >= lowest - 1e-9).all())


def test_a_constant_stays() -> None:
    with torch.no_grad():
        torch.testing.assert_close(
            network()(torch.full((1, 1, 9, 9), 0.3).double()), torch.full((1, 1, 9, 9), 0.3).double()
        )


def test_gradients_of_the_filter() -> None:
    logits, around = (3 * images(1, 9, 3, 2)).requires_grad_(), images(1, 5, 4).requires_grad_()
    assert torch.autograd.gradcheck(softmax_filter, (logits, around))
    assert torch.autograd.gradgradcheck(softmax_filter, (logits, around))


def test_neighbouring_slices_as_channels() -> None:
    """The middle one is filtered; volumes take each slice with its neighbours, the outermost repeated."""
    made, volume = network(slices=3).eval(), images(1, 1, 4, 8, 8)
    stacks = F.pad(volume, (0, 0, 0, 0, 1, 1), mode="replicate")[:, 0]
    with torch.no_grad():
        expected = torch.stack([made(stacks[:, i : i + 3])[:, 0] for i in range(4)], 1)[:, None]
        torch.testing.assert_close(made.volumes(volume), expected)
        model = NetworkDenoiser(made, 0.1, 2.0)
        torch.testing.assert_close(model(volume[0, 0]), made.volumes((volume - 0.1) / 2)[0, 0] * 2 + 0.1)
        assert (model.ndim, model.reach) == (3, 1)
        assert made.train().volumes(volume).shape == (1, 1, 2, 8, 8)
    with pytest.raises(InputError, match=r"x: expected images \[B, 3, Y, X\], got \[1, 1, 8, 8\]"):
        made(images(1, 1, 8, 8))
    with pytest.raises(InputError, match=r"x: expected at least 3 slices in training, got \[1, 1, 2, 8, 8\]"):
        made.volumes(volume[:, :, :2])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kernel": 4}, "kernel: expected an odd number of at least 1, got 4"),
        ({"channels": 5}, "channels: expected an even number of at least 2, got 5"),
        ({"blocks": 0}, "blocks: expected at least 1, got 0"),
        ({"slices": 2}, "slices: expected an odd number of at least 1, got 2"),
    ],
)
def test_wrong_options(options: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        StructKPN(**options)


def test_bad_input() -> None:
    made = network().float()
    with pytest.raises(InputError, match=r"expected images \[B, 1, Y, X\], got \[1, 1, 15, 8, 8\]"):
        made(torch.zeros(1, 1, 15, 8, 8))
    with pytest.raises(InputTypeError, match="floating point"):
        made(torch.zeros(1, 1, 8, 8, dtype=torch.int64))
    with pytest.raises(InputError, match=r"row, column: expected a pixel of 8 x 8, got \(8, 0\)"):
        made.kernels(torch.zeros(1, 1, 8, 8), 8, 0)
    with pytest.raises(InputError, match=r"around: expected \[1, 5, 6\] for 9 = 3\^2 weights, got \[1, 3, 4\]"):
        softmax_filter(torch.zeros(1, 9, 3, 4), torch.zeros(1, 3, 4))


MEMORY = """
import re, sys, torch
import sinograd as sg
torch.set_num_threads(1)
size, channels, blocks, train = map(int, sys.argv[1:])
network = sg.networks.StructKPN(channels=channels, blocks=blocks)
x = torch.rand(1, 1, size, size)
kilobytes = lambda name: int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
before = kilobytes("VmRSS")
with torch.set_grad_enabled(bool(train)):
    y = network(x)
    if train:
        y.sum().backward()
print((kilobytes("VmHWM") - before) / 1024)  # of this program alone, as ru_maxrss is not: it counts the parent
"""


def megabytes(size: int, channels: int, blocks: int, *, train: bool) -> float:
    """By how much the memory of a new process grows."""
    command = [sys.executable, "-c", MEMORY, *map(str, (size, channels, blocks, int(train)))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read as Linux counts it")
def test_memory_is_bounded() -> None:
    """The 441 maps of 320^2 pixels are 181 MB, two of which are needed at once, 382 MB in all, where rows are not taken
    a few at a time; two channels and one block leave little else."""
    assert megabytes(320, 2, 1, train=False) < 350


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read as Linux counts it")
def test_a_slice_of_512() -> None:
    """Below 1 GB to denoise; to train, below 4 GB (the maps alone, kept for the gradients, would be 1.8 GB)."""
    assert megabytes(512, 88, 24, train=False) < 1000
    assert megabytes(512, 88, 24, train=True) < 4000


def fits(network: torch.nn.Module, rate: float, steps: int) -> list[float]:
    """Errors over the input's while four disks in noise of 0.5 are learnt."""
    axis, drawn = torch.linspace(-1, 1, 32), generator()
    centers = torch.rand(4, 2, 1, 1, generator=drawn) - 0.5
    radii = 0.3 + 0.4 * torch.rand(4, 1, 1, generator=drawn)
    clean = ((axis - centers[:, 0]) ** 2 + (axis[:, None] - centers[:, 1]) ** 2 < radii**2).float()[:, None]
    noisy = clean + 0.5 * torch.randn(clean.shape, generator=drawn)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    errors, of_input = [], (noisy - clean).square().mean()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (network(noisy) - clean).square().mean()
        loss.backward()
        optimizer.step()
        errors.append((loss / of_input).item())
        if errors[-1] < 0.2:
            break
    return errors


def test_a_small_one_learns() -> None:
    """Four blocks of 24 channels: from means of 21 x 21, 0.38 of the input's error, below 0.2 of it in 40 steps."""
    errors = fits(StructKPN(channels=24, blocks=4, generator=generator()), 2e-3, 40)
    assert errors[0] > 0.3 and errors[-1] < 0.2, errors


@pytest.mark.slow
def test_it_learns() -> None:
    """The published one, within 20 steps of Adam."""
    errors = fits(StructKPN(generator=generator()), 5e-4, 20)
    assert errors[0] > 0.3 and errors[-1] < 0.2, errors
