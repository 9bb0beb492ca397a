"""Training of models of invariances. Truth: plain loops with PyTorch's own optimisers, the same run without a stop."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from sinograd.datasets import PairedVolume
from sinograd.errors import ConfigError, FileError, InputError, MissingFileError, Stopped, UnitError
from sinograd.invariance import (
    ConditionalFlow,
    ConditionalVAE,
    Embedding,
    LesionEraser,
    flow_loss,
    load_autoencoder,
    load_embedding,
    load_sampler,
    sample,
)
from sinograd.invariance.vae_loss import PatchCritic, negative_elbo, perceptual
from sinograd.losses import Wasserstein
from sinograd.losses.vgg import load_vgg
from sinograd.models import NetworkDenoiser, bilateral_stack, save_model
from sinograd.networks import CNN10
from sinograd.training import Stack, TrainingData, train
from sinograd.training.config import as_config, load_config
from sinograd.training.random_streams import stream

pytest.importorskip("lightning")
pytest.importorskip("FrEIA")

SMALL: dict[str, Any] = {
    "data": {"patches": {"size": 64, "per_batch": 2}},
    "stop": {"max_steps": 2, "keep": "last"},
    "checkpoints": {"every": 1},
    "seed": 3,
}
VAE: dict[str, Any] = {
    **SMALL,
    "task": {"name": "invariance-vae", "denoiser": "identity", "features": 0.0, "critic_width": 2},
    "model": {"name": "invariance-vae", "preset": "small"},
}
FLOW: dict[str, Any] = {
    **SMALL,
    "model": {
        "name": "invariance-flow",
        **{"latent": 64, "condition_size": 64, "blocks": 2, "hidden": 8, "embedding": 4, "width": 2},
    },
}


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def slices(seed: int, shape: tuple[int, ...] = (2, 80, 80)) -> torch.Tensor:
    """Smooth structures and noise in HU."""
    generator = torch.Generator().manual_seed(seed)
    smooth = torch.nn.functional.avg_pool2d(torch.randn(shape, generator=generator), 9, 1, 4)
    return 3000 * smooth - 500 + 40 * torch.randn(shape, generator=generator)


def pair(seed: int, unit: str = "HU", target: torch.Tensor | None = None, scale: float = 1.0) -> PairedVolume:
    return PairedVolume(f"patient {seed}", f"{seed}", (scale * slices(seed),), target, unit)


def task(config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**config, "task": {**config.get("task", {}), **changes}}


@pytest.fixture(scope="module")
def vae_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vae") / "run"
    train(VAE, pairs=[pair(0)], output=folder)
    return folder


@pytest.fixture(scope="module")
def flow_run(vae_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flow") / "run"
    config = task(FLOW, name="invariance-flow", autoencoder=str(vae_run), denoiser="identity")
    train(config, pairs=[pair(0)], output=folder)
    return folder


def test_the_autoencoder_is_its_algorithm() -> None:
    """Equation 4, VGG's features and a Wasserstein critic of both channels: a plain loop ends at the same weights."""
    config = task(VAE, denoiser="lesion-eraser", features=0.2, vgg="random", pixels=0.01, divergence=0.1)
    crops = slices(1, (2, 64, 64))
    result = train({**config, "data": None}, TrainingData([Stack(crops, None, "crops")]))
    vae = ConditionalVAE("small", generator=stream(3, "weights", 0))
    critic = PatchCritic(64, True, 2, stream(3, "critic", 0))
    vgg, wasserstein = load_vgg("random", "vgg16", 22), Wasserstein()
    optimizer = torch.optim.Adam(vae.parameters(), 1e-5)
    other = torch.optim.Adam(critic.parameters(), 4e-5)
    x = ConditionalVAE.normalise(crops[:, None])
    condition, losses = ConditionalVAE.normalise(LesionEraser()(crops[:, None])), []
    for step in range(2):
        drawn = stream(3, "training", step)
        with torch.no_grad():
            fake = torch.cat([vae(x, condition, drawn)[0], condition], dim=1)
        real = torch.cat([x, condition], dim=1)
        penalty = wasserstein.penalty(critic, real, fake, drawn)
        other.zero_grad()
        (critic(fake).mean() - critic(real).mean() + penalty).backward()
        other.step()
        made, posterior = vae(x, condition, drawn)
        loss = negative_elbo(x, made, posterior, 0.01, 0.1) + perceptual(x, made, vgg, 0.2)
        optimizer.zero_grad()
        (loss - critic(torch.cat([made, condition], dim=1)).mean()).backward()
        optimizer.step()
        losses.append(loss.item())
    assert result.history.column("training_loss")[1] == pytest.approx(losses, rel=1e-4)
    assert {"critic_loss", "critic_penalty", "mean_difference", "divergence"} <= set(result.history.columns)
    for name, value in vae.state_dict().items():
        torch.testing.assert_close(result.model.state_dict()[name], value, rtol=1e-3, atol=1e-5)
    assert result.trained_on["notes"] == ["perceptual term with random vgg16 weights"] and result.quality is None


