"""The networks. Truth: published parameter counts, forward passes written out again, double loops."""

from __future__ import annotations

import io
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sinograd.networks import CNN10, NETWORKS, QAE, REDCNN, Noise2NoiseUNet
from sinograd.networks.dncnn import DnCNN
from sinograd.networks.network import padded
from sinograd.networks.qae import QuadraticConvolution
from sinograd.networks.resnet import ResNet

COUNTS = {
    "cnn-10": 24_513,
    "dncnn": 556_096,
    "dugan": 185_569,
    "jbfnet": 118_697,
    "nn-sp": 45_345,
    "noise2noise-unet": 988_609,
    "qae": 137_658,
    "red-cnn": 1_848_865,
    "resnet": 1_843_329,
    "structkpn": 1_981_763,
    "wavresnet": 4_172_175,
    "wgan-vgg": 56_097,
}

# Learning rate, decay rates of Adam's means, pairs in a step (in turn), and steps after which the error of the fixed
# pairs is below a fifth.
FITS: dict[str, tuple[float, tuple[float, float], int, int]] = {
    "cnn-10": (2e-3, (0.9, 0.999), 4, 30),
    "dncnn": (1e-3, (0.9, 0.999), 4, 30),
    "dugan": (1e-3, (0.6, 0.95), 1, 60),
    "noise2noise-unet": (1e-3, (0.9, 0.999), 4, 30),
    "qae": (1e-3, (0.6, 0.9), 4, 60),
    "red-cnn": (2e-4, (0.6, 0.95), 1, 120),
    "resnet": (1e-3, (0.9, 0.999), 4, 30),
    "wgan-vgg": (1e-3, (0.9, 0.999), 4, 30),
}


IMAGE_NETWORKS = [name for name in NETWORKS if NETWORKS.load(name).ndim == 2]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(name: str, **options: Any) -> nn.Module:
    return NETWORKS.load(name)(**options, generator=generator())


def fixed_pairs() -> tuple[Tensor, Tensor]:
    """Disks of value 1 and the same with white noise of 0.5, [4, 1, 32, 32]; the mean of all leaves half the error."""
    drawn, axis = generator(), torch.linspace(-1, 1, 32)
    centers = torch.rand(4, 2, 1, 1, generator=drawn) - 0.5
    radii = 0.3 + 0.4 * torch.rand(4, 1, 1, generator=drawn)
    clean = ((axis - centers[:, 0]) ** 2 + (axis[:, None] - centers[:, 1]) ** 2 < radii**2).float()[:, None]
    return clean + 0.5 * torch.randn(clean.shape, generator=drawn), clean


@pytest.mark.parametrize("name", NETWORKS)
def test_published_parameter_counts(name: str) -> None:
    assert sum(p.numel() for p in make(name).parameters()) == COUNTS[name]


def test_other_published_sizes() -> None:
    """The QAE of the public code has 3 x 3 kernels; options build the same network again."""
    assert sum(p.numel() for p in QAE(kernel=3).parameters()) == 49_818
    for network in (CNN10(), REDCNN(8, final_relu=True), QAE(3, 4), Noise2NoiseUNet(5)):
        again = type(network)(**network.options)
        assert repr(again) == repr(network) and again.options == network.options


@pytest.mark.parametrize("name", IMAGE_NETWORKS)
def test_images_of_any_size(name: str) -> None:
    network = make(name).eval()
    with torch.no_grad():
        for shape in ((1, 1, 1, 1), (2, 1, 37, 5), (1, 1, 33, 64)):
            assert network(torch.rand(shape)).shape == shape


