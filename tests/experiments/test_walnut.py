"""The experiment `walnut` on a small scan of a phantom. Truth: noise that filters must reduce, views never used."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

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


def interval(values: list[float], digits: int) -> str:
    """Mean and 95 % interval by scipy's own t distribution."""
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    return f"{np.mean(values):+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def stored(case: str, method: str, metric: str) -> list[float]:
    """Of the run that is committed, in the order of the seeds."""
    rows = json.loads((CONFIG.parent / "results" / "quick" / "results.json").read_text("utf-8"))["scores"]
    found = [row for row in rows if (row["case"], row["method"]) == (case, method)]
    return [row[metric] for row in sorted(found, key=lambda row: row["seed"])]


def differences(case: str, method: str) -> tuple[list[float], list[float]]:
    """From FDK of the same seed: reprojection error in percent, PSNR in dB."""
    errors = zip(stored(case, method, "reprojection"), stored(case, "fdk", "reprojection"), strict=True)
    scored = zip(stored(case, method, "psnr"), stored(case, "fdk", "psnr"), strict=True)
    return [100 * (own / plain - 1) for own, plain in errors], [own - plain for own, plain in scored]


CASES = ("measured", "dose-20", "dose-5", "views-60")


def test_the_figures_of_the_tutorial_are_those_of_the_run() -> None:
    """Means of results.json and intervals over its seeds, as the page rounds them."""
    page = (CONFIG.parents[2] / "docs" / "howto" / "walnut-denoise.md").read_text("utf-8")
    rows = [line.split("|")[2:-1] for line in page.splitlines() if re.match(r"\| (measured|\d+ %)", line)]
    for case, row in zip(CASES, rows, strict=True):
        errors = [f"{np.mean(stored(case, method, 'reprojection')):.5f}" for method in ("fdk", "filters-1")]
        scored = [f"{np.mean(stored(case, method, 'psnr')):.2f}" for method in ("fdk", "fdk-hann", "filters-1")]
        error, gain = differences(case, "filters-1")
        expected = [*errors, interval(error, 2), *scored, interval(gain, 3)]
        assert [cell.strip() for cell in row] == expected, case


def test_every_difference_of_the_run_has_its_interval() -> None:
    """Where a filter was trained; FDK of measured views has no seed."""
    text = (CONFIG.parent / "results" / "quick" / "results.md").read_text("utf-8")
    for case in CASES:
        for method, name in (("filters-1", "1 filter"), ("filters-3", "3 filters")):
            error, gain = differences(case, method)
            rows = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
            (row,) = (line for line in rows if interval(error, 2) in line)
            assert interval(gain, 3) in row
    assert len([line for line in text.splitlines() if line.startswith("| ") and "filter" in line]) == 2 * len(CASES)


def test_a_filter_improves_views_that_it_never_saw() -> None:
    """Reprojection error and picture, with intervals that exclude 0."""
    for case in CASES:
        error, gain = differences(case, "filters-1")
        assert stats.ttest_1samp(error, 0, alternative="less").pvalue < 1e-3
        assert stats.ttest_1samp(gain, 0, alternative="greater").pvalue < 1e-3