@pytest.mark.parametrize("kind", ["vae", "twin", "flow", "embedding"])
def test_a_stopped_run_goes_on_to_the_same_bits(kind: str, vae_run: Path, flow_run: Path, tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "vae": VAE,
        "twin": {**task(VAE, denoiser=None), "model": {**VAE["model"], "conditional": False}},
        "flow": task(FLOW, name="invariance-flow", autoencoder=str(vae_run), denoiser="identity"),
        "embedding": {
            **task(SMALL, name="invariance-embedding", samplers=[str(flow_run)]),
            "model": {"name": "invariance-embedding", "preset": "small", "length": 4},
        },
    }[kind]
    pairs = [pair(0)]
    whole = train(config, pairs=pairs, output=tmp_path / "whole").model

    def stop(step: int, *_: object) -> None:
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(Stopped):
        train(config, pairs=pairs, output=tmp_path / "parts", progress=stop)
    resumed = train(config, pairs=pairs, output=tmp_path / "parts", resume=True).model
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_the_flow_learns_from_several_draws_of_each_posterior(vae_run: Path) -> None:
    """The first loss is equation 6 of three draws of both crops, which start the activation normalisations, too."""
    config = task(FLOW, name="invariance-flow", autoencoder=str(vae_run), denoiser="identity", draws=3)
    crops = slices(1, (2, 64, 64))
    result = train({**config, "data": None}, TrainingData([Stack(crops, None, "crops")]))
    x, vae = ConditionalVAE.normalise(crops[:, None]), load_autoencoder(vae_run).vae
    posterior, drawn = vae.encode(x, x), stream(3, "training", 0)
    z = torch.cat([posterior.sample(drawn) for _ in range(3)]).detach()
    flow = ConditionalFlow(64, 1, 64, 2, 8, 4, stream(3, "weights", 0), 2)
    expected = flow_loss(*flow(z, x.repeat(3, 1, 1, 1))).item()
    assert result.history.column("training_loss")[1][0] == pytest.approx(expected, rel=1e-4)


def test_files_hold_all_that_sampling_needs(vae_run: Path, flow_run: Path, tmp_path: Path) -> None:
    sampler, autoencoder = load_sampler(flow_run), load_autoencoder(vae_run / "model.pt")
    assert sampler.denoiser.name == "identity" and autoencoder.denoiser is not None and sampler.size == 64
    for name, value in autoencoder.vae.state_dict().items():
        assert torch.equal(sampler.vae.state_dict()[name], value)
    x = slices(5, (2, 1, 64, 64))
    drawn = sampler(x, 3, torch.Generator().manual_seed(0))
    again = sample(lambda x: x, sampler.vae, sampler.flow, x, 3, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)
    assert not torch.equal(drawn, sampler(x, 3, torch.Generator().manual_seed(0), prior=True))
    config = {
        **task(SMALL, name="invariance-embedding", samplers=[str(flow_run)], samples=2),
        "model": {"name": "invariance-embedding", "preset": "small", "length": 4},
    }
    result = train(config, pairs=[pair(0)], output=tmp_path / "embedding")
    held = load_embedding(tmp_path / "embedding")
    assert isinstance(result.model, Embedding) and torch.equal(held.last.weight, result.model.last.weight)
    for load, path, words in (
        (load_autoencoder, flow_run, "expected the file of a trained autoencoder, got that of a trained sampler"),
        (load_sampler, flow_run / "checkpoints" / "last.ckpt", "it is no model of invariances.*a training checkpoint"),
    ):
        with pytest.raises(InputError, match=words):
            load(path)
    damaged = torch.load(flow_run / "model.pt", weights_only=True)
    damaged["options"]["flow"]["hidden"] = 10**9  # built on meta, refused by its shapes
    torch.save(damaged, tmp_path / "damaged.pt")
    with pytest.raises(InputError, match="state_dict"):
        load_sampler(tmp_path / "damaged.pt")