@pytest.mark.parametrize("name", FITS)
def test_it_learns_four_pairs(name: str) -> None:
    rate, betas, at_once, steps = FITS[name]
    network = make(name, **({"blocks": 3, "channels": 32} if name == "resnet" else {}))
    noisy, clean = fixed_pairs()
    optimizer = torch.optim.Adam(network.parameters(), lr=rate, betas=betas)
    allowed = 0.2 * (noisy - clean).square().mean().item()
    errors = []
    for step in range(steps):
        used = torch.arange(step * at_once, (step + 1) * at_once) % 4
        optimizer.zero_grad()
        (network(noisy[used]) - clean[used]).square().mean().backward()
        optimizer.step()
        if step % 5 == 4:
            with torch.no_grad():
                errors.append((network(noisy) - clean).square().mean().item())
            if errors[-1] < allowed:
                break
    assert errors[-1] < allowed, errors


@pytest.mark.parametrize("name", IMAGE_NETWORKS)
def test_state_dict_and_generator(name: str) -> None:
    """Bit for bit through a file; the generator decides about starting values, and the global one is left alone."""
    small: dict[str, Any] = {"red-cnn": {"channels": 6}, "noise2noise-unet": {"features": 6}}.get(name, {})
    network, x = make(name, **small), torch.rand(1, 1, 24, 24)
    for one, other in zip(network.parameters(), make(name, **small).parameters(), strict=True):
        assert torch.equal(one, other)
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    again = NETWORKS.load(name)(**small, generator=generator(1))
    with torch.no_grad():
        assert not torch.equal(again(x), network(x))
        again.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(again(x), network(x))


@pytest.mark.parametrize("name", IMAGE_NETWORKS)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # torch's own
def test_export(name: str) -> None:
    network, x = make(name).eval(), torch.rand(1, 1, 24, 40)
    exported = torch.export.export(network, (x,))
    with torch.no_grad():
        torch.testing.assert_close(exported.module()(x), network(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "reach"), [("cnn-10", 7), ("red-cnn", 20), ("qae", 20), ("dncnn", 17)])
def test_how_far_a_pixel_reaches(name: str, reach: int) -> None:
    small: dict[str, Any] = {"red-cnn": {"channels": 8}, "qae": {"channels": 6}}.get(name, {})
    network, x = make(name, **small).double().eval(), torch.rand(1, 1, 49, 49, dtype=torch.float64)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(network(x)[0, 0, 24, 24], x)
    rows, columns = gradient[0, 0].nonzero().T
    for places in (rows, columns):
        assert 24 - reach <= int(places.min()) and int(places.max()) <= 24 + reach
    network = make(name, **small).double().eval()
    with torch.no_grad():
        for p in network.parameters():
            p.abs_().mul_(0.1 if p.ndim == 4 else 1.0)  # no ReLU is closed
    (gradient,) = torch.autograd.grad(network(x)[0, 0, 24, 24], x)
    rows, columns = gradient[0, 0].nonzero().T
    assert (int(rows.min()), int(columns.max())) == (24 - reach, 24 + reach)


def test_red_cnn_is_the_published_one() -> None:
    """The forward pass of SSinyu/RED-CNN and ldct-benchmark, written out."""
    network = REDCNN(4, generator=generator()).double()
    x = torch.rand(2, 1, 30, 27, dtype=torch.float64)
    c, t = list(network.encoder), list(network.decoder)
    first = F.relu(c[0](x))
    second = F.relu(c[1](first))
    fourth = F.relu(c[3](F.relu(c[2](second))))
    y = F.relu(t[0](F.relu(c[4](fourth))) + fourth)
    y = F.relu(t[2](F.relu(t[1](y))) + second)
    y = t[4](F.relu(t[3](y))) + x
    torch.testing.assert_close(network(x), y)
    network.final_relu = True
    torch.testing.assert_close(network(x - 0.5), F.relu(network(x - 0.5)))


