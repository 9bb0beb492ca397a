"""Small files that declare, repeat or inflate to gigabytes: one line, at once, for each."""

from __future__ import annotations

import json
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

import sinograd as sg
from sinograd.data.memory import check_memory
from sinograd.errors import OutOfMemory, SinogradError
from sinograd.geometry import ConeBeam, FlatDetector, Grid, full_scan
from sinograd.interop import read_rtk
from sinograd.io import open_volume, read, read_volume, write_volume

IMAGES = np.arange(100, dtype=np.uint16).reshape(5, 4, 5)


@contextmanager
def one_line(words: str) -> Iterator[None]:
    start = time.process_time()
    with pytest.raises(SinogradError, match=words) as caught:
        yield
    assert time.process_time() - start < 5
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


@pytest.fixture
def geometry(tmp_path: Path) -> None:
    ConeBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=full_scan(5), detector=FlatDetector((4, 5), 0.3)
    ).save(tmp_path / "a.yaml")


def header(shape: tuple[int, ...], descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header((10**9, 10**9, 10**9)), "is truncated"),
        (header((10**30,)), "truncated"),
        (header((-1, 5)), "must be|shape"),
        (header((1,) * 40), "its shape is"),
        (header((5,), "'|O'"), "must hold real numbers"),
        (header((5,), "[('a', '<f4', (1000, 1000))]"), "must hold real numbers"),
        (header((5,), "'<f16'") + bytes(80), "must hold real numbers"),
        (header((5,), "__import__('os').getpid()"), "truncated or damaged"),
        (b"\x93NUMPY\x03\x00" + struct.pack("<I", 1 << 31) + b"{", "truncated or damaged"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "truncated or damaged"),
    ],
)
def test_npy_headers(tmp_path: Path, geometry: None, content: bytes, words: str) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with one_line(words):
        read(tmp_path / "a.npy")
    (tmp_path / "v.npy").write_bytes(content)
    (tmp_path / "v.yaml").write_text("shape: [5]\nspacing_mm: [1]\ncenter_mm: [0]\n")
    with one_line(words):
        read_volume(tmp_path / "v.npy")


def test_archives_of_arrays(tmp_path: Path, geometry: None) -> None:
    path = tmp_path / "a.npz"

    def archive(method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> None:
        with zipfile.ZipFile(path, "w", method) as file:
            for name, data in members.items():
                file.writestr(f"{name}.npy", data)

    zeros = header((300, 1000, 1000), "'|u1'") + bytes(300_000_000)
    archive(projections=header((5, 4, 5), "'<u2'") + IMAGES.tobytes(), other=zeros)
    with one_line("must hold `projections` and at most"):
        read(path)
    archive(zipfile.ZIP_BZIP2, projections=header((5, 4, 5), "'<u2'") + IMAGES.tobytes())
    with one_line("packed by an unknown method"):
        read(path)
    archive(projections=header((10**6, 10**6, 10), "'<u2'"))
    with one_line(r"a\.npz is a truncated or damaged \.npz file"):
        read(path)


def test_what_is_too_large_for_memory_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OutOfMemory, match=r"not enough memory for a\.h5: the file declares 1e\+09 GB, .* GB are free"):
        check_memory(10**18, "a.h5")
    import h5py

    write_volume(torch.zeros(3, 4, 5), tmp_path / "v.h5", Grid((3, 4, 5)))
    with h5py.File(tmp_path / "v.h5", "r+") as file:
        attributes = dict(file["volume"].attrs)
        del file["volume"]
        file.create_dataset("volume", (10**9, 100, 100), "f4", chunks=(1, 100, 100), compression="gzip")
        file["volume"].attrs.update(attributes)
    assert open_volume(tmp_path / "v.h5").shape == (10**9, 100, 100)
    with one_line(r"not enough memory for .*v\.h5: the file declares 4e\+04 GB"):
        read_volume(tmp_path / "v.h5")


