"""The experiment on bone micro-structure: truth and scans against formulas, splits, a small one from start to end."""

from __future__ import annotations

import csv
import importlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.choices import LOSSES
from sinograd.errors import ConfigError
from sinograd.morphometry import bmd_map, bvtv_map, tmd_map

pytest.importorskip("lightning")
pytest.importorskip("torchmetrics")


@pytest.fixture(autouse=True, scope="module")
def losses_as_they_were() -> Iterator[None]:
    """The study adds a loss of its own, which other tests do not know."""
    yield
    if "direct" in LOSSES:
        LOSSES.remove("direct")


CONFIG = Path(__file__).resolve().parents[2] / "experiments" / "bone_microstructure" / "config.yaml"


@pytest.mark.parametrize("profile", ["quick", "evening"])
def test_configurations(profile: str) -> None:
    """The paper's patches, currents and losses; the scan covers the region; debugging takes other bones and seeds."""
    from bone_microstructure.experiment import debug_changes
    from bone_microstructure.places import places_of
    from bone_microstructure.settings import load_study

    study = load_study(CONFIG, profile)
    assert study.places.size == (21, 41, 41) and study.places.step == (8, 16, 16) and study.places.folds == 5
    assert study.clinical.currents == (100, 250, 360) and study.clinical.repetitions == 3
    assert study.region.spacing == (0.34, 0.172, 0.172)
    assert len(places_of(study, "T1")) == 27
    wide = study.clinical.columns[0] * study.clinical.columns[1]
    assert wide > study.region.phantom[0] > math.hypot(*study.region.grid.size[1:])
    assert sg.coverage(study.clinical.geometry).missing < 0.01
    if profile == "evening":
        assert study.patches.per_batch == 64 and study.patches.per_place == 4
        assert study.optimizer.learning_rates == {"network": 3.162e-4}
        assert study.splits["position"].folds == (0, 1, 2, 3, 4)
    # Test bones of other parameters lie beyond the training bones in at least one.
    trained = study.bones.training
    for bone in study.bones.parameters:
        names = ("bone_fraction", "thickness", "plates", "elongation")
        ranges = {name: [getattr(other, name) for other in trained] for name in names}
        assert any(not min(r) <= getattr(bone, name) <= max(r) for name, r in ranges.items())
    other = load_study(CONFIG, profile, debug_changes(study))
    assert not {bone.seed for bone in other.bones.all} & {bone.seed for bone in study.bones.all}


def test_wrong_configurations(small_microstructure: Any) -> None:
    for changes, message in (
        ({"splits": {"bone": {"by": "bone", "networks": {"best": [0]}}}}, "no 'best', expected some of nn-sp"),
        ({"splits": {"bone": {"by": "bone", "networks": {}, "folds": [1]}}}, "from 0 to 0, got"),
        ({"filters": ["median"]}, "filters: expected bm4d or none, got 'median'"),
        ({"places": {"size": [21, 43, 41]}}, "does not fit into"),
        ({"stages": 3}, "stages: expected a divisor of 2 steps, got 3"),
    ):
        with pytest.raises(ConfigError, match=message):
            small_microstructure(**changes)


def test_resampling_keeps_means() -> None:
    """Averages over coarse voxels that fine ones do not divide: of a linear function exact, of anything the sum."""
    from bone_microstructure.scans import resampled

    fine, grid = sg.Grid((40, 40, 40), 0.082), sg.Grid((7, 13, 13), (0.34, 0.172, 0.172))
    z, _, x = fine.axes()
    linear = (2 * z[:, None, None] - x + torch.zeros(40, 40, 40)).float()
    cz, _, cx = grid.axes()
    expected = (2 * cz[:, None, None] - cx + torch.zeros(7, 13, 13)).float()
    torch.testing.assert_close(resampled(linear, fine, grid), expected, atol=0.02, rtol=0)
    assert resampled(torch.ones(fine.shape), fine, grid).sub(1).abs().max() < 1e-5
    one = torch.zeros(fine.shape)
    one[20, 20, 20] = 1
    volume = resampled(one, fine, grid).sum() * math.prod(grid.spacing)
    assert float(volume) == pytest.approx(0.082**3, rel=1e-4)


