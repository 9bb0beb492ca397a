"""`write_scan` takes the format from the name. Truth: the scan that was written."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import sinograd as sg
from sinograd.data import Calibration, Scan
from sinograd.io import read, scan_format, write_scan, written_paths


@pytest.fixture
def counts(cone_scan: Scan) -> Scan:
    draw = np.random.default_rng(0).integers(0, 999, (8, 4, 5), dtype=np.uint16)
    calibration = Calibration(reference=draw[6:7], dark=draw[7:])
    return dataclasses.replace(cone_scan, projections=draw[:6], kind="counts", calibration=calibration)


@pytest.mark.parametrize("name", ["out.h5", "out.hdf5", "out.npy", "out"])
def test_round_trip(tmp_path: Path, counts: Scan, name: str) -> None:
    seen: list[tuple[int, int]] = []
    sg.write_scan(counts, tmp_path / name, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (6, 6) and [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert sorted(tmp_path.iterdir()) == sorted(written_paths(counts, tmp_path / name))
    again = read(tmp_path / name)
    assert again.projections.dtype == np.uint16 and again.kind == "counts"
    assert again.geometry.equals(counts.geometry)
    np.testing.assert_array_equal(again.projections[:], counts.projections)
    assert again.calibration is not None and again.calibration.references == again.calibration.darks == 1


def test_names_and_formats(tmp_path: Path, counts: Scan) -> None:
    assert scan_format("a/b.H5") == "h5" and scan_format("b.hdf5", "dxchange") == "dxchange"
    with pytest.raises(ValueError, match=r"must end in \.h5, \.hdf5, \.hdf, \.npy, or have no suffix"):
        write_scan(counts, tmp_path / "out.mat")
    with pytest.raises(ValueError, match="format must be one of h5, dxchange, npy, tiff, got 'raw'"):
        write_scan(counts, tmp_path / "out", format="raw")
    for name, format, ends in (
        ("out.h5", "tiff", "have no suffix"),
        ("out", "h5", r"end in \.h5, \.hdf5$"),
        ("out.npy", "dxchange", r"end in \.h5, \.hdf5, \.hdf$"),
        ("out.npz", "npy", r"end in \.npy$"),
    ):
        with pytest.raises(ValueError, match=f"as {format}: its name must {ends}"):
            write_scan(counts, tmp_path / name, format=format)
    with pytest.raises(ValueError, match="DXchange holds parallel beams"):
        write_scan(counts, tmp_path / "out.h5", format="dxchange")
    assert not list(tmp_path.iterdir())
