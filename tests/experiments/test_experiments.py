"""The experiments' parts against formulas and other packages, and small ones from start to end."""

from __future__ import annotations

import csv
import importlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import sinograd as sg
from sinograd.errors import ConfigError
from sinograd.models import NetworkDenoiser, bilateral_stack
from sinograd.networks import CNN10, QAE

pytest.importorskip("lightning")
pytest.importorskip("torchmetrics")

from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@pytest.mark.parametrize("name", ["bone_xrm", "low_dose_ct"])
@pytest.mark.parametrize("profile", ["quick", "full"])
def test_configurations(name: str, profile: str) -> None:
    """They load, the scans cover what is reconstructed, and the input scales are the data range."""
    from study.config import load_study
    from study.data import make_phantom

    study = load_study(EXPERIMENTS / name / "config.yaml", profile)
    geometry, grid = study.scan_geometry, study.volume_grid
    assert sg.coverage(geometry).missing < 0.01
    lower, upper = (bound[0] for bound in make_phantom(study, study.phantoms.training)[:1].bounds())
    assert 2 * torch.cat([lower[:2], upper[:2]]).abs().max() < geometry.field_of_view
    assert grid.size[0] < 0.95 * geometry.default_grid().size[0]
    for method in study.methods:
        if method.is_network:
            continue
        scales = {key: value for key, value in vars(method.model).items() if key in ("input_scale", "image_scale")}
        assert list(scales.values()) == pytest.approx([study.data_range])
    assert study.methods[0].model.sigma_spatial == 0.5 and study.methods[0].model.sigma_range == 0.01


