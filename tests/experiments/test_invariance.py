"""The invariance experiment: profiles, crops and their lesions, a small one from start to end, twice."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sinograd.errors import ConfigError, MissingFileError

pytest.importorskip("lightning")
pytest.importorskip("FrEIA")

CONFIG = Path(__file__).resolve().parents[2] / "experiments" / "invariance" / "config.yaml"
FEW = {"stop": {"max_steps": 1}, "validation": {"every": 2, "slices": 1}}
SMALL: dict[str, Any] = {
    "scans": {
        **{name: {"count": 1} for name in ("training", "validation")},
        "test": {"count": 2},
        "slices": 2,
        "shape": [64, 128],
        "voxel": 3.6,
        "views": 60,
        "columns": 96,
        "column": 7.5,
    },
    "crops": {"per_patient": 2, "about_nodules": 1, "least": 1},
    "denoisers": {
        "one-filter": {"train": FEW},
        "red-cnn": {"train": {"model": {"channels": 2}, **FEW}},
    },
    **{name: {**FEW, "data": {"patches": {"per_batch": 2}}} for name in ("vae", "twin", "flow", "embedding")},
    "latents": {"patients": {"count": 2}, "per_patient": 2, "draws": 2},
    "samples": 2,
    "control_samples": 1,
    "seeds": [0],
}


def small(**changes: Any) -> Any:
    from invariance.settings import load_study

    return load_study(CONFIG, "quick", {**SMALL, **changes})


@pytest.mark.parametrize("profile", ["quick", "evening", "full"])
def test_configurations(profile: str) -> None:
    """Controls in all, ten test patients or more, upright crops, debugging takes other patients and seeds."""
    from invariance.experiment import debug_changes
    from invariance.settings import load_study

    study = load_study(CONFIG, profile)
    assert {"identity", "constant", "lesion-eraser", "one-filter", "red-cnn"} <= set(study.denoisers)
    assert study.scans.test.count >= 10 and study.scans.dose == 0.1
    for run in (study.vae, study.twin, study.flow, study.embedding):
        assert run["data"]["patches"]["augment"] is False
    count = study.scans.test.count * study.crops.per_patient
    assert (count >= 100 and study.samples >= 20) if profile != "full" else (count, study.samples) == (1000, 100)
    assert len(study.seeds) == 3
    if profile != "quick":
        assert {"cnn-10", "wgan-vgg", "du-gan", "three-filters", "dual-domain"} <= set(study.denoisers)
    other, parts = load_study(CONFIG, profile, debug_changes(study)), ("training", "validation", "test")
    seeds = [
        {seed for part in (*(getattr(one.scans, n) for n in parts), one.latents.patients) for seed in part.seeds}
        for one in (study, other)
    ]
    assert not seeds[0] & seeds[1]
    assert not set(other.seeds) & set(study.seeds)


def test_what_the_reported_run_reached() -> None:
    """Latents of held-out patients, samples that are denoised again, the eraser and the ends, of three seeds."""
    found = json.loads((CONFIG.parent / "results" / "quick" / "results.json").read_text("utf-8"))
    names = {"identity", "constant", "lesion-eraser", "one-filter", "red-cnn"}
    assert set(found["means"]) == names and len(found["latents"]) == 3 * len(names)
    for key, moments in found["latents"].items():
        assert moments["largest_mean"] <= 0.1, key
        assert 0.8 < moments["lowest_variance"] <= moments["highest_variance"] < 1.2, key
    for name in names - {"constant"}:
        assert found["means"][name]["own"] <= 0.2 * found["means"][name]["others"], name
    assert found["exposure"]["lowest"] and found["ends"] == [True, True]
    assert all(test[f"corrected_by_{by}"] < 0.01 for test in found["exposure"]["tests"] for by in ("crop", "patient"))


def test_the_table_of_the_page_is_that_of_the_results() -> None:
    """In experiments/README.md: MD, content similarity, and the largest mean of latents of all seeds."""
    found = json.loads((CONFIG.parent / "results" / "quick" / "results.json").read_text("utf-8"))
    page = (CONFIG.parents[1] / "README.md").read_text("utf-8").split("`invariance`, quick profile")[1]
    titles = ("identity", "constant", "lesion eraser", "1 bilateral filter", "RED-CNN")
    for name, title in zip(("identity", "constant", "lesion-eraser", "one-filter", "red-cnn"), titles, strict=True):
        row = next(line for line in page.splitlines() if line.startswith(f"| {title}")).split(" | ")
        means = found["means"][name]
        latents = [moments for key, moments in found["latents"].items() if key.startswith(f"{name}, ")]
        worst = max(latents, key=lambda moments: moments["largest_mean"])
        assert row[1] == f"{means['difference']:.0f}" and row[3] == f"{means['content']:.3f}"
        assert row[-1].strip(" |*") == f"{worst['largest_mean']:.2f} ± {worst['largest_error']:.2f}"


def test_wrong_configurations() -> None:
    for changes, words in (
        ({"scans": {"test": {"first": 1000, "count": 2}}}, "have patients in common"),
        ({"latents": {"patients": {"first": 5001}}}, "have patients in common"),
        ({"latents": {"patients": {"count": 1}}}, "latents.patients.count: expected at least 2"),
        ({"reference": "best"}, "reference: no denoiser 'best'"),
        ({"denoisers": {"identity": {"control": "nothing"}}}, r"denoisers.identity.control: expected one of identity"),
        ({"denoisers": {"other": {"title": "x"}}}, "denoisers.other: expected control or train"),
        ({"samples": 1}, "samples: expected at least 2, got 1"),
        ({"vae": {"task": {"pixel": 1}}}, r"vae.task.pixel: unknown key"),
    ):
        with pytest.raises(ConfigError, match=words):
            small(**changes)


def test_weights_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The full profile names its files, which nobody has by chance, before any scan is made."""
    from invariance.experiment import Experiment
    from invariance.settings import load_study

    monkeypatch.chdir(tmp_path)
    study = load_study(CONFIG, "full")
    with pytest.raises(MissingFileError, match=r"model\.weights: no file at .*resnet50-11ad3fa6\.pth"):
        Experiment(study, tmp_path / "cache").run(tmp_path / "out")
    without = {"model": {"weights": "random"}}
    study = load_study(CONFIG, "full", {"vae": without, "twin": without})
    with pytest.raises(MissingFileError, match=r"task\.vgg: no file at .*vgg16-397923af\.pth"):
        Experiment(study, tmp_path / "cache").run(tmp_path / "out")
    assert not (tmp_path / "cache").exists() and not (tmp_path / "out").exists()


