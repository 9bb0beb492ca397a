"""The autoencoder, its losses and sampling. Truth: published sizes, torch's distributions, interpolation by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import l1_loss

from sinograd.errors import FormatError, InputError, InputTypeError, MissingFileError
from sinograd.invariance import (
    ConditionalFlow,
    ConditionalVAE,
    PatchCritic,
    Posterior,
    negative_elbo,
    perceptual,
    sample,
)
from sinograd.invariance.bottleneck_resnet import BottleneckResNet, load_imagenet
from sinograd.invariance.vae_loss import divergence
from sinograd.losses.adversarial import Wasserstein
from sinograd.losses.vgg import load_vgg


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def vae() -> ConditionalVAE:
    return ConditionalVAE("small", generator=seeded()).eval()


@pytest.fixture(scope="module")
def flow() -> ConditionalFlow:
    return ConditionalFlow(64, 1, 64, 2, hidden=32, embedding=16, generator=seeded(1)).eval()


def images(count: int = 2, seed: int = 0, size: int = 64) -> torch.Tensor:
    return torch.randn(count, 1, size, size, generator=seeded(seed))


def smooth(x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(x, 5, stride=1, padding=2)


def test_the_published_size() -> None:
    """The public code's: 108.9 million, of them 24.55 in the encoder; the critic 9.31 million."""
    with torch.device("meta"):
        vae, critic = ConditionalVAE(), PatchCritic()
    parts = [sum(each.numel() for each in part.parameters()) for part in (vae.encoder, vae.head, vae.decoder, critic)]
    assert parts[0] + parts[1] == 24_553_984 and parts[2] == 84_324_843 and sum(parts[:3]) == 108_878_827
    assert round(parts[3] / 1e6, 2) == 9.31
    assert (vae.size, vae.latent, vae.decoder.first) == (128, 256, 156)


@pytest.mark.slow
def test_a_step_and_a_round_trip_of_the_published_size() -> None:
    vae, x = ConditionalVAE(generator=seeded()), images(2, size=128)
    optimizer = torch.optim.Adam(vae.parameters(), 1e-5, betas=(0.5, 0.999))
    reconstruction, posterior = vae(x, smooth(x), seeded())
    negative_elbo(x, reconstruction, posterior).backward()
    optimizer.step()
    with torch.no_grad():
        again = vae.eval().decode(vae.encode(x, smooth(x)).mean, smooth(x))
    assert again.shape == x.shape and torch.isfinite(again).all()


