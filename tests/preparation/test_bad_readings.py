"""Scans with readings that are not light and images that are bad as a whole, against line integrals that are known."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import sinograd as sg

VIEWS = 180
DETECTOR = sg.FlatDetector((12, 64), 0.1)
GRID = sg.Grid((8, 40, 40), 0.1)
OBJECT = sg.Ellipsoids([0.2, 0.1], [[1.4, 1.2, 0.5], [0.3, 0.3, 0.3]], [[0, 0, 0], [0.5, 0.2, 0]])
GEOMETRY = sg.ParallelBeam(sg.full_scan(VIEWS), DETECTOR)
EXACT = OBJECT.project(GEOMETRY, dtype=torch.float64)
AIR = EXACT == 0


def prepared(scan: sg.Scan, **options: Any) -> tuple[sg.Scan, str]:
    """The prepared scan and all its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        done = sg.prepare(scan, sg.Preparation(**options))
    assert all(issubclass(w.category, sg.errors.PreparationWarning) for w in caught)
    return done, "\n".join(str(w.message) for w in caught)


def rmse(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b.double()).square().mean().sqrt())


def scan_of(counts: np.ndarray, reference: Any, dark: Any = None, **more: Any) -> sg.Scan:
    return sg.Scan(counts, GEOMETRY, kind="counts", calibration=sg.Calibration(reference=reference, dark=dark, **more))


# --- readings that are not light ---


@pytest.mark.parametrize(("white", "dtype"), [(65535, np.uint16), (255, np.uint8), (2**32 - 1, np.uint32)])
@pytest.mark.parametrize("brightest", [0.9, 1.0])
def test_an_open_beam_at_the_largest_value_of_the_type(white: int, dtype: type, brightest: float) -> None:
    counts = np.rint(brightest * white * np.exp(-EXACT.numpy())).astype(dtype)
    for reference in (np.full((1, 12, 64), white, np.float32), np.full((1, 12, 64), white, dtype)):
        done, text = prepared(scan_of(counts, reference))
        exact = -np.log(counts / float(white))
        assert np.abs(done.projections.numpy() - exact).max() < 2e-6
        assert not text and done.metadata["preparation"]["repaired"]["saturated"] == 0


@pytest.mark.parametrize(("most", "dtype"), [(65535, np.uint16), (255, np.uint8), (4095, np.uint16)])
def test_references_that_saturate_with_the_air(most: int, dtype: type) -> None:
    """The middle of the beam is 1.2 times what the detector counts, its sides 0.8 times: 0.18 too low, and told."""
    beam = most * np.where(np.abs(np.arange(64) - 31.5) < 24, 1.2, 0.8)
    counts = np.clip(np.rint(beam * np.exp(-EXACT.numpy())), 0, most).astype(dtype)
    flats = np.clip(np.rint(np.broadcast_to(beam, (3, 12, 64))), 0, most).astype(dtype)
    text = prepared(scan_of(counts, flats))[1]
    assert f"75% of the references' readings are at the largest value, {most}" in text and "too low" in text


def noisy(white: float, brightness: float, dtype: type, photons: float) -> np.ndarray:
    """Counts that end at `white`, of a beam of `brightness` times that, with the noise of so many photons."""
    draws = np.random.default_rng(0).poisson(photons * brightness * np.exp(-EXACT.numpy()))
    return np.minimum(np.rint(draws * (white / photons)), white).astype(dtype)


LIMITS = [(65535, np.uint16, 2e4), (65535, np.uint16, 1e6), (255, np.uint8, 2e3), (4095, np.uint16, 2e4)]


@pytest.mark.parametrize(("white", "dtype", "photons"), LIMITS)
@pytest.mark.parametrize("brightness", [1.05, 1.3, 1.5])
def test_references_wholly_at_the_limit(white: int, dtype: type, photons: float, brightness: float) -> None:
    """Air at the limit without noise: line integrals of the object are too low by the logarithm of the brightness."""
    counts = noisy(white, brightness, dtype, photons)
    text = prepared(scan_of(counts, np.full((3, 12, 64), white, dtype)))[1]
    assert "the open beam saturates the detector" in text and "too low" in text and "`unattenuated`" in text
    mended = sg.Scan(counts, GEOMETRY, kind="counts")
    done, _ = prepared(mended, unattenuated=brightness * white)
    assert abs(float((done.projections.double() - EXACT)[counts < white].mean())) < 0.01


