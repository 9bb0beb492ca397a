"""Hostile and broken files of many kinds, each shown by `sinograd info`: one line, exit code 2, at once."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sinograd as sg

Make = Callable[[Path], Path]
DEEP = 100_000


def text(name: str, content: str | bytes) -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name

    return make


def beam(**changes: str) -> str:
    """A geometry file with other entries."""
    entries = {
        "beam": "parallel",
        "scan": "circular",
        "detector": "{shape: 8, spacing: 1.0}",
        "angles_deg": "[0.0, 1.0, 2.0]",
        **changes,
    }
    return "".join(f"{key}: {value}\n" for key, value in entries.items())


def npy(header: str) -> bytes:
    line = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line.encode()


def shaped(shape: str) -> str:
    return f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}"


def with_sidecar(name: str, content: str | bytes, sidecar: str | bytes) -> Make:
    def make(folder: Path) -> Path:
        text(Path(name).stem + ".yaml", sidecar)(folder)
        return text(name, content)(folder)

    return make


def geometry(content: str | bytes) -> Make:
    """The geometry of an array that is well."""
    return with_sidecar("a.npy", npy(shaped("(3, 8)")) + bytes(96), content)


def hdf5(change: Callable[[Any], object], own: bool = True) -> Make:
    """sinograd's own scan, changed."""

    def make(folder: Path) -> Path:
        import h5py

        path = folder / "scan.h5"
        detector = sg.FlatDetector(8, 1.0)
        sg.write_scan(sg.Scan(torch.zeros(3, 8), sg.ParallelBeam([0.0, 1.0, 2.0], detector)), path)
        with h5py.File(path, "r+" if own else "w") as file:
            change(file)
        return path

    return make