def test_the_encoder_has_the_names_and_shapes_of_torchvision() -> None:
    with torch.device("meta"):
        state = BottleneckResNet(3).state_dict()
    assert state["layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1)
    assert state["layer4.2.conv2.weight"].shape == (512, 512, 3, 3)
    assert state["layer3.5.bn3.running_var"].shape == (1024,)
    learnt = [name for name in state if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    assert sum(state[name].numel() for name in learnt) == 25_557_032 - 2_049_000  # torchvision's, without `fc`


def test_weights_of_imagenet_from_a_file(tmp_path: Path) -> None:
    stored = BottleneckResNet(3)
    torch.save({**stored.state_dict(), "fc.weight": torch.zeros(1000, 2048)}, tmp_path / "resnet50.pth")
    network = BottleneckResNet(2)
    first = network.conv1.weight.detach().clone()
    load_imagenet(network, tmp_path / "resnet50.pth")
    assert torch.equal(network.layer4[2].conv3.weight, stored.layer4[2].conv3.weight)
    assert torch.equal(network.conv1.weight, first)
    with pytest.raises(MissingFileError, match="weights: no file at"):
        load_imagenet(network, tmp_path / "none.pth")
    torch.save({"conv1.weight": 0}, tmp_path / "other.pth")
    with pytest.raises(FormatError, match=r"no finite weights of ResNet-50 under torchvision's name bn1\.weight"):
        load_imagenet(network, tmp_path / "other.pth")
    with pytest.raises(InputError, match="only the published size"):
        ConditionalVAE("small", weights=tmp_path / "resnet50.pth")


def test_shapes_and_what_the_condition_and_the_latents_do(vae: ConditionalVAE) -> None:
    x = images(3)
    with torch.no_grad():
        posterior = vae.encode(x, smooth(x))
        again = vae.decode(posterior.mean, smooth(x))
        assert posterior.mean.shape == posterior.log_variance.shape == (3, 64) and again.shape == x.shape
        assert (vae.decode(posterior.mean, smooth(x).flip(0)) - again).abs().max() > 1e-3
        drawn = torch.randn_like(posterior.mean)
        assert (vae.decode(drawn, smooth(x)) - vae.decode(drawn.flip(0), smooth(x))).abs().max() > 1e-3
        assert (vae.encode(x, x).mean - posterior.mean).abs().max() > 1e-4


def test_weights_of_the_decoder_have_spectral_norm_1() -> None:
    torch.manual_seed(0)
    decoder = ConditionalVAE("small", generator=seeded()).decoder
    for layer in (decoder.start, decoder.last, decoder.blocks[0].conv1, decoder.blocks[1].norm2.gain):
        for _ in range(200):
            weight = layer.weight.detach()  # in training, each use is one step of the power iteration
        assert abs(float(torch.linalg.matrix_norm(weight.flatten(1), 2)) - 1) < 0.02
    assert sum(hasattr(module, "parametrizations") for module in decoder.modules()) == 1 + 4 * (3 + 4) + 4 + 1


def test_training_reconstructs(vae: ConditionalVAE) -> None:
    """A few steps on four images bring the reconstruction nearer, conditioned and not."""
    x = smooth(images(4, seed=3)) * 3
    for conditional in (True, False):
        model = ConditionalVAE("small", conditional, generator=seeded(2))
        optimizer = torch.optim.Adam(model.parameters(), 2e-3)
        condition, errors = smooth(x) if conditional else None, []
        for _ in range(15):
            optimizer.zero_grad()
            reconstruction, posterior = model(x, condition, seeded())
            (negative_elbo(x, reconstruction, posterior)).backward()
            optimizer.step()
            errors.append(float(l1_loss(reconstruction.detach(), x)))
        assert errors[-1] < 0.8 * errors[0]


def test_the_divergence_is_that_of_torch() -> None:
    posterior = Posterior(torch.randn(5, 3, generator=seeded()), torch.randn(5, 3, generator=seeded(1)))
    normal = torch.distributions.Normal(posterior.mean, (posterior.log_variance / 2).exp())
    exact = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(dim=1).mean()
    torch.testing.assert_close(divergence(posterior), exact)
    x = images(5)
    expected = 1.1852e-3 * (0.5 * 64 * 64) + 0.57504 * exact
    torch.testing.assert_close(negative_elbo(x, x + 0.5, posterior), expected)


def test_samples_of_a_posterior_have_its_moments() -> None:
    posterior = Posterior(torch.full((20_000, 1), 2.0), torch.full((20_000, 1), 3.0).log())
    draws = posterior.sample(seeded())
    assert abs(float(draws.mean()) - 2) < 0.05 and abs(float(draws.var()) - 3) < 0.1


def test_the_perceptual_loss_and_the_critic() -> None:
    vgg, x = load_vgg("random", "vgg16", 22), images(2)
    assert perceptual(x, x, vgg) == 0 and perceptual(x, smooth(x), vgg) > 0
    critic, loss = PatchCritic(64), Wasserstein(10.0)
    real, fake = torch.cat([x, smooth(x)], dim=1), torch.cat([x.flip(0), smooth(x)], dim=1)
    (loss.critic(critic(real), critic(fake)) + loss.penalty(critic, real, fake, seeded())).backward()
    assert critic(real).shape == (2, 1) and all(each.grad is not None for each in critic.parameters())
    with pytest.raises(InputError, match=r"images: expected \[B, 2, 64, 64\], got \[2, 1, 64, 64\]"):
        critic(x)


def test_samples_are_decoded_latents_of_the_inverse_flow(vae: ConditionalVAE, flow: ConditionalFlow) -> None:
    x = 300 * images(2) - 500
    drawn = sample(smooth, vae, flow, x, 3, seeded(5))
    assert drawn.shape == (2, 3, 1, 64, 64)
    v = torch.randn(6, 64, generator=seeded(5))
    condition = (smooth(x)[1:] + 1024 - 481.454) / 502.185
    with torch.no_grad():
        one = vae.decode(flow.inverse(v[4:5], condition), condition)
    torch.testing.assert_close(drawn[1, 1], one[0] * 502.185 + 481.454 - 1024, rtol=1e-4, atol=0.02)
    assert torch.equal(drawn, sample(smooth, vae, flow, x, 3, seeded(5)))
    assert not torch.equal(drawn, sample(smooth, vae, None, x, 3, seeded(5)))


def test_batches_and_modes_do_not_change_samples(
    vae: ConditionalVAE, flow: ConditionalFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = 300 * images(3) - 500
    whole = sample(smooth, vae, flow, x, 2, seeded(5))
    monkeypatch.setattr("sinograd.invariance.sampling._BATCH", 4)
    vae.train()
    flow.train()
    in_parts = sample(smooth, vae, flow, x, 2, seeded(5))
    assert vae.training and vae.decoder.norm.training and not bool(vae.decoder.norm.initialised) and flow.training
    vae.eval()
    flow.eval()
    torch.testing.assert_close(whole, in_parts, rtol=1e-4, atol=0.02)


def test_bad_denoisers_and_models(vae: ConditionalVAE, flow: ConditionalFlow) -> None:
    x = 300 * images(1) - 500
    for denoiser, words in (
        (lambda x: x[..., 1:], r"denoiser: expected an output of shape \[1, 1, 64, 64\], got \[1, 1, 64, 63\]"),
        (lambda x: x / 0 - x / 0, "denoiser: expected finite values"),
    ):
        with pytest.raises(InputError, match=words):
            sample(denoiser, vae, flow, x, 1, seeded())
    with pytest.raises(InputTypeError, match="denoiser: expected it to return a tensor, got int"):
        sample(lambda x: 3, vae, flow, x, 1, seeded())  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"flow: expected latent, .*another crop size"):
        sample(smooth, vae, ConditionalFlow(64, 1, 32, 1, 8, 8), x, 1, seeded())
    with pytest.raises(InputError, match="samples: expected at least 1, got 0"):
        sample(smooth, vae, flow, x, 0, seeded())
    with pytest.raises(InputError, match="vae: expected a conditional autoencoder"):
        sample(smooth, ConditionalVAE("small", False), flow, x, 1, seeded())
    with pytest.raises(InputError, match=r"x: expected images \[B, 1, 64, 64\], got \[1, 1, 32, 32\]"):
        sample(smooth, vae, flow, x[..., :32, :32], 1, seeded())


def test_bad_input_of_the_autoencoder(vae: ConditionalVAE) -> None:
    x = images(2)
    with pytest.raises(InputError, match="preset: expected one of published, small, got 'big'"):
        ConditionalVAE("big")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputTypeError, match="condition: expected the denoised images, got None"):
        vae.encode(x)
    with pytest.raises(InputError, match="condition: expected 2 images, one of each, got 1"):
        vae.encode(x, x[:1])
    with pytest.raises(InputError, match=r"z: expected latents \[B, 64\], got \[2, 3\]"):
        vae.decode(torch.zeros(2, 3), x)
    with pytest.raises(InputError, match="condition: expected None"):
        ConditionalVAE("small", False).encode(x, x)
