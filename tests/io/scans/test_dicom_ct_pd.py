"""Folders of DICOM-CT-PD. Truth: files of the synthetic writer, and rays computed here from their tags as the manual
defines them."""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch

import sinograd as sg
from dicom_slices import tissue, write_slices
from sinograd.errors import FormatError, ScanWarning
from sinograd.phantoms.balls import balls
from sinograd.testing import CtPdStyle, write_ct_pd

VIEWS, SOD, SDD = 60, 595.0, 1085.6
CURVED = sg.CurvedDetector((6, 20), (6.0, 20.0), offset=(2.0, 25.0))
FLAT = sg.FlatDetector((6, 20), (6.0, 20.0), offset=(2.0, 25.0))
PHANTOM = balls([40.0, 60.0, 30.0], [0.02, 0.01, 0.03], [(50.0, 20.0, 104.0), (-60.0, 0.0, 96.0), (0.0, -70.0, 101.0)])
PHOTONS = np.linspace(1e4, 8e4, VIEWS)[:, None] * np.linspace(0.2, 1.0, 20)


def helix(
    detector: sg.FlatDetector | sg.CurvedDetector = CURVED,
    *,
    turn: float = 1.0,
    pitch: float = 12.0,
    flying: bool = True,
) -> sg.ConeBeam:
    """Two turns and a half; the spot in four places: columns (rad), z and outward (mm)."""
    angles = turn * torch.arange(VIEWS, dtype=torch.float64) * 2 * math.pi / 24 + 1.0
    rise = torch.tensor([-0.66, 0.0, -0.66, 0.0], dtype=torch.float64).repeat(VIEWS // 4)
    outward = torch.tensor([5.45, 0.0, 5.45, 0.0], dtype=torch.float64).repeat(VIEWS // 4)
    spread = torch.tensor([1e-3, 1e-3, -1e-3, -1e-3], dtype=torch.float64).repeat(VIEWS // 4)
    offset = torch.stack([rise, (SOD + outward) * spread.sin(), (SOD + outward) * spread.cos() - SOD], 1)
    return sg.ConeBeam.helical(
        source_to_origin=SOD,
        source_to_detector=SDD,
        angles=angles,
        detector=detector,
        pitch=pitch,
        z_start=100.0 - pitch,
        source_offset=offset if flying else (0.0, 0.0),
    )


def written(folder: Path, geometry: sg.ConeBeam | None = None, **style: Any) -> sg.Scan:
    """The scan that a folder "raw" was made from."""
    geometry = helix() if geometry is None else geometry
    scan = sg.Scan(PHANTOM.project(geometry).float(), geometry)
    write_ct_pd(scan, folder / "raw", photons=PHOTONS[: geometry.views], style=CtPdStyle(**style))
    return scan


def change(path: Path, values: Mapping[int, Any], explicit: bool = True) -> None:
    """Other values of tags of a file; None: without the tag."""
    header = pydicom.dcmread(path)
    for tag, value in values.items():
        if value is None:
            del header[tag]
        elif tag in header:
            header[tag].value = value
        else:
            header.add_new(tag, "DS", value)
    header.save_as(path)


@pytest.mark.parametrize("private", ["typed", "bytes", "implicit"])
@pytest.mark.parametrize("detector", [CURVED, FLAT], ids=["curved", "flat"])
@pytest.mark.parametrize(("turn", "pitch"), [(1.0, 12.0), (-1.0, 12.0), (1.0, -12.0)])
def test_what_was_written_is_read(
    tmp_path: Path, detector: sg.CurvedDetector | sg.FlatDetector, turn: float, pitch: float, private: str
) -> None:
    """Source, focal centre and detector of each view to the float32 of the files, values to half a step of 16 bits."""
    made = written(tmp_path, helix(detector, turn=turn, pitch=pitch), private=private, swapped=private != "bytes")
    scan = sg.read(tmp_path / "raw")
    assert scan.kind == "line integrals" and scan.geometry.scan == "helical"
    difference = (scan.geometry.vectors - made.geometry.vectors).norm(dim=2).amax(0)
    assert float(difference.max()) < 5e-4
    step = made.load().amax(dim=(1, 2)) / 65535
    assert ((scan.load() - made.load()).abs().amax(dim=(1, 2)) <= 0.51 * step + 1e-6).all()


@pytest.mark.parametrize("detector", ["CYLINDRICAL", "FLAT"])
def test_rays_are_those_of_the_manual(tmp_path: Path, detector: str) -> None:
    """Pixels of a file, at places computed from its tags, are line integrals along the rays to the focal spot."""
    written(tmp_path, helix(CURVED if detector == "CYLINDRICAL" else FLAT, flying=True))
    scan = sg.read(tmp_path / "raw")
    views = scan.load()
    for view in (0, 1, 6, 31):
        tags = pydicom.dcmread(tmp_path / "raw" / f"{view + 1:06d}.dcm")
        assert tags[0x7029100B].value == detector and (tags.Rows, tags.Columns) == (20, 6)
        phi, z, rho = (tags[tag].value for tag in (0x70311001, 0x70311002, 0x70311003))
        turned, raised, farther = (tags[tag].value for tag in (0x7033100B, 0x7033100C, 0x7033100D))
        distance, (column, row) = tags[0x70311031].value, tags[0x70311033].value
        wide, high = tags[0x70291002].value, tags[0x70291006].value
        focus = np.array([-rho * math.sin(phi), rho * math.cos(phi), z])
        spot_angle, spot_radius = phi + turned, rho + farther
        spot = np.array([-spot_radius * math.sin(spot_angle), spot_radius * math.cos(spot_angle), z + raised])
        for c, r in ((1, 1), (20, 6), (7, 2), (14, 5)):
            # at phi = 0 the detector is at six o'clock, column 1 at -x, row 1 at the largest z
            along, up = (c - column) * wide, (row - r) * high
            if detector == "CYLINDRICAL":
                gamma = along / distance
                local = np.array([distance * math.sin(gamma), -distance * math.cos(gamma), up])
            else:
                local = np.array([along, -distance, up])
            turn = np.array([[math.cos(phi), -math.sin(phi), 0], [math.sin(phi), math.cos(phi), 0], [0, 0, 1]])
            pixel = focus + turn @ local
            stored = tags.pixel_array[c - 1, r - 1] * float(tags.RescaleSlope) + float(tags.RescaleIntercept)
            world = np.array([-1.0, -1.0, 1.0])
            origin, direction = scan.geometry.rays([view])
            place = (0, 6 - r, 20 - c)
            np.testing.assert_allclose(origin[place].numpy(), spot * world, atol=1e-3)
            ray = (pixel - spot) * world
            np.testing.assert_allclose(direction[place].numpy(), ray / np.linalg.norm(ray), atol=1e-6)
            assert float(views[view, 6 - r, 20 - c]) == pytest.approx(stored, abs=1e-6)


def test_photons_go_with_their_columns_and_views(tmp_path: Path) -> None:
    """[views, 1, columns], sliced with the scan, kept by sinograd's own files."""
    written(tmp_path)
    scan = sg.read(tmp_path / "raw")
    assert scan.calibration is not None and scan.calibration.photons is not None
    np.testing.assert_allclose(scan.calibration.photons[:, 0], PHOTONS, rtol=1e-6)
    part = scan[5:9]
    assert part.calibration is not None and part.calibration.photons is not None
    np.testing.assert_allclose(part.calibration.photons[:, 0], PHOTONS[5:9], rtol=1e-6)
    sg.write_scan(part, tmp_path / "part.h5")
    again = sg.read(tmp_path / "part.h5")
    assert again.calibration is not None
    np.testing.assert_array_equal(again.calibration.photons, part.calibration.photons)
    assert again.geometry.equals(part.geometry)


def test_metadata_tell_of_the_scanner_and_not_of_the_patient(tmp_path: Path) -> None:
    written(tmp_path, water=0.0187, description="Low dose projections", mode="FFSXYZ")
    scan = sg.read(tmp_path / "raw")
    assert scan.metadata["water_per_mm"] == pytest.approx(0.0187)
    assert scan.metadata["dose_level"] == "low" and scan.metadata["flying_focal_spot"] == "FFSXYZ"
    assert scan.metadata["vendor"] == "SIEMENS" and scan.metadata["voltage_kv"] == 120
    assert "logarithm" in scan.metadata["corrections"]
    text = f"{scan!r} {dict(scan.metadata)}"
    assert not any(secret in text for secret in ("L999", "Phantom", "1901"))


def test_water_of_older_files(tmp_path: Path) -> None:
    written(tmp_path)
    for file in (tmp_path / "raw").iterdir():
        change(file, {0x70411001: None, 0x00180061: "0.0171"})
    assert sg.read(tmp_path / "raw").metadata["water_per_mm"] == pytest.approx(0.0171)


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        (0x70311001, r"DetectorFocalCenterAngularPosition \(7031,1001\)"),
        (0x70311003, r"DetectorFocalCenterRadialDistance \(7031,1003\)"),
        (0x70311033, r"DetectorCentralElement \(7031,1033\)"),
        (0x70291010, r"NumberofDetectorRows \(7029,1010\)"),
        (0x7029100B, r"DetectorShape \(7029,100B\)"),
    ],
)
def test_a_missing_tag_is_named(tmp_path: Path, tag: int, words: str) -> None:
    written(tmp_path)
    change(tmp_path / "raw" / "000007.dcm", {tag: None})
    with pytest.raises(FormatError, match=rf"000007\.dcm lacks {words}"):
        sg.read(tmp_path / "raw")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({0x0020000E: "1.2.3"}, "holds 2 series of projections, expected one: 59 files .* 1 files"),
        ({0x70311031: 1000.0}, r"ConstantRadialDistance \(7031,1031\) is 1000.0, but 1085.5"),
        ({0x70291011: 30}, r"the image has 20 x 6 pixels, the detector 6 rows and 30 columns"),
        ({0x70331063: 2}, r"SpectrumIndex \(7033,1063\) is 2.0, but 1.0"),
        ({0x00200013: 3}, "1 views are repeated: 000003.dcm and 000007.dcm both have InstanceNumber 3"),
        ({0x70311001: math.nan}, r"AngularPosition \(7031,1001\) must be 1 finite number"),
        ({0x70331065: [1.0, 2.0]}, "PhotonStatistics .* must be 20 positive numbers"),
        ({0x00281053: "0"}, "no usable RescaleSlope"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path: Path, changes: Mapping[int, Any], words: str) -> None:
    written(tmp_path)
    change(tmp_path / "raw" / "000007.dcm", changes)
    with pytest.raises(FormatError, match=words):
        sg.read(tmp_path / "raw")


def test_another_detector_is_refused(tmp_path: Path) -> None:
    written(tmp_path)
    for file in (tmp_path / "raw").iterdir():
        change(file, {0x7029100B: "SPHERICAL"})
    with pytest.raises(FormatError, match=r"DetectorShape \(7029,100B\) must be CYLINDRICAL or FLAT, got 'SPHERICAL'"):
        sg.read(tmp_path / "raw")


@pytest.mark.parametrize("turn", [1.0, -1.0])
def test_gaps_are_told_and_keep_the_turns(tmp_path: Path, turn: float) -> None:
    """Forty missing views are more than a turn: the others stay where they are, and the pitch, too."""
    made = written(tmp_path, helix(turn=turn))
    for number in range(8, 48):
        (tmp_path / "raw" / f"{number:06d}.dcm").unlink()
    with pytest.warns(ScanWarning, match=r"40 of 60 views are missing, in 1 gap, .* InstanceNumber 7 and 48"):
        scan = sg.read(tmp_path / "raw")
    kept = [*range(7), *range(47, 60)]
    assert float((scan.geometry.vectors - made.geometry[kept].vectors).norm(dim=2).max()) < 5e-4
    angles, expected = scan.geometry.angles, made.geometry.angles
    assert angles is not None and expected is not None
    shift = (angles - expected[kept]) / (2 * math.pi)
    assert float((shift - shift.round()).abs().max()) < 1e-6 and float((shift - shift[0]).abs().max()) < 1e-6


def test_a_part_of_a_download_is_a_scan(tmp_path: Path) -> None:
    made = written(tmp_path)
    for number in (*range(1, 21), *range(41, 61)):
        (tmp_path / "raw" / f"{number:06d}.dcm").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scan = sg.read(tmp_path / "raw")
    assert float((scan.geometry.vectors - made.geometry[20:40].vectors).norm(dim=2).max()) < 5e-4


def test_names_do_not_order_the_views(tmp_path: Path) -> None:
    made = written(tmp_path)
    (tmp_path / "mixed").mkdir()
    for file in (tmp_path / "raw").iterdir():
        number = int(file.stem)
        shutil.copy(file, tmp_path / "mixed" / f"{(number * 37) % 61:03d}.IMA")
    scan = sg.read(tmp_path / "mixed")
    assert float((scan.geometry.vectors - made.geometry.vectors).norm(dim=2).max()) < 5e-4


def test_without_numbers_names_order_the_views(tmp_path: Path) -> None:
    made = written(tmp_path)
    for file in (tmp_path / "raw").iterdir():
        change(file, {0x00200013: None})
    with pytest.warns(ScanWarning, match="no InstanceNumber"):
        scan = sg.read(tmp_path / "raw")
    assert float((scan.geometry.vectors - made.geometry.vectors).norm(dim=2).max()) < 5e-4


def test_a_turn_that_goes_astray_is_told(tmp_path: Path) -> None:
    written(tmp_path)
    change(tmp_path / "raw" / "000030.dcm", {0x70311001: 3.0})
    with pytest.warns(ScanWarning, match=r"turns by 15 degrees from view to view, but 2 steps differ .* 000029\.dcm"):
        sg.read(tmp_path / "raw")


def test_tables_and_tubes_that_wobble(tmp_path: Path) -> None:
    """A height off the helix and another distance to the axis belong to the one view that has them."""
    made = written(tmp_path)
    change(tmp_path / "raw" / "000010.dcm", {0x70311002: float(made.geometry.vectors[9, 4, 2]) - 2.0 + 0.5})
    scan = sg.read(tmp_path / "raw")
    moved = scan.geometry.vectors - made.geometry.vectors
    assert scan.geometry.scan == "helical"
    expected = torch.zeros(5, 3, dtype=torch.float64)
    expected[[0, 1, 4], 2] = 0.5
    torch.testing.assert_close(moved[9], expected, rtol=0, atol=1e-3)
    assert float(moved[[*range(9), *range(10, 60)]].abs().max()) < 1e-3
    change(tmp_path / "raw" / "000020.dcm", {0x70311003: SOD + 2})
    vectors = sg.read(tmp_path / "raw").geometry.vectors
    moved = vectors - scan.geometry.vectors
    outward = made.geometry.vectors[19, 4] * torch.tensor([2 / SOD, 2 / SOD, 0.0])
    # the spot turns with it, by its own angle
    torch.testing.assert_close(moved[19, [1, 4]], outward.expand(2, 3), rtol=0, atol=1e-3)
    assert float(moved[19, 0].norm()) == pytest.approx(2.0, abs=1e-3)
    assert float(moved[[*range(19), *range(20, 60)]].abs().max()) < 1e-3


def test_a_circle_is_a_circle(tmp_path: Path) -> None:
    circle = sg.ConeBeam.circular(
        source_to_origin=SOD, source_to_detector=SDD, angles=sg.full_scan(24), detector=CURVED
    )
    made = sg.Scan(PHANTOM.project(circle).float(), circle)
    write_ct_pd(made, tmp_path / "raw")
    scan = sg.read(tmp_path / "raw")
    assert scan.geometry.scan == "circular"
    assert float((scan.geometry.vectors - circle.vectors).norm(dim=2).max()) < 5e-4


def test_files_of_ge_may_count_from_the_other_end(tmp_path: Path) -> None:
    made = written(tmp_path, helix(flying=False))
    for file in (tmp_path / "raw").iterdir():
        change(file, {0x00080070: "GE MEDICAL SYSTEMS"})
    with pytest.warns(ScanWarning, match=r"central column is 11.75 of 20.* \(9.25\): `flip_center=True`"):
        scan = sg.read(tmp_path / "raw")
    assert float((scan.geometry.vectors - made.geometry.vectors).norm(dim=2).max()) < 5e-4
    flipped = sg.read(tmp_path / "raw", flip_center=True)
    assert flipped.geometry.detector.offset == pytest.approx((2.0, -25.0), abs=1e-4)


def test_data_without_a_logarithm(tmp_path: Path) -> None:
    written(tmp_path)
    for file in (tmp_path / "raw").iterdir():
        change(file, {0x70391009: "NO"})
    assert sg.read(tmp_path / "raw").kind == "transmission"


def test_slices_stay_a_volume_and_projections_a_scan(tmp_path: Path) -> None:
    write_slices(tmp_path / "slices", tissue())
    written(tmp_path)
    assert sg.read_volume(tmp_path / "slices").unit == "HU"
    with pytest.raises(FormatError, match="is a volume, not a scan"):
        sg.read(tmp_path / "slices")
    with pytest.raises(FormatError):
        sg.read_volume(tmp_path / "raw")


@pytest.mark.parametrize("cut", [100, 900, 0.5, -1])
def test_a_truncated_file_is_named(tmp_path: Path, cut: float) -> None:
    written(tmp_path)
    file = tmp_path / "raw" / "000012.dcm"
    content = file.read_bytes()
    file.write_bytes(content[: int(cut * len(content)) if isinstance(cut, float) else cut])
    with pytest.raises(FormatError, match=r"000012\.dcm"):
        sg.read(tmp_path / "raw")


def test_packed_pixels_are_read(tmp_path: Path) -> None:
    made = written(tmp_path)
    for file in (tmp_path / "raw").iterdir():
        header = pydicom.dcmread(file)
        header.compress(pydicom.uid.RLELossless)
        header.save_as(file)
    scan = sg.read(tmp_path / "raw")
    assert float((scan.load() - made.load()).abs().max()) < 1e-4


def test_the_writer_refuses_what_the_format_does_not_hold(tmp_path: Path) -> None:
    tilted = sg.ConeBeam.circular(
        source_to_origin=SOD, source_to_detector=SDD, angles=sg.full_scan(4), detector=CURVED, tilt=0.1
    )
    with pytest.raises(sg.errors.InputError, match="no tilted detectors"):
        write_ct_pd(sg.Scan(torch.zeros(4, 6, 20), tilted), tmp_path / "raw")
