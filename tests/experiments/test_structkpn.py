"""The kernel-prediction experiment: physics of its images, places and widths by hand, a small one from start to end."""

from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg
from sinograd.errors import ConfigError

pytest.importorskip("lightning")
pytest.importorskip("torchmetrics")
pytest.importorskip("spekpy")

CONFIG = Path(__file__).resolve().parents[2] / "experiments" / "structkpn" / "config.yaml"


@pytest.mark.parametrize("profile", ["quick", "evening", "full"])
def test_configurations(profile: str) -> None:
    """The paper's methods, split, voltages and window; the scan covers the slices; debugging takes other phantoms."""
    from sinograd.training.config import check_config
    from structkpn.experiment import debug_changes
    from structkpn.methods import training_config
    from structkpn.settings import load_study

    study = load_study(CONFIG, profile)
    split, beam = study.phantoms, study.beam
    assert split.training.count == split.test.count == 5 and len(study.seeds) == 3
    assert beam.voltages == (80, 120, 140) and beam.currents == (30, 90, 150, 210, 270)
    assert (study.window.low, study.window.range) == (-160, 399)
    geometry, grid = study.scan.of(1)
    assert geometry.columns * geometry.detector.spacing[1] > max(grid.size)
    for method in study.all_methods.values():
        check_config(training_config(study, method, 0))
    if profile == "full":
        parts = study.scan.count * 5, study.scan.test_count * 5
        assert parts[0] == pytest.approx(1156, abs=3) and parts[1] == pytest.approx(1222, abs=3)
        models = [study.methods["kpn-ls"].model.build(0), study.methods["wavresnet"].model.build(0)]
        assert [sum(p.numel() for p in model.parameters()) for model in models] == [1_981_763, 4_172_175]
        assert study.kernels.sizes == (15, 19, 23, 27)
    other = load_study(CONFIG, profile, debug_changes(study))
    parts = [
        {seed for name in ("training", "validation", "test") for seed in getattr(s.phantoms, name).seeds}
        for s in (study, other)
    ]
    assert not parts[0] & parts[1] and not set(other.seeds) & set(study.seeds)


def test_wrong_configurations(small_structkpn: Any) -> None:
    for changes, message in (
        ({"phantoms": {"test": {"first": 1001, "count": 1}}}, "training, validation and test have phantoms in common"),
        ({"kernels": {"like": "red-l1", "sizes": [3]}}, "kernels.like: expected a method with kernels, got 'red-l1'"),
        ({"filters": ["median"]}, "filters: no 'median', expected some of bilateral-estimated"),
        ({"curve": ["kpn-ls", "best"]}, "curve: no 'best'"),
        ({"comparisons": [["kpn-ls", "best"]]}, "comparisons: no 'best'"),
        ({"beam": {"normal_ma": 100}}, "beam.normal_ma: expected one of 30, 90, 150, 210, 270, got 100"),
        ({"beam": {"voltages": [120, 80, 140]}}, "numbers that rise"),
    ):
        with pytest.raises(ConfigError, match=message):
            small_structkpn(**changes)


def test_materials_keep_the_attenuation_of_the_phantom() -> None:
    """At 70 keV the object of water and bone is the abdomen; only spine, ribs and their marrow are of bone."""
    from structkpn.images import of_materials

    for seed in (3, 4):
        phantom = sg.abdomen(seed)
        made = of_materials(phantom)
        grid = sg.Grid((1, 40, 52), (2.0, 7.0, 7.0))
        torch.testing.assert_close(made.voxelize(grid, 70.0), phantom.voxelize(grid), rtol=1e-5, atol=1e-7)
        assert len(made.parts["bone"]) == 6 + 5 + 1  # bones; marrow; the spinal canal


