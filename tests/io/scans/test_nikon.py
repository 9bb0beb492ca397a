"""Nikon .xtekct scans. Truth: a phantom projected in the vectors of CIL's reader, and those vectors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scanner_files import VIEWS, WHITE, check_phantom, nikon_text, nikon_vectors, stored, write_images
from sinograd.data import Scan
from sinograd.errors import ScanWarning
from sinograd.geometry import ConeBeam, FlatDetector, full_scan
from sinograd.io import read


def write_scan(folder: Path, text: str | None = None, views: int = VIEWS, first: int = 1, name: str = "bone") -> Path:
    """Zeros for images, of the size that the text tells."""
    write_images(np.zeros((views, 48, 56), np.uint16), folder, f"{name}_", first)
    (folder / f"{name}.xtekct").write_text(nikon_text() if text is None else text, encoding="latin-1")
    return folder / f"{name}.xtekct"


def assert_vectors(scan: Scan, expected: np.ndarray, **tolerance: float) -> None:
    """Source, centre, and the steps of the stored images, which run against u and v."""
    vectors = scan.geometry.vectors.numpy()
    vectors[:, 2:] *= -1
    np.testing.assert_allclose(vectors, expected, **{"rtol": 0, "atol": 1e-9, **tolerance})


@pytest.mark.parametrize("offset", [0.0, 0.8])
def test_a_phantom_comes_back(tmp_path: Path, offset: float) -> None:
    write_images(stored(nikon_vectors(offset=offset), (0.5, 0.5)), tmp_path, "bone_", 1)
    (tmp_path / "bone.xtekct").write_text(nikon_text(ObjectOffsetX=offset), encoding="latin-1")
    scan = read(tmp_path / "bone.xtekct").validate()
    assert (scan.kind, scan.shape) == ("counts", (VIEWS, 48, 56))
    assert scan.calibration is not None
    reference = scan.calibration.load("reference")
    assert reference.shape == (1, 48, 56) and bool((reference == WHITE).all())
    assert scan.metadata["vendor"] == "Nikon" and scan.metadata["voltage"] == "120 kV"
    check_phantom(scan.load(), WHITE, scan.geometry)


@pytest.mark.parametrize(
    ("entries", "vectors"),
    [
        ({}, {}),
        ({"ObjectOffsetX": -0.7}, {"offset": -0.7}),
        ({"ObjectRoll": 2.0}, {"roll": 2.0}),
        ({"ObjectTilt": 3.0}, {"tilt": 3.0}),
        ({"ObjectTilt": -30.0}, {"tilt": -30.0}),
        ({"DetectorPixelSizeY": 0.4}, {"pixel": (0.4, 0.5)}),
        # older files: mm at the detector's edges, 24 mm apart; top - bottom turns the axis to smaller x at the top
        (
            {"ObjectOffsetX": None, "ObjectRoll": None, "CentreOfRotationTop": 1.5, "CentreOfRotationBottom": 0.5},
            {"offset": 0.4, "roll": math.degrees(-math.atan2(1.0, 24.0))},
        ),
    ],
)
def test_vectors_are_those_of_cil(tmp_path: Path, entries: dict[str, Any], vectors: dict[str, Any]) -> None:
    scan = read(write_scan(tmp_path, nikon_text(Projections=6, **entries), views=6))
    atol = 0.02 if "roll" in vectors and "offset" in vectors else 1e-9  # then the planes z = 0 differ
    assert_vectors(scan, nikon_vectors(views=6, **vectors), atol=atol)


def test_folders_and_names(tmp_path: Path) -> None:
    """The folder by itself, another number of digits, images in a folder named as on Windows, numbers from 0."""
    (tmp_path / "raw data").mkdir()
    write_images(np.zeros((3, 48, 56), np.uint16), tmp_path / "raw data", "bone_", 0, digits=2)
    text = nikon_text(Projections=3, InputFolderName="C:\\scans\\raw data")
    (tmp_path / "bone.xtekct").write_text(text, encoding="latin-1")
    scan = read(tmp_path)
    assert scan.file == tmp_path / "bone.xtekct"
    assert_vectors(scan, nikon_vectors(views=3))
    (tmp_path / "other.xtekct").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"holds 2 scans, name one: bone\.xtekct, other\.xtekct"):
        read(tmp_path)


def test_natural_order_of_many_digits(tmp_path: Path) -> None:
    images = np.arange(12, dtype=np.uint16)[:, None, None] * np.ones((1, 48, 56), np.uint16)
    for index, image in enumerate(images):
        write_images(image[None], tmp_path, "bone_", index + 1, digits=1)
    (tmp_path / "bone.xtekct").write_text(nikon_text(Projections=12), encoding="latin-1")
    assert read(tmp_path).load()[:, 0, 0].tolist() == list(range(12))


@pytest.mark.parametrize("name", ["bone.ang", "_ctdata.txt"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("decimal", [".", ","])
def test_measured_angles(tmp_path: Path, name: str, sign: int, decimal: str) -> None:
    path = write_scan(tmp_path, nikon_text(Projections=4), views=4)
    wobble = np.array([0.0, 0.3, -0.4, 0.1])
    angles = 17.0 + sign * (5.0 * np.arange(4) + wobble)
    if name == "bone.ang":
        text = "Proj\tAngle(deg)\n" + "".join(f"{i + 1}:\t{a:.4f}\n" for i, a in enumerate(angles))
    else:
        text = "Projs\tFrames\tExposure(ms)\n4\t1\t1000\nProjection\tAngle(deg)\tTime(s)\n" + "".join(
            f"{i + 1}\t{a:.4f}\t{i}.5\n" for i, a in enumerate(angles)
        )
    (tmp_path / name).write_text(text.replace(".", decimal))
    expected = np.radians(205.5 - 180 + 5.0 * np.arange(4) + wobble)
    found = read(path).geometry.angles
    assert found is not None
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)
    assert_vectors(read(path, measured_angles=False), nikon_vectors(views=4))


def test_measured_angles_that_do_not_fit(tmp_path: Path) -> None:
    path = write_scan(tmp_path, nikon_text(Projections=4), views=4)
    (tmp_path / "bone.ang").write_text("Angle\n1: 0\n2: 5\n3: 11\n")
    with pytest.warns(ScanWarning, match=r"its 3 angles do not follow the 4 nominal ones .* \(2\.5 degrees\)"):
        scan = read(path)
    assert_vectors(scan, nikon_vectors(views=4))


def test_missing_images(tmp_path: Path) -> None:
    path = write_scan(tmp_path, nikon_text(Projections=8), views=6)
    (tmp_path / "bone_0003.tif").unlink()
    with pytest.warns(ScanWarning, match="lists 8 images, 3 are missing: 5 views are read"):
        scan = read(path)
    assert_vectors(scan, nikon_vectors(views=6)[[0, 1, 3, 4, 5]])


def test_what_is_not_used_is_told(tmp_path: Path) -> None:
    path = write_scan(tmp_path, nikon_text(Projections=3, DetectorOffsetX=1.5), views=3)
    with pytest.warns(ScanWarning, match=r"DetectorOffsetX 1\.5 and DetectorOffsetY 0 are not used"):
        read(path)
    path = write_scan(tmp_path, nikon_text(Projections=3, WhiteLevel=None), views=3)
    with pytest.warns(ScanWarning, match="has no WhiteLevel"):
        assert read(path).calibration is None


def test_a_given_geometry(tmp_path: Path) -> None:
    path = write_scan(tmp_path, nikon_text(Projections=3, SrcToObject="none"), views=3)
    geometry = ConeBeam.circular(
        source_to_origin=1, source_to_detector=2, angles=full_scan(3), detector=FlatDetector((48, 56), 0.1)
    )
    assert read(path, geometry).geometry is geometry
    with pytest.raises(ValueError, match="views 3 != 2"):
        read(path, geometry[:2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SrcToObject": None}, r"\[XTekCT\] has no SrcToObject"),
        ({"SrcToObject": "far"}, r"\[XTekCT\] SrcToObject must be a number, got 'far'"),
        ({"SrcToObject": -60}, "SrcToObject must be positive, got -60"),
        ({"SrcToDetector": 50}, "SrcToDetector 50 is less than SrcToObject 60"),
        ({"Projections": None}, "has no Projections"),
        ({"Projections": 0}, "Projections must be a whole number of at least 1, got 0"),
        ({"Projections": 3.5}, "Projections must be a whole number"),
        ({"AngularStep": "1e999"}, "AngularStep must be a number"),
        ({"DetectorPixelsX": 60}, r"describes images of 48 rows x 60 columns, bone_0001\.tif has 48 x 56"),
        ({"Name": "C:\\data\\other"}, r"no image other_0001\.tif was found"),
        ({"ObjectRoll": 90}, "must be less than 85 degrees"),
    ],
)
def test_contradictions_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write_scan(tmp_path, nikon_text(**{"Projections": 3, **changes}), views=3)
    with pytest.raises(ValueError, match=message) as caught:
        read(path)
    assert str(tmp_path) in str(caught.value)


def test_decimal_commas_and_line_ends(tmp_path: Path) -> None:
    text = nikon_text(Projections=3, SrcToObject="60,0", InitialAngle="205,5").replace("\r\n", "\n")
    assert_vectors(read(write_scan(tmp_path, text, views=3)), nikon_vectors(views=3))


def test_images_of_another_number(tmp_path: Path) -> None:
    path = write_scan(tmp_path, nikon_text(Projections=3), views=3, first=10)
    with pytest.raises(ValueError, match=r"3 images from number 1 on, and none .* 3 others, from bone_0010\.tif on"):
        read(path)
    write_images(np.zeros((1, 48, 56), np.uint16), tmp_path, "bone_", 10, digits=6)
    with pytest.raises(ValueError, match=r"bone_000010\.tif and bone_0010\.tif have the same number"):
        read(path)


def test_loading_views(tmp_path: Path) -> None:
    draw = np.random.default_rng(0).integers(0, 65536, (5, 48, 56), dtype=np.uint16)
    write_images(draw, tmp_path, "bone_", 1)
    (tmp_path / "bone.xtekct").write_text(nikon_text(Projections=5), encoding="latin-1")
    scan = read(tmp_path)
    expected = draw[:, ::-1, ::-1]
    for views in (slice(None), 3, [4, 0, 4], slice(None, None, -2), np.array([True, False, True, False, True])):
        np.testing.assert_array_equal(scan.load(views).numpy(), expected[views])
    np.testing.assert_array_equal(scan[1:3].load().numpy(), expected[1:3])
