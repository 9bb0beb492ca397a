"""Networks on volumes and in files. Truth: the plain network, ldct-benchmark's forward passes under its own names."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sinograd.errors import NonFiniteWarning
from sinograd.models import NetworkDenoiser, filter_in_place, load_model, read_model, save_model
from sinograd.models import network_denoiser as module_under_test
from sinograd.networks import CNN10, NETWORKS, QAE, REDCNN, Noise2NoiseUNet

SMALL: dict[str, dict[str, Any]] = {
    "cnn-10": {},
    "dncnn": {"layers": 4, "channels": 6},
    "noise2noise-unet": {"features": 4},
    "qae": {"kernel": 3, "channels": 4, "final_relu": True},
    "red-cnn": {"channels": 5},
    "resnet": {"blocks": 2, "channels": 8},
}


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def denoiser(name: str = "cnn-10", offset: float = -500.0, scale: float = 250.0) -> NetworkDenoiser:
    return NetworkDenoiser(NETWORKS.load(name)(**SMALL[name], generator=generator()), offset, scale)


def test_units_of_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Normalised, slice by slice, and back; the same in bounded batches and with leading dimensions."""
    model = denoiser()
    volume = -1000 + 1500 * torch.rand(2, 3, 9, 8)
    expected = model.network((volume.reshape(6, 1, 9, 8) + 500) / 250) * 250 - 500
    torch.testing.assert_close(model(volume), expected.reshape(2, 3, 9, 8))
    model(volume).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    sizes: list[int] = []
    model.network.register_forward_hook(lambda _, args, __: sizes.append(len(args[0])))
    monkeypatch.setattr(module_under_test, "_PIXELS", 4 * 72)
    with torch.no_grad():
        torch.testing.assert_close(model(volume), expected.detach().reshape(2, 3, 9, 8))
        torch.testing.assert_close(model(volume[0, 0]), expected.detach()[0, 0])
    assert sizes == [4, 2, 1]


