"""The contourlet transform and WavResNet. Truth: reconstruction, shifts, sines of known directions, the count."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import sinograd as sg
from sinograd.errors import InputError, InputTypeError
from sinograd.networks import WavResNet
from sinograd.networks.contourlets import BANDS, contourlets, from_contourlets


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


@pytest.mark.parametrize("size", [(64, 64), (55, 55), (40, 33), (5, 8), (1, 1)])
def test_perfect_reconstruction(size: tuple[int, int]) -> None:
    x = images(2, *size)
    bands = contourlets(x)
    assert bands.shape == (2, BANDS, *size)
    assert (from_contourlets(bands) - x).abs().max() < 1e-10
    single = x.float()
    assert (from_contourlets(contourlets(single)) - single).abs().max() < 1e-5


def test_shifts_shift_the_bands() -> None:
    """By any number of pixels: nothing is subsampled."""
    x = images(48, 40)
    for shift in ((1, 0), (0, 1), (3, -5), (17, 20)):
        torch.testing.assert_close(contourlets(x.roll(shift, (0, 1))), contourlets(x).roll(shift, (-2, -1)))


def test_filters_have_no_phase_and_keep_the_energy() -> None:
    """Of a point: symmetric about it; only the lowest band sees constants; the bands have the image's energy."""
    point = torch.zeros(128, 128, dtype=torch.float64)
    point[64, 64] = 1.0
    bands = contourlets(point)
    torch.testing.assert_close(bands[:, 1:, 1:], bands[:, 1:, 1:].flip(1, 2), rtol=0, atol=1e-12)
    assert contourlets(torch.ones(16, 16, dtype=torch.float64))[1:].abs().max() < 1e-12
    x = images(64, 48)
    torch.testing.assert_close(contourlets(x).square().sum(), x.square().sum())


def energies(angle: float, frequency: float) -> Tensor:
    """Share of each band in the energy of a sine with its wave vector at this angle from x towards y, in radians."""
    y, x = torch.meshgrid(*(torch.arange(256, dtype=torch.float64),) * 2, indexing="ij")
    window = torch.hann_window(256, periodic=False, dtype=torch.float64)
    wave = torch.cos(frequency * (x * math.cos(angle) + y * math.sin(angle))) * window * window[:, None]
    found = contourlets(wave).square().sum((-2, -1))
    return found / found.sum()


STEEP, FLAT = math.atan(2), math.atan(0.5)
EDGES = (0.0, FLAT, math.pi / 4, STEEP, math.pi / 2, math.pi - STEEP, 3 * math.pi / 4, math.pi - FLAT, math.pi)


def wedge(angle: float, count: int) -> int:
    """The number of the wedge: between lines of slope 0, 1/2, 1, 2 and vertical; four of two each; two fans."""
    number = sum(angle > edge for edge in EDGES) - 1
    return {8: number, 4: number // 2, 2: int(2 <= number < 6)}[count]


def test_a_rotating_sine_goes_through_the_directions() -> None:
    """Of the finest level each of the eight wedges has a band of its own, which is the strongest in all of it; four
    and two of the coarser ones."""
    for count, first, frequency in ((8, 7, 2.2), (4, 3, 1.1), (2, 1, 0.55)):
        owners: dict[int, set[int]] = {}
        for step in range(64):
            angle = (step + 0.5) * math.pi / 64
            if min(abs(angle - edge) for edge in EDGES) > math.radians(4):  # not between two of them
                shares = energies(angle, frequency)[first : first + count]
                owners.setdefault(wedge(angle, count), set()).add(int(shares.argmax()))
        assert all(len(bands) == 1 for bands in owners.values()), owners
        assert len(set.union(*owners.values())) == count, owners


def test_energy_lies_in_the_wedge() -> None:
    """In the middle of a wedge its band has more than half of the finest level's energy."""
    for one, other in itertools.pairwise(EDGES):
        shares = energies((one + other) / 2, 2.2)[7:]
        assert shares.max() > 0.5 * shares.sum(), (one, shares)


def test_scales() -> None:
    """A sine of high frequency in the finest level, of half in the next, of a quarter in the coarsest."""
    groups = ((0, 1), (1, 3), (3, 7), (7, 15))
    for frequency, expected in ((0.1, 0), (0.5, 1), (1.0, 2), (2.2, 3)):
        shares = energies(0.3, frequency)
        assert max(range(4), key=lambda i: float(shares[slice(*groups[i])].sum())) == expected, frequency


def test_gradients_of_the_transform() -> None:
    x = images(1, 6, 5).requires_grad_()
    assert torch.autograd.gradcheck(contourlets, x)
    assert torch.autograd.gradcheck(from_contourlets, contourlets(x).detach().requires_grad_())


def test_after_inference_mode_there_are_gradients() -> None:
    """What is kept between calls can be used by either."""
    with torch.inference_mode():
        contourlets(images(19, 23))
    x = images(19, 23).requires_grad_()
    contourlets(x).square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * x.detach())