def tiff(directories: list[tuple[int, int]], length: int = 1000) -> bytes:
    """A TIFF file with directories of one tag at these places, each leading to the next number."""
    content = bytearray(length)
    content[:8] = b"II*\0" + struct.pack("<I", directories[0][0])
    for place, after in directories:
        content[place : place + 18] = struct.pack("<HHHIII", 1, 256, 3, 1, 5, after)
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (tiff([(8, 8)]), "lead in a circle at byte 8"),
        (tiff([(8, 100), (100, 8)]), "lead in a circle"),
        (tiff([(8, 5000)]), "page 1 ends beyond it"),
        (b"II*\0" + struct.pack("<I", 0), "it has no page"),
        (b"II*\0\xff\xff\xff\xff", "ends beyond it"),
        (b"II+\0\x08\0\0\0", "it starts with"),
        (b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1 << 63), "ends beyond it"),
        (tiff([(8 + 18 * i, 26 + 18 * i) for i in range(70_000)], 18 * 70_001 + 8), "more than 65,536 pages"),
    ],
)
def test_pages_without_end(tmp_path: Path, geometry: None, content: bytes, words: str) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    with one_line(words):
        read(tmp_path / "a.tif")


def test_images_that_a_description_counts(tmp_path: Path, geometry: None) -> None:
    counted = "ImageJ=1.11a\nimages=9999999\n"
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 2), np.uint8), description=counted, metadata=None)
    with open(tmp_path / "a.tif", "ab") as file:
        file.write(bytes(40_000_000))
    with one_line("declares 9,999,999 images, at most 65,536"):
        read(tmp_path / "a.tif")


