"""Scores, times and memory of methods over paired volumes."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from skimage.metrics import peak_signal_noise_ratio

from sinograd.data import Volume
from sinograd.datasets import PairedVolume
from sinograd.evaluation import Method, evaluate, find_method, protocol
from sinograd.evaluation.memory import PeakMemory
from sinograd.models import NetworkDenoiser, bilateral_stack, save_model
from sinograd.networks import CNN10

FULL = protocol("full-range")


def gauss(volume: torch.Tensor) -> torch.Tensor:
    """A Gaussian filter of each slice."""
    return torch.from_numpy(ndimage.gaussian_filter(volume.numpy(), (0, 1.2, 1.2)))


def test_means_over_slices_volumes_and_patients(pairs: list[PairedVolume]) -> None:
    scores = evaluate([Method.of("gauss", gauss)], pairs, FULL, samples=2)
    assert [info.name for info in scores.methods] == ["input", "gauss"]
    assert len(scores.rows) == 2 * 5 and scores.patients == ("A", "B", "C") and scores.unit == "HU"

    def psnr(source: Volume, target: Volume, denoised: bool) -> float:
        noisy = source.values.numpy()
        found = ndimage.gaussian_filter(noisy, (0, 1.2, 1.2)) if denoised else noisy
        return float(np.mean([
            peak_signal_noise_ratio(t.astype(np.float64), f.astype(np.float64), data_range=4096)
            for t, f in zip(target.values.numpy(), found, strict=True)
        ]))  # fmt: skip

    for name, denoised in (("input", False), ("gauss", True)):
        of_volume = [[psnr(s, p.target, denoised) for s in p.inputs] for p in pairs]  # pyright: ignore
        want = {"A": np.mean([*of_volume[0], *of_volume[1]]), "B": np.mean(of_volume[2]), "C": np.mean(of_volume[3])}
        assert scores.by_patient(name, "psnr") == pytest.approx(want, abs=1e-6)
        summary = scores.summary(name, "psnr")
        assert (summary.n, summary.mean) == (3, pytest.approx(np.mean(list(want.values()))))
        assert summary.std == pytest.approx(np.std(list(want.values()), ddof=1))
    assert scores.summary("input", "rmse").mean == pytest.approx(40, rel=0.03)
    difference = scores.difference("gauss", "input", "rmse")
    one, other = (list(scores.by_patient(n, "rmse").values()) for n in ("gauss", "input"))
    assert difference.t_test == pytest.approx(stats.ttest_rel(one, other).pvalue)
    assert difference.difference.high < 0 and scores.best("rmse") == scores.best("ssim") == "gauss"
    assert [(s.volume, s.index) for s in scores.samples] == [("A-0", 1), ("B-2", 1)]
    torch.testing.assert_close(scores.samples[0].images["gauss"], gauss(pairs[0].inputs[0].values)[1])  # pyright: ignore


def test_oracles_are_told_and_excluded(pairs: list[PairedVolume]) -> None:
    seen: list[tuple[int, int, str]] = []

    def progress(done: int, total: int, note: str = "") -> None:
        seen.append((done, total, note))

    scores = evaluate([find_method("gaussian"), find_method("input")], pairs[:2], FULL, progress=progress)
    assert [info.oracle for info in scores.methods] == [False, True]
    assert scores.summary("gaussian", "rmse").mean < 20 and scores.best("rmse") is None
    assert seen[0] == (0, 4, ", A-0: input") and seen[-1] == (4, 4, "")


def test_no_method_is_best_that_is_worse_than_the_input(pairs: list[PairedVolume]) -> None:
    """Of two that blur or shift, the better one is still no use."""
    worse = [Method.of("shifted", lambda volume: volume + 500), Method.of("more", lambda volume: volume + 900)]
    scores = evaluate(worse, pairs[:2], FULL)
    assert scores.best("rmse") is None and scores.best("psnr") is None
    better = evaluate([*worse, Method.of("gauss", gauss)], pairs[:2], FULL)
    assert better.best("rmse") == "gauss"


def test_models_by_file(pairs: list[PairedVolume], tmp_path: Path) -> None:
    model = bilateral_stack(2, sigma_spatial=(0.2, 0.9, 0.9), sigma_range=0.05, input_scale=4096.0)
    save_model(model, tmp_path / "two-filters.yaml")
    (tmp_path / "run").mkdir()
    save_model(model, tmp_path / "run" / "model.yaml")
    methods = [find_method(tmp_path / "two-filters.yaml"), find_method(tmp_path / "run")]
    methods.append(find_method(f"mine={tmp_path / 'run'}"))
    assert [(m.name, m.parameters, m.oracle) for m in methods] == [
        (name, 8, False) for name in ("two-filters", "run", "mine")
    ]
    scores = evaluate(methods, pairs[2:3], FULL)
    pair = pairs[2]
    with torch.no_grad():
        want = (model(pair.inputs[0].values) - pair.target.values).square().mean((1, 2)).sqrt().mean()  # pyright: ignore
    assert scores.summary("two-filters", "rmse").mean == pytest.approx(float(want), rel=1e-5)
    assert want < 0.6 * scores.summary("input", "rmse").mean
    assert scores.by_patient("mine", "ssim") == scores.by_patient("run", "ssim")


def test_networks_by_file(pairs: list[PairedVolume], tmp_path: Path) -> None:
    """A network's file: its parameters, and the scores of what the module makes of the volume."""
    denoiser = NetworkDenoiser(CNN10(), offset=0.0, scale=500.0)
    save_model(denoiser, tmp_path / "cnn.pt", trained_on={"unit": "HU"})
    method = find_method(tmp_path / "cnn.pt")
    assert (method.name, method.parameters, method.unit) == ("cnn", 24_513, "HU")
    with pytest.raises(ValueError, match=r"cnn: trained on values in 1/mm, B-2 is in HU"):
        evaluate([dataclasses.replace(method, unit="1/mm")], pairs[2:3], FULL)
    scores = evaluate([method], pairs[2:3], FULL)
    with torch.no_grad():
        found = denoiser(pairs[2].inputs[0].values)  # pyright: ignore
    want = (found - pairs[2].target.values).square().mean((1, 2)).sqrt().mean()  # pyright: ignore
    assert scores.summary("cnn", "rmse").mean == pytest.approx(float(want), rel=1e-4)