def test_published_parameter_count() -> None:
    assert sum(p.numel() for p in sg.networks.WavResNet().parameters()) == 4_172_175


def test_forward_written_out() -> None:
    """In training, where batch normalisation is (y - mean) / sqrt(variance + 1e-5); image plus its changed bands."""
    made, x = WavResNet(6, 2, generator=generator()).double(), images(2, 1, 40, 37)
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator(p.numel()), dtype=torch.float64))

    def layers(parts: torch.nn.Module, y: Tensor) -> Tensor:
        for part in parts.children():
            if isinstance(part, torch.nn.Conv2d):
                y = F.conv2d(y, part.weight, part.bias, padding=1)
            elif isinstance(part, torch.nn.BatchNorm2d):
                mean, variance = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), unbiased=False, keepdim=True)
                y = (y - mean) / (variance + 1e-5).sqrt() * part.weight[:, None, None] + part.bias[:, None, None]
            else:
                y = F.relu(y)
        return y

    def mirrored(y: Tensor) -> Tensor:
        return F.pad(y, (32, 32, 32, 32), mode="reflect")

    y = layers(made.first, contourlets(mirrored(x)[:, 0])[..., 32:-32, 32:-32])
    kept = [y]
    for block in made.blocks:
        y = F.relu(layers(block, y) + y)
        kept.append(y)
    change = from_contourlets(mirrored(layers(made.last, torch.cat(kept, 1))))[:, None, 32:-32, 32:-32]
    torch.testing.assert_close(made(x), x + change)
    assert change.abs().max() > 0.01


def test_it_starts_near_the_identity() -> None:
    made, x = WavResNet(16, 2, generator=generator()), images(1, 1, 40, 40).float()
    assert (made(x) - x).abs().max() < 0.1 * x.std()


def test_neighbouring_slices_as_channels() -> None:
    made = WavResNet(4, 1, 3, generator=generator()).eval()
    assert made(images(2, 3, 20, 21).float()).shape == (2, 1, 20, 21)
    with torch.no_grad():
        assert made.volumes(images(1, 1, 5, 20, 20).float()).shape == (1, 1, 5, 20, 20)
    with pytest.raises(InputError, match=r"x: expected images \[B, 3, Y, X\], got \[1, 15, 8, 8\]"):
        made(torch.zeros(1, 15, 8, 8))
    with pytest.raises(InputTypeError, match="floating point"):
        made(torch.zeros(1, 3, 8, 8, dtype=torch.int64))
    for options in ({"channels": 0}, {"modules": 0}, {"slices": 2}):
        with pytest.raises(InputError, match=f"{next(iter(options))}: expected"):
            WavResNet(**options)


@pytest.mark.parametrize("name", ["adam", "sgd"])
@pytest.mark.parametrize("size", ["small", pytest.param("published", marks=pytest.mark.slow)])
def test_it_learns(name: str, size: str) -> None:
    """Four disks in noise of 0.5, seed 0: below a fifth of the input's error within 40 steps of Adam or SGD."""
    axis, drawn = torch.linspace(-1, 1, 32), generator()
    centers = torch.rand(4, 2, 1, 1, generator=drawn) - 0.5
    radii = 0.3 + 0.4 * torch.rand(4, 1, 1, generator=drawn)
    clean = ((axis - centers[:, 0]) ** 2 + (axis[:, None] - centers[:, 1]) ** 2 < radii**2).float()[:, None]
    noisy = clean + 0.5 * torch.randn(clean.shape, generator=drawn)
    made = WavResNet(*((24, 2) if size == "small" else ()), generator=generator())
    optimizer: torch.optim.Optimizer = torch.optim.Adam(made.parameters(), lr=2e-3)
    if name == "sgd":
        optimizer = torch.optim.SGD(made.parameters(), lr=1e-2, momentum=0.9)
    errors, of_input = [], (noisy - clean).square().mean()
    for _ in range(40):
        optimizer.zero_grad()
        loss = (made(noisy) - clean).square().mean()
        loss.backward()
        optimizer.step()
        errors.append((loss / of_input).item())
        if errors[-1] < 0.2:
            break
    assert errors[-1] < 0.2, errors