def test_crops_with_a_lesion_have_one() -> None:
    from invariance.scans import choose_crops, cut, patients

    study = small(crops={"per_patient": 12, "about_nodules": 8, "least": 3, "margin": 4, "jitter": 10})
    (patient,) = patients(study, [5000], None)
    assert patient.low.shape == (2, 64, 128) and patient.nodules.any()
    noise = (patient.low - patient.normal)[patient.normal < -700]
    assert 20 < float(noise.std()) < 1000  # HU
    crops = choose_crops(study, patient, 64)
    assert crops == choose_crops(study, patient, 64) and sum(crop.lesion for crop in crops) >= 4
    inside = cut({5000: patient.nodules}, crops, 64)[:, 0, 4:-4, 4:-4].flatten(1).sum(dim=1)
    assert [bool(n >= 3) for n in inside] == [crop.lesion for crop in crops]
    lungs = patient.normal[patient.nodules & (patient.normal > -300)]
    assert len(lungs) > 0  # nodules are bright


def small_evening() -> Any:
    """All denoisers of the evening profile, and its critic."""
    from invariance.settings import load_study

    trained = {n: d for n, d in load_study(CONFIG, "evening").denoisers.items() if d.train is not None}
    few = {name: {"train": {**FEW, "data": {"patches": {"per_batch": 2}}}} for name in trained}
    few["dual-domain"]["train"] = {**FEW, "validation": {"every": 2}}
    few["red-cnn"]["train"]["model"] = {"channels": 2}
    vae = {**SMALL["vae"], "task": {"critic_width": 2}}
    return load_study(CONFIG, "evening", {**SMALL, "vae": vae, "twin": vae, "denoisers": few})