def test_half_precision_inside_leaves_the_units_alone() -> None:
    """Under autocast only the network computes in bfloat16, whose steps are 4 at -1000."""
    model = denoiser()
    volume = -1000 + 1500 * torch.rand(2, 9, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        result = model(volume)
    assert result.dtype == torch.float32
    inside = (result + 500) / 250
    torch.testing.assert_close(inside, model.network((volume[:, None] + 500) / 250)[:, 0], rtol=0.05, atol=0.02)


def test_values_that_overflow_are_counted() -> None:
    """QAE squares its input at each of ten layers: metal of 30,000 HU becomes NaN, with a warning, its input's NaN
    without one."""
    model = denoiser("qae", 0.0, 1.0).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(0.5 if "weight_g" in name else 0.0)
        volume = torch.zeros(2, 40, 40)
        volume[1, 20, 20] = 1e9
        with pytest.warns(NonFiniteWarning, match=r"QAE made NaN or infinite values of \d[\d,]* of 3,200 finite ones"):
            result = model(volume)
        assert 0 < int((~torch.isfinite(result)).sum()) <= 1600
        plain = denoiser().eval()
        assert torch.isnan(plain(torch.full((1, 9, 9), torch.nan))).all()


def test_volumes_in_place() -> None:
    model, volume = denoiser(), torch.rand(5, 8, 8)
    with torch.no_grad():
        expected = model(volume)
    done: list[tuple[int, int]] = []
    result = filter_in_place(model, volume, slab_bytes=2 * 256, progress=lambda *report: done.append(report))
    assert result is volume and done == [(2, 5), (4, 5), (5, 5)]
    torch.testing.assert_close(volume, expected)


def test_bad_arguments() -> None:
    for offset, scale, words in ((0.0, 0.0, "scale"), (0.0, float("nan"), "scale"), (float("inf"), 1.0, "offset")):
        with pytest.raises(ValueError, match=words):
            NetworkDenoiser(CNN10(), offset, scale)
    with pytest.raises(TypeError, match=r"expected torch\.float32 as the network's weights have, got torch\.float64"):
        denoiser()(torch.rand(2, 8, 8, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"expected slices \[\.\.\., Y, X\], got \[8\]"):
        denoiser()(torch.rand(8))


@pytest.mark.parametrize("name", SMALL)
def test_files(name: str, tmp_path: Path) -> None:
    """Weights bit for bit, everything else as it was given."""
    model = denoiser(name, -542.5, 502.185)
    record = {"trained_on": {"steps": 3, "stacks": [{"shape": (4, 5)}]}, "provenance": {"software": "sinograd"}}
    save_model(model, tmp_path / "model.pt", description="for tests", **record)
    saved = read_model(tmp_path)  # a folder, as of a run
    assert (saved.model.name, saved.description) == (name, "for tests")
    assert saved.trained_on == {"steps": 3, "stacks": [{"shape": [4, 5]}]}
    again = load_model(tmp_path / "model.pt")
    assert isinstance(again, NetworkDenoiser)
    assert (again.offset, again.scale, again.network.options) == (-542.5, 502.185, model.network.options)
    assert again.state_dict().keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    save_model(denoiser(), tmp_path / "model.pt")
    before = (tmp_path / "model.pt").read_bytes()
    with pytest.raises(FileExistsError, match="already exists: use `force=True`"):
        save_model(denoiser("qae"), tmp_path / "model.pt")
    assert (tmp_path / "model.pt").read_bytes() == before
    save_model(denoiser("qae"), tmp_path / "model.pt", force=True)
    assert read_model(tmp_path / "model.pt").model.name == "qae"
    with pytest.raises(ValueError, match=r"the file of a network ends in \.pt, got"):
        save_model(denoiser(), tmp_path / "model.yaml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pt"]


def test_files_that_are_no_model(tmp_path: Path) -> None:
    save_model(denoiser(), tmp_path / "good.pt")
    good = torch.load(tmp_path / "good.pt", weights_only=True)
    first, weights = "layers.0.weight", good["state_dict"]

    def without(name: str) -> dict[str, Any]:
        return {key: value for key, value in weights.items() if key != name}

    cases: dict[str, Any] = {
        "version 9; this sinograd reads versions 1 to 1": {**good, "version": 9},
        "expected format: sinograd-model, got 'other'": {**good, "format": "other"},
        "expected format: sinograd-model, got None": [1, 2],
        "model.name: expected one of cnn-10, ": {**good, "model": {**good["model"], "name": "cnn-11"}},
        "model.scale: expected a positive number, got 0.0": {**good, "model": {**good["model"], "scale": 0.0}},
        "model.options: cnn-10 does not take {'kernel': 3}": {
            **good,
            "model": {"name": "cnn-10", "options": {"kernel": 3}},
        },
        "weihgts: unknown key": {**good, "weihgts": 1},
        f"state_dict.{first}: missing, expected weights [64, 1, 9, 9]": {**good, "state_dict": without(first)},
        "state_dict.other: CNN10 has no such weights": {**good, "state_dict": {**weights, "other": torch.ones(1)}},
        f"state_dict.{first}: expected weights [64, 1, 9, 9], got [2]": {
            **good,
            "state_dict": {**weights, first: torch.ones(2)},
        },
        f"state_dict.{first}: expected finite weights": {
            **good,
            "state_dict": {**weights, first: torch.full((64, 1, 9, 9), torch.nan)},
        },
        "it is a training checkpoint; the model is model.pt": {"sinograd": {}, "state_dict": {}},
        "checkpoint of ldct-benchmark for a network that sinograd does not have (weights a.weight": {
            "model_state_dict": {"a.weight": torch.ones(1)}
        },
    }
    for words, content in cases.items():
        torch.save(content, tmp_path / "bad.pt")
        with pytest.raises(ValueError, match=re.escape(words)) as raised:
            read_model(tmp_path / "bad.pt")
        assert str(raised.value).startswith(str(tmp_path / "bad.pt"))
    for damaged in ((tmp_path / "good.pt").read_bytes()[:1000], b"PK\x03\x04 nonsense"):
        (tmp_path / "bad.pt").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"bad\.pt: it is damaged or no PyTorch archive of plain data"):
            load_model(tmp_path / "bad.pt")
    with pytest.raises(FileNotFoundError, match="no model file at"):
        load_model(tmp_path / "none.pt")


def test_code_in_files_is_not_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
            return Path.write_text, (str(tmp_path / "ran"), "")  # type: ignore[return-value]

    torch.save({"format": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="no PyTorch archive of plain data"):
        read_model(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def weights_of_ldct_benchmark(network: str) -> dict[str, Tensor]:
    """Random weights under the names that its networks use."""
    drawn = generator()

    def draw(*shape: int) -> Tensor:
        return 0.03 * torch.randn(shape, generator=drawn)

    if network == "cnn10":
        layers = {"0": (64, 1, 9, 9), "2": (32, 64, 3, 3), "4": (1, 32, 5, 5)}
        return {
            f"layers.{i}.{k}": draw(*(s if k == "weight" else s[:1]))
            for i, s in layers.items()
            for k in ("weight", "bias")
        }
    if network == "wganvgg":
        shapes = {f"net.{2 * i}": (1 if i == 7 else 32, 32 if i else 1, 3, 3) for i in range(8)}
        return {
            f"{k}.{p}": draw(*(s if p == "weight" else s[:1])) for k, s in shapes.items() for p in ("weight", "bias")
        }
    if network in ("redcnn", "dugan"):
        wide, found = 3, {}
        for i in range(1, 6):
            found |= {f"conv{i}.weight": draw(wide, wide if i > 1 else 1, 5, 5), f"conv{i}.bias": draw(wide)}
        for i in range(1, 6):
            last = wide if i < 5 else 1
            found |= {f"tconv{i}.weight": draw(wide, last, 5, 5), f"tconv{i}.bias": draw(last)}
        return found
    found = {}
    for part in ("encoder", "decoder"):
        for i in range(5):
            into, out = (1 if (part, i) == ("encoder", 0) else 15), (1 if (part, i) == ("decoder", 4) else 15)
            shape = (out, into, 3, 3) if part == "encoder" else (into, out, 3, 3)
            found |= {f"{part}.{i}.W_{role}": draw(*shape) for role in "rgb"}
            found |= {f"{part}.{i}.b_{role}": draw(out) for role in "rgb"}
    return found


def forward_of_ldct_benchmark(network: str, w: dict[str, Tensor], x: Tensor) -> Tensor:
    """What its networks compute."""
    if network == "cnn10":
        x = F.relu(F.conv2d(x, w["layers.0.weight"], w["layers.0.bias"], padding=4))
        x = F.relu(F.conv2d(x, w["layers.2.weight"], w["layers.2.bias"], padding=1))
        return F.conv2d(x, w["layers.4.weight"], w["layers.4.bias"], padding=2)
    if network == "wganvgg":
        for i in range(8):
            x = F.conv2d(x, w[f"net.{2 * i}.weight"], w[f"net.{2 * i}.bias"], padding=1)
            x = F.relu(x) if i < 7 else x
        return x
    if network in ("redcnn", "dugan"):
        conv = [lambda y, i=i: F.conv2d(y, w[f"conv{i}.weight"], w[f"conv{i}.bias"]) for i in range(1, 6)]
        back = [lambda y, i=i: F.conv_transpose2d(y, w[f"tconv{i}.weight"], w[f"tconv{i}.bias"]) for i in range(1, 6)]
        second = F.relu(conv[1](F.relu(conv[0](x))))
        fourth = F.relu(conv[3](F.relu(conv[2](second))))
        y = F.relu(back[0](F.relu(conv[4](fourth))) + fourth)
        y = F.relu(back[2](F.relu(back[1](y))) + second)
        return back[4](F.relu(back[3](y))) + x

    def layer(part: str, i: int, y: Tensor) -> Tensor:
        convolve = F.conv2d if part == "encoder" else F.conv_transpose2d
        padding = 0 if (part, i) in (("encoder", 4), ("decoder", 0)) else 1
        r, g, b = (
            convolve(y * y if role == "b" else y, w[f"{part}.{i}.W_{role}"], w[f"{part}.{i}.b_{role}"], padding=padding)
            for role in "rgb"
        )
        return r * g + b

    kept = [x]
    for i in range(5):
        kept.append(F.relu(layer("encoder", i, kept[-1])))
    y = F.relu(layer("decoder", 0, kept[5]) + kept[4])
    y = F.relu(layer("decoder", 2, F.relu(layer("decoder", 1, y))) + kept[2])
    return layer("decoder", 4, F.relu(layer("decoder", 3, y))) + x


@pytest.mark.parametrize(
    ("network", "name"),
    [("cnn10", "cnn-10"), ("redcnn", "red-cnn"), ("qae", "qae"), ("wganvgg", "wgan-vgg"), ("dugan", "dugan")],
)
def test_checkpoints_of_ldct_benchmark(network: str, name: str, tmp_path: Path) -> None:
    """In HU what their network makes of HU + 1024 with mean and standard deviation of their info.yml, undone."""
    weights = weights_of_ldct_benchmark(network)
    args = argparse.Namespace(seed=1, trainer=network)
    torch.save({"model_state_dict": weights, "args": args}, tmp_path / f"{network}.pt")
    model = load_model(tmp_path / f"{network}.pt")
    assert isinstance(model, NetworkDenoiser)
    hu = -1000 + 1500 * torch.rand(2, 25, 26, generator=generator())
    mean, deviation = 481.45419786099086, 502.18507379395044
    expected = forward_of_ldct_benchmark(network, weights, ((hu + 1024 - mean) / deviation)[:, None])[:, 0]
    with torch.no_grad():
        torch.testing.assert_close(model(hu), expected * deviation + mean - 1024, rtol=1e-4, atol=0.05)
        inside = ((hu + 1024 - mean) / deviation)[:, None]
        torch.testing.assert_close(model.network(inside)[:, 0], expected, rtol=1e-5, atol=1e-5)
    save_model(model, tmp_path / "ours.pt")
    assert read_model(tmp_path / "ours.pt").model.name == name == read_model(tmp_path / f"{network}.pt").model.name


def test_weights_that_do_not_fit_ldct_benchmark(tmp_path: Path) -> None:
    weights = weights_of_ldct_benchmark("redcnn")
    del weights["tconv3.bias"]
    torch.save({"model_state_dict": weights}, tmp_path / "redcnn.pt")
    with pytest.raises(ValueError, match=r"state_dict\.decoder\.2\.bias: missing"):
        load_model(tmp_path / "redcnn.pt")


def test_networks_with_the_published_sizes_are_what_files_hold() -> None:
    """The names of the options are the constructors' arguments."""
    for network in (REDCNN(), QAE(), Noise2NoiseUNet()):
        assert set(network.options) == {name for name in type(network).__init__.__annotations__} - {
            "generator",
            "return",
        }