def test_other_files_of_an_ome_series_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tifffile joins a folder with whatever file names OME-XML has."""
    tifffile.imwrite(tmp_path / "secret.ome.tif", np.ones((3, 4, 5), np.float32), metadata={"axes": "ZYX"})
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "v.ome.tif"
    record = json.dumps({"shape": [3, 4, 5], "spacing_mm": [1, 1, 1], "center_mm": [0, 0, 0]})
    tifffile.imwrite(path, np.zeros((3, 4, 5), np.float32), metadata={"axes": "ZYX", "Description": record})
    with tifffile.TiffFile(path) as file:
        xml = file.ome_metadata
    assert xml is not None and "<TiffData" in xml
    evil = xml.replace(
        "<TiffData", '<TiffData><UUID FileName="../secret.ome.tif">urn:uuid:1</UUID></TiffData><TiffData', 1
    )
    tifffile.imwrite(path, np.zeros((3, 4, 5), np.float32), description=evil, metadata=None, photometric="minisblack")
    opened: list[str] = []
    plain = tifffile.TiffFile.__init__

    def watched(self: tifffile.TiffFile, file: object, *more: object, **options: object) -> None:
        opened.append(str(file))
        plain(self, file, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(tifffile.TiffFile, "__init__", watched)
    assert not read_volume(path).values.any()
    assert all("secret" not in name for name in opened)


def zarr_volume(path: Path) -> Path:
    pytest.importorskip("zarr", reason="needs the extra io")
    write_volume(torch.ones(3, 4, 5), path, Grid((3, 4, 5), 0.1))
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"codecs": [{"name": "numcodecs.pickle"}]}, "the codec 'numcodecs.pickle' is not read"),
        ({"codecs": [{"name": "bytes"}, {"name": "sharding_indexed", "configuration": {"codecs": [{"name": "evil"}]}}]},
         "the codec 'evil' is not read"),
        ({"shape": [10**6, 10**6, 10**6]}, "do not fit into"),
        ({"shape": [300, 1000, 1000]}, "do not fit into"),
        ({"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**4, 10**4, 10**4]}}}, "a chunk of"),
        ({"shape": [200, 200, 200], "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 1, 1]}}},
         "in 8,000,000 chunks"),
    ],
)  # fmt: skip
def test_zarr_metadata(tmp_path: Path, change: dict[str, object], words: str) -> None:
    path = zarr_volume(tmp_path / "v.zarr")
    metadata = json.loads((path / "0" / "zarr.json").read_text())
    (path / "0" / "zarr.json").write_text(json.dumps({**metadata, **change}))
    with one_line(words):
        read_volume(path)


def test_pickles_in_zarr_of_version_2(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    (path / "0").mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (path / ".zattrs").write_text("{}")
    array = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "<f4", "order": "C", "fill_value": 0}
    (path / "0" / ".zarray").write_text(json.dumps({**array, "compressor": None, "filters": [{"id": "pickle"}]}))
    with one_line("the codec 'pickle' is not read"):
        read_volume(path)


def test_zarr_that_leads_elsewhere(tmp_path: Path) -> None:
    path = zarr_volume(tmp_path / "v.zarr")
    group = json.loads((path / "zarr.json").read_text())
    group["attributes"]["ome"]["multiscales"][0]["datasets"][0]["path"] = "../other/0"
    whole = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(json.dumps(group))
    with one_line("expected one below the group"):
        read_volume(path)
    (path / "zarr.json").write_text(whole)
    (path / "0").rename(tmp_path / "elsewhere")
    (path / "0").symlink_to(tmp_path / "elsewhere")
    with one_line("outside the folder"):
        read_volume(path)
    assert read_volume(path, allow_outside=True).values.all()


RTK = '<?xml version="1.0"?>\n{doctype}<RTKThreeDCircularGeometry version="3">{body}</RTKThreeDCircularGeometry>\n'
LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'<?xml version="1.0" encoding="foo"?><a/>', "is not an RTK geometry file: unknown encoding"),
        (b'<?xml version="1.0" encoding="utf-7"?><a/>', "is not an RTK geometry file"),
        (b'<?xml version="1.0" encoding="cp932"?><a/>', "is not an RTK geometry file"),
        (b'<?xml version="1.0" encoding="base64"?><a/>', "is not an RTK geometry file"),
        (RTK.format(doctype=f'<!DOCTYPE a [<!ENTITY l0 "x">{LAUGHS}]>', body="&l9;").encode(), "entities are not read"),
        (RTK.format(doctype='<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>', body="&x;").encode(),
         "entities are not read"),
        (RTK.format(doctype='<!DOCTYPE a SYSTEM "http://example.org/a.dtd">', body="").encode("utf-16"),
         "no <Projection>"),
        (b"<a>" * 100_000, "more than 100 levels"),
        (b"\xff\xfe<", "is not an RTK geometry file"),
        (b"", "is not an RTK geometry file"),
    ],
)  # fmt: skip
def test_xml(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.xml").write_bytes(content)
    with one_line(rf"a\.xml.*{words}"):
        read_rtk(tmp_path / "a.xml", FlatDetector((4, 5), 1.0))


def test_deflated_dicom_files(tmp_path: Path) -> None:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = DeflatedExplicitVRLittleEndian, CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    name = struct.pack("<HH2sH", 0x10, 0x10, b"PN", 0)
    sequence = struct.pack("<HH2sHI", 0x8, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    many = name * (1 << 17)
    FileDataset("", {}, file_meta=meta, preamble=bytes(128)).save_as(tmp_path / "head", enforce_file_format=True)
    head = (tmp_path / "head").read_bytes()
    head = head[: head.index(b"DICM") + 4 + 12 + int.from_bytes(head[140:144], "little")]
    (tmp_path / "in").mkdir()

    def refused(words: str, start: bytes, block: bytes, count: int) -> None:
        with open(tmp_path / "in" / "a.dcm", "wb") as file:
            deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
            file.write(head + deflate.compress(start))
            for _ in range(count):
                file.write(deflate.compress(block))
            file.write(deflate.flush())
        with one_line(words):
            sg.read_volume(tmp_path / "in")

    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 300 << 20)
    refused("inflate to more than 268,435,456 bytes", pixels, bytes(1 << 20), 300)
    refused("holds more than 500,000 data elements", b"", bytes(1 << 20), 5)
    refused("holds more than 500,000 data elements", b"", many, 5)
    refused("holds more than 500,000 data elements", sequence + item, many, 5)
    long_sequence = struct.pack("<HH2sHI", 0x8, 0x1140, b"SQ", 0, 200 << 20)
    refused("holds more than 500,000 data elements", long_sequence, many, 9)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    FileDataset("", {}, file_meta=meta, preamble=bytes(128)).save_as(
        tmp_path / "in" / "a.dcm", enforce_file_format=True
    )
    with open(tmp_path / "in" / "a.dcm", "ab") as file:
        file.write(many * 4)
    with one_line("holds more than 500,000 data elements"):
        sg.read_volume(tmp_path / "in")
