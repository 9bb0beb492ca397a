"""Units of volumes in files. Truth: what was written, and what the header of each format is documented to hold."""

from __future__ import annotations

import gzip
import json
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import torch
import yaml

import sinograd as sg
from dicom_slices import tissue, write_slices
from sinograd.choices import VOLUME_FORMATS
from sinograd.errors import UnitError, UnitWarning
from sinograd.io import open_volume

GRID = sg.Grid((3, 4, 5), (0.3, 0.2, 0.1), (1.0, -2.0, 3.5))
NAMES = {entry.name: f"out{entry.about['suffixes'][-1]}" for entry in VOLUME_FORMATS.entries() if entry.about["writes"]}


def hounsfield(unit: str | None = "HU") -> sg.Volume:
    values = torch.randint(-1000, 1500, GRID.shape, generator=torch.Generator().manual_seed(0)).float()
    return sg.Volume(values, GRID, unit, {"command": "test"})


def stated(path: Path) -> str | None:
    """The unit in a file, by other means than the package's."""
    if path.suffix in (".h5", ".hdf5"):
        with h5py.File(path) as file:
            return file["volume"].attrs.get("unit")
    if path.suffix in (".tif", ".tiff"):
        with tifffile.TiffFile(path) as file:
            return json.loads((file.imagej_metadata or {})["Info"]).get("unit")
    if path.suffix in (".npy", ".raw"):
        return yaml.safe_load(path.with_suffix(".yaml").read_text()).get("unit")
    if path.suffix == ".zarr":
        return json.loads((path / "zarr.json").read_text())["attributes"]["sinograd"].get("unit")
    if path.is_dir():
        return yaml.safe_load((path / "volume.yaml").read_text()).get("unit")
    if path.suffix in (".gz", ".nii"):
        with gzip.open(path) as file:
            text = file.read(228)[148:].rstrip(b"\0").decode()
        return dict(word.split("=") for word in text.split()[1:]).get("unit")
    if path.suffix in (".mrc", ".rec", ".map"):  # text behind the 1024 bytes of the header
        text = path.read_bytes()[1024:].split(b"\0", 1)[0].decode(errors="replace")
        return json.JSONDecoder().raw_decode(text[text.index("{") :])[0].get("unit")
    lines = path.read_bytes()[:2000].splitlines()
    mark = b"sinograd = " if path.suffix == ".mha" else b"sinograd:="
    return json.loads(next(line for line in lines if line.startswith(mark)).removeprefix(mark)).get("unit")


@pytest.mark.parametrize("unit", ["HU", "1/mm", "mg/cm3", "1", None])
@pytest.mark.parametrize("name", NAMES)
def test_a_unit_stays(tmp_path: Path, name: str, unit: str | None) -> None:
    package = VOLUME_FORMATS.entry(name).about.get("package")
    if package:
        pytest.importorskip(package, reason="needs the extra io")
    path = tmp_path / NAMES[name]
    sg.write_volume(hounsfield(unit), path)
    assert stated(path) == unit
    again = sg.read_volume(path)
    assert again.unit == open_volume(path).unit == unit
    assert torch.equal(again.values, hounsfield().values)


def test_tensors_have_the_unit_that_is_said(tmp_path: Path) -> None:
    values = hounsfield().values
    sg.write_volume(values, tmp_path / "a.h5", GRID)
    sg.write_volume(values, tmp_path / "b.h5", GRID, unit="HU")
    sg.write_volume(hounsfield(None), tmp_path / "c.h5", unit="HU")
    assert [sg.read_volume(tmp_path / f"{name}.h5").unit for name in "abc"] == [None, "HU", "HU"]
    with pytest.raises(UnitError, match=r"`unit='1/mm'`, but the volume is in HU; volume\.to\('1/mm'\) converts it"):
        sg.write_volume(hounsfield(), tmp_path / "d.h5", unit="1/mm")
    with pytest.raises(ValueError, match="unit: expected one of 1/mm, HU, mg/cm3, 1, 1/pixel, got 'hounsfield'"):
        sg.write_volume(values, tmp_path / "d.h5", GRID, unit="hounsfield")
    with pytest.raises(ValueError, match="grid is another one than the volume's"):
        sg.write_volume(hounsfield(), tmp_path / "d.h5", sg.Grid(GRID.shape))
    assert not (tmp_path / "d.h5").exists()