@pytest.mark.parametrize(("white", "dtype", "photons"), LIMITS)
def test_a_white_level_with_noise_is_none(white: int, dtype: type, photons: float) -> None:
    for brightness in (0.97, 1.0):
        assert (
            "saturates"
            not in prepared(scan_of(noisy(white, brightness, dtype, photons), np.full((3, 12, 64), white, dtype)))[1]
        )


def test_detail_without_noise_is_no_noise() -> None:
    rng = np.random.default_rng(0)
    centers = np.c_[rng.uniform(-1.3, 1.3, (150, 2)), np.zeros(150)]
    rods = sg.Ellipsoids([0.3] * 150, [[0.12, 0.12, 0.6]] * 150, centers.tolist())
    counts = np.rint(65535 * np.exp(-rods.project(GEOMETRY).numpy())).astype(np.uint16)
    assert not prepared(scan_of(counts, np.full((1, 12, 64), 65535, np.uint16)))[1]


def test_saturated_air_keeps_the_level_of_the_air() -> None:
    """The beam rises by 15 % after the flats: air saturates, the object does not."""
    true = 60000 * 1.15 * np.exp(-EXACT.numpy())
    counts = np.clip(np.rint(true), 0, 65535).astype(np.uint16)
    done, text = prepared(scan_of(counts, np.full((3, 12, 64), 60000, np.uint16)))
    saturated = int((counts == 65535).sum())
    assert f"{saturated} saturated" in text and done.metadata["preparation"]["repaired"]["saturated"] == saturated
    bound = -math.log(65535 / 60000)
    assert done.projections[AIR].max() < bound + 1e-5 and done.projections[AIR].min() > -math.log(1.15) - 1e-5
    grid = sg.Grid((8, 60, 60), 0.1)
    truth = sg.fbp(EXACT.float() - math.log(1.15), GEOMETRY, grid)
    assert rmse(sg.fbp(done.projections, GEOMETRY, grid), truth) < 0.016  # 0.041 from the rim


def test_elements_that_do_not_saturate_tell_the_level_of_the_air() -> None:
    gain = np.random.default_rng(0).uniform(30000, 60000, (12, 64))
    true = gain * 1.15 * np.exp(-EXACT.numpy())
    counts = np.clip(np.rint(true), 0, 65535).astype(np.uint16)
    assert 0.01 < (counts == 65535).mean() < 0.3
    done, text = prepared(scan_of(counts, gain[None]))
    assert "saturated" in text
    assert (done.projections.double() - EXACT + math.log(1.15))[AIR].abs().max() < 2e-3


@pytest.mark.parametrize(
    ("white", "dtype"), [(4095, np.uint16), (16383, np.int16), (16383, np.uint32), (65532, np.uint16)]
)
def test_detectors_of_fewer_bits_than_the_type_saturate(white: int, dtype: type) -> None:
    """No option says so: readings pile up at the largest value, which the references permit no light to have."""
    rng = np.random.default_rng(0)
    flats = np.minimum(rng.poisson(0.92 * white, (5, 12, 64)), white).astype(dtype)
    counts = np.clip(np.rint(0.92 * white * 1.15 * np.exp(-EXACT.numpy())), 0, white).astype(dtype)
    done, text = prepared(scan_of(counts, flats))
    saturated = int((counts == white).sum())
    assert f"{saturated} saturated" in text and done.metadata["preparation"]["repaired"]["saturated"] == saturated
    assert done.projections[AIR].max() < -math.log(1 / 0.92) + 0.04  # never the rim