def test_wrong_configurations(tmp_path: Path, small: Any) -> None:
    from study.config import load_study

    config = EXPERIMENTS / "bone_xrm" / "config.yaml"
    with pytest.raises(ConfigError, match="no profile 'huge', expected one of quick, full"):
        load_study(config, "huge")
    for changes, message in (
        ({"phantoms": {"training": 201}}, "201 is both trained on and tested on"),
        ({"networks": {"training": [204]}}, "204 is both trained on and tested on"),
        ({"networks": {"validation": [101]}}, "101 is both trained on and validated on"),
        ({"networks": None}, "networks: missing, red-cnn is a network"),
        ({"networks": {"learning_rates": {"unet": 1.0}}}, "expected one each for red-cnn, qae, cnn-10, got red-cnn, "),
        ({"depth": {"filters": [1], "like": "qae", "seeds": [0]}}, "a stack of filters in the image, got 'qae'"),
        ({"regions": [[0.9, 0.1, 0.2]]}, "regions: expected squares inside the slice"),
        ({"noise": {"dose": 1.5}}, "noise.dose: expected a fraction above 0 and below 1, got 1.5"),
        ({"sedes": [1]}, "sedes: unknown key .did you mean seeds"),
        ({"comparisons": [["best", "low-dose"]]}, "comparisons: no method 'best'"),
        ({"scale": {"unit": "HU"}}, "scale.water: expected with the unit HU"),
        ({"shown_slice": 99}, "shown_slice: expected less than 15, got 99"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_study(config, "quick", changes)
    (tmp_path / "config.yaml").write_text("title: [", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        load_study(tmp_path / "config.yaml", "quick")


def test_data_are_what_their_seeds_say(small: Any, tmp_path: Path) -> None:
    """Same seeds, same scan; from the cache too; the low dose has the noise of a tenth of the photons."""
    from study.data import cached_case, data_hash, make_case

    study = small("bone_xrm")
    first, again = make_case(study, 5, 0), cached_case(study, 5, 0, tmp_path)
    assert torch.equal(first.low, again.low) and torch.equal(first.projections, again.projections)
    held = cached_case(study, 5, 0, tmp_path)
    assert torch.equal(held.normal, first.normal) and held.phantom == 5 and held.starved == 0
    assert not torch.equal(make_case(study, 5, 1).low, first.low)
    assert torch.equal(make_case(study, 5, 1).clean, first.clean)
    assert data_hash(small("bone_xrm", seeds=[4])) == data_hash(study)
    assert data_hash(small("bone_xrm", noise={"photons": 1e5})) != data_hash(study)
    ratio = (first.low - first.clean).var() / (first.normal - first.clean).var()
    assert ratio.item() == pytest.approx(10, rel=0.1)
    exact = sg.tibia(5, **study.phantoms.options).project(study.scan_geometry)
    assert (first.projections - exact).var().item() == pytest.approx(
        (exact.exp() / (study.noise.photons * 0.1)).mean().item(), rel=0.05
    )


def test_scores_are_those_of_torchmetrics() -> None:
    from study.scoring import score_volume

    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(3, 40, 48, generator=generator)
    found = reference + 0.1 * torch.randn(3, 40, 48, generator=generator)
    score = score_volume(found, reference, 1.3)
    slices = [(a[None, None], b[None, None]) for a, b in zip(found, reference, strict=True)]
    psnr = [peak_signal_noise_ratio(a, b, data_range=1.3).item() for a, b in slices]
    ssim = [structural_similarity_index_measure(a, b, sigma=1.5, data_range=1.3).item() for a, b in slices]
    assert score.psnr == pytest.approx(np.mean(psnr), rel=1e-5)
    assert score.ssim == pytest.approx(np.mean(ssim), abs=2e-3)
    assert score_volume(reference, reference, 1.0).psnr == math.inf


def test_paired_differences_are_those_of_a_t_test() -> None:
    """Means over seeds first; then SciPy's interval of the paired test."""
    from study.scoring import paired_difference, summarise

    generator = np.random.default_rng(0)
    better = [(p, s, float(p + generator.normal())) for p in range(5) for s in range(3)]
    than = [(p, s, float(p - 0.5 + generator.normal())) for p in range(5) for s in range(3)]
    found = paired_difference(better, list(reversed(than)))
    a, b = (np.array([v for _, _, v in values]).reshape(5, 3).mean(axis=1) for values in (better, than))
    test = stats.ttest_rel(a, b)
    interval = test.confidence_interval(0.95)  # pyright: ignore[reportAttributeAccessIssue]
    assert (found.n, found.mean) == (5, pytest.approx((a - b).mean()))
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert found.above_zero == (interval.low > 0)
    assert math.isnan(summarise([1.0]).std)
    with pytest.raises(ValueError, match="the same phantoms and seeds"):
        paired_difference(better, than[1:])


def test_voxels_outside_the_range_of_their_neighbours(small: Any) -> None:
    """None after bilateral filters, exactly those that were put there otherwise; against a double loop."""
    from study.implant import outside_range

    given = torch.rand(4, 9, 9, generator=torch.Generator().manual_seed(0))
    model = bilateral_stack(2, sigma_range=0.3)
    with torch.inference_mode():
        found = model(given)
    assert outside_range(model, given, found) == 0
    found = found.clone()
    found[1, 4, 4] = given[:, :, :].max() + 0.01
    found[2, 0, 0] = given[:, :5, :5].min() - 0.01
    found[3, 8, 8] = torch.nan
    assert outside_range(model, given, found) == 3


def test_how_far_a_network_looks() -> None:
    """As far as its kernels reach together: CNN-10 has widths 9, 3 and 5, QAE ten times 5."""
    from study.implant import reach_of

    generator = torch.Generator().manual_seed(0)
    assert reach_of(NetworkDenoiser(CNN10(generator=generator), 1.0, 2.0)) == (0, 7, 7)
    assert reach_of(NetworkDenoiser(QAE(channels=2, generator=generator))) == (0, 20, 20)


@pytest.fixture
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training runs draw nothing, which takes longer than the training."""
    module = importlib.import_module("sinograd.training.train")
    monkeypatch.setattr(module, "save_curves", lambda *_, **__: None)


@pytest.mark.usefixtures("no_curves")
def test_bone_from_start_to_end(small: Any, tmp_path: Path) -> None:
    from study.experiment import Experiment
    from study.methods import run_folder, training_config

    study = small("bone_xrm")
    networks = {
        "patches": {"size": 16, "per_batch": 2},
        "stop": {"max_steps": 2},
        "validate": {"every": 1, "slices": 1},
    }
    lines: list[str] = []
    found = Experiment(study, tmp_path / "cache", report=lines.append).run(tmp_path / "out")
    names = {"results.md", "results.json", "scores.csv", "runs.csv", "predictions.png", "region.png", "losses.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    # low dose and seven methods to two references, the normal dose to one; two phantoms, two seeds
    assert len(found.rows) == (8 * 2 + 1) * 2 * 2
    assert {run.method: run.parameters for run in found.runs} == {
        "one-filter": 4, "three-filters": 12, "three-filters-n2v": 12, "dual-domain": 12,
        "red-cnn": 1_848_865, "qae": 137_658, "cnn-10": 24_513,
    }  # fmt: skip
    page = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "| Dual-domain BFs |" in page and "| Dual-domain BFs - 3 BF layers |" in page
    assert "| RED-CNN | 100, 101 | 150 | 2 |" in page and "| 1 BF layer | 100 |  | 4 |" in page
    record = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert len(record["record"]["config_sha256"]) == 64 and record["record"]["profile"] == "quick"
    with open(tmp_path / "out" / "scores.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(found.rows)

    # Again: everything is found, nothing is trained, the scores are the same.
    again = Experiment(study, tmp_path / "cache", report=lines.append).run(tmp_path / "again")
    assert again.rows == found.rows
    assert [run.training_seconds for run in again.runs] == [run.training_seconds for run in found.runs]
    # A study with other methods finds the runs that both have; one with other networks' phantoms none of these.
    held = {path.name for path in (tmp_path / "cache" / "runs").iterdir()}
    for changes, new in (({"title": "Other"}, 0), ({"networks": {**networks, "training": [100]}}, 3)):
        other = small("bone_xrm", **changes)
        folders = {
            run_folder(tmp_path / "cache", other, method, training_config(other, method, 0)).name
            for method in other.methods
        }
        assert len(folders - held) == new


@pytest.mark.usefixtures("no_curves")
def test_abdomen_from_start_to_end(small: Any, tmp_path: Path) -> None:
    """Depth, start values and metal."""
    from study.experiment import Experiment

    found = Experiment(small("low_dose_ct"), tmp_path / "cache", report=lambda text: None).run(tmp_path)
    assert {"depth.png", "implant.png"} <= {path.name for path in tmp_path.iterdir()}
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "## Depth" in page and "| 0.5, 0.01 |" in page and "## Metal" in page
    assert [row["outside_range"] for row in found.implant][:4] == [0, 0, 0, 0] and len(found.implant) == 7
    assert found.implant[0]["rmse_near"] > 2 * found.implant[0]["rmse_elsewhere"]
    # The same filters from the same start on the same data are the same, whatever they are called.
    of = {run.method: run.sigmas for run in found.runs}
    assert of["depth-1"] == of["one-filter"] and of["start-0.5-0.01"] == of["three-filters"]


def test_other_phantoms_for_debugging(small: Any) -> None:
    from study.config import load_study
    from study.experiment import debug_changes

    for name in ("bone_xrm", "low_dose_ct"):
        file = EXPERIMENTS / name / "config.yaml"
        study = load_study(file, "quick")
        other = load_study(file, "quick", debug_changes(study))
        used, others = (
            {of.phantoms.training, *of.phantoms.test, *of.networks.training, *of.networks.validation}
            for of in (study, other)
        )
        assert not used & others and not set(study.seeds) & set(other.seeds)
