"""Zeiss / Xradia scans. Truth: the arrays written by tests/txrm_file.py, arithmetic of shadows, olefile."""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import olefile
import pytest
import torch
from scipy import ndimage

from sinograd.data import Calibration, Scan
from sinograd.errors import ScanWarning
from sinograd.geometry import ConeBeam, FlatDetector, Geometry, ParallelBeam
from sinograd.io import read, read_volume
from sinograd.io.storage.raw_images import RawImages
from txrm_file import PARALLEL, float_stream, int_stream, write_txrm

ANGLES = np.linspace(-180, 180, 7)


def counts(views: int = 7, shape: tuple[int, int] = (4, 5), dtype: str = "uint16") -> np.ndarray:
    high = 100 if dtype.endswith("8") else 30_000
    return np.random.default_rng(7).integers(0, high, (views, *shape)).astype(dtype)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.txrm"


def calibration_of(scan: Scan) -> Calibration:
    assert scan.calibration is not None
    return scan.calibration


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_images_of_every_type(path: Path, dtype: str) -> None:
    images = counts(dtype=dtype)
    write_txrm(path, images, ANGLES)
    scan = read(path)
    assert (scan.kind, scan.projections.dtype, scan.shape) == ("counts", np.dtype(dtype), (7, 4, 5))
    np.testing.assert_array_equal(np.asarray(scan.projections[:]), images)
    torch.testing.assert_close(scan.load(), torch.from_numpy(images.astype(np.float32)), rtol=0, atol=0)
    assert scan.validate() is scan


@pytest.mark.parametrize("scattered", [False, True])
@pytest.mark.parametrize(("version", "shape"), [(3, (40, 64)), (4, (40, 64)), (4, (3, 4))])
def test_a_hundred_images_a_folder(path: Path, version: int, shape: tuple[int, int], scattered: bool) -> None:
    images = counts(231, shape)
    write_txrm(path, images, np.linspace(0, 360, 231), version=version, scattered=scattered)
    projections = read(path).projections
    for views in (slice(None), slice(95, 205, 3), slice(None, None, -7), [230, 0, 99, 100, 100], -1, np.array([200])):
        np.testing.assert_array_equal(projections[views], images[views])
    with pytest.raises(IndexError):
        projections[231]


def test_only_the_images_asked_for_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_txrm(path, counts(), ANGLES)
    scan = read(path)
    reads: list[Any] = []
    original = RawImages.__getitem__
    monkeypatch.setattr(RawImages, "__getitem__", lambda self, views: reads.append(views) or original(self, views))
    chosen = scan[2:6]
    chosen.check_shape()
    assert not reads
    chosen.load(slice(1, 3))
    assert reads == [slice(3, 5, 1)]


def first_row(projections: RawImages) -> list[int]:
    return projections[3][0].tolist()


