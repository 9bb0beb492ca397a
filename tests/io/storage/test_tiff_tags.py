"""Codecs and tags of TIFF. Truth: Pillow's transpose by EXIF orientation, tifffile, encoders written from TIFF 6.0."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from sinograd.errors import InputError, MissingPackageError
from sinograd.geometry import FanBeam, FlatDetector, ParallelBeam, full_scan
from sinograd.io import read
from sinograd.io.storage.tiff import TiffImages

IMAGE = np.arange(4 * 7, dtype=np.uint16).reshape(4, 7) * 100


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_every_orientation(tmp_path: Path, orientation: int, compression: str | None) -> None:
    """As Pillow turns it by the same tag."""
    from PIL import Image, ImageOps

    path = tmp_path / "one.tif"
    tag = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(path, IMAGE, photometric="minisblack", compression=compression, extratags=tag, metadata=None)
    exif = Image.Exif()
    exif[274] = orientation
    picture = Image.fromarray(IMAGE.astype(np.int32))
    picture.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture))
    images = TiffImages([path])
    assert images.shape == (1, *expected.shape)
    np.testing.assert_array_equal(images[0], expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(images))[:], expected[None])
    np.testing.assert_array_equal(TiffImages([path], flip_rows=True)[0], expected[::-1])
    assert ("tiff_orientation" in images.tags) == (orientation > 1)


def test_orientation_and_white_of_a_scan(tmp_path: Path) -> None:
    """Half of the images of a scan lie on their sides, all are inverted; the metadata say it, in 3-D and in 2-D."""
    images = np.random.default_rng(0).integers(0, 4000, (6, 5, 4)).astype(np.uint16)
    for index, image in enumerate(images):
        turned = image.T if index % 2 else image
        tag = [(274, "H", 1, 5 if index % 2 else 1, True)]
        tifffile.imwrite(
            tmp_path / f"p_{index}.tif", 65535 - turned, photometric="miniswhite", extratags=tag, metadata=None
        )
    ParallelBeam(full_scan(6), FlatDetector((5, 4), 0.1)).save(tmp_path / "geometry.yaml")
    scan = read(tmp_path)
    np.testing.assert_array_equal(scan.load().numpy(), images)
    np.testing.assert_array_equal(scan.load([5, 0]).numpy(), images[[5, 0]])
    assert scan.metadata["tiff_orientation"] == "5 (left, top), turned upright"
    assert scan.metadata["tiff_photometric"] == "MinIsWhite, inverted"
    flat = tmp_path / "flat" / "one.tif"
    flat.parent.mkdir()
    tifffile.imwrite(flat, (255 - images[0]).astype(np.uint8), photometric="miniswhite")
    fan = FanBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=full_scan(5), detector=FlatDetector(4, 1)
    )
    scan = read(flat, fan)
    np.testing.assert_array_equal(scan.load().numpy(), images[0].astype(np.uint8))
    assert scan.metadata["tiff_photometric"] == "MinIsWhite, inverted"


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_white_that_is_not_defined(tmp_path: Path, dtype: Any) -> None:
    tifffile.imwrite(tmp_path / "one.tif", IMAGE.astype(dtype), photometric="miniswhite")
    with pytest.raises(InputError, match=r"one\.tif: Photometric is MinIsWhite"):
        TiffImages([tmp_path / "one.tif"])


def test_orientations_that_do_not_exist(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "one.tif", IMAGE, extratags=[(274, "H", 1, 9, True)])
    with pytest.raises(InputError, match=r"one\.tif: Orientation is 9, expected a number from 1 to 8"):
        TiffImages([tmp_path / "one.tif"])


def test_a_volume_of_slices_is_turned_too(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / name, IMAGE.T, extratags=[(274, "H", 1, 5, True)])
    np.testing.assert_array_equal(TiffImages([tmp_path / "a.tif", tmp_path / "b.tif"])[1], IMAGE)


CODECS: dict[str, tuple[dict[str, Any], Any]] = {
    "lzw": ({"compression": "lzw"}, np.uint16),
    "lzw, differences": ({"compression": "lzw", "predictor": True}, np.uint16),
    "lzw, big-endian": ({"compression": "lzw", "byteorder": ">"}, np.uint16),
    "packbits": ({"compression": "packbits"}, np.uint16),
    "deflate": ({"compression": "zlib"}, np.uint16),
    "deflate of Adobe, real differences": ({"compression": "zlib", "predictor": 3}, np.float32),
    "zstd": ({"compression": "zstd"}, np.uint16),
    "lzma in tiles": ({"compression": "lzma", "tile": (16, 16)}, np.float32),
    "jpeg 2000": ({"compression": "jpeg2000"}, np.uint16),
}


@pytest.mark.parametrize("name", CODECS)
def test_codecs(tmp_path: Path, name: str) -> None:
    pytest.importorskip("imagecodecs", reason="the extra io is not installed")
    options, dtype = CODECS[name]
    images = np.random.default_rng(0).integers(0, 200, (3, 33, 40)).astype(dtype)
    images[0] = 0
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, images, photometric="minisblack", **options)
    np.testing.assert_array_equal(TiffImages([path])[:], images)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd", "lzma", "packbits"])
def test_a_black_image_is_not_taken_for_truncated(tmp_path: Path, compression: str) -> None:
    """Codecs pack a constant image up to a thousand times and more."""
    pytest.importorskip("imagecodecs", reason="the extra io is not installed")
    path = tmp_path / "black.tif"
    tifffile.imwrite(path, np.zeros((2048, 2048), np.uint16), compression=compression, rowsperstrip=2048)
    assert not TiffImages([path])[0].any()


@pytest.mark.parametrize(
    ("options", "words"), [({"compression": "lzw"}, "LZW"), ({"compression": "zlib", "predictor": 3}, "FLOATINGPOINT")]
)
def test_without_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], words: str
) -> None:
    """One error that names the extra, before any pixel is read."""
    pytest.importorskip("imagecodecs", reason="the extra io is not installed")
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, IMAGE.astype(np.float32), **options)
    monkeypatch.setattr(tifffile.tifffile, "imagecodecs", Missing())
    for codecs in (tifffile.TIFF.DECOMPRESSORS, tifffile.TIFF.UNPREDICTORS):
        monkeypatch.setattr(codecs, "_codecs", {1: codecs[1]})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=rf"scan\.tif: .*{words} needs imagecodecs, .*sinograd\[io\]"):
        TiffImages([path])


class Missing:
    """What tifffile has instead of imagecodecs where that is not installed: nothing of it."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(name)


def test_codecs_nobody_knows(tmp_path: Path) -> None:
    pytest.importorskip("imagecodecs", reason="the extra io is not installed")
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, IMAGE, compression="zlib", metadata=None)
    content = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].tags[259].valueoffset  # pyright: ignore[reportAttributeAccessIssue]
    path.write_bytes(content[:offset] + (54321).to_bytes(2, sys.byteorder) + content[offset + 2 :])
    with pytest.raises(InputError, match=r"scan\.tif: compression 54321 is not known"):
        TiffImages([path])
