"""MRC volumes. Truth: the table of MRC2014, byte by byte, and SimpleITK's reader of MRC."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

import sinograd as sg
from scanner_files import write_mrc
from sinograd.errors import FormatError
from sinograd.io import is_volume

VALUES = np.random.default_rng(0).integers(0, 4000, (3, 4, 5))
GRID = sg.Grid((3, 4, 5), (0.003, 0.002, 0.001), (0.01, -0.02, 0.035))


def volume_file(path: Path, *, mode: int = 6, order: str = "<", extended: int = 0, group: int = 1) -> Path:
    """A file of another program: voxels of 100, 125 and 500 / 3 Angstrom, the first at (10, 20, -30)."""
    write_mrc(path, VALUES, None, mode=mode, order=order, extended=extended)
    content = bytearray(path.read_bytes())
    struct.pack_into(f"{order}3i", content, 64, 1, 2, 3)
    struct.pack_into(f"{order}i", content, 88, group)
    struct.pack_into(f"{order}3f", content, 196, 10, 20, -30)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mode", [1, 2, 6])
@pytest.mark.parametrize("extended", [0, 84])
def test_files_of_other_programs(tmp_path: Path, order: str, mode: int, extended: int) -> None:
    volume = sg.read_volume(volume_file(tmp_path / "a.mrc", mode=mode, order=order, extended=extended))
    np.testing.assert_array_equal(volume.values.numpy(), VALUES)
    assert volume.unit is None and volume.provenance == {}
    np.testing.assert_allclose(volume.spacing, [500 / 3 * 1e-7, 125e-7, 100e-7], rtol=1e-6)
    first = [float(axis[0]) for axis in reversed(volume.grid.axes())]
    np.testing.assert_allclose(first, [10e-7, 20e-7, -30e-7], rtol=1e-5)


def test_the_bytes_are_those_of_the_table(tmp_path: Path) -> None:
    sg.write_volume(torch.from_numpy(VALUES.astype(np.float32)), tmp_path / "a.rec", GRID, unit="1/mm")
    content = (tmp_path / "a.rec").read_bytes()
    assert struct.unpack_from("<4i", content) == (5, 4, 3, 2)
    assert struct.unpack_from("<3i", content, 28) == (5, 4, 3) and struct.unpack_from("<3i", content, 64) == (1, 2, 3)
    np.testing.assert_allclose(struct.unpack_from("<6f", content, 40), (5e4, 8e4, 9e4, 90, 90, 90), rtol=1e-6)
    assert struct.unpack_from("<i", content, 88) == (1,) and content[104:108] == b"SINO"
    np.testing.assert_allclose(struct.unpack_from("<3f", content, 196), (8e4, -23e4, 32e4), rtol=1e-6)
    assert content[208:214] == b"MAP DD" and struct.unpack_from("<i", content, 108)[0] in (20140, 20141)
    (extended,) = struct.unpack_from("<i", content, 92)
    np.testing.assert_array_equal(np.frombuffer(content, "<f4", offset=1024 + extended).reshape(3, 4, 5), VALUES)


def test_simpleitk_reads_the_same(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="needs the extra io")
    sg.write_volume(torch.from_numpy(VALUES.astype(np.float32)), tmp_path / "a.mrc", GRID)
    image = sitk.ReadImage(str(tmp_path / "a.mrc"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), VALUES)
    np.testing.assert_allclose(image.GetSpacing(), [1e4, 2e4, 3e4], rtol=1e-6)  # Angstrom


def test_a_tilt_series_is_no_volume(tmp_path: Path) -> None:
    """Neither with space group 0, nor with angles beside; `read_volume` reads a stack all the same."""
    series = write_mrc(tmp_path / "series.mrc", VALUES.astype(np.uint16), [-1.0, 0.0, 1.0])
    assert not is_volume(series) and sg.read(series).shape == (3, 4, 5)
    path = volume_file(tmp_path / "a.mrc")
    assert is_volume(path)
    path.with_suffix(".tlt").write_text("-1\n0\n1\n")
    assert not is_volume(path) and sg.read(path).shape == (3, 4, 5)
    stack = volume_file(tmp_path / "b.rec", group=0)
    np.testing.assert_array_equal(sg.read_volume(stack).values.numpy(), VALUES)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    for place, values, words in (
        (64, (3, 2, 1), r"axes in the order \[3, 2, 1\]"),
        (40, (0, 0, 0), r"no voxel size \(CELLA\)"),
        (12, (4, 3, 4), "MODE is 4"),
    ):
        content = bytearray(volume_file(tmp_path / "a.mrc").read_bytes())
        struct.pack_into("<3i", content, place, *values)
        (tmp_path / "a.mrc").write_bytes(content)
        with pytest.raises(FormatError, match=rf"a\.mrc.*{words}"):
            sg.read_volume(tmp_path / "a.mrc")
