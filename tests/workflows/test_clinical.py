"""From raw folders to Hounsfield units, DICOM slices and low-dose pairs. Truth: water phantoms, tags as pydicom reads
them, means computed here."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch

import sinograd as sg
from sinograd.errors import InputError, ScanWarning
from sinograd.evaluation.pairs_file import read_pairs_file
from sinograd.io.volumes.dicom.new_series import write_slices
from sinograd.phantoms.balls import balls
from sinograd.phantoms.cylinders import water
from sinograd.testing import CtPdStyle, write_ct_pd

WATER = 0.0187
GRID: dict[str, Any] = {"voxel_mm": 6.0, "shape": (6, 50, 50), "center_mm": (0.0, 0.0, 20.0)}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Water with a dense ball that lies at +x, -y, high."""
    folder = tmp_path_factory.mktemp("raw")
    helix = sg.ConeBeam.helical(
        source_to_origin=595.0,
        source_to_detector=1085.6,
        angles=torch.arange(4 * 72, dtype=torch.float64) * 2 * math.pi / 72,
        detector=sg.CurvedDetector((16, 96), (5.0, 6.0), offset=(0.0, 1.5)),
        pitch=30.0,
        z_start=-40.0,
    )
    phantom = water(100.0, WATER) + balls([20.0], [WATER], [(50.0, -30.0, 26.0)])
    write_ct_pd(sg.Scan(phantom.project(helix), helix), folder / "scan", photons=1e6, style=CtPdStyle(water=WATER))
    return folder / "scan"


def test_water_is_zero_and_a_ball_lies_where_it_is(raw: Path, tmp_path: Path) -> None:
    """HU by the scan's own water; DICOM slices say where they lie in the patient, and are read back the same."""
    out = tmp_path / "slices"
    volume = sg.reconstruct(raw, out, unit="HU", window="hann", **GRID)
    assert volume.unit == "HU"
    values = volume.values
    assert abs(float(values[2:4, 20:30, 18:24].mean())) < 25
    files = sorted(out.iterdir())
    assert len(files) == 6
    slices = [pydicom.dcmread(file) for file in files]
    assert [float(one.ImagePositionPatient[2]) for one in slices] == pytest.approx([5, 11, 17, 23, 29, 35])
    first = slices[0]
    assert [float(v) for v in first.ImagePositionPatient[:2]] == pytest.approx([-147, -147])
    assert first.ImageOrientationPatient == [1, 0, 0, 0, 1, 0] and first.PixelSpacing == [6, 6]
    assert (first.SliceThickness, first.RescaleType, first.KVP, first.PatientPosition) == (6, "HU", 120, "FFS")
    assert first.ConvolutionKernel == "hann" and first.PatientID == "ANONYMOUS"
    assert len({one.SOPInstanceUID for one in slices}) == 6 and len({one.SeriesInstanceUID for one in slices}) == 1
    stored = np.stack([one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in slices])
    np.testing.assert_allclose(stored, values.numpy(), atol=0.5001)
    z, y, x = np.unravel_index(stored.argmax(), stored.shape)
    place = (-147 + 6 * x, -147 + 6 * y, 5 + 6 * z)
    assert np.linalg.norm(np.subtract(place, (50, -30, 26))) < 20
    again = sg.read_volume(out)
    assert again.unit == "HU" and again.grid.equals(volume.grid)
    sg.reconstruct(raw, tmp_path / "again.nii.gz", unit="HU", window="hann", **GRID)
    assert sg.read_volume(tmp_path / "again.nii.gz").unit in ("HU", None)


@pytest.mark.parametrize(
    ("position", "signs"),
    [("FFS", (1, 1, 1)), ("HFS", (-1, 1, -1)), ("HFP", (1, -1, -1)), ("FFP", (-1, -1, 1)), ("", (1, 1, 1))],
)
def test_positions_of_the_patient_turn_the_slices(tmp_path: Path, position: str, signs: tuple[int, int, int]) -> None:
    """No position mirrors: three signs of product 1."""
    assert math.prod(signs) == 1
    grid = sg.Grid((3, 4, 5), (2.0, 1.0, 1.0), (7.0, -3.0, 50.0))
    values = torch.arange(60.0).reshape(3, 4, 5)
    write_slices(sg.Volume(values, grid, "HU"), tmp_path / "out", {"patient_position": position})
    second = pydicom.dcmread(tmp_path / "out" / "00002.dcm")
    corner = np.array([7.0 - 2, -3 - 1.5, 50.0]) * signs
    np.testing.assert_allclose([float(v) for v in second.ImagePositionPatient], corner)
    assert second.ImageOrientationPatient == [signs[0], 0, 0, 0, signs[1], 0]
    np.testing.assert_array_equal(second.pixel_array, values[1].numpy())


