"""The walnut's two published forms. Truth: the phantom that was projected into them, and the real file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.datasets import read_walnut
from walnut_files import PIXEL, SDD, SID, line_integrals, write_record, write_reduced


def test_the_reduced_file(tmp_path: Path) -> None:
    scan = read_walnut(write_reduced(tmp_path / "walnut.npz"))
    images, angles = line_integrals()
    expected = sg.ConeBeam.circular(
        source_to_origin=SID,
        source_to_detector=SDD,
        angles=torch.from_numpy(angles[:-1]),
        detector=sg.FlatDetector((24, 64), PIXEL),
    )
    assert scan.kind == "line integrals" and "CC BY 4.0" in scan.metadata["attribution"]
    torch.testing.assert_close(scan.geometry.vectors, expected.vectors, rtol=0, atol=1e-4)
    torch.testing.assert_close(scan.load(), torch.from_numpy(images[:-1]), rtol=1e-3, atol=1e-3)


def test_a_file_with_rising_angles_is_the_same_scan(tmp_path: Path) -> None:
    angles = line_integrals()[1]
    rising = read_walnut(write_reduced(tmp_path / "rising.npz", angles=angles))
    falling = read_walnut(write_reduced(tmp_path / "falling.npz"))
    torch.testing.assert_close(rising.geometry.vectors, falling.geometry.vectors, rtol=0, atol=1e-4)


def test_the_files_of_the_record(tmp_path: Path) -> None:
    """Every third image, binned by 8, over the brightest pixels: the line integrals that were made counts of."""
    scan = read_walnut(write_record(tmp_path / "record"))
    images, angles = line_integrals(views=12)
    assert tuple(scan.projections.shape) == (12, 24, 64)
    assert scan.geometry.recipe.source_to_origin == pytest.approx(SID)
    torch.testing.assert_close(scan.geometry.recipe.angles, torch.from_numpy(angles[:-1]), rtol=0, atol=1e-9)
    assert (scan.load()[:, :, 1:] - torch.from_numpy(images[:-1, :, 1:])).abs().max() < 2e-3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sinogram": None}, "is no walnut: it lacks the arrays sinogram"),
        ({"sinogram": np.zeros((3, 4))}, r"expected a sinogram \[views, rows, columns\]"),
        ({"angles": np.zeros(3)}, r"one angle a view, got sinogram \[25, 24, 64\], angles \[3\]"),
        ({"angles": np.full(25, np.nan)}, "not finite"),
        ({"du": np.ones(2)}, "must be one number each"),
        ({"sid": np.float32(-1)}, "must be positive"),
        ({"sid": np.float32(900)}, "must be behind the axis"),
        ({"sinogram": np.array([object()])}, "must hold real numbers|damaged"),
    ],
)
def test_damaged_reduced_files(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write_reduced(tmp_path / "walnut.npz", **changes)
    with pytest.raises(sg.errors.InputError, match=message) as caught:
        read_walnut(path)
    assert "walnut.npz" in str(caught.value)


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "walnut.npz").write_bytes(b"PK\x03\x04 and nothing")
    with pytest.raises(sg.errors.InputError, match=r"is no \.npz file, or a damaged one"):
        read_walnut(tmp_path / "walnut.npz")
    with pytest.raises(FileNotFoundError, match="does not exist: expected the walnut's"):
        read_walnut(tmp_path / "absent.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PixelSize": ""}, "must state PixelSize as a number, got none"),
        ({"DistanceSourceOffset": "far"}, "DistanceSourceOffset as a number, got 'far'"),
        ({"NumberImages": "721"}, "228 of 241 images, the first is number 0040 are missing"),
    ],
)
def test_incomplete_records(changes: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(sg.errors.InputError, match=message):
        read_walnut(write_record(tmp_path / "record", **changes))


def test_a_folder_without_parameters(tmp_path: Path) -> None:
    with pytest.raises(sg.errors.InputError, match=r"expected one \.txt file"):
        read_walnut(tmp_path)
    folder = write_record(tmp_path / "record")
    (folder / "20201111_walnut_0001.tif").write_bytes(b"no image")
    with pytest.raises(sg.errors.InputError, match=r"0001\.tif cannot be read as TIFF"):
        read_walnut(folder)


def test_the_real_file(shared_data: Path) -> None:
    path = shared_data / "walnut" / "walnut_cone.npz"
    if not path.is_file():
        pytest.skip(f"needs the real scan of a walnut, and {path} does not exist")
    scan = read_walnut(path)
    assert tuple(scan.projections.shape) == (240, 256, 256)
    middle = sg.detector_region(scan.geometry, (116, 140))
    assert sg.find_center(scan.load()[:, 116:140], middle).reliable
