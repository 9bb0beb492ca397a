"""`sg.calibrate` against scans with known geometry, noise included."""

from __future__ import annotations

import dataclasses
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

import sinograd as sg
from recon.calibration.scans import (
    ERRORS,
    SOURCE_TO_DETECTOR,
    SOURCE_TO_ORIGIN,
    TRUTH,
    WIDTH,
    body,
    cone,
    measured,
    pixels_of_axis,
    wrong,
)
from sinograd.errors import CalibrationError, CalibrationWarning

AXIS_AND_ROLL = ("axis_offset", "in_plane_rotation")


def test_axis_and_roll_of_a_noisy_cone_beam() -> None:
    """From 5 % of the width and 2 degrees; what 48 columns of sharp edges err by is measured at 1e4 photons."""
    columns, views = 48, 48
    result = sg.calibrate(measured(cone(columns, views)), wrong(columns, views, AXIS_AND_ROLL), learn=AXIS_AND_ROLL)
    axis = (result.values["axis_offset"] - TRUTH["axis_offset"]) * pixels_of_axis(columns)
    roll = math.degrees(result.values["in_plane_rotation"] - TRUTH["in_plane_rotation"])
    assert abs(axis) < 0.05 and abs(roll) < 0.05
    assert result.converged and not result.held and result.after < 0.02 * result.before
    assert result.geometry.equals(cone(columns, views, **dict(result.values)))
    assert all(0 < result.standard_errors[name] < 0.15 * ERRORS[name] for name in AXIS_AND_ROLL)


def test_the_axis_of_a_fan_beam() -> None:
    make = lambda offset: sg.FanBeam.circular(  # noqa: E731
        source_to_origin=100,
        source_to_detector=200,
        angles=sg.full_scan(90),
        detector=sg.FlatDetector(96, WIDTH / 96),
        axis_offset=offset,
    )
    exact = body().project(make(0.8)).float()
    noisy = sg.add_photon_noise(exact, 1e4, generator=torch.Generator().manual_seed(1))
    result = sg.calibrate(noisy, make(0.8 + 0.05 * WIDTH / 2), learn=["axis_offset"])
    assert abs(result.values["axis_offset"] - 0.8) * pixels_of_axis(96) < 0.05


@pytest.mark.parametrize("columns", [130, 131])  # 131: binning by 2 and 4 leaves 1 and 3 columns over
def test_columns_that_binning_leaves_over(columns: int) -> None:
    """Offsets of the detector are those of all its columns."""

    def fan(offset: float) -> sg.FanBeam:
        return sg.FanBeam.circular(
            source_to_origin=SOURCE_TO_ORIGIN,
            source_to_detector=SOURCE_TO_DETECTOR,
            angles=sg.full_scan(100),
            detector=sg.FlatDetector(columns, WIDTH / columns, offset),
        )

    exact = body().project(fan(1.3)).float()
    found = sg.calibrate(exact, fan(0.0), learn=("column_offset",), columns=64).values["column_offset"]
    assert found == pytest.approx(1.3, abs=0.05 * WIDTH / columns)


def test_other_beams_and_detectors() -> None:
    """A short scan, a curved detector and parallel rays, without noise."""
    orbit = {"source_to_origin": 100.0, "source_to_detector": 200.0}
    line = sg.FlatDetector(64, 1.6)
    arc = sg.CurvedDetector(64, 1.6)
    makes = {
        "short": lambda t: sg.FanBeam.short_scan(**orbit, views=60, detector=line, axis_offset=t),
        "curved": lambda t: sg.FanBeam.circular(**orbit, angles=sg.full_scan(60), detector=arc, axis_offset=t),
        "parallel": lambda t: sg.ParallelBeam(
            torch.arange(60) * torch.pi / 60, sg.FlatDetector(64, 0.8), axis_offset=t
        ),
    }
    for name, make in makes.items():
        truth = make(0.5)[:]
        start = with_axis(truth, 0.5 + 0.03 * 51.2)
        result = sg.calibrate(body().project(truth).float(), start, learn=("axis_offset",))
        assert abs(result.values["axis_offset"] - 0.5) < 0.05 * 0.8, name


def with_axis(geometry: sg.Geometry, offset: float) -> sg.Geometry:
    """The same angles with another axis."""
    return dataclasses.replace(geometry.recipe, axis_offset=offset).geometry()


@pytest.mark.parametrize("criterion", ["sparsity", "entropy"])
def test_criteria_of_the_reconstruction_find_an_axis(criterion: str) -> None:
    make = lambda offset: sg.FanBeam.circular(  # noqa: E731
        source_to_origin=100,
        source_to_detector=200,
        angles=sg.full_scan(72),
        detector=sg.FlatDetector(64, 1.6),
        axis_offset=offset,
    )
    projections = body().project(make(0.8)).double()
    result = sg.calibrate(projections, make(1.6), criterion=criterion)
    assert result.criterion == criterion
    assert abs(result.values["axis_offset"] - 0.8) * pixels_of_axis(64) < 0.2