@pytest.mark.parametrize("kind", ["network", "filter"])
def test_a_model_of_a_denoiser_holds_the_denoiser(kind: str, tmp_path: Path) -> None:
    """The file works where the denoiser's own is gone; a filter trained in 1/mm gets 1/mm."""
    torch.manual_seed(0)
    x = slices(7, (1, 1, 64, 64))
    if kind == "network":
        model, path = NetworkDenoiser(CNN10(), -500.0, 500.0), tmp_path / "cnn.pt"
        save_model(model, path, trained_on={"unit": "HU"})
        expected = model.eval()(x)
    else:
        model, path = bilateral_stack(1, dimensions=2, input_scale=0.02, sigma_range=0.5), tmp_path / "filter.yaml"
        save_model(model, path, trained_on={"unit": "1/mm"})
        expected = 1000 * (model(0.0193 * (1 + x / 1000)) / 0.0193 - 1)
    train(task(VAE, denoiser=str(path), adversarial=0.0), pairs=[pair(0)], output=tmp_path / "run")
    path.unlink()
    held = load_autoencoder(tmp_path / "run").denoiser
    assert held is not None and held.name == path.stem
    torch.testing.assert_close(held.call(x), expected.detach(), rtol=1e-4, atol=0.05)  # pyright: ignore


def test_conditions_may_come_with_the_data(tmp_path: Path) -> None:
    """A pipeline's images as targets: the condition of each crop is the target's crop at the same place."""
    crops = slices(1, (2, 64, 64))
    smooth = torch.nn.functional.avg_pool2d(crops, 5, 1, 2)
    config = {**task(VAE, adversarial=0.0), "data": None}
    data = TrainingData([Stack(crops, smooth, "crops")])
    paired = train(task(config, denoiser="paired"), data, output=tmp_path / "a")
    assert load_autoencoder(tmp_path / "a").denoiser.name == "paired"  # pyright: ignore
    x = ConditionalVAE.normalise(crops[:, None])
    vae = ConditionalVAE("small", generator=stream(3, "weights", 0))
    made, posterior = vae(x, ConditionalVAE.normalise(smooth[:, None]), stream(3, "training", 0))
    assert paired.history.column("training_loss")[1][0] == pytest.approx(negative_elbo(x, made, posterior).item(), 1e-4)
    with pytest.raises(InputError, match="the denoiser is paired, expected its images as targets"):
        train(task(VAE, denoiser="paired"), pairs=[pair(0)])


