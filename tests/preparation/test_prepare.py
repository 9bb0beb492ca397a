"""Whole scans of counts, made from known line integrals with known faults, come back as line integrals."""

from __future__ import annotations

import importlib
import math
import tracemalloc
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.data import Calibration, Scan
from sinograd.errors import PreparationWarning, SinogradError
from sinograd.preparation import Preparation, prepare, remove_stripes, shift_projections

VIEWS, ROWS, COLUMNS = 40, 20, 30
GENERATOR = np.random.default_rng(0)
GAIN = GENERATOR.uniform(20000, 40000, (ROWS, COLUMNS))
DARK = GENERATOR.uniform(80, 120, (ROWS, COLUMNS))
OBJECT = sg.Ellipsoids([0.05, 0.04], [[9.0, 7.0, 8.0], [3.0, 2.0, 4.0]], [[1.0, 2.0, 0.5], [-3.0, 1.0, 2.0]])


def cone(**more: Any) -> sg.ConeBeam:
    return sg.ConeBeam.circular(
        source_to_origin=100,
        source_to_detector=150,
        angles=sg.full_scan(VIEWS),
        detector=sg.FlatDetector((ROWS, COLUMNS), 1.0, (0.0, 0.5)),
        **more,
    )


def line_integrals() -> torch.Tensor:
    return OBJECT.project(cone(), dtype=torch.float64)


def counts_of(p: torch.Tensor, drift: np.ndarray | None = None) -> np.ndarray:
    """Counts as float64: gain exp(-p) + dark, with the beam's drift [views] if there is one."""
    beam = np.ones(len(p)) if drift is None else drift
    return GAIN * beam[:, None, None] * np.exp(-p.numpy()) + DARK


def calibration(**more: Any) -> Calibration:
    return Calibration(**{"reference": (GAIN + DARK)[None], "dark": DARK[None], **more})


def raw(counts: np.ndarray, cal: Calibration | None, **more: Any) -> Scan:
    return Scan(counts, cone(), metadata={"sample": "made"}, kind="counts", calibration=cal, **more)


def quiet(scan: Scan, options: Preparation | None = None, **more: Any) -> Scan:
    """Prepared, with the warnings about repaired readings expected."""
    with pytest.warns(PreparationWarning):
        return prepare(scan, options, **more)


def test_counts_become_line_integrals() -> None:
    scan = raw(np.rint(counts_of(line_integrals())).astype(np.uint16), calibration())
    done = prepare(scan)
    assert done.kind == "line integrals" and done.calibration is None and done.geometry.equals(cone())
    assert done.projections.dtype == torch.float32
    assert torch.allclose(done.projections.double(), line_integrals(), atol=2e-4)
    told = done.metadata["preparation"]
    assert done.metadata["sample"] == "made" and (told["references"], told["darks"]) == (1, 1)
    assert not any(told["repaired"].values()) and told["options"] == {}
    assert scan.kind == "counts" and "preparation" not in scan.metadata
    done.validate()


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i4", "<f4", ">f8"])
def test_stored_types(dtype: str) -> None:
    counts = np.rint(counts_of(line_integrals())).astype(dtype)
    counts.flags.writeable = False
    assert torch.allclose(prepare(raw(counts, calibration())).projections.double(), line_integrals(), atol=2e-4)


def test_a_tensor_and_a_lazy_scan_stay_as_they_are() -> None:
    @dataclass
    class Lazy:
        held: np.ndarray
        read: list = field(default_factory=list)

        @property
        def shape(self) -> tuple[int, ...]:
            return self.held.shape

        @property
        def dtype(self) -> np.dtype:
            return self.held.dtype

        def __getitem__(self, views: slice) -> np.ndarray:
            self.read.append(views)
            return self.held[views]

    counts = counts_of(line_integrals()).astype(np.float32)
    lazy = Lazy(counts)
    one = prepare(raw(lazy, calibration()))  # type: ignore[arg-type]
    assert all(isinstance(views, slice) for views in lazy.read)
    tensor = torch.from_numpy(counts.copy())
    two = prepare(raw(tensor, calibration()))  # type: ignore[arg-type]
    assert torch.equal(one.projections, two.projections)
    assert np.array_equal(tensor.numpy(), counts)


def test_references_between_their_times_and_exposures() -> None:
    before, after = GAIN, 0.8 * GAIN
    time = np.arange(VIEWS) / VIEWS
    drift = 1 - 0.2 * time
    exposure = GENERATOR.uniform(0.5, 2, VIEWS)
    counts = GAIN * (drift * exposure)[:, None, None] * np.exp(-line_integrals().numpy()) + DARK
    references = np.stack([after, before, before]) + DARK
    done = prepare(raw(counts, calibration(reference=references, reference_views=[VIEWS, 0, 0], exposure=exposure)))
    assert torch.allclose(done.projections.double(), line_integrals(), atol=1e-5)
    assert done.metadata["preparation"]["references"] == 3
    without = prepare(raw(counts, calibration(reference=references, exposure=exposure)))
    assert (without.projections.double() - line_integrals()).abs().max() > 0.05


