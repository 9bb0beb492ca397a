"""`sinograd denoise` of DICOM series. Truth: the filters applied to the whole volume in HU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import pytest
import torch

from dicom_slices import tissue, write_slices
from sinograd.io.volumes.dicom.series import read_series
from sinograd.models import bilateral_stack, save_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """in: a series; hu.yaml and mu.yaml: filters for HU and for attenuation."""
    write_slices(tmp_path / "in", tissue((3, 8, 8)), tags={"PixelPaddingValue": 24})
    save_model(bilateral_stack(1, input_scale=1000.0), tmp_path / "hu.yaml")
    save_model(bilateral_stack(1, input_scale=0.05), tmp_path / "mu.yaml")
    return tmp_path


def test_a_series_becomes_a_series(sinograd: Any, folder: Path) -> None:
    result = sinograd(
        "denoise", folder / "in", "--model", folder / "hu.yaml", "-o", folder / "out", "--preview", folder / "p.png"
    )
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert f"{folder / 'out'} (" in result.stdout and (folder / "p.png").is_file()
    source, written = read_series(folder / "in"), read_series(folder / "out")
    with torch.no_grad():
        expected = bilateral_stack(1, input_scale=1000.0)(source.read(0, 3))
    padding = read_series(folder / "in", padding="keep").read(0, 3) == -1000
    assert torch.equal(written.read(0, 3), torch.where(padding, -1000, expected.round()))
    header = pydicom.dcmread(written.files[0])
    assert header.DerivationDescription.startswith("denoised by the model hu.yaml (bilateral), by sinograd")
    assert header.SeriesDescription == "Low Dose Images [hu.yaml]"
    assert str(folder) not in str(header)


def _error(result: Any) -> str:
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    return line


def test_bad_input(sinograd: Any, folder: Path) -> None:
    source, model = folder / "in", ("--model", folder / "hu.yaml")
    line = _error(sinograd("denoise", source, "--model", folder / "mu.yaml", "-o", folder / "out"))
    assert "mu.yaml (bilateral) is for values in 1/mm (what counts as 1 in it is 0.05), DICOM slices are in HU" in line
    line = _error(sinograd("denoise", source, *model, "-o", folder / "out.h5"))
    assert "DICOM slices are written as such, -o must be a folder" in line
    assert "is the input itself" in _error(sinograd("denoise", source, *model, "-o", source, "--force"))
    (folder / "out").mkdir()
    assert "already exists" in _error(sinograd("denoise", source, *model, "-o", folder / "out"))
    assert "--voxel-mm is for scans" in _error(sinograd("denoise", source, *model, "-o", folder / "x", "--voxel-mm", 1))
    (source / "1-002.dcm").unlink()
    write_slices(source, tissue((1, 8, 8)), name="9-{:03d}.dcm")
    assert "holds 2 series, expected one" in _error(sinograd("denoise", source, *model, "-o", folder / "x"))
    assert not (folder / "x").exists()


@pytest.mark.parametrize("how", ["stacks", "patches"])
def test_filters_in_hu_are_trained_on_folders(sinograd: Any, tmp_path: Path, how: str) -> None:
    """Two folders of DICOM slices, low and normal dose: filters come closer to the normal dose and go back to DICOM."""
    pytest.importorskip("lightning")
    import numpy as np
    import yaml

    from sinograd.models import read_model

    generator = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    disc = np.where(x**2 + y**2 < 0.8, 40.0, -1000.0) + 260.0 * (x**2 + y**2 < 0.1)
    for part, noise in (("normal", 3.0), ("low", 40.0)):
        noisy = disc + generator.normal(0, noise, (4, 32, 32))
        write_slices(tmp_path / part, noisy.clip(-1024), tags={"PatientID": "P1"})
    data = {"training": [{"input": "low", "target": "normal"}]}
    if how == "patches":
        pairs = {"layout": "volumes", "unit": "HU", "files": [{"input": "low", "target": "normal"}]}
        data = {"pairs": pairs, "patches": {"size": 24, "per_batch": 2}}
    model = {"name": "bilateral", "filters": 1, "dimensions": 2}
    config = {"output": "run", "data": data, "model": model, "stop": {"max_steps": 60}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    result = sinograd("train", tmp_path / "config.yaml")
    assert result.exit_code == 0, result.output
    saved = read_model(tmp_path / "run")
    assert saved.trained_on["unit"] == "HU"
    result = sinograd("denoise", tmp_path / "low", "--model", tmp_path / "run", "-o", tmp_path / "denoised")
    assert result.exit_code == 0, result.output
    normal, low, found = (read_series(tmp_path / name).read(0, 4) for name in ("normal", "low", "denoised"))
    assert (found - normal).square().mean() < 0.5 * (low - normal).square().mean()