def test_truth_and_scans(small_microstructure: Any) -> None:
    """The truth has the object's mean; a scan has too; noise falls with the current."""
    from bone_microstructure.scans import calibrated, make_phantom, make_scans

    study = small_microstructure()
    bone = study.bones.training[1]
    scans = make_scans(study, bone)
    spec = study.reference
    exact = make_phantom(study, bone).voxelize(study.region.grid, supersampling=4)
    share = (exact - study.clinical.marrow) / (study.clinical.bone - study.clinical.marrow)
    assert float((scans.share - share).abs().mean()) < 0.05
    mean = spec.marrow + (spec.bone - spec.marrow) * float(share.mean())
    assert float(scans.truth.mean()) == pytest.approx(mean, rel=0.03)
    assert scans.truth.std() < (spec.bone - spec.marrow) * share.std()
    assert scans.scans.shape == (2, 2, 29, 41, 41)
    noise = scans.scans.diff(dim=1).std((1, 2, 3, 4))
    assert float(noise[0] / noise[1]) == pytest.approx(math.sqrt(3.6), rel=0.1)
    again = make_scans(study, bone)
    assert torch.equal(again.scans, scans.scans) and torch.equal(again.truth, scans.truth)
    every = {other.name: scans for other in study.bones.all}
    found, lines = calibrated(study, every)
    assert len(lines) == 2 and all(line.slope > 0 for line in lines)
    middle = found[bone.name].scans[:, :, 8:-8, 10:-10, 10:-10].mean((1, 2, 3, 4))
    np.testing.assert_allclose(middle, float(scans.truth[8:-8, 10:-10, 10:-10].mean()), rtol=0.1)


def test_splits(small_microstructure: Any) -> None:
    """Folds are disjoint and all places together; no bone of a test by bone is trained on."""
    from bone_microstructure.places import parts_of

    study = small_microstructure(region={"shape": [29, 57, 57], "phantom": [15.0, 11.5]}, places={"validation": 0.25})
    tested: set[Any] = set()
    for fold in range(5):
        parts = parts_of(study, study.splits["position"], fold)
        here = set(parts.tests["position"])
        assert not here & tested and not here & {*parts.training, *parts.validation}
        assert len(parts.validation) == round(0.25 * (len(parts.training) + len(parts.validation)))
        tested |= here
    assert len(tested) == 3 * 8
    parts = parts_of(study, study.splits["bone"], 0)
    trained = {place.bone for place in (*parts.training, *parts.validation)}
    assert not trained & {place.bone for places in parts.tests.values() for place in places}
    assert set(parts.tests) == {"others", "parameters"}


def test_parameters_are_those_of_the_maps(small_microstructure: Any) -> None:
    """The value of a patch is that of the map at its middle."""
    from bone_microstructure.places import Place, parameters_of, stacked

    study = small_microstructure()
    drawn = torch.Generator().manual_seed(3)
    volume = 150 + 120 * torch.randn(29, 41, 41, generator=drawn)
    places = [Place("a", (0, 0, 0)), Place("a", (8, 0, 0))]
    found = parameters_of(study, stacked(study, {"a": volume}, places))
    for number, z in enumerate((10, 18)):
        at = (z, 20, 20)
        spacing = study.region.spacing
        maps = {
            "bmd": bmd_map(volume.double(), spacing, 4.3),
            "tmd": tmd_map(volume.double(), spacing, 4.3, 225.0),
            "bvtv": 100 * bvtv_map(volume.double(), spacing, 4.3, 225.0),
        }
        for name, expected in maps.items():
            assert float(found[name][number, 0]) == pytest.approx(float(expected[at]), rel=1e-9)
    assert found["voxel"].shape == (2, 13 * 25 * 25)


def test_lines_and_misfit_by_hand(small_microstructure: Any) -> None:
    from bone_microstructure.filters import fitted_line, misfit, recalibration_of_values
    from bone_microstructure.places import parameters_of

    truth = torch.tensor([1.0, 2.0, 4.0])
    slope, intercept = fitted_line(torch.stack([2 * truth + 3, 2 * truth + 3]), truth)
    assert (slope, intercept) == (pytest.approx(0.5), pytest.approx(-1.5))
    values = {"tmd": truth, "bvtv": truth, "bmd": truth}
    off = {name: v + 2 for name, v in values.items()}
    nearer = {name: v + 1 for name, v in values.items()}
    assert misfit(off, values, off) == pytest.approx(1) and misfit(nearer, values, off) == pytest.approx(0.25)
    # Values that a line spoilt are found again.
    study = small_microstructure()
    patches = 150 + 120 * torch.randn(6, 13, 25, 25, generator=torch.Generator().manual_seed(1))
    patches *= torch.linspace(0.7, 1.3, 6).view(-1, 1, 1, 1)
    slope, offset = recalibration_of_values(study, 1.25 * patches - 30, parameters_of(study, patches))
    assert slope == pytest.approx(0.8, abs=0.05) and offset == pytest.approx(24, abs=8)


