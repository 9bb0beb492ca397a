"""NRRD files. Truth: the text of the header, as the definition of the format has it, and SimpleITK."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import sinograd as sg

sitk = pytest.importorskip("SimpleITK", reason="needs the extra io")

GRID = sg.Grid((3, 4, 5), (0.3, 0.2, 0.1), (1.0, -2.0, 3.5))


def header(path: Path) -> tuple[dict[str, str], bytes]:
    """Fields and keys of a header, and the bytes behind it."""
    head, _, data = path.read_bytes().partition(b"\n\n")
    lines = head.decode().splitlines()
    assert lines[0].startswith("NRRD000")
    rows = [line.split(":=" if ":=" in line else ": ", 1) for line in lines[1:] if not line.startswith("#")]
    return {name: value for name, value in rows}, data


def numbers(text: str) -> list[list[float]]:
    return [[float(n) for n in part.strip("()").split(",")] for part in text.split(" ")]


def test_the_header_places_every_voxel(tmp_path: Path) -> None:
    """Space origin: the centre of the first voxel; space directions: steps along x, y, z, fastest first."""
    volume = sg.Volume(torch.randn(GRID.shape), GRID, "HU", {"command": "test", "text": 'a "b" \\ \\n\nKn\u00f6chel'})
    sg.write_volume(volume, tmp_path / "out.nrrd")
    fields, data = header(tmp_path / "out.nrrd")
    assert fields["type"] == "float" and fields["sizes"] == "5 4 3" and fields["encoding"] == "raw"
    assert fields["space"] == "left-posterior-superior"
    np.testing.assert_allclose(numbers(fields["space directions"]), np.diag([0.1, 0.2, 0.3]))
    first = [float(axis[0]) for axis in reversed(GRID.axes())]
    np.testing.assert_allclose(numbers(fields["space origin"]), [first])
    order = "<f4" if fields["endian"] == "little" else ">f4"
    np.testing.assert_array_equal(np.frombuffer(data, order).reshape(3, 4, 5), volume.values.numpy())
    record = json.loads(re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), fields["sinograd"]))
    assert record == {"unit": "HU", "provenance": dict(volume.provenance)}
    assert sg.read_volume(tmp_path / "out.nrrd").provenance == volume.provenance


@pytest.mark.parametrize("encoding", ["raw", "gzip", "ascii"])
def test_files_of_other_software(tmp_path: Path, encoding: str) -> None:
    """A header written out here, of 16-bit voxels in a right-handed space with y turned by it, without a unit."""
    import gzip

    array = np.arange(60, dtype="<i2").reshape(3, 4, 5)
    text = " ".join(str(n) for n in array.ravel()).encode()
    data = {"raw": array.tobytes(), "gzip": gzip.compress(array.tobytes()), "ascii": text}[encoding]
    lines = [
        "NRRD0004",
        "type: short",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: 5 4 3",
        "space directions: (0.5,0,0) (0,0.25,0) (0,0,2)",
        "kinds: domain domain domain",
        "endian: little",
        f"encoding: {encoding}",
        "space origin: (-1,3,10)",
    ]
    (tmp_path / "in.nrrd").write_bytes("\n".join(lines).encode() + b"\n\n" + data)
    volume = sg.read_volume(tmp_path / "in.nrrd")
    np.testing.assert_array_equal(volume.values.numpy(), array)
    assert volume.grid.equals(sg.Grid((3, 4, 5), (2.0, 0.25, 0.5), (0.0, 3.375, 12.0)))
    assert volume.unit is None and volume.provenance == {}
    turned = "\n".join(lines).replace("(0,0.25,0)", "(0.15,0.2,0)").encode() + b"\n\n" + data
    (tmp_path / "in.nrrd").write_bytes(turned)
    with pytest.raises(ValueError, match=r"axes that are turned by 36.9 degrees"):
        sg.read_volume(tmp_path / "in.nrrd")
    (tmp_path / "elsewhere.raw").write_bytes(data)
    (tmp_path / "in.nrrd").write_bytes("\n".join([*lines, "data file: elsewhere.raw"]).encode() + b"\n\n")
    with pytest.raises(ValueError, match=r"in\.nrrd is a header without voxels"):
        sg.read_volume(tmp_path / "in.nrrd")


def test_simpleitk_finds_every_voxel_in_its_place(tmp_path: Path) -> None:
    values = torch.randn(GRID.shape)
    sg.write_volume(values, tmp_path / "out.nrrd", GRID)
    image = sitk.ReadImage(str(tmp_path / "out.nrrd"))
    axes = [axis.tolist() for axis in reversed(GRID.axes())]
    for index in np.ndindex(5, 4, 3):
        index = tuple(int(i) for i in index)
        assert image.GetPixel(index) == values[index[::-1]]
        expected = [axis[i] for axis, i in zip(axes, index, strict=True)]
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(index), expected, atol=1e-9)


def test_truncated_at_any_length(tmp_path: Path) -> None:
    sg.write_volume(torch.randn(GRID.shape), tmp_path / "out.nrrd", GRID)
    content = (tmp_path / "out.nrrd").read_bytes()
    for length in [0, 1, 7, *range(8, len(content), 20), len(content) - 1]:
        (tmp_path / "out.nrrd").write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"out\.nrrd"):
            sg.read_volume(tmp_path / "out.nrrd")
