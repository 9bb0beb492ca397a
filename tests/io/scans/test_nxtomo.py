"""NeXus NXtomo. Truth: the arrays that h5py wrote, sorted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from sinograd.data import Calibration, Scan
from sinograd.errors import ScanWarning
from sinograd.geometry import ConeBeam, FlatDetector, ParallelBeam
from sinograd.io import read

KEYS = np.array([2, 2, 1, 1, 0, 0, 0, 1, 0, 3, 0, 0, 1])
DETECTOR = "entry/instrument/detector"
CLASSES = {
    "entry": "NXentry",
    "entry/instrument": "NXinstrument",
    DETECTOR: "NXdetector",
    "entry/instrument/source": "NXsource",
    "entry/sample": "NXsample",
    "entry/control": "NXmonitor",
}


def write(path: Path, change: dict[str, Any] | None = None) -> dict[str, Any]:
    """13 frames: two darks, two flats, three views, a flat, a view, an unused frame, two views, a flat."""
    frames = np.random.default_rng(5).integers(0, 4000, (13, 4, 5)).astype(np.uint16)
    content: dict[str, Any] = {
        f"{DETECTOR}/data": frames,
        f"{DETECTOR}/image_key": KEYS,
        f"{DETECTOR}/x_pixel_size": (3.0, "um"),
        f"{DETECTOR}/y_pixel_size": (4e-6, "m"),
        f"{DETECTOR}/distance": (50.0, "mm"),
        "entry/instrument/source/distance": (-145.0, "m"),
        "entry/sample/rotation_angle": (np.arange(13) * 10.0, "degree"),
        "entry/sample/name": "shale",
        "entry/title": b"a scan",
    }
    content |= change or {}
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            if value is None:
                continue
            array, units = value if isinstance(value, tuple) else (value, None)
            file[name] = array
            if units is not None:
                file[name].attrs["units"] = units
        for name, kind in CLASSES.items():
            if name in file:
                file[name].attrs["NX_class"] = kind
        file["entry/again"] = h5py.SoftLink("/entry")
        file["entry/nowhere"] = h5py.SoftLink("/missing")
        file["entry/loop"] = file["entry"]
    return content


def calibration_of(scan: Scan) -> Calibration:
    assert scan.calibration is not None
    return scan.calibration


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.nxs"


def test_frames_are_sorted_by_their_keys(path: Path) -> None:
    frames = write(path)[f"{DETECTOR}/data"]
    scan = read(path)
    assert (scan.kind, scan.shape) == ("counts", (6, 4, 5))
    assert scan.metadata["sample"] == "shale" and scan.metadata["title"] == "a scan"
    assert scan.metadata["frames_not_used"] == 1
    np.testing.assert_array_equal(scan.load().numpy(), frames[[4, 5, 6, 8, 10, 11]])
    np.testing.assert_array_equal(scan.load(slice(1, 4)).numpy(), frames[[5, 6, 8]])
    calibration = calibration_of(scan)
    np.testing.assert_array_equal(calibration.load("reference").numpy(), frames[[2, 3, 7, 12]])
    np.testing.assert_array_equal(calibration.load("dark").numpy(), frames[[0, 1]])
    np.testing.assert_array_equal(calibration.reference_views, [-0.5, -0.5, 2.5, 5.5])
    assert calibration.exposure is None


def test_a_parallel_beam_of_a_synchrotron(path: Path) -> None:
    write(path)
    angles = torch.deg2rad(torch.tensor([40, 50, 60, 80, 100, 110], dtype=torch.float64))
    detector = FlatDetector((4, 5), (0.004, 0.003))
    assert read(path).geometry.equals(ParallelBeam(-angles, detector))
    assert read(path, reverse=True).geometry.equals(ParallelBeam(angles, detector))


def test_a_cone_beam(path: Path) -> None:
    write(
        path,
        {
            "entry/instrument/source/distance": (-0.2, "m"),
            "entry/sample/rotation_angle": (np.arange(6) * 0.5, "rad"),
            f"{DETECTOR}/y_pixel_size": None,
        },
    )
    expected = ConeBeam.circular(
        source_to_origin=200,
        source_to_detector=250,
        angles=-torch.arange(6, dtype=torch.float64) * 0.5,
        detector=FlatDetector((4, 5), 0.003),
    )
    assert read(path).geometry.equals(expected)


def test_exposures_come_from_the_monitor_or_the_times(path: Path) -> None:
    times = np.where(KEYS == 1, 2.0, 1.0)
    write(path, {f"{DETECTOR}/count_time": times})
    np.testing.assert_allclose(calibration_of(read(path)).exposure, [0.5] * 6)
    monitor = np.arange(13) + 100.0
    write(path, {f"{DETECTOR}/count_time": times, "entry/control/data": monitor})
    # flat fields at -0.5 (two), 2.5 and 5.5: what preparation interpolates to the time of each view
    flats = np.interp(np.arange(6), [-0.5, 2.5, 5.5], [monitor[[2, 3]].mean(), monitor[7], monitor[12]])
    expected = monitor[[4, 5, 6, 8, 10, 11]] / flats
    np.testing.assert_allclose(calibration_of(read(path)).exposure, expected)


def test_units_that_are_missing(path: Path) -> None:
    write(path, {f"{DETECTOR}/x_pixel_size": 3e-6, "entry/sample/rotation_angle": np.arange(13) * 10.0})
    with pytest.warns(ScanWarning) as caught:
        geometry = read(path).geometry
    assert sorted(str(w.message).split(": ", 1)[1] for w in caught) == [
        "/entry/instrument/detector/x_pixel_size has no units: taken as m",
        "/entry/sample/rotation_angle has no units: taken as deg",
    ]
    assert geometry.detector.spacing == pytest.approx((0.004, 0.003))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entry/sample/rotation_angle": (np.zeros(5), "deg")}, r"5 angles .* for 13 frames, 6 of them projections"),
        ({"entry/sample/rotation_angle": None}, r"no sample \(NXsample\) with rotation_angle: give the geometry"),
        ({f"{DETECTOR}/image_key": np.zeros(7)}, r"7 image keys .* for 13 frames"),
        ({f"{DETECTOR}/image_key": np.ones(13)}, "none of 13 frames is a projection"),
        ({f"{DETECTOR}/x_pixel_size": (-1.0, "mm")}, "has no usable x_pixel_size"),
        ({f"{DETECTOR}/x_pixel_size": (1.0, "furlong")}, "has units 'furlong'"),
        ({f"{DETECTOR}/data": np.zeros((13, 4))}, r"must be \[n, rows, columns\] and not empty, got \[13, 4\]"),
    ],
)
def test_contradictions(path: Path, change: Any, message: str) -> None:
    write(path, change)
    with pytest.raises(ValueError, match=message) as caught:
        read(path)
    assert "scan.nxs" in str(caught.value)


def test_a_given_geometry(path: Path) -> None:
    write(path, {"entry/sample/rotation_angle": None, f"{DETECTOR}/x_pixel_size": None})
    geometry = ParallelBeam(torch.arange(6.0), FlatDetector((4, 5), 0.2))
    assert read(path, geometry=geometry).geometry.equals(geometry)


def test_other_names_and_depths(path: Path) -> None:
    """As at Diamond: the scan is a subentry, the detector has a name of its own."""
    write(path)
    with h5py.File(path, "r+") as file:
        del file["entry/loop"], file["entry/again"], file["entry/nowhere"]
        file.move("entry", "entry1/tomo_entry")
        file.move("entry1/tomo_entry/instrument/detector", "entry1/tomo_entry/instrument/pco4000")
    assert read(path).shape == (6, 4, 5)


def test_images_for_alignment_and_unknown_keys(path: Path) -> None:
    """Those of image_key_control are projections to image_key; their angles, and those of flats, may be NaN."""
    control = KEYS.copy()
    control[[5, 11]] = -1
    keys = np.where(control == -1, 0, control)
    angles = np.where(control == 0, np.arange(13) * 10.0, np.nan)
    content = {f"{DETECTOR}/image_key_control": control, "entry/sample/rotation_angle": (np.deg2rad(angles), "rad")}
    frames = write(path, {f"{DETECTOR}/image_key": keys, **content})[f"{DETECTOR}/data"]
    for change in (
        {f"{DETECTOR}/image_key": keys},
        {f"{DETECTOR}/image_key": None},
        {f"{DETECTOR}/image_key": control},
    ):
        write(path, content | change)
        scan = read(path)
        np.testing.assert_array_equal(scan.load().numpy(), frames[[4, 6, 8, 10]])
        torch.testing.assert_close(
            scan.geometry.angles, -torch.deg2rad(torch.tensor([40.0, 60, 80, 100], dtype=torch.float64))
        )
        assert scan.metadata["frames_not_used"] == 3
        np.testing.assert_array_equal(calibration_of(scan).reference_views, [-0.5, -0.5, 1.5, 3.5])
    write(path, {f"{DETECTOR}/image_key": np.where(KEYS == 3, 7, KEYS)})
    with pytest.warns(ScanWarning, match=r"1 of 13 image keys .* are unknown, such as 7: those frames are not used"):
        assert read(path).shape == (6, 4, 5)
    write(path, {f"{DETECTOR}/image_key": np.where(KEYS == 3, np.nan, KEYS)})
    with pytest.warns(ScanWarning, match="such as nan"):
        assert read(path).shape == (6, 4, 5)


def test_angles_of_turning_frames_only(path: Path) -> None:
    """One angle for each projection and image for alignment, none for flats and darks."""
    control = KEYS.copy()
    control[5] = -1
    write(path, {f"{DETECTOR}/image_key_control": control, "entry/sample/rotation_angle": (np.arange(6) * 9.0, "deg")})
    expected = -torch.deg2rad(torch.tensor([0.0, 18, 27, 36, 45], dtype=torch.float64))
    torch.testing.assert_close(read(path).geometry.angles, expected)


def test_an_aborted_scan_has_keys_and_angles_of_what_was_planned(path: Path) -> None:
    frames = np.random.default_rng(5).integers(0, 4000, (9, 4, 5)).astype(np.uint16)
    write(path, {f"{DETECTOR}/data": frames})
    with pytest.warns(ScanWarning, match="13 image keys .* for 9 frames: the scan was aborted, those are taken"):
        scan = read(path)
    np.testing.assert_array_equal(scan.load().numpy(), frames[[4, 5, 6, 8]])
    torch.testing.assert_close(
        scan.geometry.angles, -torch.deg2rad(torch.tensor([40.0, 50, 60, 80], dtype=torch.float64))
    )


def test_angles_of_projections_must_be_finite(path: Path) -> None:
    angles = np.arange(13) * 10.0
    angles[5] = np.inf
    write(path, {"entry/sample/rotation_angle": (angles, "deg")})
    with pytest.raises(ValueError, match="must be finite, 1 of 6 angles of projections are not: give the geometry"):
        read(path)


def test_angles_without_units_that_look_like_radians(path: Path) -> None:
    keys, frames = np.zeros(200), np.ones((200, 4, 5), np.uint16)
    content = {f"{DETECTOR}/image_key": keys, f"{DETECTOR}/data": frames}
    write(path, content | {"entry/sample/rotation_angle": np.linspace(0, np.pi, 200)})
    with pytest.warns(ScanWarning) as caught:
        read(path)
    assert any("200 angles without units span 3.1416, as radians would" in str(w.message) for w in caught)
