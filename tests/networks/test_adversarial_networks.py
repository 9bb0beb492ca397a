"""WGAN-VGG and DU-GAN. Truth: published parameter counts, forward passes written out, eigenvalues."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import sinograd as sg
from sinograd.errors import InputError, InputTypeError
from sinograd.networks import DUGAN, WGANVGG, UNetDiscriminator, WGANVGGCritic
from sinograd.networks.unet_discriminator import sobel_magnitude


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_published_parameter_counts() -> None:
    """Of the generators; of the critic at 64^2, with which WGAN-VGG has the 7.8 million that Wagner et al. count."""
    assert count(sg.networks.WGANVGG()) == count(WGANVGG("wagner2022")) == 56_097
    assert count(WGANVGGCritic()) == 7_699_905
    assert count(sg.networks.DUGAN()) == 185_569
    assert count(DUGAN("ldct-benchmark")) == 1_848_865


def test_generator_of_wgan_vgg_written_out() -> None:
    """Eight convolutions, ReLU between; after the last one in one preset only. Names as published."""
    network, x = WGANVGG(generator=generator()).double(), images(2, 1, 13, 11)
    weights = network.state_dict()
    assert list(weights) == [f"net.{2 * i}.{part}" for i in range(8) for part in ("weight", "bias")]
    y = x
    for i in range(8):
        y = F.conv2d(y, weights[f"net.{2 * i}.weight"], weights[f"net.{2 * i}.bias"], padding=1)
        y = F.relu(y) if i < 7 else y
    torch.testing.assert_close(network(x), y)
    other = WGANVGG("wagner2022").double()
    other.load_state_dict(weights)
    torch.testing.assert_close(other(x), F.relu(y))
    assert other.non_negative and not network.non_negative


def test_critic_written_out() -> None:
    critic, x = WGANVGGCritic(33, generator=generator()).double(), images(3, 1, 33, 33)
    w = critic.state_dict()
    y = x
    for i, stride in enumerate((1, 2, 1, 2, 1, 2)):
        y = F.leaky_relu(F.conv2d(y, w[f"net.{2 * i}.weight"], w[f"net.{2 * i}.bias"], stride=stride), 0.01)
    y = F.leaky_relu(y.reshape(3, -1) @ w["fc1.weight"].T + w["fc1.bias"], 0.01) @ w["fc2.weight"].T + w["fc2.bias"]
    assert y.shape == (3, 1)
    torch.testing.assert_close(critic(x), y)


def test_the_smallest_patch_of_the_critic() -> None:
    assert WGANVGGCritic(29)(torch.zeros(1, 1, 29, 29)).shape == (1, 1)
    with pytest.raises(InputError, match="patch: expected at least 29 pixels, got 28"):
        WGANVGGCritic(28)


def test_a_critic_fed_another_patch_size() -> None:
    critic = WGANVGGCritic(32)
    for shape in ((1, 1, 64, 64), (1, 1, 32, 33), (1, 3, 32, 32), (0, 1, 32, 32), (32, 32)):
        with pytest.raises(InputError, match=r"x: expected patches \[B, 1, 32, 32\], got"):
            critic(torch.zeros(shape))
    with pytest.raises(InputTypeError, match="floating point"):
        critic(torch.zeros(1, 1, 32, 32, dtype=torch.int64))


def test_authors_generator_of_dugan_written_out() -> None:
    """Eleven layers down and up, each input added to what its twin gives, a ReLU everywhere."""
    network, x = DUGAN(channels=3, generator=generator()).double(), images(2, 1, 9, 14)
    encoder, decoder = list(network.encoder), list(network.decoder)
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(20)
    kept, y = [], x
    for layer in encoder:
        kept.append(y)
        y = F.relu(F.conv2d(y, layer.weight, layer.bias, padding=1))  # type: ignore[arg-type]
    for layer, skip in zip(decoder, kept[::-1], strict=True):
        flipped = layer.weight.transpose(0, 1).flip(2, 3)  # type: ignore[operator, union-attr]
        y = F.relu(F.conv2d(y, flipped, layer.bias, padding=1) + skip)  # type: ignore[arg-type]
    torch.testing.assert_close(network(x), y)
    assert len(encoder) == len(decoder) == 11 and network.non_negative
    assert not torch.equal(network(x), x.relu())


def test_dugan_starts_near_the_identity() -> None:
    """Weights of deviation 0.01, biases 0: of data that are not negative little is changed."""
    network, x = DUGAN(generator=generator()), images(1, 1, 32, 32).abs().float()
    assert torch.cat([p.flatten() for p in network.parameters() if p.ndim == 4]).std().item() == pytest.approx(
        0.01, 0.01
    )
    assert not any(p.any() for p in network.parameters() if p.ndim == 1)
    assert (network(x) - x).abs().max() < 0.01


def test_ldct_benchmarks_dugan_is_red_cnn() -> None:
    network, other = DUGAN("ldct-benchmark", 5, generator=generator()), sg.networks.REDCNN(5, generator=generator())
    x = images(2, 1, 25, 30).float()
    torch.testing.assert_close(network(x), other(x), rtol=0, atol=0)


def test_discriminator_written_out() -> None:
    """Two levels, in evaluation, weights divided by their largest singular value; sizes that 4 does not divide."""
    net = UNetDiscriminator(6, 2, generator=generator()).double()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=generator(p.numel()), dtype=torch.float64))
        for layer in net.modules():
            for _ in range(1000 if hasattr(layer, "parametrizations") else 0):
                _ = layer.weight  # a power iteration
    x = images(2, 1, 11, 14)
    net.eval()

    def conv(layer: nn.Module, y: Tensor, **options: int) -> Tensor:
        weight, bias = layer.weight, layer.bias
        assert isinstance(weight, Tensor) and isinstance(bias, Tensor)
        if "parametrizations" in dict(layer.named_children()):
            raw = layer.parametrizations.weight.original  # type: ignore[union-attr]
            weight = raw / torch.linalg.matrix_norm(raw.flatten(1), 2)  # type: ignore[union-attr, operator]
        return F.conv2d(y, weight, bias, **options)

    def double(layers: nn.Module, y: Tensor) -> Tensor:
        first, _, second, _ = layers  # type: ignore[misc]
        return F.leaky_relu(conv(second, F.leaky_relu(conv(first, y, padding=1), 0.2), padding=1), 0.2)

    def down(block: nn.Module, y: Tensor) -> tuple[Tensor, Tensor]:
        features = double(block.layers, y)  # type: ignore[arg-type]
        lower, short = conv(block.halving, features, stride=2, padding=1), conv(block.shortcut, y, stride=2)  # type: ignore[arg-type]
        grown = torch.zeros_like(short)
        grown[..., : lower.shape[-2], : lower.shape[-1]] = lower  # one row, one column may be missing, at the end
        return grown + short, features

    def up(block: nn.Module, y: Tensor, skip: Tensor) -> Tensor:
        y = F.interpolate(y, scale_factor=2, mode="bilinear")
        y = y[..., : skip.shape[-2], : skip.shape[-1]]
        return double(block.layers, torch.cat([y, skip], 1)) + conv(block.shortcut, y)  # type: ignore[arg-type]

    first, skip_1 = down(net.down[0], x)
    second, skip_2 = down(net.down[1], first)
    bottom = double(net.bottom.layers, second) + conv(net.bottom.shortcut, second)
    bottom = double(net.middle, bottom) + bottom
    of_image = F.leaky_relu(bottom, 0.2).mean((2, 3)) @ net.of_image.weight.T + net.of_image.bias
    assert first.shape[-2:] == (6, 7) and second.shape[-2:] == (3, 4)
    y = up(net.up[1], up(net.up[0], bottom, skip_2), skip_1)
    of_pixels = conv(net.of_pixels, y)
    found = net(x)
    assert found[0].shape == (2, 1) and found[1].shape == x.shape
    torch.testing.assert_close(found[0], of_image, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(found[1], of_pixels, rtol=1e-6, atol=1e-8)


def test_discriminator_of_the_paper() -> None:
    """64 to 512 channels, seven levels; spectral normalisation but where few channels enter or one leaves."""
    net = UNetDiscriminator(generator=generator())
    widths = [block.layers[0].out_channels for block in (*net.down, net.bottom)]  # type: ignore[union-attr, index]
    assert widths == [64, 128, 256, 512, 512, 512, 512]
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d):
            normalised = hasattr(layer, "parametrizations")
            assert normalised == (layer.in_channels > 4 and layer.out_channels != 1), name
    of_image, of_pixels = net(torch.randn(2, 1, 64, 64))
    assert of_image.shape == (2, 1) and of_pixels.shape == (2, 1, 64, 64)
    (of_image.sum() + of_pixels.sum()).backward()
    assert all(p.grad is not None for p in net.parameters())
    with pytest.raises(InputError, match="x: expected at least 33 x 33 pixels, got 32 x 64"):
        net(torch.zeros(1, 1, 32, 64))
    with pytest.raises(InputError, match=r"x: expected images \[B, 1, Y, X\]"):
        net(torch.zeros(1, 2, 64, 64))


def test_discriminators_follow_from_their_generator() -> None:
    """The first directions of the power iterations, too."""
    one, same = (UNetDiscriminator(5, 2, generator=generator()) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), same.state_dict().values(), strict=True))
    critics = [WGANVGGCritic(29, generator=generator(seed)).state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(critics[0][key], critics[1][key]) for key in critics[0])
    assert not torch.equal(critics[0]["fc1.weight"], critics[2]["fc1.weight"])


def test_sobel_magnitude() -> None:
    """2 for a ramp of 1 a pixel (kernels / 4), 0.01 where nothing changes: the root of epsilon."""
    ramp = torch.arange(8.0, dtype=torch.float64).expand(1, 1, 8, 8)
    inside = sobel_magnitude(ramp, 0.0)[..., 1:-1, 1:-1]
    torch.testing.assert_close(inside, torch.full_like(inside, 2.0))
    torch.testing.assert_close(sobel_magnitude(ramp.mT, 0.0)[..., 1:-1, 1:-1], inside)
    flat = sobel_magnitude(torch.ones(1, 1, 6, 6))[0, 0, 2, 2].item()
    assert flat == pytest.approx(0.01)
    x = images(1, 1, 5, 4).requires_grad_()
    assert torch.autograd.gradcheck(sobel_magnitude, x)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: WGANVGG("yang"), "preset: expected one of ldct-benchmark, wagner2022, got 'yang'"),  # type: ignore[arg-type]
        (lambda: WGANVGG(channels=0), "channels: expected at least 1, got 0"),
        (lambda: DUGAN("huang"), "preset: expected one of authors, ldct-benchmark, got 'huang'"),  # type: ignore[arg-type]
        (lambda: DUGAN(channels=0), "channels: expected at least 1, got 0"),
        (lambda: DUGAN(layers=0), "layers: expected at least 1, got 0"),
        (lambda: UNetDiscriminator(0), "channels: expected at least 1, got 0"),
        (lambda: UNetDiscriminator(4, 0), "levels: expected at least 1, got 0"),
    ],
)
def test_wrong_options(make: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()  # type: ignore[operator]
