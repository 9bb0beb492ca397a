"""Volumes as layers of napari. Truth: the arrays that were written, and npe2's schema where it is there."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import sinograd as sg
from sinograd.view.napari_reader import LazyArray, napari_reader, read_layers


@pytest.fixture
def manifest(project_root: Path) -> Path:
    return project_root / "src" / "sinograd" / "napari.yaml"


def test_the_manifest_names_what_exists(manifest: Path, project_root: Path) -> None:
    points = tomllib.loads((project_root / "pyproject.toml").read_text())["project"]["entry-points"]
    assert points["napari.manifest"] == {"sinograd": f"sinograd:{manifest.name}"}
    said = yaml.safe_load(manifest.read_text())
    (command,), (reader,) = said["contributions"]["commands"], said["contributions"]["readers"]
    module, _, name = command["python_name"].partition(":")
    assert getattr(importlib.import_module(module), name) is napari_reader and reader["command"] == command["id"]
    from sinograd.choices import VOLUME_FORMATS

    suffixes = {s for entry in VOLUME_FORMATS.entries(plugins=False) for s in entry.about["suffixes"] if s}
    assert {pattern.removeprefix("*") for pattern in reader["filename_patterns"]} == suffixes


def test_the_manifest_is_one_of_npe2(manifest: Path) -> None:
    npe2 = pytest.importorskip("npe2")
    npe2.PluginManifest.from_file(manifest)


@pytest.mark.parametrize("name", ["v.h5", "v.npy", "v.zarr"])
def test_a_volume_is_an_image(tmp_path: Path, name: str) -> None:
    if name == "v.zarr":
        pytest.importorskip("zarr")
    values = np.random.default_rng(0).random((4, 150, 20), np.float32)
    grid = sg.Grid(values.shape, (0.5, 0.2, 0.1), (1.0, 2.0, 3.0))
    sg.write_volume(values, tmp_path / name, grid, unit="1/mm")
    reader = napari_reader(str(tmp_path / name))
    assert reader is read_layers
    ((data, options, kind),) = reader(str(tmp_path / name))
    assert kind == "image" and options["name"] == name and options["metadata"]["unit"] == "1/mm"
    np.testing.assert_allclose(options["scale"], grid.spacing)
    np.testing.assert_allclose(options["translate"], [float(axis[0]) for axis in grid.axes()])
    assert options.get("multiscale", False) == (name == "v.zarr")
    np.testing.assert_array_equal(np.asarray(data[0] if name == "v.zarr" else data), values)


def test_labels_and_an_image(tmp_path: Path) -> None:
    labels = torch.randint(0, 5, (3, 4, 5), dtype=torch.int16)
    sg.write_volume(labels, tmp_path / "labels.h5", sg.Grid((3, 4, 5), 1.0), unit="1")
    sg.write_volume(torch.rand(6, 7), tmp_path / "image.h5", sg.Grid((6, 7), 1.0), unit="HU")
    paths = [str(tmp_path / "labels.h5"), str(tmp_path / "image.h5")]
    assert napari_reader(paths) is read_layers
    (first, _, kind), (second, _, other) = read_layers(paths)
    assert (kind, other) == ("labels", "image") and first.dtype == np.int16 and second[2, 3].shape == ()
    np.testing.assert_array_equal(first[1], labels[1].numpy())


def test_slices_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).random((5, 6, 7), np.float32)
    lazy = LazyArray(sg.Volume(values, sg.Grid(values.shape)))
    for key in (
        2,
        -1,
        (slice(None), 3),
        (..., 4),
        (slice(1, 5, 2), slice(None, None, -1), 0),
        (1, ..., slice(2, 2)),
        ...,
    ):
        np.testing.assert_array_equal(lazy[key], values[key])
    with pytest.raises(IndexError):
        lazy[5]


def test_others_are_left_to_other_readers(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    for path in (str(tmp_path / "notes.txt"), str(tmp_path / "missing.h5"), []):
        assert napari_reader(path) is None
