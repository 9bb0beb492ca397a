"""Raw volumes. Truth: numpy's bytes, and a YAML file written by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import sinograd as sg
from sinograd.io import open_volume

VALUES = np.arange(60, dtype=np.float64).reshape(3, 4, 5) / 7
GRID = sg.Grid((3, 4, 5), (0.3, 0.2, 0.1), (1.0, -2.0, 3.5))
SIDECAR = {"shape": [3, 4, 5], "spacing_mm": [0.3, 0.2, 0.1], "center_mm": [1.0, -2.0, 3.5], "dtype": "float32"}


def by_hand(folder: Path, **changes: object) -> Path:
    VALUES.astype("<f4").tofile(folder / "v.raw")
    record = {key: value for key, value in {**SIDECAR, **changes}.items() if value is not None}
    (folder / "v.yaml").write_text(yaml.safe_dump(record))
    return folder / "v.raw"


@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 5)])
def test_bytes_and_keys(shape: tuple[int, ...], tmp_path: Path) -> None:
    """float32, little-endian, x fastest."""
    values = VALUES if len(shape) == 3 else VALUES[1]
    grid = GRID if len(shape) == 3 else sg.Grid(shape, 0.5)
    sg.write_volume(sg.Volume(values, grid, "1/mm"), tmp_path / "v.raw")
    assert (tmp_path / "v.raw").read_bytes() == values.astype("<f4").tobytes()
    record = yaml.safe_load((tmp_path / "v.yaml").read_text())
    assert record["shape"] == list(shape) and record["spacing_mm"] == list(grid.spacing)
    assert [record[key] for key in ("dtype", "byte_order", "order", "unit")] == ["float32", "little", "C", "1/mm"]
    assert list(record["digests"]) == ["v.raw"]


def test_a_sidecar_by_hand(tmp_path: Path) -> None:
    path = by_hand(tmp_path, unit="HU")
    for volume in (sg.read_volume(path), open_volume(path)):
        assert volume.values.equal(torch.from_numpy(VALUES).float())
        assert volume.grid.equals(GRID) and volume.unit == "HU"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": None}, r"v.yaml lacks dtype: raw voxels need the keys shape .*spacing_mm, center_mm and dtype"),
        ({"shape": None, "center_mm": None}, r"v.yaml lacks shape, center_mm: "),
        ({"spacing_mm": None, "voxel_size": 1}, r"v.yaml lacks spacing_mm: .*spacing_mm"),
        ({"dtype": "float64"}, r"v.yaml: dtype must be float32 or uint16 or uint8, got 'float64'"),
        ({"byte_order": "big"}, r"v.yaml: byte_order must be little, got 'big'"),
        ({"order": "F"}, r"v.yaml: order must be C, got 'F'"),
        ({"shape": [3, 4, 6]}, r"v.raw is truncated, or v.yaml .*: \[3, 4, 6\] float32 voxels have 288 bytes.* 240"),
        ({"shape": [10**15] * 3}, r"v.raw is truncated, or v.yaml does not describe it"),
        ({"shape": [3, -4, 5]}, r"shape must be the numbers of voxels along z, y, x or y, x, got \[3, -4, 5\]"),
        ({"shape": 60}, r"shape must be the numbers of voxels"),
        ({"spacing_mm": [0, 1, 1]}, r"spacing"),
        ({"digests": {"v.raw": {"blake2b": "0", "sample": "0"}}}, r"v.raw is not the array that v.yaml describes"),
    ],
    ids=str,
)
def test_wrong_sidecars(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    path = by_hand(tmp_path, **changes)
    for read in (sg.read_volume, open_volume):
        with pytest.raises(ValueError, match=message):
            read(path)


def test_without_a_sidecar(tmp_path: Path) -> None:
    """One error that says which keys are needed, wherever the file is given."""
    VALUES.tofile(tmp_path / "v.raw")
    message = r"v.raw has no v.yaml beside it: raw voxels need one with the keys shape \(z, y, x\), spacing_mm, center"
    with pytest.raises(FileNotFoundError, match=message):
        sg.read_volume(tmp_path / "v.raw")
    with pytest.raises(FileNotFoundError, match=message):
        sg.convert(tmp_path / "v.raw", tmp_path / "v.h5")
    (tmp_path / "v.yaml").write_text("- 1\n")
    with pytest.raises(ValueError, match=r"v.yaml must be a mapping with the keys shape"):
        sg.read_volume(tmp_path / "v.raw")


def test_convert_there_and_back(tmp_path: Path) -> None:
    sg.write_volume(sg.Volume(VALUES, GRID, "HU"), tmp_path / "v.h5")
    sg.convert(tmp_path / "v.h5", tmp_path / "v.raw")
    sg.convert(tmp_path / "v.raw", tmp_path / "back.h5")
    back = sg.read_volume(tmp_path / "back.h5")
    assert back.values.equal(torch.from_numpy(VALUES).float()) and back.unit == "HU" and back.grid.equals(GRID)
    for output in ("v.raw", "v.npy"):  # the YAML file is the input's, too
        with pytest.raises(ValueError, match=r"being read|itself|input"):
            sg.convert(tmp_path / "v.raw", tmp_path / output, force=True)
    assert sg.read_volume(tmp_path / "v.raw").values.equal(back.values)
