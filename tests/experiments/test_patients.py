"""Ready configurations for patients' data: the papers' splits, and small synthetic folders from start to end."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from dicom_slices import write_slices
from sinograd.errors import ConfigError

pytest.importorskip("lightning")
pytest.importorskip("torchmetrics")

FILE = Path(__file__).resolve().parents[2] / "experiments" / "patients" / "run.py"
WAGNER = (["L067", "L096", "L109", "L143", "L192", "L286"], ["L291"], ["L310", "L333", "L506"])
XU = (["L067", "L096", "L109", "L143", "L192"], ["L291"], ["L286", "L310", "L333", "L506"])


@pytest.fixture(scope="module")
def runner() -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("patients_run", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["patients_run"] = module
    spec.loader.exec_module(module)
    return module


def _head(seed: int, noise: float) -> np.ndarray:
    """Two slices of 48 x 48 in HU; the noise is drawn from another seed than the object."""
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    radius = 0.7 + 0.02 * (seed % 7)
    image = np.where(x**2 + y**2 < radius**2, 40.0 + 10 * (seed % 5), -1000.0)
    image[(x - 0.2) ** 2 + y**2 < 0.04] = 300.0
    return np.stack([image, image]) + np.random.default_rng(seed).normal(0, noise, (2, 48, 48))


def _challenge(folder: Path, patients: tuple[list[str], ...], thickness: int) -> Path:
    for number, name in enumerate(name for part in patients for name in part):
        for dose, letter, noise in (("full", "FD", 5.0), ("quarter", "QD", 40.0)):
            place = folder / f"{thickness}mm B30" / f"{dose}_{thickness}mm" / name / f"{dose}_{thickness}mm"
            write_slices(
                place, _head(number, noise).clip(-1024), name=f"{name}_{letter}_{thickness}_" + "{:d}.CT.IMA",
                spacing=(float(thickness), 0.7, 0.7), tags={"PatientID": name}, series=None,
            )  # fmt: skip
    return folder


def _short(patients: Any, methods: dict[str, Any], **more: Any) -> Any:
    defaults = {
        "data": {"patches": {"size": 24, "per_batch": 2}},
        "stop": {"max_steps": 3, "early_stopping": None},
        "validation": {"every": 2, "slices": 1},
    }
    return dataclasses.replace(patients, defaults=defaults, methods=methods, seeds=(0,), **more)


@pytest.mark.parametrize(("name", "split"), [("grand-challenge", WAGNER), ("structkpn", XU)])
def test_splits_of_the_papers(runner: Any, name: str, split: tuple[list[str], ...]) -> None:
    patients = runner.load_patients(name)
    assert tuple(patients.parts[part]["patients"] for part in runner.PARTS) == split
    for method in patients.methods:
        config = patients.config(method, 1, Path("/data"))
        assert config.seed == 1 and config.data.pairs.folder == Path("/data")
        assert config.data.validation_pairs.patients == ("L291",)
        assert tuple(split[2]) == patients.part("test", Path("/data")).patients


def test_splits_of_the_benchmark(runner: Any) -> None:
    from sinograd.datasets.ldct_and_projection import split_table

    patients = runner.load_patients("ldct-and-projection")
    splits = [patients.part(part, Path("/data")).split for part in runner.PARTS]
    assert splits == ["train", "val", "test"] and [len(split_table()[split]) for split in splits] == [105, 30, 15]


@pytest.mark.parametrize(("name", "split", "thickness"), [("grand-challenge", WAGNER, 1), ("structkpn", XU, 3)])
def test_a_tree_of_folders_from_start_to_end(
    runner: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    split: tuple[list[str], ...],
    thickness: int,
) -> None:
    """It trains on the training patients alone, finds finished runs, and scores the test patients in HU."""
    folder = _challenge(tmp_path / "data", split, thickness)
    full = runner.load_patients(name)
    wanted = {"grand-challenge": "three-filters", "structkpn": "red-ls"}[name]
    method = {key: value for key, value in full.methods[wanted].items() if key in ("task", "model")}
    if name == "structkpn":
        method = {**method, "model": {**method["model"], "channels": 4}}
    patients = _short(full, {wanted: method}, filters=("bilateral-estimated",))
    monkeypatch.setattr(runner, "load_patients", lambda _: patients)
    result = CliRunner().invoke(_app(runner), [name, str(folder), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    text = (tmp_path / "out" / "results" / "volumes.csv").read_text()
    assert all(patient in text for patient in split[2]) and not any(patient in text for patient in split[0] + split[1])
    assert wanted in text and "bilateral-estimated" in text
    from sinograd.models import read_model

    saved = read_model(tmp_path / "out" / wanted)
    assert saved.trained_on["unit"] == "HU"
    again = CliRunner().invoke(_app(runner), [name, str(folder), "-o", str(tmp_path / "out"), "--method", wanted])
    assert again.exit_code == 0 and "found in" in again.output


def test_the_benchmark_s_tree(runner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sinograd.datasets import ldct_and_projection

    few = {"train": {"C002": 2, "L004": 2}, "val": {"C052": 2}, "test": {"C121": 2, "N090": 2}}
    monkeypatch.setattr(ldct_and_projection, "split_table", lambda: few)
    root = tmp_path / "LDCT-and-Projection-data"
    for number, name in enumerate(name for split in few.values() for name in split):
        for dose, noise in (("Low", 40.0), ("Full", 5.0)):
            place = root / name / "12-23-2021-NA-NA-1" / f"1.000000-{dose} Dose Images-{number}"
            write_slices(place, _head(number, noise).clip(-1024), tags={"PatientID": name}, series=None)
    patients = _short(runner.load_patients("ldct-and-projection"), {"cnn-10": {"model": {"name": "cnn-10"}}})
    monkeypatch.setattr(runner, "load_patients", lambda _: patients)
    result = CliRunner().invoke(_app(runner), ["ldct-and-projection", str(tmp_path), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    text = (tmp_path / "out" / "results" / "volumes.csv").read_text()
    assert "C121" in text and "N090" in text and "C002" not in text


def test_wrong_input(runner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(*arguments: str) -> str:
        result = CliRunner().invoke(_app(runner), [*arguments, "-o", str(tmp_path / "out")])
        assert result.exit_code == 1 and not (tmp_path / "out").exists()
        return result.output

    assert "expected one of grand-challenge, ldct-and-projection, structkpn, got 'mayo'" in said("mayo", str(tmp_path))
    assert "does not exist" in said("grand-challenge", str(tmp_path / "no"))
    assert "no method 'gan'" in said("grand-challenge", str(tmp_path), "--method", "gan")
    folder = _challenge(tmp_path / "data", (WAGNER[0], WAGNER[1], ["L310"]), 1)
    assert "has no patients L333, L506" in said("grand-challenge", str(folder))
    monkeypatch.setattr(runner, "HERE", tmp_path)
    text = (FILE.parent / "grand-challenge.yaml").read_text()
    for old, new, message in (
        ("validation: {patients: [L291]}", "validation: {patients: [L310]}", "a patient is in two of them"),
        ("  test: {patients: [L310, L333, L506]}\n", "", "parts: expected training, validation, test"),
        ("name: red-cnn}", "name: red}", "methods.red-cnn"),
    ):
        (tmp_path / "wrong.yaml").write_text(text.replace(old, new, 1))
        with pytest.raises(ConfigError, match=message):
            runner.load_patients("wrong")


def _app(runner: Any) -> Any:
    import typer

    app = typer.Typer()
    app.command()(runner.run)
    return app