def test_defects_and_readings_are_repaired_and_counted() -> None:
    gain = GAIN.copy()
    gain[4, 5] = 0  # dead
    gain[7, 8] *= 4  # hot
    counts = gain * np.exp(-line_integrals().numpy()) + DARK
    counts[3, 10, 12] = 500000  # saturated
    counts[3, 10, 13] = 600000
    counts[5, 2, 3] = 0  # below the dark
    counts[5, 0, 0] = 1
    counts[6, 9, 9] = np.nan
    with pytest.warns(PreparationWarning, match="2 saturated, 1 not finite, 2 not positive of 24000 readings"):
        done = prepare(raw(counts, calibration(reference=(gain + DARK)[None])), Preparation(saturation=500000.0))
    repaired = done.metadata["preparation"]["repaired"]
    assert repaired == {
        "dead": 1,
        "hot": 1,
        "invalid": 0,
        "saturated": 2,
        "not finite": 1,
        "not positive": 2,
        "raised to the smallest": 0,
    }
    error = (done.projections.double() - line_integrals()).abs()
    assert error.max() < 0.2  # the object's edge passes through some of them
    assert torch.isfinite(done.projections).all()
    untouched = torch.ones(VIEWS, ROWS, COLUMNS, dtype=torch.bool)
    untouched[:, 4, 5] = untouched[:, 7, 8] = False
    for place in ((3, 10, 12), (3, 10, 13), (5, 2, 3), (5, 0, 0), (6, 9, 9)):
        untouched[place] = False
    assert error[untouched].max() < 1e-5


def test_saturation_of_unsigned_types_and_of_references() -> None:
    counts = np.rint(counts_of(line_integrals())).astype(np.uint16)
    counts[2, 3, 4] = 65535
    reference = np.rint(GAIN + DARK).astype(np.uint16)
    reference[5, 5] = 65535
    done = quiet(raw(counts, calibration(reference=reference[None])))
    repaired = done.metadata["preparation"]["repaired"]
    assert repaired["saturated"] == 1 and repaired["invalid"] == 1


def test_many_defects_warn_alone() -> None:
    reference = GAIN + DARK
    reference[:, 7] = 0
    with pytest.warns(PreparationWarning, match="20 dead of 600 detector elements"):
        prepare(raw(counts_of(line_integrals()), calibration(reference=reference[None])))


def test_shifts_are_undone_by_interpolation_or_by_the_geometry() -> None:
    """A detector that stood at shifts saw what the straight one sees at i + shift; moved by +shift it is straight."""
    rng = np.random.default_rng(3)
    shifts = rng.uniform(-2, 2, (VIEWS, 2))
    displaced = OBJECT.project(cone(shifts=shifts), dtype=torch.float64)
    scan = raw(counts_of(displaced), calibration(shifts=shifts))
    by_geometry = prepare(scan, Preparation(shifts="geometry"))
    assert by_geometry.geometry.equals(cone(shifts=shifts))
    assert torch.allclose(by_geometry.projections.double(), displaced, atol=1e-5)
    moved = prepare(scan)
    assert moved.geometry.equals(cone())
    assert moved.metadata["preparation"]["unmeasured"]["rows"] == [2, 2]
    assert torch.allclose(moved.projections.double(), shift_projections(displaced, shifts), atol=2e-5)
    inside = (slice(None), slice(4, -4), slice(4, -4))
    straight = line_integrals()
    error = (moved.projections - straight)[inside].square().mean().sqrt()
    assert error < 0.15 * (displaced - straight)[inside].square().mean().sqrt()
    ignored = prepare(scan, Preparation(shifts="ignore"))
    assert torch.allclose(ignored.projections.double(), displaced, atol=1e-5)


def test_rings_are_reduced_before_the_shifts() -> None:
    shifts = np.random.default_rng(3).uniform(-2, 2, (VIEWS, 2))
    scan = raw(counts_of(line_integrals()) * (1 + 0.02 * np.sin(3.0 * np.arange(COLUMNS) ** 2)), calibration())
    told = []
    done = prepare(scan, Preparation(rings=True), progress=lambda *done: told.append(done))
    assert torch.allclose(done.projections, remove_stripes(prepare(scan).projections), atol=1e-5)
    assert told[-1] == (2 * VIEWS, 2 * VIEWS) and told == sorted(told)
    shifted = prepare(replace(scan, calibration=calibration(shifts=shifts)), Preparation(rings=True))
    assert torch.allclose(shifted.projections, shift_projections(done.projections, shifts), atol=1e-5)