def normalised(network: nn.Module) -> nn.Module:
    """A network in evaluation whose batch normalisations are no identities."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var):
                assert isinstance(values, Tensor)
                values.copy_(0.5 + torch.rand(values.shape, generator=generator(values.numel())))
    return network.eval()


def norm(layer: nn.Module, y: Tensor, epsilon: float) -> Tensor:
    """(y - mean) / sqrt(variance + epsilon) * weight + bias, of each channel."""
    mean, variance, weight, bias = (
        values[:, None, None] for values in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
    )  # type: ignore[misc]
    return (y - mean) / (variance + epsilon).sqrt() * weight + bias  # type: ignore[operator]


def test_dncnn_is_the_published_one() -> None:
    """Conv + ReLU, conv + batch normalisation + ReLU, conv, subtracted; KAIR's count without normalisation."""
    network = normalised(DnCNN(4, 3, generator=generator()).double())
    x = torch.rand(2, 1, 9, 8, dtype=torch.float64)
    y = F.relu(F.conv2d(x, network.first.weight, network.first.bias, padding=1))  # type: ignore[union-attr]
    for convolution, layer in network.middle:  # type: ignore[union-attr]
        y = F.relu(norm(layer, F.conv2d(y, convolution.weight, padding=1), 1e-4))
    torch.testing.assert_close(network(x), x - F.conv2d(y, network.last.weight, padding=1))  # type: ignore[union-attr]
    folded = COUNTS["dncnn"] - 15 * 128 + 15 * 64 + 1  # biases instead of normalisations
    assert folded == 555_137
    assert sum(p.numel() for p in DnCNN(20).parameters()) == COUNTS["dncnn"] + 3 * (64 * 64 * 9 + 128)


def test_resnet_is_the_published_one() -> None:
    """The forward pass of ldct-benchmark, written out."""
    network = normalised(ResNet(2, 16, generator=generator()).double())
    x = torch.rand(2, 1, 9, 8, dtype=torch.float64)
    y = F.conv2d(x, network.first.weight, network.first.bias, padding=4)  # type: ignore[union-attr]
    for wide, first, _, grouped, second, _, single in network.blocks:  # type: ignore[union-attr]
        z = F.relu(norm(first, F.conv2d(y, wide.weight, wide.bias, padding=1), 1e-5))
        parts = zip(z.chunk(8, 1), grouped.weight.chunk(8), grouped.bias.chunk(8), strict=True)
        z = torch.cat([F.conv2d(part, weight, bias, padding=1) for part, weight, bias in parts], 1)
        z = F.relu(norm(second, z, 1e-5))
        y = y + torch.einsum("oi, biyx -> boyx", single.weight[..., 0, 0], z) + single.bias[:, None, None]
    expected = x - F.conv2d(y, network.last.weight, network.last.bias, padding=1)  # type: ignore[union-attr]
    torch.testing.assert_close(network(x), expected)


def test_qae_is_the_published_one() -> None:
    network = QAE(3, 4, generator=generator()).double()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator(2), dtype=torch.float64))
    x = torch.rand(2, 1, 12, 11, dtype=torch.float64)
    e, d = list(network.encoder), list(network.decoder)
    second = F.relu(e[1](F.relu(e[0](x))))
    fourth = F.relu(e[3](F.relu(e[2](second))))
    y = F.relu(d[0](F.relu(e[4](fourth))) + fourth)
    y = F.relu(d[2](F.relu(d[1](y))) + second)
    torch.testing.assert_close(network(x), d[4](F.relu(d[3](y))) + x)


def test_quadratic_neurons() -> None:
    """(w_r x + b_r)(w_g x + b_g) + w_b x^2 + b_b in a double loop."""
    layer = QuadraticConvolution(2, 3, 3, padding=1).double()
    for p in layer.parameters():
        nn.init.normal_(p, generator=generator(p.numel()))
    x = torch.rand(1, 2, 4, 5, dtype=torch.float64)
    around = F.pad(x, (1, 1, 1, 1))[0]
    expected = torch.empty(1, 3, 4, 5, dtype=torch.float64)
    for k, row, column in itertools.product(range(3), range(4), range(5)):
        part = around[:, row : row + 3, column : column + 3]
        r, g, b = (
            (weight[k] * values).sum() + bias[k]
            for weight, bias, values in (
                (layer.weight_r, layer.bias_r, part),
                (layer.weight_g, layer.bias_g, part),
                (layer.weight_b, layer.bias_b, part**2),
            )
        )
        expected[0, k, row, column] = r * g + b
    torch.testing.assert_close(layer(x), expected)