@pytest.mark.parametrize("parameter", ["tmd", "bvtv"])
def test_direct_regression(parameter: str) -> None:
    """Zero where the mean of the sphere is the parameter of the truth; BV/TV times 1000."""
    from bone_microstructure.regression import DirectLoss

    truth = 180 + 150 * torch.randn(2, 1, 13, 25, 25, generator=torch.Generator().manual_seed(2))
    spacing = (0.34, 0.172, 0.172)
    maps = {"tmd": tmd_map, "bvtv": bvtv_map}[parameter](truth, spacing, 4.3, 225.0, valid=True)
    wanted = maps * (1 if parameter == "tmd" else 1000)
    (zero,) = DirectLoss(parameter).parts(wanted.expand_as(truth), truth)  # pyright: ignore
    (nine,) = DirectLoss(parameter).parts((wanted + 3).expand_as(truth), truth)  # pyright: ignore
    assert float(zero) < 1e-4 and float(nine) == pytest.approx(9, rel=1e-3)


def test_scores_by_hand() -> None:
    """A bias of 2 and noise of known variance."""
    from bone_microstructure.results import score

    truth = torch.tensor([[10.0], [20.0], [30.0], [60.0]])
    found = torch.stack([truth + 1, truth + 3])
    row, rows = score(("t", "m", 0, 0, 100.0), "tmd", found, truth, ["a", "a", "b", "b"])
    assert row.difference == pytest.approx(2) and row.rmse == pytest.approx(math.sqrt(5))
    assert row.corrected == pytest.approx(1) and row.r2 == pytest.approx(100, abs=1)
    # s^2 = 2: the squared error of the mean, 4, less 2 / 2, and less 2 / 1.
    assert row.ae == pytest.approx(math.sqrt(3)) and row.ae_published == pytest.approx(math.sqrt(2))
    assert [r.bone for r in rows] == ["a", "b"] and rows[0].corrected == pytest.approx(1)


def test_from_start_to_end(small_microstructure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bone_microstructure.experiment import Experiment

    monkeypatch.setattr(importlib.import_module("sinograd.training.train"), "save_curves", lambda *_, **__: None)
    study = small_microstructure()
    found = Experiment(study, tmp_path / "cache", report=lambda _: None).run(tmp_path / "out")
    tests = ("position", "others", "parameters")
    names = {"results.md", "results.json", "scores.csv", "bones.csv", "runs.csv", "patch.png", "maps.png", "stages.png"}
    names |= {f"{kind}-{test}.png" for kind in ("histograms", "clouds") for test in tests}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    # unfiltered, two re-calibrations, two widths, the chosen one, networks of one and two seeds
    assert len(found.rows) == (6 * 3 + 2 + 3 + 3) * 2 * 4
    assert [(run.split, run.network, run.seed) for run in found.runs] == [
        ("bone", "nn-sp", 0),
        ("bone", "nn-sp", 1),
        ("bone", "nn-bmd", 0),
        ("position", "nn-sp", 0),
        ("position", "nn-bmd", 0),
    ]
    assert [(stage.steps, stage.part) for stage in found.stages[::4]] == [
        (1, "training"), (1, "test"), (2, "training"), (2, "test")
    ]  # fmt: skip
    page = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    for words in ("## Truth (Table 3)", "### HR (Table 1), 360 mAs", "| *paper: NN_SP* |", "## Paired differences"):
        assert words in page
    record = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert len(record["record"]["config_sha256"]) == 64 and set(record["noise"]) == {"100", "360"}
    with open(tmp_path / "out" / "scores.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(found.rows)
    # A line by parameter cannot change the correlation, and takes the offset of its training places off.
    for test in tests:
        for parameter in ("tmd", "bvtv", "bmd"):
            both = [found.mean(test, m, 100.0, parameter, "r2") for m in ("unfiltered", "recalibrated")]
            assert both[0] == pytest.approx(both[1], abs=1e-6)

    # Again: everything is found, and the scores are the same.
    again = Experiment(study, tmp_path / "cache", report=lambda _: None).run(tmp_path / "again")
    assert again.rows == found.rows
    assert [run.training_seconds for run in again.runs] == [run.training_seconds for run in found.runs]


@pytest.mark.slow
def test_stages_are_one_run(small_microstructure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stages of one step end where one stage of two steps does."""
    from bone_microstructure.places import parts_of
    from bone_microstructure.scans import calibrated, make_scans
    from bone_microstructure.training import train_in_stages

    monkeypatch.setattr(importlib.import_module("sinograd.training.train"), "save_curves", lambda *_, **__: None)
    ends = []
    study = small_microstructure()
    scans, _ = calibrated(study, {bone.name: make_scans(study, bone) for bone in study.bones.training})
    parts = parts_of(study, study.splits["bone"], 0)
    for stages in (1, 2):
        found = train_in_stages(study, "nn-sp", 4, scans, (parts.training, []), tmp_path, stages)
        assert [trained.steps for trained, _ in found] == ([2] if stages == 1 else [1, 2])
        ends.append([p.detach() for p in found[-1][0].model.parameters()])
    for one, other in zip(*ends, strict=True):
        assert torch.equal(one, other)