def test_water_is_0_hu_at_every_voltage_and_bone_is_not(small_structkpn: Any) -> None:
    """The correction is exact for water; bone has fewer HU the higher the voltage is."""
    from structkpn.images import spectral_beam, water_corrected

    beams = [spectral_beam(small_structkpn().beam, kv) for kv in (80.0, 120.0, 140.0)]
    lengths = torch.tensor([[0.0, 100.0, 250.0, 333.3], [0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    seen = []
    for beam in beams:
        found = water_corrected(beam, beam.line_integrals(lengths))
        torch.testing.assert_close(found, lengths[0], rtol=0, atol=2e-3)
        bone = torch.tensor([[200.0], [5.0]], dtype=torch.float64)
        seen.append(float(water_corrected(beam, beam.line_integrals(bone))[0] - 200))
    assert seen[0] > seen[1] > seen[2] > 5.0
    totals = [beam.photons for beam in beams]
    assert totals[1] == pytest.approx(small_structkpn().beam.photons) and totals[0] < totals[1] < totals[2]


def test_scans_of_less_current_have_more_noise(small_structkpn: Any, tmp_path: Path) -> None:
    """Noise falls as 1 / root of the dose; the normal dose of an exposure is the same whatever the low one is."""
    from structkpn.images import Scanner

    study = small_structkpn(scan={"views": 60, "test_count": 2, "columns": 64, "column_spacing": 5.8,
                                  "shape": [32, 40], "spacing": 9.0, "count": 2})  # fmt: skip
    scanner = Scanner(study, tmp_path)
    scans = {ma: scanner.exposure(5000, 0, 120.0, ma) for ma in (90.0, 270.0)}
    soft = (scans[90.0].clean > 0.2) & (scans[90.0].clean < 0.8)
    noise = {ma: float((scan.low - scan.clean)[soft].std()) for ma, scan in scans.items()}
    assert noise[90.0] / noise[270.0] == pytest.approx(3**0.5, rel=0.15)
    torch.testing.assert_close(scans[90.0].normal, scans[270.0].normal)
    pair = scanner.training_scan(5000, 0, test=True)
    low, normal = ((part - pair.clean)[soft] for part in (pair.low, pair.normal))
    assert float(low.std() / normal.std()) == pytest.approx(2, rel=0.15)
    assert float(torch.corrcoef(torch.stack([low, normal]))[0, 1]) == pytest.approx(0.5, abs=0.15)  # it is kept
    again = Scanner(study, None).training_scan(5000, 0, test=True)
    assert torch.equal(again.low, pair.low) and torch.equal(again.clean, pair.clean)
    assert not torch.equal(Scanner(study, None).training_scan(5000, 1, test=True).low, pair.low)


def test_places_and_widths_by_hand() -> None:
    """A straight edge, a small square and flat ground are found; widths of a kernel follow its direction."""
    from sinograd.losses import StructureAware
    from structkpn.places import gradients, places, ruling, widths

    image = torch.full((60, 80), 0.3)
    image[:, 40:] = 0.7
    image[28:32, 14:18] = 0.6
    edge, detail, flat = (places(image, kind, 1, 5, 8)[0] for kind in ("edge", "detail", "flat"))
    assert abs(edge.column - 39.5) <= 5 and abs(edge.across[1]) == pytest.approx(1)
    assert abs(detail.row - 29.5) <= 4 and abs(detail.column - 15.5) <= 4
    assert float(gradients(image)[0][flat.row - 5, flat.column - 5]) == 0
    largest, smallest, _ = gradients(image)
    mu = (largest.sqrt() - smallest.sqrt()) / (largest.sqrt() + smallest.sqrt() + 1e-12)
    expected = torch.softmax(torch.stack([1.8 * mu, torch.full_like(mu, 0.35), largest]), 0)
    torch.testing.assert_close(StructureAware().weights(image), expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(ruling(image), expected.argmax(0))

    kernel = torch.zeros(5, 5)
    kernel[2] = torch.tensor([0.1, 0.2, 0.4, 0.2, 0.1])  # along x
    spread = (2 * (0.1 * 4 + 0.2)) ** 0.5
    assert widths(kernel, (1.0, 0.0)) == pytest.approx((0, spread), abs=1e-7)
    assert widths(kernel, (0.0, 1.0)) == pytest.approx((spread, 0), abs=1e-7)


def test_from_start_to_end(small_structkpn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from structkpn.experiment import Experiment

    monkeypatch.setattr(importlib.import_module("sinograd.training.train"), "save_curves", lambda *_, **__: None)
    study = small_structkpn()
    found = Experiment(study, tmp_path / "cache", report=lambda text: None).run(tmp_path / "out")
    names = {"results.md", "results.json", "scores.csv", "runs.csv"}
    names |= {f"{name}.png" for name in ("images", "region", "kernels", "currents", "steps")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    main = [row for row in found.rows if row.test == ""]
    networks, filters = 6 * 2, 1  # seeds; filters see the first alone
    assert len(main) == 2 * (2 * (networks + filters + 2) + 2)  # phantoms, references; low and normal dose
    assert len(found.rows) - len(main) == 2 * 2 * 2 * (2 + 1) * (3 + 1)  # seeds, phantoms, voltages, references
    assert len(found.runs) == 12 and all(run.commit for run in found.runs)
    text = (tmp_path / "out" / "results.md").read_text()
    assert study.smaller.split(".")[0] in text and "StructKPN, Ls, 3 x 3" in text and "32.56 / 0.893" in text
    record = json.loads((tmp_path / "out" / "results.json").read_text())["record"]
    assert {"commit", "config_sha256"} <= set(record)
    with open(tmp_path / "out" / "scores.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(found.rows)
    first = found.summary("kpn-ls", "normal", "psnr")
    again = Experiment(study, tmp_path / "cache", report=lambda text: None).run(tmp_path / "out").summary(
        "kpn-ls", "normal", "psnr"
    )  # fmt: skip
    assert first == again
