"""Odd names of files and folders over the commands. Truth: what the file system then holds, and what is read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg
from sinograd.errors import InputError


@pytest.fixture
def volume(tmp_path: Path) -> sg.Volume:
    made = sg.Volume(torch.rand(2, 3, 4), sg.Grid((2, 3, 4), 1.0), "HU")
    sg.write_volume(made, tmp_path / "in.h5")
    return made


GOOD = [
    "OUT.NII.GZ", "OUT.NII", "o.MHA", "o.Nrrd", "o.H5", "o.TIFF", "o.OME.ZARR", "o.Raw", "o.NPY", "o.MRC",
    "a b.h5", "ä#%.nii.gz", "-o.h5", "slices/", "o.zarr/", "two.dots.h5",
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_volumes_of_odd_names_are_written_and_read(sinograd: Any, volume: sg.Volume, tmp_path: Path, name: str) -> None:
    source, target = tmp_path / "in.h5", f"{tmp_path}/{name}"
    result = sinograd("convert", source, target)
    assert result.exit_code == 0, result.output
    assert torch.equal(sg.read_volume(target).values, volume.values)
    left = {path.name for path in tmp_path.iterdir()} - {"in.h5", Path(name).name, f"{Path(name).stem}.yaml"}
    assert not left
    if name.endswith(".GZ"):
        assert Path(target).read_bytes()[:2] == b"\x1f\x8b"  # the mark of gzip


@pytest.mark.parametrize("name", [".h5", ".nii.gz", ".TIF", ".zarr"])
def test_a_suffix_without_a_name(sinograd: Any, scan_file: Path, tmp_path: Path, name: str) -> None:
    """A file of this name would be hidden."""
    for command in (
        ("convert", scan_file.parent / "in.h5", f"{tmp_path}/{name}"),
        ("reconstruct", scan_file, "-o", f"{tmp_path}/{name}"),
        ("reconstruct", scan_file, "-o", f"{tmp_path}/a.h5", "--preview", f"{tmp_path}/.png"),
        ("simulate", "ball", "-o", f"{tmp_path}/{name}"),
    ):
        result = sinograd(*command)
        assert result.exit_code == 2 and "a suffix without a name before it" in result.stderr, (command, result.output)
        assert len(result.stderr.splitlines()) == 1
    for write in (sg.write_volume, sg.write_scan):
        with pytest.raises(InputError, match="a suffix without a name"):
            write(None, tmp_path / name)  # pyright: ignore[reportArgumentType]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", ["x.h5/", "x.nii.gz/", "x.TIF/", "x.npy//"])
def test_a_slash_after_a_file_name(sinograd: Any, scan_file: Path, tmp_path: Path, name: str) -> None:
    for command in (
        ("convert", scan_file.parent / "in.h5", f"{tmp_path}/{name}"),
        ("reconstruct", scan_file, "-o", f"{tmp_path}/{name}"),
        ("denoise", scan_file.parent / "in.h5", "--model", "x", "-o", f"{tmp_path}/{name}"),
    ):
        result = sinograd(*command)
        assert result.exit_code == 2 and "as names of folders do" in result.stderr, (command, result.output)
        assert not [path for path in tmp_path.iterdir() if path.name.startswith("x")]
    for write in (sg.write_volume, sg.write_scan):
        with pytest.raises(InputError, match="ends in '/' as names of folders do, but"):
            write(None, f"{tmp_path}/{name}")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="is a file: give"):
        sg.read(f"{scan_file}/")
    assert "is a file: give" in sinograd("info", f"{scan_file}/").stderr
