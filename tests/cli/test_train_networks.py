"""Networks through `sinograd train` and `sinograd denoise`. Truth: the Python functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from sinograd.geometry import Grid
from sinograd.io import read_volume, write_volume
from sinograd.models import NetworkDenoiser, load_model, read_model, save_model
from sinograd.networks import CNN10
from sinograd.phantoms import ball

GRID = Grid((4, 24, 24), 0.5)
CONFIG: dict[str, Any] = {
    "output": "run",
    "task": {"name": "noise2noise", "loss": "mae"},
    "data": {
        "training": [{"input": ["noisy0.h5", "noisy1.h5"]}],
        "validation": [{"input": ["noisy0.h5", "noisy1.h5"], "target": "clean.h5"}],
        "patches": {"size": 16, "per_batch": 2},
    },
    "model": {"name": "noise2noise-unet", "features": 2},
    "stop": {"max_steps": 3},
    "validation": {"every": 2},
}


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """clean.h5 and two realisations of the noise: a ball of 4 mm and 0.05 per mm."""
    clean = ball(4.0, 0.05).voxelize(GRID)
    write_volume(clean, tmp_path / "clean.h5", GRID)
    for i in range(2):
        write_volume(clean + 0.01 * torch.randn(clean.shape), tmp_path / f"noisy{i}.h5", GRID)
    return tmp_path


def write_config(folder: Path, **changed: Any) -> Path:
    (folder / "config.yaml").write_text(yaml.safe_dump({**CONFIG, **changed}))
    return folder / "config.yaml"


def test_train_then_denoise(sinograd: Any, volumes: Path) -> None:
    result = sinograd("train", write_config(volumes))
    assert result.exit_code == 0, result.output
    parameters = sum(p.numel() for p in load_model(volumes / "run").parameters())
    assert f"noise2noise-unet, {parameters} parameters" in result.stdout
    assert (volumes / "run" / "model.pt").is_file()
    result = sinograd("info", volumes / "run")
    assert result.exit_code == 0 and "noise2noise-unet" in result.stdout, result.output
    assert f"{parameters:,}" in result.stdout and "trained on, task" in result.stdout
    arguments = ("--model", volumes / "run" / "model.pt", "-o", volumes / "out.h5")
    result = sinograd("denoise", volumes / "noisy0.h5", *arguments)
    assert result.exit_code == 0 and "warning" not in result.stderr, result.output
    saved = read_volume(volumes / "out.h5")
    volume, grid, provenance = saved.values, saved.grid, saved.provenance
    noisy = read_volume(volumes / "noisy0.h5").values
    with torch.no_grad():
        torch.testing.assert_close(volume, load_model(volumes / "run")(noisy), rtol=1e-5, atol=1e-7)
    assert grid.equals(GRID) and provenance["model"]["name"] == "noise2noise-unet"


def test_values_in_other_units_are_told(sinograd: Any, volumes: Path) -> None:
    network = NetworkDenoiser(CNN10(generator=torch.Generator().manual_seed(0)), -542.5, 502.2)
    save_model(network, volumes / "hu.pt", trained_on={"stacks": [{"voxel_mm": [5.0, 0.5, 0.5]}]})
    result = sinograd("denoise", volumes / "noisy0.h5", "--model", volumes / "hu.pt", "-o", volumes / "out.h5")
    assert result.exit_code == 0, result.output
    assert "the network counts 502.2 around -542.5 as 1 (other material or other units?)" in result.stderr
    assert "trained on voxels of 5 x 0.5 x 0.5 mm, these are 500 x 500 x 500 um" in result.stderr


def test_bad_configurations(sinograd: Any, volumes: Path) -> None:
    write_volume(torch.rand(4, 24, 24), volumes / "shifted.h5", Grid((4, 24, 24), 0.5, (1.0, 0.0, 0.0)))
    cases: dict[str, dict[str, Any]] = {
        "model.chanels: unknown key (did you mean channels?)": {"model": {"name": "red-cnn", "chanels": 3}},
        "shifted.h5 is on Grid": {"data": {"training": [{"input": ["noisy0.h5", "shifted.h5"]}]}},
        "devices: expected 1, as many as there are processes, got 3": {"devices": 3},
        "patches": {"data": {**CONFIG["data"], "patches": {"size": 25}}},
    }
    for words, changed in cases.items():
        result = sinograd("train", write_config(volumes, **changed))
        assert result.exit_code == 2, result.output
        assert words in result.stderr.replace("\n", " ")
        assert not (volumes / "run").exists()


def test_models_that_cannot_be_used(sinograd: Any, volumes: Path) -> None:
    torch.save({"weights": torch.ones(1)}, volumes / "other.pt")
    (volumes / "cut.pt").write_bytes(b"PK\x03\x04")
    cases = {
        "other.pt: it is no model file: expected format: sinograd-model, got None": "other.pt",
        "cut.pt: it is damaged or no PyTorch archive of plain data": "cut.pt",
        "no model file at": "none.pt",
    }
    for words, name in cases.items():
        result = sinograd("denoise", volumes / "noisy0.h5", "--model", volumes / name, "-o", volumes / "out.h5")
        assert result.exit_code == 2 and words in result.stderr.replace("\n", " "), result.output
    save_model(NetworkDenoiser(CNN10(), 0.0, 0.05), volumes / "good.pt")
    arguments = ("--model", volumes / "good.pt", "-o", volumes / "out.h5", "--device", "tpu")
    result = sinograd("denoise", volumes / "noisy0.h5", *arguments)
    assert result.exit_code == 2 and "--device tpu: expected cpu, cuda or cuda:1 ..., got 'tpu'" in result.stderr
    assert not (volumes / "out.h5").exists()


def test_pairs_and_their_unit(sinograd: Any, volumes: Path) -> None:
    """The configuration names a layout of paired volumes; what was trained knows its unit."""
    pairs = {"layout": "volumes", "unit": "1/mm", "files": [{"input": "noisy0.h5", "target": "clean.h5"}]}
    data = {"pairs": pairs, "patches": {"size": 16, "per_batch": 2}}
    result = sinograd("train", write_config(volumes, task={"name": "supervised"}, data=data), "-q")
    assert (result.exit_code, result.output) == (0, "")
    assert read_model(volumes / "run").trained_on["unit"] == "1/mm"
    wrong = {**data, "pairs": {**pairs, "unit": "HU"}}
    result = sinograd("train", write_config(volumes, task={"name": "supervised"}, data=wrong), "--force")
    assert result.exit_code == 2 and "attenuation" in result.stderr, result.output