def test_images_can_be_read_in_other_processes(path: Path) -> None:
    images = counts()
    write_txrm(path, images, ANGLES)
    projections = read(path).projections
    assert isinstance(projections, RawImages)
    copy = pickle.loads(pickle.dumps(projections))
    np.testing.assert_array_equal(copy[1:3], images[1:3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(first_row, [projections] * 4) == [images[3, 0].tolist()] * 4


def test_a_changed_file_is_noticed(path: Path) -> None:
    write_txrm(path, counts(), ANGLES)
    scan = read(path)
    write_txrm(path, counts(9), np.linspace(0, 1, 9))
    with pytest.raises(ValueError, match=r"scan\.txrm changed since it was read"):
        scan.load()


def shadow(point: np.ndarray, stage_deg: float, distances: tuple[float, float] | None) -> tuple[float, float]:
    """Where a point of the sample is seen, (u, v) in mm on the detector.

    The source stands at y = -SOD (or infinitely far), the detector at y = ODD, u to +x, v to +z; the stage turns the
    sample counter-clockwise seen from +z.
    """
    a = math.radians(stage_deg)
    x = point[0] * math.cos(a) - point[1] * math.sin(a)
    y = point[0] * math.sin(a) + point[1] * math.cos(a)
    scale = 1.0 if distances is None else sum(distances) / (distances[0] + y)
    return x * scale, point[2] * scale


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("distances", [(20.0, 60.0), None])
def test_where_a_point_is_seen(path: Path, distances: tuple[float, float] | None, reverse: bool) -> None:
    shift, point = 1.25, np.array([0.013, -0.021, 0.008])
    stored = (-20.0, 60.0) if distances else (1.0, 1.0)  # signs and placeholders of real files
    beam = 1 if distances else PARALLEL
    write_txrm(path, counts(7, (40, 60)), ANGLES + 11, pixel_um=2.0, beam=beam, distances_mm=stored, center_shift=shift)
    scan = read(path, reverse=reverse)
    pixel = float(np.float32(2.0)) / 1000 * (4 if distances else 1)
    assert scan.geometry.detector.spacing == pytest.approx((pixel, pixel), rel=1e-6)
    assert scan.metadata["center_shift_pixels"] == shift
    for view, angle in enumerate((ANGLES + 11).astype(np.float32)):
        u, v = shadow(point, -angle if reverse else angle, distances)
        column = 29.5 + u / pixel + shift  # the axis is seen `shift` pixels towards larger columns
        row = 19.5 + v / pixel
        first, center, step_u, step_v = scan.geometry.vectors[view].numpy()
        place = center + (column - 29.5) * step_u + (row - 19.5) * step_v
        ray = place - first if distances else first
        assert np.linalg.norm(np.cross(point - place, ray)) < 1e-6 * np.linalg.norm(ray) * 0.01


def test_cone_geometry(path: Path) -> None:
    write_txrm(path, counts(), ANGLES, pixel_um=44.998)
    geometry = read(path).geometry
    expected = ConeBeam.circular(
        source_to_origin=20,
        source_to_detector=80,
        angles=-torch.deg2rad(torch.from_numpy(ANGLES.astype(np.float32).astype(np.float64))),
        detector=FlatDetector((4, 5), float(np.float32(44.998)) / 1000 * 4),
    )
    assert geometry.equals(expected)
    assert geometry.default_grid().spacing == pytest.approx((0.044998,) * 3, rel=1e-6)


def test_center_shift_given_and_impossible(path: Path) -> None:
    write_txrm(path, counts(), ANGLES, center_shift=1.5)
    assert read(path, center_shift=0).geometry.detector.offset == (0, 0)
    write_txrm(path, counts(), ANGLES, center_shift=3.5)
    with pytest.warns(ScanWarning, match=r"CenterShift is 3\.5 pixels for 5 columns: it is ignored"):
        scan = read(path)
    assert scan.geometry.detector.offset == (0, 0) and "center_shift_pixels" not in scan.metadata
    with pytest.raises(ValueError, match="center_shift must be a finite number"):
        read(path, center_shift=math.nan)


def test_shifts_move_projections_towards_larger_indices(path: Path) -> None:
    """A spot measured at row 10, column 12 whose shift is (2, -3) belongs to row 12, column 9."""
    images = np.zeros((7, 24, 24), np.uint16)
    images[:, 10, 12] = 1000
    shifts = np.tile([2.0, -3.0], (7, 1))
    shifts[3] = [0.5, 0.25]
    write_txrm(path, images, ANGLES, shifts=shifts)
    scan = read(path)
    found = calibration_of(scan).shifts
    assert found is not None
    np.testing.assert_array_equal(found, shifts)
    moved = ndimage.shift(scan.load(0, torch.float64).numpy().squeeze(), found[0], order=1)
    assert np.unravel_index(moved.argmax(), moved.shape) == (12, 9)


def test_one_reference(path: Path) -> None:
    reference = np.random.default_rng(0).random((4, 5)).astype(np.float32) * 1000
    write_txrm(path, counts(), ANGLES, reference=reference)
    calibration = calibration_of(read(path))
    assert calibration.reference_views is None and calibration.exposure is None and calibration.shifts is None
    torch.testing.assert_close(calibration.load("reference")[0], torch.from_numpy(reference), rtol=0, atol=0)


def test_several_references_stand_before_the_single_one(path: Path) -> None:
    references = counts(12, dtype="float64")
    write_txrm(path, counts(), ANGLES, reference=counts(1)[0], references=references)
    calibration = calibration_of(read(path))
    assert calibration.reference is not None
    np.testing.assert_array_equal(calibration.reference[:], references)


def test_references_and_dark_images_of_other_files(path: Path, tmp_path: Path) -> None:
    flat, dark = counts(3), counts(2)[:2]
    write_txrm(path, counts(), ANGLES, reference=counts(1)[0], exposure_s=2.0)
    write_txrm(tmp_path / "flat.xrm", flat, [0, 0, 0], exposure_s=4.0)
    write_txrm(tmp_path / "dark.xrm", dark, [0, 0])
    calibration = calibration_of(read(path, reference=tmp_path / "flat.xrm", dark=str(tmp_path / "dark.xrm")))
    assert calibration.reference is not None and calibration.dark is not None and calibration.exposure is not None
    np.testing.assert_array_equal(calibration.reference[:], flat)
    np.testing.assert_array_equal(calibration.dark[:], dark)
    np.testing.assert_allclose(calibration.exposure, 0.5)
    write_txrm(tmp_path / "flat.xrm", counts(1, (4, 4)), [0])
    with pytest.raises(ValueError, match=r"reference .*flat\.xrm: images of 4 x 4 pixels, the scan has 4 x 5"):
        read(path, reference=tmp_path / "flat.xrm")


def test_references_of_another_size_are_ignored(path: Path) -> None:
    write_txrm(path, counts(), ANGLES, reference=counts(1, (8, 10))[0])
    with pytest.warns(ScanWarning, match=r"1 of 1 references \(ReferenceData\) .* 160 bytes, 4 x 5 uint16 need 40"):
        assert read(path).calibration is None
    change = {"MultiReferenceData/Image2": b"\0" * 7}
    write_txrm(path, counts(), ANGLES, references=counts(3), change=change)
    with pytest.warns(ScanWarning, match=r"1 of 3 references \(MultiReferenceData\) are ignored: they have 7 bytes"):
        assert calibration_of(read(path)).references == 2


@pytest.mark.parametrize(
    ("times", "currents", "reference_current", "expected"),
    [
        ([2.0] * 7, None, None, [0.5] * 7),
        ([4.0] * 7, None, None, None),
        ([2.0] * 7, [200.0] * 6 + [100.0], 100.0, [1.0] * 6 + [0.5]),
        ([2.0] * 7, [200.0] * 6 + [0.0], 100.0, [0.5] * 7),
        ([0.0] * 7, None, None, None),
        ([2.0] * 3, None, None, None),
    ],
)
def test_exposure_relative_to_the_reference(
    path: Path, times: list[float], currents: Any, reference_current: Any, expected: Any
) -> None:
    change = {"ImageInfo/ExpTimes": float_stream(*times)}
    if currents:
        change["ImageInfo/IonChamberCurrent"] = float_stream(*currents)
        change["ReferenceData/IonCurrent"] = float_stream(reference_current)
    write_txrm(path, counts(), ANGLES, reference=counts(1)[0], reference_exposure_s=4.0, change=change)
    found = calibration_of(read(path)).exposure
    if expected is None:
        assert found is None
    else:
        np.testing.assert_allclose(found, expected)


def test_metadata_texts_end_at_their_nul(path: Path) -> None:
    write_txrm(path, counts(), ANGLES, reference=counts(1)[0])
    metadata = dict(read(path).metadata)
    assert metadata == {
        "vendor": "Zeiss / Xradia",
        "sample": "Röhrenknochen 7",
        "camera": "Imaging",
        "objective": "4X",
        "date": "11/09/15 18:00:00 to 11/09/15 18:00:06",
        "acquisition": "tomography",
        "voltage_kV": 80.0,
        "current_uA": 125.0,
        "pixel_size_um": 10.0,
        "energy": 80.0,
        "exposure_s": 2.0,
        "reference_exposure_s": 2.0,
        "xray_magnification": 4.0,
        "binning": "2 x 2",
        "reference_file": "20151108_bkg.xrm",
    }


def test_an_aborted_scan(path: Path) -> None:
    """As the real one in formats.md: NoOfImages 9, ImagesTaken 7, seven angles, no Alignment, no reference."""
    images = counts()
    write_txrm(path, images, ANGLES, planned=9)
    with pytest.warns(ScanWarning, match=r"scan\.txrm: 7 of 9 images are there \(ImagesTaken is 7\)"):
        scan = read(path)
    np.testing.assert_array_equal(np.asarray(scan.projections[:]), images)
    assert scan.geometry.views == 7 and scan.metadata["images"] == "7 of 9" and scan.calibration is None


def test_an_image_that_was_cut_short_is_the_last(path: Path) -> None:
    write_txrm(path, counts(), ANGLES, change={"ImageData1/Image7": b"\0" * 11})
    with pytest.warns(ScanWarning, match="6 of 7 images are there"):
        assert read(path).shape == (6, 4, 5)
    write_txrm(path, counts(), ANGLES, change={"ImageData1/Image4": b"\0" * 11})
    with pytest.raises(ValueError, match=r"1 of 7 images .* image 4 of 7 has 11 bytes, 4 x 5 uint16 need 40"):
        read(path)
    write_txrm(path, counts(), ANGLES, change={"ImageData1/Image4": None, "ImageData1/Image5": None})
    with pytest.raises(ValueError, match=r"2 of 7 images are missing .*: image 4 of 7 is missing"):
        read(path)


def test_numbers_of_images_are_not_believed(path: Path) -> None:
    change: Any = {"ImageInfo/NoOfImages": int_stream(2_000_000_000), "ImageInfo/ImagesTaken": int_stream(0)}
    write_txrm(path, counts(), ANGLES, change=change | {"ImageData1/Image900000000": b"\0"})
    with pytest.warns(ScanWarning, match=r"7 of 2000000000 images are there \(ImagesTaken is 0\)"):
        assert read(path).shape == (7, 4, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ImageInfo/DataType": int_stream(9)}, "ImageInfo/DataType is 9, unknown; known are 2 int8, 3 uint8"),
        ({"ImageInfo/DataType": None}, "ImageInfo/DataType is missing"),
        ({"ImageInfo/ImageWidth": None}, "is no XRM file: it has no ImageInfo/ImageWidth"),
        ({"ImageInfo/ImageWidth": int_stream(-5)}, "images of 4 x -5 pixels"),
        ({"ImageInfo/ImageWidth": int_stream(1 << 30)}, "images of 4 x 1073741824 pixels"),
        ({"ImageInfo/ImageHeight": int_stream(5)}, r"7 of 7 images .* image 1 of 7 has 40 bytes"),
        ({"ImageInfo/Angles": float_stream(1, 2, 3)}, r"3 angles for 7 images: give the geometry"),
        ({"ImageInfo/Angles": None}, r"0 angles for 7 images"),
        ({"ImageInfo/Angles": float_stream(*[math.nan] * 2, *range(5))}, "2 of 7 angles are not finite"),
        ({"ImageInfo/PixelSize": None}, "PixelSize is missing: give the geometry"),
        ({"ImageInfo/PixelSize": float_stream(0)}, "PixelSize is 0 um"),
        ({"ImageInfo/StoRADistance": None}, r"placeholders or missing \(StoRADistance missing, DtoRADistance 60 mm\)"),
        (
            {"ImageInfo/StoRADistance": float_stream(1), "ImageInfo/DtoRADistance": float_stream(1)},
            r"placeholders or missing \(StoRADistance 1 mm, DtoRADistance 1 mm\): give the geometry",
        ),
        ({"ImageInfo/XrayGeometry": int_stream(7)}, r"XrayGeometry is 7, known are 1 \(cone\) and 2 \(parallel\)"),
    ],
)
def test_files_that_cannot_be_read(path: Path, change: Any, message: str) -> None:
    write_txrm(path, counts(), ANGLES, change=change)
    with pytest.raises(ValueError, match=message) as caught:
        read(path)
    assert "scan.txrm" in str(caught.value)


def test_no_images_and_no_xrm(path: Path, tmp_path: Path) -> None:
    write_txrm(path, counts(1), [0.0], change={"ImageData1/Image1": None})
    with pytest.raises(ValueError, match=r"it holds no images \(ImageData1/Image1"):
        read(path)
    with pytest.raises(ValueError, match="is a truncated or damaged OLE2 file"):
        path.write_bytes(path.read_bytes()[:1500])
        read(path)


@pytest.fixture
def by_hand(tmp_path: Path) -> Geometry:
    geometry = ParallelBeam(torch.linspace(0, 3, 7), FlatDetector((4, 5), 0.01))
    geometry.save(tmp_path / "geometry.yaml")
    return geometry


@pytest.mark.parametrize("given", ["path", "object"])
def test_placeholders_need_a_geometry(path: Path, tmp_path: Path, by_hand: Geometry, given: str) -> None:
    placeholders: Any = {"ImageInfo/XrayGeometry": int_stream(1), "ImageInfo/Angles": None, "ImageInfo/PixelSize": None}
    write_txrm(path, counts(), ANGLES, distances_mm=(1.0, 1.0), center_shift=1.0, change=placeholders)
    scan = read(path, geometry=by_hand if given == "object" else tmp_path / "geometry.yaml")
    assert scan.geometry.equals(by_hand) and "center_shift_pixels" not in scan.metadata
    with pytest.raises(ValueError, match=r"scan\.txrm: projections \[7, 4, 5\] do not match .* views 7 != 6"):
        read(path, geometry=by_hand[1:])


def test_what_is_odd_but_readable_warns(path: Path) -> None:
    write_txrm(path, counts(), ANGLES, beam=None)
    with pytest.warns(ScanWarning, match="XrayGeometry is missing: read as a cone beam"):
        assert isinstance(read(path).geometry, ConeBeam)
    write_txrm(path, counts(), ANGLES, beam=PARALLEL)
    with pytest.warns(ScanWarning, match="distances of 20 and 60 mm: read as parallel"):
        assert isinstance(read(path).geometry, ParallelBeam)
    write_txrm(path, counts(), ANGLES, change={"ImageInfo/StoRADistance": float_stream(20, 20, 20, 21, 20, 20, 20)})
    with pytest.warns(ScanWarning, match="StoRADistance of 1 of 7 images differs from 20 mm"):
        read(path)
    write_txrm(path, counts(60), np.linspace(-math.pi, math.pi, 60))
    with pytest.warns(ScanWarning, match=r"60 angles span 6\.2832: .* look like radians"):
        read(path)
    write_txrm(path, counts(), ANGLES, shifts=np.ones((4, 2)))
    with pytest.warns(ScanWarning, match="4 X-Shifts and 4 Y-Shifts for 7 images: they are ignored"):
        read(path)
    write_txrm(path, counts(), ANGLES, shifts=np.full((7, 2), math.nan))
    with pytest.warns(ScanWarning, match="the shifts of 7 of 7 images are not finite"):
        read(path)
    signalling = b"\x01\x00\xa0\x7f" * 7
    write_txrm(path, counts(), ANGLES, change={"ImageInfo/Energy": signalling, "Alignment/X-Shifts": signalling})
    with pytest.warns(ScanWarning, match="7 X-Shifts and 0 Y-Shifts for 7 images"):
        assert "energy" not in read(path).metadata
    write_txrm(path, counts(), ANGLES, reference=counts(1)[0], exposure_s=500)
    with pytest.warns(ScanWarning, match="the exposures of 7 of 7 images are more than 100 times"):
        read(path)


def test_images_that_are_corrected_already(path: Path) -> None:
    corrected: Any = {"ImageInfo/OriginalDataRefCorrected": int_stream(1)}
    shifts = np.ones((7, 2))
    write_txrm(path, counts(dtype="float32"), ANGLES, reference=counts(1)[0], shifts=shifts, change=corrected)
    with pytest.warns(ScanWarning, match="read as transmission"):
        scan = read(path)
    assert scan.kind == "transmission"
    assert calibration_of(scan).reference is None and calibration_of(scan).shifts is not None
    write_txrm(path, counts(), ANGLES, change=corrected)
    with pytest.warns(ScanWarning, match="integers of unknown scale: read as counts"):
        assert read(path).kind == "counts"


def test_a_volume(tmp_path: Path) -> None:
    slices = counts(6, (8, 9))
    path = tmp_path / "volume.txm"
    write_txrm(path, slices, [], pixel_um=12.5)
    saved = read_volume(path)
    volume, grid, record = saved.values, saved.grid, saved.provenance
    np.testing.assert_array_equal(volume.numpy(), slices.astype(np.float32))
    assert grid.shape == (6, 8, 9) and grid.spacing == pytest.approx((0.0125,) * 3)
    assert record["values"] == "as stored" and record["metadata"]["vendor"] == "Zeiss / Xradia"
    with pytest.raises(ValueError, match=r"is a reconstructed volume \(\.txm\): read it with sinograd\.read_volume"):
        read(path)


def test_the_real_tomography(shared_data: Path) -> None:
    file = shared_data / "xrm" / "txrm_test_chip_tomo.txrm"
    scan = read(file)
    assert (scan.kind, scan.shape, scan.projections.dtype) == ("counts", (7, 256, 256), np.uint16)
    assert isinstance(scan.geometry, ParallelBeam) and scan.geometry.angles is not None
    degrees = -scan.geometry.angles.rad2deg().numpy()
    np.testing.assert_allclose(degrees, [-45.02, -30.01, -15.01, -0.014, 14.99, 29.99, 44.99], atol=0.01)
    assert scan.geometry.detector.spacing == pytest.approx((0.15578948e-3,) * 2, rel=1e-6)
    with olefile.OleFileIO(file) as truth:
        for view in (0, 6):
            stored = np.frombuffer(truth.openstream(f"ImageData1/Image{view + 1}").read(), "<u2").reshape(256, 256)
            np.testing.assert_array_equal(scan.projections[view], stored)
        stored = np.frombuffer(truth.openstream("Alignment/X-Shifts").read(), "<f4")
    calibration = calibration_of(scan)
    assert calibration.reference is None and calibration.shifts is not None
    np.testing.assert_array_equal(calibration.shifts[:, 1], stored)
    assert scan.metadata["date"] == "11/09/15 18:19:21 to 11/09/15 18:20:12"
    assert (scan.metadata["binning"], scan.metadata["exposure_s"]) == ("8 x 8", 5.0)
    assert scan.metadata["energy"] == pytest.approx(9200, rel=1e-3)
    scan.validate()


def test_the_real_single_image(shared_data: Path) -> None:
    scan = read(shared_data / "xrm" / "test_chip00.xrm")
    assert (scan.shape, scan.metadata["acquisition"]) == ((1, 512, 512), "single image")
    assert scan.metadata["reference_file"] == "20151108_004_bin4_40s_bkg.xrm"
    calibration = calibration_of(scan)
    assert calibration.reference is not None and calibration.reference.shape == (1, 512, 512)
    assert calibration.exposure == pytest.approx([39.884727 * 343 / (40 * 345)], rel=1e-6)


def test_a_truncated_copy_at_any_length(path: Path) -> None:
    write_txrm(path, counts(3, (40, 64)), [0, 1, 2], reference=counts(1, (40, 64))[0])
    content = path.read_bytes()
    for length in [1, 9, 511, 512, *range(600, len(content), 3001), len(content) - 1]:
        os.truncate(path, 0)
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"scan\.txrm"):
            read(path)


