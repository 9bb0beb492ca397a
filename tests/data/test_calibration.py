"""What belongs to the projections: checks, views, files. Truth: the arrays it was made from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from sinograd.data import Calibration, Scan
from sinograd.data.projections import ChosenViews
from sinograd.io import read, write_scan


@pytest.fixture
def counts(cone_scan: Scan) -> Scan:
    """Six views of 4 x 5 pixels of counts with everything a calibration can hold."""
    draw = np.random.default_rng(3)
    calibration = Calibration(
        reference=draw.integers(900, 1000, (3, 4, 5), dtype=np.uint16),
        reference_views=np.array([-1.0, 2.5, 6.0]),
        dark=draw.integers(0, 9, (2, 4, 5), dtype=np.uint16),
        shifts=draw.normal(size=(6, 2)),
        exposure=np.linspace(0.9, 1.1, 6),
    )
    stored = draw.integers(0, 65536, (6, 4, 5), dtype=np.uint16)
    return dataclasses.replace(cone_scan, projections=stored, kind="counts", calibration=calibration)


def calibration_of(scan: Scan) -> Calibration:
    assert scan.calibration is not None
    return scan.calibration


def assert_same(a: Calibration, b: Calibration) -> None:
    for name in ("reference", "reference_views", "dark", "shifts", "exposure"):
        first, second = getattr(a, name), getattr(b, name)
        assert (first is None) == (second is None), name
        if first is not None:
            np.testing.assert_array_equal(np.asarray(first[:]), np.asarray(second[:]), err_msg=name)


def test_what_it_tells(counts: Scan) -> None:
    calibration = calibration_of(counts)
    assert (calibration.references, calibration.darks, calibration.is_empty) == (3, 2, False)
    assert Calibration().is_empty
    assert calibration.load("reference").dtype == torch.float32
    np.testing.assert_array_equal(calibration.load("dark").numpy(), calibration.dark)
    text = repr(counts)
    assert "counts; uint16" in text
    assert "calibration: Calibration(reference=[3, 4, 5] uint16, in memory" in text
    assert "reference_views=[3] -1 to 6" in text
    with pytest.raises(ValueError, match="this calibration has no dark"):
        Calibration().load("dark")


def test_the_entries_cannot_be_changed_from_outside() -> None:
    shifts = np.zeros((2, 2))
    calibration = Calibration(shifts=shifts)
    shifts += 1
    assert calibration.shifts is not None and not calibration.shifts.any()
    with pytest.raises(ValueError, match="read-only"):
        calibration.shifts[0] = 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"reference": [[1.0]]}, TypeError, "reference must be an array, .* got list"),
        ({"dark": np.zeros(3)}, ValueError, r"dark must be \[n, rows, columns\] or \[n, columns\] .* got \[3\]"),
        ({"reference": np.zeros((0, 2, 2))}, ValueError, "reference must be .* not empty"),
        ({"reference_views": [0.0]}, ValueError, "reference_views are given without reference"),
        (
            {"reference": np.zeros((2, 3, 3)), "reference_views": [0.0]},
            ValueError,
            "reference_views has 1 entries for 2 references",
        ),
        ({"shifts": np.zeros((4, 3))}, ValueError, r"shifts must be \[n, 2\] and not empty, got \[4, 3\]"),
        ({"shifts": np.full((4, 2), np.nan)}, ValueError, "shifts must be finite, 8 of 8 values are not"),
        ({"exposure": [1.0, 0.0, -1.0]}, ValueError, "exposure must be positive, 2 of 3 entries are not"),
    ],
)
def test_refusals(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Calibration(**arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": np.ones((3, 4, 4))}, r"calibration\.reference \[3, 4, 4\] does not match projections"),
        ({"dark": np.ones((1, 5))}, r"images \[5\] != \[4, 5\]"),
        ({"shifts": np.zeros((7, 2))}, r"calibration\.shifts has 7 entries for 6 views"),
        ({"exposure": np.ones(5)}, r"calibration\.exposure has 5 entries for 6 views"),
    ],
)
def test_what_does_not_fit_the_scan(counts: Scan, change: Any, message: str) -> None:
    wrong = dataclasses.replace(calibration_of(counts), **change)
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(counts, calibration=wrong).check_shape()


def test_arguments_of_other_types(counts: Scan) -> None:
    with pytest.raises(TypeError, match="calibration must be a Calibration, got dict"):
        dataclasses.replace(counts, calibration={})  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="kind must be one of line integrals, transmission, counts, got 'photons'"):
        dataclasses.replace(counts, kind="photons")


@pytest.mark.parametrize("views", [slice(1, 6, 2), slice(None, None, -1), [0, 3, 4], torch.tensor([1, 5]), 4, -1])
def test_some_views_of_a_scan(counts: Scan, views: Any) -> None:
    order = np.atleast_1d(np.arange(6)[views if isinstance(views, slice | int) else np.asarray(views)])
    chosen = counts[views]
    np.testing.assert_array_equal(chosen.load().numpy(), counts.load().numpy()[order])
    assert chosen.geometry.equals(counts.geometry[order.tolist()])
    before, after = calibration_of(counts), calibration_of(chosen)
    assert before.shifts is not None and after.shifts is not None
    np.testing.assert_array_equal(after.shifts, before.shifts[order])
    chosen.check_shape()


def test_references_keep_their_places_between_the_views(counts: Scan) -> None:
    assert counts.calibration is not None
    np.testing.assert_allclose(calibration_of(counts[::2]).reference_views, [-0.5, 1.25, 3.0])
    np.testing.assert_allclose(calibration_of(counts[::-1]).reference_views, [6.0, 2.5, -1.0])
    np.testing.assert_allclose(calibration_of(counts[2:4]).reference_views, [-3.0, 0.5, 4.0])
    np.testing.assert_allclose(calibration_of(counts[[1, 2, 5]]).reference_views, [-2.0, 1 + 1 / 6, 2 + 1 / 3])
    with pytest.raises(ValueError, match="the chosen views must be in order"):
        counts[[3, 1, 2]]


def test_some_views_of_a_file_stay_in_it(counts: Scan, tmp_path: Path) -> None:
    write_scan(counts, tmp_path / "scan.h5")
    everything = counts.load().numpy()
    scan = read(tmp_path / "scan.h5")[1:][::2]
    assert isinstance(scan.projections, ChosenViews)
    np.testing.assert_array_equal(scan.load().numpy(), everything[[1, 3, 5]])
    np.testing.assert_array_equal(scan.load([2, 0]).numpy(), everything[[5, 1]])
    np.testing.assert_array_equal(scan.load(1).numpy(), everything[3])
    np.testing.assert_array_equal(scan.projections[1:2], np.asarray(counts.projections)[3:4])


def test_round_trip(counts: Scan, tmp_path: Path) -> None:
    write_scan(counts, tmp_path / "scan.h5")
    scan = read(tmp_path / "scan.h5")
    assert scan.kind == "counts"
    assert scan.projections.dtype == np.uint16
    np.testing.assert_array_equal(np.asarray(scan.projections[:]), np.asarray(counts.projections))
    assert_same(calibration_of(scan), calibration_of(counts))
    write_scan(scan, tmp_path / "again.h5")
    assert_same(calibration_of(read(tmp_path / "again.h5")), calibration_of(counts))
    with h5py.File(tmp_path / "scan.h5") as file:
        assert (file.attrs["version"], file.attrs["kind"]) == (2, "counts")
        assert file["calibration/reference"].chunks == (1, 4, 5)
        assert file["calibration/reference"].attrs["axes"] == "images rows columns"


def test_round_trip_of_a_part(fan_scan: Scan, tmp_path: Path) -> None:
    calibration = Calibration(reference=torch.rand(1, 9, dtype=torch.float64))
    scan = dataclasses.replace(fan_scan, kind="transmission", calibration=calibration)
    write_scan(scan, tmp_path / "scan.h5")
    found = read(tmp_path / "scan.h5")
    assert found.kind == "transmission" and found.projections.dtype == np.float32
    torch.testing.assert_close(calibration_of(found).load("reference"), calibration.load("reference"), rtol=0, atol=0)


def test_damaged_calibrations(counts: Scan, tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    write_scan(counts, path)
    with h5py.File(path, "r+") as file:
        del file["calibration/shifts"]
        file["calibration/shifts"] = np.zeros((5, 2))
    with pytest.raises(ValueError, match=r"scan\.h5: calibration\.shifts has 5 entries for 6 views"):
        read(path)
    with h5py.File(path, "r+") as file:
        del file["calibration/shifts"]
        file["calibration/shifts"] = np.zeros(6)
    with pytest.raises(ValueError, match=r"scan\.h5: /calibration: shifts must be \[n, 2\]"):
        read(path)
