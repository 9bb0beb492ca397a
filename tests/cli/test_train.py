"""`sinograd train` and `sinograd denoise`. Truth: the Python functions, the filters applied to the whole volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import sinograd as sg
from sinograd.geometry import Grid
from sinograd.io import read, read_volume, write_volume
from sinograd.models import DualDomainBilateral, bilateral_stack, load_model, save_model

GRID = Grid((8, 16, 16), 0.5)


def one_line(text: str) -> str:
    """The text of stderr, which must be one line without a traceback."""
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("sinograd: ")
    return lines[0]


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """noisy.h5 and clean.h5: a ball of 4 mm and 0.05 per mm."""
    clean = sg.phantoms.ball(4.0, 0.05).voxelize(GRID)
    noisy = clean + 0.005 * torch.randn(clean.shape)
    write_volume(clean, tmp_path / "clean.h5", GRID)
    write_volume(noisy, tmp_path / "noisy.h5", GRID)
    return tmp_path


def write_config(folder: Path, **more: Any) -> Path:
    config: dict[str, Any] = {
        "output": "run",
        "data": {"training": [{"input": "noisy.h5", "target": "clean.h5"}]},
        "model": {"name": "bilateral", "filters": 1, "window": 3, "sigma_range": 0.2},
        "stop": {"max_steps": 3},
        **more,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder / "config.yaml"


def test_train_then_denoise(sinograd: Any, volumes: Path) -> None:
    config = write_config(volumes)
    result = sinograd("train", config)
    assert result.exit_code == 0, result.output
    assert "bilateral, 4 parameters" in result.stdout
    assert "3 of at most 3: all were made" in result.stdout
    assert result.stdout.splitlines()[-1].split(None, 1) == ["run", str(volumes / "run")]
    again = sinograd("train", config)
    assert again.exit_code == 2
    assert "is not empty: --resume goes on with its run, --force replaces it" in one_line(again.stderr)

    arguments = ("--model", volumes / "run", "-o", volumes / "out.h5", "--preview", volumes / "out.png")
    result = sinograd("denoise", volumes / "noisy.h5", *arguments)
    assert result.exit_code == 0, result.output
    saved = read_volume(volumes / "out.h5")
    volume, grid, provenance = saved.values, saved.grid, saved.provenance
    noisy = read_volume(volumes / "noisy.h5").values
    clean = read_volume(volumes / "clean.h5").values
    with torch.no_grad():
        torch.testing.assert_close(volume, load_model(volumes / "run")(noisy), rtol=0, atol=0)
    assert (volume - clean).square().mean() < 0.7 * (noisy - clean).square().mean()
    assert grid.equals(GRID)
    assert provenance["command"] == "sinograd denoise" and provenance["model"]["name"] == "bilateral"
    assert (volumes / "out.png").stat().st_size > 10_000
    assert "8 x 16 x 16 voxels of 500 um" in result.stdout


def test_a_region_and_another_folder(sinograd: Any, volumes: Path) -> None:
    part = {"input": "noisy.h5", "target": "clean.h5", "region": {"z": [2, 6], "x": [0, 9]}}
    result = sinograd("train", write_config(volumes, data={"training": [part]}), "-o", volumes / "else", "-q")
    assert (result.exit_code, result.output) == (0, "")
    text = (volumes / "else" / "model.yaml").read_text()
    assert yaml.safe_load(text)["trained_on"]["stacks"][0]["shape"] == [4, 16, 9]


def test_dual_domain(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    """From a scan file: training, then a volume that is the sequence's own."""
    scan = read(scan_file)
    assert scan.grid is not None
    write_volume(sg.fdk(scan.load(), scan.geometry, scan.grid), tmp_path / "normal.h5", scan.grid)
    model = {"name": "dual-domain-bilateral", "projection_filters": 1, "image_filters": 1, "window": 3}
    stack = {"input": "scan.h5", "target": "normal.h5", "region": {"z": [3, 5]}}
    task = {"name": "dual-domain", "row_margin": 1}
    config = write_config(tmp_path, task=task, model=model, data={"training": [stack]}, stop={"max_steps": 2})
    result = sinograd("train", config)
    assert result.exit_code == 0, result.output
    assert "filter projection_filters.0" in result.stdout
    result = sinograd("denoise", scan_file, "--model", tmp_path / "run", "-o", tmp_path / "out.tif")
    assert result.exit_code == 0, result.output
    saved = read_volume(tmp_path / "out.tif")
    volume, grid = saved.values, saved.grid
    module = load_model(tmp_path / "run")
    assert isinstance(module, DualDomainBilateral)
    with torch.no_grad():
        torch.testing.assert_close(volume, module.over(scan.geometry, grid)(scan.load()), rtol=0, atol=1e-8)


