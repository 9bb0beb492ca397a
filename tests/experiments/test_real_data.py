"""The study on measured images: photons from an open beam, noise that is added, a small one from start to end."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import sinograd as sg
from dicom_slices import write_slices
from sinograd.errors import ConfigError, MissingFileError

pytest.importorskip("lightning")
pytest.importorskip("torchmetrics")

CONFIG = Path(__file__).resolve().parents[2] / "experiments" / "real_data" / "config.yaml"


def _body(slices: int, size: int, seed: int) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    image = np.where(x**2 + y**2 < 0.7, 40.0, -1000.0) + 260.0 * (x**2 + (y - 0.2) ** 2 < 0.05)
    return np.stack([image] * slices) + np.random.default_rng(seed).normal(0, 4, (slices, size, size))


@pytest.fixture
def study(tmp_path: Path) -> Any:
    """The quick profile, made small, on slices that the test makes; more changes may be given."""
    from real_data.settings import load_study

    files = {}
    for number, (name, slices) in enumerate((("a", 4), ("b", 2), ("c", 1))):
        made = write_slices(tmp_path / name, _body(slices, 32, number).clip(-1024), spacing=(5.0, 6.0, 6.0))
        files[name] = f"{name}" if slices > 1 else f"{name}/{made[0].name}"
    images = {
        "head-training": {"file": files["a"], "offset": 0, "slices": None},
        "head-validation": {"file": files["b"], "offset": 0, "slices": None},
        "spine": {"file": files["c"]},
        "abdomen": {"file": files["c"]},
    }
    (tmp_path / "htc2022").mkdir()
    (tmp_path / "htc2022" / "tb_549views.mat").write_bytes(b"a scan")
    small = {
        "data": str(tmp_path),
        "images": images,
        "thinned": {"pixels": 32},
        "scan": {"views": 60},
        "phantoms": {"count": 2, "shape": [2, 32, 32], "scan": {"views": 40}},
        "methods": {"red-cnn": {"model": {"channels": 4}}, "red-cnn-phantoms": {"model": {"channels": 4}}},
        "patches": {"size": 24, "per_batch": 2},
        "stop": {"max_steps": 2},
        "validation": {"every": 2, "slices": 1},
        "seeds": [0, 1],
    }
    return lambda **changes: load_study(CONFIG, "quick", {**small, **changes})


@pytest.mark.parametrize("profile", ["quick", "evening"])
def test_configurations(profile: str) -> None:
    """No patient of the test is learnt from; methods come in pairs, from measured images and from phantoms."""
    from real_data.settings import load_study

    study = load_study(CONFIG, profile)
    assert study.folder == CONFIG.resolve().parents[3].joinpath("shared", "data").resolve()
    assert {image.patient for image in study.of("test").values()} == {"CT_small", "explicit_VR-UN"}
    for name in ("three-filters", "cnn-10", "red-cnn"):
        one, other = study.methods[name], study.methods[f"{name}-phantoms"]
        assert one.model == other.model and (one.data, other.data) == ("measured", "phantoms")


def test_wrong_configurations(study: Any, tmp_path: Path) -> None:
    from real_data.experiment import Experiment

    for changes, message in (
        ({"filters": ["median"]}, "filters: no filter 'median'"),
        ({"comparisons": [["cnn-10", "gan"]]}, "comparisons: no 'gan'"),
        ({"images": {"spine": {"patient": "vtk"}}}, r"images\.spine: patient 'vtk' is trained on, too"),
    ):
        with pytest.raises(ConfigError, match=message):
            study(**changes)
    with pytest.raises(MissingFileError, match=r"head\.mha does not exist"):
        Experiment(study(data=str(tmp_path / "no"), images={"head-training": {"file": "head.mha"}}), None)


def test_photons_of_an_open_beam() -> None:
    """Of simulated readings, within the error of so many; blocked columns are not looked at."""
    from real_data.images import open_beam_photons

    exact = torch.zeros(200, 60)
    exact[:, 20:40] = 1.5
    noisy = sg.add_photon_noise(exact, 2e4, generator=torch.Generator().manual_seed(0))
    assert open_beam_photons(noisy, 0.05) == pytest.approx(2e4, rel=0.05)
    with pytest.raises(ValueError, match="at least 8 columns beside the object, got 0"):
        open_beam_photons(noisy + 1, 0.05)


def test_the_noise_that_is_asked_for_is_added(study: Any) -> None:
    """40 HU inside the patient, other noise for another seed; the target is the measured image itself."""
    from real_data.images import lower_dose, measured

    made = study()
    pair = lower_dose(made, "spine", 0)
    values, spacing = measured(made, made.images["spine"])
    assert torch.equal(pair.normal, values) and spacing == (5.0, 6.0, 6.0)
    assert torch.equal(values, torch.from_numpy(_body(1, 32, 2).clip(-1000).round()).float())
    assert float((pair.low - pair.normal)[pair.inside].square().mean().sqrt()) == pytest.approx(40, rel=0.15)
    assert torch.equal(pair.inside, values > -500)
    assert not torch.equal(lower_dose(made, "spine", 1).low, pair.low)


def test_every_column_of_the_picture_has_its_title(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the first row alone; each row has its own title."""
    from real_data import figures

    held: list[Any] = []
    monkeypatch.setattr(figures, "save", lambda figure, path: held.append(figure))
    image = torch.zeros(4, 5)
    figures.save_images(study(), {name: {"Low dose": image, "Target": image} for name in ("one", "two")}, tmp_path)
    axes = held[0].axes
    assert [place.get_title() for place in axes] == ["Low dose", "Target", "", ""]
    assert [place.get_ylabel() for place in axes] == ["one", "", "two", ""]


def test_from_start_to_end(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from real_data.experiment import Experiment

    monkeypatch.setattr(importlib.import_module("sinograd.training.train"), "save_curves", lambda *_, **__: None)
    orbit = {"source_to_origin": 410.66, "source_to_detector": 553.74, "angles": sg.geometry.full_scan(90)}
    geometry = sg.FanBeam.circular(**orbit, detector=sg.FlatDetector(90, 1.2))
    cone = sg.ConeBeam.circular(**orbit, detector=sg.FlatDetector((1, 90), (1.2, 1.2)))
    exact = sg.phantoms.ball(25.0, 0.034).project(cone)[:, 0]
    noisy = sg.add_photon_noise(exact, 5e4, generator=torch.Generator().manual_seed(0))
    images = importlib.import_module("real_data.images")
    monkeypatch.setattr(images, "read", lambda _: SimpleNamespace(geometry=geometry, projections=noisy.numpy()))
    made = study()
    found = Experiment(made, tmp_path / "cache", report=lambda text: None).run(tmp_path / "out")
    names = {"results.md", "results.json", "scores.csv", "runs.csv", "images.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert len(found.rows) == 2 * 3 * (2 + 7) and len(found.runs) == 2 * 7  # seeds, tests; methods, low dose, filter
    text = (tmp_path / "out" / "results.md").read_text()
    assert made.smaller.split(";")[0] in text and "HTC2022 tb, a quarter" in text and "3 BFs, phantoms" in text
    held = {row.psnr for row in found.rows if (row.method, row.test) == ("low-dose", "")}
    # 40 HU inside the patient, less noise beside it
    assert all(20 * np.log10(4096 / 40) - 2 < value < 20 * np.log10(4096 / 40) + 6 for value in held)