def test_attenuation_is_scored_in_hounsfield_units(pairs: list[PairedVolume]) -> None:
    """Methods get 1/mm; scores are those of the same volumes in HU."""
    water, given = 0.02, []

    def to_attenuation(pair: PairedVolume) -> PairedVolume:
        inputs = tuple((s.values + 1000) * water / 1000 for s in pair.inputs)  # pyright: ignore
        target = (pair.target.values + 1000) * water / 1000  # pyright: ignore
        return dataclasses.replace(pair, inputs=inputs, target=target, unit="1/mm")

    def same(volume: torch.Tensor) -> torch.Tensor:
        given.append(float(volume.mean()))
        return volume

    found = evaluate([Method.of("same", same)], [to_attenuation(p) for p in pairs], FULL, water=water)
    want = evaluate([], pairs, FULL)
    for metric in ("ssim", "psnr", "rmse"):
        assert found.summary("same", metric).mean == pytest.approx(want.summary("input", metric).mean, rel=1e-4)
    assert 0.01 < given[0] < 0.03 and found.unit == "HU"
    chosen = protocol("full-range", data_range=4.096 * water, unit="1/mm")
    plain = evaluate([], [to_attenuation(p) for p in pairs], chosen)
    for metric in ("ssim", "psnr"):
        assert plain.summary("input", metric).mean == pytest.approx(want.summary("input", metric).mean, rel=1e-4)
    assert plain.unit == "1/mm" and plain.summary("input", "rmse").mean == pytest.approx(40 * water / 1000, rel=0.03)


def test_times_and_memory() -> None:
    clean = torch.zeros(4, 700, 700)
    pair = PairedVolume("P", "P", (clean + torch.randn(clean.shape),), clean, "none")

    def hungry(volume: torch.Tensor) -> torch.Tensor:
        double = volume.double()
        return (double + 1).float()

    chosen = protocol("full-range", data_range=1.0, unit="none")
    scores = evaluate([Method.of("hungry", hungry)], [pair], chosen)
    before, after = scores.seconds("input"), scores.seconds("hungry")
    assert before is not None and after is not None and 0 <= before < after
    memory = scores.memory("hungry")
    if memory is None:
        pytest.skip("needs /proc/self/clear_refs")
    assert 24e6 < memory < 70e6  # two of 16 MB, and 8 MB for the result
    assert scores.memory("input") < 4e6 and scores.unit == ""  # pyright: ignore


def test_memory_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinograd.evaluation.memory._set_back", lambda: False)
    with PeakMemory(torch.device("cpu")) as memory:
        pass
    assert memory.peak is None


def test_bad_input(pairs: list[PairedVolume]) -> None:
    def refused(message: str, methods: list[Method], given: list[PairedVolume], **options: float) -> None:
        with pytest.raises(ValueError, match=message):
            evaluate(methods, given, FULL, **options)  # pyright: ignore

    one = Method.of("one", lambda volume: volume)
    refused("one is there twice: expected different names", [one, one], pairs)
    refused("at least one paired volume", [one], [])
    refused("A-0: no target", [one], [dataclasses.replace(pairs[0], target=None)])
    values = pairs[0].inputs[0].values
    refused("A-0: its values are in 1/mm", [one], [PairedVolume("A-0", "A", (values,), values, "1/mm")])
    small = pairs[0].target.values * 2e-5 + 0.02  # pyright: ignore
    refused("attenuation in 1/mm", [one], [dataclasses.replace(pairs[0], inputs=(small,), target=small)])
    refused("cut: expected a volume .3, 40, 44. of A-0, got .2, 40, 44.", [Method.of("cut", lambda v: v[1:])], pairs)
    refused("bad: made 5280 NaN or infinite values of A-0", [Method.of("bad", lambda v: v * math.nan)], pairs)
    with pytest.raises(ValueError, match="expected the group chest, abdomen, neuro, got ''"):
        evaluate([one], [dataclasses.replace(pairs[0], group="")], protocol("ldct-benchmark"))


def test_unknown_methods(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"no method 'gausian': expected one of input, gaussian, .*no trained model named"
    ):
        find_method("gausian")
    with pytest.raises(ValueError, match=r"no method .*missing\.yaml"):
        find_method(tmp_path / "missing.yaml")
    (tmp_path / "text.yaml").write_text("a: 1")
    with pytest.raises(ValueError, match="it is no model file"):
        find_method(tmp_path / "text.yaml")
    from sinograd.models import DualDomainBilateral

    with pytest.raises(ValueError, match="the model starts from projections"):
        Method.of_module("dual", DualDomainBilateral([], []))


def test_scores_know_their_names(pairs: list[PairedVolume]) -> None:
    scores = evaluate([], pairs[:1], FULL)
    with pytest.raises(ValueError, match="no method 'x': expected one of input"):
        scores.summary("x", "psnr")
    with pytest.raises(ValueError, match="no metric 'vif': expected one of ssim, psnr, rmse"):
        scores.summary("input", "vif")
