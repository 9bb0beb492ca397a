"""MetaImage headers. Truth: SimpleITK for whole files; damaged and hostile ones end in one line before anything is
read outside the folder."""

from __future__ import annotations

import os
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sinograd.errors import SinogradError
from sinograd.io import open_volume, read_volume
from sinograd.io.storage.outside import outside_allowed

VALUES = np.arange(60, dtype=np.int16).reshape(3, 4, 5)


def write(path: Path, data: bytes | None = None, **changes: Any) -> Path:
    """A MetaImage file of VALUES; None takes a field away."""
    fields: dict[str, Any] = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "-1 -2 -3",
        "ElementSpacing": "0.1 0.2 0.3",
        "DimSize": "5 4 3",
        "ElementType": "MET_SHORT",
        **changes,
        "ElementDataFile": changes.get("ElementDataFile", "LOCAL"),
    }
    last = fields.pop("ElementDataFile")
    text = "".join(f"{name} = {value}\n" for name, value in fields.items() if value is not None)
    path.write_bytes(f"{text}ElementDataFile = {last}\n".encode() + (VALUES.tobytes() if data is None else data))
    return path


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
@pytest.mark.parametrize("packed", [False, True])
def test_as_simpleitk_reads_it(tmp_path: Path, dtype: str, packed: bool) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="needs the extra io")
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 100, (3, 4, 5)).astype(dtype))
    image.SetSpacing((0.1, 0.2, 0.3))
    image.SetOrigin((1.0, 2.0, 3.0))
    for name in ("v.mha", "v.mhd"):
        sitk.WriteImage(image, str(tmp_path / name), packed)
        volume = open_volume(tmp_path / name)
        assert volume.is_lazy is not packed
        assert np.array_equal(volume.values.numpy(), sitk.GetArrayFromImage(image))
        assert volume.spacing == pytest.approx((0.3, 0.2, 0.1))
        assert [float(axis[0]) for axis in volume.grid.axes()] == pytest.approx([3.0, 2.0, 1.0])


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        (VALUES.astype(">i2").tobytes(), {"BinaryDataByteOrderMSB": "True"}),
        (VALUES.astype(">i2").tobytes(), {"BinaryDataByteOrderMSB": None, "ElementByteOrderMSB": "True"}),
        (zlib.compress(VALUES.tobytes()), {"CompressedData": "True"}),
        (" ".join(map(str, VALUES.ravel())).encode(), {"BinaryData": "False"}),
        (b"more header" + VALUES.tobytes(), {"HeaderSize": -1}),
        (None, {"NDims": 4, "DimSize": "5 4 3 1", "TransformMatrix": "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
                "Offset": "-1 -2 -3 0", "ElementSpacing": "0.1 0.2 0.3 1"}),
        (None, {"ElementSpacing": None, "ElementSize": "0.1 0.2 0.3", "Offset": None, "Position": "-1 -2 -3"}),
    ],
)  # fmt: skip
def test_other_spellings(tmp_path: Path, data: bytes | None, changes: dict[str, Any]) -> None:
    volume = read_volume(write(tmp_path / "v.mha", data, **changes))
    assert np.array_equal(volume.values.numpy(), VALUES)
    assert volume.grid.spacing == (0.3, 0.2, 0.1)
    assert [float(axis[0]) for axis in volume.grid.axes()] == pytest.approx([-3, -2, -1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"NDims": 2_000_000_000}, "NDims must be a number of axes from 1 to 10"),
        ({"NDims": 100, "DimSize": " ".join(["1"] * 97 + ["5", "4", "3"])}, "NDims must be a number of axes"),
        ({"NDims": -3}, "NDims must be 1 whole number of at least 1, got '-3'"),
        ({"NDims": "3 3"}, "NDims must be 1 whole number"),
        ({"DimSize": "5 4"}, "DimSize must be 3 whole numbers of at least 1, got '5 4'"),
        ({"DimSize": "5 4 0"}, "DimSize must be 3 whole numbers"),
        ({"DimSize": "5000000 4000000 3000000"}, r"is truncated: \[3000000, 4000000, 5000000\] int16 have"),
        ({"DimSize": "9" * 5000 + " 4 3"}, "DimSize must be 3 whole numbers"),
        ({"DimSize": "50000 40000 30000", "CompressedData": "True"}, "is truncated"),
        ({"ElementType": "MET_SHORT[3]"}, "ElementType must be one of MET_CHAR"),
        ({"ElementType": None}, "ElementType must be one of"),
        ({"ElementNumberOfChannels": 4}, "must be an image or a volume of one channel"),
        ({"ElementNumberOfChannels": -1}, "ElementNumberOfChannels must be"),
        ({"ElementSpacing": "nan 1 1"}, "ElementSpacing must be 3 numbers"),
        ({"ElementSpacing": "0 1 1"}, "spacing"),
        ({"TransformMatrix": "1 0 0"}, "TransformMatrix must be 9 numbers"),
        ({"HeaderSize": -2}, "HeaderSize must be"),
        ({"ElementDataFile": "LIST\nslice.raw"}, "voxels in lists of files are not read"),
        ({"ElementDataFile": "slice%03d.raw 1 3 1"}, "voxels in lists of files are not read"),
        ({"ElementDataFile": ""}, "voxels in lists"),
        ({"ElementDataFile": "gone.raw"}, r"its voxels are in gone\.raw, which does not exist"),
        ({"ElementDataFile": "pipe"}, "is a named pipe"),
        ({"ElementDataFile": "."}, "which does not exist"),
    ],
)
def test_hostile_headers(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    path = write(tmp_path / "v.mha", **changes)
    with pytest.raises((SinogradError, FileNotFoundError), match=words) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_a_packed_file_that_inflates_to_more_or_less(tmp_path: Path) -> None:
    path = write(tmp_path / "v.mha", zlib.compress(bytes(100 << 20)), CompressedData="True")
    assert not read_volume(path).values.any()
    with pytest.raises(ValueError, match=r"v\.mha is truncated: it holds 60 bytes of 120"):
        read_volume(write(tmp_path / "v.mha", zlib.compress(bytes(60)), CompressedData="True"))
    with pytest.raises(ValueError, match=r"v\.mha is a truncated or damaged image file: .*header"):
        read_volume(write(tmp_path / "v.mha", b"no deflate" * 20, CompressedData="True"))


def test_long_lines_take_no_time(tmp_path: Path) -> None:
    start = time.process_time()
    path = write(tmp_path / "v.mha", Comment="x" + " " * 500_000 + "y")
    assert np.array_equal(read_volume(path).values.numpy(), VALUES)
    header = "NRRD0005\ntype: uint8\ndimension: 2\nsizes: 2 2\nencoding: raw\ncomment:= x" + " " * 500_000 + "y\n\n"
    (tmp_path / "v.nrrd").write_bytes(header.encode() + bytes(4))
    assert not read_volume(tmp_path / "v.nrrd").values.any()
    assert time.process_time() - start < 5


def test_voxels_stay_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "raw").mkdir(parents=True)
    VALUES.tofile(tmp_path / "secret.raw")
    VALUES.tofile(folder / "raw" / "v.raw")
    (folder / "link.raw").symlink_to(tmp_path / "secret.raw")
    inside = write(folder / "v.mhd", b"", ElementDataFile="raw/v.raw")
    assert torch.equal(read_volume(inside).values, torch.from_numpy(VALUES))
    for name in ("../secret.raw", str(tmp_path / "secret.raw"), "link.raw", "raw/../../secret.raw"):
        path = write(folder / "w.mhd", b"", ElementDataFile=name)
        with pytest.raises(ValueError, match=r"w\.mhd: ElementDataFile is .*outside the folder .*`allow_outside=True`"):
            read_volume(path)
        with outside_allowed():
            assert torch.equal(read_volume(path).values, torch.from_numpy(VALUES))


def test_other_images_under_its_name_are_not_read(tmp_path: Path) -> None:
    """ITK would take any of its formats by content."""
    sitk = pytest.importorskip("SimpleITK", reason="needs the extra io")
    sitk.WriteImage(sitk.GetImageFromArray(VALUES), str(tmp_path / "v.nrrd"))
    (tmp_path / "v.nrrd").rename(tmp_path / "v.mha")
    assert np.array_equal(read_volume(tmp_path / "v.mha").values.numpy(), VALUES)  # as NRRD, by its content
    (tmp_path / "w.mha").write_bytes(b"P5 5 4 255\n" + bytes(20))
    with pytest.raises(ValueError, match=r"w\.mha is a truncated or damaged image file: .* is no line `Name = value`"):
        read_volume(tmp_path / "w.mha")
