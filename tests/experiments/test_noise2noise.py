"""The Noise2Noise experiment: images and noise against formulas, sums by hand, a small one from start to end."""

from __future__ import annotations

import csv
import importlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg
from sinograd.errors import ConfigError

pytest.importorskip("lightning")
pytest.importorskip("torchmetrics")

CONFIG = Path(__file__).resolve().parents[2] / "experiments" / "noise2noise" / "config.yaml"


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_configurations(profile: str) -> None:
    """The paper's network, noise and split; the scans cover the slices; debugging takes other phantoms and seeds."""
    from noise2noise.experiment import debug_changes
    from noise2noise.settings import load_study

    study = load_study(CONFIG, profile)
    split = study.phantoms
    used = [set(part.seeds) for part in (split.training, split.validation, split.test)]
    assert len(used[0] | used[1]) == 4 * len(used[2])
    assert [(d.noise.kind, d.noise.psnr) for d in study.sets.values()] == [
        ("poisson", 29.91), ("gaussian", 24.44), ("gaussian", 18.66)
    ]  # fmt: skip
    assert len(study.images["projections"].scan_geometry) == 63 and study.optimizer.schedule.patience == 2
    if profile == "full":
        assert study.model.features == 48 and study.optimizer.learning_rates == {"network": 1e-3}
        assert [len(d.methods) for d in study.sets.values()] == [4, 4, 2]
    geometry, grid = study.images["slices"].scan(test=True)
    assert sg.coverage(geometry).missing < 0.01 and geometry.columns * geometry.detector.spacing[1] > max(grid.size)
    other = load_study(CONFIG, profile, debug_changes(study))
    moved = {seed for name in ("training", "validation", "test") for seed in getattr(other.phantoms, name).seeds}
    assert not moved & set.union(*used) and not set(other.seeds) & set(study.seeds)


def test_wrong_configurations(small_noise2noise: Any) -> None:
    for changes, message in (
        ({"phantoms": {"test": {"first": 1001, "count": 1}}}, "training, validation and test have phantoms in common"),
        ({"filters": ["bm4d"]}, "filters: no filter 'bm4d' of images, expected some of gaussian, median"),
        ({"comparisons": [["n2n-mse", "best"]]}, "comparisons: no 'best'"),
        ({"curves": {"slices": {"networks": [["slices-18", "n2c-mae"]]}}}, "no 'n2c-mae', expected some of n2n-mse"),
        ({"curves": {"slices": {"networks": [["slices-18", "n2n-mse"], ["projections", "n2n-mse"]]}}}, "got 2"),
        ({"realisations": 1}, "realisations: expected at least 2, got 1"),
        ({"sets": {"slices-18": {"images": "scans"}}}, "images: no 'scans', expected some of projections, slices"),
    ):
        with pytest.raises(ConfigError, match=message):
            small_noise2noise(**changes)


