"""`prepare` into a store gives the numbers of `prepare` into memory, and bands of rows are parts of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.data.projections import read_rows
from sinograd.io.storage.scratch import Scratch
from sinograd.preparation.options import Preparation

VIEWS, ROWS, COLUMNS = 40, 24, 36


def raw_scan(bad_view: bool = False) -> sg.Scan:
    generator = np.random.default_rng(5)
    geometry = sg.ConeBeam.circular(
        source_to_origin=60,
        source_to_detector=90,
        angles=sg.full_scan(VIEWS),
        detector=sg.FlatDetector((ROWS, COLUMNS), 0.5),
    )
    reference = generator.integers(9000, 11000, (3, ROWS, COLUMNS)).astype(np.uint16)
    counts = (reference.mean(0) * generator.uniform(0.3, 1.0, (VIEWS, ROWS, COLUMNS))).astype(np.uint16)
    counts[7, 3, 4] = 0
    if bad_view:
        counts[20] = 0
    shifts = generator.uniform(-1, 1, (VIEWS, 2))
    return sg.Scan(counts, geometry, kind="counts", calibration=sg.Calibration(reference=reference, shifts=shifts))


@pytest.mark.parametrize(
    "options", [{}, {"rings": True}, {"binning": 2}, {"air": (0, 4), "rows": (2, 20), "columns": (0, 30)}]
)
@pytest.mark.parametrize("bad_view", [False, True])
@pytest.mark.filterwarnings("ignore::sinograd.errors.PreparationWarning")
def test_a_store_gets_the_numbers_of_memory(tmp_path: Path, options: dict[str, Any], bad_view: bool) -> None:
    scan, preparation = raw_scan(bad_view), Preparation(**options)
    expected = sg.prepare(scan, preparation)
    store = Scratch.new(tmp_path / "prepared.zarr", (VIEWS, *expected.geometry.projection_shape[1:]))
    made = sg.prepare(scan, preparation, out=store)
    assert len(made.geometry) == len(expected.geometry) == VIEWS - bad_view
    assert made.metadata == expected.metadata
    torch.testing.assert_close(made.load(), expected.load(), rtol=0, atol=0)
    band = read_rows(made.projections, slice(3, 9), slice(2, 7))
    np.testing.assert_array_equal(band, expected.load()[3:9, 2:7].numpy())


def test_a_scratch_is_a_zarr_array(tmp_path: Path) -> None:
    zarr: Any = pytest.importorskip("zarr")
    values = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    store = Scratch.new(tmp_path / "x.zarr", values.shape)
    store.write(1, values[1:])
    store.write(0, values[:1])
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "x.zarr"), mode="r")[:], values)
    np.testing.assert_array_equal(store[[1, 0]], values[[1, 0]])


@pytest.mark.parametrize("name", ["s.h5", "s.npy"])
@pytest.mark.parametrize("flip", [False, True])
def test_files_read_bands_of_rows(tmp_path: Path, name: str, flip: bool) -> None:
    scan = raw_scan()
    scan = sg.Scan(scan.projections, scan.geometry, kind="transmission")
    sg.write_scan(scan, tmp_path / name)
    if flip and name.endswith(".npy"):
        sidecar = tmp_path / "s.yaml"
        sidecar.write_text(sidecar.read_text() + "flip_rows: true\n")
    lazy = sg.read(tmp_path / name).projections
    whole = np.asarray(lazy[:])
    for views in (slice(0, 5), slice(3, 30, 4), slice(10, 10)):
        np.testing.assert_array_equal(read_rows(lazy, views, slice(4, 11)), whole[views, 4:11])
    chosen = sg.read(tmp_path / name)[[30, 2, 9]].projections
    np.testing.assert_array_equal(read_rows(chosen, slice(0, 2), slice(1, 3)), whole[[30, 2], 1:3])