def replaced(name: str, **options: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[name]
        file.create_dataset(name, **options)

    return change


def unknown_filter(file: Any) -> None:
    from h5py import h5d, h5p, h5s, h5t, h5z  # pyright: ignore[reportAttributeAccessIssue]

    plan = h5p.create(h5p.DATASET_CREATE)
    plan.set_chunk((1, 8))
    plan.set_filter(305, h5z.FLAG_OPTIONAL, (1, 2))
    del file["projections"]
    h5d.create(file.id, b"projections", h5t.IEEE_F32LE, h5s.create_simple((3, 8)), plan)
    file["projections"].id.write_direct_chunk((0, 0), bytes(7))


def soft_loop(file: Any) -> None:
    import h5py

    del file["projections"]
    file["projections"] = h5py.SoftLink("/a")
    file["a"] = h5py.SoftLink("/projections")


def matlab_loop(folder: Path) -> Path:
    """A cell array that holds itself."""
    import h5py

    path = folder / "loop.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        data = file.create_dataset("CtDataFull", (1, 1), dtype=h5py.ref_dtype)
        data[0, 0] = data.ref
        data.attrs["MATLAB_class"] = np.bytes_("cell")
    with open(path, "r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    return path


def nifti(**changes: tuple[int, str, Any]) -> Make:
    """A NIfTI header of 4 x 4 x 4 bytes with other numbers at some places."""

    def make(folder: Path) -> Path:
        head = bytearray(352 + 64)
        for place, form, value in (
            (0, "<i", 348), (40, "<8h", (3, 4, 4, 4, 1, 1, 1, 1)), (70, "<hh", (2, 8)), (76, "<8f", (1.0,) * 8),
            (108, "<f", 352.0), (344, "<4s", b"n+1\0"), *changes.values(),
        ):  # fmt: skip
            struct.pack_into(form, head, place, *(value if isinstance(value, tuple) else (value,)))
        (folder / "v.nii").write_bytes(bytes(head))
        return folder / "v.nii"

    return make


def archive(*members: tuple[str, bytes]) -> Make:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members:
                file.writestr(name, content)
        text("a.yaml", beam())(folder)
        return folder / "a.npz"

    return make


def dicom(dataset: bytes) -> Make:
    """A file in explicit little endian with these bytes behind its meta data."""
    uid = b"1.2.840.10008.1.2.1\0"
    meta = b"\x02\x00\x10\x00UI" + struct.pack("<H", len(uid)) + uid
    meta = b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", len(meta)) + meta

    def make(folder: Path) -> Path:
        (folder / "in").mkdir()
        (folder / "in" / "a.dcm").write_bytes(bytes(128) + b"DICM" + meta + dataset)
        return folder / "in"

    return make


def cut(name: str, make: Make, length: int) -> Make:
    """The first bytes of a file, packed."""
    return lambda folder: text(name, gzip.compress(make(folder).read_bytes(), mtime=0)[:length])(folder)


def folder_with(change: Callable[[Path], object]) -> Make:
    def make(folder: Path) -> Path:
        (folder / "in").mkdir()
        change(folder / "in")
        return folder / "in"

    return make


def loop_of_links(folder: Path) -> Path:
    (folder / "a.h5").symlink_to(folder / "b.h5")
    (folder / "b.h5").symlink_to(folder / "a.h5")
    return folder / "a.h5"


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, ("ran",)


NESTED = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
EDF = (
    "{{\nHeaderID = EH:000001:000000:000000 ;\nByteOrder = LowByteFirst ;\n"
    "DataType = FloatValue ;\nDim_1 = {} ;\nDim_2 = {} ;\n}}\n"
)
MHA = "ObjectType = Image\nNDims = 3\nDimSize = {}\nElementType = {}\nElementSpacing = {}\nElementDataFile = LOCAL\n"
NRRD = "NRRD0005\ntype: {}\ndimension: 3\nsizes: {}\nspacings: 1 1 1\nencoding: {}\n\n"
MANY = ", ".join(str(i / 1000) for i in range(400_000))


def edf(columns: str, rows: str) -> Make:
    return folder_with(
        lambda folder: (text("a.edf", EDF.format(columns, rows))(folder), text("geometry.yaml", beam())(folder))
    )


MRC = struct.pack("<4i76xi112x", 5, 5, 5, 2, 2**31 - 1) + b"MAP DD\0\0" + bytes(1000)

HOSTILE: dict[str, Make] = {
    "YAML that holds itself": geometry("&a [*a]"),
    "angles that are many": geometry(beam(angles_deg=f"[{MANY}]")),
    "YAML merge of itself": geometry("a: &a\n  <<: *a\n"),
    "YAML merge of a number": geometry("<<: 5\ntype: ParallelBeam\n"),
    "YAML of merged mappings": geometry(
        "a: &a {x: 1}\n" + "".join(f"b{i}: {{<<: [{', '.join(['*a'] * 50)}]}}\n" for i in range(3000))
    ),
    "YAML objects": geometry("!!python/object/apply:os.system ['touch ran']"),
    "YAML with a list as key": geometry("? [a, b]\n: 5\n"),
    "YAML with a date": geometry(beam(angles_deg="2020-01-01")),
    "YAML with a long integer": geometry(beam(angles_deg=f"[{'9' * 50_000}]")),
    "YAML with base 60": geometry(beam(angles_deg="[1:2:3:4, 0x, 1_000__]")),
    "angles as one text": geometry(beam(angles_deg=f"'{MANY}'")),
    "angles that are infinite": geometry(beam(angles_deg="[.inf, .nan, 1]")),
    "angles that are too many": geometry(beam(angles_deg="{start: 0, stop: 1, views: 1000000000000}")),
    "a detector of lists": geometry(beam(detector="[[[]]]")),
    "a binary geometry": geometry(bytes(range(256)) * 10),
    "a geometry in UTF-16": geometry(beam().encode("utf-16-le")),
    "npy of 2^63": with_sidecar("a.npy", npy(shaped("(9223372036854775808, 2)")), beam()),
    "npy of zeros times much": with_sidecar("a.npy", npy(shaped("(0, 9223372036854775807)")), beam()),
    "npy of nested tuples": with_sidecar("a.npy", npy("{'descr': " + "(" * 90 + "}"), beam()),
    "npz with a path": archive(("../../projections.npy", npy(shaped("(3, 9)")))),
    "npz in npz": archive(("projections.npy", b"PK\x03\x04" + bytes(1_000_000))),
    "npz without arrays": archive(("a.txt", b"hello")),
    "npz of a lie": with_sidecar("a.npz", b"PK\x05\x06" + b"\xff" * 18, beam()),
    "HDF5 with an unknown filter": hdf5(unknown_filter),
    "HDF5 of compounds": hdf5(replaced("projections", shape=(3, 8), dtype=np.dtype([("a", "f4"), ("b", "f8")]))),
    "HDF5 of opaque bytes": hdf5(replaced("projections", data=np.zeros((3, 8), "V5"))),
    "HDF5 with links in a circle": hdf5(soft_loop),
    "HDF5 with a group as geometry": hdf5(lambda file: (file.pop("geometry"), file.create_group("geometry"))),
    "HDF5 with a deep record": hdf5(replaced("metadata", data='{"a":' * DEEP)),
    "HDF5 with a record of controls": hdf5(replaced("geometry", data="\x1b[2J\n\r: \u202e")),
    "HDF5 with no format": hdf5(lambda file: file.create_group("x"), own=False),
    "HDF5 cut in the middle": lambda folder: text("b.h5", hdf5(lambda file: None)(folder).read_bytes()[:900])(folder),
    "mat that refers to itself": matlab_loop,
    "mat of nothing": text("a.mat", b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"),
    "nii with a negative offset": nifti(offset=(108, "<f", -1e9)),
    "nii with an offset that is no number": nifti(offset=(108, "<f", float("nan"))),
    "nii of negative axes": nifti(size=(40, "<8h", (3, -4, 4, 4, 1, 1, 1, 1))),
    "nii of 30000 cubed": nifti(size=(40, "<8h", (3, 30000, 30000, 30000, 1, 1, 1, 1))),
    "nii.gz that ends early": cut("v.nii.gz", nifti(), 40),
    "mha without end": text("a.mha", "ObjectType = Image\n" * 100_000),
    "mha of 1e9 cubed": text("a.mha", MHA.format("1000000000 1000000000 1000000000", "MET_FLOAT", "1 1 1")),
    "mha of words": text("a.mha", MHA.format("4 4 four", "MET_FLOAT", "1 1 1") + "0" * 256),
    "mha of spacing 0": text("a.mha", MHA.format("4 4 4", "MET_FLOAT", "0 nan -1") + "0" * 256),
    "nrrd of an unknown encoding": text("a.nrrd", NRRD.format("float", "4 4 4", "rot13")),
    "nrrd that inflates": text(
        "a.nrrd", NRRD.format("float", "40000 40000 4", "gzip").encode() + gzip.compress(bytes(10_000_000))
    ),
    "nrrd of a million lines": text("a.nrrd", "NRRD0005\n" + "# a\n" * 1_000_000),
    "mrc of negative sizes": text("a.mrc", struct.pack("<4i", -5, 5, 5, 2) + bytes(192) + b"MAP DD\0\0" + bytes(1000)),
    "mrc with a long header": text("a.mrc", MRC),
    "edf without end": folder_with(lambda folder: (folder / "a.edf").write_bytes(b"{" + b"a = b ;\n" * 500_000)),
    "edf of 1e30": edf("1e30", "-5"),
    "edf of other digits": edf("\u0663", "\u0665"),
    "Nikon of 1e12 views": text(
        "a.xtekct", "[XTekCT]\nName=a\nProjections=1000000000000\nDetectorPixelsX=4\nDetectorPixelsY=4\n"
    ),
    "SkyScan of -1 files": text(
        "a.log", "[System]\nScanner=SkyScan1272\n[Acquisition]\nNumber Of Files=-1\nFilename Prefix=a\n"
    ),
    "DICOM nested without end": dicom(NESTED * 20_000),
    "DICOM of a long element": dicom(b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<I", 2**32 - 2) + bytes(100)),
    "DICOM without pixels": dicom(b"\x28\x00\x10\x00US\x02\x00\x00\x00"),
    "a PNG": text("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 2**31 - 1, 2**31 - 1) + b"\x10"),
    "a ZIP with a model's name": text("a.pt", b"PK\x03\x04" + bytes(100)),
    "a pickle as a model": text("m.pt", pickle.dumps(Evil())),
    "safetensors of 2^63": text("m.safetensors", struct.pack("<Q", 2**63) + b"{}"),
    "OLE that is empty": text("a.txrm", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\xff" * 504),
    "an empty folder": folder_with(lambda folder: None),
    "a folder of empty images": folder_with(lambda folder: [(folder / f"{i}.tif").touch() for i in range(3000)]),
    "a folder with a pipe": folder_with(
        lambda folder: (os.mkfifo(folder / "a.tif"), text("geometry.yaml", beam())(folder))
    ),
    "links in a circle": loop_of_links,
    "a missing file with a line break": lambda folder: folder / "a\nb.h5",
    "a file with marks from right to left": text("a\u202e5h.\x1b[2Jx.h5", "no"),
    "Zarr of version 9": folder_with(text("zarr.json", json.dumps({"zarr_format": 9, "node_type": "group"}))),
    "Zarr with deep attributes": folder_with(text("zarr.json", '{"a":' * DEEP)),
    "/dev/zero": lambda folder: Path("/dev/zero"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_one_line(sinograd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    (tmp_path / "at").mkdir()
    monkeypatch.chdir(tmp_path / "at")
    path = HOSTILE[kind](tmp_path)
    start = time.process_time()
    result = sinograd("info", path)
    assert time.process_time() - start < 10
    assert result.exit_code == 2, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and len(lines[0]) < 2000, lines[:5]
    assert lines[0].isprintable() and "\u202e" not in lines[0]
    assert not list((tmp_path / "at").iterdir())
