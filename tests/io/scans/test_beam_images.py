"""Flat fields and dark images in files of their own. Truth: the arrays that numpy, tifffile and h5py wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

import sinograd as sg
from sinograd.errors import ScanWarning
from sinograd.io import read

VIEWS, ROWS, COLUMNS = 6, 4, 5
RNG = np.random.default_rng(3)
FLATS = RNG.integers(900, 1000, (3, ROWS, COLUMNS)).astype(np.uint16)
DARKS = RNG.integers(90, 100, (2, ROWS, COLUMNS)).astype(np.uint16)
COUNTS = RNG.integers(300, 800, (VIEWS, ROWS, COLUMNS)).astype(np.uint16)
YAML = "{geometry: {beam: parallel, scan: circular, angles_deg: {start: 0, step: 30, views: 6}, "
YAML += "detector: {shape: [4, 5], spacing: 1}}"


def images_in(kind: str, images: np.ndarray, folder: Path, name: str) -> str:
    path = folder / name
    if kind == "folder":
        path.mkdir()
        for index, image in enumerate(images):
            tifffile.imwrite(path / f"x_{index}.tif", image)
    elif kind == "pages":
        path = path.with_suffix(".tif")
        tifffile.imwrite(path, images, photometric="minisblack")
    elif kind == "npy":
        path = path.with_suffix(".npy")
        np.save(path, images)
    elif kind == "npz":
        path = path.with_suffix(".npz")
        np.savez(path, images)
    else:
        path = path.with_suffix(".h5")
        with h5py.File(path, "w") as file:
            file["entry/data/data"] = images
            file["entry/other"] = np.zeros((3, 2, 2))
    return str(path)


def scan_in(folder: Path, more: str = "", counts: np.ndarray = COUNTS) -> Path:
    (folder / "scan").mkdir()
    for index, image in enumerate(counts):
        tifffile.imwrite(folder / "scan" / f"p_{index:03d}.tif", image)
    (folder / "scan" / "scan.yaml").write_text(YAML + more + "}")
    return folder / "scan"


def loaded(scan: sg.Scan, name: str) -> np.ndarray:
    assert scan.calibration is not None
    return scan.calibration.load(name).numpy()


@pytest.mark.parametrize("kind", ["folder", "pages", "npy", "npz", "hdf5"])
@pytest.mark.parametrize("flipped", [False, True])
def test_formats(kind: str, flipped: bool, tmp_path: Path) -> None:
    path = scan_in(tmp_path, ", flip_rows: true" if flipped else "")
    scan = read(path, flat=images_in(kind, FLATS, tmp_path, "f"), dark=images_in(kind, DARKS, tmp_path, "d"))
    turn = slice(None, None, -1 if flipped else 1)
    np.testing.assert_array_equal(loaded(scan, "reference"), FLATS[:, turn])
    np.testing.assert_array_equal(loaded(scan, "dark"), DARKS[:, turn])
    np.testing.assert_array_equal(scan.load().numpy(), COUNTS[:, turn])
    assert scan.kind == "counts"


def test_before_and_after(tmp_path: Path) -> None:
    first, last = images_in("npy", FLATS[:1], tmp_path, "a"), images_in("npy", FLATS[1:], tmp_path, "b")
    for flat in ([first, last], f"{first},{last}"):
        scan = read(scan_in(tmp_path) if not (tmp_path / "scan").exists() else tmp_path / "scan", flat=flat)
        assert scan.calibration is not None and scan.calibration.reference_views is not None
        np.testing.assert_array_equal(scan.calibration.reference_views, [-0.5, 5.5, 5.5])
        np.testing.assert_array_equal(loaded(scan, "reference"), FLATS)


def test_own_images_are_replaced_with_a_notice(tmp_path: Path) -> None:
    path = scan_in(tmp_path)
    for index in range(2):
        tifffile.imwrite(path / f"flat_{index}.tif", FLATS[index])
    assert len(loaded(read(path), "reference")) == 2
    with pytest.warns(ScanWarning, match=r"`flat`: 3 of .*f.npy replace its own 2 references"):
        scan = read(path, flat=images_in("npy", FLATS, tmp_path, "f"))
    np.testing.assert_array_equal(loaded(scan, "reference"), FLATS)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (FLATS[:, :3], r"`flat`: .*f.npy holds images of 3 x 5 pixels, the projections of .*scan have 4 x 5"),
        (FLATS.swapaxes(1, 2), "are rows and columns exchanged"),
        (FLATS[..., None], "must hold images"),
    ],
)
def test_sizes_are_checked(images: np.ndarray, message: str, tmp_path: Path) -> None:
    path = scan_in(tmp_path)
    with pytest.raises(ValueError, match=message):
        read(path, flat=images_in("npy", images, tmp_path, "f"))


def test_wrong_values(tmp_path: Path) -> None:
    path = scan_in(tmp_path)
    flat = images_in("npy", FLATS, tmp_path, "f")
    (tmp_path / "empty").mkdir()
    wrong: list[tuple[Any, type[Exception], str]] = [
        (tmp_path / "none", FileNotFoundError, "`flat`: .*none does not exist"),
        (5, TypeError, "`flat`: expected a file or folder"),
        ([flat] * 3, ValueError, "one file or folder, or two"),
        (tmp_path / "empty", ValueError, "`flat`: the folder .*empty holds no TIFF or EDF images"),
    ]
    for value, error, message in wrong:
        with pytest.raises(error, match=message):
            read(path, flat=value)
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a"] = FLATS
        file["b"] = FLATS
    with pytest.raises(ValueError, match=r"2 data sets with images of 4 x 5 pixels: name one as two.h5::/data/set"):
        read(path, flat=tmp_path / "two.h5")
    assert len(loaded(read(path, flat=f"{tmp_path / 'two.h5'}::/b"), "reference")) == 3


def test_line_integrals_have_no_flats(tmp_path: Path) -> None:
    path = scan_in(tmp_path, ", kind: line integrals", COUNTS.astype(np.float32))
    flat = images_in("npy", FLATS, tmp_path, "f")
    with pytest.raises(ValueError, match=r"are for counts, .* holds line integrals"):
        read(path, flat=flat)
    (path / "scan.yaml").write_text(YAML + "}")
    assert (read(path).kind, read(path, flat=flat).kind) == ("line integrals", "counts")


def test_reconstructions_use_them(tmp_path: Path) -> None:
    """The same volume as with the images in the scan's folder."""
    path = scan_in(tmp_path)
    given = sg.reconstruct(path, flat=images_in("pages", FLATS, tmp_path, "f"), repair=False)
    for index in range(3):
        tifffile.imwrite(path / f"flat_{index}.tif", FLATS[index])
    own = sg.reconstruct(path, repair=False)
    assert given.values.equal(own.values)
    assert given.provenance["options"]["flat"].endswith("f.tif")
    sg.convert(path, tmp_path / "out.h5", dark=images_in("npy", DARKS, tmp_path, "d"))
    np.testing.assert_array_equal(loaded(read(tmp_path / "out.h5"), "dark"), DARKS)