def test_what_a_scan_cannot_determine_is_held() -> None:
    """The source's distance is a matter of scale, and another place of the detector's rows one of tilt."""
    geometry = cone(32, 32)
    learn = ("axis_offset", "source_to_origin")
    with pytest.warns(CalibrationWarning, match="cannot determine source_to_origin: within its bounds"):
        result = sg.calibrate(measured(geometry), geometry, learn=learn)
    assert list(result.held) == ["source_to_origin"] and result.values["source_to_origin"] == 100.0
    assert list(result.standard_errors) == ["axis_offset"] and "held" in str(result)


def test_distances_of_a_narrow_cone_are_held() -> None:
    narrow = lambda: sg.ConeBeam.circular(  # noqa: E731
        source_to_origin=2000,
        source_to_detector=2200,
        angles=sg.full_scan(32),
        detector=sg.FlatDetector((32, 32), 1.6),
    )
    with pytest.raises(CalibrationError, match="determines none of what is to be learnt") as caught:
        sg.calibrate(torch.zeros(32, 32, 32), narrow(), learn=("source_to_detector",))
    result = caught.value.result
    assert isinstance(result, sg.recon.Calibrated) and result.geometry.equals(narrow())


def test_a_criterion_that_falls_to_a_bound() -> None:
    columns = 32
    start = wrong(columns, 32, ("axis_offset",))
    value = TRUTH["axis_offset"] + ERRORS["axis_offset"]
    with pytest.raises(CalibrationError, match="falls up to the bounds: axis_offset") as caught:
        sg.calibrate(measured(cone(columns, 32)), start, bounds={"axis_offset": (value - 0.4, value + 0.4)})
    assert caught.value.result is not None


def test_bad_input() -> None:
    geometry = cone(32, 32)
    projections = torch.zeros(geometry.projection_shape)
    wrongs: list[tuple[str, type[Exception], dict[str, object]]] = [
        ("learn: expected some of", sg.errors.InputError, {"learn": ("angle",)}),
        ("one number for all views, got motion", sg.errors.InputError, {"learn": ("motion",)}),
        ("criterion", sg.errors.InputError, {"criterion": "beauty"}),
        ("bounds: expected some of axis_offset, got tilt", sg.errors.InputError, {"bounds": {"tilt": (0, 1)}}),
        ("does not lie between", sg.errors.InputError, {"bounds": {"axis_offset": (2, 3)}}),
        ("bootstrap: expected 0 or at least 2", sg.errors.InputError, {"bootstrap": 1}),
        ("bootstrap must be at least 1, got -3", sg.errors.InputError, {"bootstrap": -3}),
        ("columns must be at least 1", sg.errors.InputError, {"columns": 0}),
    ]
    for message, kind, arguments in wrongs:
        with pytest.raises(kind, match=message):
            sg.calibrate(projections, geometry, **arguments)  # type: ignore[arg-type]
    with pytest.raises(sg.errors.InputError, match="does not match projections"):
        sg.calibrate(projections[1:], geometry)
    with pytest.raises(sg.errors.InputError, match="expected finite values"):
        sg.calibrate(projections + math.nan, geometry)
    with pytest.raises(sg.errors.InputError, match="given by arguments"):
        sg.calibrate(projections, geometry.at(geometry.vectors))
    with pytest.raises(sg.errors.InputTypeError, match="expected a Geometry"):
        sg.calibrate(projections, "cone")  # type: ignore[arg-type]


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    geometry = cone(64, 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sg.calibrate(measured(geometry)[::2], geometry[::2], progress=lambda *done: told.append(done))
    assert told == [(1, 2), (2, 2)]


def test_the_walnut_calibrates_itself(shared_data: Path) -> None:
    """Truth: 3.37 columns and 1 degree put in, beside the calibration of the scan as it is. Real data."""
    path = shared_data / "walnut" / "walnut_cone.npz"
    if not path.is_file():
        pytest.skip(f"needs the real scan of a walnut, and {path} does not exist")
    with np.load(path) as file:
        projections = torch.from_numpy(file["sinogram"][:-1].astype(np.float32))
        angles = -torch.from_numpy(file["angles"][:-1].astype(np.float64))
    detector = sg.FlatDetector((256, 256), 0.4)
    geometry = sg.ConeBeam.circular(
        source_to_origin=210.66, source_to_detector=553.74, angles=angles, detector=detector
    )
    place = torch.arange(256.0) - 127.5
    down, across = torch.meshgrid(place, place, indexing="ij")
    turn, shift = math.radians(1.0), 3.37
    read = torch.stack(
        [math.sin(turn) * across + math.cos(turn) * down, math.cos(turn) * across - math.sin(turn) * down + shift]
    )
    places = (read + 127.5).numpy()  # splines: torch's cubics move parts of a column by up to a twentieth too much
    moved = torch.from_numpy(np.stack([map_coordinates(view, places, mode="nearest") for view in projections.numpy()]))
    own, other = (
        sg.calibrate(values, geometry, learn=AXIS_AND_ROLL, columns=64).values for values in (projections, moved)
    )
    column = 0.4 * 210.66 / 553.74
    assert (other["axis_offset"] - own["axis_offset"]) / column == pytest.approx(-shift, abs=0.02)
    roll = math.degrees(other["in_plane_rotation"] - own["in_plane_rotation"])
    assert roll == pytest.approx(1.0, abs=0.02)
