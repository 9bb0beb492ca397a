"""The arithmetic and the tables of the benchmarks, on made-up timings; nothing is measured here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest


def made_up_run(**changes: object) -> dict:
    ours = {"median": 2.0, "min": 1.0, "max": 3.0, "rate_per_core": 1.5e9, "accuracy": {"rmse": 0.004}}
    peer = {**ours, "ratio": {"median": 10.0, "min": 9.0, "max": 11.0}, "note": "", "difference": 1e-7}
    run = {
        "processor": "Some CPU",
        "vendor": "AuthenticAMD",
        "family": "25",
        "cores": 2,
        "clock_ghz": 4.0,
        "threads": 2,
        "repeat": 3,
        "size": None,
        "date": "2026-01-02T00:00:00+00:00",
        "commit": "abc",
        "versions": {"ours": {"sinograd": "1.0", "instruction set": "avx512"}, "rtk": {"itk-rtk": "2.7"}},
        "timings": [{"case": "fdk", "libraries": {"ours": ours, "rtk": peer}}],
    }
    return {**run, **changes}


def test_ratios_are_taken_pair_by_pair(load) -> None:
    timing = load("timing")
    assert timing.pairwise_ratios([1.0, 2.0], [10.0, 30.0]) == [10.0, 15.0]
    assert timing.spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}


def test_case_a_is_the_published_one(load) -> None:
    case = load("cases").CASES["fdk"]
    assert (case.volume_shape, case.projection_shape) == ((256, 256, 256), (360, 256, 256))
    assert case.updates == 256**3 * 360
    small = case.at_size(64)
    assert small.projection_shape == (90, 64, 64)
    assert small.pixel * small.columns == pytest.approx(256 * 1.6)


def test_taps_of_a_filter_are_the_neighbours_that_exist(load) -> None:
    case = load("cases").CASES["bilateral-forward"]
    assert case.volume_shape == (21, 512, 512)
    # every axis lacks two neighbours at each end and one beside it
    assert case.updates == (21 * 5 - 6) * (512 * 5 - 6) ** 2
    assert load("cases").CASES["bilateral-image"].updates == (512 * 5 - 6) ** 2


def test_score_of_a_known_error(load) -> None:
    accuracy = load("accuracy")
    truth = np.full((41, 41), 0.5, np.float32)
    scores = accuracy.score(truth + np.float32(0.01), truth, 5.0)
    assert scores == pytest.approx({"rmse": 0.01, "rmse_flat": 0.01, "mean_ratio": 1.02}, rel=1e-5)


def test_fit_recovers_the_cost_of_a_job(load) -> None:
    setup, sample = load("lines").fit([64, 256, 512], [64 * 2.0 + 30, 256 * 2.0 + 30, 512 * 2.0 + 30])
    assert (setup, sample) == pytest.approx((30.0, 2.0))


def test_the_newest_full_size_run_makes_the_table(load, tmp_path: Path) -> None:
    table = load("table")
    newer = made_up_run(date="2026-02-03T00:00:00+00:00", commit="def")
    for name, run in {"a": newer, "b": made_up_run(), "c": made_up_run(size=64, date="2027")}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(run))
    lines = list(table.performance(table.load(tmp_path)))
    row = "| FDK, case A, the whole call | avx512 | 2 (1 to 3) | 1.50 | itk-rtk | 2 (1 to 3) | 10x (9 to 11) |"
    assert row in lines
    assert "commit def" in lines[-1]
    assert sum("FDK, case A" in line for line in lines) == 2  # seconds and accuracy


def test_share_of_the_limit(load) -> None:
    roofline = load("roofline")
    # 14 instructions at 2 a clock: 7 clocks; 4 GHz * 16 / 4 G/s: 16 clocks
    row = roofline.row(made_up_run(), "backprojection", 4e9, None)
    assert row[1:6] == ("avx512", "14", "7", "16", "44%")
    # narrower vectors: more instructions, of which more start at a time
    narrow = made_up_run(versions={"ours": {"instruction set": "avx2"}})
    row = roofline.row(narrow, "backprojection", 2e9, None)
    assert row[1:6] == ("avx2", "29.3", "7.33", "32", "23%")


def test_the_benchmark_table_has_its_place(project_root: Path) -> None:
    """What benchmarks/table.py replaces."""
    text = (project_root / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^<!-- benchmark table -->\n(.*\n)+?<!-- end -->$", text, flags=re.MULTILINE)) == 1


def test_the_sentence_of_the_readme(load) -> None:
    """The figures of the whole FDK; without a run beside itk-rtk it says nothing."""
    table = load("table")
    text = " ".join(" ".join(table.sentence([made_up_run()])).split())
    assert "2 s with AVX-512 (10 times faster than itk-rtk) on 2 cores" in text
    assert list(table.sentence([])) == []


@pytest.mark.parametrize("page", ["README.md", "benchmarks/README.md"])
def test_the_figures_are_those_of_the_results(load, project_root: Path, page: str) -> None:
    """Every figure between markers comes from the committed JSON files, so benchmarks/table.py changes nothing."""
    table = load("table")
    text = (project_root / page).read_text(encoding="utf-8")
    assert "<!-- benchmark" in text
    assert table.filled(text, table.load(project_root / "benchmarks" / "results")) == text


def test_only_the_text_between_the_markers_changes(load) -> None:
    table = load("table")
    text = "before\n<!-- benchmark table -->\nold\n<!-- end -->\nafter <!-- end -->\n"
    new = table.replace(text, "benchmark table", ["| a |"])
    assert new == "before\n<!-- benchmark table -->\n| a |\n<!-- end -->\nafter <!-- end -->\n"
    assert table.replace(new, "roofline table", ["x"]) == new