def test_the_unit_that_is_stated_on_reading(tmp_path: Path) -> None:
    sg.write_volume(hounsfield(None), tmp_path / "unknown.h5")
    sg.write_volume(hounsfield(), tmp_path / "known.h5")
    assert sg.read_volume(tmp_path / "unknown.h5", unit="HU").unit == "HU"
    assert open_volume(tmp_path / "known.h5", unit="HU").unit == "HU"
    with pytest.warns(UnitWarning, match="says that its values are in HU; they are taken as 1/mm"):
        again = sg.read_volume(tmp_path / "known.h5", unit="1/mm")
    assert again.unit == "1/mm" and torch.equal(again.values, hounsfield().values)
    with pytest.raises(ValueError, match="unit: expected one of"):
        sg.read_volume(tmp_path / "known.h5", unit="cm")


def test_an_unknown_unit_in_a_file(tmp_path: Path) -> None:
    sg.write_volume(hounsfield(), tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5", "r+") as file:
        file["volume"].attrs["unit"] = "furlong"
    with pytest.raises(
        ValueError, match=r"out\.h5: the unit must be one of 1/mm, HU, mg/cm3, 1, 1/pixel, got 'furlong'"
    ):
        sg.read_volume(tmp_path / "out.h5")


@pytest.mark.parametrize(
    ("provenance", "trusted"),
    [
        ({"command": "sinograd reconstruct"}, True),
        ({"command": "sinograd simulate"}, True),
        ({"command": "write_volume"}, True),
        ({"command": "sinograd denoise"}, False),
        ({"command": "sinograd convert"}, False),
        ({}, False),
    ],
)
def test_the_stamp_of_version_1(tmp_path: Path, provenance: dict[str, Any], trusted: bool) -> None:
    """0.1.0 called every volume 1/mm."""
    path = tmp_path / "old.h5"
    sg.write_volume(hounsfield("1/mm"), path, provenance=provenance)
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        unit = sg.read_volume(path).unit
    assert unit == ("1/mm" if trusted else None) and len(caught) == (not trusted)
    if not trusted:
        assert caught[0].category is UnitWarning and "`unit='HU'`" in str(caught[0].message)
    assert sg.read_volume(path, unit=None if trusted else "HU").unit == ("1/mm" if trusted else "HU")


def test_uint16_can_be_computed_with(tmp_path: Path) -> None:
    array = np.array([[0, 1, 65535]], np.uint16)
    for name in ("out.npy", "out.h5", "out.tif"):
        sg.write_volume(array, tmp_path / name, sg.Grid((1, 3)), unit="1")
        again = sg.read_volume(tmp_path / name)
        assert (again.values + 1).tolist() == [[1, 2, 65536]], name
        assert (open_volume(tmp_path / name).values * 2).tolist() == [[0, 2, 131070]]


def test_masks_and_labels(tmp_path: Path) -> None:
    """Coarser levels of a label image hold labels, no means of them."""
    pytest.importorskip("zarr", reason="needs the extra io")
    labels = torch.zeros(200, 6, 4, dtype=torch.int16)
    labels[::2] = 7
    sg.write_volume(sg.Volume(labels, sg.Grid(labels.shape), "1"), tmp_path / "labels.zarr")
    level = open_volume(tmp_path / "labels.zarr")
    assert level.dtype == torch.int16 and level.unit == "1"
    import zarr

    group: Any = zarr.open_group(str(tmp_path / "labels.zarr"), mode="r")
    assert np.unique(group["1"][...]).tolist() == [7]
    mask = sg.Volume(labels > 0, sg.Grid(labels.shape), "1")
    sg.write_volume(mask, tmp_path / "mask.zarr")
    assert sg.read_volume(tmp_path / "mask.zarr").values.dtype == torch.bool


def test_dicom_slices_are_a_volume_in_hounsfield_units(tmp_path: Path) -> None:
    values = tissue((3, 4, 5))
    write_slices(tmp_path / "series", values)
    lazy = open_volume(tmp_path / "series")
    assert lazy.is_lazy and lazy.unit == "HU" and lazy.grid.spacing == (2.0, 0.7, 0.7)
    assert lazy.read(1, 2).numpy().tolist() == values[1:2].tolist()
    whole = sg.read_volume(tmp_path / "series")
    assert whole.values.numpy().tolist() == values.tolist()
    assert "L067" not in json.dumps(dict(whole.provenance))  # whose slices they are does not go into other files
    with pytest.raises(FileExistsError, match="holds other files than those that would be written"):
        sg.write_volume(whole, tmp_path / "series", force=True)