def test_what_belongs_to_something_else_is_refused_before_training(vae_run: Path, tmp_path: Path) -> None:
    flow = task(FLOW, name="invariance-flow", autoencoder=str(vae_run), denoiser="identity")
    save_model(NetworkDenoiser(CNN10(), 0.0, 500.0), tmp_path / "cnn.pt")
    model = flow["model"]
    unconditional = {**VAE["model"], "conditional": False}
    embedding = {**SMALL, "task": {"name": "invariance-embedding"}, "model": {"name": "invariance-embedding"}}
    network, published = {"name": "cnn-10"}, {"name": "invariance-vae", "preset": "published"}
    cases: list[tuple[dict[str, Any], str]] = [
        (task(flow, denoiser="constant"), "was trained for another denoiser, identity .* than constant"),
        (task(flow, denoiser=str(tmp_path / "cnn.pt")), "another denoiser, identity .* than cnn"),
        ({**flow, "model": {**model, "latent": 32}}, "has 64 latents of crops of 64.2, .* got 32 and 64"),
        ({**flow, "model": {**model, "condition_size": 32}}, "expected latent: 64 and condition_size: 64"),
        ({**flow, "data": {"patches": {"size": 32, "per_batch": 2}}}, r"data.patches.size: expected 64, .* got 32"),
        ({**flow, "data": {"patches": {"size": 64, "per_batch": 1}}}, "per_batch: expected at least 2"),
        (task(flow, denoiser=None), "task.denoiser: missing"),
        ({**VAE, "model": unconditional}, "task.denoiser: expected null for an unconditional"),
        (task(VAE, denoiser=None), "task.denoiser: missing"),
        (task(VAE, features=0.1), "task.vgg: missing"),
        (task(VAE, features=0.1, vgg=str(tmp_path / "vgg16.pth")), "task.vgg: no file at"),
        ({**VAE, "model": {**published, "weights": str(tmp_path / "r.pth")}}, "model.weights: no file at"),
        ({**VAE, "model": {**VAE["model"], "weights": str(tmp_path / "r.pth")}}, "model.weights: expected random"),
        (task(flow, autoencoder=str(tmp_path / "none.pt")), "task.autoencoder: no model of invariances at"),
        (
            {**embedding, "task": {**embedding["task"], "samplers": ["no.pt"]}},
            "task.samplers: no model of invariances at",
        ),
        (task(VAE, denoiser=str(tmp_path / "none.pt")), "task.denoiser: no model file"),
        ({**VAE, "model": network}, "model.name: expected invariance-vae for the task invariance-vae, got cnn-10"),
        ({**VAE, "task": {"name": "supervised"}}, "task.name: expected invariance-vae for the model invariance-vae"),
    ]
    for config, words in cases:
        with pytest.raises((ConfigError, FileError), match=words):
            train(config, pairs=[pair(0)], output=tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_files_of_weights_are_relative_to_the_configuration(tmp_path: Path) -> None:
    model = {"name": "invariance-vae", "preset": "published", "weights": "resnet.pth"}
    (tmp_path / "vae.yaml").write_text(json.dumps({**VAE, "model": model}), encoding="utf-8")
    with pytest.raises(MissingFileError, match=f"model.weights: no file at {tmp_path / 'resnet.pth'}"):
        load_config(tmp_path / "vae.yaml")


def test_data_that_are_not_normalised_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnitError, match="expected values in HU, which are normalised, the volume is in 1/mm"):
        train(VAE, pairs=[pair(0, "1/mm", scale=1e-5)])
    with pytest.raises(ConfigError, match=r"data: expected images in HU, .* got mean .* and deviation"):
        train(VAE, TrainingData([Stack(1e-5 * slices(0, (2, 64, 64)), None, "crops")]))
    with pytest.raises(InputError, match="expected crops of 64 x 64"):
        train({**VAE, "data": None}, TrainingData([Stack(slices(0), None, "slices")]))


def test_a_bad_denoiser_is_refused_before_training(tmp_path: Path) -> None:
    """Nothing is left that a corrected configuration would have to replace."""
    config = as_config(task(VAE, denoiser="identity"))
    cases: list[tuple[Any, str]] = [
        (lambda x: x * math.nan, "denoiser: expected finite values, its output has NaN"),
        (lambda x: x.where(x < x.max(), math.inf), "denoiser: expected finite values"),
        (lambda x: x[..., ::2], r"denoiser: expected an output of shape \[2, 1, 64, 64\], got \[2, 1, 64, 32\]"),
    ]
    for denoiser, words in cases:
        broken = dataclasses.replace(config.task, denoiser=None, own=denoiser)  # pyright: ignore[reportCallIssue]
        with pytest.raises(InputError, match=words):
            train(dataclasses.replace(config, task=broken), pairs=[pair(0)], output=tmp_path / "run")
        assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_published_size_trains_and_comes_back(tmp_path: Path) -> None:
    """108.9 million parameters, one step of two crops of 128^2 with the published critic, the file bit for bit."""
    config = {
        **task(VAE, critic_width=64),
        "model": {"name": "invariance-vae", "preset": "published"},
        "data": {"patches": {"size": 128, "per_batch": 2}},
        "stop": {"max_steps": 1, "keep": "last"},
    }
    data = PairedVolume("patient", "0", (slices(0, (1, 128, 128)),), None, "HU")
    result = train(config, pairs=[data], output=tmp_path / "run")
    assert round(sum(p.numel() for p in result.model.parameters()) / 1e6, 1) == 108.9
    (tmp_path / "run" / "checkpoints" / "last.ckpt").unlink()
    held = load_autoencoder(tmp_path / "run").vae
    for name, value in result.model.state_dict().items():
        assert torch.equal(held.state_dict()[name], value), name