def test_images_are_those_of_the_phantoms(small_noise2noise: Any, tmp_path: Path) -> None:
    """Projections over their maximum, slices near the voxelised object, test phantoms at the views that are scored."""
    from noise2noise.images import clean_images

    study = small_noise2noise()
    found = clean_images(study, "projections", tmp_path)
    assert list(found.training) == [1000, 1001] and [len(v) for v in found.test.values()] == [3, 3]
    geometry = study.images["projections"].scan_geometry
    exact = torch.exp(-sg.abdomen(5001).scaled(0.4).project(geometry))[::2]
    for image, transmission in zip(found.test[5001], exact, strict=True):
        torch.testing.assert_close(image, transmission / transmission.max())
    again = clean_images(study, "projections", tmp_path)
    assert torch.equal(again.validation[3000], found.validation[3000])

    slices = clean_images(study, "slices", None)
    largest = max(float(v.max()) for v in (*slices.training.values(), *slices.validation.values()))
    assert largest == pytest.approx(1)
    _, grid = study.images["slices"].scan(test=False)
    object_ = sg.abdomen(1000).voxelize(grid, supersampling=3)
    both = torch.stack([slices.training[1000].flatten(), object_.flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.97
    body = object_ > 0.015
    ratio = float(object_[body].median() / slices.training[1000][body].median())
    assert slices.training[1000].max() <= 1 and 0.02 < ratio < 0.06  # 1/mm: between soft tissue and dense bone


def test_noise_has_the_strength_that_was_asked_for() -> None:
    """Mean PSNR and variance of each pixel; the same key gives the same noise, another realisation another."""
    from noise2noise.images import NoisySource, add_noise, noise_generator, strength_for
    from noise2noise.settings import Noise

    clean = torch.linspace(0.05, 1, 4 * 100 * 100).reshape(4, 100, 100)
    for noise in (Noise("poisson", 29.91), Noise("gaussian", 24.44), Noise("poisson", 14.8)):
        strength = strength_for(noise, [clean[:2], clean[2:]])
        noisy = NoisySource(clean, noise, strength, ("a", 0)).read(0, 4)
        psnr = -10 * (noisy - clean).double().square().mean((1, 2)).log10()
        assert float(psnr.mean()) == pytest.approx(noise.psnr, abs=0.06)
        variance = strength**2 if noise.kind == "gaussian" else clean[3].mean() / strength
        assert float((noisy - clean)[3].var()) == pytest.approx(float(variance), rel=0.05)
        assert torch.equal(NoisySource(clean, noise, strength, ("a", 0)).read(2, 3)[0], noisy[2])
        other = NoisySource(clean, noise, strength, ("a", 1)).read(0, 4)
        residuals = torch.stack([(volume - clean).flatten() for volume in (noisy, other)])
        assert abs(float(torch.corrcoef(residuals)[0, 1])) < 0.02
    assert strength_for(Noise("gaussian", 24.44), [clean]) == pytest.approx(0.06, abs=1e-4)
    image = add_noise(Noise("poisson", 30), torch.ones(50, 50), 20.0, noise_generator("x"))
    assert float(image.min()) >= 0 and torch.equal((20 * image).round(), 20 * image)


def test_noise2noise_sees_no_clean_image(small_noise2noise: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from noise2noise import methods
    from noise2noise.images import clean_images, noisy_pairs

    study = small_noise2noise()
    clean = clean_images(study, "slices", None)
    pairs = noisy_pairs(study, "slices-24", clean.training, 0.06, 0)
    given: list[tuple[Any, Any]] = []
    monkeypatch.setattr(methods, "train_or_find", lambda config, data, *_: given.append((config, data())))
    for method in ("n2n-mse", "n2n-mae", "n2c-mse"):
        methods.train_network(methods.training_config(study, method, 3), pairs[:1], pairs[1:])
    for config, data in given:
        assert config.seed == 3 and len(data.training) == len(data.validation) == 1
        for pair in (*data.training, *data.validation):
            assert len(pair.inputs) == 2 and (pair.target is None) == (config.task.name == "noise2noise")
    assert [config.task.loss for config, _ in given] == ["mse", "mae", "mse"]


def test_sums_by_hand() -> None:
    """Means over seeds first, then over phantoms; levels of a curve likewise."""
    from noise2noise.results import Point, Results, Row

    results = Results()
    for phantom, seed, value in ((1, 0, 30.0), (1, 1, 32.0), (2, 0, 35.0), (2, 1, 37.0)):
        results.rows += [Row("a", "good", phantom, seed, value, 0.9), Row("a", "bad", phantom, seed, 20 + phantom, 0.5)]
        results.points.append(Point("c", "a", "good", phantom, seed, 20.0, 20.1, value))
    summary = results.summary("a", "good", "psnr")
    assert summary is not None and summary.mean == 33.5 and summary.std == pytest.approx(5 / math.sqrt(2))
    difference = results.difference("a", "good", "bad", "psnr")
    assert difference is not None and difference.mean == 12 and difference.n == 2
    assert results.difference("a", "good", "none", "psnr") is None
    (level,) = results.curve("c", "a", "good")
    assert level.psnr_in == pytest.approx(20.1) and level.output.mean == 33.5
    assert level.gain.mean == pytest.approx(13.4) and level.gain.std == pytest.approx(5 / math.sqrt(2))


def test_from_start_to_end(small_noise2noise: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from noise2noise.experiment import Experiment

    monkeypatch.setattr(importlib.import_module("sinograd.training.train"), "save_curves", lambda *_, **__: None)
    study = small_noise2noise()
    found = Experiment(study, tmp_path / "cache", report=lambda text: None).run(tmp_path / "out")
    names = {"results.md", "results.json", "scores.csv", "curves.csv", "runs.csv"}
    names |= {f"images-{name}.png" for name in study.sets} | {"curve-projections.png", "curve-slices.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    # noisy, networks, three filters twice; two phantoms
    assert len(found.rows) == (3 * (1 + 6) + 5) * 2 and len(found.runs) == 5
    assert len(found.points) == (2 * 2 + 2 * 3) * 2
    for name, dataset in study.sets.items():
        noisy = found.summary(name, "noisy", "psnr")
        assert noisy is not None and noisy.mean == pytest.approx(dataset.noise.psnr, abs=0.5)
        for method in study.filters:
            means = [found.summary(name, method + end, "psnr") for end in ("", "-oracle")]
            assert means[0] is not None and means[1] is not None
            # the search ends within 1 % of the least error: 0.04 dB
            assert noisy.mean < means[1].mean and means[0].mean < means[1].mean + 0.05
    for point in found.points:
        assert point.psnr_in == pytest.approx(point.level, abs=0.7)
    page = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "## CT slices, 24.44 dB (Table IV)" in page and "| Median, per image |" in page
    assert "| **Noise2Noise, MSE - Noise2Clean, MSE** |" in page and "## Trained at 29.91 dB (Figure 2)" in page
    record = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert len(record["record"]["config_sha256"]) == len(record["record"]["data_sha256"]) == 64
    with open(tmp_path / "out" / "scores.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(found.rows)

    # Again: the run is found under the same configuration, and its scores are the same.
    again = Experiment(study, tmp_path / "cache", report=lambda text: None)
    again._dataset("slices-18", 0)
    assert again.results.rows == [row for row in found.rows if row.dataset == "slices-18"]
    (run,), (held,) = again.results.runs, found.runs_of("slices-18", "n2n-mse")
    assert (run.steps, run.training_seconds, run.parameters) == (held.steps, held.training_seconds, held.parameters)
    assert run.validation_loss == pytest.approx(held.validation_loss)
