"""Scans that do not say how large their pixels are. Truth: the same scan in mm, with lengths that are scaled."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.data.units import Conversion, quantity_text
from sinograd.errors import InputError, ScanWarning, SinogradError, UnitError
from sinograd.geometry.scaling import scaled_beam

PIXEL = 0.00065  # mm
UNKNOWN = "does not say how large its pixels are"


@pytest.fixture
def scan_file(tmp_path: Path) -> Path:
    """DXchange without a pixel size: a disc of radius 10 pixels, exactly 0.02 a pixel, 40 views of 3 x 40."""
    columns = np.arange(40) - 19.5
    chords = 2 * np.sqrt(np.clip(100 - columns**2, 0, None))
    counts = np.broadcast_to(np.exp(-0.02 * chords).astype(np.float32), (40, 3, 40)) * 50_000
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["exchange/data"] = counts.round().astype(np.uint16)
        file["exchange/data_white"] = np.full((2, 3, 40), 50_000, np.uint16)
        file["exchange/theta"] = np.arange(40) * 4.5
        file["exchange/theta"].attrs["units"] = "deg"
    return tmp_path / "scan.h5"


def test_attenuation_is_per_pixel_until_the_size_is_stated(scan_file: Path, tmp_path: Path) -> None:
    with pytest.warns(ScanWarning, match=f"{UNKNOWN}: lengths are in pixels, .*; `pixel_mm` states it"):
        volume = sg.reconstruct(scan_file, tmp_path / "v.h5", preview=tmp_path / "v.png", page=tmp_path / "v.html")
    assert volume.unit == "1/pixel" and volume.length_unit == "pixel" and volume.spacing == (1, 1, 1)
    assert volume.values[1, 15:25, 15:25].mean() == pytest.approx(0.02, rel=0.02)
    assert "1 x 1 x 1 pixels, per pixel" in repr(volume)
    page = (tmp_path / "v.html").read_text()
    assert "voxels of 1 x 1 x 1 pixels (z, y, x)" in page and '"length": "pixels"' in page and " per pixel" in page
    assert b"attenuation (per pixel)" in (tmp_path / "v.png").read_bytes()

    known = sg.reconstruct(scan_file, pixel_mm=np.float64(PIXEL))
    assert known.unit == "1/mm" and known.spacing == pytest.approx((PIXEL,) * 3)
    torch.testing.assert_close(known.values, volume.values / PIXEL, rtol=1e-5, atol=1e-3)
    with pytest.warns(ScanWarning, match=UNKNOWN):
        scan = sg.read(scan_file)
    stated = sg.reconstruct(scan, pixel_mm=PIXEL)
    torch.testing.assert_close(stated.values, known.values)


@pytest.mark.parametrize(
    "name", ["v.h5", "v.tif", "v.npy", "v.raw", "v.mha", "v.nii.gz", "v.zarr", "v.mrc", "v.nrrd", "v"]
)
def test_files_keep_the_unit(tmp_path: Path, name: str) -> None:
    volume = sg.Volume(torch.rand(2, 3, 4), sg.Grid((2, 3, 4), 1.0), "1/pixel")
    sg.write_volume(volume, tmp_path / name)
    again = sg.read_volume(tmp_path / name)
    assert again.unit == "1/pixel"
    converted = sg.convert(tmp_path / name, tmp_path / "mm.h5", pixel_mm=0.5)
    saved = sg.read_volume(tmp_path / "mm.h5")
    assert converted.unit == saved.unit == "1/mm" and saved.spacing == pytest.approx((0.5, 0.5, 0.5))
    torch.testing.assert_close(saved.values, volume.values / 0.5)


@pytest.mark.parametrize(("name", "to"), [("b.h5", None), ("b.npy", None), ("b", None), ("b.h5", "dxchange")])
def test_scans_keep_it(scan_file: Path, tmp_path: Path, name: str, to: str | None) -> None:
    with pytest.warns(ScanWarning, match=UNKNOWN):
        sg.convert(scan_file, tmp_path / name, to=to)
    with pytest.warns(ScanWarning, match=UNKNOWN):
        assert sg.read(tmp_path / name).length_unit == "pixel"
    with pytest.warns(ScanWarning, match=UNKNOWN):
        assert sg.read(tmp_path / name)[::2].volume_unit == "1/pixel"
    assert sg.read(tmp_path / name, pixel_mm=PIXEL).geometry.detector.column_spacing == pytest.approx(PIXEL)
    sg.convert(tmp_path / name, tmp_path / "mm.h5", pixel_mm=PIXEL)
    assert sg.read(tmp_path / "mm.h5").length_unit == "mm"


def test_what_needs_millimetres_says_what_to_give(tmp_path: Path) -> None:
    volume = sg.Volume(torch.rand(2, 3, 4), sg.Grid((2, 3, 4), 1.0), "1/pixel")
    advice = "the pixel size is not known: `pixel_mm` of convert states it"
    for target, more in {"HU": {"water": 0.02}, "1/mm": {}, "mg/cm3": {"density": (1.0, 0.0)}}.items():
        with pytest.raises(UnitError, match=f"from 1/pixel to {target}: {advice}"):
            volume.to(target, **more)
        with pytest.raises(UnitError, match=advice):
            volume.require(target, "this")
    hounsfield = volume.to("HU", water=0.04, pixel_mm=0.5)
    torch.testing.assert_close(hounsfield.values, 1000 * (volume.values / 0.5 - 0.04) / 0.04)
    assert hounsfield.spacing == (0.5, 0.5, 0.5)
    with pytest.raises(UnitError, match="`pixel_mm` is for volumes in 1/pixel, the volume is in HU"):
        hounsfield.to("1/mm", water=0.04, pixel_mm=0.5)
    with pytest.raises(InputError, match="pixel_mm must be positive, got 0"):
        volume.to("1/mm", pixel_mm=0)
    there = Conversion("1/pixel", "1/mm", pixel_mm=0.5)
    assert there.slope == 2 and there.inverse.slope == 0.5 and quantity_text("1/pixel") == "attenuation (per pixel)"


def test_lengths_in_mm_need_the_pixel_size(scan_file: Path) -> None:
    with pytest.warns(ScanWarning, match=UNKNOWN), pytest.raises(InputError, match=r"`voxel_mm`: .*; give `pixel_mm`"):
        sg.reconstruct(scan_file, voxel_mm=0.001)
    with pytest.raises(InputError, match="the pixel size is that of `geometry`"):
        sg.read(scan_file, "walnut", pixel_mm=PIXEL)
    cone = sg.ConeBeam.circular(
        source_to_origin=10, source_to_detector=20, angles=[0.0], detector=sg.FlatDetector((2, 2), 1)
    )
    with pytest.raises(InputError, match="`pixel_mm` is for parallel beams, this is a ConeBeam"):
        sg.Scan(torch.zeros(1, 2, 2), cone).with_pixel(1.0)


def test_the_whole_geometry_scales() -> None:
    """Against the same beam written out in mm, of both constructors."""
    angles, shifts = torch.linspace(0, math.pi, 5), torch.rand(5, 2)
    many = {"axis_offset": 3.0, "tilt": 0.01, "in_plane_rotation": -0.02}
    beam = sg.ParallelBeam(angles, sg.FlatDetector((4, 6), (1.0, 2.0), (0.5, 7.0)), shifts=shifts, **many)
    want = sg.ParallelBeam(
        angles,
        sg.FlatDetector((4, 6), (0.25, 0.5), (0.125, 1.75)),
        shifts=0.25 * shifts,
        **many | {"axis_offset": 0.75},
    )
    assert scaled_beam(beam, 0.25).equals(want)
    vectors = beam.vectors
    parts = {"directions": vectors[:, 0], "centers": vectors[:, 1], "u": vectors[:, 2], "v": vectors[:, 3]}
    free = sg.ParallelBeam.from_vectors(**parts, detector=sg.FlatDetector((4, 6), (1.0, 2.0)))
    torch.testing.assert_close(scaled_beam(free, 0.25).vectors, want.vectors)
    line = sg.ParallelBeam(angles, sg.FlatDetector(6, 2.0, 7.0))
    assert scaled_beam(line, 0.25).equals(sg.ParallelBeam(angles, sg.FlatDetector(6, 0.5, 1.75)))


def test_on_the_command_line(scan_file: Path, tmp_path: Path, sinograd: Any) -> None:
    told = sinograd("info", scan_file)
    assert "; --pixel-mm states it" in told.stderr and "3 x 40 of 1 pixel" in told.stdout
    assert "mm" not in "".join(
        line for line in told.stdout.splitlines() if line.startswith(("detector", "field", "grid"))
    )
    assert "--pixel-mm" not in sinograd("info", scan_file, "--pixel-mm", PIXEL).stderr
    assert "3 x 40 of 650 nm" in sinograd("info", scan_file, "--pixel-mm", PIXEL).stdout
    record = json.loads(sinograd("info", scan_file, "--json").stdout)
    assert record["geometry"]["detector"]["spacing_pixels"] == [1, 1] and record["grid"]["voxel_pixels"] == [1, 1, 1]
    made = sinograd("reconstruct", scan_file, "-o", tmp_path / "v.h5")
    assert "--pixel-mm states it" in made.stderr and "voxels of 1 pixel" in made.stdout
    bone = sinograd("bone", tmp_path / "v.h5", "--density", "1,0", "--threshold", 1, "-o", tmp_path / "bone")
    assert bone.exit_code == 2 and "the pixel size is not known" in bone.stderr
    assert sinograd("convert", tmp_path / "v.h5", tmp_path / "mm.h5", "--pixel-mm", PIXEL).exit_code == 0
    assert sg.read_volume(tmp_path / "mm.h5").spacing == pytest.approx((PIXEL,) * 3)
    again = sinograd("reconstruct", scan_file, "-o", tmp_path / "w.h5", "--pixel-mm", PIXEL, "-q")
    assert again.exit_code == 0 and again.stderr == ""
    config = sinograd("reconstruct", scan_file, "--config", tmp_path / "w.h5", "-o", tmp_path / "x.h5")
    assert config.exit_code == 0 and sg.read_volume(tmp_path / "x.h5").unit == "1/mm"


def test_nxtomo_without_a_pixel_size(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.nxs", "w") as file:
        for name, kind in {
            "entry": "NXentry",
            "entry/i": "NXinstrument",
            "entry/i/d": "NXdetector",
            "entry/s": "NXsample",
        }.items():
            file.create_group(name).attrs["NX_class"] = kind
        file["entry/i/d/data"], file["entry/i/d/image_key"] = np.ones((4, 2, 3), np.uint16), [0, 0, 0, 1]
        file["entry/s/rotation_angle"] = [0.0, 60.0, 120.0, 120.0]
        file["entry/s/rotation_angle"].attrs["units"] = "deg"
    with pytest.warns(ScanWarning, match=UNKNOWN):
        assert sg.read(tmp_path / "s.nxs").length_unit == "pixel"
    assert sg.read(tmp_path / "s.nxs", pixel_mm=2).geometry.detector.spacing == (2, 2)


def test_hdf5_by_a_yaml_file_without_pixel_mm(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["frames"], file["angle"] = np.ones((4, 2, 3), np.uint16), np.arange(4) * 45.0
    text = "hdf5: raw.h5\nprojections: frames\nangles: {dataset: angle, unit: deg}\n"
    (tmp_path / "raw.yaml").write_text(text)
    with pytest.warns(ScanWarning, match=UNKNOWN):
        assert sg.read(tmp_path / "raw.yaml").volume_unit == "1/pixel"
    (tmp_path / "raw.yaml").write_text(text + "source_to_origin: 10\nsource_to_detector: 20\n")
    with pytest.raises(SinogradError, match="lacks pixel_mm, or a geometry"):
        sg.read(tmp_path / "raw.yaml")