def test_regions_and_bins() -> None:
    options = Preparation(rows=(2, 19), columns=(5, 30), binning=2)
    done = prepare(raw(counts_of(line_integrals()), calibration()), options)
    assert done.geometry.equals(sg.geometry.detector_region(cone(), (2, 19), (5, 30), 2))
    fractions = torch.exp(-line_integrals())[:, 2:18, 5:29].unflatten(1, (8, 2)).unflatten(3, (12, 2)).mean((2, 4))
    assert torch.allclose(done.projections.double(), -fractions.log(), atol=1e-5)


def test_drift_and_beam_hardening() -> None:
    drift = 1 + 0.1 * np.sin(np.arange(VIEWS))
    p = OBJECT.scaled(0.7).project(cone(), dtype=torch.float64)
    assert not p[..., 26:30].any()
    scan = raw(counts_of(p, drift), calibration())
    done = prepare(scan, Preparation(air=(26, 30), columns=(1, 30), beam_hardening=(1.0, 0.1)))
    p = p[..., 1:]
    assert torch.allclose(done.projections.double(), p + 0.1 * p**2, atol=1e-5)


def test_transmission_line_integrals_and_counts_of_a_known_beam() -> None:
    p = line_integrals()
    shifts = np.full((VIEWS, 2), 1.0)
    done = prepare(Scan(torch.exp(-p), cone(), kind="transmission"))
    assert torch.allclose(done.projections.double(), p, atol=1e-6)
    done = prepare(Scan(p, cone(), calibration=Calibration(shifts=shifts)))
    assert torch.allclose(done.projections[:, 1:, 1:].double(), p[:, :-1, :-1], atol=1e-6)
    done = prepare(
        Scan(
            1000 * torch.exp(-p) + 5,
            cone(),
            kind="counts",
            calibration=Calibration(dark=np.full((2, ROWS, COLUMNS), 5)),
        ),
        Preparation(unattenuated=1000.0),
    )
    assert torch.allclose(done.projections.double(), p, atol=1e-6)


def test_a_sinogram() -> None:
    geometry = sg.FanBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=sg.full_scan(VIEWS), detector=sg.FlatDetector(COLUMNS, 1.0)
    )
    p = OBJECT.project(geometry, dtype=torch.float64)
    gain, shifts = GAIN[0], np.stack([np.zeros(VIEWS), np.linspace(-1, 1, VIEWS)], 1)
    scan = Scan(gain * np.exp(-p.numpy()), geometry, kind="counts", calibration=Calibration(reference=gain[None]))
    assert torch.allclose(prepare(scan).projections.double(), p, atol=1e-6)
    moved = replace(scan, calibration=Calibration(reference=gain[None], shifts=shifts))
    assert prepare(moved, Preparation(shifts="geometry", binning=2)).geometry.columns == 15
    assert prepare(moved).projections.shape == p.shape
    shifts[3, 0] = 1
    with pytest.raises(ValueError, match="shifts along the rows of a 2-D scan"):
        prepare(replace(scan, calibration=Calibration(reference=gain[None], shifts=shifts)))


def test_into_a_tensor_of_the_caller_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    scan = raw(counts_of(line_integrals()), calibration(shifts=np.random.default_rng(3).uniform(-2, 2, (VIEWS, 2))))
    out = torch.empty(VIEWS, ROWS, COLUMNS)
    once = prepare(scan, out=out)
    assert once.projections is out
    module = importlib.import_module("sinograd.preparation.prepare")
    monkeypatch.setattr(module, "BLOCK_BYTES", 3 * 4 * ROWS * COLUMNS)
    told = []
    again = prepare(scan, progress=lambda *done: told.append(done))
    assert torch.equal(again.projections, out)
    assert [done for done, _ in told] == [*range(3, VIEWS, 3), VIEWS]
    with pytest.raises(ValueError, match="out: expected"):
        prepare(scan, out=torch.empty(VIEWS, ROWS, COLUMNS, dtype=torch.float64))


def test_memory_beside_the_result_is_bounded() -> None:
    """NumPy's allocations: the reading of blocks and the repair of a few elements, far below the scan itself."""
    views, rows, columns = 60, 256, 256
    geometry = sg.ParallelBeam(sg.full_scan(views), sg.FlatDetector((rows, columns), 1.0))
    counts = np.full((views, rows, columns), 1000, np.uint16)
    scan = Scan(counts, geometry, kind="counts", calibration=Calibration(reference=np.full((1, rows, columns), 2000)))
    out = torch.empty(views, rows, columns)
    prepare(scan, out=out)
    tracemalloc.start()
    try:
        prepare(scan, out=out)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_options_as_plain_values() -> None:
    options = Preparation(rows=(1, 5), binning=(1, 2), rings=True, beam_hardening=(1.0, 0.2), air=(0, 3))
    data = options.to_dict()
    assert data == {
        "rows": [1, 5],
        "binning": [1, 2],
        "rings": True,
        "beam_hardening": [1.0, 0.2],
        "air": [0, 3],
    }
    assert Preparation.from_dict(data) == options and Preparation.from_dict({}) == Preparation()
    with pytest.raises(ValueError, match="unknown preparation key ring; allowed: rows, columns"):
        Preparation.from_dict({"ring": True})


