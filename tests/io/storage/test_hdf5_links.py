"""Links and storage of HDF5 files: followed within the folder, refused elsewhere, before HDF5 opens anything."""

from __future__ import annotations

import os
import time
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sinograd.errors import InputError
from sinograd.io import read
from sinograd.io.storage.hdf5.layout import opened
from sinograd.io.storage.hdf5.links import find
from sinograd.io.storage.matlab import load_matlab

IMAGES = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)


def dxchange(path: Path, data: Any) -> Path:
    """A scan whose images are `data`: an array, or a link."""
    with h5py.File(path, "w") as file:
        group = file.create_group("exchange")
        group["data"] = data
        group["data_white"], group["theta"] = IMAGES[:1], np.arange(3.0)
        group["theta"].attrs["units"] = "deg"
        file["measurement/instrument/detector/x_pixel_size"] = 1.3
        file["measurement/instrument/detector/x_pixel_size"].attrs["units"] = "um"
    return path


def images_file(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        file["entry/images"] = IMAGES
        file["soft"] = h5py.SoftLink("/entry/images")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images_file(tmp_path / "secret.h5")
    images_file(tmp_path / "in" / "images.h5")
    images_file(tmp_path / "in" / "parts" / "images.h5")
    (tmp_path / "in" / "link.h5").symlink_to(tmp_path / "secret.h5")
    with h5py.File(tmp_path / "in" / "relay.h5", "w") as file:
        file["entry"] = h5py.ExternalLink("../secret.h5", "/entry")
    os.mkfifo(tmp_path / "in" / "pipe.h5")
    return tmp_path / "in"


@pytest.mark.parametrize("name", ["images.h5", "parts/images.h5", "./images.h5"])
@pytest.mark.parametrize("target", ["/entry/images", "soft"])
def test_links_within_the_folder(folder: Path, name: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dxchange(folder / "scan.h5", h5py.ExternalLink(name, target))
    monkeypatch.chdir("/")
    assert np.array_equal(read(path).load().numpy(), IMAGES)


@pytest.mark.parametrize("name", ["../secret.h5", "link.h5", "relay.h5", "ABSOLUTE", "parts/../../secret.h5"])
def test_links_out_of_the_folder(folder: Path, name: str) -> None:
    name = str(folder.parent / "secret.h5") if name == "ABSOLUTE" else name
    path = dxchange(folder / "scan.h5", h5py.ExternalLink(name, "/entry/images"))
    with pytest.raises(InputError, match=r"outside the folder of the file that names it; `allow_outside=True`"):
        read(path)
    scan = read(path, allow_outside=True)
    assert np.array_equal(scan.load().numpy(), IMAGES)


def test_the_working_folder_is_not_searched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5 looks there for what is not beside the file."""
    path = dxchange(folder / "scan.h5", h5py.ExternalLink("secret.h5", "/entry/images"))
    monkeypatch.chdir(folder.parent)
    with pytest.raises(InputError, match=r"the link /exchange/data is in secret\.h5, which does not exist"):
        read(path)


def test_links_to_pipes(folder: Path) -> None:
    path = dxchange(folder / "scan.h5", h5py.ExternalLink("pipe.h5", "/entry/images"))
    with pytest.raises(InputError, match=r"pipe\.h5, a named pipe \(FIFO\), expected a file"):
        read(path)


def test_links_in_circles(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["y"] = h5py.SoftLink("/y"), h5py.SoftLink("/x")
        file["here"] = h5py.ExternalLink("b.h5", "/there")
        file["loop"] = file.create_group("group")
        file["group/up"] = file["group"]
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["there"] = h5py.ExternalLink("a.h5", "/here")
    with opened(tmp_path / "a.h5") as file:
        assert find(file, "group/up/up/up", tmp_path / "a.h5") is not None
        assert find(file, "nothing/at/all", tmp_path / "a.h5") is None
    for name in ("x", "here"):
        with pytest.raises(InputError, match="leads through more than 40 links"), opened(tmp_path / "a.h5") as file:
            find(file, name, tmp_path / "a.h5")


@pytest.mark.parametrize("name", ["../secret.h5", "link.h5", "images.h5", "gone.h5"])
def test_virtual_data_sets(folder: Path, name: str) -> None:
    layout = h5py.VirtualLayout((3, 4, 5), "u2")
    layout[:] = h5py.VirtualSource(name, "entry/images", (3, 4, 5))
    path = dxchange(folder / "scan.h5", np.zeros(1))
    with h5py.File(path, "r+") as file:
        del file["exchange/data"]
        file.create_virtual_dataset("exchange/data", layout)
    if name == "images.h5":
        assert np.array_equal(read(path).load().numpy(), IMAGES)
        return
    words = {"gone.h5": "does not exist"}.get(name, "outside the folder")
    with pytest.raises(InputError, match=words):
        read(path)


def test_raw_storage_elsewhere_is_never_read(tmp_path: Path) -> None:
    IMAGES.tofile(tmp_path / "raw.bin")
    path = dxchange(tmp_path / "scan.h5", np.zeros(1))
    with h5py.File(path, "r+") as file:
        del file["exchange/data"]
        file.create_dataset("exchange/data", (3, 4, 5), "u2", external=[("raw.bin", 0, 120)])
    for allow in (False, True):
        with pytest.raises(InputError, match="lie in another file as raw bytes, which are not read"):
            read(path, allow_outside=allow)


def test_raw_storage_behind_a_link_or_a_virtual_data_set(tmp_path: Path) -> None:
    IMAGES.tofile(tmp_path / "raw.bin")
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file.create_dataset("entry/images", (3, 4, 5), "u2", external=[("raw.bin", 0, 120)])
        layout = h5py.VirtualLayout((3, 4, 5), "u2")
        layout[:] = h5py.VirtualSource("images.h5", "entry/images", (3, 4, 5))
        file.create_virtual_dataset("entry/virtual", layout)
    for target in ("/entry/images", "/entry/virtual"):
        path = dxchange(tmp_path / "scan.h5", h5py.ExternalLink("images.h5", target))
        with pytest.raises(InputError, match="raw bytes, which are not read"):
            read(path)


def test_shapes_that_nothing_fills(tmp_path: Path) -> None:
    """10^12 elements that were never written, in 30 kB."""
    for shape, chunks, words in (
        ((10**6, 10**6, 10), None, "does not fit in a file"),
        ((10**12, 4, 5), (1, 4, 5), "images, at most"),
        ((3, 10**5, 10**5), (1, 10**5, 10**4), "a chunk of"),
    ):
        path = dxchange(tmp_path / "scan.h5", np.zeros(1))
        with h5py.File(path, "r+") as file:
            del file["exchange/data"]
            file.create_dataset("exchange/data", shape, "u2", chunks=chunks, compression="gzip" if chunks else None)
        with pytest.raises(InputError, match=words):
            read(path)


def test_a_chunk_that_inflates_to_more_than_its_numbers(tmp_path: Path) -> None:
    """HDF5 (2.0) inflates 40 bytes' worth to 300 MB before it looks."""
    path = dxchange(tmp_path / "scan.h5", np.zeros(1))
    with h5py.File(path, "r+") as file:
        del file["exchange/data"]
        data = file.create_dataset("exchange/data", (3, 4, 5), "u2", chunks=(1, 4, 5), compression="gzip")
        data[:] = IMAGES
        data.id.write_direct_chunk((1, 0, 0), zlib.compress(bytes(300 << 20), 9))
    with pytest.raises(InputError, match=r"a packed chunk of /exchange/data has 30\d,\d+ bytes, its numbers have 40"):
        read(path)


def test_matlab_groups_in_circles_and_thousands(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group("CtData")
        group["self"] = group
        for i in range(50):
            group[f"again{i}"] = group
    content = bytearray(path.read_bytes())
    content[:30] = b"MATLAB 7.3 MAT-file, Platform:"
    path.write_bytes(content)
    start = time.process_time()
    with pytest.raises(InputError, match=r"a\.mat is a truncated or damaged MATLAB file: .* levels or 100,000 arrays"):
        load_matlab(path, ("CtData",))
    assert time.process_time() - start < 5


def test_thousands_of_attributes_and_links(tmp_path: Path) -> None:
    path = dxchange(tmp_path / "scan.h5", IMAGES)
    with h5py.File(path, "r+", libver="latest") as file:
        for i in range(3000):
            file[f"entry/link{i}"] = h5py.SoftLink(f"/entry/link{i + 1}")
            file["exchange/data"].attrs[f"a{i}"] = i
    assert read(path).shape == (3, 4, 5)