def test_quadratic_layers_start_linear() -> None:
    layer = next(iter(QAE(generator=generator()).encoder))
    x = torch.rand(1, 1, 9, 9)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight_r, padding=2))  # type: ignore[arg-type]
    assert layer.weight_r.abs().max() <= 2 * 0.06  # type: ignore[operator]


def test_unet_is_the_published_one() -> None:
    """Table of Lehtinen et al., appendix A.1, level by level."""
    network = Noise2NoiseUNet(4, generator=generator()).double()
    x = torch.rand(1, 1, 64, 32, dtype=torch.float64)

    def conv(layer: nn.Module, y: Tensor) -> Tensor:
        return F.leaky_relu(layer(y), 0.1)

    def up(y: Tensor) -> Tensor:
        return y.repeat_interleave(2, -1).repeat_interleave(2, -2)

    e, d = list(network.encoder), [list(level) for level in network.decoder]  # type: ignore[call-overload]
    pool1 = F.max_pool2d(conv(e[1], conv(e[0], x)), 2)
    pool2 = F.max_pool2d(conv(e[2], pool1), 2)
    pool3 = F.max_pool2d(conv(e[3], pool2), 2)
    pool4 = F.max_pool2d(conv(e[4], pool3), 2)
    y = conv(e[6], F.max_pool2d(conv(e[5], pool4), 2))
    for level, kept in zip(d, (pool4, pool3, pool2, pool1), strict=True):
        y = conv(level[1], conv(level[0], torch.cat([up(y), kept], 1)))
    last = list(network.last)
    y = last[2](conv(last[1], conv(last[0], torch.cat([up(y), x], 1))))
    torch.testing.assert_close(network(x), y)


def test_he_starting_values_keep_the_variance() -> None:
    """2 / (1.01 fan-in) for slope 0.1, 1 / fan-in before the linear output, biases 0."""
    network = Noise2NoiseUNet(generator=generator())
    layer = network.decoder[1][0]  # type: ignore[index]
    assert layer.weight.var().item() == pytest.approx(2 / (1.01 * 144 * 9), rel=0.02)  # type: ignore[union-attr]
    assert network.last[2].weight.var().item() == pytest.approx(1 / (32 * 9), rel=0.2)  # type: ignore[arg-type]
    assert all(not p.any() for name, p in network.named_parameters() if name.endswith("bias"))


def test_padding_repeats_the_last_rows_and_columns() -> None:
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    assert padded(x, multiple=2).tolist() == [[[[0, 1, 2, 2], [3, 4, 5, 5]]]]
    assert padded(x, least=4)[0, 0, :, 3].tolist() == [2, 5, 5, 5]
    assert padded(x, least=2) is x


@pytest.mark.parametrize("name", IMAGE_NETWORKS)
def test_bad_input(name: str) -> None:
    network = make(name)
    for shape in ((8, 8), (1, 2, 8, 8), (0, 1, 8, 8)):
        with pytest.raises(ValueError, match=r"x: expected images \[B, 1, Y, X\], got"):
            network(torch.rand(shape))
    with pytest.raises(TypeError, match=r"x: expected floating point numbers, got torch\.int64"):
        network(torch.ones(1, 1, 8, 8, dtype=torch.int64))
    for options in ({"kernel": 4}, {"channels": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
            QAE(**options)
    for kind, options in (
        (DnCNN, {"layers": 2}),
        (DnCNN, {"channels": 0}),
        (ResNet, {"blocks": 0}),
        (ResNet, {"channels": 12}),
    ):
        with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
            kind(**options)
    for kind in (REDCNN, Noise2NoiseUNet):
        with pytest.raises(ValueError, match="expected at least 1, got 0"):
            kind(0)
