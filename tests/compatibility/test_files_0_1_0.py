"""Files that sinograd 0.1.0 wrote still load. Truth: `expected.json`, what 0.1.0 itself read in them.

`write_0_1_0.py` made `files-0.1.0` and says what is in them.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import h5py
import pytest
import torch
from typer.testing import CliRunner

import sinograd as sg
from compatibility.numbers_of import EXPECTED, FILES, assert_same, geometry_numbers, scan_numbers, tensor_numbers
from sinograd.cli.app import app
from sinograd.config.schema import to_plain
from sinograd.errors import ScanWarning
from sinograd.evaluation import read_pairs_file
from sinograd.models import load_model, read_model
from sinograd.training import load_config, train


def values_of(name: str) -> torch.Tensor:
    """What h5py reads in a volume."""
    with h5py.File(FILES / name) as file:
        return torch.from_numpy(file["volume"][:])


@pytest.mark.parametrize("name", EXPECTED["geometries"])
def test_geometries(name: str) -> None:
    geometry = sg.load_geometry(FILES / f"geometry-{name}.yaml")
    assert_same(geometry_numbers(geometry), EXPECTED["geometries"][name], name)


@pytest.mark.parametrize("name", EXPECTED["scans"])
def test_scans(name: str) -> None:
    """Readings, geometry, grid, calibration and record, of every format."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScanWarning)  # DXchange does not hold what the readings are
        scan = sg.read(FILES / name)
    assert_same(scan_numbers(scan), EXPECTED["scans"][name], name)


@pytest.mark.parametrize("name", EXPECTED["configurations"])
def test_configurations_of_training(name: str, files: Path) -> None:
    """Every key that 0.1.0 knew has the value that it had there."""
    text = json.dumps(EXPECTED["configurations"][name]).replace(EXPECTED["folder"], str(files))
    assert_same(to_plain(load_config(files / f"train-{name}.yaml")), json.loads(text), name)


@pytest.mark.parametrize("name", EXPECTED["models"])
def test_models(name: str) -> None:
    """Files and folders of runs: the same parameters, and what the model makes of a volume."""
    model = load_model(FILES / name)
    parameters = {key: tensor_numbers(value) for key, value in model.state_dict().items()}
    assert_same(parameters, EXPECTED["models"][name]["parameters"], name)
    with torch.no_grad():
        result = model(values_of("low.h5"))
    assert_same(tensor_numbers(result), EXPECTED["models"][name]["result"], name)


def test_records_of_models(files: Path) -> None:
    """What a model was trained on, for `info` and the checks of `denoise`."""
    saved = read_model(files / "run-bilateral")
    assert saved.trained_on["task"] == "supervised" and saved.trained_on["steps"] == 4
    assert saved.provenance["software"] == "sinograd 0.1.0"
    for name in ("run-bilateral", "run-red-cnn", "run-red-cnn/model.pt"):
        result = CliRunner().invoke(app, ["info", str(files / name)])
        assert result.exit_code == 0 and "sinograd 0.1.0" in result.stdout, result.output
    arguments = ["denoise", files / "low.h5", "--model", files / "run-red-cnn", "-o", files / "out.h5"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


def test_an_interrupted_run_is_resumed(files: Path) -> None:
    """To the model that 0.1.0 trained without an interrupt."""
    result = train(files / "train-bilateral.yaml", output=files / "run-interrupted", resume=True)
    assert result.steps == 4
    parameters = {
        key: tensor_numbers(value) for key, value in load_model(files / "run-interrupted").state_dict().items()
    }
    assert_same(parameters, EXPECTED["models"]["run-bilateral"]["parameters"])


@pytest.mark.parametrize("name", EXPECTED["pairs"])
def test_pairs(name: str, files: Path) -> None:
    """Files of pairs: the same volumes, those of a simulation too."""
    (pair,) = read_pairs_file(files / f"{name}.yaml")
    expected = EXPECTED["pairs"][name]
    assert (pair.unit, pair.name) == (expected["unit"], expected["name"])
    for source, kind in ((pair.target, "target"), (pair.inputs[0], "input")):
        assert source is not None
        numbers = tensor_numbers(source.read(0, source.shape[0]))
        assert numbers["shape"] == expected[kind]["shape"]
        assert numbers["sum"] == pytest.approx(expected[kind]["sum"], rel=1e-5)
        assert numbers["moment"] == pytest.approx(expected[kind]["moment"], rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(("name", "options"), [("interrupted", ()), ("interrupted-cgls", ("--algorithm", "cgls"))])
def test_partial_files_are_refused(name: str, options: tuple[str, ...], files: Path) -> None:
    """In one line, with nothing written and the file left alone."""
    partial = files / f"{name}.h5.partial.h5"
    before = partial.read_bytes()
    arguments = ["reconstruct", files / "line-integrals.h5", "-o", files / f"{name}.h5", "--resume", *options]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2 and str(partial) in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert partial.read_bytes() == before and not (files / f"{name}.h5").exists()