def test_thicker_slices_are_means(raw: Path) -> None:
    thin = sg.reconstruct(raw, unit="HU", **GRID)
    thick = sg.reconstruct(raw, unit="HU", slice_mm=18.0, **GRID)
    torch.testing.assert_close(thick.values, thin.values.reshape(2, 3, 50, 50).mean(1), rtol=1e-5, atol=1e-3)
    assert thick.grid.spacing == (18.0, 6.0, 6.0) and thick.grid.center[2] == pytest.approx(20.0)
    odd = sg.reconstruct(raw, unit="HU", slice_mm=24.0, **GRID)  # one of 24 mm, of the middle
    torch.testing.assert_close(odd.values[0], thin.values[1:5].mean(0), rtol=1e-5, atol=1e-3)
    assert odd.grid.center[2] == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"slice_mm": 10.0}, r"`slice_mm` must be a multiple of the grid's 6 mm, .* got 10; `voxel_mm` sets the grid"),
        ({"slice_mm": 60.0}, "of at most 6 slices, got 60"),
        ({"water": -1.0}, "`water` must be positive, got -1 1/mm"),
        ({"unit": "g"}, "`unit`"),
    ],
)
def test_wrong_options_are_said_before_any_work(raw: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        sg.reconstruct(raw, **{"unit": "HU", **GRID, **options})


def test_scans_that_do_not_state_water_need_it() -> None:
    fan = sg.FanBeam.circular(
        source_to_origin=500.0, source_to_detector=900.0, angles=sg.full_scan(90), detector=sg.FlatDetector(64, 6.0)
    )
    scan = sg.Scan(water(80.0, 0.02).project(fan), fan)
    with pytest.raises(InputError, match="needs the attenuation of water, which scan does not state"):
        sg.reconstruct(scan, unit="HU")
    values = sg.reconstruct(scan, unit="HU", water=0.02, window="hann").values
    middle = values[values.shape[0] // 2 - 5 :][:10, values.shape[1] // 2 - 5 :][:, :10]
    assert abs(float(middle.mean())) < 20


def test_a_pair_of_doses_in_three_commands(raw: Path, tmp_path: Path) -> None:
    """Simulate, reconstruct both, and pairs.yaml that training and evaluation take; ten times fewer photons make the
    noise larger by its square root."""
    sg.simulate(raw, tmp_path / "low.h5", dose=0.1, seed=1)
    options: dict[str, Any] = {"unit": "HU", "window": "hann", **GRID}
    sg.reconstruct(raw, tmp_path / "normal", **options)
    with_noise = sg.reconstruct(tmp_path / "low.h5", tmp_path / "low", **options)
    (tmp_path / "pairs.yaml").write_text(
        "pairs:\n  layout: volumes\n  unit: HU\n  files:\n"
        "    - {input: low, target: normal, name: water, patient: p1, group: abdomen}\n"
    )
    (pair,) = read_pairs_file(tmp_path / "pairs.yaml")
    low, normal = (part.read(0, 6) for part in (pair.inputs[0], pair.target))
    torch.testing.assert_close(low, with_noise.values, rtol=0, atol=0.51)
    assert low.shape == normal.shape and float((low - normal)[:, 20:30, 20:30].std()) > 1
    assert pydicom.dcmread(tmp_path / "low" / "00001.dcm").SeriesDescription.endswith("10 % dose")


def test_values_beyond_16_bits_are_told(tmp_path: Path) -> None:
    volume = sg.Volume(torch.tensor([[[1e6, 0.4]]]), sg.Grid((1, 1, 2), 1.0), "HU")
    with pytest.warns(ScanWarning, match="1 values beyond -32768 to 32767 HU were limited"):
        write_slices(volume, tmp_path / "out", {})
    with pytest.raises(InputError, match="in HU, got"):
        write_slices(sg.Volume(torch.zeros(1, 1, 2), volume.grid, "1/mm"), tmp_path / "other", {})