@pytest.mark.parametrize(("offset", "noise"), [(0, True), (0, False), (100, True)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_copies_as_floating_point_saturate(offset: float, noise: bool, dtype: type) -> None:
    """16 bits, dark current subtracted or not: air was 0.10 too high."""
    rng = np.random.default_rng(0)
    light, open_beam = 69000 * np.exp(-EXACT.numpy()), np.full((3, 12, 64), 60000.0)
    counts = np.minimum(rng.poisson(light) if noise else np.rint(light), 65535) - offset
    flats = (rng.poisson(open_beam) if noise else open_beam) - offset
    done, text = prepared(scan_of(counts.astype(dtype), flats.astype(dtype)))
    saturated = int((counts == 65535 - offset).sum())
    assert f"{saturated} saturated" in text
    assert done.projections[AIR].max() < -math.log(65535 / 60000) + 0.02  # never the rim


@pytest.mark.parametrize("top", [3900, 3901])
def test_any_plateau_above_the_light_of_the_references(top: int) -> None:
    rng = np.random.default_rng(0)
    counts = np.minimum(rng.poisson(4200 * np.exp(-EXACT.numpy())), top).astype(np.uint16)
    flats = np.minimum(rng.poisson(3500, (5, 12, 64)), top).astype(np.uint16)
    assert f"{int((counts == top).sum())} saturated" in prepared(scan_of(counts, flats))[1]
    light = rng.poisson(3600 * np.exp(-EXACT.numpy())).astype(np.uint16)
    assert not prepared(scan_of(light, flats))[1]


def test_a_file_states_what_is_saturated() -> None:
    counts = np.minimum(np.rint(33000 * np.exp(-EXACT.numpy())), 30000).astype(np.uint16)
    scan = scan_of(counts, np.full((1, 12, 64), 29000, np.uint16))
    assert not prepared(scan)[1]
    stated = dataclasses.replace(scan, metadata={"saturation": 30000})
    assert f"{int((counts == 30000).sum())} saturated" in prepared(stated)[1]
    assert not prepared(stated, saturation=60000.0)[1]
    with pytest.raises(sg.errors.InputError, match="states saturation: much, expected positive counts"):
        sg.prepare(dataclasses.replace(scan, metadata={"saturation": "much"}))


@pytest.mark.parametrize("bits", [12, 12.0])
def test_a_file_states_the_bits_of_the_camera(bits: float) -> None:
    """Single readings at 4095 are no plateau; brighter ones show that frames were added up."""
    counts = np.rint(3800 * np.exp(-EXACT.numpy())).astype(np.uint16)
    counts[::7, 3, 30] = 4095
    scan = scan_of(counts, np.full((1, 12, 64), 3800, np.uint16))
    hot = int((counts == 4095).sum())
    assert not prepared(scan)[1]
    assert f"{hot} saturated" in prepared(dataclasses.replace(scan, metadata={"bit_depth": bits}))[1]
    for other in (16, 11, 0, -3, 1e300, math.nan, "12", None, True):
        assert not prepared(dataclasses.replace(scan, metadata={"bit_depth": other}))[1]


@pytest.mark.parametrize("part", [np.s_[:, :20], np.s_[:6], np.s_[:, 30:]])
def test_a_view_that_is_saturated_in_part_is_left_out(part: Any) -> None:
    counts = COUNTS.copy()
    counts[70][part] = 65535
    done, text = prepared(scan_of(counts, FLATS, DARKS))
    assert "1 of 180 views (70 in part saturated)" in text and len(done.geometry) == VIEWS - 1


def test_a_cosmic_ray_in_the_object_is_no_air() -> None:
    counts = np.rint(30000 * np.exp(-EXACT.numpy())).astype(np.uint16)
    row, column = (int(i) for i in np.unravel_index(int(EXACT[40].argmax()), (12, 64)))
    counts[40, row, column : column + 2] = 65535
    done, text = prepared(scan_of(counts, np.full((1, 12, 64), 30000, np.uint16)))
    assert "2 saturated" in text
    assert (done.projections[40].double() - EXACT[40]).abs().max() < 0.05


def test_long_exposures_that_saturate_the_air() -> None:
    """Views of twice the flats' exposure: what saturates there is less than the reference, and still no object."""
    true = 50000 * 2 * np.exp(-EXACT.numpy())
    counts = np.clip(np.rint(true), 0, 65535).astype(np.uint16)
    done, text = prepared(scan_of(counts, np.full((1, 12, 64), 50000, np.uint16), exposure=np.full(VIEWS, 2.0)))
    assert "saturated" in text
    assert done.projections[AIR].abs().max() < 1e-5
    assert torch.allclose(done.projections[counts < 65535].double(), EXACT[counts < 65535], atol=1e-4)


@pytest.mark.parametrize(
    ("dtype", "mark"),
    [
        *[(np.uint32, 2**32 - 1), (np.uint32, 2**32 - 2), (np.int32, -1), (np.int32, -2), (np.float32, -1)],
        *[(np.int32, 2**31 - 1), (np.int32, -(2**31)), (np.float32, np.nan), (np.uint64, 2**64 - 1), (np.int16, -2)],
    ],
)
@pytest.mark.parametrize("measured", [True, False])
def test_marks_of_gaps_are_filled_and_counted(dtype: type, mark: int, measured: bool) -> None:
    counts = np.rint(30000 * np.exp(-EXACT.numpy())).astype(dtype)
    reference = np.full((2, 12, 64), 30000, dtype)
    counts[:, 5:7] = mark
    counts[:, :, 40] = mark
    gaps = np.zeros((12, 64), bool)
    gaps[5:7] = gaps[:, 40] = True
    if measured:
        reference[:, gaps] = mark
        reference[:, 0, 0] += 3  # flats differ
    done, text = prepared(scan_of(counts, reference))
    assert f"{int(gaps.sum())} dead" in text or f"{int(gaps.sum())} invalid" in text
    repaired = done.metadata["preparation"]["repaired"]
    assert repaired["dead"] + repaired["invalid"] == gaps.sum() and repaired["not positive"] == 0
    error = (done.projections.double() - EXACT).abs()
    assert error[:, torch.from_numpy(~gaps)].max() < 3e-4
    assert error.max() < 0.25 and rmse(done.projections, EXACT) < 0.02


def nxtomo(path: Path, images: np.ndarray, keys: np.ndarray, **amounts: np.ndarray) -> sg.Scan:
    """An NXtomo file read back; `monitor` and `count_time` are amounts of every frame."""
    stage = np.arange(int((keys == 0).sum())) * 180 / VIEWS
    with h5py.File(path, "w") as file:
        groups = {}
        for name, kind in (
            ("e", "NXentry"),
            ("e/i", "NXinstrument"),
            ("e/i/d", "NXdetector"),
            ("e/s", "NXsample"),
            ("e/m", "NXmonitor"),
        ):
            groups[name] = file.create_group(name)
            groups[name].attrs["NX_class"] = kind
        detector = groups["e/i/d"]
        detector["data"], detector["image_key"] = images.astype(np.float32), keys
        angles = np.zeros(len(keys))
        angles[keys == 0] = stage
        entries = {"e/i/d/x_pixel_size": (1e-4, "m"), "e/i/d/y_pixel_size": (1e-4, "m")}
        entries["e/s/rotation_angle"] = (angles, "deg")
        if "count_time" in amounts:
            entries["e/i/d/count_time"] = (amounts["count_time"], "s")
        for name, (value, unit) in entries.items():
            file[name] = value
            file[name].attrs["units"] = unit
        if "monitor" in amounts:
            groups["e/m"]["data"] = amounts["monitor"]
    return sg.read(path)


@pytest.mark.parametrize("amount", ["monitor", "count_time"])
@pytest.mark.parametrize("flats", ["before", "after", "before and after", "within"])
def test_a_decline_is_taken_out_once(tmp_path: Path, amount: str, flats: str) -> None:
    """The beam (or the exposure time) halves over the scan; flats of that time know it, and the monitor does too."""
    stage = np.arange(VIEWS) * np.pi / VIEWS
    exact = OBJECT.project(sg.ParallelBeam(torch.as_tensor(-stage), DETECTOR)).numpy()
    beam = np.linspace(1, 0.5, VIEWS)
    frames = [(0, b, np.exp(-p)) for b, p in zip(beam, exact, strict=True)]
    first, middle, last = ([(1, b, np.ones((12, 64)))] * 4 for b in (1.0, 0.8, 0.5))
    frames = {
        "before": first + frames,
        "after": frames + last,
        "before and after": first + frames + last,
        "within": first + frames[:70] + middle + frames[70:] + last,
    }[flats]
    keys, amounts = np.array([f[0] for f in frames]), np.array([f[1] for f in frames])
    images = np.stack([50000 * b * t for _, b, t in frames])
    scan = nxtomo(tmp_path / "scan.nx", images, keys, **{amount: amounts})
    done, text = prepared(scan)
    assert not text
    assert np.abs(done.projections.numpy() - exact).max() < 1e-4  # 0.40 where it is taken out twice


def test_a_monitor_with_dead_readings(tmp_path: Path) -> None:
    exact = OBJECT.project(sg.ParallelBeam(torch.as_tensor(-np.arange(VIEWS) * np.pi / VIEWS), DETECTOR)).numpy()
    beam = np.linspace(1, 0.5, VIEWS)
    images = np.concatenate([np.full((4, 12, 64), 50000.0), 50000 * beam[:, None, None] * np.exp(-exact)])
    monitor = np.r_[[1.0] * 4, beam]
    monitor[[50, 90]] = 0, -1
    with pytest.warns(sg.errors.ScanWarning, match="2 of 184 exposures"):
        scan = nxtomo(tmp_path / "scan.nx", images, np.r_[[1] * 4, [0] * VIEWS], monitor=monitor)
    assert np.abs(prepared(scan)[0].projections.numpy() - exact).max() < 1e-4


@pytest.mark.parametrize("amount", ["monitor", "count_time"])
def test_exposures_of_an_aborted_scan(tmp_path: Path, amount: str) -> None:
    """Keys, angles and exposures of all planned frames; the last third was not taken."""
    exact = OBJECT.project(sg.ParallelBeam(torch.as_tensor(-np.arange(VIEWS) * np.pi / VIEWS), DETECTOR)).numpy()
    beam = np.linspace(1, 0.5, VIEWS)
    images = np.concatenate([np.full((4, 12, 64), 50000.0), 50000 * beam[:, None, None] * np.exp(-exact)])[:124]
    amounts, keys = np.r_[[1.0] * 4, beam], np.r_[[1] * 4, [0] * VIEWS]
    with pytest.warns(sg.errors.ScanWarning, match="aborted"):
        scan = nxtomo(tmp_path / "scan.nx", images, keys, **{amount: amounts})
    assert np.abs(prepared(scan)[0].projections.numpy() - exact[:120]).max() < 1e-4
    with pytest.warns(sg.errors.ScanWarning, match="184 exposures .* for 124 frames: the first ones are taken"):
        scan = nxtomo(tmp_path / "keys.nx", images, keys[:124], **{amount: amounts})
    assert np.abs(prepared(scan)[0].projections.numpy() - exact[:120]).max() < 1e-4
    with pytest.warns(sg.errors.ScanWarning, match="100 exposures .* for 124 frames: they are not used"):
        nxtomo(tmp_path / "short.nx", images, keys[:124], **{amount: amounts[:100]})


def test_nexus_states_saturation(tmp_path: Path) -> None:
    images = np.concatenate([np.full((1, 12, 64), 900.0), np.full((VIEWS, 12, 64), 990.0)])
    nxtomo(tmp_path / "scan.nx", images, np.r_[[1], [0] * VIEWS])
    with h5py.File(tmp_path / "scan.nx", "a") as file:
        file["e/i/d/saturation_value"] = 990
    assert sg.read(tmp_path / "scan.nx").metadata["saturation"] == 990


# --- images that are bad as a whole ---

COUNTS = np.rint(30000 * np.exp(-EXACT.numpy()) + 100).astype(np.uint16)
FLATS, DARKS = np.full((5, 12, 64), 30100, np.uint16), np.full((3, 12, 64), 100, np.uint16)


def spoiled(views: Any, value: float, columns: slice = slice(None)) -> np.ndarray:
    counts = COUNTS.copy()
    counts[views, :, columns] = value
    return counts


@pytest.mark.parametrize(
    ("counts", "bad", "text"),
    [
        (spoiled(70, 0), [70], "1 of 180 views (70 without counts)"),
        (spoiled(70, 100), [70], "70 without counts"),
        (spoiled(slice(70, 73), 0), [70, 71, 72], "3 of 180 views (70 to 72 without counts)"),
        (spoiled([3, 70, 179], 0), [3, 70, 179], "3, 70, 179 without counts"),
        (spoiled(slice(0, 180, 2), 0), list(range(0, 180, 2)), "90 of 180 views"),
        (spoiled(slice(120, None), 0), list(range(120, 180)), "120 to 179 without counts"),
        (spoiled(slice(0, 10), 0), list(range(10)), "0 to 9 without counts"),
        (spoiled(70, 0, slice(0, 32)), [70], "70 in part without counts"),
        (spoiled(slice(70, 73), 100, slice(32, 64)), [70, 71, 72], "70 to 72 in part without counts"),
        (spoiled(70, 65535), [70], "70 saturated"),
    ],
)
def test_views_without_counts_are_left_out(counts: np.ndarray, bad: list[int], text: str) -> None:
    done, warning = prepared(scan_of(counts, FLATS, DARKS))
    kept = [i for i in range(VIEWS) if i not in bad]
    assert text in warning and "repaired" not in warning
    assert done.geometry.equals(GEOMETRY[kept])
    assert (done.projections.double() - EXACT[kept]).abs().max() < 1e-3
    assert sorted(i for views in done.metadata["preparation"]["left_out"].values() for i in views) == bad
    truth = sg.fbp(EXACT.float(), GEOMETRY, GRID)
    assert rmse(sg.fbp(done.projections, done.geometry, GRID), truth) < 0.002  # 0.45 with 60 dead views


def test_dark_current_where_no_dark_image_is() -> None:
    done, text = prepared(scan_of(spoiled(70, 3000), FLATS))
    assert "70 without counts" in text and len(done.geometry) == VIEWS - 1


def test_views_that_are_no_numbers() -> None:
    counts = COUNTS.astype(np.float32)
    counts[12] = np.nan
    done, text = prepared(scan_of(counts, FLATS, DARKS))
    assert "12 without a number" in text and len(done.geometry) == VIEWS - 1
    p = EXACT.float().clone()
    p[12] = torch.nan
    with pytest.raises(ValueError, match="view 12 has no good reading"):  # not the detector's doing
        sg.prepare(sg.Scan(p, GEOMETRY))


def test_rings_shifts_and_the_callers_tensor_follow() -> None:
    shifts = np.random.default_rng(3).uniform(-1, 1, (VIEWS, 2))
    kept = [i for i in range(VIEWS) if i not in (40, 41)]
    out = torch.empty(VIEWS, 12, 64)
    options = sg.Preparation(rings=True, shifts="interpolate")
    with pytest.warns(sg.errors.PreparationWarning):
        done = sg.prepare(scan_of(spoiled([40, 41], 0), FLATS, DARKS, shifts=shifts), options, out=out)
    assert done.projections.data_ptr() == out.data_ptr() and len(done.projections) == len(kept)
    expected = sg.prepare(scan_of(COUNTS, FLATS, DARKS, shifts=shifts)[kept], options)
    assert rmse(done.projections, expected.projections) < 5e-4


def test_opaque_parts_are_no_reason() -> None:
    """A wide opaque bar: a third of the view from one side and a tenth from the other, and no view is left out."""
    bar = sg.Ellipsoids([40.0], [[2.0, 0.4, 3.0]], [[0.3, 0.1, 0]])
    for views in (12, 60, 360):
        geometry = sg.ParallelBeam(sg.full_scan(views), DETECTOR)
        counts = np.rint(30000 * np.exp(-bar.project(geometry).numpy()) + 100).astype(np.uint16)
        scan = sg.Scan(counts, geometry, kind="counts", calibration=sg.Calibration(reference=FLATS, dark=DARKS))
        done, text = prepared(scan)
        assert len(done.geometry) == views and "left out" not in text


def test_nothing_but_dead_views() -> None:
    with pytest.raises(ValueError, match="none of 180 views has counts"):
        sg.prepare(scan_of(np.full_like(COUNTS, 100), FLATS, DARKS))


def with_flat(change: Callable[[np.ndarray], None], count: int = 5) -> np.ndarray:
    flats = np.rint(np.random.default_rng(0).normal(30100, 170, (count, 12, 64)))
    change(flats)
    return flats


def fill(index: int, value: float) -> Callable[[np.ndarray], None]:
    return lambda flats: flats.__setitem__(index, value)


def sample(index: int) -> Callable[[np.ndarray], None]:
    return lambda flats: flats.__setitem__(index, 100 + (flats[index] - 100) * np.exp(-EXACT[0].numpy()))


@pytest.mark.parametrize(
    ("flats", "bad", "reason"),
    [
        (with_flat(fill(2, 0)), 2, "its level is 0% of the others'"),
        (with_flat(fill(0, 100)), 0, "level"),
        (with_flat(fill(1, 0), 2), 1, "level"),
        (with_flat(fill(4, 12000)), 4, "its level is 40% of the others'"),
        (with_flat(fill(4, 65000)), 4, "its level is 216% of the others'"),
        (with_flat(sample(3)), 3, "as if the sample was left in it"),
        (with_flat(sample(0), 2), 0, "as if the sample was left in it"),
        (with_flat(sample(1), 3), 1, "as if the sample was left in it"),
    ],
)
@pytest.mark.parametrize("timed", [True, False])
def test_a_bad_flat_is_left_out(flats: np.ndarray, bad: int, reason: str, timed: bool) -> None:
    times = np.full(len(flats), -0.5) if timed else None
    done, text = prepared(scan_of(COUNTS, flats, DARKS, reference_views=times))
    assert f"image {bad} of the references" in text and reason in text
    told = done.metadata["preparation"]
    assert told["left_out"] == {"references": [bad]} and told["references"] == len(flats) - 1
    assert abs(float((done.projections.double() - EXACT).mean())) < 5e-4  # 0.22 with a black one of five


def test_black_flats_after_the_scan() -> None:
    flats = with_flat(lambda f: f.__setitem__(slice(3, 6), 100), 6)
    done, text = prepared(scan_of(COUNTS, flats, DARKS, reference_views=[-0.5] * 3 + [179.5] * 3))
    assert all(f"image {i} of the references" in text for i in (3, 4, 5))
    assert abs(float((done.projections.double() - EXACT).mean())) < 5e-4


def test_flats_that_differ_as_beams_do_are_all_used() -> None:
    """A beam that halves, its profile that moves, flats at unknown times, and noise: nothing is left out."""
    rng = np.random.default_rng(1)
    profile = np.exp(-0.5 * ((np.arange(12)[:, None] - 5.5) / 6) ** 2) * np.ones((12, 64))
    moved = np.roll(profile, 1, axis=0) * 0.5
    flats = rng.poisson(20000 * np.concatenate([[profile] * 6, [moved] * 3])) + 100
    for times in ([-0.5] * 6 + [179.5] * 3, None):
        done, text = prepared(scan_of(COUNTS, flats, DARKS, reference_views=times))
        assert "left out" not in text and done.metadata["preparation"]["references"] == 9


def test_a_dark_image_with_light_in_it() -> None:
    for count in (2, 3, 6):
        darks = np.full((count, 12, 64), 100, np.uint16)
        darks[1] = 20000
        done, text = prepared(scan_of(COUNTS, FLATS, darks))
        assert "image 1 of the darks" in text
        assert (done.projections.double() - EXACT).abs().max() < 1e-3


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_dark_image_without_its_offset(count: int) -> None:
    darks = np.full((count, 12, 64), 1000, np.uint16)
    darks[1] = 0
    done, text = prepared(scan_of(COUNTS + np.uint16(900), FLATS + np.uint16(900), darks))
    assert "image 1 of the darks, as its level is 0, the others' 1000" in text
    assert (done.projections.double() - EXACT).abs().max() < 1e-3  # 0.01 with one of five


@pytest.mark.parametrize(("level", "percent"), [(27100, 90), (15100, 50), (33100, 110)])
@pytest.mark.parametrize("timed", [True, False])
def test_one_flat_of_another_exposure(level: float, percent: int, timed: bool) -> None:
    flats = with_flat(lambda f: f.__iadd__(np.where(np.arange(5) == 2, level - 30100, 0)[:, None, None]))
    times = np.full(5, -0.5) if timed else None
    done, text = prepared(scan_of(COUNTS, flats, DARKS, reference_views=times))
    assert "image 2 of the references, as its level is" in text
    assert abs(float((done.projections.double() - EXACT).mean())) < 5e-4


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("value", [65535, 60000, 36000, 22000])
def test_single_readings_of_references_that_stand_out(value: int, timed: bool) -> None:
    """One flat of three with a cosmic ray or a saturated element, which does not reach twice its neighbours."""
    flats, darks = FLATS[:3].copy(), DARKS.copy()
    flats[1, 4, 4], darks[2, 7, 9] = value, 3000
    flats[2] = (1.02 * (flats[2] - 100.0) + 100).astype(np.uint16)  # the beam varies
    done, text = prepared(scan_of(COUNTS, flats, darks, reference_views=[0, 0, 0] if timed else None))
    assert not text and (done.projections.double() - EXACT).abs().max() < 0.01  # 0.33


def test_noise_of_references_is_no_outlier() -> None:
    """Their plain mean."""
    rng = np.random.default_rng(0)
    flats = rng.poisson(300.0, (5, 12, 64)).astype(np.uint16)
    done, _ = prepared(scan_of(np.broadcast_to(flats.mean(0), (VIEWS, 12, 64)).astype(np.float32), flats))
    assert done.projections.abs().max() < 1e-6


def test_references_of_two_exposures_at_unknown_times_are_told() -> None:
    flats = FLATS.copy()
    flats[:2] = 15100
    text = prepared(scan_of(COUNTS, flats, DARKS))[1]
    assert "between 1.5e+04 and 3e+04 counts bright" in text and "off by up to 0.69" in text
    assert "is not known" not in prepared(scan_of(COUNTS, flats, DARKS, reference_views=[179, 179, 0, 0, 0]))[1]


@pytest.mark.parametrize("place", [0, 1])
def test_one_of_two_flats_is_a_view(place: int) -> None:
    flats = FLATS[:2].copy()
    flats[place] = COUNTS[10]
    done, text = prepared(scan_of(COUNTS, flats, DARKS))
    assert (
        f"left out image {place} of the references" in text and (done.projections.double() - EXACT).abs().max() < 1e-3
    )


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.3, 2.0])
def test_views_of_another_exposure_are_left_out(factor: float) -> None:
    """Every line integral of such a view is off by the logarithm of the factor."""
    counts = COUNTS.copy()
    for view in (70, 120):
        counts[view] = np.rint((counts[view] - 100.0) * factor + 100)
    done, text = prepared(scan_of(counts, FLATS, DARKS))
    assert "2 of 180 views (70, 120 of another brightness)" in text and len(done.geometry) == VIEWS - 2
    exposure = np.ones(VIEWS)
    exposure[[70, 120]] = factor
    assert not prepared(scan_of(counts, FLATS, DARKS, exposure=exposure))[1]
    assert len(prepared(scan_of(counts, FLATS, DARKS), air=(0, 4))[0].geometry) == VIEWS


def test_flats_that_all_have_another_exposure_or_no_light() -> None:
    _, text = prepared(scan_of(COUNTS, np.full((3, 12, 64), 15100, np.uint16), DARKS))
    assert "transmit up to 200% of the references, so that line integrals of air are -0.69" in text
    assert not prepared(scan_of(COUNTS, np.full((3, 12, 64), 15100, np.uint16), DARKS), air=(0, 4))[1]
    with pytest.raises(sg.errors.InputError, match="reference: expected the counts of the open beam"):
        sg.prepare(scan_of(COUNTS, np.full((3, 12, 64), 101, np.uint16), DARKS))


def test_references_and_darks_that_are_swapped() -> None:
    with pytest.raises(ValueError, match="`reference` and `dark` may be swapped"):
        sg.prepare(scan_of(COUNTS, DARKS, FLATS))