def write_folder(folder: Path, images: np.ndarray, angles: np.ndarray, **options: Any) -> None:
    """One .xrm file a view."""
    for index, image in enumerate(images):
        own = {name: value[index] if name in ("reference", "shifts") else value for name, value in options.items()}
        if "shifts" in own:
            own["shifts"] = own["shifts"][None]
        write_txrm(folder / f"chip_{index + 1}.xrm", image[None], [angles[index], 0.0, 0.0], **own)


def test_a_folder_of_single_images(tmp_path: Path) -> None:
    """As one scan: images in the order of their numbers, each at its own angle; the geometry that one file has."""
    images, angles = counts(12), np.linspace(-60, 50, 12)
    shifts = np.random.default_rng(1).normal(size=(12, 2)).astype(np.float32)
    white = np.repeat(counts(1) + 100, 12, axis=0)
    write_folder(tmp_path, images, angles, reference=white, shifts=shifts)
    scan = read(tmp_path)
    assert (scan.kind, scan.shape, scan.projections.dtype) == ("counts", (12, 4, 5), np.uint16)
    np.testing.assert_array_equal(scan.load().numpy(), images)
    np.testing.assert_array_equal(scan.load([11, 0]).numpy(), images[[11, 0]])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(scan.projections))[3], images[3])
    write_txrm(tmp_path.parent / "one.txrm", images, angles, shifts=shifts)
    one = read(tmp_path.parent / "one.txrm")
    torch.testing.assert_close(scan.geometry.vectors, one.geometry.vectors)
    calibration = calibration_of(scan)
    np.testing.assert_array_equal(calibration.load("reference").numpy(), white[:1])
    np.testing.assert_allclose(calibration.shifts, shifts)
    assert scan.metadata["date"] == "11/09/15 18:00:00" and "images" not in scan.metadata


