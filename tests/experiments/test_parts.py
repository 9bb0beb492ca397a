"""Studies that are run in parts: what adds up, and what is refused before anything is trained."""

from __future__ import annotations

import importlib
import io
import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sinograd.errors import ConfigError

pytest.importorskip("lightning")
pytest.importorskip("torchmetrics")

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
FIRST, SECOND = ["three-filters-2d"], ["one-filter-2d", "cnn-10"]
TIMES = {"training_seconds", "seconds_a_slice"}


@pytest.fixture(scope="module")
def study(small: Any) -> Any:
    """All methods; two seeds, of which one is run."""
    return small("bone_xrm", seeds=[0, 1])


@pytest.fixture(scope="module")
def first(study: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the first part; its cache lies beside them."""
    folder = tmp_path_factory.mktemp("parts") / "first"
    run(study, FIRST, folder.parent / "cache", folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _no_curves() -> Iterator[None]:
    """Training runs draw nothing, which takes longer than the training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("sinograd.training.train"), "save_curves", lambda *_, **__: None)
        yield


def run(study: Any, methods: list[str], cache: Path, output: Path, **options: bool) -> None:
    """A part of one seed."""
    from study.experiment import Experiment
    from study.part import only

    part = only(study, methods, 1)
    Experiment(part, cache, report=lambda text: None, whole=study, **options).run(output)


def read(folder: Path) -> Any:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def write(folder: Path, found: Any) -> None:
    (folder / "results.json").write_text(json.dumps(found), encoding="utf-8")


