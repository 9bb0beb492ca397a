"""The experiment `walnut` on a small scan of a phantom. Truth: noise that filters must reduce, views never used."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from sinograd.errors import ConfigError, InputError
from walnut_files import write_reduced

CONFIG = Path(__file__).resolve().parents[2] / "experiments" / "walnut" / "config.yaml"
# 24 views leave few for a case
pytestmark = pytest.mark.filterwarnings("ignore::sinograd.errors.CoverageWarning")
SMALL = {
    "grid": {"shape": [12, 48, 48], "voxel_mm": 0.2},
    "training": {"z": [4, 8], "y": [8, 40], "x": [8, 40]},
    "scored": {"z": [3, 9], "radius_mm": 4.0},
    "reprojected": {"rows": [10, 14], "every": 1},
    "steps": 2,
    "seeds": [0, 1, 2],
}


@pytest.fixture
def experiment(tmp_path: Path) -> Any:
    from walnut.experiment import Experiment
    from walnut.settings import load_study

    study = load_study(CONFIG, "quick", SMALL)
    data = write_reduced(tmp_path / "walnut.npz")
    return Experiment(study, tmp_path / "cache", report=lambda text: None, data=data)


def test_small_run(experiment: Any, tmp_path: Path) -> None:
    scores = experiment.run(tmp_path / "results")
    study = experiment.study
    assert len(scores) == len(study.cases) * len(study.seeds) * (2 + len(study.filters))
    written = json.loads((tmp_path / "results" / "results.json").read_text())
    assert len(written["scores"]) == len(scores) and written["record"]["config_sha256"]
    text = (tmp_path / "results" / "results.md").read_text()
    assert "CC BY 4.0" in text and "| 3 filters |" in text and "5% of the dose" in text
    assert (tmp_path / "results" / "slices.png").stat().st_size > 1000
    plain = {(score.case, score.seed): score.psnr for score in scores if score.method == "fdk"}
    assert plain["measured", 0] == plain["measured", 1]  # no noise is added
    assert plain["dose-5", 0] != plain["dose-5", 1]


def test_views_that_are_kept_back_are_never_used(experiment: Any) -> None:
    """Other numbers there change nothing that is reconstructed or trained."""
    from walnut.experiment import KEPT_BACK

    case = experiment.study.cases["dose-5"]
    before = experiment._volumes(case, 0)
    experiment.line_integrals[KEPT_BACK] = torch.nan
    after = experiment._volumes(case, 0)
    for method, volume in before.items():
        torch.testing.assert_close(after[method], volume, rtol=0, atol=0)


def test_without_data(tmp_path: Path) -> None:
    from walnut.experiment import Experiment
    from walnut.settings import load_study

    with pytest.raises(InputError, match="--data"):
        Experiment(load_study(CONFIG), tmp_path)
    with pytest.raises(ConfigError, match="at least 3"):
        load_study(CONFIG, "quick", {"seeds": [0]})


def test_the_figures_of_the_tutorial_are_those_of_the_run() -> None:
    """Means of results.json, as the page rounds them."""
    root = CONFIG.parents[2]
    scores = json.loads((CONFIG.parent / "results" / "quick" / "results.json").read_text("utf-8"))["scores"]

    def mean(case: str, method: str, metric: str) -> float:
        found = [score[metric] for score in scores if (score["case"], score["method"]) == (case, method)]
        return sum(found) / len(found)

    page = (root / "docs" / "howto" / "walnut-denoise.md").read_text("utf-8")
    rows = [line.split("|")[2:-1] for line in page.splitlines() if re.match(r"\| (measured|\d+ %)", line)]
    for case, row in zip(("measured", "dose-20", "dose-5", "views-60"), rows, strict=True):
        errors = [f"{mean(case, method, 'reprojection'):.5f}" for method in ("fdk", "filters-1")]
        scored = [f"{mean(case, method, 'psnr'):.2f}" for method in ("fdk", "fdk-hann", "filters-1")]
        gain = f"{mean(case, 'filters-1', 'psnr') - mean(case, 'fdk', 'psnr'):+.2f}"
        assert [cell.split()[0] for cell in row] == [*errors, *scored, gain], case