def test_references_of_a_folder(tmp_path: Path) -> None:
    """Each image's own where they differ, at most sixteen; or files that say it in their names."""
    images, angles = counts(40), np.linspace(0, 195, 40)
    white = counts(40)[::-1]
    write_folder(tmp_path, images, angles, reference=white)
    calibration = calibration_of(read(tmp_path))
    views = calibration.reference_views
    assert views is not None and len(views) == 16 and views[0] == 0 and views[-1] == 39
    np.testing.assert_array_equal(calibration.load("reference").numpy(), white[views.astype(int)])
    for name, first in (("ref_1", 0), ("ref_2", 1), ("dark", 2)):
        write_txrm(tmp_path / f"{name}.xrm", white[first][None], [0.0])
    scan = read(tmp_path)
    assert scan.shape == (40, 4, 5)
    np.testing.assert_array_equal(calibration_of(scan).load("reference").numpy(), white[:2])
    np.testing.assert_array_equal(calibration_of(scan).load("dark").numpy(), white[2:3])


def test_folders_of_images_that_differ(tmp_path: Path) -> None:
    write_folder(tmp_path, counts(5), np.arange(5.0))
    write_txrm(tmp_path / "chip_4.xrm", counts(1, (4, 6)), [3.0])
    with pytest.raises(ValueError, match=r"chip_4\.xrm holds \[4, 6\] uint16 but chip_1\.xrm \[4, 5\] uint16"):
        read(tmp_path)
    write_txrm(tmp_path / "chip_4.xrm", counts(1), [3.0], pixel_um=12.0)
    with pytest.warns(ScanWarning, match="PixelSize of the 5 files differs, from 10 to 12"):
        read(tmp_path)


def test_the_real_single_image_as_a_folder(shared_data: Path, tmp_path: Path) -> None:
    real = next((shared_data / "xrm").glob("*.xrm"))
    for index in range(3):
        (tmp_path / f"chip_{index}.xrm").symlink_to(real)
    one, folder = read(real), read(tmp_path)
    assert folder.shape == (3, *one.shape[1:]) and folder.geometry.detector.equals(one.geometry.detector)
    torch.testing.assert_close(folder.load(2), one.load(0))