def small_quick() -> Any:
    """Those of the quick profile, and a pipeline from projections."""
    from invariance.settings import load_study

    evening = load_study(CONFIG, "evening").denoisers["dual-domain"].train
    pipeline = {**evening, **FEW, "validation": {"every": 2}}  # pyright: ignore[reportGeneralTypeIssues]
    entry = {"title": "dual-domain", "pipeline": True, "train": pipeline}
    return small(denoisers={**SMALL["denoisers"], "dual-domain": entry})


@pytest.mark.parametrize(
    ("make", "count", "trained"), [(small_quick, 6, 3), pytest.param(small_evening, 10, 7, marks=pytest.mark.slow)]
)
def test_a_small_run_that_is_stopped(make: Any, count: int, trained: int, tmp_path: Path) -> None:
    """What was trained before the stop is not trained again, nor in another run; a finished seed has its tables."""
    from invariance.experiment import Experiment

    study = make()
    assert len(study.denoisers) == count
    lines: list[str] = []

    def stopped(text: str) -> None:
        if text.startswith("flow of red-cnn"):
            raise KeyboardInterrupt
        lines.append(text)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.raises(KeyboardInterrupt):
        Experiment(study, tmp_path / "cache", report=stopped).run(tmp_path / "out")
    early = _marks(tmp_path)
    assert early and not (tmp_path / "out" / "results.md").exists()
    Experiment(study, tmp_path / "cache", report=lines.append).run(tmp_path / "out")
    marks = _marks(tmp_path)
    assert len(marks) == trained + 2 * count + 2 and early.items() <= marks.items()
    text = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    for words in ("## Table 1", "## Table 2", "## Latents", "What it must reach", "dual-domain", "lesion eraser"):
        assert words in text
    with (tmp_path / "out" / "rows.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == count * 4
    by_name = {name: [row for row in rows if row["denoiser"] == name] for name in study.denoisers}
    assert all(row["own"] == row["others"] == "0.0" for row in by_name["constant"])
    assert all(float(row["baseline"]) > 0 for row in by_name["dual-domain"])
    for row in by_name["identity"]:  # denoised samples are the samples themselves
        assert float(row["own"]) == pytest.approx(float(row["difference"]), rel=1e-4)
    found = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert set(found["means"]) == set(study.denoisers) and len(found["table2"]["content"]) == trained - 1
    assert all((tmp_path / "out" / f"figure-{n}.png").stat().st_size > 5000 for n in (3, 5, 6, 7))
    Experiment(study, tmp_path / "cache", report=lines.append).run(tmp_path / "again")
    assert marks == _marks(tmp_path)
    again = (tmp_path / "again" / "rows.csv").read_text(encoding="utf-8")
    assert again == (tmp_path / "out" / "rows.csv").read_text(encoding="utf-8")

    def stopped_later(text: str) -> None:
        if "seed 1" in text:
            raise KeyboardInterrupt

    more = dataclasses.replace(study, seeds=(0, 1))
    with pytest.raises(KeyboardInterrupt):
        Experiment(more, tmp_path / "cache", report=stopped_later).run(tmp_path / "first")
    text = (tmp_path / "first" / "results.md").read_text(encoding="utf-8")
    assert "seeds 0 of 0, 1: the run was stopped" in text
    torch.set_num_threads(threads)


def _marks(folder: Path) -> dict[Path, int]:
    """Of finished training runs, and when they finished."""
    return {path: path.stat().st_mtime_ns for path in (folder / "cache" / "runs").glob("*/finished.json")}