def test_bad_configurations(sinograd: Any, volumes: Path) -> None:
    cases: dict[str, dict[str, Any]] = {
        "model.fitlers: unknown key (did you mean filters?)": {"model": {"name": "bilateral", "fitlers": 3}},
        "stop.max_steps: expected a whole number of at least 1, got 0": {"stop": {"max_steps": 0}},
        "no.h5 does not exist": {"data": {"training": [{"input": "no.h5", "target": "clean.h5"}]}},
        "data.training[0].target: missing, the task supervised needs one": {
            "data": {"training": [{"input": "noisy.h5"}]}
        },
        "region.z: ": {"data": {"training": [{"input": "noisy.h5", "target": "clean.h5", "region": {"z": [0, 9]}}]}},
        "model.name: expected bilateral for the task noise2void": {
            "task": {"name": "noise2void"},
            "model": {"name": "dual-domain-bilateral"},
        },
        "output: missing, expected the folder of the run (or -o FOLDER)": {"output": None},
    }
    for words, changed in cases.items():
        result = sinograd("train", write_config(volumes, **changed))
        assert result.exit_code == 2, result.output
        assert words in one_line(result.stderr)
        assert not (volumes / "run").exists()
    (volumes / "config.yaml").write_text("seed: 1\nseed: 2\n")
    assert "key 'seed' is given twice" in one_line(sinograd("train", volumes / "config.yaml").stderr)
    assert "no configuration file at" in one_line(sinograd("train", volumes / "other.yaml").stderr)


def test_bad_input_of_denoise(sinograd: Any, volumes: Path, scan_file: Path) -> None:
    save_model(bilateral_stack(1, input_scale=0.05), volumes / "image.yaml")
    save_model(DualDomainBilateral(bilateral_stack(1), bilateral_stack(1)), volumes / "dual.yaml")
    noisy, out = volumes / "noisy.h5", volumes / "out.h5"
    with_nan = torch.zeros(GRID.shape)
    with_nan[2, 3, 4] = torch.nan
    write_volume(with_nan, volumes / "nan.h5", GRID)
    (volumes / "run.ckpt").write_bytes(b"PK\x03\x04\xff\xfe")
    cases = {
        "no trained model named 'nothing'; known: ": (noisy, "nothing"),
        "no model file at": (noisy, volumes / "other.yaml"),
        "is a training checkpoint; the model is model.yaml in its run's folder": (noisy, volumes / "run.ckpt"),
        "is no model file: expected format: sinograd-model": (noisy, volumes / "noisy.yaml"),
        "a scan has to be reconstructed first": (scan_file, volumes / "image.yaml"),
        "starts from projections": (noisy, volumes / "dual.yaml"),
        "expected finite values, got 1 NaN or infinite ones": (volumes / "nan.h5", volumes / "image.yaml"),
    }
    (volumes / "noisy.yaml").write_text("a: 1\n")
    for words, (file, model) in cases.items():
        result = sinograd("denoise", file, "--model", model, "-o", out)
        assert result.exit_code == 2, result.output
        assert words in one_line(result.stderr)
        assert not out.exists()
    result = sinograd("denoise", noisy, "--model", volumes / "image.yaml", "-o", noisy, "--force")
    assert "-o is the input itself" in one_line(result.stderr)
    out.write_text("mine")
    result = sinograd("denoise", noisy, "--model", volumes / "image.yaml", "-o", out)
    assert "already exists: use --force" in one_line(result.stderr)
    result = sinograd("denoise", noisy, "--model", volumes / "image.yaml", "-o", out, "--voxel-mm", 1, "--force")
    assert "--voxel-mm is for scans" in one_line(result.stderr)
    assert out.read_text() == "mine"


def test_other_voxels_and_units_are_told(sinograd: Any, volumes: Path) -> None:
    trained_on = {"stacks": [{"voxel_mm": [0.1, 0.1, 0.1]}]}
    save_model(bilateral_stack(1, input_scale=1000.0), volumes / "other.yaml", trained_on=trained_on)
    result = sinograd("denoise", volumes / "noisy.h5", "--model", volumes / "other.yaml", "-o", volumes / "out.h5")
    assert result.exit_code == 0, result.output
    assert "was trained on voxels of 100 x 100 x 100 um, these are 500 x 500 x 500 um" in result.stderr
    assert "the model was trained on values up to about 1000" in result.stderr
