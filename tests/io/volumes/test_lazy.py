"""Slices read one by one are those of the whole volume."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.io import open_volume

_EXTRAS = {".mha": "SimpleITK", ".nii.gz": "SimpleITK", ".zarr": "zarr"}


@pytest.mark.parametrize("suffix", [".h5", ".npy", ".tif", "", ".zarr", ".mha", ".nii.gz"])
@pytest.mark.parametrize("shape", [(7, 6, 5), (1, 6, 5), (6, 5)])
def test_slices_are_those_of_the_whole(tmp_path: Path, suffix: str, shape: tuple[int, ...]) -> None:
    package = _EXTRAS.get(suffix)
    if package is not None and importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}")
    path = tmp_path / f"volume{suffix}"
    spacing, center = (0.5, 0.4, 0.3)[-len(shape) :], (1.0, 2.0, 3.0)[: len(shape)]
    volume = torch.randn(shape)
    sg.write_volume(volume, path, sg.Grid(shape, spacing, center))
    found = pickle.loads(pickle.dumps(open_volume(path))).as_slices()
    three = volume if volume.ndim == 3 else volume[None]
    assert found.shape == tuple(three.shape)
    assert found.spacing[1:] == pytest.approx(spacing[-2:])
    assert found.grid.center[:2] == pytest.approx(center[:2])
    assert torch.equal(found.read(0, found.shape[0]), three)
    last = found.shape[0] - 1
    assert torch.equal(found.read(last, last + 1), three[last:])
    assert found.read(0, 0).shape == (0, *three.shape[1:])
    with pytest.raises(IndexError, match=r"it has \d"):
        found.read(0, found.shape[0] + 1)


def test_integers_become_float32_and_the_file_stays_closed(tmp_path: Path) -> None:
    counts = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    sg.write_volume(counts, tmp_path / "v.npy", sg.Grid((2, 3, 4)), provenance={"command": "test"})
    found = open_volume(tmp_path / "v.npy")
    part = found.read(1, 2)
    assert part.dtype == torch.float32 and part.tolist() == counts[1:].tolist()
    assert found.provenance == {"command": "test"}
    np.save(tmp_path / "v.npy", counts[:1])
    with pytest.raises(ValueError, match="changed since it was opened"):
        found.read(0, 1)


@pytest.mark.parametrize("name", ["missing.h5", "a.xyz"])
def test_what_is_no_volume(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.xyz").write_text("text")
    with pytest.raises((FileNotFoundError, ValueError), match=r"does not exist|is in no known format of volumes"):
        open_volume(tmp_path / name)
