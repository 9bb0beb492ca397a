"""The experiments' parts against formulas and other packages, and small ones from start to end."""

from __future__ import annotations

import csv
import dataclasses
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
@pytest.mark.parametrize("profile", ["quick", "evening", "full"])
def test_configurations(name: str, profile: str) -> None:
    """They load, the scans cover what is reconstructed, and the input scales are the data range."""
    from sinograd.training.config import check_config
    from study.config import load_study
    from study.data import make_phantom
    from study.methods import training_config

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
    for method in study.methods:
        for seed in study.seeds_of(method):
            check_config(training_config(study, method, seed))
    for shift in study.shifts:
        make_phantom(study.shifted(shift), study.phantoms.test[0])
    if profile != "quick":  # all networks of the paper's tables
        assert {"red-cnn", "qae", "wgan-vgg", "jbfnet"} <= {method.name for method in study.methods}
        schedules = {
            name: training_config(study, study.method(name), 0).optimizer.schedule for name in ("qae", "jbfnet")
        }
        assert schedules["qae"] is not None and schedules["jbfnet"] is None  # "decaying" and "constant" in the paper
    assert study.methods[0].model.sigma_spatial == 0.5 and study.methods[0].model.sigma_range == 0.01


def test_wrong_configurations(tmp_path: Path, small: Any) -> None:
    from study.config import load_study

    config = EXPERIMENTS / "bone_xrm" / "config.yaml"
    with pytest.raises(ConfigError, match="no profile 'huge', expected one of quick, evening, full"):
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
        ({"headline": [["qae", "low-dose"]]}, "headline: qae - low-dose is not among the comparisons"),
        ({"sizes": {"counts": [11]}}, "networks.training: 10 phantoms, but methods or sizes take more"),
        ({"shifts": [{"name": "x", "title": "X", "noise": {"dose": 2}}]}, r"shifts.0..noise.dose: expected a fraction"),
        ({"sedes": [1]}, "sedes: unknown key .did you mean seeds"),
        ({"comparisons": [["best", "low-dose"]]}, "comparisons: no method 'best'"),
        ({"scale": {"unit": "HU"}}, "scale.water: expected with the unit HU"),
        ({"shown_slice": 99}, "shown_slice: expected less than 11, got 99"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_study(config, "quick", changes)
    (tmp_path / "config.yaml").write_text("title: [", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        load_study(tmp_path / "config.yaml", "quick")


def test_hours_of_the_evening_profiles() -> None:
    """Steps by hand: 3000 of 4.8 core-seconds on two cores are two hours; all networks of both studies are listed."""
    from steps import Row, runs, table

    rows = [Row("bone_xrm", "RED-CNN", "16 of 64 x 64", 3000, 4.8)]
    assert rows[0].hours == pytest.approx(2.0)
    assert "| bone_xrm | RED-CNN | 16 of 64 x 64 | 3000 | 4.8 | 2.0 |" in table(rows)
    listed = [(study, title) for study, title, _, _ in runs()]
    assert ("bone_xrm", "JBFnet") in listed and ("structkpn", "StructKPN, Ls") in listed and len(listed) == 10


@pytest.mark.parametrize("name", ["bone_xrm", "low_dose_ct"])
def test_committed_results_are_of_the_committed_configuration(name: str) -> None:
    from study.config import config_hash, load_study

    folder = EXPERIMENTS / name
    for profile in (path.name for path in (folder / "results").iterdir()):
        page = (folder / "results" / profile / "results.md").read_text(encoding="utf-8")
        assert f"configuration {config_hash(load_study(folder / 'config.yaml', profile))[:16]}" in page, profile


def test_a_part_of_a_study(small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some methods and seeds, another precision: the tables say so, with the hash of the whole configuration."""
    from typer.testing import CliRunner

    from run import app
    from study import config
    from study.part import only

    single = small("bone_xrm")
    assert single.networks is not None
    study = dataclasses.replace(single, networks=dataclasses.replace(single.networks, precision="bfloat16"))
    monkeypatch.setattr(config, "load_study", lambda *_: study)

    def run(*arguments: str) -> Any:
        paths = ("--cache", str(tmp_path / "cache"), "--output", str(tmp_path / "out"))
        return CliRunner().invoke(app, ["bone_xrm", *paths, *arguments])

    done = run("--methods", "one-filter, cnn-10", "--seeds", "1")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert f"configuration {config.config_hash(study)[:16]}" in page
    assert "without: 3 BF layers; 1 BF layer, 2-D;" in page and "seed 1; amounts of training data." in page
    assert "In training networks compute in bfloat16" in page
    assert "| CNN-10 |" in page and "| RED-CNN |" not in page
    found = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert {run["method"] for run in found["runs"]} == {"one-filter", "cnn-10"}
    assert {run["seed"] for run in found["runs"]} == {0}

    added = run("--methods", "qae", "--seeds", "1", "--add")
    assert added.exit_code == 0, added.output
    page = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "Rows of 2 runs, configuration" in page and "| QAE |" in page and "| CNN-10 |" in page

    assert config.config_hash(study) != config.config_hash(single)
    with pytest.raises(ConfigError, match="methods: no 'bm3d', expected some of one-filter, three-filters"):
        only(study, ["bm3d"])
    monkeypatch.undo()
    assert only(study, [], 1).sizes == dataclasses.replace(study.sizes, seeds=study.sizes.seeds[:1])
    for wrong, words in (
        ("walnut --precision bfloat16 --output x", "no such choice"),
        ("structkpn --seeds 1 --output x", "run in part"),
        ("bone_xrm --seeds 1", "need --output"),
        ("bone_xrm --add", "need --output"),
        ("walnut --add --output x", "run in part"),
        ("bone_xrm --methods qae --output x --other-noise", "needs --add"),
        (f"bone_xrm --methods qae --add --output {tmp_path}", "cannot add to"),
        ("bone_xrm --seeds 9 --output x", "expected at most 1, got 9"),
        ("bone_xrm --methods , --output x", "no ''"),
    ):
        assert words in CliRunner().invoke(app, wrong.split(), env={"COLUMNS": "160"}).output, wrong


def test_data_are_what_their_seeds_say(small: Any, tmp_path: Path) -> None:
    """Same seeds, same scan; from the cache too; the low dose has the noise of a tenth of the photons."""
    from study.data import cached_case, data_hash, make_case, make_phantom

    study = small("bone_xrm")
    first, again = make_case(study, 5, 0), cached_case(study, 5, 0, tmp_path)
    assert torch.equal(first.low, again.low) and torch.equal(first.projections, again.projections)
    held = cached_case(study, 5, 0, tmp_path)
    assert torch.equal(held.normal, first.normal) and held.phantom == 5 and held.starved == 0
    assert not torch.equal(make_case(study, 5, 1).low, first.low)
    assert torch.equal(make_case(study, 5, 1).clean, first.clean)
    assert data_hash(small("bone_xrm", seeds=[4])) == data_hash(study)
    assert data_hash(small("bone_xrm", noise={"photons": 1e5})) != data_hash(study)
    exact = make_phantom(study, 5).project(study.scan_geometry)
    photons, noise = study.noise.photons * 0.1 * (-exact).exp(), study.noise.electronic_noise
    variance = (1 / photons + (noise / photons) ** 2).mean().item()
    assert (first.projections - exact).var().item() == pytest.approx(variance, rel=0.05)


def test_phantoms_differ_as_the_configuration_says(small: Any) -> None:
    """Outer size, wall and attenuation are drawn for each bone, the same every time; a body's size scales all of it."""
    from study.data import make_phantom

    study = small("bone_xrm")
    bones = [make_phantom(study, seed) for seed in (5, 6, 5)]
    assert torch.equal(bones[0].semi_axes, bones[2].semi_axes)
    for seed, bone in zip((5, 6), bones[:2], strict=True):
        (outer, cavity), cortical = bone.semi_axes[:2, :2], bone.value[0].item()
        assert 0.85 * 0.104 <= outer[0] <= 0.104 and outer[1] / outer[0] == pytest.approx(0.09 / 0.104), seed
        assert 0.8 * 0.06 <= outer[0] - cavity[0] <= 1.1 * 0.06 and 0.92 * 0.768 <= cortical <= 1.04 * 0.768
    assert not torch.equal(bones[0].value[0], bones[1].value[0])
    study = small("low_dose_ct")
    (shift,) = study.shifts
    usual, smaller = (make_phantom(of, 7).semi_axes[0, 0].item() for of in (study, study.shifted(shift)))
    assert 0.75 / 1.04 <= smaller / usual <= 0.85 / 0.9


def test_correlated_noise_keeps_its_variance() -> None:
    from study.data import correlated

    noise = torch.randn(20, 60, 80, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = correlated(noise, 0.7)
    assert found.std().item() == pytest.approx(1, rel=0.02)
    neighbours = (found[..., 1:] * found[..., :-1]).mean().item()
    assert neighbours == pytest.approx(math.exp(-1 / (4 * 0.7**2)), abs=0.03)  # of a Gaussian with itself
    assert correlated(noise, 0.0) is noise


def test_lacunae_by_hand(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two true ones of eight voxels: one found whole, one not; a false one elsewhere, and a single voxel, left out."""
    from study import lacunae
    from study.data import Case

    study = small("bone_xrm")
    clean = torch.full((6, 20, 20), 0.77)
    found = clean.clone()
    clean[2:4, 2:4, 2:4] = clean[2:4, 10:12, 10:12] = 0.1
    found[2:4, 2:4, 2:4] = found[2:4, 15:17, 3:5] = found[0, 19, 19] = 0.1
    monkeypatch.setattr(lacunae, "tube_of", lambda *_: np.ones(clean.shape, dtype=bool))
    case = Case(1, 0, clean, found, clean, clean, 0)
    monkeypatch.setattr(lacunae, "make_phantom", lambda *_: None)
    assert lacunae.measure_lacunae(study, found, case) == {"lacunae_found": 0.5, "lacunae_false": 0.5, "lacuna_size": 1}
    perfect = lacunae.measure_lacunae(study, clean, case)
    assert perfect == {"lacunae_found": 1.0, "lacunae_false": 0.0, "lacuna_size": 1.0}
    nothing = lacunae.measure_lacunae(study, torch.ones_like(clean), case)
    assert nothing["lacunae_found"] == 0 and math.isnan(nothing["lacuna_size"])


def test_tube_is_bone_alone(small: Any) -> None:
    """Where the bone without pores has the attenuation of bone, one voxel away from its surfaces."""
    from study.data import make_phantom
    from study.lacunae import tube_of

    study = small("bone_xrm")
    bone = make_phantom(study, 5)
    tube = tube_of(study, bone)
    volume = bone[:2].voxelize(study.volume_grid, supersampling=4)
    assert 0.05 < tube.mean() < 0.5 and float(volume[torch.from_numpy(tube)].min()) > 0.999 * float(bone.value[0])


def test_rods_have_the_contrast_that_is_asked_for(small: Any) -> None:
    """Of the object itself and with white noise: contrast 1, contrast-to-noise by hand, resolution of the pixels."""
    from study.rods import measure_rods, places, rods_object

    study = small("low_dose_ct", rods={"rod": 31, "ring": 70, "seeds": [0]})
    made = rods_object(study.rods).voxelize(study.volume_grid, supersampling=8)
    generator = torch.Generator().manual_seed(0)
    noisy = [made + 1e-4 * torch.randn(made.shape, generator=generator) for _ in range(20)]
    assert measure_rods(study, [made])["contrast"] == pytest.approx(1, abs=1e-6)
    found = measure_rods(study, noisy)
    faint = study.rods.values[-1] - study.rods.background
    assert found["contrast"] == pytest.approx(1, abs=0.05) and found["cnr"] == pytest.approx(faint / 1e-4, rel=0.1)
    blurred = [torch.nn.functional.avg_pool2d(made[:, None], 3, 1, 1)[:, 0]]
    assert measure_rods(study, blurred)["f50"] < 0.75 * measure_rods(study, [made])["f50"]
    assert len(places(study.rods)) == 3


def test_scores_against_steps(small: Any) -> None:
    """Decibels of the losses, and what the last quarter of the steps gained."""
    from sinograd.training import History
    from study.convergence import last_gain, score_curve
    from study.methods import Trained

    study = small("bone_xrm")
    history = History()
    for step in range(1, 101):
        history.append(step, {"training_loss": 10 ** (-min(step, 80) / 100), "validation_loss": math.nan})
    method = study.method("one-filter")
    trained = Trained(bilateral_stack(1), history, 100, 1.0, "max_steps")
    curve = score_curve(study, method, trained)
    assert curve is not None and curve[0] == list(range(1, 101))
    assert curve[1][9] == pytest.approx(1.0) and curve[1][99] == pytest.approx(8.0)  # the scale is the data range
    assert last_gain(curve) == pytest.approx(8 - 7.3)  # of five values each: 0.73, 0.80
    assert score_curve(study, study.method("three-filters-n2v"), trained) is None


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
    seed0 = [row for row in than if row[1] == 0]  # trained with fewer seeds: those that both have count
    alone = paired_difference(better, seed0)
    expected = np.mean([b[2] - t[2] for b, t in zip([r for r in better if r[1] == 0], seed0, strict=True)])
    assert alone.mean == pytest.approx(expected)
    with pytest.raises(ValueError, match="the same phantoms and some seeds"):
        paired_difference(better, [row for row in than if row[0] > 0])


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
        "steps": {"red-cnn": 2, "qae": 2},
        "patches": {"size": 16, "per_batch": 2},
        "stop": {"max_steps": 2},
        "validate": {"every": 1, "slices": 1},
    }
    lines: list[str] = []
    found = Experiment(study, tmp_path / "cache", report=lines.append).run(tmp_path / "out")
    names = {"results.md", "results.json", "scores.csv", "runs.csv", "predictions.png", "region.png", "losses.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"steps.png", "sizes.png", "drawn"}
    # to two references: low dose and nine methods with two seeds, one with one, on two phantoms; the normal dose to
    # one; with the first seed, all at another dose, and two methods trained on one and two phantoms
    assert len(found.rows) == ((10 * 2 + 1) * 2 + 2 + 11 * 2 + 4 * 2) * 2
    assert {run.method: run.parameters for run in found.runs if not run.method.startswith("size-")} == {
        "one-filter": 4, "three-filters": 12, "one-filter-2d": 3, "three-filters-2d": 9, "three-filters-five": 12,
        "three-filters-n2v": 12, "dual-domain": 12, "red-cnn": 1_848_865, "qae": 137_658, "cnn-10": 24_513,
    }  # fmt: skip
    page = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "| Dual-domain BFs |" in page and "| **Dual-domain BFs - 3 BF layers** |" in page
    assert "| RED-CNN | 100, 101 | 150 | 2 |" in page and "| 1 BF layer | 100 |  | 4 |" in page
    assert "| 3 BF layers, five bones | 100, 101, 102, 103, 104 |  | 4 |" in page
    for head in ("share of lacunae found", "5 % dose", "## Amount of training data", "CNR", "noise left, 1/mm"):
        assert head in page
    record = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert len(record["record"]["config_sha256"]) == 64 and record["record"]["profile"] == "quick"
    with open(tmp_path / "out" / "scores.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(found.rows)
    # One filter of the training stack is what the first of the sizes is, too.
    of = {(run.method, run.seed): run.sigmas for run in found.runs}
    assert of["size-1-three-filters", 0] == of["three-filters", 0]

    # Again: everything is found, nothing is trained, the scores are the same.
    again = Experiment(study, tmp_path / "cache", report=lines.append).run(tmp_path / "again")
    assert again.rows == found.rows
    assert [run.training_seconds for run in again.runs] == [run.training_seconds for run in found.runs]
    # A study with other methods finds the runs that both have; one with other networks' phantoms none of these.
    held = {path.name for path in (tmp_path / "cache" / "runs").iterdir()}
    for changes, new in (({"title": "Other"}, 0), ({"networks": {**networks, "training": [*range(110, 117)]}}, 4)):
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
    from study.part import only

    found = Experiment(small("low_dose_ct"), tmp_path / "cache", report=lambda text: None).run(tmp_path)
    assert {"depth.png", "implant.png"} <= {path.name for path in tmp_path.iterdir()}
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "## Depth" in page and "| 0.5, 0.01 |" in page and "## Metal" in page
    assert [row["outside_range"] for row in found.implant][:4] == [0, 0, 0, 0] and len(found.implant) == 7
    assert found.implant[0]["rmse_near"] > 2 * found.implant[0]["rmse_elsewhere"]
    # The same filters from the same start on the same data are the same, whatever they are called.
    of = {run.method: run.sigmas for run in found.runs}
    assert of["depth-1"] == of["one-filter"] and of["start-0.5-0.01"] == of["three-filters"]
    # One method made again beside the rest, its variants and the metal: all is as it was.
    pictures = {path.name: path.read_bytes() for path in tmp_path.glob("*.png")}
    whole = small("low_dose_ct")
    part = only(whole, ["one-filter"])
    again = Experiment(part, tmp_path / "cache", report=lambda text: None, whole=whole, add=True).run(tmp_path)
    assert (again.rows, again.measures, again.implant) == (found.rows, found.measures, found.implant)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.png")} == pictures and "depth.png" in pictures
    assert "## Metal" in (tmp_path / "results.md").read_text(encoding="utf-8")


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