def copied(first: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Results and cache of the first part, to change."""
    shutil.copytree(first, tmp_path / "out")
    shutil.copytree(first.parent / "cache", tmp_path / "cache")
    return tmp_path / "out", tmp_path / "cache"


def test_two_parts_are_the_whole(study: Any, first: Path, tmp_path: Path) -> None:
    """To the bit, trained anew: rows, measures, differences, pictures, curves; times and the head differ."""
    out, cache = copied(first, tmp_path)
    run(study, SECOND, cache, out, add=True)
    run(study, [*SECOND, *FIRST], tmp_path / "other", tmp_path / "whole")
    parts, whole = read(out), read(tmp_path / "whole")
    for name in ("summary", "differences", "starved", "implant", "rows"):
        assert parts[name] == whole[name], name
    assert json.dumps(parts["measures"]) == json.dumps(whole["measures"])  # NaN among them
    for one, other in zip(parts["runs"], whole["runs"], strict=True):
        assert one["key"] and {**one, **dict.fromkeys(TIMES)} == {**other, **dict.fromkeys(TIMES)}
    pairs = {(found["better"], found["than"]) for found in parts["differences"]}
    assert pairs == {("three-filters-2d", "one-filter-2d"), ("cnn-10", "three-filters-2d")}
    files = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    assert files == {path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file()}
    same = [path for path in files if path.name not in ("results.md", "results.json", "runs.csv")]
    assert len(same) == 5 + 5  # scores and four pictures; five drawn rows
    for path in same:
        assert (out / path).read_bytes() == (tmp_path / "whole" / path).read_bytes(), path

    page, other = ((folder / "results.md").read_text(encoding="utf-8") for folder in (out, tmp_path / "whole"))
    bare = [
        re.sub(r"(\| [-+\d.e]+ \|$)|(\| 4 \| .*)", "", text.partition("## Paired")[2], flags=re.M)
        for text in (page, other)
    ]
    assert bare[0] == bare[1]
    assert "Rows of 2 runs, configuration" in page and "those of different processors do not compare" in page
    assert re.search("^- 3 BF layers, 2-D: commit .*\n- 1 BF layer, 2-D; CNN-10: commit ", page, flags=re.M)
    assert "Commit" in other and "runs" not in other.partition("Filters were")[0]
    assert [part["methods"] for part in parts["record"]["parts"]] == [FIRST, SECOND]
    assert "QAE" in parts["record"]["left_out"] and "CNN-10" not in parts["record"]["left_out"]


def test_two_parts_at_the_same_time(study: Any, first: Path, tmp_path: Path) -> None:
    """What another run adds while this one trains is not lost."""
    from study.experiment import Experiment
    from study.part import only

    out, cache = copied(first, tmp_path)

    def report(text: str) -> None:
        if text.startswith("1 BF layer, 2-D, seed 0: 4 steps"):
            run(study, ["qae"], cache, out, add=True)

    Experiment(only(study, SECOND, 1), cache, report=report, whole=study, add=True).run(out)
    assert {found["method"] for found in read(out)["runs"]} == {*FIRST, *SECOND, "qae"}


def test_a_method_of_both_is_replaced(study: Any, first: Path, tmp_path: Path) -> None:
    out, cache = copied(first, tmp_path)
    found = read(out)
    for row in found["rows"]:
        row["psnr"] += row["method"] == FIRST[0]
    found["runs"][0]["key"] = "of another training"
    write(out, found)
    run(study, [*FIRST, "qae"], cache, out, add=True)
    again = read(out)
    assert [row for row in again["rows"] if row["method"] == FIRST[0]] == [
        row for row in read(first)["rows"] if row["method"] == FIRST[0]
    ]
    assert [part["methods"] for part in again["record"]["parts"]] == [[*FIRST, "qae"]]
    assert (out / "results.md").read_text(encoding="utf-8").count("\nCommit ") == 1


def test_older_results_add_up(study: Any, first: Path, tmp_path: Path) -> None:
    """Without keys, slices and curves: rows are there, pictures lack them, and the next part knows their keys."""
    out, cache = copied(first, tmp_path)
    found = read(out)
    for name in ("tests", "parts", "processor"):
        del found["record"][name]
    for row in found["runs"]:
        for name in ("device", "threads", "date", "precision", "key"):
            del row[name]
    for row in found["rows"]:
        row["psnr"] *= 1 + 1e-8 * (row["method"] == "low-dose")
    write(out, found)
    shutil.rmtree(out / "drawn")
    run(study, SECOND, cache, out, add=True)
    page = (out / "results.md").read_text(encoding="utf-8")
    assert "Pictures and curves lack 3 BF layers, 2-D: their results came without what is drawn." in page
    assert "Their scores differ by up to 1e-08 of the value between the runs: processors round differently." in page
    assert "| CNN-10 - 3 BF layers, 2-D |" in page
    assert {path.stem for path in (out / "drawn").iterdir()} == {"low-dose", "normal-dose", *SECOND}
    assert {row["method"]: bool(row["key"]) for row in read(out)["runs"]} == dict.fromkeys([*FIRST, *SECOND], True)
    run(study, ["qae"], cache, out, add=True)
    assert len(read(out)["record"]["parts"]) == 3


def test_evening_results_can_be_added_to(tmp_path: Path) -> None:
    """Those that are committed: every row and run is found as the configuration of now has it."""
    from study.config import load_study
    from study.kept import read_kept
    from study.part import only

    folder = EXPERIMENTS / "bone_xrm" / "results" / "evening"
    whole = load_study(EXPERIMENTS / "bone_xrm" / "config.yaml", "evening")
    kept = read_kept(folder, only(whole, ["cnn-10"], 1), whole)
    found = read(folder)
    methods = {run["method"] for run in found["runs"]} - {"cnn-10"}
    assert methods and {run.method for run in kept.results.runs} == methods
    assert {name for part in kept.parts for name in part.methods} == methods
    assert len(kept.results.rows) == len([row for row in found["rows"] if row["method"] != "cnn-10"])
    with pytest.raises(ConfigError, match=r"seeds: \[0\] and \[0, 1\]"):
        read_kept(folder, only(whole, ["cnn-10"], 2), whole)
    # as older runs wrote them, without keys
    for run in found["runs"]:
        del run["key"]
    write(tmp_path, found)
    with pytest.raises(ConfigError, match=r"config_sha256: '\w+' and '\w+'"):
        changed = load_study(EXPERIMENTS / "bone_xrm" / "config.yaml", "evening", {"title": "Other"})
        read_kept(tmp_path, only(changed, ["cnn-10"], 1), changed)


def damage(found: Any) -> Iterator[tuple[str, Any]]:
    """What is wrong, in words of the error, and the results with it."""
    text = json.dumps(found)

    def changed(name: str, number: int, **values: Any) -> Any:
        other = json.loads(text)
        (other[name][number] if isinstance(other[name], list) else other[name]).update(values)
        return other

    for name in ("record", "rows", "runs", "measures"):
        yield f"{name}: missing", {key: value for key, value in found.items() if key != name}
        yield f"{name}: expected", {**found, name: 7}
    yield "rows.0..ssim: expected a number, got nan", changed("rows", 0, ssim=math.nan)
    yield "rows.0..psnr: expected a number, got '20'", changed("rows", 0, psnr="20")
    yield "runs.0..last_loss: expected a number, got inf", changed("runs", 0, last_loss=math.inf)
    yield "rows: no method 'bm3d', expected some of one-filter,", changed("rows", 0, method="bm3d")
    yield "measures: no method 'bm3d'", changed("measures", 0, method="bm3d")
    yield "runs: no method 'bm3d'", changed("runs", 0, method="bm3d")
    yield "measures and implant: expected numbers, got null", changed("measures", 0, value=None)
    yield "measures.0..value: expected a number, got 'x'", changed("measures", 0, value="x")
    yield "profile: 'full' and 'quick'", changed("record", 0, profile="full")
    yield "data_sha256: 'abc' and '", changed("record", 0, data_sha256="abc")
    yield "config_sha256: 'abc' and '", changed("record", 0, config_sha256="abc", tests=None)
    tests = {**found["record"]["tests"], "scale": {**found["record"]["tests"]["scale"], "data_range": 1.0}}
    yield "tests.scale.data_range: 1.0 and 0.768", changed("record", 0, tests=tests)
    yield "key abc, now .*", changed("runs", 0, key="abc")
    yield "in bfloat16, now float32 .key abc", changed("runs", 0, key="abc", precision="bfloat16")
    yield "runs: expected seeds .0. of three-filters-2d, got .1.", changed("runs", 0, seed=1)
    yield "runs: missing, three-filters-2d has rows", {**found, "runs": []}
    yield (
        "record.parts: expected three-filters-2d in one of them, got 2",
        changed("record", 0, parts=2 * found["record"]["parts"]),
    )
    rows = [row for row in found["rows"] if row["method"] in FIRST]
    without = [row for row in found["rows"] if row is not rows[-1]]
    yield "rows: three-filters-2d was not tested on all", {**found, "rows": without}
    yield "rows: three-filters-2d was not tested on all", {**found, "rows": [*found["rows"], rows[0]]}
    fewer = [row for row in found["rows"] if row["phantom"] != 202]
    yield r"phantoms: \[201\] and \[201, 202\]", {**found, "rows": fewer}


def test_what_does_not_agree_is_refused(study: Any, first: Path, tmp_path: Path) -> None:
    from study.kept import read_kept
    from study.part import only

    part = only(study, SECOND, 1)
    out, cache = copied(first, tmp_path)
    (trained,) = {path.name for path in (cache / "runs").iterdir()}
    for words, found in damage(read(first)):
        write(out, found)
        with pytest.raises(ConfigError, match=f"cannot add to .*results.json: .*{words}"):
            read_kept(out, part, study)
    for text in ("[", "[" * 100_000, "3"):
        (out / "results.json").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=r"cannot add to .*results\.json"):
            read_kept(out, part, study)

    found = read(first)
    next(row for row in found["rows"] if row["method"] == "low-dose")["psnr"] += 1e-3
    write(out, found)
    with pytest.raises(ConfigError, match="another low-dose: psnr of phantom 201, seed 0, to the normal dose one"):
        run(study, SECOND, cache, out, add=True)
    assert [path.name for path in (cache / "runs").iterdir()] == [trained]  # nothing was trained
    assert read(out) == found
    run(study, SECOND, cache, out, add=True, other_noise=True)
    assert "processors draw other noise" in (out / "results.md").read_text(encoding="utf-8")
    found["rows"][0]["psnr"] += 1.0
    write(out, found)
    with pytest.raises(ConfigError, match=r"expected [\d.]+ as there, got [\d.]+$"):
        run(study, SECOND, cache, out, add=True, other_noise=True)

    shutil.copy(first / "results.json", out)
    np.savez(out / "drawn" / "three-filters-2d.npz", shown=np.zeros((4, 4), np.float16))
    with pytest.raises(ConfigError, match=r"three-filters-2d.npz: expected slices \[36, 36\] .*, got shown: float16"):
        read_kept(out, part, study)
    array = io.BytesIO()
    np.save(array, np.zeros((36, 36), np.float16))
    for content in (b"", b"PK\x03\x04", array.getvalue()):
        (out / "drawn" / "three-filters-2d.npz").write_bytes(content)
        with pytest.raises(ConfigError, match=r"three-filters-2d\.npz: expected"):
            read_kept(out, part, study)
    (out / "drawn" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match="holds other files"):
        run(study, SECOND, cache, out)


def test_what_trained_a_method_may_not_change(small: Any, study: Any, first: Path) -> None:
    """Titles and other methods' training may; the optimiser of the kept ones and what they are tested on may not."""
    from study.kept import read_kept
    from study.part import only

    for changes, words in (
        ({"title": "Other"}, ""),
        ({"networks": {"steps": {"qae": 7}}}, ""),
        ({"stop": {"max_steps": 5}}, "three-filters-2d, seed 0, was trained otherwise"),
        ({"rods": {"rod": 0.021}}, "tests.rods.rod: 0.02 and 0.021"),
    ):
        other = small("bone_xrm", **{"seeds": [0, 1], **changes})
        part = only(other, SECOND, 1)
        if not words:
            assert [run.method for run in read_kept(first, part, other).results.runs] == FIRST
            continue
        with pytest.raises(ConfigError, match=words):
            read_kept(first, part, other)


def test_lines_are_thinned_and_slices_keep_what_is_no_number(study: Any) -> None:
    """First and last points stay, some hundred of many; NaN and infinity stay, large values do not become infinite."""
    import torch

    from study.drawn import shown_slice, thinned

    line = thinned(range(1, 60_001), [1 / step for step in range(1, 60_001)])
    assert line.shape == (2, 400) and line[0, 0] == 1 and line[0, -1] == 60_000
    assert np.allclose(line[1], 1 / line[0]) and (np.diff(line[0]) > 0).all()
    assert thinned([3, 5], [0.5, 0.25]).tolist() == [[3, 5], [0.5, 0.25]]
    volume = torch.full((3, 36, 36), 0.7)
    volume[1, 0, :4] = torch.tensor([math.nan, math.inf, 1e9, -1e9])
    image = shown_slice(study, volume)
    assert image.dtype == np.float16 and abs(float(image[5, 5]) - 0.7) < 2.5e-4
    assert np.isnan(image[0, 0]) and np.isinf(image[0, 1]) and np.isfinite(image[0, 2:4]).all()


def test_the_order_of_methods_that_are_there_in_part() -> None:
    """Some of the variants of a set, of which the tables then tell nothing."""
    from study.results import Results, Row

    results = Results({"low-dose": "Low dose"})
    results.rows = [Row(name, 1, 0, "clean", 0.5, 20.0) for name in ("depth-1", "low-dose")]
    results.put_in_order(["low-dose"], [""])
    assert [row.method for row in results.rows] == ["low-dose", "depth-1"]


def test_models_that_are_found_again_are_not_in_training(study: Any, first: Path) -> None:
    """JBFnet gives fewer slices in training."""
    from study.methods import run_folder, train_or_find, training_config

    method = study.method(FIRST[0])
    config = training_config(study, method, 0)
    folder = run_folder(first.parent / "cache", study, method, config)
    found = train_or_find(config, lambda: pytest.fail("it is trained again"), folder)
    assert not found.model.training
