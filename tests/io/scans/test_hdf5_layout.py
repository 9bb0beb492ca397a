"""HDF5 files as beamlines write them, by a YAML file. Truth: the arrays and numbers that h5py wrote."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

import sinograd as sg
from sinograd.io import read

RNG = np.random.default_rng(7)
FRAMES = RNG.integers(100, 4000, (15, 3, 4)).astype(np.uint16)


def degrees_of(scan: sg.Scan) -> np.ndarray:
    assert scan.geometry.angles is not None
    return np.degrees(scan.geometry.angles.numpy())


def loaded(scan: sg.Scan, name: str) -> np.ndarray:
    assert scan.calibration is not None
    return scan.calibration.load(name).numpy()


def diamond(folder: Path) -> Path:
    """Frames in a file of their own behind an external link, keys beside the detector, counts of an encoder."""
    keys = np.array([2, 1, 1, *[0] * 10, 1, 2])
    with h5py.File(folder / "pco1-0001.hdf", "w") as file:
        file["entry/instrument/detector/data"] = FRAMES
    with h5py.File(folder / "0001.nxs", "w") as file:
        file["entry1/tomo_entry/instrument/detector/image_key"] = keys
        file["entry1/pco/data"] = h5py.ExternalLink("pco1-0001.hdf", "/entry/instrument/detector/data")
        file["entry1/pcomp/encoder"] = np.round((np.arange(15) - 3) * 18 * 1000 + 500).astype(np.int64)
        file["entry1/pcomp/encoder"].attrs["units"] = "counts"
        file["entry1/pco/pixel"] = 3.25
        file["entry1/pco/pixel"].attrs["units"] = "um"
    (folder / "0001.yaml").write_text(
        "hdf5: 0001.nxs\nprojections: /entry1/pco/data\nimage_key: entry1/tomo_entry/instrument/detector/image_key\n"
        "angles: {dataset: /entry1/pcomp/encoder, scale: 0.001, offset: -0.5}\npixel_mm: /entry1/pco/pixel\n"
    )
    return folder / "0001.nxs"


def test_diamond(tmp_path: Path) -> None:
    for path in (diamond(tmp_path), tmp_path / "0001.yaml"):
        scan = read(path)
        np.testing.assert_array_equal(scan.load().numpy(), FRAMES[3:13])
        np.testing.assert_allclose(degrees_of(scan), -18.0 * np.arange(10), atol=1e-9)
        np.testing.assert_array_equal(loaded(scan, "reference"), FRAMES[[1, 2, 13]])
        np.testing.assert_array_equal(loaded(scan, "dark"), FRAMES[[0, 14]])
        assert scan.calibration is not None and scan.calibration.reference_views is not None
        np.testing.assert_array_equal(scan.calibration.reference_views, [-0.5, -0.5, 9.5])
        assert (scan.kind, scan.geometry.detector.spacing) == ("counts", (0.00325, 0.00325))


def test_links_stay_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = diamond(tmp_path / "in")
    (tmp_path / "in" / "pco1-0001.hdf").rename(tmp_path / "pco1-0001.hdf")
    with h5py.File(path, "a") as file:
        del file["entry1/pco/data"]
        file["entry1/pco/data"] = h5py.ExternalLink("../pco1-0001.hdf", "/entry/instrument/detector/data")
    with pytest.raises(ValueError, match="outside the folder"):
        read(path)
    (tmp_path / "in" / "0001.yaml").write_text("hdf5: ../pco1-0001.hdf\nprojections: /a\nangles: /b\npixel_mm: 1\n")
    with pytest.raises(ValueError, match="outside the folder"):
        read(tmp_path / "in" / "0001.yaml")


def test_aps(tmp_path: Path) -> None:
    """Raw frames, flats and darks in data sets of their own, no angles but those of a text file, a cone beam."""
    with h5py.File(tmp_path / "raw_001.h5", "w") as file:
        file["raw/data"] = FRAMES[:6]
        file["raw/white"] = FRAMES[6:10]
        file["raw/dark_image"] = FRAMES[10]
        file["meta/theta"] = np.radians(np.linspace(0, 300, 6))
        file["meta/distance"] = np.full(6, 0.5)
        file["meta/distance"].attrs["units"] = "m"
    (tmp_path / "scan.yaml").write_text(
        "hdf5: raw_001.h5\nprojections: raw/data\nreference: {dataset: raw/white, frames: '1:'}\ndark: raw/dark_image\n"
        "angles: {dataset: meta/theta, unit: rad, reverse: true}\npixel_mm: [0.2, 0.1]\nsource_to_origin: 100\n"
        "source_to_detector: meta/distance\nflip_rows: true\nmetadata: {sample: chalk}\n"
    )
    for path in (tmp_path, tmp_path / "raw_001.h5"):
        scan = read(path)
        np.testing.assert_array_equal(scan.load().numpy(), FRAMES[:6, ::-1])
        np.testing.assert_array_equal(loaded(scan, "reference"), FRAMES[7:10, ::-1])
        np.testing.assert_array_equal(loaded(scan, "dark"), FRAMES[10:11, ::-1])
        np.testing.assert_allclose(degrees_of(scan), np.linspace(0, 300, 6))
        assert scan.geometry.magnification == pytest.approx(5)
        assert scan.geometry.detector.spacing == (0.2, 0.1) and scan.metadata["sample"] == "chalk"


def test_bliss(tmp_path: Path) -> None:
    """ESRF: scans 1.1 darks, 2.1 and 4.1 flats, 3.1 projections, as links to files of the camera."""
    with h5py.File(tmp_path / "camera.h5", "w") as file:
        file["entry_0000/measurement/data"] = FRAMES
    with h5py.File(tmp_path / "sample_0001.h5", "w") as file:
        layout = h5py.VirtualLayout((8, 3, 4), np.uint16)
        layout[:] = h5py.VirtualSource("camera.h5", "entry_0000/measurement/data", (15, 3, 4))[4:12]
        file.create_virtual_dataset("3.1/measurement/pco", layout)
        file["2.1/measurement/pco"] = FRAMES[2:4]
        file["4.1/measurement/pco"] = FRAMES[12:13]
        file["3.1/measurement/hrsrot"] = np.arange(8) * 22.5
        file["3.1/measurement/hrsrot"].attrs["units"] = "degree"
    with h5py.File(tmp_path / "darks.h5", "w") as file:
        file["1.1/measurement/pco"] = FRAMES[:2]
    (tmp_path / "scan.yaml").write_text(
        "hdf5: sample_0001.h5\nprojections: /3.1/measurement/pco\n"
        "reference: [/2.1/measurement/pco, /4.1/measurement/pco]\nreference_views: [-0.5, -0.5, 7.5]\n"
        "dark: 'darks.h5::/1.1/measurement/pco'\nangles: /3.1/measurement/hrsrot\npixel_mm: 0.00065\n"
    )
    scan = read(tmp_path / "scan.yaml")
    np.testing.assert_array_equal(scan.load([1, 6]).numpy(), FRAMES[[5, 10]])
    np.testing.assert_array_equal(loaded(scan, "reference"), FRAMES[[2, 3, 12]])
    np.testing.assert_array_equal(loaded(scan, "dark"), FRAMES[:2])
    np.testing.assert_allclose(degrees_of(scan), -22.5 * np.arange(8))


def test_psi(tmp_path: Path) -> None:
    """All frames in one data set in a known order: darks, flats, projections; angles of the projections alone."""
    with h5py.File(tmp_path / "tomo.h5", "w") as file:
        file["exchange/frames"] = FRAMES
        file["exchange/angle"] = np.arange(10) * 18.0
    (tmp_path / "tomo.yaml").write_text(
        "hdf5: tomo.h5\nprojections: exchange/frames\ndark: {frames: '0:2'}\nreference: {frames: ['2:4', '14:']}\n"
        "angles: {dataset: exchange/angle, unit: deg}\npixel_mm: 0.001\naxis_offset: 0.0005\n"
    )
    scan = read(tmp_path / "tomo.h5")
    np.testing.assert_array_equal(scan.load().numpy(), FRAMES[4:14])
    assert scan.calibration is not None and scan.calibration.reference_views is not None
    np.testing.assert_array_equal(scan.calibration.reference_views, [-0.5, -0.5, 9.5])
    assert scan.geometry.default_grid().shape[0] == 3


COUNTS = {
    "with references": (13, np.arange(13) * 30.0, r"13 angles .* for 10 projections, 3 references and 2 dark images"),
    "as many as references": (13, np.arange(13) * 30.0, r"the 3 more are as many as the references \(3\)"),
    "both ends": (
        11,
        np.arange(11) * 36.0,
        "the last angle, 360 degrees, is the first, 0; leave out the last",
    ),
    "half a turn": (11, np.arange(11) * 18.0, "the last angle, 180 degrees, is opposite to the first"),
    "one less": (9, np.arange(9) * 40.0, "the last projection closes the 360 degrees, .*; leave it out"),
    "repeated": (
        14,
        np.repeat(np.arange(10), [1, 2, 1, 2, 1, 2, 1, 2, 1, 1]) * 36.0,
        "4 angles are repeated, .*10 are",
    ),
    "several each": (20, np.arange(20) * 18.0, "there are 2 angles for each projection; take 1 in 2"),
    "half": (5, np.arange(5) * 72.0, "there are 2 projections for each angle"),
}


@pytest.mark.parametrize(("count", "angles", "message"), COUNTS.values(), ids=list(COUNTS))
def test_counts_are_explained(count: int, angles: np.ndarray, message: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"], file["angle"] = FRAMES[:10], angles
        file["flats"], file["darks"] = FRAMES[:3], FRAMES[:2]
    text = "hdf5: a.h5\nprojections: frames\nreference: flats\ndark: darks\npixel_mm: 1\nangles: "
    (tmp_path / "a.yaml").write_text(text + "{dataset: angle, unit: deg}\n")
    assert len(angles) == count
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.h5")
    if count > 10:
        (tmp_path / "a.yaml").write_text(text + "{dataset: angle, unit: deg, frames: '0:10'}\n")
        assert len(read(tmp_path / "a.h5").geometry) == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("flats: x\n", r"unknown key flats; .*did you mean reference\?"),
        ("pixel_size: 3\n", r"unknown key pixel_size; .*did you mean pixel_mm\?"),
        ("angels: {}\n", "did you mean angles"),
        ("source_to_origin: 5\n", "source_to_origin is given without the other distance"),
        ("geometry: walnut\n", "geometry is in the place of angles, pixel_mm"),
        ("dark: nowhere\n", r"has no data set /nowhere \(dark\); images are in /frames \[10, 3, 4\]"),
        ("dark: {frames: '20:30'}\n", "chooses none of 10"),
        ("dark: {frames: a}\n", "frames must be FIRST:END"),
        ("dark: {dataset: frames, unit: 3}\n", "dark has the unknown key unit"),
        ("image_key: angle\n", "9 image keys for 10 frames"),
    ],
)
def test_wrong_descriptions(change: str, message: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"], file["angle"] = FRAMES[:10], np.arange(9.0)
    text = "hdf5: a.h5\nprojections: frames\npixel_mm: 1\nangles: {dataset: angle, unit: deg}\n"
    (tmp_path / "a.yaml").write_text(text + change)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.h5")