COUNTS = counts_of(line_integrals())


@pytest.mark.parametrize(
    ("scan", "options", "message"),
    [
        (raw(COUNTS, None), {}, "raw counts and no reference .*; give `flat`, a file or folder"),
        (raw(COUNTS, calibration(dark=None, reference=None)), {}, "raw counts and no reference"),
        (raw(COUNTS, calibration(reference=DARK[None])), {}, "reference: expected counts above the dark's"),
        (raw(COUNTS, calibration(reference=GAIN[None, :, 1:])), {}, r"reference \[1, 20, 29\] does not match"),
        (raw(COUNTS, calibration(dark=DARK[None, 1:])), {}, r"dark \[1, 19, 30\] does not match"),
        (raw(COUNTS, calibration(shifts=np.zeros((3, 2)))), {}, r"shifts \[3, 2\]"),
        (raw(COUNTS, calibration(exposure=np.ones(3))), {}, "exposure: expected 40 positive numbers"),
        (raw(COUNTS[:-1], calibration()), {}, r"projections \[39, 20, 30\] do not match"),
        (raw(np.full_like(COUNTS, np.nan), calibration()), {}, "view 0 has no good reading: 0 saturated, 600 NaN"),
        (raw(COUNTS, calibration()), {"saturation": 50.0, "repair": False}, "600 without a number"),
        (raw(COUNTS, calibration()), {"rows": (0, 21)}, "rows: expected"),
        (raw(COUNTS, calibration()), {"air": (0, 3), "columns": (5, 30)}, "air: columns 0 to 3 hold no whole element"),
        (raw(COUNTS[:30], calibration()), {}, "projections"),
        (Scan(COUNTS[:20], cone()[:20]), {"rings": True}, "at least 32 views"),
    ],
)
def test_bad_input(scan: Scan, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(scan, Preparation(**options))


@pytest.mark.parametrize(
    "options",
    [{"shifts": "wrap"}, {"edges": "wrap"}, {"smallest": 0}, {"unattenuated": -1}, {"dead": 2}, {"saturation": 0}],
)
def test_wrong_options(options: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Preparation(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"rows": 5},
        {"rows": (5, 5)},
        {"rows": (-1, 5)},
        {"columns": "0,5"},
        {"columns": (0, 5, 10)},
        {"columns": (0.5, 5)},
        {"air": (3, 0)},
        {"air": True},
        {"binning": 0},
        {"binning": 1.5},
        {"binning": (2, 0)},
        {"binning": (2, 2, 2)},
        {"binning": "2"},
        {"binning": None},
        {"beam_hardening": "abc"},
        {"beam_hardening": 1.0},
        {"beam_hardening": (1.0, math.nan)},
        {"beam_hardening": (1.0, "x")},
        {"beam_hardening": None},
        {"dead": None},
        {"hot": None},
        {"hot": math.nan},
        {"smallest": None},
        {"smallest": "x"},
        {"ring_width": None},
        {"ring_width": math.nan},
        {"ring_limit": -1},
        {"shifts": None},
        {"edges": 1},
        {"rings": "yes"},
        {"repair": None},
    ],
    ids=str,
)
def test_wrong_options_are_errors_of_the_package_at_once(options: dict) -> None:
    for make in (lambda: Preparation(**options), lambda: Preparation.from_dict(options)):
        with pytest.raises(SinogradError, match=next(iter(options))):
            make()


def test_options_of_numpy_and_torch_are_plain() -> None:
    given = Preparation(
        rows=np.array([1, 5]),  # pyright: ignore[reportArgumentType]
        binning=np.int64(2),  # pyright: ignore[reportArgumentType]
        beam_hardening=torch.tensor([1.0, 0.5]),  # pyright: ignore[reportArgumentType]
    )
    assert given == Preparation(rows=(1, 5), binning=2, beam_hardening=(1.0, 0.5))
    assert given.to_dict() == {"rows": [1, 5], "binning": 2, "beam_hardening": [1.0, 0.5]}
    with pytest.raises(SinogradError, match="a preparation is a mapping"):
        Preparation.from_dict([1])  # pyright: ignore[reportArgumentType]
