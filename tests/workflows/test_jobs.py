"""`sg.denoise`, `sg.simulate`, `sg.convert`. Truth: what the commands write, bit for bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg
from sinograd.models import bilateral_stack, save_model

GRID = sg.Grid((4, 12, 12), 0.5)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    values = 0.05 + 0.01 * torch.randn(GRID.shape, generator=torch.Generator().manual_seed(0))
    sg.write_volume(sg.Volume(values, GRID, "1/mm"), tmp_path / "volume.h5")
    save_model(bilateral_stack(1, input_scale=0.05), tmp_path / "model.yaml")
    return tmp_path / "volume.h5"


def same(a: sg.Volume, b: sg.Volume) -> None:
    torch.testing.assert_close(a.values, b.values, rtol=0, atol=0)
    assert a.grid.equals(b.grid) and a.unit == b.unit


def test_denoise(command: Any, volume: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.yaml"
    command("denoise", volume, "-m", model, "-o", tmp_path / "out.h5", "-q")
    expected = sg.read_volume(tmp_path / "out.h5")
    same(sg.denoise(volume, model), expected)
    source = sg.read_volume(volume)
    before = source.values.clone()
    result = sg.denoise(source, model, tmp_path / "other.h5")
    same(result, expected)
    same(sg.read_volume(tmp_path / "other.h5"), expected)
    torch.testing.assert_close(source.values, before, rtol=0, atol=0)
    assert result.provenance["command"] == "sinograd denoise" and result.provenance["input"]["in_memory"]


def test_denoise_refuses_other_units(volume: Path, tmp_path: Path) -> None:
    source = sg.read_volume(volume).to("HU", water=0.02)
    with pytest.raises(sg.errors.UnitError, match=r"for values in 1/mm .*, the volume is in HU; volume.to"):
        sg.denoise(source, tmp_path / "model.yaml")
    with pytest.raises(TypeError, match="`input`: expected a file, a folder, a Volume or a Scan, got a Tensor"):
        sg.denoise(source.values, tmp_path / "model.yaml")  # pyright: ignore[reportArgumentType]


def test_simulate_a_phantom(command: Any, tmp_path: Path) -> None:
    options = {"views": 12, "detector": (16, 20), "photons": 1e4, "seed": 3}
    arguments = ("--views", 12, "--detector", "16,20", "--photons", 1e4, "--seed", 3)
    command("simulate", "ball", "-o", tmp_path / "out.h5", *arguments, "-q")
    scan, expected = sg.simulate("ball", **options), sg.read(tmp_path / "out.h5")  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(scan.load(), expected.load(), rtol=0, atol=0)
    assert scan.geometry.equals(expected.geometry) and dict(scan.metadata) == dict(expected.metadata)


def test_simulate_a_lower_dose(command: Any, cone: Path, tmp_path: Path) -> None:
    command("simulate", cone, "-o", tmp_path / "out.h5", "--dose", 0.1, "-q")
    expected = sg.read(tmp_path / "out.h5").load()
    scan = sg.read(cone)
    loaded = dataclasses.replace(scan, projections=scan.load(), file=None)
    for source in (cone, loaded):
        torch.testing.assert_close(sg.simulate(source, dose=0.1).load(), expected, rtol=0, atol=0)
    with pytest.raises(ValueError, match="`dose` is missing"):
        sg.simulate(loaded)
    with pytest.raises(ValueError, match="`views`, `noiseless`: for phantoms only"):
        sg.simulate(cone, dose=0.1, views=3, noiseless=True)


def test_a_geometry_as_scanner(cone: Path) -> None:
    geometry = sg.read(cone).geometry
    scan = sg.simulate("ball", scanner=geometry, noiseless=True)
    assert scan.geometry.equals(geometry)
    exact = sg.phantoms.ball(0.45 * geometry.field_of_view, 0.02).project(geometry)
    torch.testing.assert_close(scan.load(), exact, rtol=1e-4, atol=1e-6)


def test_convert(command: Any, cone: Path, volume: Path, tmp_path: Path) -> None:
    for source, name in ((cone, "scan.npy"), (volume, "volume.tif")):
        command("convert", source, tmp_path / name, "-q")
        result = sg.convert(source, tmp_path / f"other-{name}")
        assert (tmp_path / name).read_bytes() == (tmp_path / f"other-{name}").read_bytes() or name.endswith("tif")
        assert isinstance(result, sg.Scan if source == cone else sg.Volume)
    same(sg.read_volume(tmp_path / "other-volume.tif"), sg.read_volume(volume))
    with pytest.raises(ValueError, match="`to`, `geometry`, `flat` and `dark` are for scans"):
        sg.convert(volume, tmp_path / "no.h5", to="h5")
    with pytest.raises(ValueError, match="it is the input, or holds it"):
        sg.convert(volume, volume, force=True)


def test_a_unit_is_stated_when_a_volume_is_converted(tmp_path: Path) -> None:
    sg.write_volume(torch.zeros(GRID.shape), tmp_path / "unknown.h5", GRID)
    sg.convert(tmp_path / "unknown.h5", tmp_path / "hu.h5", unit="HU")
    assert sg.read_volume(tmp_path / "hu.h5").unit == "HU"


def test_info_on_a_volume(command: Any, volume: Path, tmp_path: Path) -> None:
    result = command("info", volume, "--picture", tmp_path / "p.png")
    lines = dict(line.split(None, 1) for line in result.stdout.splitlines())
    assert lines["grid"] == "4 x 12 x 12 voxels of 500 um" and lines["unit"] == "1/mm"
    assert (tmp_path / "p.png").stat().st_size > 5000


def test_a_folder_of_dicom_slices_is_converted(command: Any, tmp_path: Path) -> None:
    from dicom_slices import tissue, write_slices

    write_slices(tmp_path / "in", tissue((3, 8, 8)))
    assert "HU" in command("convert", tmp_path / "in", tmp_path / "out.h5").stdout
    assert sg.read_volume(tmp_path / "out.h5").unit == "HU"
